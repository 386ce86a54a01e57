"""Rows of the moving picture: quantities over time, written over again and again as on an oscilloscope."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from lsnn.figures.foraging import SHOWN, Episode, populations, some_of
from lsnn.figures.style import BLACK, COLOURS, ORANGE, Array
from lsnn.figures.trial_rows import label_row

WINDOW = 500
"""steps that a row shows; then it is written over from the left"""
GAP = 25
"""steps that are blank ahead of the writing"""
LINES = 12
"""neurons whose thresholds are drawn"""
Draw = Callable[[int], None]
"""makes one artist show the state after so many steps"""


class Row(NamedTuple):
    """Spikes over time, or lines, at the right."""

    label: str
    colour: str
    height: float
    y: Array
    """(mark), or (time, line)"""
    at: Array | None = None
    """(mark): its step; None for lines"""


def rows_of(episode: Episode) -> Iterator[Row]:
    """Coordinates as the network sees them, and the network."""
    for group in reversed([group for group in episode.groups if group.label in ("x", "y")]):
        seen = episode.inputs[:, list(group.channels)]
        step, channel = np.nonzero(seen)
        if np.issubdtype(seen.dtype, np.floating):
            yield Row(group.label, BLACK, 0.7, seen)
        else:
            yield Row(group.label, BLACK, 0.7, channel / len(group.channels), step)
    for kind, spikes in populations(episode):
        step, neuron = np.nonzero(some_of(spikes))
        yield Row(f"{kind}\nneurons", COLOURS[kind], 1.6, neuron / min(spikes.shape[1], SHOWN), step)
    if episode.thresholds is not None:
        liveliest = np.argsort(episode.thresholds.std(0))[::-1]
        shown = some_of(episode.thresholds[:, liveliest], LINES)
        yield Row("thresholds\n($v_{th}$)", COLOURS["adaptive"], 1.2, shown)


def draw_sweep(ax: Axes, row: Row) -> tuple[list[Artist], Draw]:
    """The row's last steps, each at its place in the window."""
    low, high = float(row.y.min(initial=0)), float(row.y.max(initial=1))
    ax.set_xlim(0, WINDOW)
    ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    ax.set_xticks([])
    ax.spines[["bottom", "left"]].set_visible(False)
    label_row(ax, row.label, row.colour)
    if row.at is None:
        ax.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        return _lines(ax, row.y, row.colour)
    ax.set_yticks([])
    return _marks(ax, row.at, row.y, row.colour)


def _lines(ax: Axes, y: Array, colour: str) -> tuple[list[Artist], Draw]:
    lines = LineCollection([], colors=colour, linewidths=1.2, alpha=0.7)
    ax.add_collection(lines, autolim=False)

    def draw(step: int) -> None:
        parts = [np.arange(first, last) for first, last in _written(step)]
        lines.set_segments([np.stack([part % WINDOW, line[part]], 1) for part in parts for line in y.T])

    return [lines], draw


def _marks(ax: Axes, at: Array, y: Array, colour: str) -> tuple[list[Artist], Draw]:
    (marks,) = ax.plot([], [], "|", color=colour, markersize=3.5)

    def draw(step: int) -> None:
        some = (at >= step - WINDOW + GAP) & (at < step)
        marks.set_data(at[some] % WINDOW, y[some])

    return [marks], draw


def _written(step: int) -> list[tuple[int, int]]:
    """What stands in the window after so many steps, first and last step: this sweep, and what is left of the last."""
    begin = (step - 1) // WINDOW * WINDOW
    left = max(step - WINDOW + GAP, 0)
    return [(begin, step), (left, begin)] if left < begin else [(begin, step)]


def draw_goal_lines(ax: Axes, episode: Episode) -> tuple[list[Artist], Draw]:
    """Lines where the goal was reached, through one row."""
    lines = LineCollection([], colors=ORANGE, linewidths=1.5, zorder=0.5, transform=ax.get_xaxis_transform())
    ax.add_collection(lines, autolim=False)
    steps = np.flatnonzero(episode.way.reached) + 1

    def draw(step: int) -> None:
        shown = steps[(steps < step) & (steps >= step - WINDOW + GAP)] % WINDOW
        lines.set_segments([[(x, 0), (x, 1)] for x in shown])

    return [lines], draw
