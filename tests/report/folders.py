"""Run folders as a training leaves them, without the training."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lsnn import runs
from lsnn.config import encode
from lsnn.experiments import Experiment, Spiking
from lsnn.neuron import Cells
from lsnn.presets import PRESETS
from lsnn.report.page import page_of
from lsnn.report.plates import Plate, plates_of
from lsnn.report.run import read_run
from lsnn.tasks import StoreRecall

SMALL = Cells(n_regular=6, n_adaptive=4)


DENSITY = {"input": 0.12, "recurrent": 0.1, "readout": 0.2}


MACHINE = {"cpu": "a processor", "cores": 2, "threads": 1, "torch": "2.13.0", "python": "3.11.7"}


def small(name: str, **changes: Any) -> Experiment:
    """A preset's experiment with a network of ten neurons, where it spikes."""
    experiment = PRESETS[name].experiment
    if isinstance(experiment.network, Spiking):
        experiment = replace(experiment, network=replace(experiment.network, cells=SMALL))
    return replace(experiment, **changes)


def metrics_of(experiment: Experiment, iterations: int) -> Iterator[dict[str, Any]]:
    name, network = experiment.task.headline.metric, experiment.network
    for iteration in range(experiment.log_every, iterations + 1, experiment.log_every):
        record: dict[str, Any] = {"loss": 2 / iteration, name: iteration / 100, "seconds": 2.0 * iteration, "lr": 0.01}
        if isinstance(network, Spiking):
            record |= {"rate_hz": 12.5, "rate_regular_hz": 14.0, "rate_adaptive_hz": 10.0}
            record |= {"active": {"input": 90, "recurrent": 9, "readout": 1}, "density": DENSITY}
        if experiment.rewires:
            record |= {"died": 30, "regrown": 30}
        yield {"event": "train", "iteration": iteration, **record}
        yield {"event": "validation", "iteration": iteration, "loss": 2.5 / iteration, name: 0.4}


def example_of(experiment: Experiment) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    task, windows = experiment.task, 12 if isinstance(experiment.task, StoreRecall) else 1
    steps = 2400 if isinstance(task, StoreRecall) else task.n_steps
    mask = torch.zeros(windows, dtype=torch.bool)
    mask[-1] = True
    example = {
        "inputs": (torch.rand(steps, task.n_in, generator=generator) < 0.02).to(torch.uint8),
        "readout": torch.randn(steps, task.n_out, generator=generator),
        "target": torch.ones(windows, dtype=torch.int64),
        "mask": mask,
    }
    if isinstance(experiment.network, Spiking):
        n, n_adaptive = experiment.network.cells.n, experiment.network.cells.n_adaptive
        example["spikes"] = (torch.rand(steps, n, generator=generator) < 0.02).to(torch.uint8)
        example["relative_thresholds"] = 1 + torch.rand(steps, n_adaptive, generator=generator)
        example["rates"] = 20 * torch.rand(n, generator=generator)
    return example


def begin(folder: Path, experiment: Experiment, name: str | None = "smnist") -> None:
    """A run folder before the first step."""
    runs.create(folder, {"lsnn": "0.1.0", "preset": name, "threads": 1, "experiment": encode(experiment)})


def write_run(
    folder: Path,
    experiment: Experiment,
    name: str | None = "smnist",
    *,
    iterations: int | None = None,
    score: float | None = 0.931,
) -> Path:
    """A run folder as a training leaves it; score=None: as it stands before the end."""
    begin(folder, experiment, name)
    iterations = experiment.iterations if iterations is None else iterations
    records = list(metrics_of(experiment, iterations))
    network = experiment.build()
    runs.write_tensors(folder / runs.INITIAL, network.state_dict())
    if score is None:
        runs.write_checkpoint(folder, {"iteration": iterations, "network": network.state_dict()})
    else:
        tested = {"loss": 0.25, experiment.task.headline.metric: score}
        records.append({"event": "test", "iteration": iterations, **tested})
        runs.write_tensors(folder / runs.WEIGHTS, network.state_dict())
        runs.write_tensors(folder / runs.EXAMPLE, example_of(experiment))
        results = {"iterations": iterations, "seconds": 11_000.0, "test": tested, "parameters": 8185}
        runs.write_json(folder / runs.RESULTS, {**results, "machine": MACHINE})
    (folder / runs.METRICS).write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def page_in(folder: Path) -> str:
    return page_of(read_run(folder), [])


def plates_in(folder: Path) -> list[Plate]:
    return list(plates_of(read_run(folder)))


def row_of(page: str, start: str) -> list[str]:
    line = next(line for line in page.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]
