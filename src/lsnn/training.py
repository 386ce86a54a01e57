"""One training loop for every experiment: build, step, log, checkpoint, resume, evaluate.

A record of metrics.jsonl has an event, "train", "validation" or "test", its iteration, the loss, the task's metrics,
and rate_hz where the network spikes.  A training step's also has seconds (of training so far), lr, and where the
network spikes: rate_regular_hz and rate_adaptive_hz if it has both kinds, active and density by block, and, if it is
rewired, how many synapses died and were regrown (regrown) since the record before.
"""

import math
import os
import platform
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, StepLR

import lsnn
from lsnn import experiments, runs
from lsnn.deep_r import DeepR, SoftDeepR
from lsnn.experiments import Experiment
from lsnn.network import LSNN
from lsnn.neuron import State
from lsnn.seeding import generator_for
from lsnn.supervised import RateCost, evaluate, training_loss
from lsnn.tasks import Split

STOP_WINDOW = 20
"""training steps over which the stopping criterion averages (authors' store-recall tutorial)"""

MAX_THREADS = 1024
"""a limit that keeps a mistyped number from taking the machine down"""

UNDECISIVE = ("iterations", "stop_at", "validate_every", "log_every", "checkpoint_every")
"""settings that no training step depends on"""

Report = Callable[[dict[str, Any]], None]
"""told of every record of metrics.jsonl, and of every step"""


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
        return cls(experiment, network, optimizer, StepLR(optimizer, experiment.lr_decay_every, experiment.lr_decay))

    def step(self) -> dict[str, float]:
        """One training step.  Raises FloatingPointError, before anything has changed, where numbers blow up."""
        experiment, task = self.experiment, self.experiment.task
        self.network.train()
        batch = task.batch("train", experiment.batch_size, generator_for(experiment.seed, "batch", self.iteration))
        started = time.perf_counter()
        activity, state = self.network(
            batch.inputs, self.carried, **_noise_source(self.network, experiment, self.iteration)
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
        _load_network(self.network, checkpoint["network"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.scheduler.load_state_dict(checkpoint["scheduler"])
        carried = checkpoint["carried"]
        self.carried = State(*carried) if carried is not None and isinstance(self.network, LSNN) else carried
        self.iteration, self.seconds = checkpoint["iteration"], checkpoint["seconds"]
        self.recent.extend(checkpoint["recent"])


def _decisive(experiment: Experiment) -> dict[str, Any]:
    """The settings that training steps follow from; the others may be edited in the config of an unfinished run."""
    settings = experiments.encode(experiment)
    task = {**settings["task"], "data": None}
    return {name: value for name, value in settings.items() if name not in UNDECISIVE} | {"task": task}


def _load_network(network: nn.Module, tensors: dict[str, Tensor]) -> None:
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


def start(run: Path, experiment: Experiment, *, preset: str | None = None, threads: int | None = None) -> None:
    """Make the run folder of an experiment.  `proceed` then trains it."""
    threads = _checked_threads(torch.get_num_threads() if threads is None else threads)
    _try_out(experiment)
    config = {
        "lsnn": lsnn.__version__,
        "preset": preset,
        "threads": threads,  # sums are split by thread: part of what a resumed run repeats
        "experiment": experiments.encode(experiment),
    }
    runs.create(run, config)


def _try_out(experiment: Experiment) -> None:
    """Build network, optimizer and a batch, so that an experiment that cannot be trained leaves no folder behind."""
    try:
        Trainer.start(experiment)
        experiment.task.batch("train", experiment.batch_size, generator_for(experiment.seed, "batch", 0))
    except (RuntimeError, OverflowError, MemoryError, TypeError) as error:  # sizes that no memory or integer holds
        reason = (str(error).strip().splitlines() or ["out of memory"])[0][:200]
        raise ValueError(f"the experiment cannot be set up ({reason}); if it is too large, lower its sizes") from error


def _checked_threads(threads: Any, where: str = "") -> int:
    if not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"{where}threads must lie in 1 ... {MAX_THREADS}, got {threads!r}; one per core is enough")
    return threads


def load(run: Path) -> Experiment:
    """The experiment of a run folder."""
    config = runs.read_config(run)
    try:
        return experiments.decode(config.get("experiment"))
    except ValueError as error:
        raise ValueError(f"{run / runs.CONFIG}: {error}") from None


def proceed(run: Path, report: Report = lambda record: None) -> dict[str, Any]:
    """Train a run from where it stands to its end, then test it once.  Returns the content of results.json.

    Killed at any moment and called again, it ends with the weights it would have ended with, bit for bit.
    """
    experiment = load(run)
    threads = _checked_threads(runs.read_config(run).get("threads"), f"{run / runs.CONFIG}: ")
    with runs.locked(run), _threads(threads):
        if all((run / name).exists() for name in runs.FINISHED):
            return runs.read_results(run)
        trainer = Trainer.start(experiment)
        if not (run / runs.INITIAL).exists():
            runs.write_tensors(run / runs.INITIAL, trainer.network.state_dict())
        if (run / runs.CHECKPOINT).exists():
            _restore(trainer, run)
        runs.rewind_metrics(run, trainer.iteration)
        try:
            _train(trainer, run, report)
            return _finish(trainer, run, report)
        except FloatingPointError as error:
            saved = (run / runs.CHECKPOINT).exists()
            iteration = runs.read_checkpoint(run)["iteration"] if saved else None
            kept = f"the checkpoint of iteration {iteration} is kept" if saved else "there is no checkpoint yet"
            raise FloatingPointError(f"{error}; {kept}; train anew with a lower --lr or a --clip-norm") from None


def _restore(trainer: Trainer, run: Path) -> None:
    checkpoint = runs.read_checkpoint(run)
    with _fitting(run, runs.CHECKPOINT):
        trainer.load_state_dict(checkpoint)


@contextmanager
def _fitting(run: Path, name: str) -> Iterator[None]:
    """Put what goes wrong while a file is loaded into a sentence."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ValueError(
            f"{run / name} does not fit {run / runs.CONFIG} ({reason}); restore both from a copy"
        ) from None


def _train(trainer: Trainer, run: Path, report: Report) -> None:
    experiment = trainer.experiment
    while not trainer.finished():
        metrics = trainer.step()
        report({"event": "step", "iteration": trainer.iteration, "seconds": trainer.seconds, **metrics})
        iteration, last = trainer.iteration, trainer.finished()
        if iteration % experiment.log_every == 0 or last:
            _log(run, report, {"event": "train", **_progress(trainer), **metrics, **_wiring(trainer)})
        if iteration % experiment.validate_every == 0 or last:
            _log(
                run,
                report,
                {"event": "validation", "iteration": iteration, **score(trainer.network, experiment, "validation")},
            )
        if iteration % experiment.checkpoint_every == 0 or last:
            runs.write_checkpoint(run, trainer.state_dict())


def _finish(trainer: Trainer, run: Path, report: Report) -> dict[str, Any]:
    """Test once, and write what later commands need; killed here, a resumed run does all of it again."""
    network, experiment = trainer.network, trainer.experiment
    runs.write_tensors(run / runs.WEIGHTS, network.state_dict())
    runs.write_tensors(run / runs.EXAMPLE, example(network, experiment))
    validation, tested = score(network, experiment, "validation"), score(network, experiment, "test")
    _log(run, report, {"event": "test", "iteration": trainer.iteration, **tested})
    results: dict[str, Any] = {
        "iterations": trainer.iteration,
        "seconds": round(trainer.seconds, 1),
        "validation": validation,
        "test": tested,
        "parameters": n_parameters(network),
        "machine": machine(),
    }
    if isinstance(network, LSNN):
        results |= {"active": network.synapses.counts(), "density": network.synapses.density()}
    runs.write_json(run / runs.RESULTS, results)
    return results


def restore_network(run: Path) -> tuple[Experiment, nn.Module, int]:
    """The network of a run, finished or at its last checkpoint, with its iteration."""
    trainer = Trainer.start(load(run))
    if not (run / runs.RESULTS).exists():
        _restore(trainer, run)
        return trainer.experiment, trainer.network, trainer.iteration
    weights = runs.read_tensors(run / runs.WEIGHTS)
    with _fitting(run, runs.WEIGHTS):
        _load_network(trainer.network, weights)
    return trainer.experiment, trainer.network, runs.read_results(run)["iterations"]


def score(network: nn.Module, experiment: Experiment, split: Split) -> dict[str, float]:
    """Mean loss, metrics and firing rate over a whole split.  FloatingPointError where the loss is not finite."""
    network.eval()
    noise = _noise_source(network, experiment, 0, "evaluation")
    scores = evaluate(network, experiment.task, split, experiment.batch_size, **noise)
    if not math.isfinite(scores["loss"]):
        raise FloatingPointError(f"the loss on the {split} set is {scores['loss']}")
    return scores


@torch.no_grad()
def example(network: nn.Module, experiment: Experiment) -> dict[str, Tensor]:
    """What the network does on the first test example, and each neuron's mean rate over the first batch of them."""
    batch = next(iter(experiment.task.evaluation("test", experiment.batch_size)))
    one = batch.inputs[:, :1]
    kept = {"inputs": one[:, 0], "target": batch.target[:, 0], "mask": batch.mask[:, 0]}
    if not isinstance(network, LSNN):
        return {**kept, "readout": network(one)[0].readout[:, 0]}
    noise = _noise_source(network, experiment, 0, "example")
    activity, _ = network(one, record=("spikes", "thresholds"), **noise)
    rates = network(batch.inputs, **_noise_source(network, experiment, 0, "evaluation"))[0].rate
    return {
        **kept,
        "readout": activity.readout[:, 0],
        "spikes": activity.spikes[:, 0].to(torch.uint8),
        "thresholds": activity.thresholds[:, 0],
        "rates": rates.mean(0),
    }


def n_parameters(network: nn.Module) -> int:
    """Numbers that training may change, dormant synapses left out."""
    n = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    return n - int((~network.synapses.active()).sum()) if isinstance(network, LSNN) else n


def machine() -> dict[str, Any]:
    """Where the numbers come from."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Run with so many torch threads, then with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _noise_source(
    network: nn.Module, experiment: Experiment, iteration: int, stream: str = "noise"
) -> dict[str, torch.Generator]:
    if not isinstance(network, LSNN):
        return {}
    return {"generator": generator_for(experiment.seed, stream, iteration)}


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


def _progress(trainer: Trainer) -> dict[str, Any]:
    lr = trainer.optimizer.param_groups[0]["lr"]
    return {"iteration": trainer.iteration, "seconds": round(trainer.seconds, 3), "lr": lr}


def _wiring(trainer: Trainer) -> dict[str, Any]:
    if not isinstance(trainer.network, LSNN):
        return {}
    synapses = trainer.network.synapses
    record: dict[str, Any] = {"active": synapses.counts(), "density": synapses.density()}
    if isinstance(trainer.optimizer, DeepR | SoftDeepR):
        turnover = trainer.optimizer.take_turnover()
        record |= {"died": sum(turnover.died.values()), "regrown": sum(turnover.regrown.values())}
    return record


def _log(run: Path, report: Report, record: dict[str, Any]) -> None:
    runs.append_metrics(run, record)
    report(record)
