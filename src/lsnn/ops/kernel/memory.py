"""Room for the kernel's arrays."""

import math
import threading
import weakref

import numpy as np

from lsnn.ops.kernel.simd import CACHE_LINE

Part = tuple[int | tuple[int, ...], type]
"""shape and type of an array"""


def room(shape: int | tuple[int, ...], dtype: type) -> np.ndarray:
    """An uninitialised array that begins at a cache line."""
    return _carve(np.empty(_bytes(shape, dtype) + CACHE_LINE, np.uint8), [(shape, dtype)])[0]


class Stock:
    """Memory that comes back when the last array on it is gone, kept for those who ask next.

    Fresh memory costs more than filling it: the operating system hands out and clears every page at the first touch.
    """

    def __init__(self, limit: int) -> None:
        """limit: pieces of memory to keep."""
        self._limit = limit
        self._pieces: list[np.ndarray] = []
        self._lock = threading.RLock()  # a piece may come back at any time, even in here

    def lease(self, **parts: Part) -> dict[str, np.ndarray]:
        """Uninitialised arrays by name, each from a cache line on."""
        size = sum(_bytes(*part) + CACHE_LINE for part in parts.values()) + CACHE_LINE
        with self._lock:
            fitting = [k for k, piece in enumerate(self._pieces) if size <= len(piece) <= 2 * size]
            piece = self._pieces.pop(fitting[-1]) if fitting else None
        if piece is None:
            piece = np.empty(size, np.uint8)
        lease = np.frombuffer(memoryview(piece), np.uint8)  # arrays carved from it keep it alive
        weakref.finalize(lease, self._take_back, piece).atexit = False
        return dict(zip(parts, _carve(lease, list(parts.values())), strict=True))

    def _take_back(self, piece: np.ndarray) -> None:
        with self._lock:
            self._pieces.append(piece)
            del self._pieces[: -self._limit]


def _bytes(shape: int | tuple[int, ...], dtype: type) -> int:
    return (shape if isinstance(shape, int) else math.prod(shape)) * np.dtype(dtype).itemsize


def _carve(raw: np.ndarray, parts: list[Part]) -> list[np.ndarray]:
    """Arrays out of raw bytes, each from a cache line on."""
    arrays, start = [], -raw.ctypes.data % CACHE_LINE
    for shape, dtype in parts:
        size = _bytes(shape, dtype)
        arrays.append(raw[start : start + size].view(dtype).reshape(shape))
        start += -(-size // CACHE_LINE) * CACHE_LINE
    return arrays
