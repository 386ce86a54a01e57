"""The compiled kernel: event-driven, sparse, fused, on the CPU; differentiated by hand.

The batch is cut into blocks of lanes, each of which runs through time by itself (`lsnn.ops.kernels`); threads share
out the blocks.  Sums over blocks are taken in a fixed order, so results do not depend on the number of threads.
"""

import itertools
import math
import os
import sys
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numba.core import event
from torch import Tensor

from lsnn.neuron import Constants, State
from lsnn.ops import kernels
from lsnn.ops.activity import Activity, Memory, Record
from lsnn.ops.simd import WORDS
from lsnn.surrogates import SHAPES
from lsnn.synapses import Wiring

GROUPS = 16
"""at most so many partial weight gradients: blocks share them, in an order that threads do not change"""
CHUNK = 16
"""steps after which the window of currents slides"""
SEGMENT = 64
"""least steps that memory="low" runs again at a time"""

_DTYPES = {torch.float32: np.float32, torch.float64: np.float64}


def unsupported(inputs: Tensor, wiring: Wiring, constants: Constants, state: State, noise: Tensor | None) -> str | None:
    """Why the compiled kernel cannot do the job, or None if it can."""
    floats = [wiring.weight, *constants[:5], *(part for part in state if part.is_floating_point())]
    if noise is not None:
        floats.append(noise)
    for tensor in (inputs, *floats):
        if tensor.device.type != "cpu":
            return f"it runs on the CPU, and a tensor is on {tensor.device}"
    dtype = wiring.weight.dtype
    if dtype not in _DTYPES:
        return f"it computes in float32 or float64, and weights are {dtype}"
    if any(tensor.dtype != dtype for tensor in floats):
        return f"weights are {dtype}, and constants, state or noise are not"
    if inputs.is_complex():
        return f"inputs are {inputs.dtype}"
    if constants.surrogate.name not in SHAPES:
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
    job = _Job(inputs, wiring, constants, state.refractory, tuple(record), memory)
    tensors = (job.values, wiring.weight, alpha, rho, beta, v_th, constants.noise_std, noise, *state[:4], *state[5:])
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors):
        results = _Run.apply(job, *tensors)
    else:
        results, _ = _forward(job, _Tensors(*tensors), trained=False, all_slots=False)
    readout, rate, spikes, voltages, thresholds, v, b, z, z_before, pending, y = results
    activity = Activity(readout, rate, spikes, voltages, thresholds)
    return activity, State(v, b, z, z_before, job.refractory, pending, y)


def lanes_for(batch: int) -> int:
    """Samples per block: wide blocks cost less per sample, several can run at the same time."""
    return 8 if batch <= 8 else 16 if batch <= 32 else 32


# ---- synapses in the kernel's order ------------------------------------------------------------------------------


class _Index(NamedTuple):
    """Where each synapse goes in the kernel's arrays; depends on the wiring but not on the weights."""

    slots: np.ndarray
    """the wiring's slot of each synapse, in the kernel's order"""
    row: np.ndarray
    inner: np.ndarray
    offset: np.ndarray
    """see `kernels.Net`"""


def _index(wiring: Wiring, lanes: int) -> _Index:
    """The index of a wiring, kept for the next call until its synapses move."""
    parts = wiring[:3]
    if any(part.is_inference() for part in parts):  # they do not tell when they are written to
        return _build_index(wiring, lanes)
    version = (lanes, wiring.n_in, wiring.n, wiring.n_out, *(part._version for part in parts))
    for known, of, index in _recent:
        if version == known and all(ref() is part for ref, part in zip(of, parts, strict=True)):
            return index
    index = _build_index(wiring, lanes)
    _recent.append((version, tuple(weakref.ref(part) for part in parts), index))
    return index


_recent: deque[tuple[tuple[int, ...], tuple[weakref.ref, ...], _Index]] = deque(maxlen=8)


def _build_index(wiring: Wiring, lanes: int) -> _Index:
    pre, post, delay = (part.contiguous().numpy() for part in wiring[:3])
    n_sources, columns = wiring.n_in + wiring.n, wiring.n + wiring.n_out
    slots = np.arange(len(pre))
    for key, n_keys in ((post, columns), (delay, wiring.max_delay + 1), (pre, n_sources)):
        slots, other = np.empty_like(slots), slots
        row = np.zeros(n_keys + 1, np.int64)
        kernels.sort_by(key, other, row, slots)
    inner = row[:-1] + np.bincount(pre[post >= wiring.n], minlength=n_sources)
    reach = (wiring.max_delay + 1) * columns * lanes
    if reach > np.iinfo(np.int32).max:
        raise ValueError(f"{columns} neurons and readouts with delays up to {wiring.max_delay} are too many to index")
    return _Index(slots, row, inner, ((delay * columns + post)[slots] * lanes).astype(np.int32))


# ---- memory ------------------------------------------------------------------------------------------------------

LINE = 64
"""bytes of a cache line: a vector that lies across two costs twice"""


def _room(shape: int | tuple[int, ...], dtype: type) -> np.ndarray:
    """An uninitialised array that begins at a cache line."""
    return _carve(np.empty(_bytes(shape, dtype) + LINE, np.uint8), (shape, dtype))[0]


def _bytes(shape: int | tuple[int, ...], dtype: type) -> int:
    return int(np.prod(shape)) * np.dtype(dtype).itemsize


def _carve(raw: np.ndarray, *parts: tuple[int | tuple[int, ...], type]) -> list[np.ndarray]:
    """Arrays out of raw bytes, each from a cache line on."""
    arrays, start = [], -raw.ctypes.data % LINE
    for shape, dtype in parts:
        size = _bytes(shape, dtype)
        arrays.append(raw[start : start + size].view(dtype).reshape(shape))
        start += -(-size // LINE) * LINE
    return arrays


_spare: list[np.ndarray] = []


def _reused_room(*parts: tuple[int | tuple[int, ...], type]) -> list[np.ndarray]:
    """Arrays for what one call keeps; their memory returns to a small stock when the last of them is gone.

    Fresh memory costs more than filling it: the kernel hands out and clears every page at the first touch.
    """
    size = sum(_bytes(*part) + LINE for part in parts) + LINE
    fitting = [k for k, raw in enumerate(_spare) if size <= len(raw) <= 2 * size]
    raw = _spare.pop(fitting[-1]) if fitting else np.empty(size, np.uint8)
    lease = np.frombuffer(memoryview(raw), np.uint8)  # arrays carved from it keep it alive
    weakref.finalize(lease, _give_back, raw).atexit = False
    return _carve(lease, *parts)


def _give_back(raw: np.ndarray) -> None:
    _spare.append(raw)
    del _spare[:-2]  # one call at work, one whose graph is still alive


# ---- a call ------------------------------------------------------------------------------------------------------


class _Tensors(NamedTuple):
    """What a call can be differentiated by."""

    values: Tensor | None
    """inputs, where they are no spikes"""
    weight: Tensor
    alpha: Tensor
    rho: Tensor
    beta: Tensor
    v_th: Tensor
    noise_std: Tensor
    noise: Tensor | None
    v: Tensor
    b: Tensor
    z: Tensor
    z_before: Tensor
    pending: Tensor
    y: Tensor


class _Tape(NamedTuple):
    """What the forward pass leaves for the backward pass, by block."""

    z: np.ndarray
    """masks of spikes, (blocks, 2 + time, n)"""
    v: np.ndarray
    b: np.ndarray
    """see `kernels.Kept`; memory="low" keeps none"""
    starts: np.ndarray
    """memory="low": voltages, adaptation and currents to come at the start of each segment"""


class _Job:
    """One call of `run`: what its forward and backward passes share apart from tensors that need gradients."""

    def __init__(
        self,
        inputs: Tensor,
        wiring: Wiring,
        constants: Constants,
        refractory: Tensor,
        record: tuple[Record, ...],
        memory: Memory,
    ) -> None:
        self.constants, self.record = constants, record
        self.steps, self.batch, self.n_in = inputs.shape
        self.lanes = lanes_for(self.batch)
        self.n, self.n_out, self.depth = wiring.n, wiring.n_out, wiring.max_delay
        self.dtype = _DTYPES[wiring.weight.dtype]
        self.word = WORDS[self.lanes](0)
        self.index = _index(wiring, self.lanes)
        self.size = self.n * self.lanes
        self.columns = (self.n + self.n_out) * self.lanes
        self.chunk = min(CHUNK, self.steps)
        self.n_blocks = -(-self.batch // self.lanes)
        self.segments = self._segments(memory)
        self.refractory_before = refractory.numpy()
        self.silent_steps = int(refractory.max())
        self.refractory = refractory.clone()
        self.values: Tensor | None = None
        self.x = self._pack(inputs)
        if self.x is None:
            self.values = inputs.to(wiring.weight.dtype).contiguous()
            self.x = np.empty((self.n_blocks, 0, self.n_in), self.word.dtype)

    def _segments(self, memory: Memory) -> list[tuple[int, int]]:
        """Stretches of time of which the backward pass holds everything at once, the last step excluded."""
        if memory == "fast":
            return [(0, self.steps)]
        # a state kept per segment costs depth + 2 rows, so that segments of this length cost the least together
        length = max(SEGMENT, math.isqrt(self.steps * (self.depth + 2)) // CHUNK * CHUNK)
        return [(start, min(start + length, self.steps)) for start in range(0, self.steps, length)]

    def tape(self, trained: bool, n_slots: int) -> _Tape:
        """Room for what is kept of the forward pass."""
        whole = trained and len(self.segments) == 1
        starts = len(self.segments) if trained and not whole else 0
        return _Tape(
            *_reused_room(
                ((self.n_blocks, self.steps + 2, self.n), self.word.dtype),
                *(((self.n_blocks, *shape), self.dtype) for shape in self._kept(self.steps if whole else 0, n_slots)),
                ((self.n_blocks, starts, 2 * self.size + self.depth * self.columns), self.dtype),
            )
        )

    def _kept(self, steps: int, n_slots: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Shapes of `kernels.Kept` for so many steps."""
        return (steps + 1 if steps else 0, self.size), (-(-steps // self.chunk), n_slots * self.lanes)

    def kept_of_segment(self, n_slots: int) -> kernels.Kept:
        """Room for the longest segment."""
        return kernels.Kept(*(_room(shape, self.dtype) for shape in self._kept(self.segments[0][1], n_slots)))

    def save_start(self, block: kernels.Block, start: np.ndarray) -> None:
        start[: self.size], start[self.size : 2 * self.size] = block.v, block.b
        start[2 * self.size :] = block.window[: self.depth * self.columns]

    def load_start(self, block: kernels.Block, start: np.ndarray) -> None:
        block.v[:], block.b[:] = start[: self.size], start[self.size : 2 * self.size]
        block.window[: self.depth * self.columns] = start[2 * self.size :]
        block.window[self.depth * self.columns :] = 0

    def span(self, block: int) -> tuple[int, int]:
        """First sample of a block, and how many it has."""
        first = block * self.lanes
        return first, min(self.lanes, self.batch - first)

    def _pack(self, inputs: Tensor) -> np.ndarray | None:
        """Input spikes as masks, (blocks, time, n_in); None if they are not spikes."""
        if inputs.requires_grad:
            return None
        spikes = inputs.view(torch.uint8) if inputs.dtype == torch.bool else inputs
        spikes = spikes.contiguous().numpy()
        masks = np.empty((self.n_blocks, self.steps, self.n_in), self.word.dtype)
        binary = [True] * self.n_blocks
        pack = kernels.pack_steps_bytes if spikes.dtype == np.uint8 else kernels.pack_steps

        def work(block: int) -> None:
            binary[block] = pack(spikes, *self.span(block), masks[block])

        _share_out(self.n_blocks, work)
        return masks if all(binary) else None

    def net(self, weight: Tensor) -> kernels.Net:
        values, index = weight.detach().numpy(), self.index
        return kernels.Net(index.row, index.inner, index.offset, values[index.slots], self.n_out, self.depth)

    def cells(self, tensors: _Tensors, all_slots: bool) -> kernels.Neurons:
        """all_slots: keep the adaptation of all neurons, not only of those whose threshold it moves."""
        c, f = self.constants, self.dtype
        a, r, rise, base, amplitude = (np.ascontiguousarray(column.detach().numpy()) for column in tensors[2:7])
        kept = np.ones(self.n, bool) if all_slots else rise != 0
        return kernels.Neurons(
            alpha=a,
            gain=1 - a,
            rho=r,
            entry=1 - r,
            beta=rise,
            v_th=base,
            inverse_v_th=1 / base,
            noise_std=amplitude,
            slot=np.where(kept, np.cumsum(kept) - 1, -1),
            n_ref=c.n_ref,
            reset_delay=c.reset_delay,
            kappa=f(c.kappa),
            leak_in=f(1 - c.kappa),
            shape=list(SHAPES).index(c.surrogate.name),
            dampening=f(c.surrogate.dampening),
            inverse_width=f(1 / c.surrogate.width),
        )

    def block(self, number: int, z: np.ndarray) -> kernels.Block:
        """Room for a block; its state is filled by `kernels.enter`."""
        first, count = self.span(number)
        room = {name: _room(self.size, self.dtype) for name in ("v", "b", "counts")}
        return kernels.Block(
            first,
            count,
            x=self.x[number],
            z=z[number],
            silent=np.empty((self.silent_steps, self.n), self.word.dtype),
            events=np.empty(max(self.n_in, self.n) * self.lanes, np.int32),
            crowds=np.empty(max(self.n_in, self.n) + 1, np.int32),
            silent_now=np.empty(self.n, self.word.dtype),
            x_now=_room(self.n_in * self.lanes, self.dtype),
            y=_room(self.n_out * self.lanes, self.dtype),
            window=self.window(),
            **room,
        )

    def window(self) -> np.ndarray:
        return _room((self.depth + self.chunk) * self.columns, self.dtype)

    def adjoint(
        self,
        n_slots: int,
        weight: np.ndarray,
        constants: np.ndarray,
        all_b: bool,
        values: np.ndarray,
        noise: np.ndarray,
    ) -> kernels.Adjoint:
        """Room for a block's gradients; those of its last state are filled by `kernels.enter_backward`."""
        v, b, reset, rate, z, z_before = _room((6, self.size), self.dtype)
        for rows in (v, b, reset, rate, z, z_before):
            rows[:] = 0
        alpha, rho, beta, v_th, noise_std = constants
        nothing = np.empty(0, self.dtype)
        y = _room(self.n_out * self.lanes, self.dtype)
        traces = {"values": values, "noise": noise}
        sums = {"weight": weight, "alpha": alpha, "rho": rho, "beta": beta, "v_th": v_th}
        b_chunk = _room((self.chunk + 1) * n_slots * self.lanes, self.dtype)
        return kernels.Adjoint(
            v,
            b,
            y,
            reset,
            self.window(),
            rate,
            all_b,
            z,
            z_before,
            usual=kernels.Direct(rate, nothing, nothing, nothing),
            special=kernels.Direct(*_room((4, self.size), self.dtype)),
            b_chunk=b_chunk,
            noise_std=noise_std,
            **sums,
            **traces,
        )

    def over_time(self, tensor: Tensor | None, width: int) -> np.ndarray:
        """A tensor (time, batch, width) as the kernels take it; without steps if it is None."""
        if tensor is None:
            return np.empty((0, self.batch, width), self.dtype)
        return tensor.detach().contiguous().numpy()


def _forward(job: _Job, tensors: _Tensors, trained: bool, all_slots: bool) -> tuple[tuple[Tensor | None, ...], _Tape]:
    """All blocks through time.  Returns the activity's and the state's tensors, and the tape."""
    cells, net = job.cells(tensors, all_slots), job.net(tensors.weight)
    v, b, z, z_before, pending, y = (part.detach().contiguous().numpy() for part in tensors[8:])
    state = (v, b, z, z_before, job.refractory_before, pending, y)
    values, noise = job.over_time(tensors.values, job.n_in), job.over_time(tensors.noise, job.n)

    new, over_time = tensors.weight.new_empty, (job.steps, job.batch)
    readout, rate = new(*over_time, job.n_out), new(job.batch, job.n)
    traces = [new(*over_time, job.n) if name in job.record else None for name in ("spikes", "voltages", "thresholds")]
    outputs = kernels.Outputs(readout.numpy(), *(job.over_time(trace, job.n) for trace in traces))
    last = [new(part.shape) for part in tensors[8:]]
    v, b, z, z_before, pending, y = (part.numpy() for part in last)
    results = (v, b, z, z_before, job.refractory.numpy(), pending, y, rate.numpy())

    tape = job.tape(trained, int(cells.slot.max() + 1))
    binary = [True] * job.n_blocks

    def work(number: int) -> None:
        block = job.block(number, tape.z)
        kept = kernels.Kept(tape.v[number], tape.b[number])
        binary[number] = kernels.enter(block, *state, job.lanes)
        for segment, (t0, t1) in enumerate(job.segments):
            if tape.starts.shape[1]:
                job.save_start(block, tape.starts[number, segment])
            kernels.forward(t0, t1, net, cells, block, values, noise, kept, outputs, job.word)
        kernels.leave(block, cells.n_ref, *results, job.lanes)

    _share_out(job.n_blocks, work)
    if not all(binary):
        raise ValueError("state.z and state.z_before must be 0 or 1 in the compiled kernel; use backend='reference'")
    rate *= 1000 / (job.constants.dt * job.steps)
    return (readout, rate, *traces, *last), tape


class _Run(torch.autograd.Function):
    """`run` as one node of the graph."""

    @staticmethod
    def forward(ctx, job: _Job, *tensors: Tensor | None):
        ctx.set_materialize_grads(False)
        # of alpha, rho, beta or v_th; the job is argument 0
        ctx.all_slots = any(ctx.needs_input_grad[3:7])
        results, tape = _forward(job, _Tensors(*tensors), trained=True, all_slots=ctx.all_slots)
        ctx.job = job
        ctx.save_for_backward(*tensors[:8], *(torch.from_numpy(array) for array in tape))
        return results

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g_readout, g_rate, g_spikes, g_voltages, g_thresholds, g_v, g_b, g_z, g_z_before, g_pending, g_y):
        job: _Job = ctx.job
        tensors = _Tensors(*ctx.saved_tensors[:8], *[None] * 6)
        tape = _Tape(*(array.numpy() for array in ctx.saved_tensors[8:]))
        traces = (job.over_time(g, job.n) for g in (g_spikes, g_voltages, g_thresholds))
        upstream = kernels.Upstream(job.over_time(g_readout, job.n_out), *traces, job.batch)

        def or_zeros(grad: Tensor | None, *shape: int) -> np.ndarray:
            return np.zeros(shape, job.dtype) if grad is None else grad.contiguous().numpy()

        per_neuron = job.batch, job.n
        last = [or_zeros(g, *per_neuron) for g in (g_v, g_b, g_z, g_z_before)]
        last += [or_zeros(g_pending, job.depth, *per_neuron), or_zeros(g_y, job.batch, job.n_out)]
        last.append(or_zeros(g_rate, *per_neuron) * job.dtype(1000 / (job.constants.dt * job.steps)))
        return None, *_backward(job, tensors, tape, upstream, last, ctx.all_slots, ctx.needs_input_grad[1:])


def _backward(
    job: _Job,
    tensors: _Tensors,
    tape: _Tape,
    upstream: kernels.Upstream,
    last: list[np.ndarray],
    all_slots: bool,
    needs: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """All blocks back through time.  Returns the gradient of each of `_Tensors`.

    last: gradients of the last state and, at the end, of the spikes through the rate; all batch first.
    """
    needs = _Tensors(*needs)
    cells, net = job.cells(tensors, all_slots), job.net(tensors.weight)
    values, noise = job.over_time(tensors.values, job.n_in), job.over_time(tensors.noise, job.n)
    nothing = kernels.Outputs(*(np.empty((0, 0, 0), job.dtype) for _ in range(4)))
    g_values = torch.empty_like(tensors.values) if needs.values else None
    g_noise = tensors.noise.new_empty(tensors.noise.shape) if needs.noise else None
    traces = {"values": job.over_time(g_values, job.n_in), "noise": job.over_time(g_noise, job.n)}
    first = [np.empty_like(part) for part in last[:-1]]

    n_groups, n_slots = min(job.n_blocks, GROUPS), int(cells.slot.max() + 1)
    g_weight = np.zeros((n_groups, len(net.weight)), job.dtype)
    g_constants = np.zeros((n_groups, 5, job.size if all_slots or needs.noise_std else 0), job.dtype)
    all_b = bool((last[1][:, cells.slot < 0] != 0).any())
    again = tape.starts.shape[1] > 0

    def work(group: int) -> None:
        kept = job.kept_of_segment(n_slots) if again else None
        for number in range(group, job.n_blocks, n_groups):
            block = job.block(number, tape.z)
            adjoint = job.adjoint(n_slots, g_weight[group], g_constants[group], all_b, **traces)
            kernels.find_first_silent(block, job.refractory_before)
            kernels.enter_backward(block, adjoint, *last, job.lanes)
            for segment in reversed(range(len(job.segments))):
                t0, t1 = job.segments[segment]
                if again:
                    job.load_start(block, tape.starts[number, segment])
                    kernels.forward(t0, t1, net, cells, block, values, noise, kept, nothing, job.word)
                else:
                    kept = kernels.Kept(tape.v[number], tape.b[number])
                kernels.backward(t0, t1, net, cells, block, values, noise, kept, upstream, adjoint, job.word)
            kernels.leave_backward(block, adjoint, *first, job.lanes)

    _share_out(n_groups, work)
    g_slots = np.zeros(len(tensors.weight), job.dtype)
    g_slots[job.index.slots] = g_weight.sum(0)
    by_constant = [None] * 5
    if g_constants.size:
        by_constant = [torch.from_numpy(g) for g in g_constants.reshape(n_groups, 5, job.n, job.lanes).sum((0, 3))]
    return g_values, torch.from_numpy(g_slots), *by_constant, g_noise, *(torch.from_numpy(g) for g in first)


# ---- step by step ------------------------------------------------------------------------------------------------


class Stepper:
    """A network in a closed loop: prepared once, then stepped, its state inside.  No gradients.

    Takes weights and constants as they are now; make a new one after training on.
    """

    def __init__(
        self,
        wiring: Wiring,
        constants: Constants,
        state: State,
        bias: Float[Tensor, " n_out"] | None = None,
    ) -> None:
        batch = len(state.v)
        inputs = torch.zeros(1, batch, wiring.n_in, dtype=wiring.weight.dtype)
        reason = unsupported(inputs, wiring, constants, state, None)
        if reason:
            raise ValueError(f"the compiled kernel cannot step this network: {reason}")
        alpha, rho, beta, v_th = (column[:, 0] for column in constants.coefficients()[:4])
        rest = (None, state.v, state.b, state.z, state.z_before, state.pending, state.y)
        tensors = _Tensors(None, wiring.weight, alpha, rho, beta, v_th, constants.noise_std, *rest)
        job = _Job(inputs, wiring, constants, state.refractory, (), "fast")
        job.silent_steps = max(job.silent_steps, constants.n_ref)
        self._job, self._net, self._cells = job, job.net(wiring.weight), job.cells(tensors, all_slots=False)
        self._dtype = wiring.weight.dtype
        self._bias = np.zeros(wiring.n_out, job.dtype) if bias is None else bias.detach().numpy()
        self._none = np.empty((0, batch, wiring.n_in), job.dtype)
        self._no_noise = np.empty((0, batch, wiring.n), job.dtype)
        self._kept = kernels.Kept(np.empty((0, job.size), job.dtype), np.empty((0, 0), job.dtype))
        z = np.empty((job.n_blocks, 3, wiring.n), job.word.dtype)
        self._blocks = [job.block(number, z) for number in range(job.n_blocks)]
        self.state = state

    def __call__(
        self, inputs: Float[Tensor, "batch n_in"], noise: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch n_out"], Float[Tensor, "batch n"]]:
        """One step.  Returns the readout and the spikes.  noise as in `lsnn.ops.run`."""
        job = self._job
        if inputs.shape != (job.batch, job.n_in):
            raise ValueError(f"inputs must have shape {(job.batch, job.n_in)} (batch, n_in), got {tuple(inputs.shape)}")
        x = inputs.detach().to(self._dtype).contiguous().numpy()[None]
        readout = np.empty((1, job.batch, job.n_out), job.dtype)
        spikes = np.empty((1, job.batch, job.n), job.dtype)
        outputs = kernels.Outputs(readout, spikes, self._no_noise, self._no_noise)
        current = self._no_noise if noise is None else noise.detach().to(self._dtype).contiguous().numpy()[None]
        for block in self._blocks:
            kernels.stream(self._net, self._cells, block, x, self._none, current, self._kept, outputs, job.word)
        return torch.from_numpy(readout[0] + self._bias), torch.from_numpy(spikes[0])

    @property
    def state(self) -> State:
        """Where the network is; may be set, for instance to start an episode."""
        job, rows = self._job, lambda *shape: np.empty(shape, self._job.dtype)
        v, b, z, z_before, rate = (rows(job.batch, job.n) for _ in range(5))
        refractory = np.empty((job.batch, job.n), np.int64)
        pending, y = rows(job.depth, job.batch, job.n), rows(job.batch, job.n_out)
        for block in self._blocks:
            kernels.count_silent(block, refractory)
            past = block._replace(z=block.z[:2])
            kernels.leave(past, self._cells.n_ref, v, b, z, z_before, refractory, pending, y, rate, job.lanes)
        return State(*(torch.from_numpy(part) for part in (v, b, z, z_before, refractory, pending, y)))

    @state.setter
    def state(self, state: State) -> None:
        parts = [part.detach().contiguous().numpy() for part in state]
        if int(state.refractory.max()) > self._job.silent_steps:
            raise ValueError(
                f"state is refractory for {int(state.refractory.max())} steps, neurons for {self._job.silent_steps}"
            )
        for block in self._blocks:
            if not kernels.enter(block, *parts, self._job.lanes):
                raise ValueError("state.z and state.z_before must be 0 or 1")


# ---- threads -----------------------------------------------------------------------------------------------------

_pool: ThreadPoolExecutor | None = None
_pool_size = 0


def _forget_pool() -> None:
    global _pool, _pool_size
    _pool, _pool_size = None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)  # its threads stay with the parent


def _share_out(n_tasks: int, work: Callable[[int], None]) -> None:
    """work(0) ... work(n_tasks - 1), on as many threads as torch uses."""
    global _pool, _pool_size
    n_threads = min(torch.get_num_threads(), n_tasks)
    if n_threads <= 1:
        for task in range(n_tasks):
            work(task)
        return
    if _pool is None or _pool_size < n_threads - 1:
        _pool, _pool_size = ThreadPoolExecutor(n_threads - 1, "lsnn"), n_threads - 1
    left = itertools.count()

    def take() -> None:
        while (task := next(left)) < n_tasks:
            work(task)

    others = [_pool.submit(take) for _ in range(n_threads - 1)]
    take()
    for other in others:
        other.result()


# ---- the first call ----------------------------------------------------------------------------------------------


class _CompileNotice(event.Listener):
    """One line in a terminal when numba finds nothing in its cache on disk: a wait, not a hang."""

    said = False

    def on_start(self, event: event.Event) -> None:
        of_ours = event.data["dispatcher"].py_func.__module__ == kernels.__name__
        if of_ours and not self.said and sys.stderr.isatty():
            self.said = True
            print("lsnn: compiling the kernel for this machine, about 15 s, once ...", file=sys.stderr, flush=True)

    def on_end(self, event: event.Event) -> None:
        pass


event.register("numba:compile", _CompileNotice())
