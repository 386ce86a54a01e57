"""Learning to learn from reward (Bellec et al. 2018, figure 3): agents in arenas, and one in a maze."""

from dataclasses import replace

from lsnn.experiments import Experiment, NonSpiking, Spiking
from lsnn.neuron import Cells
from lsnn.ppo import Ppo
from lsnn.presets.preset import Preset, lif
from lsnn.tasks.navigation import Navigation
from lsnn.tasks.t_maze import TMaze

_cells = Cells(
    n_regular=280,
    n_adaptive=120,
    tau_m_range=(15.0, 30.0),
    tau_a_range=(1.0, 2000.0),  # the paper has a range; which, is not known
    beta=1.7,
    v_th=0.01,  # not known; that of sequential MNIST
    n_ref=3,
    noise_std=0.03,  # of the current: the paper's nu / R_m
    trainable=("noise_std",),
)
_paper = Experiment(
    task=Navigation(),
    network=Spiking(_cells, connectivity=0.2, max_delay=10),
    iterations=30_000,
    batch_size=10,
    adam_eps=1e-5,
    lr=0.01,
    lr_decay=0.5,
    lr_decay_every=5_000,
    rate_cost=100.0,
    rate_reduction="mean",
    ppo=Ppo(),
    validate_every=500,
)
_navigation = replace(
    _paper,
    task=Navigation(readout_scale=5.0),
    batch_size=64,
    iterations=2_500,
    lr=0.005,
    schedule="cosine",
    clip_norm=1.0,
    ppo=Ppo(gae_lambda=0.97, entropy_gain=0.002, normalise=True),
    validate_every=100,
)
_small = replace(
    _navigation,
    task=Navigation(steps=600, a_scale=0.04, n_goals=4, readout_scale=5.0),
    network=Spiking(
        replace(_cells, n_regular=80, n_adaptive=60, tau_m_range=(8.0, 20.0)),  # twice the speed, half the time
        connectivity=0.2,
        max_delay=5,
        tau_out=5.0,
    ),
    batch_size=128,
    iterations=1_500,
    ppo=Ppo(gamma=0.985, gae_lambda=0.95, entropy_gain=0.002, normalise=True),
)
_t_maze = replace(
    _navigation,
    task=TMaze(readout_scale=10.0),
    network=Spiking(replace(_cells, n_regular=60, n_adaptive=40), connectivity=0.2, max_delay=10),
    iterations=500,
    lr=0.01,
)


def _lstm(experiment: Experiment, n_hidden: int) -> Experiment:
    """An LSTM with as many parameters, on the same spikes."""
    network = NonSpiking("lstm", n_hidden, readout_std=0.1)
    return replace(experiment, network=network, lr=0.003, rate_cost=0.0)


def _near(experiment: Experiment) -> Experiment:
    """An LSTM of the small arena, which learns more where it looks less far ahead than the LSNN."""
    assert experiment.ppo is not None
    return replace(experiment, ppo=replace(experiment.ppo, gamma=0.975))


def _remembering(experiment: Experiment) -> Experiment:
    """An LSTM of the paper's arena.  It learns to return if it begins with a long memory, and if the value's error does
    not drown what is to be learned about actions; it goes on searching if gradients, which explode over 2,000 steps,
    are truncated."""
    network, ppo = experiment.network, experiment.ppo
    assert isinstance(network, NonSpiking) and ppo is not None
    network = replace(network, longest_memory=200.0, truncate_after=200)
    ppo = replace(ppo, value_cost=0.1)
    return replace(experiment, network=network, ppo=ppo)


NAVIGATION: dict[str, Preset] = {
    "navigation": Preset(
        "find a hidden goal, and go back: 280 regular, 120 adaptive neurons; our recipe",
        _navigation,
        ours_for="navigation-paper",
    ),
    "navigation-lif": Preset("the same with 400 regular neurons", lif(_navigation)),
    "navigation-lstm": Preset("the same with an LSTM of as many parameters", _remembering(_lstm(_navigation, 52))),
    "navigation-paper": Preset("the same with the paper's settings", _paper),
    "navigation-small": Preset(
        "find one of four hidden goals, and go back: 80 regular, 60 adaptive neurons; a quarter of an hour", _small
    ),
    "navigation-small-lif": Preset("the same with 140 regular neurons", lif(_small)),
    "navigation-small-lstm": Preset("the same with an LSTM of as many parameters", _near(_lstm(_small, 13))),
    "t-maze": Preset("walk down a corridor, and turn where a cue said: 60 regular, 40 adaptive neurons", _t_maze),
    "t-maze-lif": Preset("the same with 100 regular neurons", lif(_t_maze)),
}
