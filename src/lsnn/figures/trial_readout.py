"""The last row of the trial figure: the readout's probabilities and where an answer is read, or predicted values."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from lsnn.figures.style import BLACK, GREY, ORANGE, SMALL, Array
from lsnn.figures.trial_rows import label_row


class Window(NamedTuple):
    """Where an answer is read: start, stop, ms; the right class and the one answered."""

    start: float
    stop: float
    right: int
    answer: int


class Values(NamedTuple):
    """Predictions of values, one per window."""

    edges: Array
    """where windows begin, and where the last one ends, ms"""
    predicted: Array
    target: Array


def draw_values(ax: Axes, values: Values) -> None:
    """Predictions beside what was asked for, window by window."""
    label_row(ax, "prediction\n(target)", ORANGE)
    ax.stairs(values.target, values.edges, color=BLACK, linewidth=1.2, baseline=None)
    ax.stairs(values.predicted, values.edges, color=ORANGE, linewidth=2.2, baseline=None)


def draw_readout(ax: Axes, probability: Array, windows: Sequence[Window], dt: float) -> None:
    """Probability of the right class over time; of class 1 where there are two; of all where the class changes."""
    n_out, right = probability.shape[1], {window.right for window in windows}
    if n_out > 2 and len(right) != 1:
        _map(ax, probability, windows, dt)
        return
    for window in windows:
        ax.axvspan(window.start, window.stop, color=ORANGE, alpha=0.2, linewidth=1)
    time = np.arange(len(probability)) * dt
    if n_out == 2:
        _two_classes(ax, time, probability, windows)
    else:
        _one_answer(ax, time, probability, windows[-1])
    ax.set_ylim(-0.1, 1.1)
    ax.set_yticks([0, 1])


def _two_classes(ax: Axes, time: Array, probability: Array, windows: Sequence[Window]) -> None:
    label_row(ax, "readout\nP(class 1)", ORANGE)
    ax.plot(time, probability[:, 1], color=ORANGE, linewidth=2.2)
    for window in windows:
        ax.hlines(window.right, window.start, window.stop, color=BLACK, linewidth=3)
        ax.text(window.start, window.right, "target ", fontsize=SMALL, ha="right", va="center")


def _one_answer(ax: Axes, time: Array, probability: Array, window: Window) -> None:
    """All classes in grey, the right one on top, and the one answered if that is another."""
    label_row(ax, "readout\nprobability", ORANGE)
    ax.plot(time, probability, color=GREY, linewidth=0.6)
    ax.plot(time, probability[:, window.right], color=ORANGE, linewidth=2.2)
    if window.answer != window.right:
        ax.plot(time, probability[:, window.answer], color=BLACK, linewidth=1.2)
        ax.text(1.005, 0.0, f"{window.answer} (answer)", fontsize=SMALL, va="bottom", transform=ax.transAxes)
    verdict = "right" if window.answer == window.right else "target"
    label = f"{window.right} ({verdict})"
    ax.text(1.005, 1.0, label, color=ORANGE, fontsize=SMALL, va="top", transform=ax.transAxes)


def _map(ax: Axes, probability: Array, windows: Sequence[Window], dt: float) -> None:
    steps, n_out = probability.shape
    extent = (0, steps * dt, -0.5, n_out - 0.5)
    ax.imshow(probability.T, cmap="Greys", vmin=0, vmax=1, extent=extent, aspect="auto", origin="lower")
    for window in windows:
        ax.hlines(window.right, window.start, window.stop, color=ORANGE, linewidth=2)
    label_row(ax, "readout\nclass")
