"""Synapses in the kernel's order: an index that depends on the wiring but not on the weights."""

import weakref
from collections import deque
from typing import NamedTuple

import numpy as np

from lsnn.ops.kernel.arrays import Net
from lsnn.ops.kernel.jit import jit
from lsnn.ops.kernel.memory import room
from lsnn.ops.kernel.simd import CACHE_LINE, WORDS
from lsnn.synapses import Wiring

MANY = 3
"""spikes of a source in a block from which a synapse does all lanes at once: measured by benchmarks/crossover.py"""
FULL = 0.5
"""share of its places from which a block of synapses without delays is a matrix: measured by benchmarks/crossover.py"""


class Full(NamedTuple):
    """A block of synapses that is a matrix."""

    slots: np.ndarray
    """the wiring's slot of each synapse"""
    places: np.ndarray
    """flat position of each in the matrix"""
    shape: tuple[int, int]
    """rows, in eights, and columns, in cache lines"""

    def matrix(self, values: np.ndarray) -> np.ndarray:
        """values, one per slot of the wiring, as a matrix [source, target]."""
        matrix = room(self.shape, values.dtype)
        matrix[:] = 0
        matrix.reshape(-1)[self.places] = values[self.slots]
        return matrix


class Index(NamedTuple):
    """Where each synapse goes in the kernel's arrays."""

    slots: np.ndarray
    """the wiring's slot of each synapse outside full blocks, in the kernel's order"""
    row: np.ndarray
    inner: np.ndarray
    offset: np.ndarray
    """see `Net`"""
    n_out: int
    depth: int
    from_inputs: Full
    from_neurons: Full

    @property
    def full(self) -> bool:
        """Whether any block is a matrix."""
        return len(self.from_inputs.slots) > 0 or len(self.from_neurons.slots) > 0

    def net(self, values: np.ndarray) -> Net:
        """The network with weights `values`, one per slot of the wiring."""
        return Net(
            self.row,
            self.inner,
            self.offset,
            values[self.slots],
            self.n_out,
            self.depth,
            *(max(WORDS) + 1 if len(block.slots) else MANY for block in (self.from_inputs, self.from_neurons)),
            self.from_inputs.matrix(values),
            self.from_neurons.matrix(values),
        )

    def by_slot(self, listed: np.ndarray, from_inputs: np.ndarray, from_neurons: np.ndarray) -> np.ndarray:
        """One number per slot of the wiring from arrays as in `Net`."""
        blocks = (self.from_inputs, from_inputs), (self.from_neurons, from_neurons)
        result = np.empty(len(self.slots) + sum(len(block.slots) for block, _ in blocks), listed.dtype)
        result[self.slots] = listed
        for block, matrix in blocks:
            result[block.slots] = matrix.reshape(-1)[block.places]
        return result


def index_of(wiring: Wiring, lanes: int) -> Index:
    """The index of a wiring, kept for the next call until its synapses move."""
    parts = wiring[:3]
    if any(part.is_inference() for part in parts):  # they do not tell when they are written to
        return _build(wiring, lanes)
    version = (lanes, wiring.weight.element_size(), *wiring[4:], *(part._version for part in parts))
    for known, of, index in _recent:
        if version == known and all(ref() is part for ref, part in zip(of, parts, strict=True)):
            return index
    index = _build(wiring, lanes)
    _recent.append((version, tuple(weakref.ref(part) for part in parts), index))
    return index


_recent: deque[tuple[tuple[int, ...], tuple[weakref.ref, ...], Index]] = deque(maxlen=8)


def _build(wiring: Wiring, lanes: int) -> Index:
    pre, post, delay = (part.contiguous().numpy() for part in wiring[:3])
    n_sources, columns = wiring.n_in + wiring.n, wiring.n + wiring.n_out
    reach = (wiring.max_delay + 1) * columns * lanes
    if reach > np.iinfo(np.int32).max:
        raise ValueError(f"{columns} neurons and readouts with delays up to {wiring.max_delay} are too many to index")
    line = CACHE_LINE // wiring.weight.element_size()
    stride = -(-wiring.n // line) * line
    inner = post < wiring.n
    from_inputs = _full(np.flatnonzero(inner & (pre < wiring.n_in)), pre, post, stride, wiring, wiring.n_in)
    from_neurons = _full(
        np.flatnonzero(inner & (pre >= wiring.n_in)), pre - wiring.n_in, post, stride, wiring, wiring.n
    )

    listed = np.ones(len(pre), bool)
    listed[from_inputs.slots] = listed[from_neurons.slots] = False
    slots = np.flatnonzero(listed)
    for key, n_keys in ((post, columns), (delay, wiring.max_delay + 1), (pre, n_sources)):
        slots, other = np.empty_like(slots), slots
        row = np.zeros(n_keys + 1, np.int64)
        sort_by(key, other, row, slots)
    first_inner = row[:-1] + np.bincount(pre[slots][post[slots] >= wiring.n], minlength=n_sources)
    offset = ((delay * columns + post)[slots] * lanes).astype(np.int32)
    return Index(slots, row, first_inner, offset, wiring.n_out, wiring.max_delay, from_inputs, from_neurons)


def _full(slots: np.ndarray, pre: np.ndarray, post: np.ndarray, stride: int, wiring: Wiring, n_pre: int) -> Full:
    """The block of these slots if it is full enough and nothing in it is delayed or double; else one without rows."""
    places = pre[slots] * stride + post[slots]
    full = wiring.max_delay == 1 and len(slots) > 0 and len(slots) >= FULL * n_pre * wiring.n
    if not full or len(np.unique(places)) < len(places):
        return Full(slots[:0], places[:0], (0, stride))
    return Full(slots, places, (-(-n_pre // 8) * 8, stride))


@jit
def sort_by(key, order, row, result):
    """result <- order, sorted by key[order] and otherwise unchanged; row <- where each key begins, and the end."""
    for j in range(len(order)):
        row[key[order[j]] + 1] += 1
    for k in range(1, len(row)):
        row[k] += row[k - 1]
    for j in range(len(order)):
        k = key[order[j]]
        result[row[k]] = order[j]
        row[k] += 1
    for k in range(len(row) - 1, 0, -1):
        row[k] = row[k - 1]
    row[0] = 0
