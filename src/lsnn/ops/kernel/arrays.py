"""What the kernel's loops work on: flat arrays, in which row i of (rows, lanes) starts at i * lanes.

A block is as many samples (lanes) as a mask word has bits.  Inside a block the lanes are the innermost axis.  Spikes
are one mask per source and step.

A synapse never needs to know its delay: `Net.offset` is its distance, in numbers, from the row of the present to its
target's place in the row where it arrives.  The rows of a window of time follow each other in one array, the
currents to come in the forward pass, their gradients in the backward pass; readouts are columns beside the neurons,
reached without delay.
"""

from typing import NamedTuple

import numpy as np

MARGIN = 16
"""rows at the end of a window: whole squares are transposed, which may reach beyond the last neuron"""


class Net(NamedTuple):
    """Synapses: full blocks as matrices, all others sorted by source, delay and target, readouts first."""

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
    many_inputs: int
    many_neurons: int
    """spikes of a source in a block from which a synapse does all lanes at once"""
    from_inputs: np.ndarray
    """matrix of a full block without delay [source, target], (rows, stride); without rows where it is not full"""
    from_neurons: np.ndarray
    """the same for synapses between neurons, which take one step"""


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
    """index into `backward.SHAPES`"""
    dampening: float
    inverse_width: float
    through_reset: float
    """1; 0 where the reset is detached"""
    through_threshold: float


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
    """room for a list of events, (max(n_in, n) * lanes,); see `events.list_events`"""
    busy: np.ndarray
    """room for a list of sources, (max(n_in, n) + 1,)"""
    silent_now: np.ndarray
    """room for masks of the neurons that are refractory at a step, (n,)"""
    x_now: np.ndarray
    """room for the real-valued inputs of a step, (n_in in eights, lanes), or of one input in a chunk"""
    v: np.ndarray
    b: np.ndarray
    """voltage and adaptation, (n, lanes)"""
    y: np.ndarray
    """readout, (n_out, lanes)"""
    window: np.ndarray
    """currents to come, (rows, n + n_out, lanes): the present, then the future; a margin at the end"""
    counts: np.ndarray
    """spikes, (n, lanes)"""
    across: np.ndarray
    """room for a row of a full block's targets, lane by lane: (lanes, stride)"""


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
    back: np.ndarray
    """room for what a full block of synapses hands back to its sources, (rows of its matrix, lanes)"""
    weight: np.ndarray
    from_inputs: np.ndarray
    from_neurons: np.ndarray
    """of the synapses, as in `Net`"""
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
