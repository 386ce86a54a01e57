"""Pseudo-derivatives: what the gradient sees where a neuron fires or not.

A spike is a step of the normalised distance to threshold, u = (V - A) / A.  In the backward pass the step's
derivative is replaced by  dampening * shape(u / width),  where every shape here has its peak, 1, at u = 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

SurrogateName = Literal["triangular", "fast_sigmoid", "arctan", "gaussian", "multi_gaussian"]


def triangular(x: Tensor) -> Tensor:
    """max(0, 1 - |x|), the paper's (Bellec et al. 2018, section 2)."""
    return (1 - x.abs()).clamp(min=0)


def fast_sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + |x|)^2, derivative of x / (1 + |x|) (Zenke and Ganguli 2018, SuperSpike)."""
    return (1 + x.abs()) ** -2


def arctan(x: Tensor) -> Tensor:
    """1 / (1 + (pi x / 2)^2), derivative of (2 / pi) arctan(pi x / 2) (Fang et al. 2021)."""
    return 1 / (1 + (math.pi / 2 * x) ** 2)


def gaussian(x: Tensor) -> Tensor:
    """exp(-x^2 / 2)."""
    return torch.exp(-0.5 * x**2)


def multi_gaussian(x: Tensor) -> Tensor:
    """A Gaussian between two wide negative ones (Yin, Corradi and Bohte 2021, eq. 10), scaled to peak 1.

    Their constants: side weight h = 0.15, side width s = 6 sigma, side centres at +-sigma; here sigma = 1.
    """
    h, s = 0.15, 6.0

    def mixture(x: Tensor) -> Tensor:
        sides = gaussian((x - 1) / s) + gaussian((x + 1) / s)
        return (1 + h) * gaussian(x) - h / s * sides

    return mixture(x) / mixture(torch.zeros((), dtype=x.dtype, device=x.device))


SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    shape.__name__: shape for shape in (triangular, fast_sigmoid, arctan, gaussian, multi_gaussian)
}


@dataclass(frozen=True)
class Surrogate:
    """A step forward, ``dampening * shape(u / width)`` backward."""

    name: SurrogateName = "triangular"
    dampening: float = 0.3
    width: float = 1.0

    def derivative(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The pseudo-derivative dz/du."""
        return self.dampening * SHAPES[self.name](u / self.width)

    def spike(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """1 where u > 0, else 0; differentiable through the pseudo-derivative."""
        return _Spike.apply(u, self)


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(u)
        ctx.surrogate = surrogate
        return (u > 0).to(u.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_z: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return grad_z * ctx.surrogate.derivative(u), None
