"""A block of samples backward through time: the chain rule of `forward`, by hand."""

import numpy as np

from lsnn.ops.kernel.events import credit, gather, list_events
from lsnn.ops.kernel.forward import find_silent, rows_of
from lsnn.ops.kernel.full import credit_rows, credit_values, multiply, turn
from lsnn.ops.kernel.jit import inline, jit
from lsnn.ops.kernel.lanes import add_lanes, any_number, copy, gather_lanes, scatter_lanes
from lsnn.ops.kernel.simd import (
    absolute,
    differs,
    erase,
    flush_denormals,
    greater,
    load,
    move,
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
)

SHAPES = ("triangular", "fast_sigmoid", "arctan", "gaussian", "multi_gaussian")
"""surrogates that `pseudo_derivative` knows, in the order of its branches"""

LOG2_E = 1 / np.log(2)
LN2_HIGH, LN2_LOW = 0.693145751953125, 1.42860682030941723212e-6
"""ln 2 in two parts, the first so short that its whole multiples are exact"""


@inline
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


@inline
def pseudo_derivative(u, shape, word):
    """shape(u) of `lsnn.surrogates`, by its index in SHAPES here."""
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


@jit
def take_over(source, target):
    """Add the source to the target and leave nothing behind."""
    for p in range(len(source)):
        poke(target, p, peek(target, p) + peek(source, p))
        poke(source, p, 0)


@jit
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


@jit
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
        due = gv_next * cells.through_reset  # what the reset owes
        owed = threshold * due  # to the spike that caused it
        if cells.reset_delay == 0:
            gz = gz - owed
        else:
            gz = gz - load(adjoint.reset, p, word)
            store(adjoint.reset, p, owed)
        if len(adjoint.back):
            gz = gz + load(adjoint.back, p, word)
        if differs(psi, 0) != 0:
            gz = gather(peek(net.row, n_in + i), peek(ends, n_in + i), net, adjoint.window, here, gz, word)

        gu = psi * gz * inverse
        gv = gu + gv_next * cells.alpha[i]
        if len(direct.v):
            gv = gv + load(direct.v, p, word)
        store(adjoint.v, p, gv)
        store(adjoint.window, here + p, gv * cells.gain[i])
        if slot >= 0 or adjoint.all_b:
            ga = (-(gu * (u + 1)) - where(peek(block.z, z_reset + i), due, 0)) * cells.through_threshold
            if len(direct.threshold):
                ga = ga + load(direct.threshold, p, word)
            gb = ga * cells.beta[i] + gb * cells.rho[i]
            if len(direct.b):
                gb = gb + load(direct.b, p, word)
            store(adjoint.b, p, gb)
            if len(adjoint.alpha):
                credit_constants(t, row, b_row, cells, block, kept, i, gv, gb, ga, v, b, adjoint, word)


@inline
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


@jit
def backward_values(t, n_in, net, block, values, x, adjoint, here, word):
    """Gradients of real-valued inputs and of a full block of their synapses at step t."""
    start = (t * values.shape[1] + block.first) * n_in
    full = len(net.from_inputs) > 0
    if full:
        credit_values(values, start, n_in, block.size, adjoint.from_inputs, block.across)
    if len(adjoint.values):
        lanes, zero = width(word), spread(x.dtype.type(0), word)
        if full:
            multiply(net.from_inputs, block.z.shape[1], adjoint.window, here, x, word)
        else:
            for i in range(n_in):
                store(x, i * lanes, gather(net.row[i], net.row[i + 1], net, adjoint.window, here, zero, word))
        scatter_lanes(x, 0, lanes, adjoint.values, start, n_in, block.size)


@jit
def credit_listed_values(begin, end, n_in, net, block, values, x, adjoint, word):
    """Add steps begin ... end-1 to the gradients of the listed synapses of real-valued inputs.

    Over several steps, since a sum over lanes costs more than the products in it.
    """
    lanes, size = width(word), (block.z.shape[1] + net.n_out) * width(word)
    zero = spread(x.dtype.type(0), word)
    for i in range(n_in):
        if net.row[i] == net.row[i + 1]:
            continue
        for t in range(begin, end):
            start = (t * values.shape[1] + block.first) * n_in + i
            row = (t - begin) * lanes
            store(x, row, zero)
            for lane in range(block.size):
                poke(x, row + lane, peek(values, start + lane * n_in))
        for k in range(net.row[i], net.row[i + 1]):
            place, caused = peek(net.offset, k), zero
            for step in range(end - begin):
                caused = multiply_add(
                    load(x, step * lanes, word), load(adjoint.window, place + step * size, word), caused
                )
            poke(adjoint.weight, k, peek(adjoint.weight, k) + total(caused))


@jit
def backward_noise(t, cells, block, noise, adjoint, here, lanes):
    """Gradients of the noise and its amplitude at step t."""
    for lane in range(block.size):
        for i in range(len(cells.alpha)):
            g = adjoint.window[here + i * lanes + lane]
            if len(adjoint.noise_std):
                adjoint.noise_std[i * lanes + lane] += g * noise[t, block.first + lane, i]
            if len(adjoint.noise):
                adjoint.noise[t, block.first + lane, i] = g * cells.noise_std[i]


@jit
def backward_start(net, cells, block, kept, adjoint, word):
    """From step 0 to the state before it; the present of the window is step 0."""
    lanes, n = width(word), len(cells.alpha)
    n_in, size = len(net.inner) - n, (n + net.n_out) * lanes
    zero = spread(cells.beta.dtype.type(0), word)
    full = len(net.from_neurons) > 0
    n_events = list_events(block.z, n, n, block, net.many_neurons)
    if full:
        credit_rows(n_events, adjoint.from_neurons, block, word)
        multiply(net.from_neurons, n, adjoint.window, 0, adjoint.back, word)
    ends, grad = net.row[1:], adjoint.weight
    credit(block.z, n, n_events, n_in, net.inner, ends, net, block, adjoint.window, -size, grad, word)
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
        if full:
            gz = gz + load(adjoint.back, p, word)
        gz = gather(net.inner[n_in + i], net.row[n_in + i + 1], net, adjoint.window, -size, gz, word)
        due = gv * cells.through_reset
        owed = threshold * due
        if cells.reset_delay == 0:
            gz = gz - owed
        else:
            gz = gz - load(adjoint.reset, p, word)
            store(adjoint.z_before, p, load(adjoint.z_before, p, word) - owed)
        ga = (zero - where(peek(block.z, (1 - cells.reset_delay) * n + i), due, 0)) * cells.through_threshold
        if len(adjoint.beta):
            store(adjoint.beta, p, multiply_add(ga, b, load(adjoint.beta, p, word)))
            store(adjoint.v_th, p, load(adjoint.v_th, p, word) + ga)
        store(adjoint.z, p, gz)
        store(adjoint.v, p, gv * cells.alpha[i])
        store(adjoint.b, p, gb * cells.rho[i] + ga * cells.beta[i])


@jit
def find_direct(t, steps, block, upstream, adjoint, direct, lanes):
    """Gradients of step t through recorded traces and, at the end, through the last state."""
    copy(adjoint.rate, direct.z)
    for rows in (direct.v, direct.b, direct.threshold):
        erase(rows, 0, len(rows))
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


@jit
def run(t0, t1, net, cells, block, values, noise, kept, upstream, adjoint, word):
    """Steps t1-1 ... t0 of a block.  The window enters with step t1 as its present and leaves with t0."""
    lanes, n, n_in = width(word), len(cells.alpha), len(net.inner) - len(cells.alpha)
    size = (n + net.n_out) * lanes
    chunk, steps = rows_of(adjoint.window, net.depth, size, lanes), len(block.z) - 2
    silent, x = block.silent_now, block.x_now
    recorded = len(upstream.spikes) > 0 or len(upstream.voltages) > 0 or len(upstream.thresholds) > 0
    ends, window, grad = net.row[1:], adjoint.window, adjoint.weight
    full_in, full = len(net.from_inputs) > 0, len(net.from_neurons) > 0
    mode = flush_denormals()
    if full and t1 < steps:
        turn(n, window, 0, block.across, word)
    for number in range((t1 - t0 - 1) // chunk, -1, -1):
        begin = t0 + number * chunk
        end = min(begin + chunk, t1)
        move(window, (end - begin) * size, 0, net.depth * size)
        find_adaptation(number, begin, end, cells, block, kept, adjoint.b_chunk, word)
        for t in range(end - 1, begin - 1, -1):
            here = (t - begin) * size
            direct = adjoint.usual
            if recorded or t >= steps - 2:
                direct = adjoint.special
                find_direct(t, steps, block, upstream, adjoint, direct, lanes)
            if len(upstream.readout):
                start = (t * upstream.batch + block.first) * net.n_out
                if any_number(upstream.readout, start, net.n_out * block.size):  # most steps have no target
                    add_lanes(upstream.readout, start, net.n_out, block.size, adjoint.y, lanes)
            for p in range(0, net.n_out * lanes, lanes):
                gy = load(adjoint.y, p, word)
                store(window, here + n * lanes + p, gy * cells.leak_in)
                store(adjoint.y, p, gy * cells.kappa)
            find_silent(block, t, cells.n_ref, silent)
            now = (t + 2) * n
            n_events = list_events(block.z, now, n, block, net.many_neurons)
            last = ends if t + 1 < steps else net.inner
            if full and t + 1 < steps:  # across stand the gradients of step t + 1
                credit_rows(n_events, adjoint.from_neurons, block, word)
                multiply(net.from_neurons, n, window, here + size, adjoint.back, word)
            elif full:
                erase(adjoint.back, 0, len(adjoint.back))
            credit(block.z, now, n_events, n_in, net.row, last, net, block, window, here, grad, word)
            backward_neurons(
                t, t - t0 + 1, t - begin + 1, net, last, cells, block, kept, silent, direct, adjoint, here, word
            )
            if full_in or full:
                turn(n, window, here, block.across, word)
            if len(values):
                backward_values(t, n_in, net, block, values, x, adjoint, here, word)
            else:
                now = t * n_in
                n_events = list_events(block.x, now, n_in, block, net.many_inputs)
                if full_in:
                    credit_rows(n_events, adjoint.from_inputs, block, word)
                else:
                    credit(block.x, now, n_events, 0, net.row, ends, net, block, window, here, grad, word)
            if len(noise):
                backward_noise(t, cells, block, noise, adjoint, here, lanes)
        if len(values):
            credit_listed_values(begin, end, n_in, net, block, values, x, adjoint, word)
    if t0 == 0:
        backward_start(net, cells, block, kept, adjoint, word)
    restore_denormals(mode)


@jit
def enter(block, adjoint, v, b, z, z_before, pending, y, rate, lanes):
    """Take a block's part of the gradients of the last state and of the rate: batch first, or without samples."""
    n, n_out = v.shape[1], y.shape[1]
    for part, rows in (
        (v, adjoint.v),
        (b, adjoint.b),
        (z, adjoint.z),
        (z_before, adjoint.z_before),
        (rate, adjoint.rate),
        (y, adjoint.y),
    ):
        erase(rows, 0, len(rows))
        if len(part):
            width = part.shape[1]
            gather_lanes(part, block.first * width, width, block.size, rows, 0, lanes)
    erase(adjoint.reset, 0, len(adjoint.reset))
    erase(adjoint.window, 0, len(pending) * (n + n_out) * lanes)
    if pending.shape[1]:
        for k in range(len(pending)):
            start = (k * pending.shape[1] + block.first) * n
            gather_lanes(pending, start, n, block.size, adjoint.window, k * (n + n_out) * lanes, lanes)


@jit
def leave(block, adjoint, v, b, z, z_before, pending, y, lanes):
    """Write a block's part of the gradients of the state a call began with."""
    first, size, (batch, n), n_out = block.first, block.size, v.shape, y.shape[1]
    scatter_lanes(adjoint.v, 0, lanes, v, first * n, n, size)
    scatter_lanes(adjoint.b, 0, lanes, b, first * n, n, size)
    scatter_lanes(adjoint.z, 0, lanes, z, first * n, n, size)
    scatter_lanes(adjoint.z_before, 0, lanes, z_before, first * n, n, size)
    scatter_lanes(adjoint.y, 0, lanes, y, first * n_out, n_out, size)
    for k in range(len(pending)):
        scatter_lanes(adjoint.window, k * (n + n_out) * lanes, lanes, pending, (k * batch + first) * n, n, size)
