"""TIMIT: name the phone of every 10 ms of speech."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from lsnn.losses import masked_cross_entropy, window_mean
from lsnn.speech import frames
from lsnn.speech.audio import read_corpus_audio
from lsnn.speech.features import FRAME_MS, Features
from lsnn.speech.labels import NO_LABEL
from lsnn.speech.phones import FOLDING, PHONES
from lsnn.tasks.task import Batch, Decisions, Headline, Readout, Split

POOL = 8
"""batches whose utterances are sorted by length together: enough to pad little, few enough to mix"""


@dataclass(frozen=True)
class Timit:
    """Speech as features that enter as currents, one frame after the other; the readout's mean over a frame names it.

    Utterances of a batch end together: shorter ones begin later, and until then their input is zero and the network
    at rest, so that nothing of the padding is in the result.
    Source: Bellec et al. 2018, section on TIMIT, and the authors' later code (docs/experiments/timit.md lists what is
    known).
    """

    name: ClassVar[str] = "timit"
    headline: ClassVar[Headline] = Headline("frame_error", higher_is_better=False)

    data: Path | None = None
    """a copy of TIMIT, a corpus that lsnn data speech made, or recordings with .PHN or .TextGrid beside them"""
    features: Features = field(default_factory=Features)
    """what is computed from the sound"""
    steps_per_frame: int = 10
    """steps for which a frame's features stay, 1 ms each; networks that do not spike need but 1"""
    current: float = 1.0
    """current of one standard deviation of a feature"""
    input_noise: float = 0.0
    """standard deviation of Gaussian noise on every feature of every frame, in training only, in units of the
    feature's own; Graves et al. 2006 (ICML, connectionist temporal classification) have 0.6 on TIMIT, as recalled"""
    logit_scale: float = 1.0
    """factor on the mean readout in the loss's softmax: the larger, the smaller the weights that sure answers need"""
    cache: Path | None = Path("runs/features")
    """folder for computed features, made where missing; None computes them in every process anew"""

    def __post_init__(self) -> None:
        if not 1 <= self.steps_per_frame <= 100:
            raise ValueError(f"steps_per_frame must lie in 1 ... 100, got {self.steps_per_frame}; the paper has 10")
        for name in ("current", "logit_scale"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}; the paper has 1")
        if not 0 <= self.input_noise < math.inf:
            raise ValueError(f"input_noise must not be negative, nor infinite, got {self.input_noise}; 0 is none")

    @property
    def n_in(self) -> int:
        """Features of a frame."""
        return self.features.n

    @property
    def n_out(self) -> int:
        """Readouts, one per phone."""
        return len(PHONES)

    @property
    def step_ms(self) -> float:
        """Time that a step stands for."""
        return FRAME_MS / self.steps_per_frame

    def input_groups(self) -> dict[str, slice]:
        """Features by kind."""
        return self.features.names()

    def batch(self, split: Split, n: int, generator: Generator) -> Batch:
        """n utterances of about the same length, drawn at random."""
        spoken = self._frames(split)
        n_all = len(spoken.count)
        if not 1 <= n <= n_all:
            raise ValueError(f"a batch must have 1 ... {n_all} utterances, all that {split} has, got {n}; change it")
        start = int(torch.randint(n_all - n + 1, (1,), generator=generator))
        return self._batch(spoken, spoken.count.argsort(stable=True)[start : start + n])

    def n_batches(self, n: int) -> int:
        """Batches of n utterances that the training set fills; the last may be smaller."""
        return -(-len(self._frames("train").count) // n)

    def batch_of_epoch(self, place: int, n: int, generator: Generator) -> Batch:
        """One of the n_batches of an epoch, in an order that follows from the generator.

        Shuffled utterances are sorted by length within pools of 8 batches, cut, and the batches shuffled once more.
        """
        spoken = self._frames("train")
        shuffled = torch.randperm(len(spoken.count), generator=generator)
        pools = [pool[spoken.count[pool].argsort(stable=True)] for pool in shuffled.split(POOL * n)]
        batches = torch.cat(pools).split(n)
        chosen = batches[int(torch.randperm(len(batches), generator=generator)[place])]
        if self.input_noise == 0:
            return self._batch(spoken, chosen)
        seeds = torch.randint(2**62, (len(batches),), generator=generator)
        return self._batch(spoken, chosen, torch.Generator().manual_seed(int(seeds[place])))

    def evaluation(self, split: Split, n: int) -> Iterator[Batch]:
        """Every utterance of a split once, from short to long."""
        spoken = self._frames(split)
        for chosen in spoken.count.argsort(stable=True).split(n):
            yield self._batch(spoken, chosen)

    def loss(self, readout: Readout, batch: Batch) -> Decisions:
        """Cross-entropy of `logit_scale` times the mean readout over a frame, per labelled frame."""
        return masked_cross_entropy(self.logit_scale * self._logits(readout), batch.target, batch.mask)

    def metrics(self, readout: Readout, batch: Batch) -> dict[str, Decisions]:
        """frame_error: 1 for a frame named wrong among the 61 phones, else 0; folded_error: among the 39 classes."""
        answer, target = self._answers(readout, batch)
        folding = torch.tensor(FOLDING)
        folded = (folding[answer] != folding[target]).to(readout.dtype)
        return {"frame_error": (answer != target).to(readout.dtype), "folded_error": folded}

    def confusion(self, readout: Readout, batch: Batch) -> Int64[Tensor, "n_out n_out"]:
        """How often each phone (row) was named what (column)."""
        answer, target = self._answers(readout, batch)
        counts = torch.bincount(self.n_out * target + answer, minlength=self.n_out**2)
        return counts.reshape(self.n_out, self.n_out)

    def heard(self, wave: Float[Tensor, " sample"], normalisation: frames.Normalisation) -> Batch:
        """A recording at 16 kHz as a batch of one, without labels."""
        with frames.one_thread():
            features = normalisation(self.features.of(wave))
        if len(features) == 0:
            raise ValueError(f"the recording has {len(wave)} samples, less than a frame of 25 ms; take a longer one")
        inputs = (self.current * features).repeat_interleave(self.steps_per_frame, dim=0)[:, None]
        nothing = torch.zeros(len(features), 1, dtype=torch.int64)
        return Batch(inputs, nothing, nothing.bool())

    def remembered(self) -> dict[str, Tensor]:
        """Mean and standard deviation of the features in the training set; the first test utterance, 16 bit."""
        spoken = self._spoken()
        sound = read_corpus_audio(spoken.test.audio[int(spoken.test.count.argsort(stable=True)[0])])
        return {**spoken.normalisation._asdict(), "sound": (32768 * sound).to(torch.int16)}

    def _answers(self, readout: Readout, batch: Batch) -> tuple[Int64[Tensor, " decision"], Int64[Tensor, " decision"]]:
        return self._logits(readout)[batch.mask].argmax(dim=1), batch.target[batch.mask]

    def _logits(self, readout: Readout) -> Float[Tensor, "frame batch n_out"]:
        return window_mean(readout, self.steps_per_frame) if self.steps_per_frame > 1 else readout

    def _spoken(self) -> frames.Spoken:
        if self.data is None:
            raise ValueError(
                "no corpus is named; name one with --task.data (lsnn evaluate: --data): a copy of TIMIT, or one that "
                "lsnn data speech DIR makes"
            )
        return frames.load(self.data, self.features, self.cache)

    def _frames(self, split: Split) -> frames.Frames:
        return getattr(self._spoken(), split)

    def _batch(self, spoken: frames.Frames, chosen: Int64[Tensor, " batch"], noise: Generator | None = None) -> Batch:
        count = spoken.count[chosen]
        longest = int(count.max())
        features = torch.zeros(longest, len(chosen), self.n_in)
        target = torch.full((longest, len(chosen)), NO_LABEL)
        for k, (first, n) in enumerate(zip(spoken.first[chosen].tolist(), count.tolist(), strict=True)):
            features[longest - n :, k] = spoken.features[first : first + n]
            if noise is not None:
                features[longest - n :, k] += self.input_noise * torch.randn(n, self.n_in, generator=noise)
            target[longest - n :, k] = spoken.labels[first : first + n]
        if self.current != 1:
            features *= self.current
        mask = target != NO_LABEL
        inputs = features.repeat_interleave(self.steps_per_frame, dim=0) if self.steps_per_frame > 1 else features
        return Batch(inputs, target.clamp(min=0), mask, self.steps_per_frame * count)
