"""What a network learns within episodes of a regression task, beside simpler learners on the same functions."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from lsnn import learners
from lsnn.losses import window_mean
from lsnn.network import LSNN
from lsnn.seeding import generator_for
from lsnn.tasks.regression.family import Family
from lsnn.tasks.task import Split, Table

AT_EXAMPLES = (1, 5, 10, 20, 50, 100, 500)
"""columns of the table"""
TOGETHER = 64
"""functions that run as one batch"""
STRETCH = 50
"""examples that run as one call: bounds the memory that recorded spikes take"""
N_BEFORE = 128
"""functions, at most, on which the network before training is tried"""
TRACES_L2 = 100.0
"""ridge on spike counts of the network, as in the paper's supplement (recalled with little certainty)"""
TUNED_LR = 0.1
"""learning rate of the 2-10-1 network with which its error from the 20th example on is least, of 0.001 ... 0.3"""

OWN = ("network", "before training", "shuffled feedback", "variance between showings", "ridge on its spikes")
"""curves of the network itself"""


class Outcome(NamedTuple):
    """What a network predicted, and what there was to predict it from."""

    predicted: Float[Tensor, "example n"]
    counts: Float[Tensor, "example n neuron"] | None
    """spikes of each neuron while a value was to be predicted; None where nothing spikes"""


def follow(
    task: Family,
    network: nn.Module,
    x: Float[Tensor, "example n n_x"],
    told: Float[Tensor, "example n"],
    spikes: Generator,
    *,
    counts: bool = False,
    **run: Any,
) -> Outcome:
    """Run episodes, a stretch at a time with the state handed over; with spike counts on request.  told is that of
    the values, `task.told(y)`."""
    state, predicted, counted = None, [], []
    counts = counts and isinstance(network, LSNN)
    recorded: dict[str, Any] = {"record": ("spikes",)} if counts else {}
    with torch.no_grad():
        for some_x, some_told in zip(x.split(STRETCH), told.split(STRETCH), strict=True):
            activity, state = network(task.encode(some_x, some_told, spikes), state, **recorded, **run)
            predicted.append(task.predictions(activity.readout))
            if counts:
                counted.append(task.example_ms * window_mean(activity.spikes, task.shown_ms, task.example_ms))
    return Outcome(torch.cat(predicted), torch.cat(counted) if counts else None)


def learning_curves(
    task: Family, network: nn.Module, split: Split, before: nn.Module | None, **run: Any
) -> dict[str, Tensor]:
    """curve/NAME: squared error by example, (example), averaged over the split's functions, of the network and of
    simpler learners.  functions: the network's score on each, (function).

    The network's controls: its feedback shuffled over the episode; ridge regression on its own spike counts; itself
    before training, on some of the functions.  Where input spikes are drawn at random, also the variance of its
    predictions between showings of the same examples: what chance adds to its error, and averaging would take away.
    """
    x, y = task.unseen(split)[1]
    order = torch.randperm(len(y), generator=generator_for(0, f"{task.name}/shuffled"))
    errors: dict[str, list[Tensor]] = {}
    for start in range(0, y.shape[1], TOGETHER):
        some_x, some_y = x[:, start : start + TOGETHER], y[:, start : start + TOGETHER]
        told = task.told(some_y)
        shuffled = task.told(some_y[order])

        def spikes(showing: str = "spikes", start: int = start) -> Generator:
            return generator_for(0, f"{task.name}/{showing}/{split}", start)

        own, counts = follow(task, network, some_x, told, spikes(), counts=True, **run)
        answers = {"network": own}
        answers["shuffled feedback"] = follow(task, network, some_x, shuffled, spikes(), **run).predicted
        if counts is not None:
            answers["ridge on its spikes"] = learners.ridge_so_far(counts, some_y, TRACES_L2, sum(task.y_range) / 2)
        if before is not None and start < N_BEFORE:
            answers["before training"] = follow(task, before, some_x, told, spikes(), **run).predicted
        for name, answer in answers.items():
            errors.setdefault(name, []).append((answer - some_y).square())
        if task.encoding == "population":
            again = follow(task, network, some_x, told, spikes("other spikes"), **run).predicted
            errors.setdefault("variance between showings", []).append((again - own).square() / 2)
    found = {name: torch.cat(parts, dim=1) for name, parts in errors.items()}
    found |= {name: (answer - y).square() for name, answer in simple_learners(task, x, y)}
    curves = {f"curve/{name}": error.double().mean(1).float() for name, error in found.items()}
    return curves | {"functions": found["network"][task.settled - 1 :].mean(0)}


def simple_learners(
    task: Family, x: Float[Tensor, "example n n_x"], y: Float[Tensor, "example n"]
) -> Iterator[tuple[str, Float[Tensor, "example n"]]]:
    """Predictions by name of learners that know the ranges of the family and nothing else."""
    (low_x, high_x), (low, high) = task.x_range, task.y_range
    x, y = 2 * (x - low_x) / (high_x - low_x) - 1, (y - low) / (high - low)
    shape = f"{task.n_x}-10-1 by backprop"
    for name, answer in (
        ("linear fit to all examples", learners.linear_fit(x, y)),
        ("linear fit so far", learners.linear_so_far(x, y, prior=0.5)),
        ("nearest example so far", learners.nearest_so_far(x, y, prior=0.5)),
        (shape, learners.backprop_so_far(x, y, generator_for(0, "backprop"))),
        (f"{shape}, rate {TUNED_LR:g}", learners.backprop_so_far(x, y, generator_for(0, "backprop"), TUNED_LR)),
    ):
        yield name, low + (high - low) * answer


def linear_baseline(task: Family) -> float:
    """Mean squared error of the best linear fit to each test function, over the examples that the score counts."""
    x, y = task.unseen("test")[1]
    return (learners.linear_fit(x, y) - y)[task.settled - 1 :].square().mean().item()


def table_of(task: Family, curves: Mapping[str, Mapping[str, Tensor]]) -> Table:
    """Error at some examples and over those that the score counts; a row per network, then those of the first."""
    first, *others = curves
    last = len(next(iter(curves[first].values())))
    at = [k for k in AT_EXAMPLES if k <= last]
    rows = [(first, curves[first]["network"])]
    rows += [(name, curves[name]["network"]) for name in others]
    rows += [(name, curve) for name, curve in curves[first].items() if name != "network"]
    values = [
        (name, (*(curve[k - 1].item() for k in at), curve[task.settled - 1 :].mean().item())) for name, curve in rows
    ]
    header = (*(f"{k}" for k in at), f"{task.settled} - {last}")
    return Table("mean squared error at example", header, values)


def part(analysis: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors of an analysis that are stored under name/..., those of the network itself first."""
    found = {key.removeprefix(f"{name}/"): value for key, value in analysis.items() if key.startswith(f"{name}/")}
    return {key: found[key] for key in sorted(found, key=lambda key: (OWN.index(key) if key in OWN else len(OWN), key))}
