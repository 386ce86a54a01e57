"""A trial cut into stretches, and the network's state between them."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lsnn.network import LSNN
from lsnn.neuron import State

SEEN = "input just seen"
"""what is no memory: the events of the last stretch, by input channel"""
EVERYTHING = "everything"
"""all variables of the network together"""


class Moment(NamedTuple):
    """A network after one more stretch of a trial."""

    step: int
    state: State
    readout: Float[Tensor, "time batch n_out"]
    """of the stretch"""
    features: Float[Tensor, "batch feature"]
    columns: dict[str, slice]
    """features by variable, EVERYTHING and SEEN among them"""

    @property
    def seen(self) -> Float[Tensor, "batch n_in"]:
        """Events of the last stretch, by input channel."""
        return self.features[:, self.columns[SEEN]]


@torch.no_grad()
def moments(
    network: LSNN,
    inputs: Shaped[Tensor, "time batch n_in"],
    every: int,
    noise: Float[Tensor, "time batch n"] | None = None,
) -> Iterator[Moment]:
    """Run over ``inputs`` from rest, and stop every so many steps.  noise: of `LSNN.draw_noise`."""
    state, adaptive = None, network.constants().beta > 0
    for start in range(0, len(inputs), every):
        stretch = inputs[start : start + every]
        activity, state = network(stretch, state, noise=None if noise is None else noise[start : start + every])
        on_the_way = state.pending.split(every)  # of delays longer than a stretch, one sum for each stretch
        variables = {
            "thresholds": state.b[:, adaptive],
            "voltages": state.v,
            "spikes": activity.rate,
            "on the way": torch.cat([part.sum(0) for part in on_the_way], dim=1),
            SEEN: stretch.sum(0, dtype=activity.readout.dtype),
        }
        columns, stop = {}, 0
        for name, values in variables.items():
            columns[name] = slice(stop, stop := stop + values.shape[1])
        columns[EVERYTHING] = slice(0, columns[SEEN].start)
        features = torch.cat(list(variables.values()), dim=1)
        found = {name: part for name, part in columns.items() if part.start < part.stop}
        yield Moment(start + len(stretch), state, activity.readout, features, found)
