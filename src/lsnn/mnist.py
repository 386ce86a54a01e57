"""MNIST and its drop-in replacements: the packaged file, or a folder of four IDX files."""

import gzip
import math
import tarfile
import zlib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

SIDE = 28
"""pixels along each side of an image"""
WHITE = 255
"""grey value of white; black is 0"""
N_CLASSES = 10

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
Labelled = tuple[UInt8[Tensor, "n 28 28"], Int64[Tensor, " n"]]
Content = tuple[str, bytes]  # a file's name, for messages, and its bytes


class Images(NamedTuple):
    """Grey images and their classes.  One copy serves the whole process: read, don't write."""

    train_images: UInt8[Tensor, "train 28 28"]
    train_labels: Int64[Tensor, " train"]
    test_images: UInt8[Tensor, "test 28 28"]
    test_labels: Int64[Tensor, " test"]

    def split(self, name: Literal["train", "validation", "test"]) -> Labelled:
        """Images and labels of one split.  Validation is the last twelfth of the training images, train the rest.

        For the 60,000 of MNIST that is the customary split of 55,000, 5,000 and 10,000.
        """
        if name == "test":
            return self.test_images, self.test_labels
        n_train = len(self.train_images) - len(self.train_images) // 12
        part = slice(n_train) if name == "train" else slice(n_train, None)
        return self.train_images[part], self.train_labels[part]


def load(folder: Path | None = None) -> Images:
    """The packaged MNIST, or the four IDX files of a folder (Fashion-MNIST, KMNIST, ...); read once per process.

    The folder holds train-images-idx3-ubyte, train-labels-idx1-ubyte and the same two of t10k, also spelled with a dot
    (train-images.idx3-ubyte), plain or gzipped (.gz): at least 12 training images of 28 x 28 pixels, labels 0 ... 9.
    """
    return _load(None if folder is None else folder.resolve())


@lru_cache(maxsize=4)
def _load(folder: Path | None) -> Images:
    if folder is not None and not folder.is_dir():
        raise ValueError(f"{folder} is no folder; name one that holds four IDX files, or none for the packaged MNIST")
    contents = _packaged() if folder is None else [_read(_find(folder, name)) for name in FILES]
    return Images(*_labelled(*contents[:2], at_least=12), *_labelled(*contents[2:], at_least=1))


def _packaged() -> list[Content]:
    """The original IDX files, byte for byte, in the order of FILES."""
    with (files("lsnn") / "data" / "mnist.tar.xz").open("rb") as packed:
        try:
            with tarfile.open(fileobj=packed, mode="r|xz") as archive:
                return [(entry.name, file.read()) for entry in archive if (file := archive.extractfile(entry))]
        except tarfile.CompressionError as error:
            raise ValueError(f"{error}, and the packaged MNIST needs it; install it, or name a folder") from error


def _find(folder: Path, name: str) -> Path:
    spellings = name, name.replace("-idx", ".idx")
    candidates = [folder / (spelling + suffix) for spelling in spellings for suffix in ("", ".gz")]
    for path in candidates:
        if path.is_file():
            return path
    raise ValueError(f"{folder} lacks {name}; add it, or one of {', '.join(path.name for path in candidates[1:])}")


def _read(path: Path) -> Content:
    try:
        return str(path), gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except EOFError as error:
        raise ValueError(f"{path} is cut short, its gzip data end too early; fetch it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is not gzip, or damaged ({error}); fetch it again, or drop .gz if plain") from error


def _labelled(images: Content, labels: Content, at_least: int) -> Labelled:
    (source, label_source), x, y = (images[0], labels[0]), _parse(*images, n_axes=3), _parse(*labels, n_axes=1)
    if x.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"{source} has images of {x.shape[1]} x {x.shape[2]} pixels; make them {SIDE} x {SIDE}")
    if len(x) != len(y):
        raise ValueError(f"{source} has {len(x)} images, {label_source} {len(y)} labels; take both from one data set")
    if len(x) < at_least:
        raise ValueError(f"{source} has {len(x)} images; at least {at_least} are needed to fill every split")
    if y.max() >= N_CLASSES:
        raise ValueError(f"{label_source} has label {y.max()}; number the classes 0 ... {N_CLASSES - 1}")
    return torch.from_numpy(x.copy()), torch.from_numpy(y.astype(np.int64))


def _parse(source: str, raw: bytes, n_axes: int) -> np.ndarray:
    """Unpack IDX: two zero bytes, type (8: uint8), number of axes, their lengths (4 bytes each, big-endian), data."""
    start, magic = 4 + 4 * n_axes, bytes([0, 0, 8, n_axes])
    if raw[:4] != magic:
        raise ValueError(
            f"{source} starts with bytes {raw[:4].hex(' ') or '(none)'}, IDX {'images' if n_axes == 3 else 'labels'} "
            f"with {magic.hex(' ')}; it is another file, or gzipped without .gz in its name"
        )
    shape = [int.from_bytes(raw[at : at + 4], "big") for at in range(4, start, 4)]
    if len(raw) != start + math.prod(shape):
        promised = f"{start + math.prod(shape)} by its header ({' x '.join(map(str, shape))})"
        raise ValueError(f"{source} has {len(raw)} bytes, but {promised}; fetch it again")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)
