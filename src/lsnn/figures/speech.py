"""Figures of speech: what was heard and answered over time, and which phones are taken for which."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lsnn.figures.style import BLACK, GREY, SIZE, SMALL, Array, styled
from lsnn.figures.trial_rows import draw_input, draw_neurons, draw_thresholds, label_row

WINDOW, HOP, RATE = 256, 80, 16_000
"""of the spectrogram: samples of a column, from column to column, and per second"""
TALL = (SIZE[0], 1.45 * SIZE[1])
"""inches: of the figure of a recording, with its 61 rows of phones"""
PHONE = 7
"""points, of the names of phones: the forty of a sentence would run into each other at SMALL"""


class Heard(NamedTuple):
    """One recording, as the network heard and answered it."""

    sound: Array | None
    """samples at 16 kHz"""
    features: Array
    """(frame, feature), as currents"""
    spikes: Array | None
    """(step, neuron), regular neurons first"""
    thresholds: Array | None
    """(step, adaptive neuron), in units of the baseline threshold"""
    n_regular: int
    probability: Array
    """(frame, phone)"""
    truth: Sequence[tuple[int, int, str]]
    """first frame, first frame after it, and true phone of each stretch; none where nobody knows"""
    phones: Sequence[str]
    groups: Mapping[str, range]
    """phones by class"""
    step_ms: float
    begin_ms: float
    """when the first frame begins"""


@styled
def draw_speech(heard: Heard) -> Figure:
    """Spectrogram, features, spikes, thresholds, and the posteriorgram with the true phones above it."""
    frame_ms = heard.step_ms * _steps(heard)
    rows: list[tuple[float, str]] = [(1.0, "sound")] if heard.sound is not None else []
    rows.append((0.8, "features"))
    if heard.spikes is not None:
        rows += [(1.0, "regular")] if heard.n_regular else []
        rows += [(0.8, "adaptive")] if heard.spikes.shape[1] > heard.n_regular else []
    if heard.thresholds is not None:
        rows.append((0.7, "thresholds"))
    rows.append((2.4, "answer"))
    figure = Figure(figsize=TALL, layout="constrained")
    grid = figure.add_gridspec(len(rows), 1, height_ratios=[height for height, _ in rows])
    axes: list[Axes] = []
    for index, (_, name) in enumerate(rows):
        ax = figure.add_subplot(grid[index], sharex=axes[0] if axes else None)
        axes.append(ax)
        if name == "sound" and heard.sound is not None:
            _spectrogram(ax, heard.sound, heard.begin_ms)
        elif name == "features":
            draw_input(ax, heard.features, [], None, frame_ms)
            label_row(ax, "features")
        elif name == "thresholds" and heard.thresholds is not None:
            draw_thresholds(ax, heard.thresholds, heard.step_ms)
        elif name == "answer":
            _posteriorgram(ax, heard, frame_ms)
        elif heard.spikes is not None:
            part = slice(heard.n_regular) if name == "regular" else slice(heard.n_regular, None)
            draw_neurons(ax, heard.spikes[:, part], name, heard.step_ms)
        ax.tick_params(labelbottom=index == len(rows) - 1)
    figure.align_ylabels(axes)
    axes[-1].set_xlabel("time (ms)")
    axes[-1].set_xlim(0, len(heard.features) * frame_ms)
    return figure


def _steps(heard: Heard) -> int:
    """Steps of a frame."""
    return 1 if heard.spikes is None else len(heard.spikes) // len(heard.features)


def _spectrogram(ax: Axes, sound: Array, begin_ms: float) -> None:
    """Level of each frequency, dB, down to 70 below the loudest; time counts from the first frame."""
    wave = sound.astype(np.float64)
    columns = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[::HOP] * np.hanning(WINDOW)
    level = 20 * np.log10(np.abs(np.fft.rfft(columns)) + 1e-3)
    start = WINDOW / 2 / RATE * 1000 - begin_ms
    extent = (start, start + len(columns) * HOP / RATE * 1000, 0, RATE / 2000)
    top = level.max()
    ax.imshow(level.T, cmap="Greys", vmin=top - 70, vmax=top, extent=extent, aspect="auto", origin="lower")
    label_row(ax, "sound\n(kHz)")


def _posteriorgram(ax: Axes, heard: Heard, frame_ms: float) -> None:
    n_frames, n = heard.probability.shape
    extent = (0, n_frames * frame_ms, -0.5, n - 0.5)
    ax.imshow(heard.probability.T, cmap="Greys", vmin=0, vmax=1, extent=extent, aspect="auto", origin="lower")
    for phones in heard.groups.values():
        ax.axhline(phones.stop - 0.5, color=GREY, linewidth=0.5)
    ax.set_yticks([(phones.start + phones.stop - 1) / 2 for phones in heard.groups.values()], list(heard.groups))
    ax.tick_params(axis="y", length=0)
    label_row(ax, "")
    at, right = ax.get_xaxis_transform(), 0.0
    for start, stop, name in heard.truth:
        place = heard.phones.index(name)
        ax.hlines(place, start * frame_ms, stop * frame_ms, color="#D55E00", linewidth=1.2)
        middle = (start + stop) / 2 * frame_ms
        share = middle / (n_frames * frame_ms)
        low = share - right > 0.02
        ax.text(middle, 1.02 if low else 1.08, name, ha="center", va="bottom", fontsize=PHONE, transform=at)
        right = share if low else right
    ax.text(1.005, 0.5, "line: true phone" if heard.truth else "", fontsize=SMALL, rotation=90, va="center",
            transform=ax.transAxes)  # fmt: skip


@styled
def draw_confusion(counts: Array, groups: Mapping[str, range]) -> Figure:
    """How often each phone (row) is named what (column), and the same by class; shares of each row."""
    figure = Figure(figsize=SIZE, layout="constrained")
    each, by_class = figure.subplots(1, 2, width_ratios=(1.1, 1))
    share = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    each.imshow(np.sqrt(share), cmap="Greys", vmin=0, vmax=1)
    for phones in list(groups.values())[:-1]:
        each.axhline(phones.stop - 0.5, color=GREY, linewidth=0.5)
        each.axvline(phones.stop - 0.5, color=GREY, linewidth=0.5)
    middles = [(phones.start + phones.stop - 1) / 2 for phones in groups.values()]
    each.set_yticks(middles, list(groups))
    each.set_xticks(middles, list(groups), rotation=90)
    each.set_title("each phone (darkness: root of the share)")
    matrix = np.array([[counts[np.ix_(row, column)].sum() for column in groups.values()] for row in groups.values()])
    percent = 100 * matrix / matrix.sum(axis=1, keepdims=True).clip(min=1)
    by_class.imshow(percent, cmap="Greys", vmin=0, vmax=100)
    for row, values in enumerate(percent):
        for column, value in enumerate(values):
            colour = "#FFFFFF" if value > 55 else BLACK
            by_class.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=SMALL, color=colour)
    by_class.set_yticks(range(len(groups)), list(groups))
    by_class.set_xticks(range(len(groups)), list(groups), rotation=90)
    by_class.set_title("each class, %")
    for ax in (each, by_class):
        ax.set_xlabel("named")
        ax.set_ylabel("true")
    return figure
