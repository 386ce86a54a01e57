"""What a network asks of what it is given, each in one clear line."""

import math
from typing import Any

import torch
from torch import Tensor

from lsnn.neuron import CONSTANTS, Constants, State
from lsnn.synapses import Wiring


def check_tensor(name: str, given: Any) -> None:
    if not isinstance(given, Tensor):
        raise ValueError(f"{name} must be a tensor, got {type(given).__name__}; torch.as_tensor makes one")


def check_inputs(inputs: Any, n_in: int) -> None:
    check_tensor("inputs", inputs)
    if inputs.ndim != 3 or inputs.shape[2] != n_in:
        raise ValueError(f"inputs must have shape (time, batch, {n_in}), got {tuple(inputs.shape)}")
    for axis, what in enumerate(("time steps", "samples")):
        if inputs.shape[axis] == 0:
            raise ValueError(f"inputs have no {what}; give at least one")


def check_finite(name: str, given: Tensor, *axes: str) -> None:
    """A neuron that is reached by NaN never spikes again, while readout and loss look sound."""
    place = _not_finite(given)
    if place is not None:
        raise ValueError(
            f"{name} must be finite, got {given[place].item()} at ({', '.join(axes)}) = {place}; "
            "torch.nan_to_num replaces such values"
        )


def _not_finite(given: Tensor) -> tuple[int, ...] | None:
    """The first place of NaN or infinity, if there is one."""
    given = given.detach()
    once = given[tuple(slice(None if stride else 1) for stride in given.stride())]  # one of what is expanded
    if not once.numel() or all(map(math.isfinite, once.aminmax())):  # a tenth of the time of all of isfinite
        return None
    return tuple((~given.isfinite()).nonzero()[0].tolist())


def check_network(wiring: Wiring, constants: Constants) -> None:
    """FloatingPointError where a weight or a constant is not finite, which only training makes so."""
    for name, given in (("weight", wiring.weight), *zip(CONSTANTS, constants[:5], strict=True)):
        place = _not_finite(given)
        if place is not None:
            raise FloatingPointError(
                f"{name}[{place[0]}] is {given[place].item()}; smaller steps of training keep it finite"
            )


def check_noise(noise: Any, shape: tuple[int, ...]) -> None:
    check_tensor("noise", noise)
    if noise.shape != shape:
        raise ValueError(f"noise must have shape {shape}, got {tuple(noise.shape)}")


def check_lengths(lengths: Any, steps: int, batch: int) -> None:
    check_tensor("lengths", lengths)
    if lengths.shape != (batch,) or lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ValueError(
            f"lengths must be {batch} integers, one per sample, got {lengths.dtype} of shape {tuple(lengths.shape)}"
        )
    shortest, longest = (int(bound) for bound in lengths.aminmax())
    if not 1 <= shortest <= longest <= steps:
        raise ValueError(f"lengths must lie in 1 ... {steps}, the steps of the inputs, got {shortest} ... {longest}")


def check_samples(samples: Any, batch: int) -> None:
    check_tensor("samples", samples)
    if samples.shape != (batch,) or samples.dtype != torch.bool:
        raise ValueError(
            f"samples must be {batch} booleans, one per sample, got {samples.dtype} of shape {tuple(samples.shape)}"
        )


def check_state(state: Any, wiring: Wiring, batch: int) -> None:
    if not isinstance(state, State):
        raise ValueError(f"state must be a State, got {type(state).__name__}; State(*parts) makes one")
    sizes = {"step": wiring.max_delay, "sample": batch, "neuron": wiring.n, "readout": wiring.n_out}
    axes = {"pending": ("step", "sample", "neuron"), "y": ("sample", "readout")}
    for name, part in state._asdict().items():
        check_tensor(f"state.{name}", part)
        along = axes.get(name, ("sample", "neuron"))
        found, shape = tuple(part.shape), tuple(sizes[axis] for axis in along)
        if found != shape:
            raise ValueError(f"state.{name} has shape {found}, network and inputs ask for {shape}")
        dtype = torch.int64 if name == "refractory" else wiring.weight.dtype
        if part.dtype != dtype:
            raise ValueError(f"state.{name} is {part.dtype}, the network asks for {dtype}; .to({dtype}) converts it")
        if dtype.is_floating_point:
            check_finite(f"state.{name}", part, *along)
