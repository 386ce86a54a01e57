"""STORE-RECALL: keep a bit in memory, through distractors, until it is asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Generator, Tensor

from lsnn.encoding import poisson
from lsnn.losses import masked_cross_entropy, masked_error, window_mean
from lsnn.seeding import generator_for
from lsnn.tasks.task import Batch, Decisions, Headline, Readout, Split

GROUPS = ("value 0", "value 1", "STORE", "RECALL")

# A sequence is in one of four states: nothing stored yet; every STORE answered; STORE just shown; a bit in memory.
EMPTY, ANSWERED, STORED, HOLDING = range(4)
AFTER_COMMAND = torch.tensor([STORED, STORED, STORED, ANSWERED])  # next state, by state
AFTER_VALUE = torch.tensor([EMPTY, ANSWERED, HOLDING, HOLDING])


class Symbols(NamedTuple):
    """What the slots of a sequence show, before it is turned into spikes."""

    shown: Bool[Tensor, "slot batch group"]
    """active input groups, in the order of GROUPS"""
    stored: Int64[Tensor, "slot batch"]
    """bit shown at the latest STORE, this slot's included; 0 before the first"""


@dataclass(frozen=True)
class StoreRecall:
    """Bits go by, one per slot; the one that coincides with STORE has to be named at RECALL.

    STORE and RECALL alternate; whichever is due comes in the next slot with probability 1 / (1 + delay), but never
    RECALL right after STORE.  A sequence has at least one STORE and leaves none unanswered.  Every slot except RECALL
    shows a bit, 0 or 1 with equal chance and independent of all others: the slot of STORE, whose bit is the one to
    store, the one after it (so it is the inverse of the stored bit half of the time, as in the authors' code), and the
    distractors.  The readout's mean over the slot of RECALL is the answer.
    Source: the authors' public tutorial code on store-recall; the task is not in the final paper.
    """

    name: ClassVar[str] = "store-recall"
    headline: ClassVar[Headline] = Headline("recall_error", higher_is_better=False)

    n_in: int = 100
    """input neurons, in four equal groups: value 0, value 1, STORE, RECALL"""
    rate_hz: float = 50.0
    """firing rate of the neurons in an active group, Hz; those of the others are silent"""
    n_slots: int = 12
    """slots in a sequence, one symbol each"""
    slot_ms: int = 200
    """duration of a slot, ms"""
    delay: float = 6.0
    """mean number of slots before a command that may come, as drawn; valid sequences of 12 slots have 3.7 between STORE
    and RECALL"""
    n_evaluation: int = 1024
    """sequences in an evaluation"""

    def __post_init__(self) -> None:
        if self.n_in < 4 or self.n_in % 4:
            raise ValueError(f"n_in must be a multiple of 4, got {self.n_in}; four symbols share the neurons equally")
        if not 0 < self.rate_hz <= 1000:
            raise ValueError(f"rate_hz must lie in (0, 1000], got {self.rate_hz}; a step is 1 ms, the tutorial has 50")
        if self.n_slots < 3:
            raise ValueError(f"n_slots must be at least 3, got {self.n_slots}; STORE, a value and RECALL take three")
        if self.slot_ms < 1:
            raise ValueError(f"slot_ms must be at least 1, got {self.slot_ms}; the tutorial has 200")
        if not self.delay > 0:
            raise ValueError(f"delay must be positive, got {self.delay}; the tutorial has 6")
        if self.n_evaluation < 1:
            raise ValueError(f"n_evaluation must be at least 1, got {self.n_evaluation}; the default is 1024")

    @property
    def n_out(self) -> int:
        """Readouts, one for each value of the bit."""
        return 2

    def input_groups(self) -> dict[str, slice]:
        """Input channels by symbol."""
        size = self.n_in // len(GROUPS)
        return {name: slice(k * size, (k + 1) * size) for k, name in enumerate(GROUPS)}

    def symbols(self, n: int, generator: Generator) -> Symbols:
        """Draw n sequences of symbols."""
        store, recall = self._commands(n, generator)
        bit = torch.randint(0, 2, (self.n_slots, n), generator=generator)
        slot = torch.arange(self.n_slots).unsqueeze(1)
        latest = torch.where(store, slot, -1).cummax(dim=0).values  # slot of the latest STORE, -1 before the first
        stored = bit.gather(0, latest.clamp(min=0)) * (latest >= 0)
        shown = torch.stack([(bit == 0) & ~recall, (bit == 1) & ~recall, store, recall], dim=2)
        return Symbols(shown, stored)

    def batch(self, split: Split, n: int, generator: Generator) -> Batch:
        """n fresh sequences; the splits differ only in the generators they are given."""
        symbols = self.symbols(n, generator)
        rate_hz = symbols.shown.repeat_interleave(self.n_in // len(GROUPS), dim=2) * self.rate_hz
        inputs = torch.cat([poisson(slot, self.slot_ms, generator) for slot in rate_hz])
        return Batch(inputs, symbols.stored, symbols.shown[..., GROUPS.index("RECALL")])

    def evaluation(self, split: Split, n: int) -> Iterator[Batch]:
        """`n_evaluation` sequences, the same at every call with the same n."""
        generator = generator_for(0, f"{self.name}/evaluation/{split}")
        for start in range(0, self.n_evaluation, n):
            yield self.batch(split, min(n, self.n_evaluation - start), generator)

    def loss(self, readout: Readout, batch: Batch) -> Decisions:
        """Cross-entropy of the mean readout in every slot of RECALL."""
        return masked_cross_entropy(window_mean(readout, self.slot_ms), batch.target, batch.mask)

    def metrics(self, readout: Readout, batch: Batch) -> dict[str, Decisions]:
        """recall_error: 1 where the wrong bit is recalled, else 0."""
        return {"recall_error": masked_error(window_mean(readout, self.slot_ms), batch.target, batch.mask)}

    def _commands(self, n: int, generator: Generator) -> tuple[Bool[Tensor, "slot n"], Bool[Tensor, "slot n"]]:
        """Slots of STORE and of RECALL, distributed as if invalid sequences were thrown away and drawn again."""
        state = torch.full((n,), EMPTY)
        store, recall = [], []
        for chance in self._chances():
            command = torch.rand(n, generator=generator) < chance[state]
            store.append(command & (state != HOLDING))
            recall.append(command & (state == HOLDING))
            state = torch.where(command, AFTER_COMMAND[state], AFTER_VALUE[state])
        return torch.stack(store), torch.stack(recall)

    def _chances(self) -> Float64[Tensor, "slot state"]:
        """Probability that a slot has a command, by state, given that the sequence is valid in the end.

        That is Bayes' rule, with valid[state] the probability that the slots still to come make the sequence valid.
        """
        p = 1 / (1 + self.delay)
        drawn = torch.tensor([p, p, 0.0, p], dtype=torch.float64)  # right after STORE a command would be invalid
        valid = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64)  # at the end: every STORE answered
        chances = []
        for _ in range(self.n_slots):
            with_command = drawn * valid[AFTER_COMMAND]
            valid = with_command + (1 - p) * valid[AFTER_VALUE]
            chances.append(with_command / valid.clamp(min=torch.finfo(torch.float64).tiny))
        return torch.stack(chances[::-1])
