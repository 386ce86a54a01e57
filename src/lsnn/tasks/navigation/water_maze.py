"""Learning to learn from reward: find a goal that is never shown, remember where it was, and go back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from lsnn.policies import Gaussian
from lsnn.tasks.closed_loop import Record
from lsnn.tasks.navigation import outings
from lsnn.tasks.navigation.arenas import Arenas
from lsnn.tasks.navigation.searches import visits
from lsnn.tasks.navigation.world import World
from lsnn.tasks.task import Headline, Split, Table

HOW_SHOWN = ("encoding", "n_channels", "max_rate_hz", "sharpness", "n_reward", "readout_scale", "spread")
"""fields of `Navigation` that change nothing about what is asked"""
LEAST_VARIANCE = 1e-6
"""of a move, in units of a_scale^2; trained networks stay hundreds of times above"""


@dataclass(frozen=True)
class Navigation(World):
    """Reach the goal of a `World`, again and again.

    The agent moves by a_scale a in each step, a ~ N(mean, variance) its action, with mean = tanh of two readouts and
    variance = logistic function of two more; the fifth is the value.
    Source: Bellec et al. 2018, section on learning-to-learn from reward and supplement, recalled with confidence but
    for the two fields that say so (`restart`, `spread`).
    """

    name: ClassVar[str] = "navigation"
    headline: ClassVar[Headline] = Headline("goals", higher_is_better=True)

    spread: Literal["variance", "deviation"] = "variance"
    """what the readouts of the spread stand for; variance is recalled with less certainty"""
    readout_scale: float = 1.0
    """factor from readouts to what they stand for: the larger, the smaller the weights that actions need"""
    n_validation: int = 128
    """episodes in a validation"""
    n_test: int = 1000
    """episodes in a test"""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_validation", "n_test"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.readout_scale < math.inf:
            raise ValueError(f"readout_scale must be positive and finite, got {self.readout_scale}; the paper has 1")

    @property
    def n_out(self) -> int:
        """Two means, two spreads, the value."""
        return 5

    def n_episodes(self, split: Split) -> int:
        """Episodes in a validation or test."""
        return self.n_test if split == "test" else self.n_validation

    def begin(self, n: int, generator: Generator) -> Arenas:
        """n arenas, each with a goal of its own."""
        return Arenas(self, n, generator)

    def policy(self, readout: Float[Tensor, "... n_out"]) -> Gaussian:
        """Distribution of the move, in units of a_scale."""
        scaled = self.readout_scale * readout
        mean, spread = scaled[..., :2].tanh(), scaled[..., 2:4].sigmoid()
        variance = spread if self.spread == "variance" else spread.square()
        return Gaussian(mean, variance.clamp(min=LEAST_VARIANCE))

    def value(self, readout: Float[Tensor, "... n_out"]) -> Float[Tensor, "..."]:
        """Estimate of the discounted rewards to come."""
        return self.readout_scale * readout[..., 4]

    def metrics(self, record: Record) -> dict[str, Float[Tensor, " k"]]:
        """Of whole episodes:

        goals: how often the goal was reached.
        first_goal: steps until it was reached first; those of the whole episode where it never was.
        later_goals: steps from a restart to the goal, one value for each time it was reached again.
        radius: mean distance from the centre until the goal was reached first.
        wall_hits: steps that were blocked by the rim.
        """
        reached, taken = record["reached"], visits(record)
        first = taken[:, 0].nan_to_num(self.steps)
        searching = torch.arange(len(reached))[:, None] < first
        radius = (record["position"].norm(dim=2) * searching).sum(0) / first
        return {
            "goals": reached.sum(0).float(),
            "first_goal": first,
            "later_goals": taken[:, 1:][~taken[:, 1:].isnan()],
            "radius": radius,
            "wall_hits": record["blocked"].sum(0).float(),
        }

    # ---- what more there is to say about an agent; see outings.py ------------------------------------------------

    def analyse(
        self, network: nn.Module, split: Split, before: nn.Module | None = None, **run: Any
    ) -> dict[str, Tensor]:
        """Goals and pace of the network and of what it is compared with, see outings.py."""
        walkers = outings.of_walkers(self, self.n_episodes(split), network)
        return outings.of_networks(self, network, split, before) | walkers

    def table(self, analyses: Mapping[str, Mapping[str, Tensor]]) -> Table:
        """Goals an episode, and pace before and after the first one."""
        return outings.table_of(analyses)

    def comparable(self, other: object) -> bool:
        """Whether the other task has the same arenas, however they are shown."""
        if not isinstance(other, Navigation):
            return False
        return replace(other, **{name: getattr(self, name) for name in HOW_SHOWN}) == self
