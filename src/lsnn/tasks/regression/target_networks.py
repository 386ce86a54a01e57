"""The paper's first family of functions: small random networks."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from lsnn.tasks.regression.family import Functions
from lsnn.tasks.regression.task import Regression

N_HIDDEN = 10
GRID = 25
"""points a side over which the least and the largest value are looked for"""


@dataclass(frozen=True)
class TargetNetworks(Regression):
    """Random networks of 2 inputs, 10 sigmoid units and a sigmoid output; 40 parameters: the output has no bias.

    The paper's text has weights and biases in [-1, 1] (weight_range 1), which makes nearly planes; its linear baseline
    is that of weights in [-5, 5] with values stretched to [0, 1], which are therefore the default.
    Source: Bellec et al. 2018, figure 2A and its caption; docs/experiments/learning-to-learn.md has the numbers.
    """

    name: ClassVar[str] = "target-networks"
    n_x: ClassVar[int] = 2
    decisive: ClassVar[tuple[str, ...]] = (*Regression.decisive, "weight_range", "scaling")

    weight_range: float = 5.0
    """weights and biases are drawn uniformly between minus this and this"""
    scaling: Literal["none", "min-max"] = "min-max"
    """min-max stretches the values of each network over its square of inputs to 0 ... 1; none leaves the sigmoid's"""
    easiest: float | None = None
    """in training, each network's weight_range is drawn between this and weight_range, or what has been reached of it
    over `easy_steps`, from here; None: all are as in the test"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.weight_range <= 100:
            raise ValueError(f"weight_range must lie in (0, 100], got {self.weight_range}; the paper's text has 1")

        if self.easiest is not None and not 0 < self.easiest <= self.weight_range:
            raise ValueError(f"easiest must lie in (0, {self.weight_range}], up to weight_range, got {self.easiest}")

    @property
    def begins_easier(self) -> bool:
        """Whether training begins with shorter episodes or nearly planes."""
        return self.easiest is not None or super().begins_easier

    def draw(self, n: int, generator: Generator) -> Functions:
        """n random networks."""
        return self._networks(self.weight_range * torch.ones(n), generator)

    def grown(self, share: float) -> Self:
        """The family as it is trained on when this share of `easy_steps`, below 1, is over; larger weights here."""
        family = super().grown(share)
        if self.easiest is None:
            return family
        return replace(family, weight_range=self.easiest + share * (self.weight_range - self.easiest))

    def draw_training(self, n: int, generator: Generator) -> Functions:
        """n random networks, some of them easier: nearer to planes."""
        if self.easiest is None:
            return self.draw(n, generator)
        share = torch.rand(n, generator=generator)
        return self._networks(self.easiest + (self.weight_range - self.easiest) * share, generator)

    def _networks(self, weight_range: Float[Tensor, " n"], generator: Generator) -> Functions:
        n = len(weight_range)
        weights = weight_range[:, None, None] * (2 * torch.rand(n, N_HIDDEN, 4, generator=generator) - 1)
        w_in, bias, w_out = weights[..., :2], weights[..., 2], weights[..., 3]

        def raw(x: Tensor) -> Tensor:
            hidden = torch.sigmoid(torch.einsum("enx,nhx->enh", x, w_in) + bias)
            return torch.sigmoid(torch.einsum("enh,nh->en", hidden, w_out))

        if self.scaling == "none":
            return raw
        side = torch.linspace(*self.x_range, GRID)
        values = raw(torch.cartesian_prod(side, side)[:, None].expand(-1, n, -1))
        low, high = values.amin(0), values.amax(0)
        return lambda x: ((raw(x) - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
