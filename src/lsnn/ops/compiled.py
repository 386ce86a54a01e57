"""The compiled kernel: event-driven, sparse, fused, on the CPU; differentiated by hand.

The batch is cut into blocks of lanes, each of which runs through time by itself (`lsnn.ops.kernels`); threads share
out the blocks.  Sums over blocks are taken in a fixed order, so results do not depend on the number of threads.
"""

import itertools
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lsnn.neuron import Constants, State
from lsnn.ops import kernels
from lsnn.ops.activity import Activity, Record
from lsnn.ops.simd import WORDS
from lsnn.surrogates import SHAPES
from lsnn.synapses import Wiring

GROUPS = 16
"""at most so many partial weight gradients: blocks share them, in an order that threads do not change"""
CHUNK = 16
"""steps after which the window of currents slides"""

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
    inputs: Float[Tensor, "time batch n_in"],
    wiring: Wiring,
    constants: Constants,
    state: State,
    noise: Float[Tensor, "time batch n"] | None,
    record: Sequence[Record],
) -> tuple[Activity, State]:
    """Same signature and meaning as `lsnn.ops.run`."""
    reason = unsupported(inputs, wiring, constants, state, noise)
    if reason:
        raise ValueError(f"the compiled kernel cannot run this: {reason}; use backend='reference' or 'auto'")
    coefficients = constants.coefficients()
    alpha, rho, beta, v_th = (column[:, 0] for column in coefficients[:4])
    differentiable = (wiring.weight, alpha, rho, beta, v_th, constants.noise_std, noise, *state[:4], *state[5:])
    job = _Job(inputs, wiring, constants, state.refractory, tuple(record), lanes_for(inputs.shape[1]))
    results = _Run.apply(job, job.values, *differentiable)
    readout, rate, spikes, voltages, thresholds, v, b, z, z_before, pending, y = results
    activity = Activity(readout, rate, spikes, voltages, thresholds)
    return activity, State(v, b, z, z_before, job.refractory, pending, y)


def lanes_for(batch: int) -> int:
    """Samples per block: wide blocks cost less per sample, several can run at the same time."""
    return 8 if batch <= 16 else 16 if batch <= 64 else 32


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
    pre, post, delay = (part.numpy() for part in wiring[:3])
    n, n_in, n_out = wiring.n, wiring.n_in, wiring.n_out
    slots = np.lexsort((post, delay, pre))
    row = np.searchsorted(pre[slots], np.arange(n_in + n + 1))
    to_readout = np.bincount(pre[post >= n], minlength=n_in + n)
    offset = (delay * (n + n_out) + post)[slots] * lanes
    return _Index(slots, row, row[:-1] + to_readout, offset.astype(np.int32))


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


class _Job:
    """One call of `run`: what its forward and backward passes share apart from tensors that need gradients."""

    def __init__(
        self,
        inputs: Tensor,
        wiring: Wiring,
        constants: Constants,
        refractory: Tensor,
        record: tuple[Record, ...],
        lanes: int,
    ) -> None:
        self.constants, self.record, self.lanes = constants, record, lanes
        self.steps, self.batch, self.n_in = inputs.shape
        self.n, self.n_out, self.depth = wiring.n, wiring.n_out, wiring.max_delay
        self.dtype = _DTYPES[wiring.weight.dtype]
        self.word = WORDS[lanes](0)
        self.index = _index(wiring, lanes)
        self.size = self.n * lanes
        self.chunk = min(CHUNK, self.steps)
        self.n_blocks = -(-self.batch // lanes)
        self.refractory_before = refractory.numpy()
        self.refractory = refractory.clone()
        self.values: Tensor | None = None
        self.x = self._pack(inputs)
        if self.x is None:
            self.values = inputs.to(wiring.weight.dtype).contiguous()
            self.x = np.empty((self.n_blocks, 0, self.n_in), self.word.dtype)

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

        def work(block: int) -> None:
            binary[block] = kernels.pack_steps(spikes, *self.span(block), masks[block])

        _share_out(self.n_blocks, work)
        return masks if all(binary) else None

    def net(self, weight: Tensor) -> kernels.Net:
        values, index = weight.detach().numpy(), self.index
        return kernels.Net(index.row, index.inner, index.offset, values[index.slots], self.n_out, self.depth)

    def cells(
        self, alpha: Tensor, rho: Tensor, beta: Tensor, v_th: Tensor, noise_std: Tensor, all_slots: bool
    ) -> kernels.Neurons:
        c, f = self.constants, self.dtype
        columns = (alpha, rho, beta, v_th, noise_std)
        a, r, rise, base, amplitude = (np.ascontiguousarray(column.detach().numpy()) for column in columns)
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

    def block(self, number: int, z: np.ndarray, silent_steps: int) -> kernels.Block:
        """Room for a block; its state is filled by `kernels.enter`."""
        first, count = self.span(number)
        room = {name: _room(self.size, self.dtype) for name in ("v", "b", "counts")}
        return kernels.Block(
            first,
            count,
            x=self.x[number],
            z=z[number],
            silent=np.empty((silent_steps, self.n), self.word.dtype),
            events=np.empty(max(self.n_in, self.n) * self.lanes, np.int32),
            crowds=np.empty(max(self.n_in, self.n) + 1, np.int32),
            silent_now=np.empty(self.n, self.word.dtype),
            x_now=_room(self.n_in * self.lanes, self.dtype),
            y=_room(self.n_out * self.lanes, self.dtype),
            window=self.window(),
            **room,
        )

    def window(self) -> np.ndarray:
        return _room((self.depth + self.chunk) * (self.n + self.n_out) * self.lanes, self.dtype)

    def adjoint(
        self,
        n_slots: int,
        weight: np.ndarray,
        constants: np.ndarray,
        values: np.ndarray,
        noise: np.ndarray,
        all_b: bool,
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


class _Run(torch.autograd.Function):
    """`run` as one node of the graph."""

    @staticmethod
    def forward(ctx, job, values, weight, alpha, rho, beta, v_th, noise_std, noise, v, b, z, z_before, pending, y):
        ctx.set_materialize_grads(False)
        constants = (alpha, rho, beta, v_th, noise_std)
        trained = any(ctx.needs_input_grad)
        cells = job.cells(*constants, all_slots=any(ctx.needs_input_grad[3:7]))
        net = job.net(weight)
        state = [part.detach().contiguous().numpy() for part in (v, b, z, z_before)]
        state += [job.refractory_before, *(part.detach().contiguous().numpy() for part in (pending, y))]
        x_values, x_noise = job.over_time(values, job.n_in), job.over_time(noise, job.n)

        new = weight.new_empty
        over_time = job.steps, job.batch
        readout, rate = new(*over_time, job.n_out), new(job.batch, job.n)
        traces = [
            new(*over_time, job.n) if name in job.record else None for name in ("spikes", "voltages", "thresholds")
        ]
        outputs = kernels.Outputs(readout.numpy(), *(job.over_time(trace, job.n) for trace in traces))
        last = [new(part.shape) for part in (v, b, z, z_before, pending, y)]
        v1, b1, z1, z_before1, pending1, y1 = (part.numpy() for part in last)
        refractory = job.refractory.numpy()

        rows = job.steps + 1 if trained else 0
        n_chunks = -(-job.steps // job.chunk) if trained else 0
        n_slots = int(cells.slot.max() + 1)
        masks, kept_v, kept_b = _reused_room(
            ((job.n_blocks, job.steps + 2, job.n), job.word.dtype),
            ((job.n_blocks, rows, job.size), job.dtype),
            ((job.n_blocks, n_chunks, n_slots * job.lanes), job.dtype),
        )
        silent_steps = int(job.refractory_before.max(initial=0))
        binary = [True] * job.n_blocks

        def work(number: int) -> None:
            block = job.block(number, masks, silent_steps)
            kept = kernels.Kept(kept_v[number], kept_b[number])
            binary[number] = kernels.enter(block, *state, job.lanes)
            kernels.forward(0, job.steps, net, cells, block, x_values, x_noise, kept, outputs, job.word)
            kernels.leave(block, cells.n_ref, v1, b1, z1, z_before1, refractory, pending1, y1, rate.numpy(), job.lanes)

        _share_out(job.n_blocks, work)
        if not all(binary):
            raise ValueError(
                "state.z and state.z_before must be 0 or 1 in the compiled kernel; use backend='reference'"
            )
        rate *= 1000 / (job.constants.dt * job.steps)
        if trained:
            ctx.job, ctx.silent_steps = job, silent_steps
            ctx.save_for_backward(
                values, weight, *constants, noise, *(torch.from_numpy(a) for a in (masks, kept_v, kept_b))
            )
        return readout, rate, *traces, *last

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g_readout, g_rate, g_spikes, g_voltages, g_thresholds, g_v, g_b, g_z, g_z_before, g_pending, g_y):
        job = ctx.job
        values, weight, *constants, noise, masks, kept_v, kept_b = ctx.saved_tensors
        needs = ctx.needs_input_grad
        wants_constants = any(needs[3:7])
        masks, kept_v, kept_b = masks.numpy(), kept_v.numpy(), kept_b.numpy()
        cells, net = job.cells(*constants, all_slots=wants_constants), job.net(weight)
        x_values, x_noise = job.over_time(values, job.n_in), job.over_time(noise, job.n)
        upstream = kernels.Upstream(
            job.over_time(g_readout, job.n_out),
            *(job.over_time(g, job.n) for g in (g_spikes, g_voltages, g_thresholds)),
            job.batch,
        )
        g_values = torch.empty_like(values) if needs[1] else None
        g_noise = torch.empty_like(noise, memory_format=torch.contiguous_format) if needs[8] else None
        g_of_values, g_of_noise = job.over_time(g_values, job.n_in), job.over_time(g_noise, job.n)

        def zeros_if_none(grad: Tensor | None, *shape: int) -> np.ndarray:
            return (weight.new_zeros(shape) if grad is None else grad.contiguous()).numpy()

        per_neuron = job.batch, job.n
        last = [zeros_if_none(g, *per_neuron) for g in (g_v, g_b, g_z, g_z_before)]
        last += [zeros_if_none(g_pending, job.depth, *per_neuron), zeros_if_none(g_y, job.batch, job.n_out)]
        rate_scale = 1000 / (job.constants.dt * job.steps)
        last.append(zeros_if_none(g_rate, *per_neuron) * job.dtype(rate_scale))
        all_b = bool((last[1][:, cells.slot < 0] != 0).any())
        first = [np.empty(per_neuron, job.dtype) for _ in range(4)]
        first += [np.empty((job.depth, *per_neuron), job.dtype), np.empty((job.batch, job.n_out), job.dtype)]

        n_groups = min(job.n_blocks, GROUPS)
        g_weight = np.zeros((n_groups, len(net.weight)), job.dtype)
        n_slots = int(cells.slot.max() + 1)
        g_constants = np.zeros((n_groups, 5, job.size if wants_constants or needs[7] else 0), job.dtype)

        def work(group: int) -> None:
            for number in range(group, job.n_blocks, n_groups):
                block = job.block(number, masks, ctx.silent_steps)
                kept = kernels.Kept(kept_v[number], kept_b[number])
                adjoint = job.adjoint(n_slots, g_weight[group], g_constants[group], g_of_values, g_of_noise, all_b)
                kernels.find_first_silent(block, job.refractory_before)
                kernels.enter_backward(block, adjoint, *last, job.lanes)
                kernels.backward(0, job.steps, net, cells, block, x_values, x_noise, kept, upstream, adjoint, job.word)
                kernels.leave_backward(block, adjoint, *first, job.lanes)

        _share_out(n_groups, work)
        g_all = np.zeros(len(weight), job.dtype)
        g_all[job.index.slots] = g_weight.sum(0)
        by_constant = [None] * 5
        if g_constants.size:
            by_constant = [torch.from_numpy(g) for g in g_constants.reshape(n_groups, 5, job.n, job.lanes).sum((0, 3))]
        return None, g_values, torch.from_numpy(g_all), *by_constant, g_noise, *(torch.from_numpy(g) for g in first)


# ---- threads -----------------------------------------------------------------------------------------------------

_pool: ThreadPoolExecutor | None = None
_pool_size = 0


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
