"""One episode of the navigation task: the way at the left, what the network saw and did at the right (Fig. 3)."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lsnn.figures.arena import MOST, RETURN, SEARCH, Way, draw_arena, draw_way, tell_goals
from lsnn.figures.style import BLUE, COLOURS, ORANGE, SIZE, SMALL, Array, styled
from lsnn.figures.trial_rows import Group, draw_input, draw_neurons, draw_thresholds, label_row

SHOWN = 60
"""neurons of a kind in a raster: more would run into each other"""


class Episode(NamedTuple):
    """An episode, and the network in it, step by step of 1 ms."""

    way: Way
    inputs: Array
    """(time, channel): integers are spikes, real numbers a current"""
    groups: Sequence[Group]
    spikes: Array | None = None
    """(time, neuron), regular neurons first"""
    thresholds: Array | None = None
    """(time, adaptive neuron), in units of the baseline threshold"""
    n_regular: int = 0
    value: Array | None = None
    """(time), the rewards that the network expects"""

    def until(self, steps: int) -> "Episode":
        """The network in the first steps alone, under the same way."""
        spikes, thresholds, value = (None if part is None else part[:steps] for part in self[3:5] + self[6:])
        return Episode(self.way, self.inputs[:steps], self.groups, spikes, thresholds, self.n_regular, value)


@styled
def draw_episode(episode: Episode) -> Figure:
    """The first searches, and beside them input, spikes, thresholds and value; lines where the goal was reached."""
    figure = Figure(figsize=SIZE, layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.9], squeeze=False)[0]
    arena = left.subplots()
    draw_arena(arena, episode.way)
    draw_way(arena, episode.way)
    tell_goals(arena, episode.way)
    steps = max(sum(len(points) - 1 for points in episode.way.stretches()[:MOST]), 100)
    rows = list(_rows(episode.until(steps)))
    axes = right.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=[height for height, _ in rows])[:, 0]
    for ax, (_, draw) in zip(axes, rows, strict=True):
        draw(ax)
        for step in np.flatnonzero(episode.way.reached[:steps]):
            ax.axvline(step + 1, color=ORANGE, linewidth=1, zorder=0.5)
    right.align_ylabels(axes)
    _number(axes[0], episode.way, steps)
    axes[-1].set_xlabel("time (ms)")
    axes[-1].set_xlim(0, min(steps, len(episode.inputs)))
    return figure


def _number(ax: Axes, way: Way, steps: int) -> None:
    """Numbers of the searches above their stretches of time; not where there is no room."""
    begin, at = 0, ax.get_xaxis_transform()
    for number, points in enumerate(way.stretches()[:MOST], start=1):
        end = begin + len(points) - 1
        if end - begin > 0.02 * steps:
            colour = SEARCH if number == 1 else RETURN
            ax.text((begin + end) / 2, 1.04, f"{number}", color=colour, ha="center", fontsize=SMALL, transform=at)
        begin = end
    ax.text(-0.01, 1.04, "search", ha="right", fontsize=SMALL, transform=ax.transAxes)


def _rows(episode: Episode) -> Iterator[tuple[float, Callable[[Axes], None]]]:
    """Height of each row and what draws it; a network without such neurons has no such row."""
    yield 1.6, partial(draw_input, inputs=episode.inputs, groups=episode.groups, image=None, dt=1.0)
    for kind, spikes in populations(episode):
        yield 1.2, partial(_neurons, spikes=spikes, kind=kind)
    if episode.thresholds is not None:
        yield 1.0, partial(draw_thresholds, thresholds=episode.thresholds, dt=1.0)
    if episode.value is not None:
        yield 0.7, partial(_value, value=episode.value)


def populations(episode: Episode) -> Iterator[tuple[str, Array]]:
    """Spikes of the regular and of the adaptive neurons, where there are such."""
    if episode.spikes is not None:
        parts = np.split(episode.spikes, [episode.n_regular], axis=1)
        yield from (part for part in zip(("regular", "adaptive"), parts, strict=True) if part[1].shape[1])


def some_of(columns: Array, most: int = SHOWN) -> Array:
    """Columns evenly taken, at most so many."""
    n = columns.shape[1]
    return columns[:, np.linspace(0, n - 1, min(n, most)).astype(int)]


def _neurons(ax: Axes, spikes: Array, kind: str) -> None:
    shown = some_of(spikes)
    draw_neurons(ax, shown, kind, 1.0)
    if shown.shape[1] < spikes.shape[1]:
        label_row(ax, f"{shown.shape[1]} of {spikes.shape[1]}\n{kind}", COLOURS[kind])


def _value(ax: Axes, value: Array) -> None:
    ax.plot(np.arange(len(value)), value, color=BLUE, linewidth=1.2)
    ax.yaxis.set_major_locator(MaxNLocator(2))
    label_row(ax, "value", BLUE)
