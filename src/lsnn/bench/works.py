"""What is measured: networks on random spikes, one network step by step, and training steps of real experiments."""

import difflib
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from lsnn.experiments import Experiment, Spiking
from lsnn.network import LSNN
from lsnn.neuron import Cells
from lsnn.ops import Backend, Memory
from lsnn.presets import PRESETS


@dataclass(frozen=True)
class Work:
    """A network, and a batch of random input spikes that it runs over."""

    about: str
    batch: int
    steps: int
    n_in: int
    n_regular: int
    n_adaptive: int
    n_out: int
    gain: float
    """factor on the initial weights, chosen for a firing rate of 10 to 20 Hz"""
    connectivity: float = 1.0
    max_delay: int = 1
    n_ref: int = 0
    excitatory: float | None = None
    input_rate: float = 0.03
    """input spikes per step"""
    streams: bool = False
    """one step per call instead of training iterations"""

    @property
    def n(self) -> int:
        """Number of neurons."""
        return self.n_regular + self.n_adaptive

    def network(self, backend: Backend = "auto", memory: Memory = "fast") -> LSNN:
        """The network, the same at every call."""
        cells = Cells(n_regular=self.n_regular, n_adaptive=self.n_adaptive, n_ref=self.n_ref)
        return LSNN(
            self.n_in,
            cells,
            self.n_out,
            connectivity=self.connectivity,
            max_delay=self.max_delay,
            excitatory=self.excitatory,
            gain=self.gain,
            seed=1,
            backend=backend,
            memory=memory,
        )

    def inputs(self) -> Bool[Tensor, "time batch n_in"]:
        """Input spikes, the same at every call; no more than they is held, as memory is measured."""
        generator = torch.Generator().manual_seed(0)
        spikes = torch.empty(self.steps, self.batch, self.n_in, dtype=torch.bool)
        for step in spikes:
            step.copy_(torch.rand(step.shape, generator=generator) < self.input_rate)
        return spikes

    def target(self) -> Tensor:
        """A class for each sample."""
        return torch.randint(self.n_out, (self.batch,), generator=torch.Generator().manual_seed(1))


@dataclass(frozen=True)
class Training:
    """Whole training steps of an experiment: encoding, forward, loss, backward, optimizer, rewiring, metrics."""

    about: str
    experiment: Experiment
    settle: int = 0
    """steps trained before anything is measured, so that the firing rate is what the experiment aims at"""

    @property
    def batch(self) -> int:
        """Examples per step."""
        return self.experiment.batch_size


def _large() -> Experiment:
    """The paper's task and settings on a network fifty times its size."""
    smnist = PRESETS["smnist-paper"].experiment
    network = Spiking(Cells(n_regular=5000, n_adaptive=5000), connectivity=0.01)
    return replace(smnist, network=network, batch_size=32, lr=0.001)


W2 = Work(
    "the paper's sequential MNIST, the kernel alone", 256, 840, 80, 120, 100, 10, 0.85, 0.12, 10, 5, excitatory=0.75
)
WORKS: dict[str, Work | Training] = {
    "smnist-paper": Training(
        "a whole training step of sequential MNIST", PRESETS["smnist-paper"].experiment, settle=25
    ),
    "smnist-delays": Training("the same, delays up to 150 steps", PRESETS["smnist-delays"].experiment, settle=25),
    "W2": W2,
    "W1": Work("dense, no delays", 256, 840, 81, 120, 100, 10, 0.23),
    "W1-long": Work("dense, no delays, few and long", 16, 4000, 81, 120, 100, 10, 0.23),
    "W3": Work("store-recall", 128, 2400, 100, 10, 10, 2, 0.25),
    "L2L": Work(
        "learning to learn: dense, long", 10, 10_000, 300, 150, 150, 1, 0.25, max_delay=5, n_ref=5, input_rate=0.02
    ),
    "l2l-teacher": Training(
        "a whole training step of learning to learn, the paper's", PRESETS["l2l-teacher-paper"].experiment, settle=8
    ),
    "stream": replace(W2, about="one sample, step by step", batch=1, steps=2000, streams=True),
    "large": Training("10,000 neurons, a million synapses, on sequential MNIST", _large(), settle=3),
}
BACKENDS = ("reference", "compiled")

NEEDS_GB = {
    ("smnist-paper", "reference"): 15.0,
    ("smnist-delays", "reference"): 100.0,
    ("W2", "reference"): 15.0,
    ("L2L", "reference"): 24.0,
    ("l2l-teacher", "reference"): 24.0,
    ("large", "compiled"): 3.0,
    ("large", "reference"): 100.0,
}
"""free memory, GB, without which a measurement is not begun; for the reference, whose memory differs between 4 and 15
with how the heap falls apart, the most that was seen"""
LEFT_OUT = {
    ("smnist-delays", "reference"),
    ("W1", "reference"),
    ("W1-long", "reference"),
    ("L2L", "reference"),
    ("l2l-teacher", "reference"),
    ("large", "compiled"),
    ("large", "reference"),
}
"""only measured when the work is named: minutes, or tens of gigabytes"""


def named(name: str) -> Work | Training:
    """Look a work up.  Raises ValueError with the nearest names."""
    if name in WORKS:
        return WORKS[name]
    near = difflib.get_close_matches(name, WORKS, n=2, cutoff=0.5)
    offer = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(f"there is no work {name!r}{offer or '; works are ' + ', '.join(WORKS)}")
