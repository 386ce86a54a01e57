"""Figures of the navigation task (Fig. 3 of the paper): goals over training, ways, and steps to the goal by visit."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lsnn.figures.arena import RETURN, SEARCH, Way, draw_arena, draw_way, tell_goals
from lsnn.figures.curves import Reference, draw_references, logarithmic, start_at_zero
from lsnn.figures.style import (
    BLACK,
    BLUE,
    DASHES,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    SIZE,
    SKY,
    VERMILLION,
    Array,
    styled,
)

OTHERS = (BLUE, GREEN, PINK, SKY, VERMILLION, GREY, BLACK)


class Foraging(NamedTuple):
    """How a network fared over training."""

    episodes: Array
    """(point), episodes of training so far"""
    goals: Array
    """(point), goals per episode"""
    first: Array | None = None
    """(point), steps to the goal when it was first looked for"""
    later: Array | None = None
    """(point), steps to the goal afterwards"""


@styled
def draw_goals(curves: Mapping[str, Foraging], references: Sequence[Reference] = ()) -> Figure:
    """Goals per episode over training, and at the right the first network's steps to the goal, first and later.

    references: what agents without a network reach.
    """
    figure = Figure(figsize=SIZE, layout="constrained")
    (own, foraging), *_ = curves.items()
    told = foraging.first is not None and foraging.later is not None
    axes = figure.subplots(1, 1 + told, squeeze=False, width_ratios=[1.5, 1][: 1 + told])[0]
    for (name, curve), colour in zip(curves.items(), cycle((ORANGE, *OTHERS))):
        axes[0].plot(curve.episodes, curve.goals, color=colour, linewidth=2.8 if name == own else 1.5, label=name)
    axes[0].set_ylabel("goals per episode")
    start_at_zero(axes[0])
    low, high = [], []
    for line in references:  # labels where the first network's curve, which rises, is not
        (low if line.value < foraging.goals[-1] / 2 else high).append(line)
    draw_references(axes[0], left=high, right=low)
    if len(curves) > 1:
        figure.legend(loc="outside upper left", ncols=4)
    if told:
        for steps, colour, label in ((foraging.first, SEARCH, "first"), (foraging.later, RETURN, "later")):
            assert steps is not None
            axes[1].plot(foraging.episodes, steps, color=colour, linewidth=2, label=label)
        logarithmic(axes[1])
        axes[1].set_ylabel("steps to the goal")
        axes[1].legend(loc="upper right")
    for ax in axes:
        ax.set_xlabel("episodes of training")
        ax.set_xlim(0, max(float(curve.episodes[-1]) for curve in curves.values()))
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g} k" if value else "0")
    return figure


@styled
def draw_ways(before: Sequence[Way], after: Sequence[Way]) -> Figure:
    """A few episodes before training, above, and after it, below: goals, ways, and the order of the searches."""
    figure = Figure(figsize=SIZE, layout="constrained")
    rows = [(label, ways) for label, ways in (("before", before), ("after", after)) if ways]
    grid = figure.subplots(len(rows), max(len(ways) for _, ways in rows), squeeze=False)
    for row, (label, ways) in zip(grid, rows, strict=True):
        for ax in row:
            ax.set_axis_off()
        for ax, way in zip(row, ways, strict=False):
            draw_arena(ax, way)
            draw_way(ax, way)
            tell_goals(ax, way)
        row[0].text(-0.12, 0.5, f"{label}\ntraining", transform=row[0].transAxes, ha="right", va="center")
    return figure


@styled
def draw_visits(curves: Mapping[str, Array]) -> Figure:
    """Steps to the goal by visit, from the search (1) on, (visit) each; nan where there is no value.

    The first curve is the network's own.
    """
    figure = Figure(figsize=SIZE, layout="constrained")
    ax = figure.add_subplot()
    (own, steps), *others = curves.items()
    ax.plot(np.arange(1, len(steps) + 1), steps, "o-", color=ORANGE, markersize=6, linewidth=2.8, label=own, zorder=3)
    for (name, other), colour in zip(others, cycle(OTHERS), strict=False):
        ax.plot(np.arange(1, len(other) + 1), other, "o", color=colour, markersize=4, linestyle=DASHES, label=name)
    logarithmic(ax)
    ax.set_xlabel("visit to the goal")
    ax.set_ylabel("steps to the goal")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlim(0.7, None)
    figure.legend(loc="outside right upper")
    return figure
