"""Ways to change what a network holds in mid-trial, so as to see which of it the answer hangs on."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from lsnn.network import LSNN
from lsnn.neuron import State

Tampering = Callable[[LSNN, State, Tensor], tuple[LSNN, State]]
"""network, state, and an order of the examples that leaves none in place -> what the trial goes on with"""


def exchange_thresholds(network: LSNN, state: State, order: Tensor) -> tuple[LSNN, State]:
    """Every example goes on with the thresholds of another."""
    return network, state._replace(b=state.b[order])


def average_thresholds(network: LSNN, state: State, order: Tensor) -> tuple[LSNN, State]:
    """Every neuron's threshold is set to its mean over examples, and adapts on."""
    return network, state._replace(b=state.b.mean(0).expand_as(state.b).contiguous())


def clamp_thresholds(network: LSNN, state: State, order: Tensor) -> tuple[LSNN, State]:
    """Every neuron's threshold is set to its mean over examples, and stays there."""
    constants, clamped = network.constants(), copy.deepcopy(network)
    clamped.get_buffer("v_th").copy_(constants.v_th + constants.beta * state.b.mean(0))
    clamped.get_buffer("beta").zero_()
    for name in clamped.log_factor.keys() & {"v_th"}:
        clamped.log_factor[name].data.zero_()
    return clamped, state


def exchange_the_rest(network: LSNN, state: State, order: Tensor) -> tuple[LSNN, State]:
    """Every example keeps its thresholds and goes on with all else of another: voltages, spikes, what is on the way."""
    rest = {name: getattr(state, name)[order] for name in ("v", "z", "z_before", "refractory", "y")}
    return network, state._replace(**rest, pending=state.pending[:, order])


def exchange_everything(network: LSNN, state: State, order: Tensor) -> tuple[LSNN, State]:
    """Every example goes on with the whole state of another."""
    network, state = exchange_the_rest(network, state, order)
    return exchange_thresholds(network, state, order)


TAMPERINGS: dict[str, Tampering] = {
    "thresholds exchanged": exchange_thresholds,
    "thresholds averaged": average_thresholds,
    "thresholds clamped": clamp_thresholds,
    "all else exchanged": exchange_the_rest,
    "everything exchanged": exchange_everything,
}


def tamperings(network: LSNN) -> dict[str, Tampering]:
    """Those of `TAMPERINGS` that tell of this network: thresholds apart from the rest where they adapt, else all."""
    apart = network.cells.n_adaptive > 0
    return {name: tamper for name, tamper in TAMPERINGS.items() if (tamper is exchange_everything) != apart}


def derangement(n: int, generator: torch.Generator) -> Tensor:
    """A random cycle: an order of n examples that leaves none in place.  Raises ValueError for fewer than two."""
    if n < 2:
        raise ValueError(f"exchanging needs at least two examples in a batch, got {n}; study more examples")
    order = torch.randperm(n, generator=generator)
    return torch.empty_like(order).scatter_(0, order, order.roll(1))
