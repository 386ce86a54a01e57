"""A block of samples forward through time; the equations are those of `lsnn.neuron.step` and `lsnn.ops.run`."""

from lsnn.ops.kernel.arrays import MARGIN
from lsnn.ops.kernel.events import deliver, deliver_values, list_events
from lsnn.ops.kernel.full import add_rows, add_values, arrive
from lsnn.ops.kernel.jit import jit
from lsnn.ops.kernel.lanes import copy, gather_lanes, pack, scatter_lanes, unpack
from lsnn.ops.kernel.simd import (
    erase,
    flush_denormals,
    greater,
    load,
    move,
    peek,
    poke,
    restore_denormals,
    spread,
    store,
    store_past_cache,
    where,
    width,
)


@jit
def rows_of(window, depth, size, lanes):
    """Steps a window has room for before it slides."""
    return (len(window) - MARGIN * lanes) // size - depth


@jit
def find_first_silent(block, refractory):
    """Masks of the neurons that enter refractory, for as many steps as they stay so."""
    for step in range(len(block.silent)):
        for i in range(refractory.shape[1]):
            mask = 0
            for lane in range(block.size):
                mask |= (1 if refractory[block.first + lane, i] > step else 0) << lane
            block.silent[step, i] = mask


@jit
def enter(block, v, b, z, z_before, refractory, pending, y, lanes):
    """Take a block's part of a state (batch first).  False if its spikes are not all 0 or 1."""
    first, size, (batch, n), n_out = block.first, block.size, v.shape, y.shape[1]
    gather_lanes(v, first * n, n, size, block.v, 0, lanes)
    gather_lanes(b, first * n, n, size, block.b, 0, lanes)
    gather_lanes(y, first * n_out, n_out, size, block.y, 0, lanes)
    erase(block.window, 0, len(block.window))
    if pending.shape[1]:  # without samples: nothing is on its way
        for k in range(len(pending)):
            gather_lanes(pending, (k * batch + first) * n, n, size, block.window, k * (n + n_out) * lanes, lanes)
    erase(block.counts, 0, len(block.counts))
    find_first_silent(block, refractory)
    return pack(z_before, first * n, n, size, block.z, 0) and pack(z, first * n, n, size, block.z, n)


@jit
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


@jit
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


@jit
def update_neurons(cells, block, silent, kept, t, kept_row, here, word):
    """One step of all neurons, `lsnn.neuron.step`; takes their currents out of window[here]."""
    lanes, n = width(word), len(cells.alpha)
    keeps = len(kept.v) > 0
    zero = spread(cells.beta.dtype.type(0), word)
    z_last, z_reset, z_now = (t + 1) * n, (t + 1 - cells.reset_delay) * n, (t + 2) * n
    for i in range(n):
        p = i * lanes
        beta, v_th = cells.beta[i], cells.v_th[i]
        b = load(block.b, p, word)
        reset = where(peek(block.z, z_reset + i), v_th + beta * b, 0)
        current = load(block.window, here + p, word)
        store(block.window, here + p, zero)
        v = load(block.v, p, word) * cells.alpha[i] + current * cells.gain[i] - reset
        b = b * cells.rho[i] + where(peek(block.z, z_last + i), cells.entry[i], zero)
        threshold = v_th + beta * b
        poke(block.z, z_now + i, greater(v, threshold) & ~silent[i])
        store(block.v, p, v)
        store(block.b, p, b)
        if keeps:
            store_past_cache(kept.v, kept_row * n * lanes + p, v)


@jit
def emit(net, cells, block, outputs, t, here, n_events, word):
    """Readout and rates of step t, and the traces that were asked for."""
    lanes, n = width(word), len(cells.alpha)
    now, sample = (t + 2) * n, t * outputs.readout.shape[1] + block.first
    for e in range(n_events):
        event = peek(block.events, e)
        if event >= 0:
            poke(block.counts, event, peek(block.counts, event) + 1)
        else:
            old = load(block.counts, ~event * lanes, word)
            store(block.counts, ~event * lanes, where(peek(block.z, now + ~event), old + 1, old))
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


@jit
def keep_adaptation(chunk, cells, block, kept, word):
    """The adaptation at the beginning of a chunk, from which the backward pass finds the rest."""
    lanes = width(word)
    for i in range(len(cells.alpha)):
        if cells.slot[i] >= 0:
            store(kept.b, chunk * kept.b.shape[1] + cells.slot[i] * lanes, load(block.b, i * lanes, word))


@jit
def run(t0, t1, net, cells, block, values, noise, kept, outputs, word):
    """Steps t0 ... t1-1 of a block.

    values: real-valued inputs (time, batch, n_in), without steps where inputs are spikes.
    noise: (time, batch, n), or without steps.
    kept: filled for the backward pass unless it has no rows.
    outputs: filled if the readout has steps; without, only the state moves on.
    """
    lanes, n, n_in = width(word), len(cells.alpha), len(net.inner) - len(cells.alpha)
    size = (n + net.n_out) * lanes  # of a row of the window
    chunk, steps = rows_of(block.window, net.depth, size, lanes), len(block.z) - 2
    silent, x, ends = block.silent_now, block.x_now, net.row[1:]
    full_in, full = len(net.from_inputs) > 0, len(net.from_neurons) > 0
    mode = flush_denormals()
    if len(kept.v):  # row 0: the voltages before the first step
        copy(block.v, kept.v)
    if full_in or full:
        erase(block.across, 0, len(block.across))
    if full:
        n_events = list_events(block.z, (t0 + 1) * n, n, block, net.many_neurons)
        add_rows(n_events, net.from_neurons, block, word)
    elif t0 == 0:
        n_events = list_events(block.z, n, n, block, net.many_neurons)
        deliver(block.z, n, n_events, n_in, net.inner, ends, net, block, -size, word)
    for begin in range(t0, t1, chunk):
        end = min(begin + chunk, t1)
        if len(kept.v):
            keep_adaptation((begin - t0) // chunk, cells, block, kept, word)
        for t in range(begin, end):
            here = (t - begin) * size
            if len(values):
                start = (t * values.shape[1] + block.first) * n_in
                if full_in:
                    add_values(values, start, n_in, block.size, net.from_inputs, block.across)
                else:
                    gather_lanes(values, start, n_in, block.size, x, 0, lanes)
                    deliver_values(x, n_in, net, block.window, here, word)
            else:
                n_events = list_events(block.x, t * n_in, n_in, block, net.many_inputs)
                if full_in:
                    add_rows(n_events, net.from_inputs, block, word)
                else:
                    deliver(block.x, t * n_in, n_events, 0, net.row, ends, net, block, here, word)
            if full_in or full:
                arrive(n, block, here, word)
            if len(noise):
                for lane in range(block.size):
                    for i in range(n):
                        block.window[here + i * lanes + lane] += cells.noise_std[i] * noise[t, block.first + lane, i]
            find_silent(block, t, cells.n_ref, silent)
            update_neurons(cells, block, silent, kept, t, t - t0 + 1, here, word)
            now = (t + 2) * n
            n_events = list_events(block.z, now, n, block, net.many_neurons)
            # the last spikes are on their way only when the next call begins, as in the reference
            last = ends if t + 1 < steps else net.inner
            deliver(block.z, now, n_events, n_in, net.row, last, net, block, here, word)
            if full and t + 1 < t1:
                add_rows(n_events, net.from_neurons, block, word)
            if len(outputs.readout):
                emit(net, cells, block, outputs, t, here, n_events, word)
            erase(block.window, here + n * lanes, net.n_out * lanes)
        taken = (end - begin) * size  # rows that are empty by now; the future moves to their place
        move(block.window, 0, taken, net.depth * size)
        free = max(taken, net.depth * size)
        erase(block.window, free, taken + net.depth * size - free)
    restore_denormals(mode)


@jit
def stream(net, cells, block, x, no_values, noise, kept, outputs, word):
    """One step of a block without a past or a future in its arrays: inputs x (1, batch, n_in), spikes or not."""
    n, n_in, n_ref = len(cells.alpha), x.shape[2], cells.n_ref
    spikes = pack(x, block.first * n_in, n_in, block.size, block.x, 0)
    run(0, 1, net, cells, block, no_values if spikes else x, noise, kept, outputs, word)
    for i in range(n):
        mask = peek(block.z, 2 * n + i)
        poke(block.z, i, peek(block.z, n + i))
        poke(block.z, n + i, mask)
        for step in range(len(block.silent)):
            later = peek(block.silent, (step + 1) * n + i) if step + 1 < len(block.silent) else 0
            poke(block.silent, step * n + i, later | mask if step < n_ref else later)


@jit
def count_silent(block, refractory):
    """refractory (batch, n) <- how many more steps each neuron is silent."""
    for lane in range(block.size):
        for i in range(refractory.shape[1]):
            left = 0
            for step in range(len(block.silent)):
                left += (block.silent[step, i] >> lane) & 1
            refractory[block.first + lane, i] = left
