"""The rates figure: how the neurons' mean firing rates are spread."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lsnn.figures.style import BLACK, COLOURS, DASHES, SIZE, Array, styled


@styled
def draw_rates(rate: Array, n_regular: int, target: float | None) -> Figure:
    """Distribution of the neurons' mean firing rates, Hz."""
    figure = Figure(figsize=SIZE, layout="constrained")
    ax = figure.add_subplot()
    edges = np.linspace(0, max(float(rate.max()), target or 0, 1.0), int(np.clip(len(rate) / 5, 10, 40)) + 1)
    for kind, values in (("regular", rate[:n_regular]), ("adaptive", rate[n_regular:])):
        if len(values):
            label = f"{kind}: {len(values)}, mean {values.mean():.1f} Hz, silent {int((values == 0).sum())}"
            ax.hist(values, edges.tolist(), histtype="stepfilled", color=COLOURS[kind], alpha=0.45, label=label)
            ax.axvline(values.mean(), color=COLOURS[kind], linewidth=2)
    if target is not None:
        ax.axvline(target, color=BLACK, linewidth=1, linestyle=DASHES, label=f"target {target:g} Hz")
    ax.set_xlim(left=0)
    ax.set_xlabel("mean firing rate (Hz)")
    ax.set_ylabel("neurons")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="upper right")
    return figure
