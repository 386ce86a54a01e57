"""What a trained network is judged by: its scores, one example of its activity, its size, the machine it ran on."""

import math
import os
import platform
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lsnn.bidirectional import spiking_parts
from lsnn.experiments import Experiment
from lsnn.supervised import evaluate, noise_source, respond
from lsnn.tasks import Analysed, Batch, Classifies, Remembers, Split


def score(network: nn.Module, experiment: Experiment, split: Split) -> dict[str, float]:
    """Mean loss, metrics and firing rate over a whole split.  FloatingPointError where the loss is not finite."""
    network.eval()
    noise = noise_source(network, experiment.seed, 0, "evaluation")
    scores = evaluate(network, experiment.task, split, experiment.batch_size, **noise)
    if not math.isfinite(scores["loss"]):
        raise FloatingPointError(f"the loss on the {split} set is {scores['loss']}")
    return scores


@torch.no_grad()
def analysis(network: nn.Module, experiment: Experiment, split: Split) -> dict[str, Tensor] | None:
    """What the experiment's task has to say beside scores, also of the network before training; None if nothing."""
    if not isinstance(experiment.task, Analysed):
        return None
    noise = noise_source(network, experiment.seed, 0, "analysis")
    return experiment.task.analyse(network.eval(), split, experiment.build().eval(), **noise)


@torch.no_grad()
def example(network: nn.Module, experiment: Experiment) -> dict[str, Tensor]:
    """What the network does on the first test example, and each neuron's mean rate over the first batch of them.

    Of a long example the beginning is kept, as many windows as a task with `windows_shown` says.
    """
    task = experiment.task
    batch = next(iter(task.evaluation("test", experiment.batch_size)))
    one = batch.first()
    shown = min(getattr(task, "windows_shown", len(one.mask)), len(one.mask))
    one = Batch(one.inputs[: len(one.inputs) // len(one.mask) * shown], one.target[:shown], one.mask[:shown])
    kept = {"inputs": one.inputs[:, 0], "target": one.target[:, 0], "mask": one.mask[:, 0]}
    if isinstance(task, Remembers):
        kept |= task.remembered()
    if isinstance(task, Classifies):
        kept["confusion"] = confusion(network, experiment, task)
    kept |= response(network, one, noise_source(network, experiment.seed, 0, "example"))
    if spiking_parts(network):
        activity, _ = respond(network, batch, **noise_source(network, experiment.seed, 0, "evaluation"))
        assert activity.rate is not None
        kept["rates"] = activity.rate.mean(0)
    return kept


@torch.no_grad()
def response(network: nn.Module, one: Batch, noise: dict[str, torch.Generator]) -> dict[str, Tensor]:
    """Readout, and where the network spikes, spikes and thresholds, over a batch of one."""
    if not spiking_parts(network):
        return {"readout": respond(network, one)[0].readout[:, 0]}
    activity, _ = respond(network, one, record=("spikes", "thresholds"), **noise)
    assert activity.spikes is not None and activity.thresholds is not None
    return {
        "readout": activity.readout[:, 0],
        "spikes": activity.spikes[:, 0].to(torch.uint8),
        "thresholds": activity.thresholds[:, 0],
    }


@torch.no_grad()
def confusion(network: nn.Module, experiment: Experiment, task: Classifies) -> Tensor:
    """How often each class (row) of the test set was named what (column)."""
    network.eval()
    noise = noise_source(network, experiment.seed, 0, "evaluation")
    counts = [
        task.confusion(respond(network, batch, **noise)[0].readout, batch)
        for batch in experiment.task.evaluation("test", experiment.batch_size)
    ]
    return torch.stack(counts).sum(0)


def n_parameters(network: nn.Module) -> int:
    """Numbers that training may change, dormant synapses left out."""
    n = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    return n - sum(int((~part.synapses.active()).sum()) for part in spiking_parts(network))


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
