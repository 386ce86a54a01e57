"""A figure of panels side by side, each with labelled lines over a common quantity."""

from collections.abc import Mapping, Sequence
from itertools import cycle, groupby
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lsnn.figures.comparison import CYCLE
from lsnn.figures.curves import Reference
from lsnn.figures.style import BLACK, DASHES, SIZE, SMALL, styled


class Panel(NamedTuple):
    """One panel."""

    title: str
    x: Sequence[float]
    x_label: str
    lines: Mapping[str, Sequence[float | None]]
    """by name; None where there is no value"""
    y_label: str
    references: Sequence[Reference] = ()


@styled
def draw_panels(panels: Sequence[Panel]) -> Figure:
    """Panels from left to right; neighbours with lines of the same names share colours and a legend."""
    figure = Figure(figsize=SIZE, layout="constrained")
    groups = [list(group) for _, group in groupby(panels, key=lambda panel: tuple(panel.lines))]
    parts = figure.subfigures(1, len(groups), width_ratios=[len(group) for group in groups], squeeze=False)
    for part, group in zip(parts[0], groups, strict=True):
        for ax, panel in zip(part.subplots(1, len(group), squeeze=False)[0], group, strict=True):
            _draw(ax, panel)
        part.legend(
            *part.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=len(group), columnspacing=1.0
        )
    return figure


def _draw(ax: Axes, panel: Panel) -> None:
    for (name, values), colour in zip(panel.lines.items(), cycle(CYCLE)):
        y = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        ax.plot(panel.x, y, color=colour, marker="o", markersize=3, label=name)
    for line in panel.references:
        ax.axhline(line.value, color=BLACK, linewidth=1, linestyle=DASHES, zorder=1)
        at = ax.get_yaxis_transform()
        ax.text(0.98, line.value, line.label, ha="right", va="bottom", fontsize=SMALL, transform=at)
    ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    ax.set_title(panel.title)
    ax.set_xlabel(panel.x_label)
    ax.set_ylabel(panel.y_label)
