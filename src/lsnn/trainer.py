"""A training at some iteration: one step, and its state for a checkpoint."""

import math
import time
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from lsnn import config
from lsnn.baselines import detached
from lsnn.bidirectional import spiking_parts
from lsnn.experiments import Experiment
from lsnn.network import LSNN
from lsnn.neuron import State
from lsnn.ops import Activity
from lsnn.reinforced import judged, lesson, losses
from lsnn.seeding import generator_for
from lsnn.supervised import RateCost, noise_source, regularised, respond
from lsnn.tasks import Batch, Environment, InEpochs, Staged, Task
from lsnn.tasks.rollout import Played, play

STOP_WINDOW = 20
"""training steps over which the stopping criterion averages (authors' store-recall tutorial)"""

UNDECISIVE = ("iterations", "epochs", "stop_at", "patience", "validate_every", "log_every", "checkpoint_every")
"""settings that no training step depends on; exceptions are in `_decisive`"""
PLACES = ("data", "cache")
"""settings of a task that say where files are"""


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
    watch: "Watch" = field(default_factory=lambda: Watch())
    """what validations have told so far"""

    def __post_init__(self) -> None:
        self.recent = deque(self.recent or (), maxlen=STOP_WINDOW)

    @classmethod
    def start(cls, experiment: Experiment) -> "Trainer":
        """At iteration 0."""
        network = experiment.build()
        optimizer = experiment.build_optimizer(network)
        watch = Watch()
        scheduler = LambdaLR(optimizer, lambda iteration: experiment.lr_factor(iteration, watch.decays))
        return cls(experiment, network, optimizer, scheduler, watch=watch)

    def batch(self) -> Batch | Played:
        """The next training batch; where the network acts, the episodes that it plays."""
        experiment, task = self.experiment, self.experiment.task
        n, seed = experiment.batch_size, experiment.seed
        if isinstance(task, Environment):
            return play(self.network, task, n, seed, "train", self.iteration)
        if isinstance(task, InEpochs):
            epoch, place = divmod(self.iteration, task.n_batches(n))
            return task.batch_of_epoch(place, n, generator_for(seed, "epoch", epoch))
        generator = generator_for(seed, "batch", self.iteration)
        return (
            task.batch_at(self.iteration, n, generator)
            if isinstance(task, Staged)
            else task.batch("train", n, generator)
        )

    def step(self) -> dict[str, float]:
        """One training step.  Raises FloatingPointError where numbers blow up, before that pass changes anything."""
        self.network.train()
        started = time.perf_counter()
        batch = self.batch()
        lr = self.optimizer.param_groups[0]["lr"]
        metrics = self._learn_from_reward(batch) if isinstance(batch, Played) else self._learn_from_targets(batch)
        self.scheduler.step()
        self.iteration += 1
        self.seconds += time.perf_counter() - started
        self.recent.append(metrics[self.experiment.task.headline.metric])
        return {"lr": lr, **metrics}

    def _learn_from_targets(self, batch: Batch) -> dict[str, float]:
        experiment, task = self.experiment, self.experiment.task
        assert isinstance(task, Task)
        noise = noise_source(self.network, experiment.seed, self.iteration)
        activity, state = respond(self.network, batch, self.carried, **noise)
        loss = task.loss(activity.readout, batch).mean()
        norm = self._descend(loss, activity)
        if experiment.carry_state:
            self.carried = state.detach() if isinstance(state, State) else detached(state)
        metrics = task.metrics(activity.readout.detach(), batch).items()
        return {
            "loss": loss.item(),
            "gradient_norm": norm,
            **{name: values.mean().item() for name, values in metrics},
            **self._rates(activity),
        }

    def _learn_from_reward(self, played: Played) -> dict[str, float]:
        task, how = self.experiment.task, self.experiment.ppo
        assert isinstance(task, Environment) and how is not None
        learned = lesson(played, how)
        found = {}
        for _ in range(how.passes):
            activity, _ = self.network(played.inputs, **played.again())
            loss = losses(task, activity.readout, played, learned, how).mean()
            norm = self._descend(loss, activity)
            found = found or {
                "loss": loss.item(),
                "gradient_norm": norm,
                **judged(task, played, learned),
                **self._rates(activity),
            }
        return found

    def _descend(self, loss: Tensor, activity: Activity) -> float:
        """A step of the optimizer down the gradient of a loss and the regulariser.  Returns the gradient's norm."""
        experiment = self.experiment
        cost = RateCost(experiment.rate_cost, experiment.rate_target, experiment.rate_reduction)
        loss = regularised(loss, activity, cost)
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss is {loss.item()} at iteration {self.iteration + 1}")
        self.optimizer.zero_grad()
        loss.backward()
        norm = self._check_and_clip_gradient()
        self.optimizer.step()
        return norm

    def _check_and_clip_gradient(self) -> float:
        """Returns the norm before clipping."""
        gradients = {name: p.grad for name, p in self.network.named_parameters() if p.grad is not None}
        norm = nn.utils.get_total_norm(gradients.values())
        if not torch.isfinite(norm):
            bad = [name for name, gradient in gradients.items() if not gradient.isfinite().all()]
            which = f"the gradient of {', '.join(bad)}" if bad else "the norm of the gradient"
            raise FloatingPointError(f"{which} is not finite at iteration {self.iteration + 1}")
        if self.experiment.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self.network.parameters(), self.experiment.clip_norm, norm)
        return norm.item()

    def _rates(self, activity: Activity) -> dict[str, float]:
        if activity.rate is None:
            return {}
        rate = activity.rate.detach().mean(0)
        rates = {"rate_hz": rate.mean().item()}
        n_regular = sum(part.cells.n_regular for part in spiking_parts(self.network))
        if 0 < n_regular < len(rate):
            regular, adaptive = rate[:n_regular], rate[n_regular:]
            rates |= {"rate_regular_hz": regular.mean().item(), "rate_adaptive_hz": adaptive.mean().item()}
        return rates

    def validated(self, value: float) -> None:
        """Take a validation's headline metric into account: keep the best network, lower the learning rate."""
        experiment, watch = self.experiment, self.watch
        better = watch.best is None or (value > watch.best) == experiment.task.headline.higher_is_better
        if better and value != watch.best:
            watch.best, watch.since_best, watch.since_decay = value, 0, 0
            if experiment.patience is not None:
                watch.best_iteration = self.iteration
                watch.best_network = {name: t.detach().clone() for name, t in self.network.state_dict().items()}
            return
        watch.since_best += 1
        watch.since_decay += 1
        if experiment.schedule == "plateau" and watch.since_decay >= experiment.lr_patience:
            watch.decays, watch.since_decay = watch.decays + 1, 0
            for group, base in zip(self.optimizer.param_groups, self.scheduler.base_lrs, strict=True):
                group["lr"] = base * experiment.lr_factor(self.iteration, watch.decays)

    def take_best(self) -> None:
        """Go back to the network that validated best, where the experiment asks for it."""
        if self.watch.best_network is not None:
            self.network.load_state_dict(self.watch.best_network)

    def good_enough(self) -> bool:
        """Whether the stopping criterion holds."""
        stop_at = self.experiment.stop_at
        if stop_at is None or len(self.recent) < STOP_WINDOW:
            return False
        mean = sum(self.recent) / len(self.recent)
        return mean >= stop_at if self.experiment.task.headline.higher_is_better else mean <= stop_at

    def stuck(self) -> bool:
        """Whether validations have not become better for too long."""
        return self.experiment.patience is not None and self.watch.since_best >= self.experiment.patience

    @property
    def stopped_by(self) -> Literal["stop_at", "patience"] | None:
        """The setting that ends the training now, before its last iteration."""
        if self.iteration >= self.experiment.iterations:
            return None
        return "stop_at" if self.good_enough() else "patience" if self.stuck() else None

    def finished(self) -> bool:
        return self.iteration >= self.experiment.iterations or self.stopped_by is not None

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
            "watch": {**asdict(replace(self.watch, best_network=None)), "best_network": self.watch.best_network},
        }

    def load_state_dict(self, checkpoint: dict[str, Any]) -> None:
        then, now = self._settings_of(checkpoint), _decisive(self.experiment)
        changed = [name for name in now if then.get(name) != now[name]]
        if changed:
            raise ValueError(f"it was made with another {' and '.join(changed)}")
        self.network.load_state_dict(checkpoint["network"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.scheduler.load_state_dict(checkpoint["scheduler"])
        carried = checkpoint["carried"]
        self.carried = State(*carried) if carried is not None and isinstance(self.network, LSNN) else carried
        self.iteration, self.seconds = checkpoint["iteration"], checkpoint["seconds"]
        self.recent.extend(checkpoint["recent"])
        for name, value in checkpoint.get("watch", {}).items():  # the first checkpoints had none
            setattr(self.watch, name, value)

    def _settings_of(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """The decisive settings of a checkpoint; what an earlier version did not know has its default."""
        now, then = config.encode(self.experiment), checkpoint["settings"]
        places = {name: value for name, value in now["task"].items() if name in PLACES}
        return _decisive(config.decode({**now, **then, "task": {**then["task"], **places}}))


def _decisive(experiment: Experiment) -> dict[str, Any]:
    """The settings that training steps follow from; the others may be edited in the config of an unfinished run."""
    settings = config.encode(experiment)
    task = {name: value for name, value in settings["task"].items() if name not in PLACES}
    by_schedule = {"cosine": {"iterations"}, "plateau": {"validate_every"}}
    undecisive = set(UNDECISIVE) - by_schedule.get(experiment.schedule, set())
    return {name: value for name, value in settings.items() if name not in undecisive} | {"task": task}


@dataclass
class Watch:
    """What validations have told so far."""

    best: float | None = None
    """headline metric"""
    best_iteration: int | None = None
    best_network: dict[str, Tensor] | None = None
    """where training may stop early"""
    since_best: int = 0
    """validations"""
    since_decay: int = 0
    """validations since the best one or since the learning rate was lowered"""
    decays: int = 0
    """times the learning rate was lowered"""
