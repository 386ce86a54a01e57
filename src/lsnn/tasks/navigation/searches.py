"""What episodes of `Navigation` say about memory: how long the goal was looked for, first and later."""

import math
from collections.abc import Iterator
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
    """Mean steps to the goal, a search counting at most as long as an episode; see `mean_steps`.

    That the second search is shorter is no proof of memory: it is known only of episodes in which the goal was found,
    and an agent that always looks in the same places finds some goals soon, others never.  For the proof see
    `lsnn.tasks.rollout.forget`.  Searches after the second one would give fast episodes more votes than others.
    """

    first: float
    """from the beginning of the episode"""
    second: float
    """from the first restart"""

    @property
    def ratio(self) -> float:
        """second / first"""
        return self.second / self.first


def pace(record: Record) -> Pace:
    """How fast the goal is found, and found again; nan where no episode had time for that."""
    return Pace(*(mean_steps(search) for search in _searches(record, 2)))


def steps_by_visit(record: Record, n: int) -> Float[Tensor, " visit"]:
    """Mean steps to the goal, as in `Pace`, for each of the first n visits to it.

    nan for visits that fewer than half of the episodes had time for: those that had were faster than others.
    """
    episodes = record["reached"].shape[1]
    means = [mean_steps(search) if 2 * len(search.length) >= episodes else math.nan for search in _searches(record, n)]
    return torch.tensor(means)


class Searches(NamedTuple):
    """Ways from a start to the goal, or to the end of the episode."""

    length: Int64[Tensor, " search"]
    """steps"""
    found: Bool[Tensor, " search"]
    """whether it ended at the goal, not with the episode"""
    most: int
    """steps of an episode"""


def mean_steps(searches: Searches) -> float:
    """Mean over searches, an episode's steps counting at most; nan without searches.

    Most searches begin with less than an episode's steps to go.  Survival of a search is therefore the product over
    steps of 1 - (searches that end in it) / (searches that got that far) (Kaplan and Meier 1958): those that the
    episode's end cuts off count with what they took, and slow agents do not look fast where they were lucky.
    """
    length, found, most = searches
    if not len(length):
        return math.nan
    ended, all_ended = (torch.bincount(some, minlength=most + 1).double() for some in (length[found], length))
    running = all_ended.flip(0).cumsum(0).flip(0)  # searches of at least so many steps
    return (1 - ended / running.clamp(min=1)).cumprod(0)[:most].sum().item()


def _searches(record: Record, n: int) -> Iterator[Searches]:
    """Those of all episodes for the first goal, then for the second one, up to the n-th."""
    steps, taken = len(record["reached"]), visits(record)
    taken = torch.cat([taken, torch.full((len(taken), n), math.nan)], dim=1)
    start = torch.zeros(len(taken))
    for k in range(n):
        found, begun = ~taken[:, k].isnan(), start < steps
        length = taken[:, k].where(found, steps - start)
        yield Searches(length[begun].long(), found[begun], steps)
        start = start + length
