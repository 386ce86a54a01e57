"""The synapses figure: weights and delays of each block, before and after training."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lsnn.figures.style import BLACK, COLOURS, SIZE, Array, styled


class Wired(NamedTuple):
    """Active synapses of a network; indices as in `lsnn.synapses.Wiring`."""

    pre: Array
    post: Array
    delay: Array
    weight: Array
    n_in: int
    n_regular: int
    n_adaptive: int
    n_out: int

    @property
    def n(self) -> int:
        """Number of neurons."""
        return self.n_regular + self.n_adaptive

    def block(self, name: str) -> Array:
        """Which synapses belong to a block."""
        to_readout = self.post >= self.n
        return {
            "input": self.pre < self.n_in, "recurrent": (self.pre >= self.n_in) & ~to_readout, "readout": to_readout
        }[name]  # fmt: skip


@styled
def draw_synapses(before: Wired | None, after: Wired, dt: float) -> Figure:
    """Weights and delays of each block, before (outline) and after training (filled)."""
    figure = Figure(figsize=SIZE, layout="constrained")
    delayed = len(after.delay) > 0 and after.delay.max() > 1
    grid = figure.add_gridspec(1 + delayed, 6)
    for index, name in enumerate(("input", "recurrent", "readout")):
        ax = figure.add_subplot(grid[0, 2 * index : 2 * index + 2])
        _weights(ax, before, after, name)
        ax.set_xlabel("weight")
        if index == 0:
            ax.set_ylabel("synapses")
            ax.legend(loc="upper left")
    for index, name in enumerate(("input", "recurrent") if delayed else ()):
        ax = figure.add_subplot(grid[1, 3 * index : 3 * index + 3])
        _delays(ax, before, after, name, dt)
        if index == 0:
            ax.set_ylabel("synapses")
    return figure


def _weights(ax: Axes, before: Wired | None, after: Wired, name: str) -> None:
    old = before.weight[before.block(name)] if before else np.empty(0)
    new = after.weight[after.block(name)]
    both = np.concatenate([old, new, [0.0]])
    width = (float(np.ptp(both)) or 1.0) / int(np.clip(2 * np.sqrt(len(new)), 10, 60))
    edges = width * np.arange(np.floor(both.min() / width), np.ceil(both.max() / width) + 2)  # one edge is at zero
    ax.hist(new, edges.tolist(), color=COLOURS[name], label="after")
    if before:
        ax.hist(old, edges.tolist(), histtype="step", color=BLACK, linewidth=1.2, label="before", zorder=3)
    ax.set_title(f"{name}: {len(new):,} synapses")


def _delays(ax: Axes, before: Wired | None, after: Wired, name: str, dt: float) -> None:
    steps = np.arange(int(max(wired.delay.max(initial=0) for wired in (before, after) if wired is not None)) + 1)
    count = np.bincount(after.delay[after.block(name)], minlength=len(steps))
    ax.bar(steps * dt, count, width=0.8 * dt, color=COLOURS[name])
    if before is not None:
        count = np.bincount(before.delay[before.block(name)], minlength=len(steps))
        ax.stairs(count, (np.arange(len(steps) + 1) - 0.5) * dt, color=BLACK, linewidth=1.2)
    ax.set_xlabel(f"{name} delay (ms)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
