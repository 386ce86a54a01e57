"""The world of `Navigation`: what a disc with a goal in it is, and how an agent sees it."""

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, get_args

import numpy as np

Restart = Literal["redraw", "count"]
Encoding = Literal["population", "values"]


@dataclass(frozen=True)
class World:
    """A disc of radius 1 with a goal near its rim, the same throughout an episode.

    A step of 1 ms moves the agent by a_scale at most.  Reaching the goal is worth 1, and puts the agent anywhere in the
    disc; a step that would leave the disc ends on its rim and costs `wall_cost`.  The agent sees its coordinates, and
    in the step after a reward its sign.  Lengths are in radii of the disc.
    """

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
    restart: Restart = "redraw"
    """when a start is drawn inside the goal: draw again, or let it count in the next step; the paper does not say"""
    encoding: Encoding = "population"
    """coordinates and signs of reward as spikes of populations, or as four currents"""
    n_channels: int = 40
    """input neurons for each coordinate"""
    max_rate_hz: float = 500.0
    """firing rate of an input neuron at the coordinate it is tuned to, Hz"""
    sharpness: float = 100.0
    """of the tuning: rate = max_rate exp(-sharpness (centre - coordinate)^2), centres evenly from -1 to 1"""
    n_reward: int = 40
    """input neurons that all fire after a positive reward, and as many after a negative one"""

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("n_channels", 2), ("n_reward", 1), ("n_goals", 1)):
            value = getattr(self, name)
            if value is None and name == "n_goals":
                continue
            if not isinstance(value, Integral) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
        for name, known in (("restart", get_args(Restart)), ("encoding", get_args(Encoding))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {' or '.join(known)}, got {getattr(self, name)!r}")
        for name, usual in (("a_scale", "0.02"), ("goal_radius", "0.3"), ("sharpness", "100")):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(
                    f"{name} must be positive and finite, got {getattr(self, name)}; the paper has {usual}"
                )
        if not 0 <= self.goal_distance <= 1:
            raise ValueError(f"goal_distance must lie in [0, 1], in the disc, got {self.goal_distance}; 0.85 is usual")
        if self.goal_radius > 0.9 + self.goal_distance:  # two hundredths of the disc are free, or more
            raise ValueError(
                f"goal_radius must be at most 0.9 + goal_distance = {0.9 + self.goal_distance:g}, or the goal covers "
                f"almost all of the disc, got {self.goal_radius}; the paper has 0.3"
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

    def input_groups(self) -> dict[str, slice]:
        """Input channels by what they tell."""
        if self.encoding == "values":
            return {name: slice(k, k + 1) for k, name in enumerate(("x", "y", "reward", "penalty"))}
        ends = np.cumsum([0, self.n_channels, self.n_channels, self.n_reward, self.n_reward]).tolist()
        return dict(zip(("x", "y", "reward", "penalty"), map(slice, ends[:-1], ends[1:]), strict=True))
