"""One run, as its folder has it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lsnn import runs
from lsnn.experiments import Experiment, Spiking
from lsnn.figures import Array, Series
from lsnn.presets import PRESETS, PaperRow
from lsnn.presets.command import Origin, origin
from lsnn.report.synapses import saved_names
from lsnn.tasks import Task


class Run(NamedTuple):
    """What a run folder holds so far."""

    path: Path
    origin: Origin
    metrics: Sequence[Mapping[str, Any]]
    results: Mapping[str, Any] | None
    """None while the run is unfinished"""
    initial: Mapping[str, Tensor] | None
    network: Mapping[str, Tensor] | None
    """after training, or at the last checkpoint"""
    network_iteration: int
    example: Mapping[str, Tensor] | None
    analysis: Mapping[str, Tensor] | None

    @property
    def preset(self) -> str | None:
        """The preset that it began as."""
        return self.origin.preset

    @property
    def experiment(self) -> Experiment:
        return self.origin.experiment

    @property
    def iteration(self) -> int:
        """Training steps so far, as far as they are logged."""
        return max((record["iteration"] for record in self.metrics), default=0)

    @property
    def metric(self) -> str:
        """What the task is judged by."""
        return self.experiment.task.headline.metric

    @property
    def tested(self) -> float | None:
        """The headline metric on the test set; None while the run is unfinished."""
        return self.results["test"][self.metric] if self.results else None

    @property
    def paper(self) -> list[PaperRow]:
        """The paper's numbers for the headline metric of the run's preset."""
        rows = PRESETS[self.preset].paper if self.preset in PRESETS else ()
        return [row for row in rows if row.metric == self.metric]

    @property
    def rate_target(self) -> float | None:
        """Firing rate that the loss asks for, Hz; None where it asks for none."""
        return self.experiment.rate_target if self.experiment.rate_cost > 0 else None

    def series(self, event: str, *keys: str, factor: float = 1.0) -> Series:
        """One logged quantity over training; several keys lead into nested records."""
        iterations, values = [], []
        for record in self.metrics:
            value: Any = record if record["event"] == event else {}
            for key in keys:
                value = value.get(key, {})
            if isinstance(value, int | float):
                iterations.append(record["iteration"])
                values.append(factor * value)
        return Series(np.array(iterations, dtype=np.int64), np.array(values, dtype=np.float64))


def read_run(path: Path) -> Run:
    """Read a run folder, finished or not.  Raises ValueError, naming the file, where something is damaged."""
    trained, metrics = origin(path), runs.read_metrics(path)
    experiment = trained.experiment
    source, iteration = path / runs.WEIGHTS, max((record["iteration"] for record in metrics), default=0)
    network = _optional(source)
    if network is None and (path / runs.CHECKPOINT).exists():
        source, checkpoint = path / runs.CHECKPOINT, runs.read_checkpoint(path)
        network, iteration = checkpoint["network"], checkpoint["iteration"]
    metric = experiment.task.headline.metric
    results = runs.read_results(path, metric) if (path / runs.RESULTS).exists() else None
    if results is not None:
        iteration = results.get("best_iteration", results["iterations"])
    initial, example = _optional(path / runs.INITIAL), _optional(path / runs.EXAMPLE)
    asked = ("target", "mask") if isinstance(experiment.task, Task) else ()
    _require(example, ("inputs", "readout", *asked), path / runs.EXAMPLE)
    if isinstance(experiment.network, Spiking):
        _require(initial, saved_names(experiment.network), path / runs.INITIAL)
        _require(network, saved_names(experiment.network), source)
    analysis = _optional(path / runs.ANALYSIS)
    return Run(path, trained, metrics, results, initial, network, iteration, example, analysis)


def recorded(example: Mapping[str, Tensor], name: str) -> Array | None:
    """One of an example's traces; None where it has none."""
    if name not in example:
        return None
    trace = example[name]
    return (trace.float() if trace.dtype == torch.half else trace).numpy()  # sums of halves run over


def _optional(path: Path) -> dict[str, Tensor] | None:
    return runs.read_tensors(path) if path.exists() else None


def _require(content: Mapping[str, Any] | None, keys: Sequence[str], path: Path) -> None:
    missing = [key for key in keys if content is not None and not (isinstance(content, Mapping) and key in content)]
    if missing:
        raise ValueError(f"{path} is damaged or of another run: it has no {missing[0]}; restore it from a copy")
