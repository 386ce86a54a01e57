"""Between arrays (batch, rows) of the outside world and (rows, lanes) of a block, and masks from spikes."""

import numpy as np

from lsnn.ops.kernel.jit import jit
from lsnn.ops.kernel.simd import differs, line_of, load, pack_square, peek, poke, width


@jit
def copy(source, target):
    """As many numbers as the source has."""
    for p in range(len(source)):
        poke(target, p, peek(source, p))


@jit
def gather_lanes(samples, start, n, size, rows, to, lanes):
    """rows (n, lanes), from flat position `to` on <- samples (size, n), from `start` on; idle lanes become zero."""
    for i in range(n):
        for lane in range(size):
            poke(rows, to + i * lanes + lane, peek(samples, start + lane * n + i))
        for lane in range(size, lanes):
            poke(rows, to + i * lanes + lane, 0)


@jit
def any_number(array, start, n):
    """Whether any of n numbers from flat position `start` on differs from zero."""
    line = line_of(array)
    vectors = n - n % width(line)
    seen = 0
    for p in range(start, start + vectors, width(line)):
        seen |= differs(load(array, p, line), 0)
    for p in range(start + vectors, start + n):
        seen |= peek(array, p) != 0
    return seen != 0


@jit
def add_lanes(samples, start, n, size, rows, lanes):
    """rows (n, lanes) += samples (size, n), from flat position `start` on."""
    for lane in range(size):
        for i in range(n):
            p = i * lanes + lane
            poke(rows, p, peek(rows, p) + peek(samples, start + lane * n + i))


@jit
def scatter_lanes(rows, begin, lanes, samples, start, n, size):
    """samples (size, n), from flat position `start` on <- rows (n, lanes), from `begin` on."""
    for lane in range(size):
        for i in range(n):
            poke(samples, start + lane * n + i, peek(rows, begin + i * lanes + lane))


@jit
def pack(samples, start, n, size, masks, to):
    """masks (n,), from flat position `to` on <- samples (size, n) of 0 and 1, from `start` on.

    False if there is another value.
    """
    for i in range(n):
        poke(masks, to + i, 0)
    strange = 0
    for lane in range(size):
        for i in range(n):
            value = peek(samples, start + lane * n + i)
            bit = 1 if value != 0 else 0
            strange |= value != bit
            poke(masks, to + i, peek(masks, to + i) | (bit << lane))
    return strange == 0


@jit
def pack_bytes(samples, start, n, size, masks, to):
    """`pack` for bytes, many inputs at a time."""
    if n < 16:
        return pack(samples, start, n, size, masks, to)
    strange = np.uint64(0)
    for i in range(0, n - 63, 64):
        strange |= pack_square(samples, start + i, n, size, masks, to + i, np.uint64(0))
    for i in range(n - n % 64, n - 15, 16):
        strange |= pack_square(samples, start + i, n, size, masks, to + i, np.uint16(0))
    if n % 16:
        strange |= pack_square(samples, start + n - 16, n, size, masks, to + n - 16, np.uint16(0))
    return strange == 0


@jit
def pack_steps(samples, first, size, masks):
    """masks (time, n) <- samples (time, batch, n) of 0 and 1.  False if there is another value."""
    steps, batch, n = samples.shape
    for t in range(steps):
        if not pack(samples, (t * batch + first) * n, n, size, masks, t * n):
            return False
    return True


@jit
def pack_steps_bytes(samples, first, size, masks):
    """`pack_steps` for bytes."""
    steps, batch, n = samples.shape
    for t in range(steps):
        if not pack_bytes(samples, (t * batch + first) * n, n, size, masks, t * n):
            return False
    return True


@jit
def unpack(masks, begin, samples, start, n, size):
    """samples (size, n), from flat position `start` on <- masks (n,), from `begin` on."""
    for lane in range(size):
        for i in range(n):
            poke(samples, start + lane * n + i, (peek(masks, begin + i) >> lane) & 1)
