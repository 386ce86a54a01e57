"""A T-maze with a cue to remember: walk down a corridor, and turn where the sign at its entrance said."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Generator, Tensor

from lsnn.policies import Choice
from lsnn.tasks.closed_loop import Record
from lsnn.tasks.task import Headline, Split

GROUPS = ("cue left", "cue right", "corridor", "junction", "reward", "error")
LEFT, RIGHT, FORWARD = range(3)


@dataclass(frozen=True)
class TMaze:
    """Corridors with a fork at the end, one after the other: a cue near the entrance tells which arm has the reward.

    In each step of 1 ms the agent goes forward, or turns left or right; turns do nothing before the fork, and nothing
    else does anything there.  Either arm leads back to the entrance and to a new cue: the faster the agent walks and
    the better it remembers, the more rewards there are in an episode.
    Ours, after the task of animal experiments and of Bakker 2002 (reinforcement learning with LSTM).
    """

    name: ClassVar[str] = "t-maze"
    headline: ClassVar[Headline] = Headline("rewards", higher_is_better=True)

    steps: int = 300
    """length of an episode, steps of 1 ms"""
    length: int = 40
    """steps forward from the entrance to the fork"""
    cue_length: int = 10
    """steps forward along which the cue is seen"""
    error_cost: float = 0.0
    """cost of the wrong arm; the right one is worth 1"""
    rate_hz: float = 200.0
    """of input neurons whose cue, place, reward or error it is, Hz"""
    readout_scale: float = 1.0
    """factor on the readouts: the larger, the smaller the weights that a decided policy needs"""
    n_validation: int = 256
    """episodes in a validation"""
    n_test: int = 1000
    """episodes in a test"""

    def __post_init__(self) -> None:
        for name, least in (("cue_length", 1), ("length", self.cue_length), ("steps", self.length + 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}; usual are 10, 40, 300")
        for name in ("n_validation", "n_test"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.error_cost < math.inf:
            raise ValueError(f"error_cost must be finite and not negative, got {self.error_cost}; usual is 0")
        if not 0 < self.readout_scale < math.inf:
            raise ValueError(f"readout_scale must be positive and finite, got {self.readout_scale}; usual is 1")
        if not 0 < self.rate_hz <= 1000:
            raise ValueError(f"rate_hz must lie in (0, 1000], got {self.rate_hz}; a step is 1 ms, usual is 200")

    @property
    def n_in(self) -> int:
        """Input channels, ten for each thing there is to see."""
        return 10 * len(GROUPS)

    @property
    def n_out(self) -> int:
        """A logit per action, and the value."""
        return 4

    def n_episodes(self, split: Split) -> int:
        """Episodes in a validation or test."""
        return self.n_test if split == "test" else self.n_validation

    def input_groups(self) -> dict[str, slice]:
        """Input channels by what they tell."""
        size = self.n_in // len(GROUPS)
        return {name: slice(k * size, (k + 1) * size) for k, name in enumerate(GROUPS)}

    def begin(self, n: int, generator: Generator) -> "Mazes":
        """n mazes, each with cues of its own."""
        return Mazes(self, n, generator)

    def policy(self, readout: Float[Tensor, "... n_out"]) -> Choice:
        """Probabilities of left, right, forward."""
        return Choice(self.readout_scale * readout[..., :3])

    def value(self, readout: Float[Tensor, "... n_out"]) -> Float[Tensor, "..."]:
        """Estimate of the discounted rewards to come."""
        return self.readout_scale * readout[..., 3]

    def metrics(self, record: Record) -> dict[str, Float[Tensor, " k"]]:
        """rewards: right turns in an episode.  accuracy: 1 for a right turn, 0 for a wrong one; a value per turn."""
        right, wrong = record["right"], record["wrong"]
        return {"rewards": right.sum(0).float(), "accuracy": right[right | wrong].float()}


class Mazes:
    """Episodes of `TMaze`."""

    def __init__(self, task: TMaze, n: int, generator: Generator) -> None:
        self.task, self._generator = task, generator
        self.place = torch.zeros(n, dtype=torch.int64)
        """steps from the entrance"""
        self.cue = torch.randint(2, (n,), generator=generator)
        self._right, self._wrong = ([torch.zeros(n, dtype=torch.bool)] for _ in range(2))  # before the first step

    def inputs(self) -> UInt8[Tensor, "n n_in"]:
        """What is seen here, and how the step before turned out."""
        cued, forked = self.place < self.task.cue_length, self.place == self.task.length
        left = self.cue == LEFT
        active = torch.stack([cued & left, cued & ~left, ~forked, forked, self._right[-1], self._wrong[-1]], 1)
        chance = active.repeat_interleave(self.task.n_in // len(GROUPS), dim=1) * (self.task.rate_hz / 1000)
        return (torch.rand(chance.shape, generator=self._generator) < chance).to(torch.uint8)

    def act(self, actions: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Walk, or turn.  Returns the rewards."""
        if len(self._right) > self.task.steps:
            raise ValueError(f"the episodes are over after {self.task.steps} steps; begin new ones")
        turned = (self.place == self.task.length) & (actions != FORWARD)
        right, wrong = turned & (actions == self.cue), turned & (actions != self.cue)
        self._right.append(right)
        self._wrong.append(wrong)
        ahead = (self.place + (actions == FORWARD)).clamp(max=self.task.length)
        self.place = torch.where(turned, 0, ahead)
        self.cue = torch.where(turned, torch.randint(2, turned.shape, generator=self._generator), self.cue)
        return self._reward(right, wrong)

    def record(self) -> dict[str, Tensor]:
        """What happened so far: reward: (time, n); right, wrong: (time, n), whether the step was such a turn."""
        n = len(self.place)
        right, wrong = (torch.stack(rows)[1:].reshape(-1, n) for rows in (self._right, self._wrong))
        return {"reward": self._reward(right, wrong), "right": right, "wrong": wrong}

    def _reward(self, right: Bool[Tensor, "..."], wrong: Bool[Tensor, "..."]) -> Float[Tensor, "..."]:
        return right.float() - self.task.error_cost * wrong.float()
