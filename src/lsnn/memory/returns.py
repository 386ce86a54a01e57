"""Where an agent keeps the place of its goal: parts of its state are exchanged with those of an agent elsewhere."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lsnn.memory.tampering import (
    Tampering,
    derangement,
    exchange_everything,
    exchange_the_rest,
    exchange_thresholds,
)
from lsnn.network import LSNN
from lsnn.ops import Stepper
from lsnn.seeding import generator_for
from lsnn.tasks import Navigation
from lsnn.tasks.closed_loop import Record
from lsnn.tasks.rollout import TOGETHER, Meddling, play

LEFT_ALONE = "left alone"
EXCHANGES: dict[str, Tampering] = {
    "thresholds exchanged": exchange_thresholds,
    "all else exchanged": exchange_the_rest,
    "both exchanged": exchange_everything,
}
POINTS = 25
"""places on the curves"""


class Returns(NamedTuple):
    """Where agents go after the exchange.

    Counted are pairs of agents that have both found their goals before, which do not overlap.
    """

    at: int
    """step of the exchange"""
    after: list[int]
    """steps since then"""
    own: dict[str, list[float]]
    """share of agents that have reached their own goal, by what was exchanged"""
    other: dict[str, list[float]]
    """share of agents that have been where the other's goal was, and not at their own before"""
    n: int
    """agents counted"""


@torch.no_grad()
def study_returns(task: Navigation, network: LSNN, n: int = 512) -> Returns:
    """Exchange state between agents half-way through their episodes, and see where they go in the next fifth of them.

    n: episodes.  The same ones for every exchange, up to where it is made.
    Raises ValueError for fewer than two, and where no pair can be counted.
    """
    if n < 2:
        raise ValueError(f"n must be at least 2, got {n}; an agent exchanges its state with another")
    at = task.steps // 2
    after = torch.linspace(0, task.steps // 5, POINTS + 1).round().long()[1:]
    gone = {
        name: torch.cat([_arrivals(task, network, *part, at, name) for part in enumerate(_sizes(n))], dim=1)
        for name in (LEFT_ALONE, *EXCHANGES)
    }
    counted = gone[LEFT_ALONE].shape[1]
    if not counted:
        raise ValueError(
            f"none of {n} agents had found its goal by step {at}, with another that had found one elsewhere; "
            "study a network that finds it, or more episodes"
        )
    own, other = (
        {name: (steps[which][:, None] <= after).double().mean(0).tolist() for name, steps in gone.items()}
        for which in (0, 1)
    )
    return Returns(at, after.tolist(), own, other, counted)


def _sizes(n: int) -> list[int]:
    """Episodes that are played side by side: at least two, so that there is another to exchange with."""
    sizes = [TOGETHER] * (n // TOGETHER) + [n % TOGETHER] * (n % TOGETHER > 0)
    return sizes if sizes[-1] > 1 else [*sizes[:-2], TOGETHER + 1]


def _arrivals(task: Navigation, network: LSNN, number: int, size: int, at: int, name: str) -> Int64[Tensor, "2 agent"]:
    order = derangement(size, generator_for(0, "tampering", number))
    meddle = None if name == LEFT_ALONE else _exchange(network, EXCHANGES[name], at, order)
    played = play(network, task, size, 0, f"{task.name}/memory", number, meddle=meddle)
    return torch.stack(arrivals(played.record, at, order, task.goal_radius))


def _exchange(network: LSNN, tamper: Tampering, at: int, order: Tensor) -> Meddling:
    """Before step ``at``, counted from 0."""

    def meddle(step: int, rewards: Float[Tensor, " n"], stepper: Stepper) -> None:
        if step == at - 1:
            _, stepper.state = tamper(network, stepper.state, order)

    return meddle


def arrivals(
    record: Record, at: int, order: Int64[Tensor, " n"], goal_radius: float
) -> tuple[Int64[Tensor, " agent"], Int64[Tensor, " agent"]]:
    """Steps from ``at`` until agents are at their own goal, and until they are at that of the agent they took over.

    Of agents that are to be counted, see `Returns`.  Where an agent does not come, or to the other's goal only after
    its own, the steps are more than an episode has.
    """
    goal, reached = record["goal"], record["reached"]
    known = reached[:at].any(0)
    counted = known & known[order] & ((goal - goal[order]).norm(dim=1) > 2 * goal_radius)
    there = (record["arrival"][at:] - goal[order]).norm(dim=2) <= goal_radius
    own, other = (_first(came[:, counted], len(reached)) for came in (reached[at:], there))
    return own, torch.where(other < own, other, len(reached) + 1)


def _first(came: Tensor, steps: int) -> Int64[Tensor, " agent"]:
    """Steps until each column is first true."""
    return torch.where(came.any(0), came.int().argmax(0) + 1, steps + 1)
