"""Figures of several runs: learning curves side by side, and test results beside the paper's."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lsnn.figures.curves import Reference, Series, draw_references, iteration_axis, logarithmic, start_at_zero
from lsnn.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, SIZE, SKY, VERMILLION, styled

CYCLE = (BLUE, VERMILLION, GREEN, PINK, ORANGE, SKY, BLACK, GREY)
"""one colour per group of runs"""
MARKS = (("D", 11, "none"), ("*", 9, BLACK), ("s", 9, "none"), ("^", 9, BLACK))
"""the paper's numbers: marker, size, filling"""


@styled
def compare_learning(
    groups: Mapping[str, Sequence[Series]], label: str, chance: Reference | None, falling: bool = False
) -> Figure:
    """Validation metric of every run (thin), and the mean of each group as far as all its runs have got (thick).

    falling: the lower the better; drawn over orders of magnitude, unless a value is 0.
    """
    figure = Figure(figsize=SIZE, layout="constrained")
    ax = figure.add_subplot()
    for (name, runs), colour in zip(groups.items(), cycle(CYCLE)):
        runs = [series for series in runs if len(series.value)]
        for series in runs:
            ax.plot(*series, color=colour, linewidth=0.8, alpha=0.6)
        many = f" (mean of {len(runs)})" if len(runs) > 1 else ""
        if runs:
            ax.plot(*_mean(runs), color=colour, linewidth=2.8, label=fill(name, 45) + many)
    ax.set_ylabel(f"validation {label}")
    if falling and all(series.value.min(initial=1) > 0 for runs in groups.values() for series in runs):
        logarithmic(ax)
    else:
        start_at_zero(ax)
    draw_references(ax, right=[chance] if chance else [])
    iteration_axis(ax)
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def _mean(runs: Sequence[Series]) -> Series:
    """Mean over runs at the iterations that all of them have."""
    common = runs[0].iteration
    for series in runs[1:]:
        common = np.intersect1d(common, series.iteration)
    rows = [series.value[np.isin(series.iteration, common)] for series in runs]
    return Series(common, np.mean(rows, axis=0))


@styled
def compare_test(groups: Mapping[str, Sequence[float]], paper: Mapping[str, Sequence[Reference]], label: str) -> Figure:
    """Test metric of every run, mean and standard deviation of each group, and the paper's numbers."""
    figure = Figure(figsize=SIZE, layout="constrained")
    ax = figure.add_subplot()
    colours = dict(zip(groups, cycle(CYCLE)))  # the same as in compare_learning, also where a group has no test yet
    shown = {name: values for name, values in groups.items() if values}
    for row, (name, values) in enumerate(shown.items()):
        spread = np.std(values, ddof=1) if len(values) > 1 else None
        style_of_mean = {"color": colours[name], "marker": "o", "markersize": 11, "capsize": 5, "linewidth": 2}
        ax.errorbar(np.mean(values), row, xerr=spread, **style_of_mean)
        ax.plot(values, np.full(len(values), row - 0.18), "o", color=colours[name], markersize=5, alpha=0.6)
    _paper_marks(ax, [paper.get(name, ()) for name in shown])
    ax.set_yticks(range(len(shown)), [_row_label(name, values) for name, values in shown.items()])
    room = max(0.5, 1.5 - len(shown) / 2)
    ax.set_ylim(len(shown) - 1 + room, -room)
    ax.set_xlabel(f"test {label}")
    return figure


def _paper_marks(ax: Axes, rows: Sequence[Sequence[Reference]]) -> None:
    """The paper's numbers below each row's own, one kind of mark for each label."""
    labels = list(dict.fromkeys(mark.label for row in rows for mark in row))
    for label, (marker, size, face) in zip(labels, cycle(MARKS)):
        at = [(mark.value, y + 0.2) for y, row in enumerate(rows) for mark in row if mark.label == label]
        style_of_mark = {"color": BLACK, "markersize": size, "markerfacecolor": face}
        ax.plot(*np.transpose(at), marker, **style_of_mark, label=f"paper, {label}")
    if labels:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)


def _row_label(name: str, values: Sequence[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{fill(name, 30)}\n{np.mean(values):.1f}{spread} (n = {len(values)})"
