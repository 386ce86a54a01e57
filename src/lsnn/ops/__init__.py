"""THE kernel function: a network of spiking cells over a stretch of time.  Implementations stand beside each other."""

import warnings
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lsnn.neuron import Constants, State
from lsnn.ops import compiled, reference
from lsnn.ops.activity import Activity as Activity
from lsnn.ops.activity import Memory as Memory
from lsnn.ops.activity import Record as Record
from lsnn.ops.stepper import Stepper as Stepper
from lsnn.synapses import Wiring

Backend = Literal["auto", "reference", "compiled"]
BACKENDS = {"reference": reference.run, "compiled": compiled.run}

_fallbacks_said: set[str] = set()


def run(
    inputs: Shaped[Tensor, "time batch n_in"],
    wiring: Wiring,
    constants: Constants,
    state: State,
    *,
    noise: Float[Tensor, "time batch n"] | None = None,
    record: Sequence[Record] = (),
    backend: Backend = "auto",
    memory: Memory = "fast",
) -> tuple[Activity, State]:
    """Run a network over `inputs` from `state`; equations in `lsnn.neuron.step`.

        I[t] = sum over synapses of weight * source[t - delay] + noise_std noise[t]
        y[t] = kappa y[t-1] + (1 - kappa) sum over readout synapses of weight * z[t]

    inputs: spikes (any integer or boolean dtype) or real values, which enter as currents.
    noise: standard normal, scaled by constants.noise_std.
    record: traces to keep beside the readout and the rates.
    backend: "auto" takes the compiled kernel where it can do the job, else the reference; a name takes that one or
        raises.
    memory: "low" keeps a state now and then instead of every voltage, and computes the rest again in the backward
        pass: a fraction of the memory at about 1.4 times the time, and the same gradients bit for bit.  The reference
        knows only "fast".

    Returns the activity and the state after the last step.  Running T steps equals running them in two calls with
    the state handed over, bit for bit.  Differentiable in weights, constants, real-valued inputs, noise and state.
    """
    if inputs.ndim != 3 or inputs.shape[2] != wiring.n_in:
        raise ValueError(f"inputs must have shape (time, batch, {wiring.n_in}), got {tuple(inputs.shape)}")
    if len(inputs) == 0:
        raise ValueError("inputs have no time steps; give at least one")
    batch = inputs.shape[1]
    _check_state(state, wiring, batch)
    if noise is not None and noise.shape != (len(inputs), batch, wiring.n):
        raise ValueError(f"noise must have shape {(len(inputs), batch, wiring.n)}, got {tuple(noise.shape)}")
    unknown = set(record) - {"spikes", "voltages", "thresholds"}
    if unknown:
        raise ValueError(f"cannot record {sorted(unknown)}; known: spikes, voltages, thresholds")
    if backend != "auto" and backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; known: auto, {', '.join(BACKENDS)}")
    if memory not in ("fast", "low"):
        raise ValueError(f"unknown memory {memory!r}; known: fast, low")
    if backend == "auto":
        reason = compiled.unsupported(inputs, wiring, constants, state, noise)
        backend = "reference" if reason else "compiled"
        if reason and reason not in _fallbacks_said:
            _fallbacks_said.add(reason)
            warnings.warn(
                f"the compiled kernel cannot run this: {reason}; using the reference, which backend='reference' does "
                "without this message",
                stacklevel=2,
            )
    return BACKENDS[backend](inputs, wiring, constants, state, noise, record, memory)


def _check_state(state: State, wiring: Wiring, batch: int) -> None:
    per_neuron = (batch, wiring.n)
    expected = {name: per_neuron for name in ("v", "b", "z", "z_before", "refractory")}
    expected |= {"pending": (wiring.max_delay, *per_neuron), "y": (batch, wiring.n_out)}
    for name, shape in expected.items():
        found = tuple(getattr(state, name).shape)
        if found != shape:
            raise ValueError(f"state.{name} has shape {found}, network and inputs ask for {shape}")


def initial_state(wiring: Wiring, batch: int) -> State:
    """A network at rest: everything zero."""
    w = wiring.weight
    n, n_out = wiring.n, wiring.n_out
    v, b, z, z_before = (w.new_zeros(batch, n, requires_grad=False) for _ in range(4))
    refractory = torch.zeros(batch, n, dtype=torch.int64, device=w.device)
    return State(v, b, z, z_before, refractory, w.new_zeros(wiring.max_delay, batch, n), w.new_zeros(batch, n_out))
