"""Learning to learn from reward: find a goal that is never shown, remember where it was, and go back."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Generator, Tensor

from lsnn.policies import Gaussian
from lsnn.tasks.closed_loop import Record
from lsnn.tasks.task import Headline, Split

AHEAD = 32
"""steps for which random bits of the input spikes are drawn at once"""


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
    n_out: ClassVar[int] = 5
    n_actions: ClassVar[int] = 2

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
        for name, usual in (("a_scale", "0.02"), ("goal_radius", "0.3"), ("sharpness", "100")):
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

    def input_groups(self) -> dict[str, slice]:
        """Input channels by what they tell."""
        if self.encoding == "values":
            return {name: slice(k, k + 1) for k, name in enumerate(("x", "y", "reward", "penalty"))}
        ends = np.cumsum([0, self.n_channels, self.n_channels, self.n_reward, self.n_reward]).tolist()
        return dict(zip(("x", "y", "reward", "penalty"), map(slice, ends[:-1], ends[1:]), strict=True))

    def n_episodes(self, split: Split) -> int:
        """Episodes in a validation or test."""
        return self.n_test if split == "test" else self.n_validation

    def begin(self, n: int, generator: Generator) -> "Arenas":
        """n arenas, each with a goal of its own."""
        return Arenas(self, n, generator)

    def policy(self, readout: Float[Tensor, "... n_out"]) -> Gaussian:
        """Distribution of the move, in units of a_scale."""
        spread = readout[..., 2:4].sigmoid()
        return Gaussian(readout[..., :2].tanh(), spread if self.spread == "variance" else spread.square())

    def value(self, readout: Float[Tensor, "... n_out"]) -> Float[Tensor, "..."]:
        """Estimate of the discounted rewards to come."""
        return readout[..., 4]

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


def visits(record: Record) -> Float[Tensor, "n visit"]:
    """Steps from each start of an episode to the goal: column 0 is the search, the others are the returns.

    nan where the goal was not reached so often; there is at least one column.
    """
    reached = record["reached"].T  # (n, time)
    counts = reached.sum(1)
    episode, step = reached.nonzero(as_tuple=True)
    visit = torch.arange(len(step)) - (counts.cumsum(0) - counts)[episode]
    ends = torch.full((len(reached), max(int(counts.max()), 1)), math.nan)
    ends[episode, visit] = step + 1.0
    return ends.diff(dim=1, prepend=torch.zeros(len(ends), 1))


def stretches(
    position: NDArray[np.floating], arrival: NDArray[np.floating], reached: NDArray[np.bool_]
) -> list[NDArray[np.floating]]:
    """Points that one agent passed, (k, 2), from each start to the goal; the last stretch may end anywhere.

    position, arrival: (time, 2).  reached: (time).
    """
    ends = [*np.flatnonzero(reached).tolist(), len(reached) - 1]
    starts = [0, *(end + 1 for end in ends)]
    parts = zip(starts, ends, strict=False)
    return [np.concatenate([position[a : b + 1], arrival[b : b + 1]]) for a, b in parts if a <= b]


class Pace(NamedTuple):
    """Steps it takes to reach the goal, a search counting at most as long as an episode; the mean over searches."""

    first: float
    """from the beginning of the episode"""
    later: float
    """from a restart"""

    @property
    def ratio(self) -> float:
        """later / first: 1 for agents without memory, less for those that remember."""
        return self.later / self.first


def pace(record: Record) -> Pace:
    """How fast the goal is found, and found again; nan where nothing is known of the latter.

    Most restarts leave less than an episode's steps until its end.  Survival of a search is therefore the product
    over steps of 1 - (searches that end in it) / (searches that got that far) (Kaplan and Meier 1958): searches that
    the end cuts off count with what they took, and slow agents do not look fast once they were lucky.
    """
    steps, taken = len(record["reached"]), visits(record)
    first, found = taken[:, 0].nan_to_num(steps), taken[:, 1:]
    later = found[~found.isnan()].long()
    rest = (steps - taken.nansum(1)).long()[~taken[:, 0].isnan()]  # of the episode, after its last goal
    ended, cut = (torch.bincount(lengths, minlength=steps + 1).double() for lengths in (later, rest))
    running = (ended + cut).flip(0).cumsum(0).flip(0)  # searches of at least so many steps
    survival = (1 - ended / running.clamp(min=1)).cumprod(0)[:steps]
    return Pace(first.mean().item(), survival.sum().item() if len(later) else math.nan)


class Arenas:
    """Episodes of `Navigation`.  Positions are kept in double precision, so that blocked moves end on the rim."""

    def __init__(self, task: Navigation, n: int, generator: Generator) -> None:
        if n < 1:
            raise ValueError(f"need at least 1 episode, got {n}")
        self.task, self.n, self.step = task, n, 0
        self._generator = generator
        turn = self._uniform(n)
        turn = turn if task.n_goals is None else np.floor(turn * task.n_goals) / task.n_goals
        self.goal = task.goal_distance * _at_angle(2 * math.pi * turn)
        """centre of each goal, (n, 2)"""
        self.position = self._starts(np.arange(n))
        """(n, 2)"""
        self.reward = np.zeros(n)
        """of the step before, (n)"""
        self._positions, self._arrivals = (np.empty((task.steps, n, 2), np.float32) for _ in range(2))
        self._rewards = np.empty((task.steps, n), np.float32)
        self._reached, self._blocked = (np.empty((task.steps, n), np.bool_) for _ in range(2))
        self._centre = np.linspace(-1, 1, task.n_channels, dtype=np.float32)
        self._draw_ahead()

    def inputs(self) -> UInt8[Tensor, "n n_in"] | Float[Tensor, "n n_in"]:
        """Where the agent is, and the sign of the reward of the step before; the same until `act`."""
        task, signs = self.task, np.stack([self.reward > 0, self.reward < 0], 1)
        if task.encoding == "values":
            return torch.from_numpy(np.concatenate([self.position, signs], 1).astype(np.float32))
        level = self.position.astype(np.float32)[:, :, None] - self._centre  # (n, 2, n_channels)
        np.square(level, out=level)
        level *= -task.sharpness
        np.maximum(level, -80, out=level)  # no spike either way; smaller powers are subnormal and slow
        np.exp(level, out=level)
        level *= task.max_rate_hz / 1000 * 2**16
        level -= 2**15  # of 16 random bits, as a signed number
        spikes = np.empty((self.n, task.n_in), np.uint8)
        places = 2 * task.n_channels
        spikes[:, :places] = self._bits[self.step % AHEAD] < level.reshape(self.n, places)
        spikes[:, places:] = signs.repeat(task.n_reward, axis=1)
        return torch.from_numpy(spikes)

    def act(self, actions: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        """Move.  Returns the rewards."""
        task, now = self.task, self.step
        if now == task.steps:
            raise ValueError(f"the episodes are over after {task.steps} steps; begin new ones")
        if actions.shape != (self.n, 2):
            raise ValueError(f"actions must have shape {(self.n, 2)} (n, 2), got {tuple(actions.shape)}")
        self._positions[now] = self.position
        move = actions.detach().double().numpy()
        move = move * (task.a_scale / np.maximum(_norm(move), 1))[:, None]
        arrival = self.position + move
        blocked = _norm(arrival) > 1
        if blocked.any():
            arrival[blocked] = _towards_rim(self.position[blocked], move[blocked])
        reached = _norm(arrival - self.goal) <= task.goal_radius
        self.reward = reached - task.wall_cost * blocked
        self._arrivals[now], self._rewards[now] = arrival, self.reward
        self._reached[now], self._blocked[now] = reached, blocked
        if reached.any():
            arrival[reached] = self._starts(np.flatnonzero(reached))
        self.position, self.step = arrival, now + 1
        if self.step % AHEAD == 0:
            self._draw_ahead()
        return torch.from_numpy(self._rewards[now].copy())

    def record(self) -> dict[str, Tensor]:
        """What happened so far:

        position, arrival: (time, n, 2), where the agent was in each step, and where its action led; the next position
            is elsewhere where that was the goal.
        reward: (time, n).  reached, blocked: (time, n), whether the step ended in the goal, or on the rim.
        goal: (n, 2), its centre.
        """
        names = ("position", "arrival", "reward", "reached", "blocked")
        kept = (self._positions, self._arrivals, self._rewards, self._reached, self._blocked)
        found = {name: torch.from_numpy(rows[: self.step].copy()) for name, rows in zip(names, kept, strict=True)}
        return found | {"goal": torch.from_numpy(self.goal.astype(np.float32))}

    def outcome(self) -> dict[str, NDArray[np.bool_]]:
        """Whether the latest step ended in the goal, or on the rim: reached, blocked, (n) each."""
        return {"reached": self._reached[self.step - 1].copy(), "blocked": self._blocked[self.step - 1].copy()}

    def way(self, which: int, steps: int) -> list[NDArray[np.floating]]:
        """Where one agent went in its latest steps: points, (k, 2), of each stretch between two restarts."""
        since = max(self.step - steps, 0)
        some = slice(since, self.step), which
        return stretches(self._positions[some], self._arrivals[some], self._reached[some])

    def _starts(self, which: NDArray[np.int64]) -> NDArray[np.float64]:
        """Positions drawn uniformly in the disc for these episodes."""
        start = np.sqrt(self._uniform(len(which)))[:, None] * _at_angle(2 * math.pi * self._uniform(len(which)))
        if self.task.restart == "redraw":
            inside = _norm(start - self.goal[which]) <= self.task.goal_radius
            if inside.any():
                start[inside] = self._starts(which[inside])
        return start

    def _uniform(self, n: int) -> NDArray[np.float64]:
        return torch.rand(n, dtype=torch.float64, generator=self._generator).numpy()

    def _draw_ahead(self) -> None:
        """Random bits for the input spikes of the next steps."""
        shape = (AHEAD, self.n, 2 * self.task.n_channels)
        words = torch.empty(-(-math.prod(shape) // 4), dtype=torch.int64)  # of 64 bits: four draws each
        words.random_(-(2**63), None, generator=self._generator)
        self._bits = words.numpy().view(np.int16)[: math.prod(shape)].reshape(shape)


def _norm(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hypot(vectors[:, 0], vectors[:, 1])


def _at_angle(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points on the rim, (n, 2); angles in radians."""
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _towards_rim(start: NDArray[np.float64], move: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where moves out of the disc cross its rim: start + t move with norm 1, 0 <= t <= 1."""
    along, square = (start * move).sum(1), (move * move).sum(1)
    room = np.maximum(1 - (start * start).sum(1), 0)
    t = np.clip((np.sqrt(along * along + square * room) - along) / square, 0, 1)
    end = start + t[:, None] * move
    return end / np.maximum(_norm(end), 1)[:, None]
