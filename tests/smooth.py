"""A differentiable stand-in for the spike, so that central differences have something to differ."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lsnn.surrogates import Surrogate


def _normal(x: Tensor) -> Tensor:
    """Integral of exp(-x^2 / 2) from 0."""
    return math.sqrt(math.pi / 2) * torch.erf(x / math.sqrt(2))


def _multi(x: Tensor) -> Tensor:
    h, s = 0.15, 6.0
    peak = (1 + h) - 2 * h / s * math.exp(-0.5 / s**2)
    return ((1 + h) * _normal(x) - h * (_normal((x - 1) / s) + _normal((x + 1) / s))) / peak


INTEGRALS = {
    "triangular": lambda x: torch.where(x.abs() < 1, x - x * x.abs() / 2, 0.5 * x.sign()),
    "fast_sigmoid": lambda x: x / (1 + x.abs()),
    "arctan": lambda x: 2 / math.pi * torch.atan(math.pi / 2 * x),
    "gaussian": _normal,
    "multi_gaussian": _multi,
}
"""antiderivatives of the surrogates' shapes, zero at 0"""


@dataclass(frozen=True)
class SmoothSurrogate(Surrogate):
    """Forward is an antiderivative of the pseudo-derivative, so that the pseudo-gradient is the true gradient."""

    def spike(self, u: Tensor) -> Tensor:
        return 0.5 + self.dampening * self.width * INTEGRALS[self.name](u / self.width)
