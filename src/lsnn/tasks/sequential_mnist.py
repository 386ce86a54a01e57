"""Sequential MNIST: name a digit after its pixels have gone by one at a time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int64, Integer, UInt8
from torch import Generator, Tensor

from lsnn import mnist
from lsnn.encoding import append_cue, population_rate, threshold_crossing
from lsnn.losses import masked_cross_entropy, masked_error, window_mean
from lsnn.seeding import generator_for
from lsnn.tasks.task import Batch, Decisions, Headline, Readout, Split

PERMUTATION_SEED = 0


@dataclass(frozen=True)
class SequentialMnist:
    """The pixels of an image in sequence, then an output cue; the mean readout at the very end names the class.

    Source: Bellec et al. 2018, figure 1 and supplement; the authors' public code.  A training batch is drawn afresh,
    of distinct images, where the authors go through the shuffled training set.
    """

    name: ClassVar[str] = "sequential-mnist"
    headline: ClassVar[Headline] = Headline("accuracy", higher_is_better=True)

    encoding: Literal["threshold", "population", "analog"] = "threshold"
    """grey values as spikes at threshold crossings (the paper's), as rates of a population (200 Hz), or as a current"""
    ms_per_pixel: int = 1
    """duration of a pixel, or in order of rows of a row, ms"""
    cue_ms: int | None = None
    """duration of the output cue, ms; by default 56 x ms_per_pixel, and 0, which leaves it out, for analog"""
    readout_ms: int | None = None
    """time at the end that the readout is averaged over, ms; by default half the cue, or without one the last step"""
    logit_scale: float = 1.0
    """factor on the mean readout in the loss's softmax: the larger, the smaller the weights that sure answers need"""
    order: Literal["pixels", "rows", "permuted"] = "pixels"
    """pixel after pixel, row after row with inputs of its own for each column, or pixels in one fixed random order"""
    n_channels: int = 80
    """input neurons for a stream of pixels, the last one the cue's (columns share it); analog has one and the cue"""
    pool: bool = False
    """average 2 x 2 pixels first, which leaves images of 14 x 14"""
    data: Path | None = None
    """folder of four IDX files in the layout of MNIST, such as Fashion-MNIST; by default the packaged MNIST"""

    def __post_init__(self) -> None:
        if self.ms_per_pixel < 1:
            raise ValueError(f"ms_per_pixel must be at least 1, got {self.ms_per_pixel}; a step is 1 ms")
        if self.n_channels < 4 or self.n_channels % 2:
            raise ValueError(f"n_channels must be even and at least 4, got {self.n_channels}; the paper has 80")
        if self.cue_ms is not None and self.cue_ms < 0:
            raise ValueError(f"cue_ms must not be negative, got {self.cue_ms}; 0 leaves the cue out")
        if not 1 <= self.readout_steps <= self.n_steps:
            raise ValueError(
                f"readout_ms must lie in 1 ... {self.n_steps}, got {self.readout_ms}; the paper's code has 28"
            )
        if not 0 < self.logit_scale < math.inf:
            raise ValueError(f"logit_scale must be positive and finite, got {self.logit_scale}; the paper has 1")

    @property
    def n_in(self) -> int:
        """Input channels: those of each column, then the cue if there is one."""
        per_column = 1 if self.encoding == "analog" else self.n_channels - 1
        return self._n_columns * per_column + (self.cue_steps > 0)

    @property
    def n_out(self) -> int:
        """Readouts, one per class."""
        return mnist.N_CLASSES

    @property
    def n_steps(self) -> int:
        """Steps in a sequence, the cue included."""
        return self._side**2 // self._n_columns * self.ms_per_pixel + self.cue_steps

    @property
    def cue_steps(self) -> int:
        """Steps of the cue, at the end of the sequence."""
        if self.cue_ms is not None:
            return self.cue_ms
        return 0 if self.encoding == "analog" else 56 * self.ms_per_pixel

    @property
    def readout_steps(self) -> int:
        """Steps over which the readout is averaged, at the end; the authors' code has 28 at 1 ms per pixel."""
        return max(1, self.cue_steps // 2) if self.readout_ms is None else self.readout_ms

    def input_groups(self) -> dict[str, slice]:
        """Input channels by what they tell, or by column when there are several with spikes."""
        n = self.n_in - (self.cue_steps > 0)
        cue = {"cue": slice(n, n + 1)} if self.cue_steps else {}
        if self.encoding == "analog":
            return {"grey": slice(0, n)} | cue
        if self._n_columns > 1:
            size = n // self._n_columns
            return {f"column {k}": slice(k * size, (k + 1) * size) for k in range(self._n_columns)} | cue
        if self.encoding == "population":
            return {"grey": slice(0, n)} | cue
        return {"onset": slice(0, n - 1, 2), "offset": slice(1, n - 1, 2), "white": slice(n - 1, n)} | cue

    def batch(self, split: Split, n: int, generator: Generator) -> Batch:
        """n distinct images of a split."""
        images, labels = mnist.load(self.data).split(split)
        if not 1 <= n <= len(images):
            raise ValueError(
                f"a batch must have 1 ... {len(images)} images, all that {split} has, got {n}; change its size"
            )
        chosen = torch.randperm(len(images), generator=generator)[:n]
        return self._batch(images[chosen], labels[chosen], generator)

    def evaluation(self, split: Split, n: int) -> Iterator[Batch]:
        """Every image of a split once, in order."""
        generator = generator_for(0, f"{self.name}/evaluation/{split}")  # only the population code draws from it
        images, labels = mnist.load(self.data).split(split)
        for some, their_labels in zip(images.split(n), labels.split(n), strict=True):
            yield self._batch(some, their_labels, generator)

    def loss(self, readout: Readout, batch: Batch) -> Decisions:
        """Cross-entropy of `logit_scale` times the mean readout over the last `readout_steps`, per image."""
        return masked_cross_entropy(self.logit_scale * self._logits(readout), batch.target, batch.mask)

    def metrics(self, readout: Readout, batch: Batch) -> dict[str, Decisions]:
        """accuracy: 1 for an image that is named right, else 0."""
        return {"accuracy": 1 - masked_error(self._logits(readout), batch.target, batch.mask)}

    @property
    def _side(self) -> int:
        return mnist.SIDE // 2 if self.pool else mnist.SIDE

    @property
    def _n_columns(self) -> int:
        return self._side if self.order == "rows" else 1

    def _logits(self, readout: Readout) -> Float[Tensor, "1 batch n_out"]:
        return window_mean(readout[-self.readout_steps :], self.readout_steps)

    def _batch(self, images: UInt8[Tensor, "n 28 28"], labels: Int64[Tensor, " n"], generator: Generator) -> Batch:
        grey = self._sequence(images)
        white = 4 * mnist.WHITE if self.pool else mnist.WHITE
        if self.encoding == "threshold":
            inputs = threshold_crossing(grey, self.n_channels // 2, white).flatten(2)
        elif self.encoding == "population":
            inputs = population_rate(grey / white, self.n_channels - 1, 0.0, 1.0, generator).flatten(2)
        else:
            inputs = grey / white
        if self.cue_steps:
            inputs = append_cue(inputs, self.cue_steps)
        return Batch(inputs, labels.unsqueeze(0), torch.ones(1, len(labels), dtype=torch.bool))

    def _sequence(self, images: UInt8[Tensor, "n 28 28"]) -> Integer[Tensor, "time n column"]:
        """Grey values in the order they are shown, as integers: pooled ones are sums of four pixels, not means."""
        if self.pool:
            images = images.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).sum(dim=(2, 4))
        if self.order == "rows":
            grey = images.transpose(0, 1)  # (row, n, column)
        else:
            grey = images.flatten(1).t().unsqueeze(2)  # (pixel, n, 1)
        if self.order == "permuted":
            generator = torch.Generator().manual_seed(PERMUTATION_SEED)
            grey = grey[torch.randperm(len(grey), generator=generator)]
        return grey.repeat_interleave(self.ms_per_pixel, dim=0)
