"""Rows of the trial figure that show input, spikes and thresholds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lsnn.figures.style import BLACK, COLOURS, GREY, SIGNS, Array


class Group(NamedTuple):
    """Input channels that belong together."""

    label: str
    channels: Sequence[int]


def label_row(ax: Axes, label: str, colour: str = BLACK) -> None:
    """A label to the left of a row, upright."""
    ax.set_ylabel(label, rotation=0, ha="right", va="center", color=colour)


def draw_input(ax: Axes, inputs: Array, groups: Sequence[Group], image: Array | None, dt: float) -> None:
    """Spikes of the input channels, group by group, or their current; the image behind them at the left."""
    if image is None:
        label_row(ax, "input")
    else:
        _image(ax.inset_axes((-0.2, 0, 0.12, 0.86)), image)
    if np.issubdtype(inputs.dtype, np.floating):
        _current(ax, inputs, dt)
    else:
        _channels(ax, inputs, groups, dt)


def draw_neurons(ax: Axes, spikes: Array, kind: str, dt: float) -> None:
    """Spikes of the "regular" or the "adaptive" neurons."""
    n = spikes.shape[1]
    _raster(ax, spikes, np.arange(n) + 0.5, COLOURS[kind], dt)
    ax.set_ylim(0, n)
    ax.set_yticks([0, n])
    label_row(ax, f"{kind}\nneurons", COLOURS[kind])


def draw_thresholds(ax: Axes, thresholds: Array, dt: float) -> None:
    """Thresholds of the adaptive neurons (thin) and their mean (thick); of a hundred, five may rise beyond the axis."""
    time, colour = np.arange(len(thresholds)) * dt, COLOURS["adaptive"]
    thin = 0.4 if thresholds.shape[1] > 40 else 0.8
    ax.plot(time, thresholds, color=colour, linewidth=thin, alpha=0.4, rasterized=True)
    ax.plot(time, thresholds.mean(axis=1), color=colour, linewidth=2.5)
    ax.set_ylim(0, 1.1 * np.quantile(thresholds.max(axis=0), 0.95, method="higher"))
    ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    label_row(ax, "thresholds\n($v_{th}$)", colour)


def _raster(ax: Axes, spikes: Array, y: Array, colour: str, dt: float) -> None:
    """A tick per spike at its neuron's y; kept as pixels in PDF, where there may be thousands."""
    step, neuron = np.nonzero(spikes)
    size = float(np.clip(70 / max(spikes.shape[1], 1), 1.6, 6.0))  # points: a row is about 70 high
    ax.plot(step * dt, y[neuron], "|", color=colour, markersize=size, markeredgewidth=0.8, rasterized=True)


def _channels(ax: Axes, spikes: Array, groups: Sequence[Group], dt: float) -> None:
    total = sum(len(group.channels) for group in groups)
    y, centres, bottom = np.zeros(spikes.shape[1]), [], 0.0
    for group in groups:
        height = max(len(group.channels), 0.25 * total)  # a lone cue channel still gets a readable row
        share = (np.arange(len(group.channels)) + 0.5) / len(group.channels)
        y[list(group.channels)] = bottom + height * share
        centres.append(bottom + height / 2)
        bottom += height
        if group is not groups[-1]:
            ax.axhline(bottom, color=GREY, linewidth=0.5)
    _raster(ax, spikes, y, BLACK, dt)
    ax.set_yticks(centres, [group.label for group in groups])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(0, bottom)


def _current(ax: Axes, inputs: Array, dt: float) -> None:
    steps, channels = inputs.shape
    if channels <= 3:
        ax.plot(np.arange(steps) * dt, inputs, color=BLACK, linewidth=1)
        return
    limit = float(np.abs(inputs).max()) or 1.0
    extent = (0, steps * dt, 0, channels)
    ax.imshow(inputs.T, cmap=SIGNS, vmin=-limit, vmax=limit, extent=extent, aspect="auto", origin="lower")
    ax.set_yticks([0, channels])


def _image(ax: Axes, image: Array) -> None:
    ax.imshow(image, cmap="Greys_r")
    ax.set_title("input", loc="center", pad=4)
    ax.set_axis_off()
