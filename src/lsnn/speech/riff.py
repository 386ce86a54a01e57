"""RIFF WAVE: chunks, of which one has the format and one the samples."""

from pathlib import Path

import numpy as np

from lsnn.speech.damage import damaged

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
UNKNOWN_SIZE = 0xFFFFFFFF
"""what programs write that stream to a pipe"""


def parse_riff(path: Path, raw: bytes) -> tuple[np.ndarray, int]:
    """Samples (sample, channel) and their rate: int16 as they stand, all others as float32 in [-1, 1].

    Reads PCM of 8, 16, 24 and 32 bits and floats of 32 and 64.  ValueError, with name and byte, on anything else.
    """
    if raw[:4] != b"RIFF" or raw[8:12] != b"WAVE":
        raise damaged(path, 0, "no RIFF WAVE header")
    layout, at = None, 12
    while at + 8 <= len(raw):
        name, size = raw[at : at + 4], int.from_bytes(raw[at + 4 : at + 8], "little")
        body = at + 8
        if name == b"fmt ":
            layout = _layout(path, raw, body, size)
        elif name == b"data":
            if layout is None:
                raise damaged(path, at, "samples come before their format")
            return _samples(path, raw, body, size, *layout)
        at = body + size + size % 2
    raise damaged(path, len(raw), "the file ends before its samples begin")


def _layout(path: Path, raw: bytes, at: int, size: int) -> tuple[int, int, int, int]:
    """Code, channels, rate, bits."""
    if size < 16 or at + size > len(raw):
        raise damaged(path, at - 4, f"a format of {size} bytes, where 16 are the least and {len(raw) - at} are left")
    code, channels = (int.from_bytes(raw[at + k : at + k + 2], "little") for k in (0, 2))
    rate, bits = int.from_bytes(raw[at + 4 : at + 8], "little"), int.from_bytes(raw[at + 14 : at + 16], "little")
    if code == EXTENSIBLE and size >= 26:
        code = int.from_bytes(raw[at + 24 : at + 26], "little")
    if (code, bits) not in ((PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64)):
        fact = f"samples of format {code} with {bits} bits"
        raise damaged(path, at, fact, "convert the file to PCM of 16 bits")
    if not 1 <= channels <= 64 or not 1 <= rate <= 10_000_000:
        raise damaged(path, at + 2, f"{channels} channels at {rate} samples per second")
    return code, channels, rate, bits


def _samples(
    path: Path, raw: bytes, at: int, size: int, code: int, channels: int, rate: int, bits: int
) -> tuple[np.ndarray, int]:
    if size == UNKNOWN_SIZE:
        size = len(raw) - at
    if at + size > len(raw):
        fact = f"the audio is cut short: {len(raw) - at} bytes of samples, the header promises {size}"
        raise damaged(path, len(raw), fact)
    width = bits // 8
    if size % (width * channels):
        raise damaged(path, at, f"{size} bytes of samples are no multiple of {width * channels}, a sample's size")
    data = raw[at : at + size]
    if code == FLOAT:
        samples = np.nan_to_num(np.frombuffer(data, f"<f{width}"), nan=0.0, posinf=1.0, neginf=-1.0)
        samples = samples.clip(-1, 1).astype(np.float32)
    elif bits == 16:
        samples = np.frombuffer(data, "<i2")
    elif bits == 8:
        samples = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    else:
        whole = np.zeros((size // width, 4), np.uint8)
        whole[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
        samples = whole.view("<i4")[:, 0].astype(np.float32) / 2**31
    return samples.reshape(-1, channels), rate
