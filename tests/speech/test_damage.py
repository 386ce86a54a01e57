"""However a file is damaged: one line that names it, or the labels it had; never others, never a traceback."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lsnn.speech.audio import read_corpus_audio
from lsnn.speech.features import frame_centres, n_frames
from lsnn.speech.labels import NO_LABEL, frame_labels, read_labels
from tests.timit_files import sphere, utterance

SAMPLES, LABELS = utterance(np.random.default_rng(1), 8)
PHN = LABELS.encode()
TEXTGRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n5\n<exists>\n1\n"IntervalTier"\n"phones"\n0\n5\n'
    f"{len(LABELS.splitlines())}\n"
    + "".join(f'{int(a) / 16000}\n{int(b) / 16000}\n"{name}"\n' for a, b, name in map(str.split, LABELS.splitlines()))
).encode()
RIFF = (
    b"RIFF" + (36 + 2 * len(SAMPLES)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    + b"\x01\x00\x01\x00" + (16_000).to_bytes(4, "little") + (32_000).to_bytes(4, "little") + b"\x02\x00\x10\x00"
    + b"data" + (2 * len(SAMPLES)).to_bytes(4, "little") + SAMPLES.astype("<i2").tobytes()
)  # fmt: skip
Damage = Callable[[bytes, random.Random], bytes]


def frames(folder: Path, audio: bytes, name: str, labels: bytes) -> torch.Tensor:
    """What training would be told about each frame."""
    (folder / "a.wav").write_bytes(audio)
    (folder / name).write_bytes(labels)
    wave = read_corpus_audio(folder / "a.wav")
    return frame_labels(read_labels(folder / name, len(wave)), frame_centres(n_frames(len(wave))))


def truncated(raw: bytes, draw: random.Random) -> bytes:
    return raw[: draw.randrange(len(raw))]


def lengthened(raw: bytes, draw: random.Random) -> bytes:
    return raw + draw.randbytes(draw.randrange(1, 50))


def flipped(raw: bytes, draw: random.Random) -> bytes:
    """A byte near the beginning: headers, first labels."""
    at = draw.randrange(min(len(raw), 300))
    return raw[:at] + bytes([draw.randrange(256)]) + raw[at + 1 :]


def holed(raw: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(min(len(raw), 300))
    return raw[:at] + raw[at + draw.randrange(1, 20) :]


def foreign(raw: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(min(len(raw), 300))
    return raw[:at] + draw.choice([b"\xff", b"\xc3\x28", b"\x00", b"\xef\xbf\xbd", b"\r"]) + raw[at:]


def number(raw: bytes, draw: random.Random) -> bytes:
    """One of the numbers of the text, changed."""
    words = raw.split(b" ")
    places = [k for k, word in enumerate(words) if word.strip().isdigit()]
    if places:
        k = draw.choice(places)
        words[k] = str(max(0, int(words[k]) + draw.choice([-10_000, -500, 500, 10_000, 10**12]))).encode()
    return b" ".join(words)


def line(raw: bytes, draw: random.Random) -> bytes:
    """Lines lost, repeated or out of order."""
    lines = raw.splitlines(keepends=True)
    k = draw.randrange(len(lines))
    return b"".join(draw.choice([lines[:k] + lines[k + 1 :], lines[: k + 1] + lines[k:], lines[k:] + lines[:k]]))


def crlf(raw: bytes, draw: random.Random) -> bytes:
    return raw.replace(b"\n", b"\r\n")


def upper(raw: bytes, draw: random.Random) -> bytes:
    return raw.upper()


def empty(raw: bytes, draw: random.Random) -> bytes:
    return draw.choice([b"", b"\n", b" \r\n\n", b"\x00" * 10])


GENERAL: tuple[Damage, ...] = (truncated, lengthened, flipped, holed, foreign, empty)
TEXTS: tuple[Damage, ...] = (*GENERAL, number, line, crlf, upper)
EACH = 18
CASES = [
    *((kind, damage, "audio") for kind in ("sphere", "riff") for damage in GENERAL),
    *((kind, damage, "labels") for kind in ("phn", "textgrid") for damage in TEXTS),
]


def damaged_labels_may_be_others(damage: Damage) -> bool:
    """Damage that makes sense again, as another label: nobody can see that."""
    return damage in (flipped, holed, foreign, truncated)


@pytest.mark.parametrize(("kind", "damage", "what"), CASES, ids=lambda case: getattr(case, "__name__", str(case)))
def test_damage_is_named_or_harmless(tmp_path: Path, kind: str, damage: Damage, what: str):
    audio, name, labels = sphere(SAMPLES), "a.PHN", PHN
    if kind == "riff":
        audio = RIFF
    if kind == "textgrid":
        name, labels = "a.TextGrid", TEXTGRID
    original = frames(tmp_path, audio, name, labels)
    assert (original != NO_LABEL).all()
    refused = 0
    for k in range(EACH):
        draw = random.Random(f"{kind}/{damage.__name__}/{k}")
        files = {"audio": audio, "labels": labels}
        files[what] = damage(files[what], draw)
        try:
            found = frames(tmp_path, files["audio"], name, files["labels"])
        except ValueError as error:
            refused += 1
            assert str(tmp_path / "a.") in str(error) and "\n" not in str(error)
            continue
        n = min(len(found), len(original))
        same = (found[:n] == original[:n]) | (found[:n] == NO_LABEL)
        if what == "audio":
            assert same.all() and len(found) <= len(original)
        elif not damaged_labels_may_be_others(damage):
            assert same.all(), f"variant {k} mislabels"
        else:  # at most the one label that was hit
            assert (~same).sum() <= 25
    if damage in (empty, truncated) and what == "audio":
        assert refused == EACH


def test_there_are_enough_of_them():
    assert len(CASES) * EACH >= 500
