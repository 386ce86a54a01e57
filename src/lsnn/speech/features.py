"""What a network hears: cepstral coefficients or mel bands of 25 ms every 10 ms, and their differences over time."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lsnn.speech.audio import RATE

WINDOW, HOP = 400, 160
"""samples of a frame, and from one frame to the next: 25 and 10 ms"""
FRAME_MS = 10
PREEMPHASIS = 0.97
LIFTER = 22
LOWEST = {"kaldi": 20.0, "librosa": 0.0}
"""Hz, lower edge of the mel bands; the upper one is 8 kHz"""
SILENT = torch.finfo(torch.float32).eps
"""least energy that a logarithm is taken of, in kaldi's convention"""


@dataclass(frozen=True)
class Features:
    """13 cepstral coefficients with first and second differences, 39 in all, as the paper has them."""

    kind: Literal["mfcc", "mel"] = "mfcc"
    """cepstral coefficients, or the logarithms of mel bands and of the whole energy"""
    n_mfcc: int = 13
    """cepstral coefficients; in kaldi's convention the first is the logarithm of the energy"""
    n_mels: int = 26
    """mel bands; with kind mel the authors' later code has 40"""
    differences: int = 2
    """how many orders of differences x[t+1] - x[t-1] follow, 0, 1 or 2"""
    convention: Literal["kaldi", "librosa"] = "kaldi"
    """whose definition of the coefficients: kaldi without dither, or librosa (n_fft 400, hop 160, center=False)"""

    def __post_init__(self) -> None:
        if not 1 <= self.n_mels <= 80:
            raise ValueError(f"n_mels must lie in 1 ... 80, got {self.n_mels}; more bands than that hold no frequency")
        if not 1 <= self.n_mfcc <= self.n_mels:
            raise ValueError(f"n_mfcc must lie in 1 ... n_mels = {self.n_mels}, got {self.n_mfcc}; the paper has 13")
        if self.differences not in (0, 1, 2):
            raise ValueError(f"differences must be 0, 1 or 2, got {self.differences}; the paper has 2")

    @property
    def n_static(self) -> int:
        """Values of a frame before differences."""
        return self.n_mfcc if self.kind == "mfcc" else self.n_mels + 1

    @property
    def n(self) -> int:
        """Values of a frame."""
        return self.n_static * (1 + self.differences)

    def of(self, wave: Float[Tensor, " sample"]) -> Float[Tensor, "frame n"]:
        """Features of a recording at 16 kHz; frame k is centred on sample `frame_centres(...)[k]`."""
        parts = [self.static(wave)]
        for _ in range(self.differences):
            parts.append(difference(parts[-1]))
        return torch.cat(parts, dim=1)

    def static(self, wave: Float[Tensor, " sample"]) -> Float[Tensor, "frame n_static"]:
        """Features of each frame by itself.

        kaldi: samples in 16-bit units; mean removed; energy; preemphasis 0.97; Povey's window; power of a Fourier
            transform of 512; mel bands that are triangles over mel from 20 Hz to 8 kHz; natural logarithm; orthogonal
            cosine transform; lifter 22; the first coefficient replaced by the logarithm of the energy.
        librosa: Hann window; power of a Fourier transform of 400; Slaney's mel bands from 0 to 8 kHz, of equal area;
            decibels, 80 at most below the loudest; orthogonal cosine transform.
        """
        if n_frames(len(wave)) == 0:
            return wave.new_zeros(0, self.n_static)
        bands, energy = (_kaldi if self.convention == "kaldi" else _librosa)(wave.unfold(0, WINDOW, HOP), self.n_mels)
        if self.kind == "mel":
            return torch.cat([bands, energy], dim=1)
        cepstrum = bands @ _cosines(self.n_mels, self.n_mfcc)
        if self.convention == "librosa":
            return cepstrum
        order = torch.arange(self.n_mfcc)
        cepstrum = cepstrum * (1 + 0.5 * LIFTER * torch.sin(math.pi * order / LIFTER))
        return torch.cat([energy, cepstrum[:, 1:]], dim=1)

    def names(self) -> dict[str, slice]:
        """Channels by what they are."""
        kind = "cepstrum" if self.kind == "mfcc" else "mel bands"
        labels = (kind, "first difference", "second difference")
        return {labels[k]: slice(k * self.n_static, (k + 1) * self.n_static) for k in range(1 + self.differences)}


def n_frames(n_samples: int) -> int:
    """Whole frames of a recording."""
    return max(0, 1 + (n_samples - WINDOW) // HOP)


def frame_centres(count: int) -> Int64[Tensor, " frame"]:
    """The sample in the middle of each frame."""
    return torch.arange(count) * HOP + WINDOW // 2


def difference(values: Float[Tensor, "frame n"]) -> Float[Tensor, "frame n"]:
    """x[t+1] - x[t-1], zero at both ends (the authors' later code on TIMIT)."""
    result = torch.zeros_like(values)
    result[1:-1] = values[2:] - values[:-2]
    return result


def _kaldi(frames: Tensor, n_mels: int) -> tuple[Tensor, Tensor]:
    frames = 32768 * frames
    frames = frames - frames.mean(dim=1, keepdim=True)
    energy = frames.square().sum(dim=1, keepdim=True).clamp(min=SILENT).log()
    before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    hann = torch.hann_window(WINDOW, periodic=False)
    windowed = (frames - PREEMPHASIS * before) * hann.pow(0.85)
    power = torch.fft.rfft(windowed, n=512).abs().square()
    return (power @ _mel_bands("kaldi", n_mels)).clamp(min=SILENT).log(), energy


def _librosa(frames: Tensor, n_mels: int) -> tuple[Tensor, Tensor]:
    power = torch.fft.rfft(frames * torch.hann_window(WINDOW)).abs().square()
    bands, energy = power @ _mel_bands("librosa", n_mels), frames.square().sum(dim=1, keepdim=True)
    return _decibels(bands), _decibels(energy)


def _decibels(power: Tensor) -> Tensor:
    level = 10 * power.clamp(min=1e-10).log10()
    return level.clamp(min=float(level.max()) - 80)


@lru_cache
def _mel_bands(convention: str, n_mels: int) -> Float[Tensor, "frequency band"]:
    """Weight of every frequency of the transform in every band."""
    to_mel, from_mel = (_htk, None) if convention == "kaldi" else (_slaney, _slaney_inverse)
    n_fft = 512 if convention == "kaldi" else WINDOW
    frequency = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * RATE / n_fft
    ends = to_mel(torch.tensor([LOWEST[convention], RATE / 2], dtype=torch.float64))
    edges = torch.linspace(float(ends[0]), float(ends[1]), n_mels + 2, dtype=torch.float64)
    if from_mel is None:
        place = to_mel(frequency)  # triangles over mel
    else:
        place, edges = frequency, from_mel(edges)  # triangles over frequency
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (place[:, None] - left) / (centre - left)
    falling = (right - place[:, None]) / (right - centre)
    weight = torch.minimum(rising, falling).clamp(min=0)
    if convention == "librosa":
        weight = weight * 2 / (right - left)
    return weight.float()


def _htk(frequency: Tensor) -> Tensor:
    return 1127 * torch.log1p(frequency / 700)


def _slaney(frequency: Tensor) -> Tensor:
    """15 mel per kHz up to 1 kHz, logarithmic above."""
    return torch.where(frequency < 1000, 0.015 * frequency, 15 + 27 * (frequency / 1000).log() / math.log(6.4))


def _slaney_inverse(mel: Tensor) -> Tensor:
    return torch.where(mel < 15, mel / 0.015, 1000 * torch.exp((mel - 15) * math.log(6.4) / 27))


@lru_cache
def _cosines(n_mels: int, n_mfcc: int) -> Float[Tensor, "band coefficient"]:
    """The orthogonal cosine transform of type II."""
    band, order = torch.arange(n_mels, dtype=torch.float64), torch.arange(n_mfcc, dtype=torch.float64)
    matrix = torch.cos(math.pi / n_mels * (band[:, None] + 0.5) * order) * math.sqrt(2 / n_mels)
    matrix[:, 0] = math.sqrt(1 / n_mels)
    return matrix.float()
