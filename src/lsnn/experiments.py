"""An experiment: what to train on what, and how.  The same dataclass is the command line's flags and a run's config."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from lsnn.baselines import Recurrent, RecurrentKind
from lsnn.deep_r import DeepR, SoftDeepR
from lsnn.network import LSNN
from lsnn.neuron import Cells
from lsnn.ops import Backend, Memory
from lsnn.tasks.few_shot import FewShotOmniglot
from lsnn.tasks.sequential_mnist import SequentialMnist
from lsnn.tasks.sines import Sines
from lsnn.tasks.store_recall import StoreRecall
from lsnn.tasks.target_networks import TargetNetworks

LARGEST = 1e6
"""of any rate or factor: beyond it float32 overflows before a network could learn"""

AnyTask = StoreRecall | SequentialMnist | TargetNetworks | Sines | FewShotOmniglot


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
    longest_memory: float | None = None
    """steps: an LSTM's gates start with forgetting times up to this one; None starts them all at the paper's"""

    def build(self, n_in: int, n_out: int, *, seed: int, all_slots: bool = False) -> Recurrent:
        start = {"readout_std": self.readout_std, "longest_memory": self.longest_memory}
        return Recurrent(self.cell, n_in, self.n_hidden, n_out, **start, seed=seed)


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
