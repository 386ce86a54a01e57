"""Sparse synapses: what spikes send along them, and what comes back, event by event."""

import numpy as np

from lsnn.ops.kernel.jit import inline, jit
from lsnn.ops.kernel.simd import (
    count,
    differs,
    first_lane,
    load,
    multiply_add,
    peek,
    poke,
    spread,
    store,
    total,
    where,
    width,
    without_first,
)


@jit
def list_events(masks, start, n, block, many):
    """block.events <- spikes of n sources in their order: source * lanes + lane, or ~source for `many` at once.

    A list costs less than walking all masks each time: half of them are empty, and no branch predictor knows which.
    Returns its length.
    """
    lanes = 8 * block.z.itemsize
    n_busy = n_events = 0
    busy = block.busy
    for i in range(n):
        poke(busy, n_busy, i)
        n_busy += peek(masks, start + i) != 0
    for j in range(n_busy):
        i = peek(busy, j)
        mask = np.uint64(peek(masks, start + i))
        if count(mask) >= many:
            poke(block.events, n_events, ~i)
            n_events += 1
            continue
        while mask != 0:
            poke(block.events, n_events, i * lanes + first_lane(mask))
            n_events += 1
            mask = without_first(mask)
    return n_events


@jit
def deliver(masks, start, n_events, first_source, begins, ends, net, block, here, word):
    """Add the weights of every listed spike to where they arrive, window[here + offset].

    In the order of sources in every lane, so that a sample's currents do not depend on its neighbours in the block.
    begins, ends: first synapse of each source, and the one after its last.
    """
    lanes, window = width(word), block.window
    for e in range(n_events):
        event = peek(block.events, e)
        if event >= 0:
            source, place = first_source + event // lanes, here + event % lanes
            for k in range(peek(begins, source), peek(ends, source)):
                p = place + peek(net.offset, k)
                poke(window, p, peek(window, p) + peek(net.weight, k))
        else:
            mask, source = peek(masks, start + ~event), first_source + ~event
            for k in range(peek(begins, source), peek(ends, source)):
                p = here + peek(net.offset, k)
                old = load(window, p, word)
                store(window, p, where(mask, old + peek(net.weight, k), old))


@jit
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


@inline
def synapse(k, net, window, here, acc, word):
    """acc + weight * window[here + offset] of synapse k."""
    return multiply_add(load(window, here + peek(net.offset, k), word), peek(net.weight, k), acc)


@inline
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


@jit
def credit(masks, start, n_events, first_source, begins, ends, net, block, window, here, grad, word):
    """Add to the gradient of every synapse what the listed spikes caused; arguments as for `deliver`."""
    lanes = width(word)
    for e in range(n_events):
        event = peek(block.events, e)
        if event >= 0:
            source, place = first_source + event // lanes, here + event % lanes
            for k in range(peek(begins, source), peek(ends, source)):
                poke(grad, k, peek(grad, k) + peek(window, place + peek(net.offset, k)))
        else:
            mask, source = peek(masks, start + ~event), first_source + ~event
            for k in range(peek(begins, source), peek(ends, source)):
                caused = where(mask, load(window, here + peek(net.offset, k), word), 0)
                poke(grad, k, peek(grad, k) + total(caused))
