"""The trial figure: what one trial showed the network, what the neurons did, what was answered (Fig. 1D of the paper).

Rows from `lsnn.figures.trial_rows` and `lsnn.figures.trial_readout` are put together here, over one axis of time.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lsnn.figures.style import GREY, SIZE, SMALL, Array, styled
from lsnn.figures.trial_readout import Values, Window, draw_readout, draw_values
from lsnn.figures.trial_rows import Group, draw_input, draw_neurons, draw_thresholds


class Span(NamedTuple):
    """A stretch of a trial to shade, ms, with a label above it."""

    start: float
    stop: float
    label: str
    colour: str = GREY


class Trial(NamedTuple):
    """One trial, as the network saw and answered it."""

    inputs: Array
    """(time, channel): integers are spikes, real numbers a current"""
    groups: Sequence[Group]
    spikes: Array | None
    """(time, neuron), regular neurons first"""
    thresholds: Array | None
    """(time, adaptive neuron), in units of the baseline threshold"""
    n_regular: int
    probability: Array
    """(time, readout): softmax of the logits; unused where values are asked for"""
    windows: Sequence[Window]
    spans: Sequence[Span]
    image: Array | None
    dt: float
    """ms"""
    values: Values | None = None
    """where values are asked for, not classes"""


@styled
def draw_trial(trial: Trial) -> Figure:
    """Input, spikes, thresholds and answer of one trial over time."""
    rows = list(_rows(trial))
    figure = Figure(figsize=SIZE, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.02, hspace=0.02)  # type: ignore[union-attr]
    grid = figure.add_gridspec(len(rows), 1, height_ratios=[height for height, _ in rows])
    axes: list[Axes] = []
    for index, (_, draw) in enumerate(rows):
        axes.append(figure.add_subplot(grid[index], sharex=axes[0] if axes else None))
        draw(axes[-1])
        axes[-1].tick_params(labelbottom=index == len(rows) - 1)
    _shade(axes, trial.spans)
    figure.align_ylabels(axes)
    axes[-1].set_xlabel("time (ms)")
    axes[-1].set_xlim(0, len(trial.inputs) * trial.dt)
    return figure


def _rows(trial: Trial) -> Iterator[tuple[float, Callable[[Axes], None]]]:
    """Height of each row and what draws it; a network without such neurons has no such row."""
    dt = trial.dt
    yield 1.7, partial(draw_input, inputs=trial.inputs, groups=trial.groups, image=trial.image, dt=dt)
    if trial.spikes is not None:
        parts = np.split(trial.spikes, [trial.n_regular], axis=1)
        for kind, spikes in zip(("regular", "adaptive"), parts, strict=True):
            if spikes.shape[1]:
                yield 1.2, partial(draw_neurons, spikes=spikes, kind=kind, dt=dt)
    if trial.thresholds is not None:
        yield 1.0, partial(draw_thresholds, thresholds=trial.thresholds, dt=dt)
    if trial.values is not None:
        yield 1.4, partial(draw_values, values=trial.values)
        return
    yield 1.1, partial(draw_readout, probability=trial.probability, windows=trial.windows, dt=dt)


def _shade(axes: Sequence[Axes], spans: Sequence[Span]) -> None:
    for span in spans:
        for ax in axes:
            ax.axvspan(span.start, span.stop, color=span.colour, alpha=0.2, linewidth=0, zorder=0)
        at = axes[0].get_xaxis_transform()
        middle = (span.start + span.stop) / 2
        axes[0].text(middle, 1.03, span.label, ha="center", va="bottom", fontsize=SMALL, transform=at)
