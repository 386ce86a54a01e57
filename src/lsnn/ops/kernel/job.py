"""One call of the kernel: room for it, and its inputs as the loops take them."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lsnn.neuron import Constants
from lsnn.ops.activity import Memory, Record
from lsnn.ops.kernel import lanes as kernel_lanes
from lsnn.ops.kernel.arrays import MARGIN, Adjoint, Block, Direct, Kept, Net, Neurons
from lsnn.ops.kernel.backward import SHAPES
from lsnn.ops.kernel.index import index_of
from lsnn.ops.kernel.memory import Stock
from lsnn.ops.kernel.simd import REGISTER, WORDS
from lsnn.ops.kernel.threads import share_out
from lsnn.synapses import Wiring

CHUNK = 8
"""steps after which the window of currents slides, at least: a window of long delays, which is costly to move, more"""
SEGMENT = 64
"""least steps that memory="low" runs again at a time"""

TAPES = Stock(2)
"""one call at work, one whose graph is still alive"""
BLOCKS = Stock(16)
"""a block's forward and backward pass for each of several threads"""

DTYPES = {torch.float32: np.float32, torch.float64: np.float64}


def lanes_for(batch: int) -> int:
    """Most samples per block: wide blocks cost less per sample, several can run at the same time.

    A block's single-precision numbers fill two registers at most: of 32 samples with AVX2, the sparse loops were up to
    a third slower than of 16, a dense network as fast.
    """
    return 8 if batch <= 16 else 16 if batch <= 32 else 2 * REGISTER // 4


class Tensors(NamedTuple):
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


class Tape(NamedTuple):
    """What the forward pass leaves for the backward pass, by block."""

    z: np.ndarray
    """masks of spikes, (blocks, 2 + time, n)"""
    v: np.ndarray
    b: np.ndarray
    """see `Kept`; memory="low" keeps none"""
    starts: np.ndarray
    """memory="low": voltages, adaptation and currents to come at the start of each segment"""


class Job:
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
        self.dtype = DTYPES[wiring.weight.dtype]
        self.word = WORDS[self.lanes](0)
        self.index = index_of(wiring, self.lanes)
        self.size = self.n * self.lanes
        self.columns = (self.n + self.n_out) * self.lanes
        self.chunk = min(max(CHUNK, self.depth // 2), self.steps)
        self.n_blocks = -(-self.batch // self.lanes)
        self.block_size = -(-self.batch // self.n_blocks)
        self.segments = self._segments(memory)
        self.refractory_before = refractory.clone().numpy()  # which the caller may change before the backward pass
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
        best = max(SEGMENT, math.isqrt(self.steps * (self.depth + 2)))
        length = -(-best // self.chunk) * self.chunk  # whole chunks, over which some gradients are summed up
        return [(start, min(start + length, self.steps)) for start in range(0, self.steps, length)]

    def tape(self, trained: bool, n_slots: int) -> Tape:
        """Room for what is kept of the forward pass."""
        whole = trained and len(self.segments) == 1
        starts = len(self.segments) if trained and not whole else 0
        v, b = self._kept(self.steps if whole else 0, n_slots)
        parts = {"v": v, "b": b, "starts": (starts, 2 * self.size + self.depth * self.columns)}
        rooms = TAPES.lease(
            z=((self.n_blocks, self.steps + 2, self.n), self.word.dtype),
            **{name: ((self.n_blocks, *shape), self.dtype) for name, shape in parts.items()},
        )
        return Tape(**rooms)

    def _kept(self, steps: int, n_slots: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Shapes of `Kept` for so many steps."""
        return (steps + 1 if steps else 0, self.size), (-(-steps // self.chunk), n_slots * self.lanes)

    def kept_of_segment(self, n_slots: int) -> Kept:
        """Room for the longest segment."""
        v, b = self._kept(self.segments[0][1], n_slots)
        return Kept(**BLOCKS.lease(v=(v, self.dtype), b=(b, self.dtype)))

    def save_start(self, block: Block, start: np.ndarray) -> None:
        start[: self.size], start[self.size : 2 * self.size] = block.v, block.b
        start[2 * self.size :] = block.window[: self.depth * self.columns]

    def load_start(self, block: Block, start: np.ndarray) -> None:
        block.v[:], block.b[:] = start[: self.size], start[self.size : 2 * self.size]
        block.window[: self.depth * self.columns] = start[2 * self.size :]
        block.window[self.depth * self.columns :] = 0

    def span(self, block: int) -> tuple[int, int]:
        """First sample of a block, and how many it has."""
        first = block * self.block_size
        return first, min(self.block_size, self.batch - first)

    def _pack(self, inputs: Tensor) -> np.ndarray | None:
        """Input spikes as masks, (blocks, time, n_in); None if they are not spikes."""
        if inputs.requires_grad:
            return None
        spikes = inputs.view(torch.uint8) if inputs.dtype == torch.bool else inputs
        spikes = spikes.contiguous().numpy()
        masks = np.empty((self.n_blocks, self.steps, self.n_in), self.word.dtype)
        binary = [True] * self.n_blocks
        pack = kernel_lanes.pack_steps_bytes if spikes.dtype == np.uint8 else kernel_lanes.pack_steps

        def work(block: int) -> None:
            binary[block] = pack(spikes, *self.span(block), masks[block])

        share_out(self.n_blocks, work)
        return masks if all(binary) else None

    def net(self, weight: Tensor) -> Net:
        return self.index.net(weight.detach().numpy())

    def cells(self, tensors: Tensors, all_slots: bool) -> Neurons:
        """all_slots: keep the adaptation of all neurons, not only of those whose threshold it moves."""
        c, f = self.constants, self.dtype
        a, r, rise, base, amplitude = (np.ascontiguousarray(column.detach().numpy()) for column in tensors[2:7])
        kept = np.ones(self.n, bool) if all_slots else rise != 0
        return Neurons(
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
            shape=SHAPES.index(c.surrogate.name),
            dampening=f(c.surrogate.dampening),
            inverse_width=f(1 / c.surrogate.width),
            through_reset=f("reset" not in c.detach),
            through_threshold=f("threshold" not in c.detach),
        )

    def block(self, number: int, z: np.ndarray) -> Block:
        """Room for a block; its state is filled by `forward.enter`."""
        first, count = self.span(number)
        sources, word = max(self.n_in, self.n), self.word.dtype
        stride = self.index.from_neurons.shape[1] if self.index.full else 0
        rows = {name: (self.size, self.dtype) for name in ("v", "b", "counts")}
        rooms = BLOCKS.lease(
            silent=((self.silent_steps, self.n), word),
            events=(sources * self.lanes, np.int32),
            busy=(sources + 1, np.int32),
            silent_now=(self.n, word),
            x_now=(max(-(-self.n_in // 8) * 8, self.chunk) * self.lanes, self.dtype),
            y=(self.n_out * self.lanes, self.dtype),
            window=(self.window, self.dtype),
            across=(self.lanes * stride, self.dtype),
            **rows,
        )
        return Block(first, count, x=self.x[number], z=z[number], **rooms)

    @property
    def window(self) -> int:
        """Numbers in a window of time."""
        return (self.depth + self.chunk) * self.columns + MARGIN * self.lanes

    def adjoint(
        self,
        n_slots: int,
        weight: np.ndarray,
        from_inputs: np.ndarray,
        from_neurons: np.ndarray,
        constants: np.ndarray,
        all_b: bool,
        values: np.ndarray,
        noise: np.ndarray,
    ) -> Adjoint:
        """Room for a block's gradients; those of its last state are filled by `backward.enter`."""
        rows = ("v", "b", "reset", "rate", "z", "z_before", "direct_z", "direct_v", "direct_b", "direct_threshold")
        rooms = BLOCKS.lease(
            y=(self.n_out * self.lanes, self.dtype),
            window=(self.window, self.dtype),
            b_chunk=((self.chunk + 1) * n_slots * self.lanes, self.dtype),
            back=(len(from_neurons) * self.lanes, self.dtype),
            **{name: (self.size, self.dtype) for name in rows},
        )
        special = Direct(*(rooms.pop(name) for name in rows if name.startswith("direct")))
        nothing = np.empty(0, self.dtype)
        alpha, rho, beta, v_th, noise_std = constants
        return Adjoint(
            **rooms,
            all_b=all_b,
            usual=Direct(rooms["rate"], nothing, nothing, nothing),
            special=special,
            weight=weight,
            from_inputs=from_inputs,
            from_neurons=from_neurons,
            alpha=alpha,
            rho=rho,
            beta=beta,
            v_th=v_th,
            noise_std=noise_std,
            values=values,
            noise=noise,
        )

    def over_time(self, tensor: Tensor | None, width: int) -> np.ndarray:
        """A tensor (time, batch, width) as the kernels take it; without steps if it is None."""
        if tensor is None:
            return np.empty((0, self.batch, width), self.dtype)
        return tensor.detach().contiguous().numpy()
