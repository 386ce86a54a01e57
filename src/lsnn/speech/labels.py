"""Phone labels of a recording: TIMIT's .PHN or a Praat TextGrid, and what they say about each frame."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

from lsnn.speech.audio import RATE
from lsnn.speech.damage import damaged, read_bytes, shown
from lsnn.speech.phones import phone_named
from lsnn.speech.textgrid import intervals

OVERHANG = 0.1
"""s; labels may go on for so long after the audio, and are cut: a few samples do in many corpora"""
LABEL_SUFFIXES = (".phn", ".textgrid")
"""kinds of label files, whatever their case; the first counts where both are there"""
NO_LABEL = -1
"""class of a frame without a label"""


class Segment(NamedTuple):
    """A stretch of a recording with one phone."""

    start: int
    """first sample"""
    stop: int
    """first sample after it"""
    phone: int
    """place in PHONES"""


def read_labels(path: Path, n_samples: int) -> list[Segment]:
    """The segments of a recording of n_samples, in order.  ValueError, with name and byte, where they cannot be right.

    Segments follow each other without overlap and end with the audio; unlabelled stretches between them are kept so.
    """
    raw = read_bytes(path)
    segments: list[Segment] = []
    parse = _phn if path.suffix.lower() == ".phn" else _textgrid
    for at, segment in parse(path, raw):
        before = segments[-1].stop if segments else 0
        if not 0 <= segment.start < segment.stop:
            raise damaged(path, at, f"a segment from sample {segment.start} to {segment.stop}", _remedy())
        if segment.start < before:
            fact = f"a segment from sample {segment.start}, where the one before it ends at {before}"
            raise damaged(path, at, fact, _remedy())
        if segment.stop > n_samples + OVERHANG * RATE:
            fact = f"a segment up to sample {segment.stop} of a recording of {n_samples}"
            raise damaged(path, at, fact, "see whether audio and labels belong together")
        segments.append(segment)
    if not segments:
        raise damaged(path, 0, "no labels", _remedy())
    return segments


def _remedy() -> str:
    return "mend the labels, or take the file from the original again"


def _phn(path: Path, raw: bytes) -> Iterator[tuple[int, Segment]]:
    """Byte and segment of each line "start stop phone"."""
    at = 0
    for line in raw.split(b"\n"):
        words = line.split()
        if words:
            if len(words) != 3 or not (words[0].isdigit() and words[1].isdigit()) or max(map(len, words)) > 12:
                raise damaged(path, at, f"a line that is no START STOP PHONE: {shown(line)}", _remedy())
            name = words[2].decode("ascii", "backslashreplace")
            yield at, Segment(int(words[0]), int(words[1]), _phone(path, at, name))
        at += len(line) + 1


def _textgrid(path: Path, raw: bytes) -> Iterator[tuple[int, Segment]]:
    for at, start, stop, name in intervals(path, raw):
        yield at, Segment(round(start * RATE), round(stop * RATE), _phone(path, at, name))


def _phone(path: Path, at: int, name: str) -> int:
    phone = phone_named(name)
    if phone is None:
        raise damaged(path, at, f"unknown phone {shown(name)}", "write one of TIMIT's 61, or of ARPAbet")
    return phone


def frame_labels(segments: Sequence[Segment], centres: Int64[Tensor, " frame"]) -> Int64[Tensor, " frame"]:
    """Phone at the sample in the middle of each frame; NO_LABEL where there is none."""
    starts = torch.tensor([segment.start for segment in segments])
    stops = torch.tensor([segment.stop for segment in segments])
    phones = torch.tensor([segment.phone for segment in segments])
    which = torch.searchsorted(starts, centres, right=True) - 1
    inside = (which >= 0) & (centres < stops[which.clamp(min=0)])
    return torch.where(inside, phones[which.clamp(min=0)], NO_LABEL)


def phn_text(segments: Sequence[tuple[int, int, str]]) -> str:
    """Labels (start, stop, name), in samples, as a .PHN or .WRD file has them."""
    return "".join(f"{start} {stop} {name}\n" for start, stop, name in segments)
