"""An experiment: what to train on what, and how.  The same dataclass is the command line's flags and a run's config."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from lsnn.baselines import Recurrent, RecurrentKind
from lsnn.bidirectional import Bidirectional, spiking_parts
from lsnn.deep_r import DeepR, SoftDeepR
from lsnn.network import LSNN
from lsnn.neuron import Cells
from lsnn.ops import Backend, Memory
from lsnn.ppo import Ppo
from lsnn.seeding import generator_for
from lsnn.tasks.closed_loop import Environment
from lsnn.tasks.few_shot import FewShotOmniglot
from lsnn.tasks.regression import Regression
from lsnn.tasks.task import InEpochs, Task

LARGEST = 1e6
"""of any rate or factor: beyond it float32 overflows before a network could learn"""

if TYPE_CHECKING:
    AnyTask = Task | Environment
else:
    AnyTask = Any  # tyro then takes the type of the task that a preset has, also where it is a user's own


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
    bidirectional: bool = False
    """two such networks, one of which hears every sequence backwards, with their readouts added"""

    @property
    def n_regular(self) -> int:
        """Regular neurons, of both directions."""
        return self.cells.n_regular * (1 + self.bidirectional)

    @property
    def n_adaptive(self) -> int:
        """Adaptive neurons, of both directions."""
        return self.cells.n_adaptive * (1 + self.bidirectional)

    def build(self, n_in: int, n_out: int, *, seed: int, all_slots: bool = False) -> LSNN | Bidirectional:
        """The network at its start.  all_slots: keep a slot for every position, as soft-DEEP R needs."""
        ahead = self._build(n_in, n_out, seed, all_slots)
        return Bidirectional(ahead, self._build(n_in, n_out, _behind(seed), all_slots)) if self.bidirectional else ahead

    def _build(self, n_in: int, n_out: int, seed: int, all_slots: bool) -> LSNN:
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
    input_gain: float = 1.0
    """factor on the initial input weights"""
    longest_memory: float | None = None
    """steps: an LSTM's gates start with forgetting times up to this one; None starts them all at the paper's"""
    truncate_after: int | None = None
    """steps: backpropagation through time is cut between stretches of so many; None: goes through all"""
    bidirectional: bool = False
    """two such networks, one of which hears every sequence backwards, with their readouts added"""

    def build(self, n_in: int, n_out: int, *, seed: int, all_slots: bool = False) -> Recurrent | Bidirectional:
        ahead = self._build(n_in, n_out, seed)
        return Bidirectional(ahead, self._build(n_in, n_out, _behind(seed))) if self.bidirectional else ahead

    def _build(self, n_in: int, n_out: int, seed: int) -> Recurrent:
        start = {
            "readout_std": self.readout_std,
            "input_gain": self.input_gain,
            "longest_memory": self.longest_memory,
            "truncate_after": self.truncate_after,
        }
        return Recurrent(self.cell, n_in, self.n_hidden, n_out, **start, seed=seed)


def _behind(seed: int) -> int:
    """Seed of the direction that hears sequences backwards."""
    return generator_for(seed, "behind").initial_seed()


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
    epochs: int | None = None
    """instead of iterations, for tasks with a training set: times it is gone through, with a validation after each"""
    batch_size: int = 256
    """examples per training step"""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """torch's, with its defaults but for adam_eps; sgd with momentum 0.9"""
    adam_eps: float = 1e-8
    """what adam and adamw add to the root of the second moment"""
    lr: float = 0.01
    """learning rate"""
    schedule: Literal["step", "cosine", "plateau"] = "step"
    """how the learning rate falls: by lr_decay now and then, or along half a cosine to zero at the last iteration, or
    by lr_decay whenever lr_patience validations in a row bring no better headline metric"""
    warmup: int = 0
    """iterations over which the learning rate first rises, linearly"""
    lr_decay: float = 0.8
    """factor on the learning rate every lr_decay_every iterations"""
    lr_decay_every: int = 2500
    """iterations between two decays of the learning rate"""
    lr_patience: int = 3
    """validations without a better one before the learning rate falls, where the schedule is plateau"""
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
    ppo: Ppo | None = None
    """how to learn from reward; for tasks in which the network acts, and for no other"""
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
    patience: int | None = None
    """stop after so many validations in a row without a better headline metric, and test the network that was best;
    None: train to the end and test what there is then"""

    def __post_init__(self) -> None:
        counts = ("iterations", "batch_size", "lr_decay_every", "validate_every", "log_every", "checkpoint_every")
        for name in (*counts, "lr_patience", "epochs", "patience"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("lr", "lr_decay", "adam_eps"):
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

        if self.carry_state and self.network.bidirectional:
            raise ValueError("a bidirectional network has no state to carry on; leave --carry-state out")
        if self.carry_state and isinstance(self.task, InEpochs):
            raise ValueError(f"sequences of {self.task.name} begin at rest; leave --carry-state out")
        if self.network.bidirectional and isinstance(self.task, Regression | FewShotOmniglot):
            raise ValueError(
                f"{self.task.name} shows each answer one example late, which a network that hears backwards would know "
                "in time; leave --network.bidirectional out"
            )
        if isinstance(self.task, Environment):
            self._check_acting()
        elif self.ppo is not None:
            raise ValueError(f"the task {self.task.name} tells what is right and pays no reward; leave ppo out")

    def _check_acting(self) -> None:
        if self.ppo is None:
            raise ValueError(f"the task {self.task.name} is learned from reward; say how, ppo=Ppo()")
        if self.network.bidirectional:
            raise ValueError("a network that acts cannot hear the future; leave --network.bidirectional out")
        if self.carry_state:
            raise ValueError("episodes begin at rest; leave --carry-state out")

    def check_counted(self, given: Iterable[str]) -> None:
        """ValueError where a setting that was asked for would be overruled by the epochs."""
        overruled = {"iterations", "validate_every"} & set(given)
        if self.epochs is not None and overruled:
            flags = " and ".join(f"--{name.replace('_', '-')}" for name in sorted(overruled))
            raise ValueError(
                f"training counts {self.epochs} epochs, from which {flags} would follow; "
                "give --epochs, or --epochs None beside it"
            )

    def resolved(self) -> "Experiment":
        """The same with iterations for epochs, and validations at their ends; reads the training set for it."""
        if self.epochs is None:
            return self
        if not isinstance(self.task, InEpochs):
            raise ValueError(f"{self.task.name} has no epochs, its batches are drawn afresh; give --iterations")
        n = self.task.n_batches(self.batch_size)
        return replace(self, iterations=self.epochs * n, validate_every=n)

    def lr_factor(self, iteration: int, decays: int = 0) -> float:
        """Share of the learning rate that the step after `iteration` steps is taken with.

        decays: how often the schedule plateau has lowered it.
        """
        rise = min(1.0, (iteration + 1) / (self.warmup + 1))
        if self.schedule == "step":
            return rise * self.lr_decay ** (iteration // self.lr_decay_every)
        if self.schedule == "plateau":
            return rise * self.lr_decay**decays
        return rise * (1 + math.cos(math.pi * min(iteration / self.iterations, 1))) / 2

    @property
    def rewires(self) -> bool:
        return isinstance(self.network, Spiking) and self.rewiring != "off"

    def build(self) -> nn.Module:
        """The network at its start."""
        soft = self.rewires and self.rewiring == "soft-deep-r"
        return self.network.build(self.task.n_in, self.task.n_out, seed=self.seed, all_slots=soft)

    def untrained(self) -> nn.Module:
        """The network before the first step, with the synapses that rewiring begins with."""
        network = self.build()
        self.build_optimizer(network)
        return network

    def build_optimizer(self, network: nn.Module) -> Optimizer:
        """The optimizer, with rewiring around it where asked for."""
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        base: Optimizer
        if self.optimizer == "sgd":
            base = torch.optim.SGD(parameters, lr=self.lr, momentum=0.9)
        else:
            kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[self.optimizer]
            base = kind(parameters, lr=self.lr, eps=self.adam_eps)
        if not self.rewires:
            return base
        assert isinstance(self.network, Spiking)
        if self.network.excitatory is None:
            raise ValueError("rewiring needs signed synapses: set --network.excitatory 0.75, or --rewiring off")
        optimizer = base
        for part, seed in zip(spiking_parts(network), (self.seed, _behind(self.seed)), strict=False):
            options: dict[str, Any] = {"l1": self.l1, "temperature": self.temperature, "seed": seed}
            if self.rewiring == "deep-r":
                optimizer = DeepR(optimizer, part.synapses, **options)
            else:
                connectivity = self.network.connectivity
                optimizer = SoftDeepR(optimizer, part.synapses, connectivity=connectivity, **options)
        return optimizer
