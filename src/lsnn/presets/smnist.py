"""Sequential MNIST: every row of the paper's table (Bellec et al. 2018, figure 1B), and our own recipes."""

from dataclasses import replace

from lsnn.experiments import Experiment, NonSpiking, Spiking
from lsnn.neuron import Cells
from lsnn.presets.preset import PaperRow, Preset, with_cell, with_cells
from lsnn.tasks.sequential_mnist import SequentialMnist

_QUOTED = "Bellec et al. 2018, supplementary table, as quoted by citing papers"
_RECALLED = "Bellec et al. 2018, recalled, not verified"


def _accuracy(mean: float | None, best: float | None, source: str = _QUOTED) -> tuple[PaperRow, ...]:
    rows = []
    if mean is not None:
        rows.append(PaperRow("accuracy", mean, "mean over runs", source))
    if best is not None:
        rows.append(PaperRow("accuracy", best, "best run", source))
    return tuple(rows)


_paper = Experiment(task=SequentialMnist(), network=Spiking())
_smnist = replace(
    _paper,
    task=SequentialMnist(logit_scale=30.0),
    iterations=6_000,
    schedule="cosine",
)
_smnist_delays = replace(
    _smnist,
    network=Spiking(max_delay=150),  # five rows of the image
    iterations=2_000,
)
_paper_2ms = replace(
    _paper,
    task=SequentialMnist(ms_per_pixel=2),
    network=Spiking(cells=Cells(tau_a=1400.0)),  # supplement
)
_dense = Spiking(connectivity=1.0, excitatory=None)
_paper_dense = replace(_paper, network=_dense, rewiring="off")
_lif = Cells(n_regular=220, n_adaptive=0)
_smnist_baseline = replace(
    _paper,
    task=SequentialMnist(encoding="analog"),  # the paper's baselines read the grey value
    network=NonSpiking(),
    lr=0.001,
    lr_decay=0.95,
    lr_decay_every=3000,
    rewiring="off",
)

SMNIST: dict[str, Preset] = {
    "smnist": Preset(
        "sequential MNIST, 1 ms a pixel: 120 regular, 100 adaptive neurons, 12 % of synapses by DEEP R; our recipe",
        _smnist,
        _accuracy(0.942, 0.947),
        ours_for="smnist-paper",
    ),
    "smnist-delays": Preset("the same with delays of up to 150 ms, which remember for it", _smnist_delays),
    "smnist-paper": Preset("the same with the paper's settings", _paper, _accuracy(0.942, 0.947)),
    "smnist-2ms": Preset("the paper's at 2 ms a pixel", _paper_2ms, _accuracy(0.938, 0.964)),
    "smnist-dense": Preset("fully connected, no sign constraint", _paper_dense, _accuracy(None, 0.933)),
    "smnist-lif": Preset(
        "220 regular neurons, fully connected", with_cells(_paper_dense, _lif), _accuracy(0.609, 0.633)
    ),
    "smnist-large": Preset(
        "350 regular, 350 adaptive neurons, 12 % of synapses by DEEP R",
        with_cells(_paper, Cells(n_regular=350, n_adaptive=350)),
        _accuracy(None, 0.961),
    ),
    "smnist-lstm": Preset("LSTM of 128 units on the grey value", _smnist_baseline, _accuracy(0.798, 0.985)),
    "smnist-gru": Preset("GRU of 128 units on the grey value", with_cell(_smnist_baseline, "gru", 128)),
    "smnist-rnn": Preset(
        "tanh RNN of 128 units on the grey value",
        with_cell(_smnist_baseline, "rnn", 128),
        _accuracy(0.713, 0.89, _RECALLED),
    ),
    "smnist-rows": Preset("row by row: 28 steps of 28 pixels", replace(_paper, task=SequentialMnist(order="rows"))),
    "smnist-permuted": Preset(
        "pixels in a fixed random order", replace(_paper, task=SequentialMnist(order="permuted"))
    ),
}
