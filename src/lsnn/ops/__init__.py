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
from lsnn.ops.checks import check_finite, check_inputs, check_network, check_noise, check_state
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
    record: Record | Sequence[Record] = (),
    backend: Backend = "auto",
    memory: Memory = "fast",
) -> tuple[Activity, State]:
    """Run a network over `inputs` from `state`; equations in `lsnn.neuron.step`.

        I[t] = sum over synapses of weight * source[t - delay] + noise_std noise[t]
        y[t] = kappa y[t-1] + (1 - kappa) sum over readout synapses of weight * z[t]

    inputs: spikes (any integer or boolean dtype) or real values, which enter as currents and have to be
        finite.
    noise: standard normal, scaled by constants.noise_std; finite, which is not checked here.
    record: trace or traces to keep beside the readout and the rates.
    backend: "auto" takes the compiled kernel where it can do the job, else the reference; a name takes that one or
        raises.
    memory: "low" keeps a state now and then instead of every voltage, and computes the rest again in the backward
        pass: a fraction of the memory at 1.1 to 1.4 times the time, and the same gradients bit for bit.  The reference
        knows only "fast".

    Returns the activity and the state after the last step.  Running T steps equals running them in two calls with
    the state handed over, bit for bit.  Differentiable in weights, constants, real-valued inputs, noise and state.
    """
    check_inputs(inputs, wiring.n_in)
    check_backend(backend, memory)
    steps, batch, _ = inputs.shape
    check_network(wiring, constants)
    check_state(state, wiring, batch)
    if noise is not None:
        check_noise(noise, (steps, batch, wiring.n))
        noise = noise.to(wiring.weight.dtype)
    record = (record,) if isinstance(record, str) else record
    unknown = set(record) - {"spikes", "voltages", "thresholds"}
    if unknown:
        raise ValueError(f"cannot record {sorted(unknown)}; known: spikes, voltages, thresholds")
    if inputs.is_floating_point():
        inputs = inputs.to(wiring.weight.dtype)
        check_finite("inputs", inputs, "time", "sample", "input")
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


def check_backend(backend: str, memory: str) -> None:
    if backend != "auto" and backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; known: auto, {', '.join(BACKENDS)}")
    if memory not in ("fast", "low"):
        raise ValueError(f"unknown memory {memory!r}; known: fast, low")


def initial_state(wiring: Wiring, batch: int) -> State:
    """A network at rest: everything zero."""
    w = wiring.weight
    n, n_out = wiring.n, wiring.n_out
    v, b, z, z_before = (w.new_zeros(batch, n, requires_grad=False) for _ in range(4))
    refractory = torch.zeros(batch, n, dtype=torch.int64, device=w.device)
    pending = w.new_zeros(()).expand(wiring.max_delay, batch, n)  # one zero, seen everywhere: nobody has to read it
    return State(v, b, z, z_before, refractory, pending, w.new_zeros(batch, n_out))
