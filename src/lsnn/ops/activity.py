"""What a kernel returns."""

from typing import Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor

Record = Literal["spikes", "voltages", "thresholds"]
"""traces a kernel keeps on request"""
Memory = Literal["fast", "low"]
"""what is kept for the backward pass: everything, or a state now and then, from which the rest is computed again"""


class Activity(NamedTuple):
    """What a network did over a stretch of time; differentiable.  Traces not asked for are None."""

    readout: Float[Tensor, "time batch n_out"]
    """filtered; a network's has its bias, `ops.run`'s has not"""
    rate: Float[Tensor, "batch n"] | None
    """mean firing rate, Hz; None from networks that do not spike"""
    spikes: Float[Tensor, "time batch n"] | None = None
    """0 or 1"""
    voltages: Float[Tensor, "time batch n"] | None = None
    """in the unit of v_th"""
    thresholds: Float[Tensor, "time batch n"] | None = None
    """in the unit of v_th"""
