"""The compiled kernel's loops: one block of samples through time, forward and backward.

The equations are those of `lsnn.neuron.step` and `lsnn.ops.run`; the backward pass is their chain rule by hand.
A block is as many samples (lanes) as a mask word has bits.  Inside a block the lanes are the innermost axis, so every
array here is flat: row i of a (rows, lanes) array starts at i * lanes.  Spikes are one mask per source and step.

A synapse never needs to know its delay: `Net.offset` is its distance, in numbers, from the row of the present to its
target's place in the row where it arrives.  The rows of a window of time follow each other in one array, the
currents to come in the forward pass, their gradients in the backward pass; readouts are columns beside the neurons,
reached without delay.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from lsnn.ops.simd import (
    absolute,
    count,
    differs,
    first_lane,
    flush_denormals,
    greater,
    load,
    multiply_add,
    nearest,
    peek,
    poke,
    power_of_two,
    restore_denormals,
    spread,
    store,
    total,
    where,
    width,
    without_first,
)

MANY = 6
"""lanes in a mask from which a synapse is done for all lanes at once; an estimate of where both ways cost the same"""


class Net(NamedTuple):
    """Synapses sorted by source, delay and target, so that those to readouts come first."""

    row: np.ndarray
    """first synapse of each of the n_in inputs and n neurons, and the end: (n_in + n + 1,)"""
    inner: np.ndarray
    """first synapse of each source that goes to a neuron: (n_in + n,)"""
    offset: np.ndarray
    """where each arrives, (delay * (n + n_out) + post) * lanes"""
    weight: np.ndarray
    n_out: int
    depth: int
    """longest delay, steps"""


class Neurons(NamedTuple):
    """Constants of the cell, one per neuron."""

    alpha: np.ndarray
    gain: np.ndarray
    """1 - alpha"""
    rho: np.ndarray
    entry: np.ndarray
    """1 - rho"""
    beta: np.ndarray
    v_th: np.ndarray
    inverse_v_th: np.ndarray
    noise_std: np.ndarray
    slot: np.ndarray
    """where a neuron's adaptation is kept for the backward pass; -1: not needed, as its threshold is constant"""
    n_ref: int
    reset_delay: int
    kappa: float
    leak_in: float
    """1 - kappa"""
    shape: int
    """index into `surrogates.SHAPES`"""
    dampening: float
    inverse_width: float


class Block(NamedTuple):
    """What belongs to one block of samples.  Arrays of floats unless said otherwise."""

    first: int
    """number of its first sample"""
    size: int
    """samples in it; the remaining lanes idle"""
    x: np.ndarray
    """masks of input spikes, (time, n_in); (0, n_in) where inputs are real"""
    z: np.ndarray
    """masks of spikes, (2 + time, n): row t + 2 holds step t"""
    silent: np.ndarray
    """masks of neurons still refractory from before, (steps, n)"""
    events: np.ndarray
    """room for a list of events, (max(n_in, n) * lanes,)"""
    crowds: np.ndarray
    """room for a list of sources, (max(n_in, n) + 1,)"""
    silent_now: np.ndarray
    """room for masks of the neurons that are refractory at a step, (n,)"""
    x_now: np.ndarray
    """room for the real-valued inputs of a step, (n_in, lanes)"""
    v: np.ndarray
    b: np.ndarray
    """voltage and adaptation, (n, lanes)"""
    y: np.ndarray
    """readout, (n_out, lanes)"""
    window: np.ndarray
    """currents to come, (rows, n + n_out, lanes): the present, then the future"""
    counts: np.ndarray
    """spikes, (n, lanes)"""


class Kept(NamedTuple):
    """What the backward pass needs of the forward pass beside its spikes."""

    v: np.ndarray
    """voltages from the step before the first: row t - t0 + 1 holds step t, (1 + time, n, lanes)"""
    b: np.ndarray
    """adaptation before the first step of each chunk, (chunks, neurons with a slot, lanes)"""


class Outputs(NamedTuple):
    """Traces over the whole batch; those not wanted have no steps."""

    readout: np.ndarray
    spikes: np.ndarray
    voltages: np.ndarray
    thresholds: np.ndarray


JIT = {"nogil": True, "cache": True, "error_model": "numpy", "_nrt": False}
"""without numba's reference counting, which would count tuples of arrays up and down, atomically, for every neuron:
kernels allocate nothing and get their room from outside"""
INLINE = {**JIT, "forceinline": True}
"""for what runs once per neuron and step: a call that is not inlined takes its vectors through memory"""


@njit(**JIT)
def sort_by(key, order, row, result):
    """result <- order, sorted by key[order] and otherwise unchanged; row <- where each key begins, and the end."""
    for j in range(len(order)):
        row[key[order[j]] + 1] += 1
    for k in range(1, len(row)):
        row[k] += row[k - 1]
    for j in range(len(order)):
        k = key[order[j]]
        result[row[k]] = order[j]
        row[k] += 1
    for k in range(len(row) - 1, 0, -1):
        row[k] = row[k - 1]
    row[0] = 0


# ---- rows of lanes (loops, since numba takes seconds to compile array expressions) ---------------------------------


@njit(**JIT)
def clear(rows):
    for p in range(len(rows)):
        poke(rows, p, 0)


@njit(**JIT)
def copy(source, target):
    for p in range(len(source)):
        poke(target, p, peek(source, p))


@njit(**JIT)
def take_over(source, target):
    """Add the source to the target and leave nothing behind."""
    for p in range(len(source)):
        poke(target, p, peek(target, p) + peek(source, p))
        poke(source, p, 0)


# ---- between (batch, rows) and (rows, lanes) ---------------------------------------------------------------------


@njit(**JIT)
def gather_lanes(samples, start, n, size, rows, to, lanes):
    """rows (n, lanes), from flat position `to` on <- samples (size, n), from `start` on; idle lanes become zero."""
    for i in range(n):
        for lane in range(size):
            poke(rows, to + i * lanes + lane, peek(samples, start + lane * n + i))
        for lane in range(size, lanes):
            poke(rows, to + i * lanes + lane, 0)


@njit(**JIT)
def add_lanes(samples, start, n, size, rows, lanes):
    """rows (n, lanes) += samples (size, n), from flat position `start` on."""
    for lane in range(size):
        for i in range(n):
            p = i * lanes + lane
            poke(rows, p, peek(rows, p) + peek(samples, start + lane * n + i))


@njit(**JIT)
def scatter_lanes(rows, begin, lanes, samples, start, n, size):
    """samples (size, n), from flat position `start` on <- rows (n, lanes), from `begin` on."""
    for lane in range(size):
        for i in range(n):
            poke(samples, start + lane * n + i, peek(rows, begin + i * lanes + lane))


@njit(**JIT)
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


@njit(**JIT)
def pack_bytes(samples, start, n, size, masks, to):
    """`pack` for bytes, four lanes at a time."""
    for i in range(n):
        poke(masks, to + i, 0)
    seen = 0
    for lane in range(0, size - size % 4, 4):
        row = start + lane * n
        for i in range(n):
            b0, b1 = peek(samples, row + i), peek(samples, row + n + i)
            b2, b3 = peek(samples, row + 2 * n + i), peek(samples, row + 3 * n + i)
            seen |= b0 | b1 | b2 | b3
            four = b0 | b1 << 1 | b2 << 2 | b3 << 3
            poke(masks, to + i, peek(masks, to + i) | four << lane)
    for lane in range(size - size % 4, size):
        for i in range(n):
            value = peek(samples, start + lane * n + i)
            seen |= value
            poke(masks, to + i, peek(masks, to + i) | value << lane)
    return seen <= 1


@njit(**JIT)
def pack_steps(samples, first, size, masks):
    """masks (time, n) <- samples (time, batch, n) of 0 and 1.  False if there is another value."""
    steps, batch, n = samples.shape
    for t in range(steps):
        if not pack(samples, (t * batch + first) * n, n, size, masks, t * n):
            return False
    return True


@njit(**JIT)
def pack_steps_bytes(samples, first, size, masks):
    """`pack_steps` for bytes."""
    steps, batch, n = samples.shape
    for t in range(steps):
        if not pack_bytes(samples, (t * batch + first) * n, n, size, masks, t * n):
            return False
    return True


@njit(**JIT)
def unpack(masks, begin, samples, start, n, size):
    """samples (size, n), from flat position `start` on <- masks (n,), from `begin` on."""
    for lane in range(size):
        for i in range(n):
            poke(samples, start + lane * n + i, (peek(masks, begin + i) >> lane) & 1)


@njit(**JIT)
def slide(window, steps, depth, size):
    """Move the future of a window `steps` rows on: its first row becomes the present, rows beyond are empty."""
    for p in range(depth * size):
        poke(window, p, peek(window, steps * size + p))
    for p in range(depth * size, len(window)):
        poke(window, p, 0)


@njit(**JIT)
def find_first_silent(block, refractory):
    """Masks of the neurons that enter refractory, for as many steps as they stay so."""
    for step in range(len(block.silent)):
        for i in range(refractory.shape[1]):
            mask = 0
            for lane in range(block.size):
                mask |= (1 if refractory[block.first + lane, i] > step else 0) << lane
            block.silent[step, i] = mask


@njit(**JIT)
def enter(block, v, b, z, z_before, refractory, pending, y, lanes):
    """Take a block's part of a state (batch first).  False if its spikes are not all 0 or 1."""
    first, size, (batch, n), n_out = block.first, block.size, v.shape, y.shape[1]
    gather_lanes(v, first * n, n, size, block.v, 0, lanes)
    gather_lanes(b, first * n, n, size, block.b, 0, lanes)
    gather_lanes(y, first * n_out, n_out, size, block.y, 0, lanes)
    clear(block.window)
    for k in range(len(pending)):
        gather_lanes(pending, (k * batch + first) * n, n, size, block.window, k * (n + n_out) * lanes, lanes)
    clear(block.counts)
    find_first_silent(block, refractory)
    return pack(z_before, first * n, n, size, block.z, 0) and pack(z, first * n, n, size, block.z, n)


@njit(**JIT)
def leave(block, n_ref, v, b, z, z_before, refractory, pending, y, rate, lanes):
    """Write a block's part of the state after the last step, and its spike counts."""
    first, size, (batch, n), n_out, steps = block.first, block.size, v.shape, y.shape[1], len(block.z) - 2
    scatter_lanes(block.v, 0, lanes, v, first * n, n, size)
    scatter_lanes(block.b, 0, lanes, b, first * n, n, size)
    scatter_lanes(block.y, 0, lanes, y, first * n_out, n_out, size)
    scatter_lanes(block.counts, 0, lanes, rate, first * n, n, size)
    for k in range(len(pending)):
        scatter_lanes(block.window, k * (n + n_out) * lanes, lanes, pending, (k * batch + first) * n, n, size)
    unpack(block.z, steps * n, z_before, first * n, n, size)
    unpack(block.z, (steps + 1) * n, z, first * n, n, size)
    for lane in range(size):
        for i in range(n):
            left = max(refractory[first + lane, i] - steps, 0)
            for step in range(max(steps - n_ref, 0), steps):
                if (peek(block.z, (step + 2) * n + i) >> lane) & 1:
                    left = n_ref - (steps - 1 - step)
            refractory[first + lane, i] = left


# ---- forward -----------------------------------------------------------------------------------------------------


@njit(**JIT)
def list_events(masks, start, n, block):
    """Spikes of n sources: block.events as source * lanes + lane, and block.crowds, sources with MANY at once.

    Lists cost less than walking all masks each time: half of them are empty, and no branch predictor knows which.
    Returns the length of both.
    """
    lanes = 8 * block.z.itemsize
    n_busy = n_events = n_crowds = 0
    busy = block.crowds  # as the crowds are never more than the sources read so far, both share their room
    for i in range(n):
        poke(busy, n_busy, i)
        n_busy += peek(masks, start + i) != 0
    for j in range(n_busy):
        i = peek(busy, j)
        mask = np.uint64(peek(masks, start + i))
        if count(mask) >= MANY:
            poke(block.crowds, n_crowds, i)
            n_crowds += 1
            continue
        while mask != 0:
            poke(block.events, n_events, i * lanes + first_lane(mask))
            n_events += 1
            mask = without_first(mask)
    return n_events, n_crowds


@njit(**JIT)
def deliver(masks, start, n_events, n_crowds, first_source, begins, ends, net, block, here, word):
    """Add the weights of every listed spike to where they arrive, window[here + offset].

    begins, ends: first synapse of each source, and the one after its last.
    """
    lanes, window = width(word), block.window
    for e in range(n_events):
        event = peek(block.events, e)
        source, place = first_source + event // lanes, here + event % lanes
        for k in range(peek(begins, source), peek(ends, source)):
            p = place + peek(net.offset, k)
            poke(window, p, peek(window, p) + peek(net.weight, k))
    for c in range(n_crowds):
        i = peek(block.crowds, c)
        mask, source = peek(masks, start + i), first_source + i
        for k in range(peek(begins, source), peek(ends, source)):
            p = here + peek(net.offset, k)
            old = load(window, p, word)
            store(window, p, where(mask, old + peek(net.weight, k), old))


@njit(**JIT)
def deliver_values(x, n_sources, net, window, here, word):
    """Add real-valued inputs x (n_in, lanes), weighted, to where they arrive."""
    lanes = width(word)
    for i in range(n_sources):
        value = load(x, i * lanes, word)
        if differs(value, 0) == 0:
            continue
        for k in range(net.row[i], net.row[i + 1]):
            p = here + peek(net.offset, k)
            store(window, p, multiply_add(value, peek(net.weight, k), load(window, p, word)))


@njit(**JIT)
def find_silent(block, t, n_ref, silent):
    """silent (n,) <- masks of the neurons that are refractory at step t."""
    z, n = block.z, block.z.shape[1]
    for i in range(n):
        silent[i] = 0
    if t < len(block.silent):
        for i in range(n):
            silent[i] = peek(block.silent, t * n + i)
    for step in range(max(t - n_ref, 0), t):
        start = (step + 2) * n
        for i in range(n):
            silent[i] |= peek(z, start + i)


@njit(**JIT)
def update_neurons(cells, block, silent, kept, t, kept_row, here, word):
    """One step of all neurons, `lsnn.neuron.step`; their currents stand at window[here]."""
    lanes, n = width(word), len(cells.alpha)
    keeps = len(kept.v) > 0
    z_last, z_reset, z_now = (t + 1) * n, (t + 1 - cells.reset_delay) * n, (t + 2) * n
    for i in range(n):
        p = i * lanes
        beta, v_th = cells.beta[i], cells.v_th[i]
        b = load(block.b, p, word)
        reset = where(peek(block.z, z_reset + i), v_th + beta * b, 0)
        v = load(block.v, p, word) * cells.alpha[i] + load(block.window, here + p, word) * cells.gain[i] - reset
        b = b * cells.rho[i] + where(peek(block.z, z_last + i), cells.entry[i], spread(cells.beta.dtype.type(0), word))
        threshold = v_th + beta * b
        poke(block.z, z_now + i, greater(v, threshold) & ~silent[i])
        store(block.v, p, v)
        store(block.b, p, b)
        if keeps:
            store(kept.v, kept_row * n * lanes + p, v)


@njit(**JIT)
def emit(net, cells, block, outputs, t, here, n_events, n_crowds, word):
    """Readout and rates of step t, and the traces that were asked for."""
    lanes, n = width(word), len(cells.alpha)
    now, sample = (t + 2) * n, t * outputs.readout.shape[1] + block.first
    for e in range(n_events):
        event = peek(block.events, e)
        poke(block.counts, event, peek(block.counts, event) + 1)
    for c in range(n_crowds):
        i = peek(block.crowds, c)
        old = load(block.counts, i * lanes, word)
        store(block.counts, i * lanes, where(peek(block.z, now + i), old + 1, old))
    for o in range(net.n_out):
        arrived = load(block.window, here + (n + o) * lanes, word)
        y = load(block.y, o * lanes, word) * cells.kappa + arrived * cells.leak_in
        store(block.y, o * lanes, y)
    scatter_lanes(block.y, 0, lanes, outputs.readout, sample * net.n_out, net.n_out, block.size)
    if len(outputs.spikes):
        unpack(block.z, now, outputs.spikes, sample * n, n, block.size)
    if len(outputs.voltages):
        scatter_lanes(block.v, 0, lanes, outputs.voltages, sample * n, n, block.size)
    if len(outputs.thresholds):
        for lane in range(block.size):
            for i in range(n):
                threshold = cells.v_th[i] + cells.beta[i] * block.b[i * lanes + lane]
                poke(outputs.thresholds, (sample + lane) * n + i, threshold)


@njit(**JIT)
def keep_voltages(block, kept):
    """Row 0 of the voltages kept: those before the first step."""
    copy(block.v, kept.v)


@njit(**JIT)
def keep_adaptation(chunk, cells, block, kept, word):
    """The adaptation at the beginning of a chunk, from which the backward pass finds the rest."""
    lanes = width(word)
    for i in range(len(cells.alpha)):
        if cells.slot[i] >= 0:
            store(kept.b, chunk * kept.b.shape[1] + cells.slot[i] * lanes, load(block.b, i * lanes, word))


@njit(**JIT)
def forward(t0, t1, net, cells, block, values, noise, kept, outputs, word):
    """Steps t0 ... t1-1 of a block.

    values: real-valued inputs (time, batch, n_in), without steps where inputs are spikes.
    noise: (time, batch, n), or without steps.
    kept: filled for the backward pass unless it has no rows.
    outputs: filled if the readout has steps; without, only the state moves on.
    """
    lanes, n, n_in = width(word), len(cells.alpha), len(net.inner) - len(cells.alpha)
    size = (n + net.n_out) * lanes  # of a row of the window
    chunk = len(block.window) // size - net.depth  # steps until the window slides
    steps = len(block.z) - 2
    silent, x, ends = block.silent_now, block.x_now, net.row[1:]
    mode = flush_denormals()
    if len(kept.v):
        keep_voltages(block, kept)
    if t0 == 0:
        n_events, n_crowds = list_events(block.z, n, n, block)
        deliver(block.z, n, n_events, n_crowds, n_in, net.inner, ends, net, block, -size, word)
    for begin in range(t0, t1, chunk):
        end = min(begin + chunk, t1)
        if len(kept.v):
            keep_adaptation((begin - t0) // chunk, cells, block, kept, word)
        for t in range(begin, end):
            here = (t - begin) * size
            if len(values):
                gather_lanes(values, (t * values.shape[1] + block.first) * n_in, n_in, block.size, x, 0, lanes)
                deliver_values(x, n_in, net, block.window, here, word)
            else:
                n_events, n_crowds = list_events(block.x, t * n_in, n_in, block)
                deliver(block.x, t * n_in, n_events, n_crowds, 0, net.row, ends, net, block, here, word)
            if len(noise):
                for lane in range(block.size):
                    for i in range(n):
                        block.window[here + i * lanes + lane] += cells.noise_std[i] * noise[t, block.first + lane, i]
            find_silent(block, t, cells.n_ref, silent)
            update_neurons(cells, block, silent, kept, t, t - t0 + 1, here, word)
            now = (t + 2) * n
            n_events, n_crowds = list_events(block.z, now, n, block)
            # the last spikes are on their way only when the next call begins, as in the reference
            last = ends if t + 1 < steps else net.inner
            deliver(block.z, now, n_events, n_crowds, n_in, net.row, last, net, block, here, word)
            if len(outputs.readout):
                emit(net, cells, block, outputs, t, here, n_events, n_crowds, word)
        slide(block.window, end - begin, net.depth, size)
    restore_denormals(mode)


@njit(**JIT)
def stream(net, cells, block, x, no_values, noise, kept, outputs, word):
    """One step of a block without a past or a future in its arrays: inputs x (1, batch, n_in), spikes or not."""
    n, n_in, n_ref = len(cells.alpha), x.shape[2], cells.n_ref
    spikes = pack(x, block.first * n_in, n_in, block.size, block.x, 0)
    forward(0, 1, net, cells, block, no_values if spikes else x, noise, kept, outputs, word)
    for i in range(n):
        mask = peek(block.z, 2 * n + i)
        poke(block.z, i, peek(block.z, n + i))
        poke(block.z, n + i, mask)
        for step in range(len(block.silent)):
            later = peek(block.silent, (step + 1) * n + i) if step + 1 < len(block.silent) else 0
            poke(block.silent, step * n + i, later | mask if step < n_ref else later)


@njit(**JIT)
def count_silent(block, refractory):
    """refractory (batch, n) <- how many more steps each neuron is silent."""
    for lane in range(block.size):
        for i in range(refractory.shape[1]):
            left = 0
            for step in range(len(block.silent)):
                left += (block.silent[step, i] >> lane) & 1
            refractory[block.first + lane, i] = left


# ---- backward ----------------------------------------------------------------------------------------------------


class Upstream(NamedTuple):
    """Gradients that arrive from outside over time; those that do not exist have no steps."""

    readout: np.ndarray
    spikes: np.ndarray
    voltages: np.ndarray
    thresholds: np.ndarray
    batch: int


class Direct(NamedTuple):
    """Gradients of one step that do not come through later steps, (n, lanes) each; empty where there are none."""

    z: np.ndarray
    v: np.ndarray
    b: np.ndarray
    threshold: np.ndarray


class Adjoint(NamedTuple):
    """Gradients a block carries from step to step, and those it adds up."""

    v: np.ndarray
    b: np.ndarray
    """(n, lanes), of the step after"""
    y: np.ndarray
    """(n_out, lanes)"""
    reset: np.ndarray
    """reset_delay = 1: what the step after next's reset owes to the spike of this step, (n, lanes)"""
    window: np.ndarray
    """gradient of the currents, (rows, n + n_out, lanes): the present, then the future"""
    rate: np.ndarray
    """gradient of every spike through the rate, (n, lanes)"""
    all_b: bool
    """False: only the adaptation of neurons with a slot has a gradient"""
    z: np.ndarray
    z_before: np.ndarray
    """of the last state, and at the end of the first, (n, lanes)"""
    usual: Direct
    """what a step has if nothing is recorded: only the rate"""
    special: Direct
    """room for what other steps have"""
    b_chunk: np.ndarray
    """room for the adaptation in a chunk, from the step before it, (1 + steps, neurons with a slot, lanes)"""
    weight: np.ndarray
    alpha: np.ndarray
    rho: np.ndarray
    beta: np.ndarray
    v_th: np.ndarray
    noise_std: np.ndarray
    """(n, lanes); without rows where no constant is trained"""
    values: np.ndarray
    """of real-valued inputs, (time, batch, n_in)"""
    noise: np.ndarray
    """(time, batch, n)"""


LOG2_E = 1 / np.log(2)
LN2_HIGH, LN2_LOW = 0.693145751953125, 1.42860682030941723212e-6
"""ln 2 in two parts, the first so short that its whole multiples are exact"""


@njit(**INLINE)
def exponential(x, lowest):
    """exp of vectors between lowest and about 0, to the last bits: 2**n times a power series on |r| <= ln(2) / 2.

    LLVM would call the C library once per lane, and keep no register across that.
    """
    x = where(greater(x, lowest), x, lowest)
    n = nearest(x * LOG2_E)
    r = x - n * LN2_HIGH - n * LN2_LOW
    series = r * (1 / 14) + 1
    for k in range(13, 0, -1):
        series = multiply_add(series, r * (1 / k), 1)
    return series * power_of_two(n)


@njit(**INLINE)
def pseudo_derivative(u, shape, word):
    """shape(u) of `lsnn.surrogates`, by its index in SHAPES."""
    if shape == 0:
        triangle = 1 - absolute(u)
        return where(greater(triangle, 0), triangle, 0)
    if shape == 1:
        slope = 1 + absolute(u)
        return 1 / (slope * slope)
    if shape == 2:
        scaled = u * (np.pi / 2)
        return 1 / (1 + scaled * scaled)
    lowest = -80.0  # exp of it is zero for our purpose, and a normal number in both precisions
    bell = exponential(u * u * -0.5, lowest)
    if shape == 3:
        return bell
    h, s = 0.15, 6.0
    side = h / s
    left, right = (u + 1) * (1 / s), (u - 1) * (1 / s)
    sides = exponential(left * left * -0.5, lowest) + exponential(right * right * -0.5, lowest)
    peak = (1 + h) - 2 * side * np.exp(-0.5 / s**2)
    return (bell * (1 + h) - sides * side) * (1 / peak)


@njit(**INLINE)
def synapse(k, net, window, here, acc, word):
    """acc + weight * window[here + offset] of synapse k."""
    return multiply_add(load(window, here + peek(net.offset, k), word), peek(net.weight, k), acc)


@njit(**INLINE)
def gather(begin, end, net, window, here, acc, word):
    """acc + sum over synapses begin ... end-1 of weight * window[here + offset].

    Several sums, since an addition has to wait for the one before: two of the wide vectors that fill more than one
    register, four of the narrow ones.
    """
    zero = spread(net.weight.dtype.type(0), word)
    second = third = fourth = zero
    if width(word) * net.weight.itemsize <= 64:  # bytes; known to the compiler
        for k in range(begin, end - 3, 4):
            acc = synapse(k, net, window, here, acc, word)
            second = synapse(k + 1, net, window, here, second, word)
            third = synapse(k + 2, net, window, here, third, word)
            fourth = synapse(k + 3, net, window, here, fourth, word)
        rest = end - (end - begin) % 4
    else:
        for k in range(begin, end - 1, 2):
            acc = synapse(k, net, window, here, acc, word)
            second = synapse(k + 1, net, window, here, second, word)
        rest = end - (end - begin) % 2
    for k in range(rest, end):
        acc = synapse(k, net, window, here, acc, word)
    return (acc + second) + (third + fourth)


@njit(**JIT)
def credit(masks, start, n_events, n_crowds, first_source, begins, ends, net, block, window, here, grad, word):
    """Add to the gradient of every synapse what the listed spikes caused; arguments as for `deliver`."""
    lanes = width(word)
    for e in range(n_events):
        event = peek(block.events, e)
        source, place = first_source + event // lanes, here + event % lanes
        for k in range(peek(begins, source), peek(ends, source)):
            poke(grad, k, peek(grad, k) + peek(window, place + peek(net.offset, k)))
    for c in range(n_crowds):
        i = peek(block.crowds, c)
        mask, source = peek(masks, start + i), first_source + i
        for k in range(peek(begins, source), peek(ends, source)):
            caused = where(mask, load(window, here + peek(net.offset, k), word), 0)
            poke(grad, k, peek(grad, k) + total(caused))


@njit(**JIT)
def find_adaptation(chunk, begin, end, cells, block, kept, b_chunk, word):
    """b_chunk <- adaptation at steps begin-1 ... end-1 of neurons with a slot, from their spikes."""
    lanes, n, stride = width(word), len(cells.alpha), kept.b.shape[1]
    for i in range(n):
        if cells.slot[i] < 0:
            continue
        p = cells.slot[i] * lanes
        b = load(kept.b, chunk * stride + p, word)
        store(b_chunk, p, b)
        for t in range(begin, end):
            entry = where(peek(block.z, (t + 1) * n + i), cells.entry[i], spread(cells.beta.dtype.type(0), word))
            b = b * cells.rho[i] + entry
            store(b_chunk, (t - begin + 1) * stride + p, b)


@njit(**JIT)
def backward_neurons(t, row, b_row, net, ends, cells, block, kept, silent, direct, adjoint, here, word):
    """Step t of all neurons: from gradients of step t + 1 to those of step t; the current's go to window[here].

    row, b_row: rows of this step among the voltages kept and in adjoint.b_chunk.
    ends: end of each source's synapses.
    """
    lanes, n = width(word), len(cells.alpha)
    n_in, stride = len(net.inner) - n, kept.b.shape[1]
    z_reset = (t + 2 - cells.reset_delay) * n
    zero = spread(cells.beta.dtype.type(0), word)
    for i in range(n):
        p = i * lanes
        v = load(kept.v, row * n * lanes + p, word)
        gv_next = load(adjoint.v, p, word)
        b = gb = zero
        threshold = spread(cells.v_th[i], word)
        inverse = spread(cells.inverse_v_th[i], word)
        slot = cells.slot[i]
        if slot >= 0:
            b = load(adjoint.b_chunk, b_row * stride + slot * lanes, word)
            threshold = threshold + b * cells.beta[i]
            inverse = 1 / threshold
        if slot >= 0 or adjoint.all_b:
            gb = load(adjoint.b, p, word)
        u = (v - threshold) * inverse
        psi = where(silent[i], 0, pseudo_derivative(u * cells.inverse_width, cells.shape, word) * cells.dampening)

        gz = load(direct.z, p, word) + gb * cells.entry[i]
        owed = threshold * gv_next  # the reset's debt to the spike that caused it
        if cells.reset_delay == 0:
            gz = gz - owed
        else:
            gz = gz - load(adjoint.reset, p, word)
            store(adjoint.reset, p, owed)
        if differs(psi, 0) != 0:
            gz = gather(peek(net.row, n_in + i), peek(ends, n_in + i), net, adjoint.window, here, gz, word)

        gu = psi * gz * inverse
        gv = gu + gv_next * cells.alpha[i]
        if len(direct.v):
            gv = gv + load(direct.v, p, word)
        store(adjoint.v, p, gv)
        store(adjoint.window, here + p, gv * cells.gain[i])
        if slot >= 0 or adjoint.all_b:
            ga = -(gu * (u + 1)) - where(peek(block.z, z_reset + i), gv_next, 0)
            if len(direct.threshold):
                ga = ga + load(direct.threshold, p, word)
            gb = ga * cells.beta[i] + gb * cells.rho[i]
            if len(direct.b):
                gb = gb + load(direct.b, p, word)
            store(adjoint.b, p, gb)
            if len(adjoint.alpha):
                credit_constants(t, row, b_row, cells, block, kept, i, gv, gb, ga, v, b, adjoint, word)


@njit(**INLINE)
def credit_constants(t, row, b_row, cells, block, kept, i, gv, gb, ga, v, b, adjoint, word):
    """Add step t's share to the gradients of neuron i's alpha, rho, beta and v_th."""
    lanes, n, stride = width(word), len(cells.alpha), kept.b.shape[1]
    p = i * lanes
    v_last = load(kept.v, (row - 1) * n * lanes + p, word)
    b_last = load(adjoint.b_chunk, (b_row - 1) * stride + cells.slot[i] * lanes, word)
    zero = spread(cells.beta.dtype.type(0), word)
    one = spread(cells.beta.dtype.type(1), word)
    reset = where(peek(block.z, (t + 1 - cells.reset_delay) * n + i), cells.v_th[i] + b_last * cells.beta[i], zero)
    # v_last - current, where the current follows from the voltage equation
    store(adjoint.alpha, p, load(adjoint.alpha, p, word) + gv * (v_last - v - reset) / cells.gain[i])
    store(adjoint.rho, p, load(adjoint.rho, p, word) + gb * (b_last - where(peek(block.z, (t + 1) * n + i), one, zero)))
    store(adjoint.beta, p, multiply_add(ga, b, load(adjoint.beta, p, word)))
    store(adjoint.v_th, p, load(adjoint.v_th, p, word) + ga)


@njit(**JIT)
def backward_values(t, n_in, net, block, values, x, adjoint, here, word):
    """Gradients of the synapses of real-valued inputs, and of the inputs, at step t."""
    lanes = width(word)
    start = (t * values.shape[1] + block.first) * n_in
    gather_lanes(values, start, n_in, block.size, x, 0, lanes)
    for i in range(n_in):
        value = load(x, i * lanes, word)
        if differs(value, 0) != 0:
            for k in range(net.row[i], net.row[i + 1]):
                caused = value * load(adjoint.window, here + peek(net.offset, k), word)
                poke(adjoint.weight, k, peek(adjoint.weight, k) + total(caused))
    if len(adjoint.values):
        zero = spread(x.dtype.type(0), word)
        for i in range(n_in):
            store(x, i * lanes, gather(net.row[i], net.row[i + 1], net, adjoint.window, here, zero, word))
        scatter_lanes(x, 0, lanes, adjoint.values, start, n_in, block.size)


@njit(**JIT)
def backward_noise(t, cells, block, noise, adjoint, here, lanes):
    """Gradients of the noise and its amplitude at step t."""
    for lane in range(block.size):
        for i in range(len(cells.alpha)):
            g = adjoint.window[here + i * lanes + lane]
            if len(adjoint.noise_std):
                adjoint.noise_std[i * lanes + lane] += g * noise[t, block.first + lane, i]
            if len(adjoint.noise):
                adjoint.noise[t, block.first + lane, i] = g * cells.noise_std[i]


@njit(**JIT)
def backward_start(net, cells, block, kept, adjoint, word):
    """From step 0 to the state before it; the present of the window is step 0."""
    lanes, n = width(word), len(cells.alpha)
    n_in, size = len(net.inner) - n, (n + net.n_out) * lanes
    zero = spread(cells.beta.dtype.type(0), word)
    n_events, n_crowds = list_events(block.z, n, n, block)
    ends, grad = net.row[1:], adjoint.weight
    credit(block.z, n, n_events, n_crowds, n_in, net.inner, ends, net, block, adjoint.window, -size, grad, word)
    for i in range(n):
        p = i * lanes
        gv, gb, b = load(adjoint.v, p, word), zero, zero
        slot = cells.slot[i]
        if slot >= 0 or adjoint.all_b:
            gb = load(adjoint.b, p, word)
        if slot >= 0:
            b = load(kept.b, slot * lanes, word)
        threshold = cells.v_th[i] + b * cells.beta[i]
        gz = load(adjoint.z, p, word) + gb * cells.entry[i]
        gz = gather(net.inner[n_in + i], net.row[n_in + i + 1], net, adjoint.window, -size, gz, word)
        owed = threshold * gv
        if cells.reset_delay == 0:
            gz = gz - owed
        else:
            gz = gz - load(adjoint.reset, p, word)
            store(adjoint.z_before, p, load(adjoint.z_before, p, word) - owed)
        ga = zero - where(peek(block.z, (1 - cells.reset_delay) * n + i), gv, 0)
        if len(adjoint.beta):
            store(adjoint.beta, p, multiply_add(ga, b, load(adjoint.beta, p, word)))
            store(adjoint.v_th, p, load(adjoint.v_th, p, word) + ga)
        store(adjoint.z, p, gz)
        store(adjoint.v, p, gv * cells.alpha[i])
        store(adjoint.b, p, gb * cells.rho[i] + ga * cells.beta[i])


@njit(**JIT)
def find_direct(t, steps, block, upstream, adjoint, direct, lanes):
    """Gradients of step t through recorded traces and, at the end, through the last state."""
    copy(adjoint.rate, direct.z)
    clear(direct.v)
    clear(direct.b)
    clear(direct.threshold)
    n = block.z.shape[1]
    start = (t * upstream.batch + block.first) * n
    if len(upstream.spikes):
        add_lanes(upstream.spikes, start, n, block.size, direct.z, lanes)
    if len(upstream.voltages):
        add_lanes(upstream.voltages, start, n, block.size, direct.v, lanes)
    if len(upstream.thresholds):
        add_lanes(upstream.thresholds, start, n, block.size, direct.threshold, lanes)
    if t == steps - 1:
        take_over(adjoint.z, direct.z)
        take_over(adjoint.v, direct.v)
        take_over(adjoint.b, direct.b)
        if steps == 1:  # the spikes before the last are those of the state this call began with
            take_over(adjoint.z_before, adjoint.z)
    elif t == steps - 2:
        take_over(adjoint.z_before, direct.z)


@njit(**JIT)
def slide_back(window, steps, depth, size):
    """Make room for `steps` earlier rows before the present."""
    for p in range(depth * size - 1, -1, -1):
        window[steps * size + p] = window[p]


@njit(**JIT)
def backward(t0, t1, net, cells, block, values, noise, kept, upstream, adjoint, word):
    """Steps t1-1 ... t0 of a block.  The window enters with step t1 as its present and leaves with t0."""
    lanes, n, n_in = width(word), len(cells.alpha), len(net.inner) - len(cells.alpha)
    size = (n + net.n_out) * lanes
    chunk = len(adjoint.window) // size - net.depth
    steps = len(block.z) - 2
    silent, x = block.silent_now, block.x_now
    recorded = len(upstream.spikes) > 0 or len(upstream.voltages) > 0 or len(upstream.thresholds) > 0
    ends, window, grad = net.row[1:], adjoint.window, adjoint.weight
    mode = flush_denormals()
    for number in range((t1 - t0 - 1) // chunk, -1, -1):
        begin = t0 + number * chunk
        end = min(begin + chunk, t1)
        slide_back(window, end - begin, net.depth, size)
        find_adaptation(number, begin, end, cells, block, kept, adjoint.b_chunk, word)
        for t in range(end - 1, begin - 1, -1):
            here = (t - begin) * size
            direct = adjoint.usual
            if recorded or t >= steps - 2:
                direct = adjoint.special
                find_direct(t, steps, block, upstream, adjoint, direct, lanes)
            if len(upstream.readout):
                start = (t * upstream.batch + block.first) * net.n_out
                add_lanes(upstream.readout, start, net.n_out, block.size, adjoint.y, lanes)
            for p in range(net.n_out * lanes):
                poke(window, here + n * lanes + p, cells.leak_in * adjoint.y[p])
                adjoint.y[p] *= cells.kappa
            find_silent(block, t, cells.n_ref, silent)
            now = (t + 2) * n
            n_events, n_crowds = list_events(block.z, now, n, block)
            last = ends if t + 1 < steps else net.inner
            credit(block.z, now, n_events, n_crowds, n_in, net.row, last, net, block, window, here, grad, word)
            backward_neurons(
                t, t - t0 + 1, t - begin + 1, net, last, cells, block, kept, silent, direct, adjoint, here, word
            )
            if len(values):
                backward_values(t, n_in, net, block, values, x, adjoint, here, word)
            else:
                now = t * n_in
                n_events, n_crowds = list_events(block.x, now, n_in, block)
                credit(block.x, now, n_events, n_crowds, 0, net.row, ends, net, block, window, here, grad, word)
            if len(noise):
                backward_noise(t, cells, block, noise, adjoint, here, lanes)
    if t0 == 0:
        backward_start(net, cells, block, kept, adjoint, word)
    restore_denormals(mode)


@njit(**JIT)
def enter_backward(block, adjoint, v, b, z, z_before, pending, y, rate, lanes):
    """Take a block's part of the gradients of the last state and of the rate (batch first)."""
    first, size, (batch, n), n_out = block.first, block.size, v.shape, y.shape[1]
    gather_lanes(v, first * n, n, size, adjoint.v, 0, lanes)
    gather_lanes(b, first * n, n, size, adjoint.b, 0, lanes)
    gather_lanes(z, first * n, n, size, adjoint.z, 0, lanes)
    gather_lanes(z_before, first * n, n, size, adjoint.z_before, 0, lanes)
    gather_lanes(rate, first * n, n, size, adjoint.rate, 0, lanes)
    gather_lanes(y, first * n_out, n_out, size, adjoint.y, 0, lanes)
    for k in range(len(pending)):
        gather_lanes(pending, (k * batch + first) * n, n, size, adjoint.window, k * (n + n_out) * lanes, lanes)


@njit(**JIT)
def leave_backward(block, adjoint, v, b, z, z_before, pending, y, lanes):
    """Write a block's part of the gradients of the state a call began with."""
    first, size, (batch, n), n_out = block.first, block.size, v.shape, y.shape[1]
    scatter_lanes(adjoint.v, 0, lanes, v, first * n, n, size)
    scatter_lanes(adjoint.b, 0, lanes, b, first * n, n, size)
    scatter_lanes(adjoint.z, 0, lanes, z, first * n, n, size)
    scatter_lanes(adjoint.z_before, 0, lanes, z_before, first * n, n, size)
    scatter_lanes(adjoint.y, 0, lanes, y, first * n_out, n_out, size)
    for k in range(len(pending)):
        scatter_lanes(adjoint.window, k * (n + n_out) * lanes, lanes, pending, (k * batch + first) * n, n, size)
