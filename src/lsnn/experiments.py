"""Experiments: what to train on what, and how.  The same dataclass is the command line's flags and a run's config."""

import difflib
import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer

from lsnn.baselines import Recurrent, RecurrentKind
from lsnn.deep_r import DeepR, SoftDeepR
from lsnn.network import LSNN
from lsnn.neuron import Cells
from lsnn.ops import Backend, Memory
from lsnn.tasks.sequential_mnist import SequentialMnist
from lsnn.tasks.store_recall import StoreRecall

LARGEST = 1e6
"""of any rate or factor: beyond it float32 overflows before a network could learn"""

AnyTask = StoreRecall | SequentialMnist


@dataclass(frozen=True)
class Spiking:
    """An LSNN; see `lsnn.LSNN` for what the fields mean."""

    cells: Cells = field(default_factory=Cells)
    connectivity: float = 0.12
    """share of possible synapses that exist; with rewiring, the budget"""
    max_delay: int = 10
    """longest synaptic delay, steps; delays are drawn uniformly"""
    excitatory: float | None = 0.75
    """share of excitatory sources (Dale's law); None lets signs be free, and then nothing can be rewired"""
    gain: float = 1.0
    """factor on the initial input and recurrent weights"""
    tau_out: float = 20.0
    """time constant of the readout, ms"""
    backend: Backend = "auto"
    """which kernel runs the network"""
    memory: Memory = "fast"
    """low computes parts of the forward pass again for the backward pass, for long runs and large batches"""

    def build(self, n_in: int, n_out: int, *, seed: int, all_slots: bool = False) -> LSNN:
        """The network at its start.  all_slots: keep a slot for every position, as soft-DEEP R needs."""
        return LSNN(
            n_in,
            self.cells,
            n_out,
            connectivity=1.0 if all_slots else self.connectivity,
            max_delay=self.max_delay,
            excitatory=self.excitatory,
            gain=self.gain,
            tau_out=self.tau_out,
            seed=seed,
            backend=self.backend,
            memory=self.memory,
        )


@dataclass(frozen=True)
class NonSpiking:
    """A recurrent network that does not spike; see `lsnn.baselines.Recurrent`."""

    cell: RecurrentKind = "lstm"
    """kind of recurrent layer"""
    n_hidden: int = 128
    """units of the layer"""
    readout_std: float = 1.0
    """standard deviation of the initial readout weights and biases"""

    def build(self, n_in: int, n_out: int, *, seed: int, all_slots: bool = False) -> Recurrent:
        return Recurrent(self.cell, n_in, self.n_hidden, n_out, readout_std=self.readout_std, seed=seed)


NETWORKS: dict[str, type[Spiking] | type[NonSpiking]] = {"lsnn": Spiking, "recurrent": NonSpiking}


@dataclass(frozen=True)
class Experiment:
    """A training from start to end.  Defaults are the paper's for sequential MNIST (Bellec et al. 2018, code)."""

    task: AnyTask
    network: Spiking | NonSpiking
    seed: int = 0
    """everything random derives from it"""
    iterations: int = 36_000
    """training steps"""
    batch_size: int = 256
    """examples per training step"""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """torch's, with its defaults; sgd with momentum 0.9"""
    lr: float = 0.01
    """learning rate"""
    schedule: Literal["step", "cosine"] = "step"
    """how the learning rate falls: by lr_decay now and then, or along half a cosine to zero at the last iteration"""
    warmup: int = 0
    """iterations over which the learning rate first rises, linearly"""
    lr_decay: float = 0.8
    """factor on the learning rate every lr_decay_every iterations"""
    lr_decay_every: int = 2500
    """iterations between two decays of the learning rate"""
    clip_norm: float | None = None
    """largest norm of the gradient; None leaves it as it is"""
    rewiring: Literal["deep-r", "soft-deep-r", "off"] = "deep-r"
    """how synapses are rewired; off keeps the connectivity as drawn"""
    l1: float = 0.01
    """DEEP R: pull of synapses towards zero, per unit of learning rate"""
    temperature: float = 0.0
    """DEEP R: temperature of the random walk"""
    rate_cost: float = 0.1
    """factor of the firing-rate regulariser; rates count in spikes per ms"""
    rate_target: float = 10.0
    """firing rate that the regulariser pulls every neuron towards, Hz"""
    rate_reduction: Literal["sum", "mean"] = "sum"
    """whether the regulariser adds up over neurons or averages"""
    carry_state: bool = False
    """start every batch from the state that the last one ended in, instead of from rest"""
    validate_every: int = 100
    """iterations between two validations"""
    log_every: int = 10
    """iterations between two lines of metrics.jsonl"""
    checkpoint_every: int = 20
    """iterations between two checkpoints"""
    stop_at: float | None = None
    """stop when the headline metric, averaged over the last 20 training steps, is at least as good"""

    def __post_init__(self) -> None:
        for name in ("iterations", "batch_size", "lr_decay_every", "validate_every", "log_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("lr", "lr_decay"):
            if not 0 < getattr(self, name) <= LARGEST:
                raise ValueError(f"{name} must be positive and at most {LARGEST:g}, got {getattr(self, name)}")
        if not 0 <= self.warmup < max(self.iterations, 1):
            raise ValueError(f"warmup must lie in 0 ... {self.iterations - 1}, below iterations, got {self.warmup}")
        for name in ("l1", "temperature", "rate_cost", "rate_target"):
            if not 0 <= getattr(self, name) <= LARGEST:
                raise ValueError(f"{name} must lie in [0, {LARGEST:g}], got {getattr(self, name)}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(
                f"clip_norm must be positive, got {self.clip_norm}; leave it out to keep gradients as they are"
            )

    def lr_factor(self, iteration: int) -> float:
        """Share of the learning rate that the step after `iteration` steps is taken with."""
        rise = min(1.0, (iteration + 1) / (self.warmup + 1))
        if self.schedule == "step":
            return rise * self.lr_decay ** (iteration // self.lr_decay_every)
        return rise * (1 + math.cos(math.pi * min(iteration / self.iterations, 1))) / 2

    @property
    def rewires(self) -> bool:
        return isinstance(self.network, Spiking) and self.rewiring != "off"

    def build(self) -> nn.Module:
        """The network at its start."""
        soft = self.rewires and self.rewiring == "soft-deep-r"
        return self.network.build(self.task.n_in, self.task.n_out, seed=self.seed, all_slots=soft)

    def build_optimizer(self, network: nn.Module) -> Optimizer:
        """The optimizer, with rewiring around it where asked for."""
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        base: Optimizer
        if self.optimizer == "sgd":
            base = torch.optim.SGD(parameters, lr=self.lr, momentum=0.9)
        else:
            base = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[self.optimizer](parameters, lr=self.lr)
        if not self.rewires:
            return base
        assert isinstance(self.network, Spiking) and isinstance(network, LSNN)
        if self.network.excitatory is None:
            raise ValueError("rewiring needs signed synapses: set --network.excitatory 0.75, or --rewiring off")
        options: dict[str, Any] = {"l1": self.l1, "temperature": self.temperature, "seed": self.seed}
        if self.rewiring == "deep-r":
            return DeepR(base, network.synapses, **options)
        return SoftDeepR(base, network.synapses, connectivity=self.network.connectivity, **options)


# ---- presets ---------------------------------------------------------------------------------------------------------


class PaperRow(NamedTuple):
    """A number of the paper to stand beside ours."""

    metric: str
    value: float
    """in the metric's own unit: a share, not per cent"""
    label: str
    source: str


@dataclass(frozen=True)
class Preset:
    """An experiment with a name, and the paper's numbers for it."""

    summary: str
    experiment: Experiment
    paper: tuple[PaperRow, ...] = ()
    ours_for: str | None = None
    """where the settings are ours: the preset that has the paper's"""


_QUOTED = "Bellec et al. 2018, supplementary table, as quoted by citing papers"
_RECALLED = "Bellec et al. 2018, recalled, not verified"
_TUTORIAL = "authors' public store-recall tutorial"


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
_store_recall = Experiment(
    task=StoreRecall(),
    network=Spiking(
        cells=Cells(n_regular=10, n_adaptive=10, tau_a=1200.0, beta=1.7, n_ref=3), connectivity=1.0, excitatory=None
    ),
    iterations=200,
    batch_size=128,
    lr=0.01,
    lr_decay=0.3,
    lr_decay_every=100,
    rewiring="off",
    rate_cost=0.01,
    validate_every=20,
    log_every=1,
    checkpoint_every=10,
)
_recall = (PaperRow("recall_error", 0.05, "stopping criterion", _TUTORIAL),)


def _with_cell(experiment: Experiment, cell: RecurrentKind, n_hidden: int = 128) -> Experiment:
    return replace(experiment, network=NonSpiking(cell, n_hidden))


def _with_cells(experiment: Experiment, cells: Cells) -> Experiment:
    assert isinstance(experiment.network, Spiking)
    return replace(experiment, network=replace(experiment.network, cells=cells))


_store_recall_baseline = replace(_store_recall, lr_decay=1.0)

PRESETS: dict[str, Preset] = {
    "store-recall": Preset("remember a bit for seconds: 10 regular, 10 adaptive neurons", _store_recall, _recall),
    "store-recall-lif": Preset(
        "the same without adaptive neurons: 20 regular ones",
        _with_cells(_store_recall, Cells(n_regular=20, n_adaptive=0, n_ref=3)),
    ),
    "store-recall-lstm": Preset("the same with an LSTM of 20 units", _with_cell(_store_recall_baseline, "lstm", 20)),
    "store-recall-gru": Preset("the same with a GRU of 20 units", _with_cell(_store_recall_baseline, "gru", 20)),
    "store-recall-rnn": Preset("the same with a tanh RNN of 20 units", _with_cell(_store_recall_baseline, "rnn", 20)),
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
        "220 regular neurons, fully connected", _with_cells(_paper_dense, _lif), _accuracy(0.609, 0.633)
    ),
    "smnist-large": Preset(
        "350 regular, 350 adaptive neurons, 12 % of synapses by DEEP R",
        _with_cells(_paper, Cells(n_regular=350, n_adaptive=350)),
        _accuracy(None, 0.961),
    ),
    "smnist-lstm": Preset("LSTM of 128 units on the grey value", _smnist_baseline, _accuracy(0.798, 0.985)),
    "smnist-gru": Preset("GRU of 128 units on the grey value", _with_cell(_smnist_baseline, "gru")),
    "smnist-rnn": Preset(
        "tanh RNN of 128 units on the grey value",
        _with_cell(_smnist_baseline, "rnn"),
        _accuracy(0.713, 0.89, _RECALLED),
    ),
    "smnist-rows": Preset("row by row: 28 steps of 28 pixels", replace(_paper, task=SequentialMnist(order="rows"))),
    "smnist-permuted": Preset(
        "pixels in a fixed random order", replace(_paper, task=SequentialMnist(order="permuted"))
    ),
}


def preset(name: str) -> Preset:
    """Look a preset up.  Raises ValueError with the nearest names."""
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name.lower(), PRESETS, n=3, cutoff=0.5)
    offer = f"did you mean {' or '.join(near)}?" if near else "lsnn list shows them all"
    raise ValueError(f"there is no preset {name!r}; {offer}")
