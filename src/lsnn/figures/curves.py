"""What figures of training share: a quantity over iterations, and labelled lines to compare it with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from lsnn.figures.style import BLACK, DASHES, SMALL, Array

LINE_HEIGHT = 15.0
"""points from one reference label to the next in a stack: their text and its background"""


class Series(NamedTuple):
    """One quantity over training."""

    iteration: Array
    value: Array


class Reference(NamedTuple):
    """A labelled horizontal line: chance level, a number of the paper."""

    value: float
    label: str


def iteration_axis(ax: Axes) -> None:
    """Training steps to the right, as whole numbers."""
    ax.set_xlabel("iteration")
    ax.set_xlim(left=0)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def start_at_zero(ax: Axes) -> None:
    """From zero, or just below the lowest value, to just above the highest."""
    limits = [limit for limit in (ax.dataLim.y0, ax.dataLim.y1) if np.isfinite(limit)]  # infinite without data
    low, high = min(0.0, *limits), max(0.0, *limits)
    ax.set_ylim(1.08 * low, 1.08 * (high if high > low else 1.0))


def logarithmic(ax: Axes) -> None:
    """Orders of magnitude upwards, with plain numbers."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())


def draw_references(ax: Axes, left: Sequence[Reference] = (), right: Sequence[Reference] = ()) -> None:
    """Dashed horizontal lines, each labelled above it at one side; high ones are labelled above the data.

    Where a label would cover the next line, the labels of both are stacked above both, in the order of the lines.
    """
    scale = ax.yaxis.get_transform()  # of a logarithmic axis: places are counted in what the eye sees
    lines = [*((line, 0.02, "left") for line in left), *((line, 0.98, "right") for line in right)]
    low, high = scale.transform(ax.get_ylim())
    heights = scale.transform([line.value for line, _, _ in lines])
    high = max([high, *heights])
    points = 72 * ax.bbox.height / ax.figure.dpi  # of the axes, before the layout: nearly right
    row = LINE_HEIGHT / points * (high - low)
    stacks: list[list[tuple[float, Reference, float, str]]] = []
    for height, (line, x, align) in sorted(zip(heights, lines, strict=True)):
        ax.axhline(line.value, color=BLACK, linewidth=1, linestyle=DASHES, zorder=1)
        if stacks and height < stacks[-1][-1][0] + (len(stacks[-1]) + 0.5) * row:
            stacks[-1].append((height, line, x, align))
        else:
            stacks.append([(height, line, x, align)])
    for stack in stacks:
        place = stack[-1][0] + 0.6 * row
        if place > low + 0.85 * (high - low):
            place = max(place, high)
        for _, line, x, align in stack:
            _label(ax, x, float(scale.inverted().transform(place)), line.label, align)
            place += row
        high = max(high, place - 0.4 * row)
    low, high = scale.inverted().transform([low, high]).tolist()
    ax.set_ylim(low, high)


def _label(ax: Axes, x: float, y: float, label: str, align: str) -> None:
    patch = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}  # curves fade behind the letters
    at = ax.get_yaxis_transform()
    ax.text(x, y, label, ha=align, va="center", fontsize=SMALL, transform=at, bbox=patch)
