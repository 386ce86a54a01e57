"""What episodes of `Navigation` say about memory: how long the goal was looked for, first and later."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from lsnn.tasks.closed_loop import Record


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
    """Mean steps to the goal, a search counting at most as long as an episode; see `mean_steps`."""

    first: float
    """from the beginning of the episode"""
    later: float
    """from a restart"""

    @property
    def ratio(self) -> float:
        """later / first: 1 for agents without memory, less for those that remember."""
        return self.later / self.first


def pace(record: Record) -> Pace:
    """How fast the goal is found, and found again; nan where no episode had time for that."""
    visit, length, found = _searches(record)
    first = visit == 0
    parts = ((length[which], found[which], len(record["reached"])) for which in (first, ~first))
    return Pace(*(mean_steps(*part) for part in parts))


def searched(record: Record, n_bins: int = 20) -> Float[Tensor, " bin"]:
    """Where the goal was looked for before it was reached first: share of the steps by distance from the centre.

    Bins are rings of equal width from the centre to the rim; an agent that is everywhere alike is in them with shares
    that grow with their radius.
    """
    reached = record["reached"]
    before = reached.cumsum(0) - reached.int() == 0
    ring = (record["position"].norm(dim=2)[before] * n_bins).long().clamp(max=n_bins - 1)
    return torch.bincount(ring, minlength=n_bins).float() / len(ring)


def steps_by_visit(record: Record, n: int) -> Float[Tensor, " visit"]:
    """Mean steps to the goal, as in `Pace`, for each of the first n visits to it.

    nan for visits that fewer than half of the episodes had time for.
    """
    steps, episodes = record["reached"].shape
    visit, length, found = _searches(record)
    shown = [k for k in range(n) if 2 * int((visit == k).sum()) >= episodes]
    means = torch.full((n,), math.nan)
    for k in shown:
        means[k] = mean_steps(length[visit == k], found[visit == k], steps)
    return means


def mean_steps(length: Int64[Tensor, " search"], found: Bool[Tensor, " search"], most: int) -> float:
    """Mean over searches of the smaller of their length and `most`; nan without searches.

    Most searches begin with less than an episode's steps to go.  Survival of a search is therefore the product over
    steps of 1 - (searches that end in it) / (searches that got that far) (Kaplan and Meier 1958): those that the
    episode's end cuts off count with what they took, and slow agents do not look fast where they were lucky.

    found: whether a search ended at the goal, not with the episode.
    """
    if not len(length):
        return math.nan
    ended, all_ended = (torch.bincount(some, minlength=most + 1).double() for some in (length[found], length))
    running = all_ended.flip(0).cumsum(0).flip(0)  # searches of at least so many steps
    return (1 - ended / running.clamp(min=1)).cumprod(0)[:most].sum().item()


def _searches(record: Record) -> tuple[Int64[Tensor, " s"], Int64[Tensor, " s"], Bool[Tensor, " s"]]:
    """Number of each search in its episode, counted from 0, its steps, and whether it ended at the goal."""
    steps, taken = len(record["reached"]), visits(record)
    found = ~taken.isnan()
    last = steps - taken.nansum(1).long()  # searches that the episodes' ends cut off
    visit = torch.arange(taken.shape[1]).expand_as(taken)[found]
    cut = last > 0
    visit = torch.cat([visit, found.sum(1)[cut]])
    length = torch.cat([taken[found].long(), last[cut]])
    return visit, length, torch.arange(len(visit)) < int(found.sum())
