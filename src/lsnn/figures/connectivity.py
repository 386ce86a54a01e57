"""The connectivity figure: weight matrices before and after training, and how synapses moved."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.patches import Rectangle

from lsnn.figures.curves import Series, iteration_axis, start_at_zero
from lsnn.figures.style import BLACK, COLOURS, SIGNS, SIZE, Array, styled
from lsnn.figures.synapses import Wired


@styled
def draw_connectivity(
    before: Wired | None, after: Wired, when: str, density: Mapping[str, Series], rewired: Series
) -> Figure:
    """Weight matrices before training and `when`; density per block and rewired synapses over training."""
    figure = Figure(figsize=SIZE, layout="constrained")
    networks = [("before training", before), (when, after)]
    networks = [(title, wired) for title, wired in networks if wired is not None]
    over_training = len(rewired.value) > 1
    grid = figure.add_gridspec(2, len(networks) + over_training)
    scale = (float(np.quantile(np.abs(after.weight), 0.95)) if len(after.weight) else 0.0) or 1.0
    for index, (title, wired) in enumerate(networks):
        corner = _matrices(figure, grid[:, index], wired, scale)
        corner.set_title(title)
    kinds = [("excitatory (w > 0)", "excitatory"), ("inhibitory (w < 0)", "inhibitory")]
    handles = [Rectangle((0, 0), 1, 1, color=COLOURS[kind], label=label) for label, kind in kinds]
    figure.legend(handles=handles, loc="outside lower left", ncols=2)
    if over_training:
        _over_training(figure.add_subplot(grid[0, -1]), figure.add_subplot(grid[1, -1]), density, rewired)
    return figure


def _over_training(share: Axes, turnover: Axes, density: Mapping[str, Series], rewired: Series) -> None:
    for name, series in density.items():
        share.plot(series.iteration, 100 * series.value, color=COLOURS[name], linewidth=2.2, label=name)
    share.set_ylabel("density (%)")
    share.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, handlelength=0.9, columnspacing=0.9)
    turnover.plot(*rewired, color=BLACK)
    turnover.set_ylabel("rewired per iteration")
    for ax in (share, turnover):
        start_at_zero(ax)
        iteration_axis(ax)
    share.set_xlabel("")


def _matrices(figure: Figure, place: SubplotSpec, wired: Wired, scale: float) -> Axes:
    """The three blocks of a network, sources down and targets across; returns the top left one."""
    share = float(np.clip(wired.n_in / (wired.n_in + wired.n), 0.3, 0.6))  # height of the inputs
    grid = place.subgridspec(2, 2, width_ratios=(1, 0.2), height_ratios=(share, 1 - share), wspace=0.02, hspace=0.02)
    n, n_in, n_out = wired.n, wired.n_in, wired.n_out
    kinds = [("regular", wired.n_regular / 2), ("adaptive", (wired.n_regular + n) / 2)]
    kinds = [kind for kind, size in zip(kinds, (wired.n_regular, wired.n_adaptive), strict=True) if size]
    axes = {}
    for name, cell, rows, columns in (
        ("input", grid[0, 0], [("input", n_in / 2)], []),
        ("recurrent", grid[1, 0], kinds, kinds),
        ("readout", grid[1, 1], [], [("readout", n_out / 2)]),
    ):
        axes[name] = ax = figure.add_subplot(cell)
        first_pre, first_post = (0 if name == "input" else n_in), (n if name == "readout" else 0)
        shape = (n_in if name == "input" else n, n_out if name == "readout" else n)
        chosen = wired.block(name)
        picture = _strengths(wired, chosen, first_pre, first_post, shape, scale)
        ax.imshow(picture, cmap=SIGNS, vmin=-1, vmax=1, extent=(0, shape[1], shape[0], 0), aspect="auto")
        ax.set_yticks([at for _, at in rows], [kind for kind, _ in rows], rotation=90, va="center")
        ax.set_xticks([at for _, at in columns], [kind for kind, _ in columns])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(True)
    axes["recurrent"].set_xlabel("to")
    axes["recurrent"].set_ylabel("from")
    return axes["input"]


def _strengths(
    wired: Wired, chosen: Array, first_pre: int, first_post: int, shape: tuple[int, int], scale: float
) -> Array:
    """Matrix of -1 ... 1: a weak synapse still shows, a strong one saturates; large ones have several to a pixel."""
    tall, wide = (max(1, -(-size // 1000)) for size in shape)
    weight = wired.weight[chosen]
    strength = np.sign(weight) * (0.35 + 0.65 * np.minimum(np.abs(weight) / scale, 1))
    picture = np.zeros((-(-shape[0] // tall), -(-shape[1] // wide)))
    np.add.at(picture, ((wired.pre[chosen] - first_pre) // tall, (wired.post[chosen] - first_post) // wide), strength)
    return picture.clip(-1, 1)
