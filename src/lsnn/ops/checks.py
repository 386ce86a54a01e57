"""What a network asks of what it is given, each in one clear line."""

from typing import Any

import torch
from torch import Tensor

from lsnn.neuron import State
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
    if not all(bound.isfinite() for bound in given.detach().aminmax()):  # a tenth of the time of all of isfinite
        place = tuple((~given.isfinite()).nonzero()[0].tolist())
        raise ValueError(
            f"{name} must be finite, got {given[place].item()} at ({', '.join(axes)}) = {place}; "
            "torch.nan_to_num replaces such values"
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


def check_state(state: State, wiring: Wiring, batch: int) -> None:
    per_neuron = (batch, wiring.n)
    expected = {name: per_neuron for name in ("v", "b", "z", "z_before", "refractory")}
    expected |= {"pending": (wiring.max_delay, *per_neuron), "y": (batch, wiring.n_out)}
    for name, shape in expected.items():
        found = tuple(getattr(state, name).shape)
        if found != shape:
            raise ValueError(f"state.{name} has shape {found}, network and inputs ask for {shape}")
