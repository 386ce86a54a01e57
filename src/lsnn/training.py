"""One training loop for every experiment: build, step, log, checkpoint, resume, evaluate.

A record of metrics.jsonl has an event, "train", "validation" or "test", its iteration, the loss, the task's metrics,
and rate_hz where the network spikes.  A training step's also has seconds (of training so far), lr, gradient_norm, and
where the network spikes: rate_regular_hz and rate_adaptive_hz if it has both kinds, active and density by block, and,
if it is rewired, how many synapses died and were regrown (regrown) since the record before.  A validation's and a
test's also have what an example costs on average: spikes and synaptic_operations, or multiply_accumulates.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lsnn import config, runs
from lsnn.bidirectional import spiking_parts
from lsnn.deep_r import DeepR, SoftDeepR
from lsnn.experiments import Experiment, Spiking
from lsnn.results import analysis, example, machine, n_parameters, score
from lsnn.tasks import Batch, Task
from lsnn.trainer import Trainer
from lsnn.version import __version__

MAX_THREADS = 1024
"""a limit that keeps a mistyped number from taking the machine down"""

COME_WITH_WEIGHTS = (
    *("excitatory", "cells.n_regular", "cells.n_adaptive", "cells.tau_m", "cells.tau_a", "cells.tau_m_range"),
    *("cells.tau_a_range", "cells.beta", "cells.v_th", "cells.noise_std"),
)
"""settings of a spiking network that stand in its weights' file, or decide what numbers there mean"""

Report = Callable[[dict[str, Any]], None]
"""told of every record of metrics.jsonl, and of every step"""


def start(
    run: Path | str,
    experiment: Experiment,
    *,
    preset: str | None = None,
    threads: int | None = None,
    start_from: Path | str | None = None,
    called: str | None = None,
) -> None:
    """Make the run folder of an experiment.  `proceed` then trains it.

    start_from: a run folder whose weights to begin with, copied now; the network has to be of the same sizes, and may
        have other constants that are trained, but begins with those of that run.
    called: what the run's record calls it, such as the name of a network in the box; not given: its path.
    """
    threads = checked_threads(torch.get_num_threads() if threads is None else threads)
    with _processor(threads):
        experiment = experiment.resolved()
        _try_out(experiment)
    run, first = Path(run), None if start_from is None else _weights_for(experiment, Path(start_from))
    settings = {
        "lsnn": __version__,
        "preset": preset,
        "threads": threads,  # sums are split by thread: part of what a resumed run repeats
        "experiment": config.encode(experiment),
    }
    if first is None:
        return runs.create(run, settings)
    runs.create(run, {**settings, "start_from": called or str(start_from)})
    runs.write_tensors(run / runs.INITIAL, first)


def _weights_for(experiment: Experiment, folder: Path) -> dict[str, Tensor]:
    """The weights of another run, if they fit."""
    network = Trainer.start(experiment).network
    source, given, _ = restore_network(folder)
    tensors = _trained_alike(given.state_dict(), network.state_dict())
    try:
        network.load_state_dict(tensors)
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ValueError(f"{folder} has a network that does not fit ({reason}); start from one that does") from None
    for name in COME_WITH_WEIGHTS if isinstance(experiment.network, Spiking) else ():
        then, now = (attrgetter(name)(of.network) for of in (source, experiment))
        if then != now:
            flag = f"--network.{name.replace('_', '-')}"
            raise ValueError(
                f"{folder} was trained with {flag} {then}, which its weights bring with them, and here it is {now}; "
                f"give {flag} as there, or begin without --start-from"
            )
    return tensors


def _trained_alike(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same constants where other ones were trained: factors go into what they multiply, new ones begin at 1."""
    tensors, mark = dict(given), "log_factor."
    for name in given.keys() - wanted.keys():
        if mark in name:
            tensors[name.replace(mark, "")] = given[name.replace(mark, "")] * tensors.pop(name).exp()
    new = (name for name in wanted.keys() - given.keys() if mark in name)
    return tensors | {name: torch.zeros_like(wanted[name]) for name in new}


def _try_out(experiment: Experiment) -> None:
    """Build network, optimizer and a batch, so that an experiment that cannot be trained leaves no folder behind."""
    try:
        batch = Trainer.start(experiment).batch()
    except (RuntimeError, OverflowError, MemoryError, TypeError) as error:  # sizes that no memory or integer holds
        reason = (str(error).strip().splitlines() or ["out of memory"])[0][:200]
        raise ValueError(f"the experiment cannot be set up ({reason}); if it is too large, lower its sizes") from error
    if isinstance(experiment.task, Task):
        _try_task(experiment.task, batch)


@torch.no_grad()
def _try_task(task: Task, batch: Any) -> None:
    """Ask a task for loss and metrics of a silent readout; what `Task` does not allow would stop a run only later."""
    if not isinstance(batch, Batch):
        raise ValueError(f"{task.name}: batch() gives a {type(batch).__name__}; let it give a lsnn.tasks.Batch")
    readout = torch.zeros(*batch.inputs.shape[:2], task.n_out)
    metrics = task.metrics(readout, batch)
    if not isinstance(metrics, dict) or task.headline.metric not in metrics:
        found = ", ".join(metrics) if isinstance(metrics, dict) else f"a {type(metrics).__name__}"
        raise ValueError(
            f"{task.name}: metrics() gives {found or 'none'}; let it give a dict with the headline's metric, "
            f"{task.headline.metric}"
        )
    given = {"loss()": task.loss(readout, batch)} | {f"metrics()[{name!r}]": value for name, value in metrics.items()}
    for name, value in given.items():
        if not isinstance(value, Tensor) or value.ndim != 1 or not value.is_floating_point():
            what = f"{list(value.shape)} {value.dtype}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise ValueError(f"{task.name}: {name} gives {what}; let it give a float tensor of a value per decision")


def checked_threads(threads: Any, where: str = "") -> int:
    """The number of threads, if it is one; ValueError, beginning with `where`, if not."""
    if not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"{where}threads must lie in 1 ... {MAX_THREADS}, got {threads!r}; one per core is enough")
    return threads


def load(run: Path | str) -> Experiment:
    """The experiment of a run folder."""
    run = Path(run)
    settings = runs.read_config(run).get("experiment")
    try:
        return config.decode(settings)
    except ValueError as error:
        path = run / runs.CONFIG
        raise ValueError(f"{path}: {error}; it was edited, or written by another version of lsnn") from None


def proceed(run: Path | str, report: Report = lambda record: None) -> dict[str, Any]:
    """Train a run from where it stands to its end, then test it once.  Returns the content of results.json.

    Killed at any moment and called again, it ends with the weights it would have ended with, bit for bit.
    """
    run = Path(run)
    experiment = load(run)
    threads = checked_threads(runs.read_config(run).get("threads"), f"{run / runs.CONFIG}: ")
    with runs.locked(run), _processor(threads):
        if runs.finished(run):
            return runs.read_results(run, experiment.task.headline.metric)
        trainer = Trainer.start(experiment)
        _begin(trainer, run)
        runs.rewind_metrics(run, trainer.iteration)
        try:
            _train(trainer, run, report)
            return _finish(trainer, run, report)
        except FloatingPointError as error:
            saved = (run / runs.CHECKPOINT).exists()
            iteration = runs.read_checkpoint(run)["iteration"] if saved else None
            kept = f"the checkpoint of iteration {iteration} is kept" if saved else "there is no checkpoint yet"
            raise FloatingPointError(f"{error}; {kept}; train anew with a lower --lr or a --clip-norm") from None


def _begin(trainer: Trainer, run: Path) -> None:
    """Bring a new trainer to where its run stands."""
    drawn = runs.read_config(run).get("start_from") is None
    if not (run / runs.INITIAL).exists():
        if not drawn:
            raise ValueError(f"{run} has lost {runs.INITIAL}, the weights it began with; train anew with --start-from")
        runs.write_tensors(run / runs.INITIAL, trainer.network.state_dict())
    if (run / runs.CHECKPOINT).exists():
        _restore(trainer, run)
    elif not drawn:
        with _fitting(run, runs.INITIAL):
            trainer.network.load_state_dict(runs.read_tensors(run / runs.INITIAL))


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
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
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
            now = {"event": "train", "iteration": iteration, "seconds": round(trainer.seconds, 3)}
            _log(run, report, {**now, **metrics, **_wiring(trainer)})
        if iteration % experiment.validate_every == 0 or last:
            scores = score(trainer.network, experiment, "validation")
            trainer.validated(scores[experiment.task.headline.metric])
            _log(run, report, {"event": "validation", "iteration": iteration, **scores})
            last = trainer.finished()
        if iteration % experiment.checkpoint_every == 0 or last:
            runs.write_checkpoint(run, trainer.state_dict())


def _finish(trainer: Trainer, run: Path, report: Report) -> dict[str, Any]:
    """Test once, and write what later commands need; killed here, a resumed run does all of it again."""
    trainer.take_best()
    network, experiment = trainer.network, trainer.experiment
    runs.write_tensors(run / runs.WEIGHTS, network.state_dict())
    runs.write_tensors(run / runs.EXAMPLE, example(network, experiment))
    more = analysis(network, experiment, "test")
    if more is not None:
        runs.write_tensors(run / runs.ANALYSIS, more)
    tested = score(network, experiment, "test")
    _log(run, report, {"event": "test", "iteration": trainer.iteration, **tested})
    results: dict[str, Any] = {
        "iterations": trainer.iteration,
        "seconds": round(trainer.seconds, 1),
        "validation": _validation(trainer, run),
        "test": tested,
        "parameters": n_parameters(network),
        "machine": machine(),
    }
    if trainer.watch.best_iteration is not None:
        results["best_iteration"] = trainer.watch.best_iteration
    if trainer.stopped_by is not None:
        results["stopped_by"] = trainer.stopped_by
    results |= _synapses(network)
    runs.write_json(run / runs.RESULTS, results)
    return results


def _validation(trainer: Trainer, run: Path) -> dict[str, float]:
    """Scores of the tested network on the validation set, which the log has unless it was lost."""
    at = {"event": "validation", "iteration": trainer.watch.best_iteration or trainer.iteration}
    for record in runs.read_metrics(run):
        if at.items() <= record.items():
            return {name: value for name, value in record.items() if name not in at}
    return score(trainer.network, trainer.experiment, "validation")


def restore_network(run: Path | str) -> tuple[Experiment, nn.Module, int]:
    """The network of a run, finished or at its last checkpoint, with its iteration."""
    run = Path(run)
    experiment = load(run)
    if not (run / runs.RESULTS).exists():
        trainer = Trainer.start(experiment)
        _restore(trainer, run)
        return experiment, trainer.network, trainer.iteration
    network, weights = experiment.build(), runs.read_tensors(run / runs.WEIGHTS)
    with _fitting(run, runs.WEIGHTS):
        network.load_state_dict(weights)
    results = runs.read_results(run, experiment.task.headline.metric)
    return experiment, network, results.get("best_iteration", results["iterations"])


@contextmanager
def _processor(threads: int) -> Iterator[None]:
    """Compute with so many torch threads, and with denormal numbers taken for zero; then as before.

    Gradients of an LSTM that have all but faded become denormal, and would cost it seven times the time.  torch's
    worker threads take the mode over when they are made, which is why `start` sets it too.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)


def _wiring(trainer: Trainer) -> dict[str, Any]:
    record, rewirings = _synapses(trainer.network), []
    optimizer = trainer.optimizer
    while isinstance(optimizer, DeepR | SoftDeepR):  # around each other, one for each direction
        rewirings.append(optimizer.take_turnover())
        optimizer = optimizer.base
    if rewirings:
        record["died"] = sum(sum(turnover.died.values()) for turnover in rewirings)
        record["regrown"] = sum(sum(turnover.regrown.values()) for turnover in rewirings)
    return record


def _synapses(network: nn.Module) -> dict[str, Any]:
    """Active synapses and their density by block, of both directions together."""
    parts = [part.synapses for part in spiking_parts(network)]
    if not parts:
        return {}
    counts, densities = [part.counts() for part in parts], [part.density() for part in parts]
    active = {block: sum(count[block] for count in counts) for block in counts[0]}
    density = {block: sum(share[block] for share in densities) / len(parts) for block in densities[0]}
    return {"active": active, "density": density}


def _log(run: Path, report: Report, record: dict[str, Any]) -> None:
    runs.append_metrics(run, record)
    report(record)
