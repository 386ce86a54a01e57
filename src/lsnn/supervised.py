"""A batch through a network: loss, metrics, evaluation over a split."""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lsnn.bidirectional import spiking_parts
from lsnn.losses import rate_regulariser
from lsnn.ops import Activity
from lsnn.seeding import generator_for
from lsnn.tasks import Batch, Split, Task


class RateCost(NamedTuple):
    """The firing-rate regulariser: factor * sum or mean over neurons of ((f - target) / 1000 Hz)^2."""

    factor: float
    target: float
    """Hz"""
    reduction: Literal["sum", "mean"]


def regularised(loss: Tensor, activity: Activity, cost: RateCost) -> Tensor:
    """A loss with the regulariser, where the network spikes."""
    if activity.rate is None or cost.factor == 0:
        return loss
    return loss + cost.factor * rate_regulariser(activity.rate.mean(0), cost.target, cost.reduction)


def noise_source(network: nn.Module, seed: int, iteration: int, stream: str = "noise") -> dict[str, torch.Generator]:
    """The generator of a spiking network's current noise, as the argument it takes; nothing for other networks."""
    if not spiking_parts(network):
        return {}
    return {"generator": generator_for(seed, stream, iteration)}


def respond(network: nn.Module, batch: Batch, state: Any = None, **run: Any) -> tuple[Activity, Any]:
    """What a network does with a batch.  ``run`` goes to the network."""
    if batch.lengths is not None:
        run["lengths"] = batch.lengths
    return network(batch.inputs, state, **run)


@torch.no_grad()
def evaluate(network: nn.Module, task: Task, split: Split, batch_size: int, **run: Any) -> dict[str, float]:
    """Mean loss and metrics over every decision of a split, what an example costs on average, firing rates in Hz.

    ``run`` goes to the network.
    """
    gathered: dict[str, list[Tensor]] = {}
    rates = []
    for batch in task.evaluation(split, batch_size):
        activity, _ = respond(network, batch, **run)
        for name, values in {
            "loss": task.loss(activity.readout, batch),
            **task.metrics(activity.readout, batch),
            **network.operations(batch.inputs, activity, batch.lengths, batch.mask.sum(0)),  # pyright: ignore[reportCallIssue]  # nn.Module cannot say so
        }.items():
            gathered.setdefault(name, []).append(values.double())
        if activity.rate is not None:
            rates.append(activity.rate.double())
    result = {name: torch.cat(values).mean().item() for name, values in gathered.items()}
    if rates:
        result["rate_hz"] = torch.cat(rates).mean().item()
    return result
