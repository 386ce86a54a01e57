"""A training at some iteration: one step, and its state for a checkpoint."""

import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from lsnn import config
from lsnn.experiments import Experiment
from lsnn.network import LSNN
from lsnn.neuron import State
from lsnn.seeding import generator_for
from lsnn.supervised import RateCost, noise_source, training_loss

STOP_WINDOW = 20
"""training steps over which the stopping criterion averages (authors' store-recall tutorial)"""

UNDECISIVE = ("iterations", "stop_at", "validate_every", "log_every", "checkpoint_every")
"""settings that no training step depends on; iterations do where the learning rate falls to zero by the last one"""


@dataclass
class Trainer:
    """A training at some iteration: all that changes while it runs."""

    experiment: Experiment
    network: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    iteration: int = 0
    seconds: float = 0.0
    """time spent in training steps so far"""
    carried: State | tuple[Tensor, ...] | Tensor | None = None
    """network state handed from batch to batch, where the experiment asks for it"""
    recent: deque[float] = None  # type: ignore[assignment]
    """headline metric of the last steps"""

    def __post_init__(self) -> None:
        self.recent = deque(self.recent or (), maxlen=STOP_WINDOW)

    @classmethod
    def start(cls, experiment: Experiment) -> "Trainer":
        """At iteration 0."""
        network = experiment.build()
        optimizer = experiment.build_optimizer(network)
        return cls(experiment, network, optimizer, LambdaLR(optimizer, experiment.lr_factor))

    def step(self) -> dict[str, float]:
        """One training step.  Raises FloatingPointError, before anything has changed, where numbers blow up."""
        experiment, task = self.experiment, self.experiment.task
        self.network.train()
        batch = task.batch("train", experiment.batch_size, generator_for(experiment.seed, "batch", self.iteration))
        started = time.perf_counter()
        activity, state = self.network(
            batch.inputs, self.carried, **noise_source(self.network, experiment.seed, self.iteration)
        )
        cost = RateCost(experiment.rate_cost, experiment.rate_target, experiment.rate_reduction)
        loss, data_loss = training_loss(task, activity, batch, cost)
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss is {loss.item()} at iteration {self.iteration + 1}")
        self.optimizer.zero_grad()
        loss.backward()
        self._check_and_clip_gradient()
        self.optimizer.step()
        self.scheduler.step()
        if experiment.carry_state:
            self.carried = _detached(state)
        self.iteration += 1
        self.seconds += time.perf_counter() - started

        metrics = {
            name: values.mean().item() for name, values in task.metrics(activity.readout.detach(), batch).items()
        }
        self.recent.append(metrics[task.headline.metric])
        rates = {} if activity.rate is None else _rates(self.network, activity.rate.detach().mean(0))
        return {"loss": data_loss.item(), **metrics, **rates}

    def _check_and_clip_gradient(self) -> None:
        gradients = {name: p.grad for name, p in self.network.named_parameters() if p.grad is not None}
        norm = nn.utils.get_total_norm(gradients.values())
        if not torch.isfinite(norm):
            bad = [name for name, gradient in gradients.items() if not gradient.isfinite().all()]
            which = f"the gradient of {', '.join(bad)}" if bad else "the norm of the gradient"
            raise FloatingPointError(f"{which} is not finite at iteration {self.iteration + 1}")
        if self.experiment.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self.network.parameters(), self.experiment.clip_norm, norm)

    def good_enough(self) -> bool:
        """Whether the stopping criterion holds."""
        stop_at = self.experiment.stop_at
        if stop_at is None or len(self.recent) < STOP_WINDOW:
            return False
        mean = sum(self.recent) / len(self.recent)
        return mean >= stop_at if self.experiment.task.headline.higher_is_better else mean <= stop_at

    def finished(self) -> bool:
        return self.iteration >= self.experiment.iterations or self.good_enough()

    def state_dict(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "seconds": self.seconds,
            "settings": _decisive(self.experiment),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "carried": tuple(self.carried) if isinstance(self.carried, State) else self.carried,
            "recent": list(self.recent),
        }

    def load_state_dict(self, checkpoint: dict[str, Any]) -> None:
        then, now = checkpoint["settings"], _decisive(self.experiment)
        changed = [name for name in now if then.get(name) != now[name]]
        if changed:
            raise ValueError(f"it was made with another {' and '.join(changed)}")
        load_network(self.network, checkpoint["network"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.scheduler.load_state_dict(checkpoint["scheduler"])
        carried = checkpoint["carried"]
        self.carried = State(*carried) if carried is not None and isinstance(self.network, LSNN) else carried
        self.iteration, self.seconds = checkpoint["iteration"], checkpoint["seconds"]
        self.recent.extend(checkpoint["recent"])


def _decisive(experiment: Experiment) -> dict[str, Any]:
    """The settings that training steps follow from; the others may be edited in the config of an unfinished run."""
    settings = config.encode(experiment)
    task = {**settings["task"], "data": None}
    undecisive = set(UNDECISIVE) - ({"iterations"} if experiment.schedule == "cosine" else set())
    return {name: value for name, value in settings.items() if name not in undecisive} | {"task": task}


def load_network(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Load a network's state.  Kernels trust their indices, so synapses that lead out of the network are refused."""
    network.load_state_dict(tensors)
    if not isinstance(network, LSNN):
        return
    synapses = network.synapses
    pre, post, delay = synapses.pre, synapses.post, synapses.delay
    inner, first = post < synapses.n, (pre >= synapses.n_in).long()
    shortest = torch.where(inner, first, 0)
    longest = torch.where(inner, first + synapses.max_delay - 1, 0)
    sound = (0 <= pre) & (pre < synapses.n_in + synapses.n) & (0 <= post) & (post < synapses.n + synapses.n_out)
    sound &= (shortest <= delay) & (delay <= longest) & (inner | (first > 0))
    if not sound.all():
        raise ValueError(f"{int((~sound).sum())} synapses lead out of the network")


def _detached(state: Any) -> Any:
    if isinstance(state, State | Tensor):
        return state.detach()
    return tuple(part.detach() for part in state)


def _rates(network: nn.Module, rate: Tensor) -> dict[str, float]:
    assert isinstance(network, LSNN)
    rates = {"rate_hz": rate.mean().item()}
    n_regular = network.cells.n_regular
    if 0 < n_regular < network.cells.n:
        rates |= {"rate_regular_hz": rate[:n_regular].mean().item(), "rate_adaptive_hz": rate[n_regular:].mean().item()}
    return rates
