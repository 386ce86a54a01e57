"""What a trained network is judged by: its scores, one example of its activity, its size, the machine it ran on."""

import math
import os
import platform
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from lsnn import reinforced
from lsnn.bidirectional import spiking_parts
from lsnn.experiments import Experiment
from lsnn.supervised import evaluate, noise_source, respond
from lsnn.tasks import Analysed, Batch, Classifies, Environment, Remembers, Split, Task
from lsnn.tasks.rollout import episodes, some


def score(network: nn.Module, experiment: Experiment, split: Split) -> dict[str, float]:
    """Mean loss, metrics and firing rate over a whole split.  FloatingPointError where the loss is not finite."""
    task, network = experiment.task, network.eval()
    if isinstance(task, Environment):
        assert experiment.ppo is not None
        scores = reinforced.evaluate(network, task, experiment.ppo, split)
    else:
        noise = noise_source(network, experiment.seed, 0, "evaluation")
        scores = evaluate(network, task, split, experiment.batch_size, **noise)
    if not math.isfinite(scores["loss"]):
        raise FloatingPointError(f"the loss on the {split} set is {scores['loss']}")
    return scores


@torch.no_grad()
def analysis(network: nn.Module, experiment: Experiment, split: Split) -> dict[str, Tensor] | None:
    """What the experiment's task has to say beside scores, also of the untrained network; None if nothing.

    Untrained is the network as the experiment draws it, whatever weights the run began with.
    """
    if not isinstance(experiment.task, Analysed):
        return None
    noise = noise_source(network, experiment.seed, 0, "analysis")
    return experiment.task.analyse(network.eval(), split, experiment.untrained().eval(), **noise)


@torch.no_grad()
def example(network: nn.Module, experiment: Experiment) -> dict[str, Tensor]:
    """What the network does on the first test example, and each neuron's mean rate over the first batch of them.

    Of a long example the beginning is kept, as many windows as a task with `windows_shown` says.  Where the network
    acts, the example is an episode, and record/NAME what the world remembers of it.
    """
    task = experiment.task
    if isinstance(task, Environment):
        return _episode(network, task)
    batch = next(iter(task.evaluation("test", experiment.batch_size)))
    one = _beginning(batch.first(), getattr(task, "windows_shown", len(batch.mask)))
    kept = {"inputs": one.inputs[:, 0], "target": one.target[:, 0], "mask": one.mask[:, 0]}
    if isinstance(task, Remembers):
        kept |= task.remembered()
    if isinstance(task, Classifies):
        kept["confusion"] = confusion(network, experiment, task)
    kept |= response(network, one.inputs, **noise_source(network, experiment.seed, 0, "example"))
    if spiking_parts(network):
        activity, _ = respond(network, batch, **noise_source(network, experiment.seed, 0, "evaluation"))
        assert activity.rate is not None
        kept["rates"] = activity.rate.mean(0)
    return kept


def _episode(network: nn.Module, environment: Environment) -> dict[str, Tensor]:
    """The first test episode, and each neuron's mean rate over those that are played beside it."""
    played = next(episodes(network.eval(), environment, "test"))
    alone = {name: noise[:, :1] for name, noise in played.again().items()}
    kept = {"inputs": played.inputs[:, 0], **response(network, played.inputs[:, :1], **alone)}
    activity, _ = network(played.inputs, **played.again())
    if activity.rate is not None:
        kept["rates"] = activity.rate.mean(0)
    return kept | {f"record/{name}": part for name, part in some(played.record, slice(1)).items()}


def _beginning(batch: Batch, windows: int) -> Batch:
    """Of sequences that are as long as they have windows, the first so many windows."""
    if windows >= len(batch.mask):
        return batch
    steps = len(batch.inputs) // len(batch.mask) * windows
    return Batch(batch.inputs[:steps], batch.target[:windows], batch.mask[:windows])


@torch.no_grad()
def response(network: nn.Module, inputs: Shaped[Tensor, "time 1 n_in"], **run: Any) -> dict[str, Tensor]:
    """Readout, and where the network spikes, spikes and the thresholds that move.  ``run`` goes to the network.

    relative_thresholds, (time, adaptive neuron), are in units of each neuron's threshold at rest.
    """
    parts = spiking_parts(network)
    if not parts:
        return {"readout": network(inputs)[0].readout[:, 0]}
    activity, _ = network(inputs, record=("spikes", "thresholds"), **run)
    assert activity.spikes is not None and activity.thresholds is not None
    kept = {"readout": activity.readout[:, 0], "spikes": activity.spikes[:, 0].to(torch.uint8)}
    at_rest = torch.cat([part.constants().v_th[part.cells.n_regular :] for part in parts])
    if len(at_rest):  # adaptive neurons come last, of either direction
        kept["relative_thresholds"] = activity.thresholds[:, 0, -len(at_rest) :] / at_rest
    return kept


@torch.no_grad()
def confusion(network: nn.Module, experiment: Experiment, task: Classifies) -> Tensor:
    """How often each class (row) of the test set was named what (column)."""
    network.eval()
    noise = noise_source(network, experiment.seed, 0, "evaluation")
    assert isinstance(experiment.task, Task)
    counts = [
        task.confusion(respond(network, batch, **noise)[0].readout, batch)
        for batch in experiment.task.evaluation("test", experiment.batch_size)
    ]
    return torch.stack(counts).sum(0)


def n_parameters(network: nn.Module) -> int:
    """Numbers that training may change with effect: no dormant synapses, no adaptation of regular neurons."""
    n = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    for part in spiking_parts(network):
        n -= int((~part.synapses.active()).sum())
        n_regular = int((part.constants().beta == 0).sum())
        n -= n_regular * len({"tau_a", "beta"} & part.log_factor.keys())
    return n


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
