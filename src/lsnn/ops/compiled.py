"""The compiled kernel: event-driven, sparse, fused, on the CPU; differentiated by hand.

The batch is cut into blocks of lanes, each of which runs through time by itself (`lsnn.ops.kernel`); threads share
out the blocks.  Sums over blocks are taken in a fixed order, so results do not depend on the number of threads.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lsnn.neuron import Constants, State
from lsnn.ops.activity import Activity, Memory, Record
from lsnn.ops.kernel import backward, forward
from lsnn.ops.kernel.arrays import Kept, Outputs, Upstream
from lsnn.ops.kernel.job import DTYPES, Job, Tape, Tensors
from lsnn.ops.kernel.threads import share_out
from lsnn.synapses import Wiring

GROUPS = 16
"""at most so many partial weight gradients: blocks share them, in an order that threads do not change"""


def unsupported(inputs: Tensor, wiring: Wiring, constants: Constants, state: State, noise: Tensor | None) -> str | None:
    """Why the compiled kernel cannot do the job, or None if it can."""
    floats = [wiring.weight, *constants[:5], *(part for part in state if part.is_floating_point())]
    if noise is not None:
        floats.append(noise)
    for tensor in (inputs, *floats):
        if tensor.device.type != "cpu":
            return f"it runs on the CPU, and a tensor is on {tensor.device}"
    dtype = wiring.weight.dtype
    if dtype not in DTYPES:
        return f"it computes in float32 or float64, and weights are {dtype}"
    if any(tensor.dtype != dtype for tensor in floats):
        return f"weights are {dtype}, and constants, state or noise are not"
    if inputs.is_complex():
        return f"inputs are {inputs.dtype}"
    if constants.surrogate.name not in backward.SHAPES:
        return f"it does not know the surrogate {constants.surrogate.name!r}"
    return None


def run(
    inputs: Shaped[Tensor, "time batch n_in"],
    wiring: Wiring,
    constants: Constants,
    state: State,
    noise: Float[Tensor, "time batch n"] | None,
    record: Sequence[Record],
    memory: Memory = "fast",
) -> tuple[Activity, State]:
    """Same signature and meaning as `lsnn.ops.run`."""
    reason = unsupported(inputs, wiring, constants, state, noise)
    if reason:
        raise ValueError(f"the compiled kernel cannot run this: {reason}; use backend='reference' or 'auto'")
    alpha, rho, beta, v_th = (column[:, 0] for column in constants.coefficients()[:4])
    job = Job(inputs, wiring, constants, state.refractory, tuple(record), memory)
    tensors = (job.values, wiring.weight, alpha, rho, beta, v_th, constants.noise_std, noise, *state[:4], *state[5:])
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors):
        results = _Run.apply(job, *tensors)
    else:
        results, _ = _forward(job, Tensors(*tensors), trained=False, all_slots=False)
    readout, rate, spikes, voltages, thresholds, v, b, z, z_before, pending, y = results
    activity = Activity(readout, rate, spikes, voltages, thresholds)
    return activity, State(v, b, z, z_before, job.refractory, pending, y)


def _forward(job: Job, tensors: Tensors, trained: bool, all_slots: bool) -> tuple[tuple[Tensor | None, ...], Tape]:
    """All blocks through time.  Returns the activity's and the state's tensors, and the tape."""
    cells, net = job.cells(tensors, all_slots), job.net(tensors.weight)
    pending = tensors.pending.detach()
    if not any(pending.stride()) and not pending[:1, :1, :1].any():  # the one of `lsnn.ops.initial_state`
        pending = pending[:, :0]
    v, b, z, z_before, pending, y = (
        part.detach().contiguous().numpy() for part in (*tensors[8:12], pending, tensors.y)
    )
    state = (v, b, z, z_before, job.refractory_before, pending, y)
    values, noise = job.over_time(tensors.values, job.n_in), job.over_time(tensors.noise, job.n)

    new, over_time = tensors.weight.new_empty, (job.steps, job.batch)
    readout, rate = new(*over_time, job.n_out), new(job.batch, job.n)
    traces = [new(*over_time, job.n) if name in job.record else None for name in ("spikes", "voltages", "thresholds")]
    outputs = Outputs(readout.numpy(), *(job.over_time(trace, job.n) for trace in traces))
    last = [new(part.shape) for part in tensors[8:]]
    v, b, z, z_before, pending, y = (part.numpy() for part in last)
    results = (v, b, z, z_before, job.refractory.numpy(), pending, y, rate.numpy())

    tape = job.tape(trained, int(cells.slot.max() + 1))
    binary = [True] * job.n_blocks

    def work(number: int) -> None:
        block = job.block(number, tape.z)
        kept = Kept(tape.v[number], tape.b[number])
        binary[number] = forward.enter(block, *state, job.lanes)
        for segment, (t0, t1) in enumerate(job.segments):
            if tape.starts.shape[1]:
                job.save_start(block, tape.starts[number, segment])
            forward.run(t0, t1, net, cells, block, values, noise, kept, outputs, job.word)
        forward.leave(block, cells.n_ref, *results, job.lanes)

    share_out(job.n_blocks, work)
    if not all(binary):
        raise ValueError("state.z and state.z_before must be 0 or 1 in the compiled kernel; use backend='reference'")
    rate *= 1000 / (job.constants.dt * job.steps)
    return (readout, rate, *traces, *last), tape


class _Run(torch.autograd.Function):
    """`run` as one node of the graph."""

    @staticmethod
    def forward(ctx, job: Job, *tensors: Tensor | None):
        ctx.set_materialize_grads(False)
        # of alpha, rho, beta or v_th; the job is argument 0
        ctx.all_slots = any(ctx.needs_input_grad[3:7])
        results, tape = _forward(job, Tensors(*tensors), trained=True, all_slots=ctx.all_slots)
        ctx.job = job
        ctx.save_for_backward(*tensors[:8], *(torch.from_numpy(array) for array in tape))
        return results

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g_readout, g_rate, g_spikes, g_voltages, g_thresholds, g_v, g_b, g_z, g_z_before, g_pending, g_y):
        job: Job = ctx.job
        saved = ctx.saved_tensors  # may be read once: torch.utils.checkpoint frees them
        tensors = Tensors(*saved[:8], *[None] * 6)
        tape = Tape(*(array.numpy() for array in saved[8:]))
        traces = (job.over_time(g, job.n) for g in (g_spikes, g_voltages, g_thresholds))
        upstream = Upstream(job.over_time(g_readout, job.n_out), *traces, job.batch)

        def or_none(grad: Tensor | None, *shape: int) -> np.ndarray:
            """Without samples where there is no gradient."""
            return np.empty(shape, job.dtype) if grad is None else grad.contiguous().numpy()

        last = [or_none(g, 0, job.n) for g in (g_v, g_b, g_z, g_z_before)]
        last += [or_none(g_pending, job.depth, 0, job.n), or_none(g_y, 0, job.n_out)]
        last.append(or_none(g_rate, 0, job.n) * job.dtype(1000 / (job.constants.dt * job.steps)))
        return None, *_backward(job, tensors, tape, upstream, last, ctx.all_slots, ctx.needs_input_grad[1:])


def _backward(
    job: Job,
    tensors: Tensors,
    tape: Tape,
    upstream: Upstream,
    last: list[np.ndarray],
    all_slots: bool,
    needs: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """All blocks back through time.  Returns the gradient of each of `Tensors`.

    last: gradients of the last state and, at the end, of the spikes through the rate; all batch first, and without
        samples where there is none.
    """
    needs = Tensors(*needs)
    cells, net = job.cells(tensors, all_slots), job.net(tensors.weight)
    values, noise = job.over_time(tensors.values, job.n_in), job.over_time(tensors.noise, job.n)
    nothing = Outputs(*(np.empty((0, 0, 0), job.dtype) for _ in range(4)))
    g_values = torch.empty_like(tensors.values) if needs.values else None
    g_noise = tensors.noise.new_empty(tensors.noise.shape) if needs.noise else None
    traces = {"values": job.over_time(g_values, job.n_in), "noise": job.over_time(g_noise, job.n)}
    of_state = any(needs[8:])
    per_neuron = (job.batch, job.n)
    shapes = [per_neuron] * 4 + [(job.depth, *per_neuron), (job.batch, job.n_out)]
    first = [torch.empty(shape, dtype=tensors.weight.dtype) for shape in shapes] if of_state else [None] * 6

    n_groups, n_slots = min(job.n_blocks, GROUPS), int(cells.slot.max() + 1)
    g_synapses = [
        np.zeros((n_groups, *part.shape), job.dtype) for part in (net.weight, net.from_inputs, net.from_neurons)
    ]
    g_constants = np.zeros((n_groups, 5, job.size if all_slots or needs.noise_std else 0), job.dtype)
    all_b = bool((last[1][:, cells.slot < 0] != 0).any())
    again = tape.starts.shape[1] > 0

    def work(group: int) -> None:
        kept = job.kept_of_segment(n_slots) if again else None
        for number in range(group, job.n_blocks, n_groups):
            block = job.block(number, tape.z)
            synapses = [part[group] for part in g_synapses]
            adjoint = job.adjoint(n_slots, *synapses, g_constants[group], all_b, **traces)
            forward.find_first_silent(block, job.refractory_before)
            backward.enter(block, adjoint, *last, job.lanes)
            for segment in reversed(range(len(job.segments))):
                t0, t1 = job.segments[segment]
                if again:
                    job.load_start(block, tape.starts[number, segment])
                    forward.run(t0, t1, net, cells, block, values, noise, kept, nothing, job.word)
                else:
                    kept = Kept(tape.v[number], tape.b[number])
                backward.run(t0, t1, net, cells, block, values, noise, kept, upstream, adjoint, job.word)
            if of_state:
                backward.leave(block, adjoint, *(part.numpy() for part in first), job.lanes)

    share_out(n_groups, work)
    g_slots = job.index.by_slot(*(part.sum(0) for part in g_synapses))
    by_constant = [None] * 5
    if g_constants.size:
        by_constant = [torch.from_numpy(g) for g in g_constants.reshape(n_groups, 5, job.n, job.lanes).sum((0, 3))]
    return g_values, torch.from_numpy(g_slots), *by_constant, g_noise, *first
