"""Figures of learning within episodes: error by example, and the network's internal model (Fig. 2 of the paper)."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

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
    SMALL,
    VERMILLION,
    Array,
    styled,
)

OTHERS = (GREY, SKY, GREEN, BLUE, PINK, VERMILLION, BLACK)


class Models(NamedTuple):
    """Functions, and what a network took them for after some examples."""

    x: Array
    """(point) or, on a square grid, (point, 2)"""
    after: Sequence[int]
    true: Array
    """(function, point)"""
    answers: Array
    """(function, k, point)"""
    y_range: tuple[float, float]


class Contradiction(NamedTuple):
    """The same of one function, of which one example shown is false."""

    models: Models
    examples_x: Array
    examples_y: Array
    false: int
    """which, counted from 1"""


@styled
def draw_in_context(curves: Mapping[str, Array], label: str) -> Figure:
    """Error by example, averaged over functions; the first curve is the network's own."""
    figure = Figure(figsize=SIZE, layout="constrained")
    ax = figure.add_subplot()
    (own, curve), *others = curves.items()
    for (name, other), colour, dashed in zip(others, cycle(OTHERS), _alternate(), strict=False):
        line = DASHES if dashed else "solid"
        ax.plot(np.arange(1, len(other) + 1), other, color=colour, linewidth=1.2, label=name, linestyle=line)
    ax.plot(np.arange(1, len(curve) + 1), curve, color=ORANGE, linewidth=2.8, label=own)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(1, len(curve))
    shown = [k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500) if k <= len(curve)]
    ax.xaxis.set_major_locator(FixedLocator(shown))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([str(k) for k in shown])
    ax.set_xlabel("example of the episode")
    ax.set_ylabel(label)
    figure.legend(loc="outside right upper")
    return figure


def _alternate() -> "cycle[bool]":
    return cycle([False] * len(OTHERS) + [True] * len(OTHERS))


@styled
def draw_models(models: Models) -> Figure:
    """A row per function: what the network took it for after k examples, and at the right what it is."""
    figure = Figure(figsize=SIZE, layout="constrained")
    rows, columns = len(models.true), len(models.after) + (models.x.ndim == 2)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for row, true, answers in zip(grid, models.true, models.answers, strict=True):
        if models.x.ndim == 1:
            for ax, answer in zip(row, answers, strict=True):
                _curves(ax, models, true, answer)
        else:
            for ax, values in zip(row, [*answers, true], strict=True):
                _surface(ax, models, values)
    names = ("x", "") if models.x.ndim == 1 else ("$x_1$", "$x_2$")
    for ax in grid[-1]:
        ax.set_xlabel(names[0])
    for ax in grid[:, 0]:
        ax.set_ylabel(names[1])
    titles = [_examples(k) for k in models.after] + ["the function"] * (models.x.ndim == 2)
    for ax, title in zip(grid[0], titles, strict=True):
        ax.set_title(title, fontsize=SMALL, loc="center")
    return figure


@styled
def draw_contradiction(shown: Contradiction) -> Figure:
    """What the network takes a function for as examples come in, one of which is false."""
    figure = Figure(figsize=SIZE, layout="constrained")
    models = shown.models
    columns = -(-len(models.after) // 2)
    grid = figure.subplots(2, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax, k, answer in zip(grid, models.after, models.answers[0], strict=False):
        _curves(ax, models, models.true[0], answer)
        ax.set_title(_examples(k), fontsize=SMALL, loc="center")
        right = np.array([i for i in range(k) if i != shown.false - 1], dtype=int)
        ax.plot(shown.examples_x[right], shown.examples_y[right], "o", color=BLACK, markersize=4)
        if k >= shown.false:
            at = shown.false - 1
            ax.plot(shown.examples_x[at], shown.examples_y[at], "X", color=VERMILLION, markersize=9)
    for ax in grid[len(models.after) :]:
        ax.set_axis_off()
    return figure


def _examples(k: int) -> str:
    return f"{k} example{'s' * (k != 1)}"


def _curves(ax: Axes, models: Models, true: Array, answer: Array) -> None:
    ax.plot(models.x, true, color=BLACK, linewidth=1, linestyle=DASHES)
    ax.plot(models.x, answer, color=ORANGE, linewidth=2)
    ax.set_ylim(1.1 * models.y_range[0], 1.1 * models.y_range[1])


def _surface(ax: Axes, models: Models, values: Array) -> None:
    side = round(len(values) ** 0.5)
    low, high = float(models.x.min()), float(models.x.max())
    picture = values.reshape(side, side).T  # x1 to the right, x2 up
    bottom, top = models.y_range
    ax.imshow(picture, extent=(low, high, low, high), origin="lower", vmin=bottom, vmax=top, cmap="viridis")
    ax.set_xticks([])
    ax.set_yticks([])
