"""Recordings: NIST SPHERE or RIFF files as tensors of one channel, at their own rate or at TIMIT's.

The formats are read here and not by a library because a damaged file has to name its byte.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lsnn.speech.damage import damaged, read_bytes, shown
from lsnn.speech.riff import parse_riff
from lsnn.speech.sphere import MAGIC, parse_sphere

RATE = 16_000
"""TIMIT's samples per second"""


def read_audio(path: Path) -> tuple[Float[Tensor, "sample channel"], int]:
    """Samples in [-1, 1) and their rate."""
    raw = read_bytes(path)
    if raw.startswith(MAGIC[:7]):
        samples, rate = parse_sphere(path, raw)
    elif raw.startswith(b"RIFF"):
        samples, rate = parse_riff(path, raw)
    else:
        raise damaged(path, 0, f"neither NIST SPHERE nor RIFF audio, it begins with {shown(raw[:8])}")
    wave = samples.astype(np.float32)
    return torch.from_numpy(wave / 32768 if samples.dtype == np.int16 else wave), rate


def read_corpus_audio(path: Path) -> Float[Tensor, " sample"]:
    """A recording of a corpus: one channel at 16 kHz, or ValueError, since labels count samples."""
    wave, rate = read_audio(path)
    if rate != RATE:
        raise ValueError(f"{path} has {rate} samples per second, not {RATE}; convert it, and labels that count samples")
    if wave.shape[1] != 1:
        raise ValueError(f"{path} has {wave.shape[1]} channels; convert it to one")
    return wave[:, 0]


def read_any_audio(path: Path) -> Float[Tensor, " sample"]:
    """Any recording, its channels averaged, at 16 kHz."""
    wave, rate = read_audio(path)
    return resample(wave.mean(dim=1), rate, RATE)


def resample(wave: Float[Tensor, " sample"], rate: int, wanted: int) -> Float[Tensor, " resampled"]:
    """The same sound at another rate, by Fourier transform; the uppermost 1/16 of the smaller band fades out.

    Exact for what lies below that, but for a sound that neither begins nor ends in silence.
    """
    if rate == wanted or len(wave) == 0:
        return wave
    n = round(len(wave) * wanted / rate)
    spectrum = torch.fft.rfft(wave.double())
    kept = min(n // 2 + 1, len(spectrum))
    fade = torch.linspace(0, 16, kept, dtype=torch.float64).sub(15).clamp(0, 1)
    spectrum = spectrum[:kept] * (0.5 + 0.5 * torch.cos(torch.pi * fade))
    full = torch.zeros(n // 2 + 1, dtype=spectrum.dtype)
    full[:kept] = spectrum
    return (torch.fft.irfft(full, n=n) * (n / len(wave))).to(wave.dtype)
