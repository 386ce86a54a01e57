"""What a trained network is judged by: its scores, one example of its activity, its size, the machine it ran on."""

import math
import os
import platform
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lsnn.experiments import Experiment
from lsnn.network import LSNN
from lsnn.supervised import evaluate, noise_source
from lsnn.tasks import Analysed, Split


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
    batch = next(iter(experiment.task.evaluation("test", experiment.batch_size)))
    shown = min(getattr(experiment.task, "windows_shown", len(batch.mask)), len(batch.mask))
    one = batch.inputs[: len(batch.inputs) // len(batch.mask) * shown, :1]
    kept = {"inputs": one[:, 0], "target": batch.target[:shown, 0], "mask": batch.mask[:shown, 0]}
    if not isinstance(network, LSNN):
        return {**kept, "readout": network(one)[0].readout[:, 0]}
    noise = noise_source(network, experiment.seed, 0, "example")
    activity, _ = network(one, record=("spikes", "thresholds"), **noise)
    rates = network(batch.inputs, **noise_source(network, experiment.seed, 0, "evaluation"))[0].rate
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
