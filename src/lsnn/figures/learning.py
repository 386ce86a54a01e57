"""The learning figure: how the headline metric, the loss and the firing rates of one run went."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lsnn.figures.curves import Reference, Series, draw_references, iteration_axis, start_at_zero
from lsnn.figures.style import BLACK, COLOURS, GREY, ORANGE, SIZE, styled


class Learning(NamedTuple):
    """How a run learned; a series may be empty."""

    label: str
    """axis label of the headline metric"""
    train: Series
    validation: Series
    test: Series
    test_label: str
    train_loss: Series
    validation_loss: Series
    paper: Sequence[Reference]
    chance: Reference | None
    rates: Mapping[str, Series]
    """mean firing rate of the "regular" and the "adaptive" neurons, Hz"""
    rate_target: float | None
    """Hz"""


@styled
def draw_learning(curves: Learning) -> Figure:
    """Headline metric, loss and firing rates over training."""
    figure = Figure(figsize=SIZE, layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.6, 1))
    headline = figure.add_subplot(grid[:, 0])
    _headline(headline, curves)
    loss = figure.add_subplot(grid[0, 1] if curves.rates else grid[:, 1])
    loss.plot(*curves.train_loss, color=GREY, linewidth=0.8)
    _validation(loss, curves.validation_loss)
    loss.set_ylabel("loss")
    start_at_zero(loss)
    axes = [headline, loss]
    if curves.rates:
        axes.append(figure.add_subplot(grid[1, 1], sharex=loss))
        _rates(axes[-1], curves)
        loss.tick_params(labelbottom=False)
    for ax in axes:
        iteration_axis(ax)
    if curves.rates:
        loss.set_xlabel("")
    return figure


def _headline(ax: Axes, curves: Learning) -> None:
    ax.plot(*curves.train, color=GREY, linewidth=0.8, label="training batch")
    _validation(ax, curves.validation)
    if len(curves.test.value):
        ax.plot(*curves.test, "D", color=ORANGE, markersize=10, zorder=5, label=curves.test_label)
    ax.set_ylabel(curves.label)
    start_at_zero(ax)
    paper = [Reference(line.value, f"paper: {line.label}") for line in curves.paper]
    draw_references(ax, left=paper, right=[curves.chance] if curves.chance else [])
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, columnspacing=1.2)


def _validation(ax: Axes, series: Series) -> None:
    every = max(1, len(series.value) // 20)
    ax.plot(*series, color=BLACK, linewidth=2, marker="o", markersize=5, markevery=every, label="validation")


def _rates(ax: Axes, curves: Learning) -> None:
    for kind, series in curves.rates.items():
        ax.plot(*series, color=COLOURS[kind], linewidth=1.2, label=kind)
    start_at_zero(ax)
    if curves.rate_target is not None:
        target = Reference(curves.rate_target, f"target {curves.rate_target:g} Hz")
        draw_references(ax, left=[target])  # what matters is how the rates end, at the right
    ax.set_ylabel("firing rate (Hz)")
    ax.legend(loc="best", ncols=2, columnspacing=1)
