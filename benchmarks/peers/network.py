"""The network of a work as dense arrays, as other libraries take it."""

import math
from typing import NamedTuple

import numpy as np

from lsnn.bench.measuring import TAIL
from lsnn.bench.works import Work

ALPHA, RHO, KAPPA = math.exp(-1 / 20), math.exp(-1 / 700), math.exp(-1 / 20)
V_TH, BETA, DAMPENING = 0.01, 1.8, 0.3
"""lsnn.Cells and lsnn.LSNN have these by default"""


class Net(NamedTuple):
    """A work's network as dense arrays.  D is its longest delay, steps."""

    work: Work
    inputs: np.ndarray
    """(time, batch, n_in)"""
    w_in: np.ndarray
    """(n_in, n)"""
    w_rec: np.ndarray
    """(n, n)"""
    w_out: np.ndarray
    """(n, n_out)"""
    at_in: np.ndarray
    """1 where an input's synapse has a delay of d steps, (D, n_in, n)"""
    at_rec: np.ndarray
    """1 where a neuron's synapse has a delay of d + 1 steps, (D, n, n)"""
    beta: np.ndarray
    """(n,)"""
    tail: np.ndarray
    """sum over time of tail * spikes is the mean of the filtered spikes over the last steps, (time,)"""


def network(work: Work) -> Net:
    """The network that lsnn draws for a work, and its inputs."""
    net = work.network()
    synapses, depth = net.synapses, work.max_delay
    pre, post, delay = (part.numpy() for part in (synapses.pre, synapses.post, synapses.delay))
    weight = synapses.weight().detach().numpy()
    dense = {name: matrix.numpy() for name, matrix in synapses.dense().items()}
    at = np.zeros((depth, work.n_in + work.n, work.n), np.float32)
    inner = post < work.n
    at[delay[inner] - (pre[inner] >= work.n_in), pre[inner], post[inner]] = weight[inner] != 0
    steps, first = np.arange(work.steps), max(work.steps - TAIL, 0)
    tail = KAPPA ** np.maximum(first - steps, 0) - KAPPA ** (work.steps - steps)
    return Net(
        work,
        work.inputs().numpy().astype(np.float32),
        dense["input"],
        dense["recurrent"],
        dense["readout"],
        at[:, : work.n_in],
        at[:, work.n_in :],
        net.constants().beta.numpy(),
        (tail / min(TAIL, work.steps)).astype(np.float32),
    )
