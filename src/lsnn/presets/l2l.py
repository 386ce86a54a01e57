"""Learning to learn from a teacher (Bellec et al. 2018, figure 2): both families, and networks to compare with."""

from dataclasses import replace

from lsnn.experiments import Experiment, NonSpiking, Spiking
from lsnn.neuron import Cells
from lsnn.presets.preset import PaperRow, Preset, lif
from lsnn.tasks.few_shot import FewShotOmniglot
from lsnn.tasks.regression import Regression, Sines, TargetNetworks

_cells = Cells(
    n_regular=180,
    n_adaptive=120,
    tau_a_range=(1.0, 1000.0),
    beta=1.6,
    v_th=0.03,
    n_ref=5,
    dampening=0.4,
)
# An association is made while its two parts are there, and lasts in the thresholds: one or two spikes have to leave a
# mark there, and adaptation has to outlast the next examples.  See docs/experiments/omniglot.md.
_associating = replace(
    _cells,
    n_regular=100,
    n_adaptive=200,
    tau_m_range=(4.0, 12.0),
    tau_a_range=(300.0, 3000.0),
    beta=20.0,
    n_ref=2,
)
_teacher_paper = Experiment(
    task=TargetNetworks(),
    network=Spiking(_cells, connectivity=1.0, max_delay=6, excitatory=None, tau_out=0.0),  # delays 0 ... 5 from inputs
    iterations=5_000,
    batch_size=10,
    lr=0.001,
    lr_decay=1.0,
    rewiring="off",  # did not help, the paper says
    rate_cost=30.0,
    rate_target=20.0,
    rate_reduction="mean",
    validate_every=250,
)
_teacher = replace(
    _teacher_paper,
    task=TargetNetworks(example_ms=10, value_ms=10, shortest=50, n_train_examples=200, easy_steps=6_000),
    network=replace(_teacher_paper.network, cells=replace(_associating, trainable=("tau_a", "beta")), max_delay=1),
    iterations=12_000,
    batch_size=16,
    lr=0.002,
    schedule="cosine",
    clip_norm=0.1,  # about twice the usual norm: a single step has undone a run
    rate_cost=3.0,
    validate_every=500,
)
_sine_paper = replace(
    _teacher_paper,
    task=Sines(),
    network=replace(_teacher_paper.network, cells=replace(_cells, n_regular=60, n_adaptive=40)),
)
_sine = replace(_sine_paper, task=Sines(n_train_examples=100), iterations=10_000, schedule="cosine")
_characters = FewShotOmniglot(side=7)  # similar drawings are more alike where pixels are large
_omniglot = replace(
    _teacher_paper,
    # currents that drive neurons about to their thresholds: gradients vanish far from them
    task=replace(_characters, image_ms=10, label_ms=20, ink_current=0.8, logit_scale=30.0),
    network=replace(_teacher.network, cells=_associating),
    iterations=8_000,
    batch_size=16,
    lr=0.003,
    schedule="cosine",
    clip_norm=1.0,
    rate_cost=3.0,
    validate_every=500,
)
_omniglot_lstm = replace(
    _omniglot,
    task=replace(_characters, image_ms=1, ink_current=8.0),
    network=NonSpiking("lstm", 138, readout_std=0.1, longest_memory=50.0),
    iterations=12_000,
    clip_norm=None,
)
_recalled = "Bellec et al. 2018, recalled with little certainty"
_mse = (PaperRow("mse", 0.0056, "mean over functions", _recalled),)


def _lstm(experiment: Experiment, n_hidden: int) -> Experiment:
    """An LSTM with as many parameters, which sees numbers: one step per example."""
    assert isinstance(experiment.task, Regression)
    task = replace(experiment.task, encoding="values", example_ms=1, value_ms=0)
    return replace(experiment, task=task, network=NonSpiking("lstm", n_hidden, readout_std=0.1))


L2L: dict[str, Preset] = {
    "l2l-teacher": Preset(
        "learn a target network from examples: 100 regular, 200 adaptive neurons, weights of -5 to 5; our recipe",
        _teacher,
        _mse,
        ours_for="l2l-teacher-paper",
    ),
    "l2l-teacher-lif": Preset("the same with 300 regular neurons", lif(_teacher)),
    "l2l-teacher-lstm": Preset(
        "the same with an LSTM of as many parameters, on numbers",
        replace(_lstm(_teacher, 210), lr=0.003, clip_norm=None),
    ),
    "l2l-teacher-paper": Preset("the same with the paper's settings", _teacher_paper, _mse),
    "l2l-teacher-literal": Preset(
        "the paper's with weights of -1 to 1, as its text says: nearly planes",
        replace(_teacher_paper, task=TargetNetworks(weight_range=1.0, scaling="none")),
    ),
    "l2l-sine": Preset("learn a sine from examples: 60 regular, 40 adaptive neurons; our recipe", _sine),
    "l2l-sine-lif": Preset("the same with 100 regular neurons", lif(_sine)),
    "l2l-sine-lstm": Preset("the same with an LSTM of as many parameters, on numbers", _lstm(_sine, 85)),
    "l2l-sine-paper": Preset("the same with the paper's settings", _sine_paper),
    "omniglot": Preset(
        "name characters after a few drawings of each, 5 at a time: 100 regular, 200 adaptive neurons", _omniglot
    ),
    "omniglot-lif": Preset("the same with 300 regular neurons", lif(_omniglot)),
    "omniglot-lstm": Preset("the same with an LSTM of as many parameters, one step per image", _omniglot_lstm),
}
