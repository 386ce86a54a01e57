"""Learning to learn from reward: find a goal that is never shown, remember where it was, and go back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from lsnn.policies import Gaussian
from lsnn.tasks.closed_loop import Record
from lsnn.tasks.navigation import outings
from lsnn.tasks.navigation.arenas import Arenas
from lsnn.tasks.navigation.searches import visits
from lsnn.tasks.task import Headline, Split, Table

HOW_SHOWN = (
    "encoding",
    "n_channels",
    "max_rate_hz",
    "sharpness",
    "n_reward",
    "readout_scale",
    "spread",
    "n_validation",
)
"""fields of `Navigation` that are no part of the world"""


@dataclass(frozen=True)
class Navigation:
    """A disc of radius 1 with a goal near its rim, the same throughout an episode: reach it, again and again.

    The agent moves by a_scale a in each step of 1 ms, at most by a_scale; a ~ N(mean, variance) is its action, with
    mean = tanh of two readouts and variance = logistic function of two more; the fifth is the value.  Reaching the goal
    is worth 1, and puts the agent anywhere in the disc; a step that would leave the disc ends on its rim and costs
    `wall_cost`.  The agent sees its coordinates, and in the step after a reward its sign.
    Source: Bellec et al. 2018, section on learning-to-learn from reward and supplement, recalled with certainty but for
    the two fields that say so (`restart`, `spread`).  Lengths are in radii of the disc.
    """

    name: ClassVar[str] = "navigation"
    headline: ClassVar[Headline] = Headline("goals", higher_is_better=True)

    steps: int = 2000
    """length of an episode, steps of 1 ms"""
    a_scale: float = 0.02
    """longest move in a step"""
    goal_radius: float = 0.3
    """radius of the goal"""
    goal_distance: float = 0.85
    """distance of the goal's centre from that of the disc"""
    n_goals: int | None = None
    """places where the goal may be, evenly around; None: anywhere around, the paper's"""
    wall_cost: float = 0.02
    """cost of a step that is blocked by the rim"""
    restart: Literal["redraw", "count"] = "redraw"
    """when a start is drawn inside the goal: draw again, or let it count in the next step; the paper does not say"""
    spread: Literal["variance", "deviation"] = "variance"
    """what the readouts of the spread stand for; variance is recalled with less certainty"""
    readout_scale: float = 1.0
    """factor from readouts to what they stand for: the larger, the smaller the weights that actions need"""
    encoding: Literal["population", "values"] = "population"
    """coordinates and signs of reward as spikes of populations, or as four currents"""
    n_channels: int = 40
    """input neurons for each coordinate"""
    max_rate_hz: float = 500.0
    """firing rate of an input neuron at the coordinate it is tuned to, Hz"""
    sharpness: float = 100.0
    """of the tuning: rate = max_rate exp(-sharpness (centre - coordinate)^2), centres evenly from -1 to 1"""
    n_reward: int = 40
    """input neurons that all fire after a positive reward, and as many after a negative one"""
    n_validation: int = 128
    """episodes in a validation"""
    n_test: int = 1000
    """episodes in a test"""

    def __post_init__(self) -> None:
        for name, least in (
            *(("steps", 1), ("n_channels", 2), ("n_reward", 1), ("n_goals", 1)),
            *(("n_validation", 1), ("n_test", 1)),
        ):
            if (value := getattr(self, name)) is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        for name, usual in (("a_scale", "0.02"), ("goal_radius", "0.3"), ("sharpness", "100"), ("readout_scale", "1")):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(
                    f"{name} must be positive and finite, got {getattr(self, name)}; the paper has {usual}"
                )
        if not 0 <= self.goal_distance <= 1:
            raise ValueError(f"goal_distance must lie in [0, 1], in the disc, got {self.goal_distance}; 0.85 is usual")
        if self.goal_radius >= 1 + self.goal_distance:
            raise ValueError(
                f"goal_radius must be below 1 + goal_distance = {1 + self.goal_distance:g}, or the goal covers all of "
                f"the disc, got {self.goal_radius}; the paper has 0.3"
            )
        if not 0 <= self.wall_cost < math.inf:
            raise ValueError(f"wall_cost must not be negative, got {self.wall_cost}; 0 lets the agent lean on the rim")
        if not 0 < self.max_rate_hz < 1000:
            raise ValueError(
                f"max_rate_hz must lie in (0, 1000), got {self.max_rate_hz}; a step is 1 ms, the paper has 500"
            )

    @property
    def n_in(self) -> int:
        """Input channels: two coordinates, then positive and negative reward."""
        return 2 * (self.n_channels + self.n_reward) if self.encoding == "population" else 4

    @property
    def n_out(self) -> int:
        """Two means, two spreads, the value."""
        return 5

    def input_groups(self) -> dict[str, slice]:
        """Input channels by what they tell."""
        if self.encoding == "values":
            return {name: slice(k, k + 1) for k, name in enumerate(("x", "y", "reward", "penalty"))}
        ends = np.cumsum([0, self.n_channels, self.n_channels, self.n_reward, self.n_reward]).tolist()
        return dict(zip(("x", "y", "reward", "penalty"), map(slice, ends[:-1], ends[1:]), strict=True))

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
        return Gaussian(mean, spread if self.spread == "variance" else spread.square())

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
        """Goals and pace of the network and of what it is compared with, `outings.outings`."""
        return outings.outings(self, network, split, before)

    def table(self, analyses: Mapping[str, Mapping[str, Tensor]]) -> Table:
        """Goals an episode, and pace before and after the first one."""
        return outings.table_of(analyses)

    def comparable(self, other: object) -> bool:
        """Whether the other task has the same arenas, however they are shown."""
        if not isinstance(other, Navigation):
            return False
        return replace(other, **{name: getattr(self, name) for name in HOW_SHOWN}) == self
