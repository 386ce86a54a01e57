"""TIMIT, frame by frame: the paper's networks, with what is known of their settings, and baselines of equal size.

docs/experiments/timit.md says which settings are remembered, which are those of the authors' later code, and which
are ours.
"""

from dataclasses import replace

from lsnn.experiments import Experiment, Spiking
from lsnn.neuron import Cells
from lsnn.presets.preset import PaperRow, Preset, with_cell, with_cells
from lsnn.tasks.timit import Timit

_RECALLED = "Bellec et al. 2018, section on TIMIT, recalled, not verified"
_GREFF = "Greff et al. 2017 on TIMIT, as quoted by the paper, recalled, not verified"


def _error(value: float, label: str = "frame error", source: str = _RECALLED) -> tuple[PaperRow, ...]:
    return (PaperRow("frame_error", value, label, source),)


_cells = Cells(n_regular=300, n_adaptive=100, tau_a=200.0, n_ref=2)
_lif = Cells(n_regular=400, n_adaptive=0, n_ref=2)
_frames = Timit(logit_scale=10.0)  # the readout of the later code has no factor 1 - kappa, which is 1/5 here
_paper = Experiment(
    task=_frames,
    network=Spiking(_cells, connectivity=0.2, tau_out=5.0),  # later code: 3 ms
    epochs=80,
    batch_size=32,
    schedule="plateau",
    lr_decay=0.2,
    lr_patience=3,
    patience=8,
    checkpoint_every=10,
)
NOISE = 0.3
"""of features in training: these corpora have few voices, and networks learn them by heart"""
_ours = replace(
    _paper,
    task=replace(_frames, input_noise=NOISE),
    lr_patience=8,  # long at the full rate, which generalises
    patience=16,
)
_timit = with_cells(_ours, replace(_cells, trainable=("tau_m", "tau_a", "beta", "v_th")))
_baseline = replace(
    _ours,
    task=Timit(steps_per_frame=1, input_noise=NOISE),  # a frame is a step: nothing in these networks takes time
    lr=0.001,
    rewiring="off",
    rate_cost=0.0,
    clip_norm=1.0,
)

_ONE_WAY: dict[str, Preset] = {
    "timit": Preset(
        "phones of TIMIT frame by frame: 300 regular, 100 adaptive neurons, 20 % of synapses by DEEP R",
        _timit,
        _error(0.332),
        "timit-paper",
    ),
    "timit-lif": Preset(
        "the same with 400 regular neurons",
        with_cells(_ours, replace(_lif, trainable=("tau_m", "v_th"))),
        _error(0.37),
        "timit-lif-paper",
    ),
    "timit-lstm": Preset(
        "LSTM of 198 units, as many parameters as the LSNN has places for synapses, a step per frame",
        with_cell(_baseline, "lstm", 198),
        _error(0.297, "mean of the best 20 of 200 LSTMs", _GREFF),
    ),
    "timit-gru": Preset("GRU of 230 units, as many parameters", with_cell(_baseline, "gru", 230)),
    "timit-rnn": Preset("tanh RNN of 400 units, as many parameters", with_cell(_baseline, "rnn", 400)),
}


def _both_ways(name: str, preset: Preset) -> Preset:
    experiment = preset.experiment
    network = replace(experiment.network, bidirectional=True)
    return Preset(
        f"{name}, and a second such network that hears speech backwards", replace(experiment, network=network)
    )


TIMIT: dict[str, Preset] = {
    **_ONE_WAY,
    **{f"{name}-bi": _both_ways(name, preset) for name, preset in _ONE_WAY.items()},
    "timit-paper": Preset("the LSNN with constants that are not trained, as the paper's", _paper, _error(0.332)),
    "timit-lif-paper": Preset("the LIF network, as the paper's", with_cells(_paper, _lif), _error(0.37)),
}
