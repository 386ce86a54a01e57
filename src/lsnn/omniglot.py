"""Omniglot: handwritten characters of many alphabets, read from its zip files."""

import io
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

INK = 255
"""value of a pixel that is all ink; paper is 0"""

Drawings = UInt8[Tensor, "character drawing side side"]


class Omniglot(NamedTuple):
    """Characters by alphabet, in alphabetical order.  One copy serves the whole process: read, don't write."""

    alphabets: dict[str, Drawings]

    def names(self, split: Literal["train", "validation", "test"]) -> list[str]:
        """Alphabets of a split: the last quarter tests, the eighth before it validates, at least one each."""
        names = list(self.alphabets)
        n_test, n_validation = max(1, len(names) // 4), max(1, len(names) // 8)
        n_train = len(names) - n_test - n_validation
        ends = {"train": (0, n_train), "validation": (n_train, n_train + n_validation), "test": (-n_test, None)}
        return names[slice(*ends[split])]

    def split(self, split: Literal["train", "validation", "test"]) -> Drawings:
        """All characters of a split's alphabets."""
        return torch.cat([self.alphabets[name] for name in self.names(split)])


def load(folder: Path | None, side: int) -> Omniglot:
    """All alphabets in the zip files of a folder, each drawing reduced to side x side pixels; read once per process.

    The files are as they are published (images_background_small1.zip and small2, or images_background.zip): PNG in
    SET/ALPHABET/CHARACTER/.  A drawing that is in two of them counts once.
    """
    if folder is None:
        raise ValueError(
            "Omniglot does not come with lsnn; get images_background_small1.zip and images_background_small2.zip from "
            "its authors (github.com/brendenlake/omniglot, python folder) and name theirs with --task.data FOLDER, "
            "or --data FOLDER where a trained network is evaluated"
        )
    return _load(folder.resolve(), side)


@lru_cache(maxsize=4)
def _load(folder: Path, side: int) -> Omniglot:
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; name the one that holds Omniglot's zip files")
    archives = sorted(folder.glob("*.zip"))
    if not archives:
        raise ValueError(f"{folder} holds no zip file; put images_background_small1.zip of Omniglot there")
    found: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for archive in archives:
        _read(archive, side, found)
    if len(found) < 3:
        raise ValueError(f"{folder} has {len(found)} alphabets; train, validation and test need one each")
    alphabets = {name: _stacked(folder, name, found[name]) for name in sorted(found)}
    counts = {drawings.shape[1] for drawings in alphabets.values()}
    if len(counts) > 1:
        raise ValueError(
            f"{folder}: characters have {min(counts)} drawings in some alphabets and {max(counts)} in others; "
            "fetch the files again"
        )
    return Omniglot(alphabets)


def _read(archive: Path, side: int, found: dict[str, dict[str, dict[str, np.ndarray]]]) -> None:
    """Add the drawings of one file."""
    name = ""
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                parts = PurePosixPath(name).parts
                if len(parts) != 4 or not name.endswith(".png") or parts[0].startswith("__"):
                    continue
                _, alphabet, character, drawing = parts
                drawings = found.setdefault(alphabet, {}).setdefault(character, {})
                if drawing not in drawings:
                    drawings[drawing] = _reduced(opened.read(name), side)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive} is no zip file, or damaged ({error}); fetch it again") from error
    except (OSError, SyntaxError, zlib.error, NotImplementedError) as error:  # Pillow says SyntaxError of broken PNG
        raise ValueError(f"{archive}: {name} cannot be read ({type(error).__name__}); fetch it again") from error


def _reduced(png: bytes, side: int) -> np.ndarray:
    """Ink per pixel of the small image: the mean over the part of the large one that it covers."""
    with Image.open(io.BytesIO(png)) as image:
        small = image.convert("L").resize((side, side), Image.Resampling.BOX)
    return INK - np.asarray(small)


def _stacked(folder: Path, alphabet: str, characters: dict[str, dict[str, np.ndarray]]) -> Drawings:
    counts = {len(drawings) for drawings in characters.values()}
    if len(counts) > 1:
        raise ValueError(
            f"{folder}: characters of {alphabet} have {min(counts)} to {max(counts)} drawings; fetch the files again"
        )
    rows = [[drawings[name] for name in sorted(drawings)] for _, drawings in sorted(characters.items())]
    return torch.from_numpy(np.stack([np.stack(row) for row in rows]))
