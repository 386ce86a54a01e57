"""NIST SPHERE, the audio format of TIMIT: a header of text lines, then samples."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lsnn.speech.damage import damaged, shown

MAGIC = b"NIST_1A\n"
LINE = re.compile(rb"(\S+)[ \t]+-(i|r|s\d+)[ \t]+(.*?)[ \t\r]*$")
LARGEST_HEADER = 1 << 20


class Header(NamedTuple):
    """What of a SPHERE header is needed to read its samples."""

    size: int
    """bytes"""
    rate: int
    """samples per second"""
    channels: int
    count: int
    """samples per channel"""
    big_endian: bool


def parse_sphere(path: Path, raw: bytes) -> tuple[np.ndarray, int]:
    """Samples (sample, channel), 16 bit, and their rate.  ValueError, with name and byte, where anything is wrong.

    Only uncompressed PCM of 16 bits is read, which is what TIMIT has.
    """
    header = _header(path, raw)
    n_bytes = 2 * header.count * header.channels
    present = len(raw) - header.size
    if present < n_bytes:
        fact = f"the audio is cut short: {present} bytes of samples, the header promises {n_bytes}"
        raise damaged(path, len(raw), fact)
    order = ">i2" if header.big_endian else "<i2"
    samples = np.frombuffer(raw, order, header.count * header.channels, header.size)
    return samples.astype(np.int16).reshape(-1, header.channels), header.rate


def _header(path: Path, raw: bytes) -> Header:
    size_line = raw[len(MAGIC) : len(MAGIC) + 8]
    if not raw.startswith(MAGIC) or not size_line.strip().isdigit():
        raise damaged(path, 0, f"no NIST SPHERE header, but {shown(raw[:16])}")
    size = int(size_line)
    if not len(MAGIC) + 8 <= size <= min(len(raw), LARGEST_HEADER):
        raise damaged(path, len(MAGIC), f"a header of {size} bytes in a file of {len(raw)}")
    fields, ended = _fields(path, raw[:size])
    if not ended:
        raise damaged(path, size, "the header has no end_head")
    rate = _number(path, fields, "sample_rate", None, 1, 10_000_000)
    channels = _number(path, fields, "channel_count", 1, 1, 64)
    count = _number(path, fields, "sample_count", None, 0, 1 << 40)
    _number(path, fields, "sample_n_bytes", 2, 2, 2)
    at, coding = fields.get("sample_coding", (0, "pcm"))
    if coding.lower() != "pcm":
        raise damaged(path, at, f"sample_coding is {shown(coding)}, not pcm", "convert the file to PCM of 16 bits")
    at, order = fields.get("sample_byte_format", (0, "01"))
    if order not in ("01", "10"):
        raise damaged(path, at, f"sample_byte_format is {shown(order)}, neither 01 nor 10")
    return Header(size, rate, channels, count, order == "10")


def _fields(path: Path, header: bytes) -> tuple[dict[str, tuple[int, str]], bool]:
    """Byte and value of each field, and whether the list has its end."""
    fields: dict[str, tuple[int, str]] = {}
    at = len(MAGIC) + 8
    for line in header[at:].split(b"\n"):
        text = line.strip()
        if text == b"end_head":
            return fields, True
        found = LINE.match(line)
        if found is None and text and not text.startswith(b";"):
            raise damaged(path, at, f"a header line that is no NAME -TYPE VALUE: {shown(text)}")
        if found is not None:
            name, _, value = (part.decode("ascii", "backslashreplace") for part in found.groups())
            if name in fields:
                raise damaged(path, at, f"the header has {shown(name)} twice")
            fields[name] = (at, value)
        at += len(line) + 1
    return fields, False


def _number(path: Path, fields: dict[str, tuple[int, str]], name: str, default: int | None, low: int, high: int) -> int:
    if name not in fields:
        if default is None:
            raise damaged(path, 0, f"the header has no {name}")
        return default
    at, text = fields[name]
    if not text.isascii() or not text.isdigit() or not low <= int(text[:20]) <= high:
        wanted = f"{low}" if low == high else f"a number in {low} ... {high}"
        raise damaged(path, at, f"{name} is {shown(text)}, not {wanted}")
    return int(text)


def sphere_bytes(samples: np.ndarray, rate: int, speaker: str = "") -> bytes:
    """A SPHERE file of 16-bit samples, one channel, as TIMIT's are: a header of 1,024 bytes, little-endian."""
    samples = np.asarray(samples, "<i2")
    texts = {"database_id": "TIMIT-layout", "database_version": "1.0", "speaker_id": speaker or "none"}
    numbers = {
        "channel_count": 1, "sample_count": len(samples), "sample_rate": rate,
        "sample_min": int(samples.min(initial=0)), "sample_max": int(samples.max(initial=0)),
        "sample_n_bytes": 2, "sample_sig_bits": 16,
    }  # fmt: skip
    lines = [f"{name} -s{len(value)} {value}" for name, value in texts.items()]
    lines += [f"{name} -i {value}" for name, value in numbers.items()]
    lines += ["sample_byte_format -s2 01", "end_head", ""]
    head = MAGIC + b"   1024\n" + "\n".join(lines).encode()
    return head.ljust(1024) + samples.tobytes()
