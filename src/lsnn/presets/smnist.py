"""Sequential MNIST: the rows of the paper's table (Bellec et al. 2018, figure 1B and supplement), in two recipes.

Names are smnist[-NETWORK][-2ms][-paper]: without a network, the LSNN that DEEP R keeps at 12 % of its synapses; with
-2ms, two steps per pixel; with -paper, the paper's exact settings, instead of ours, which need a third of its
iterations; smnist-long takes two thirds.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from lsnn.experiments import Experiment, NonSpiking, Spiking
from lsnn.neuron import Cells
from lsnn.presets.preset import PaperRow, Preset
from lsnn.tasks.sequential_mnist import SequentialMnist

QUOTED = "Bellec et al. 2018, supplementary table, as quoted by citing papers"
RECALLED = "Bellec et al. 2018, recalled, not verified"


class Row(NamedTuple):
    """A network of the paper's table, with its accuracy at one and at two steps per pixel."""

    about: str
    network: Spiking | NonSpiking
    at_1ms: tuple[PaperRow, ...] = ()
    at_2ms: tuple[PaperRow, ...] = ()


def _mean(value: float, source: str = QUOTED) -> PaperRow:
    return PaperRow("accuracy", value, "mean over runs", source)


def _best(value: float, source: str = QUOTED) -> PaperRow:
    return PaperRow("accuracy", value, "best run", source)


_dense = Spiking(connectivity=1.0, excitatory=None)
_lif = Cells(n_regular=220, n_adaptive=0)

ROWS: dict[str, Row] = {
    "": Row(
        "LSNN, 12 % of synapses by DEEP R",
        Spiking(),
        (_mean(0.942), _best(0.947)),
        (_mean(0.938), _best(0.964)),
    ),
    "-dense": Row(
        "LSNN, fully connected, signs free",
        _dense,
        (_mean(0.920, RECALLED), _best(0.933)),
        (_mean(0.905, RECALLED), _best(0.937)),
    ),
    "-lif": Row(
        "LIF, 220 neurons", replace(_dense, cells=_lif), (_mean(0.609), _best(0.633)), (_mean(0.346), _best(0.518))
    ),
    "-large": Row(
        "LSNN of 700 neurons, 12 % of synapses by DEEP R",
        Spiking(cells=Cells(n_regular=350, n_adaptive=350)),
        (_best(0.961),),
        (_best(0.971),),
    ),
    "-lstm": Row(
        "LSTM of 128 units",
        NonSpiking("lstm"),
        (_mean(0.798), _best(0.985)),
        (_mean(0.482), _best(0.980)),
    ),
    "-rnn": Row(
        "tanh RNN of 128 units",
        NonSpiking("rnn"),
        (_mean(0.713, RECALLED), _best(0.89, RECALLED)),
        (_mean(0.307, RECALLED), _best(0.436, RECALLED)),
    ),
}


def _papers(network: Spiking | NonSpiking, ms_per_pixel: int) -> Experiment:
    """The paper's settings: all defaults for spiking networks, those of its baseline script for others."""
    if isinstance(network, NonSpiking):
        return Experiment(
            SequentialMnist(encoding="analog", ms_per_pixel=ms_per_pixel),
            network,
            lr=0.001,
            lr_decay=0.95,
            lr_decay_every=3000,
            rewiring="off",
        )
    cells = replace(network.cells, tau_a=700.0 * ms_per_pixel)
    rewiring = "off" if network.excitatory is None else "deep-r"
    return Experiment(SequentialMnist(ms_per_pixel=ms_per_pixel), replace(network, cells=cells), rewiring=rewiring)


def _ours(network: Spiking | NonSpiking, ms_per_pixel: int) -> Experiment:
    """The same network and input, trained our way.

    LIF neurons are wired by DEEP R, to differ in adaptation only; dense networks have no delays, which bring nothing.
    """
    paper = _papers(network, ms_per_pixel)
    if not isinstance(paper.network, Spiking):
        if paper.network.cell == "lstm":
            start = replace(paper.network, longest_memory=784.0 * ms_per_pixel, input_gain=10.0)
            paper = replace(paper, network=start)
        return replace(paper, schedule="cosine", iterations=12_000, batch_size=64, lr=0.002, clip_norm=1.0)
    task = SequentialMnist(ms_per_pixel=ms_per_pixel, logit_scale=100.0)
    network, cells = paper.network, paper.network.cells
    if network.excitatory is None:
        network = replace(network, max_delay=1)  # dense weights of one delay are matrices, whose products are fast
    if cells.n_adaptive:
        network = replace(network, cells=replace(cells, trainable=("tau_m", "tau_a", "beta", "v_th")))
    else:
        paper, network = replace(paper, rewiring="deep-r"), Spiking(replace(cells, trainable=("tau_m", "v_th")))
    batch_size = paper.batch_size // ms_per_pixel  # as many steps per iteration
    return replace(paper, task=task, network=network, schedule="cosine", iterations=12_000, batch_size=batch_size)


def _of_table() -> Iterator[tuple[str, Preset]]:
    for name, row in ROWS.items():
        for ms, suffix, paper in ((1, "", row.at_1ms), (2, "-2ms", row.at_2ms)):
            about, exact = f"{row.about}, {ms} ms a pixel", f"smnist{name}{suffix}-paper"
            yield f"smnist{name}{suffix}", Preset(about, _ours(row.network, ms), paper, exact)
            yield exact, Preset(f"{about}, as the paper", _papers(row.network, ms), paper)


_paper = _papers(Spiking(), 1)
_long = replace(_ours(Spiking(), 1), iterations=24_000)
_delays = replace(_ours(Spiking(max_delay=150), 1), iterations=6_000)  # five rows of the image

SMNIST: dict[str, Preset] = {
    **dict(_of_table()),
    "smnist-long": Preset(
        "LSNN, 12 % of synapses by DEEP R, 1 ms a pixel, trained twice as long", _long, ROWS[""].at_1ms, "smnist-paper"
    ),
    "smnist-delays": Preset("LSNN, 12 % of synapses, delays of up to 150 ms, which remember for it", _delays),
    "smnist-gru": Preset("GRU of 128 units", _ours(NonSpiking("gru"), 1)),
    "smnist-rows": Preset(
        "LSNN, row by row: 28 steps of 28 pixels", replace(_paper, task=SequentialMnist(order="rows"))
    ),
    "smnist-permuted": Preset(
        "LSNN, pixels in a fixed random order", replace(_paper, task=SequentialMnist(order="permuted"))
    ),
}
