"""Full blocks of synapses, all of one delay: whole rows of their matrices for every spike, products for gradients.

A row of a matrix lies in memory as the targets of one lane do in `Block.across`, where currents are added up lane by
lane; they are transposed into the window once per step.
"""

from lsnn.ops.kernel.jit import jit
from lsnn.ops.kernel.simd import (
    erase,
    line_of,
    load,
    multiply_add,
    narrow,
    peek,
    spread,
    store,
    tile,
    transpose,
    transpose_add,
    width,
)


@jit
def add_rows(n_events, matrix, block, word):
    """across += the row of every listed spike's source."""
    lanes, stride, across = width(word), matrix.shape[1], block.across
    line = line_of(across)
    for e in range(n_events):
        event = peek(block.events, e)
        row, to = event // lanes * stride, event % lanes * stride
        for c in range(0, stride, width(line)):
            store(across, to + c, load(across, to + c, line) + load(matrix, row + c, line))


@jit
def credit_rows(n_events, grad, block, word):
    """The row of every listed spike's source in grad += what stands across in its lane."""
    lanes, stride, across = width(word), grad.shape[1], block.across
    line = line_of(across)
    for e in range(n_events):
        event = peek(block.events, e)
        row, start = event // lanes * stride, event % lanes * stride
        for c in range(0, stride, width(line)):
            store(grad, row + c, load(grad, row + c, line) + load(across, start + c, line))


@jit
def add_values(values, start, n_in, size, matrix, across):
    """across += values (size, n_in), from flat position `start` on, times matrix."""
    stride, line = matrix.shape[1], line_of(across)
    for lane in range(size):
        for i in range(n_in):
            value = peek(values, start + lane * n_in + i)
            if value != 0:
                for c in range(0, stride, width(line)):
                    p = lane * stride + c
                    store(across, p, multiply_add(load(matrix, i * stride + c, line), value, load(across, p, line)))


@jit
def credit_values(values, start, n_in, size, grad, across):
    """grad += values (size, n_in), from flat position `start` on, transposed, times across."""
    stride, line = grad.shape[1], line_of(across)
    for lane in range(size):
        for i in range(n_in):
            value = peek(values, start + lane * n_in + i)
            if value != 0:
                for c in range(0, stride, width(line)):
                    p = i * stride + c
                    store(grad, p, multiply_add(load(across, lane * stride + c, line), value, load(grad, p, line)))


@jit
def arrive(n, block, here, word):
    """Add what stands across to the currents at window[here] and leave nothing behind.

    Rows of the window beyond the neurons get zeros added: columns of `across` beyond them are empty.
    """
    lanes, side = width(word), tile(block.across, word)
    stride = len(block.across) // lanes
    for lane in range(0, lanes, side):
        for i in range(0, n, side):
            transpose_add(block.across, lane * stride + i, stride, block.window, here + i * lanes + lane, lanes, word)
    erase(block.across, 0, len(block.across))


@jit
def turn(n, window, here, across, word):
    """across <- the gradient of the neurons' currents at window[here]; columns beyond them are of no meaning."""
    lanes, side = width(word), tile(across, word)
    stride = len(across) // lanes
    for lane in range(0, lanes, side):
        for i in range(0, n, side):
            transpose(window, here + i * lanes + lane, lanes, across, lane * stride + i, stride, word)


@jit
def multiply(matrix, n, window, here, result, word):
    """result (rows, lanes) <- matrix (rows, n) times the neurons' rows at window[here]; rows a multiple of eight.

    Eight rows at a time, so that every number of the window is read once for eight products, and as many lanes as
    leave their sums in registers.
    """
    lanes, stride, part = width(word), matrix.shape[1], narrow(matrix, word)
    zero = spread(matrix.dtype.type(0), part)
    for i in range(0, matrix.shape[0], 8):
        w = i * stride
        for lane in range(0, lanes, width(part)):
            r0 = r1 = r2 = r3 = r4 = r5 = r6 = r7 = zero
            for j in range(n):
                x = load(window, here + j * lanes + lane, part)
                r0 = multiply_add(x, peek(matrix, w + j), r0)
                r1 = multiply_add(x, peek(matrix, w + j + stride), r1)
                r2 = multiply_add(x, peek(matrix, w + j + 2 * stride), r2)
                r3 = multiply_add(x, peek(matrix, w + j + 3 * stride), r3)
                r4 = multiply_add(x, peek(matrix, w + j + 4 * stride), r4)
                r5 = multiply_add(x, peek(matrix, w + j + 5 * stride), r5)
                r6 = multiply_add(x, peek(matrix, w + j + 6 * stride), r6)
                r7 = multiply_add(x, peek(matrix, w + j + 7 * stride), r7)
            p = i * lanes + lane
            store(result, p, r0)
            store(result, p + lanes, r1)
            store(result, p + 2 * lanes, r2)
            store(result, p + 3 * lanes, r3)
            store(result, p + 4 * lanes, r4)
            store(result, p + 5 * lanes, r5)
            store(result, p + 6 * lanes, r6)
            store(result, p + 7 * lanes, r7)
