"""The synapses of a saved network, for its figures."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from lsnn.experiments import Spiking
from lsnn.figures import Wired

SAVED = (*(f"synapses.{name}" for name in ("pre", "post", "delay", "theta", "sign", "source_sign")), "v_th", "bias")
"""what the report takes from a saved network"""


def saved_names(network: Spiking) -> tuple[str, ...]:
    """`SAVED` as a saved network calls them."""
    return tuple(f"ahead.{name}" for name in SAVED) if network.bidirectional else SAVED


def wired_of(saved: Mapping[str, Tensor], network: Spiking) -> Wired:
    """The active synapses of a saved network; of a bidirectional one, those of the direction from start to end."""
    pre, post, delay, theta, sign, sources, v_th, bias = (saved[name].numpy() for name in saved_names(network))
    n, n_out, n_regular = len(v_th), len(bias), network.cells.n_regular
    signed = network.excitatory is not None
    active = theta > 0 if signed else np.ones(len(theta), dtype=bool)
    weight = sign * theta if signed else theta
    pre, post, delay, weight = (array[active] for array in (pre, post, delay, weight))
    return Wired(pre, post, delay, weight, len(sources) - n, n_regular, n - n_regular, n_out)
