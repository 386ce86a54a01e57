"""The cell: leaky integrate-and-fire neurons, some with an adaptive threshold, and its equations."""

import math
import operator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsnn.surrogates import SHAPES, Surrogate, SurrogateName

Values = float | tuple[float, ...]
"""one value for all neurons, or one per neuron"""
ConstantName = Literal["tau_m", "tau_a", "beta", "v_th", "noise_std"]
CONSTANTS: tuple[ConstantName, ...] = ("tau_m", "tau_a", "beta", "v_th", "noise_std")
"""what every neuron has a value of"""

Detached = Literal["reset", "threshold"]
"""reset: what a spike takes from the voltage; threshold: what it is measured against, and with it the adaptation"""


@dataclass(frozen=True)
class Cells:
    """What the neurons are made of.  Regular (LIF) neurons come first in every neuron axis, adaptive ones after.

    Defaults are the paper's for sequential MNIST (Bellec et al. 2018, supplement; authors' public code).
    """

    n_regular: int = 120
    """regular leaky integrate-and-fire neurons"""
    n_adaptive: int = 100
    """neurons with an adaptive threshold"""
    tau_m: Values = 20.0
    """membrane time constant, ms; one value or one per neuron"""
    tau_a: Values = 700.0
    """threshold adaptation time constant, ms; one value or one per neuron"""
    tau_m_range: tuple[float, float] | None = None
    """draw tau_m uniformly from this range, ms, one per neuron, instead of tau_m"""
    tau_a_range: tuple[float, float] | None = None
    """draw tau_a uniformly from this range, ms, one per neuron, instead of tau_a"""
    beta: Values = 1.8
    """threshold rise per unit of adaptation: one value for the adaptive neurons, or one per neuron of all"""
    v_th: Values = 0.01
    """baseline threshold, in the units of the voltage; one value or one per neuron"""
    n_ref: int = 5
    """refractory period, steps: after a spike a neuron is silent for so many steps"""
    noise_std: Values = 0.0
    """standard deviation of the Gaussian current noise, in the units of the current; one value or one per neuron"""
    reset_delay: Literal[0, 1] = 0
    """1 lowers the voltage one step later, as the authors' public code does"""
    surrogate: SurrogateName = "triangular"
    """shape of the pseudo-derivative"""
    dampening: float = 0.3
    """height of the pseudo-derivative (gamma)"""
    surrogate_width: float = 1.0
    """width of the pseudo-derivative in units of the normalised distance to threshold"""
    detach: tuple[Detached, ...] = ()
    """what the gradient does not flow through: the reset, the threshold, or both; the paper's flows through all"""
    trainable: tuple[ConstantName, ...] = ()
    """constants that are trained, per neuron, each through the logarithm of its factor"""
    dt: float = 1.0
    """time step, ms; the tasks here make input for steps of 1 ms, which another step stretches or compresses"""

    @property
    def n(self) -> int:
        """Number of neurons."""
        return self.n_regular + self.n_adaptive

    def __post_init__(self) -> None:
        for name in CONSTANTS:
            object.__setattr__(self, name, _plain(name, getattr(self, name)))
        for name in ("n_regular", "n_adaptive", "n_ref", "reset_delay"):
            object.__setattr__(self, name, whole(name, getattr(self, name)))
        if self.n_regular < 0 or self.n_adaptive < 0 or self.n == 0:
            raise ValueError(
                f"a network needs at least one neuron, got n_regular={self.n_regular}, n_adaptive={self.n_adaptive}"
            )
        for name in ("tau_m", "tau_a", "v_th"):
            if any(not 0 < value < math.inf for value in _flat(getattr(self, name))):
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
        for name in ("beta", "noise_std"):
            if any(not 0 <= value < math.inf for value in _flat(getattr(self, name))):
                raise ValueError(f"{name} must be finite and not negative, got {getattr(self, name)}")
        for name in ("tau_m_range", "tau_a_range"):
            bounds = getattr(self, name)
            if bounds is not None and not (np.size(bounds) == 2 and 0 < bounds[0] <= bounds[1]):
                raise ValueError(f"{name} must be two rising positive numbers in ms, got {bounds}")
        if self.n_ref < 0:
            raise ValueError(f"n_ref counts steps, 0 means no refractory period; got {self.n_ref}")
        if self.reset_delay not in (0, 1):
            raise ValueError(f"reset_delay must be 0 (paper) or 1 (authors' public code), got {self.reset_delay}")
        if self.surrogate not in SHAPES:
            raise ValueError(f"unknown surrogate {self.surrogate!r}; known: {', '.join(SHAPES)}")
        for field, known in (("detach", ("reset", "threshold")), ("trainable", CONSTANTS)):
            names = getattr(self, field)
            if isinstance(names, str):
                raise ValueError(f"{field} is a tuple of names, got {names!r}; write ({names!r},)")
            if unknown := [name for name in names if name not in known]:
                raise ValueError(f"{field} can name {', '.join(known)}, got {unknown[0]!r}")
        if not self.dampening >= 0:
            raise ValueError(f"dampening must not be negative, got {self.dampening}; the paper has 0.3")
        if not self.surrogate_width > 0:
            raise ValueError(f"surrogate_width must be positive, got {self.surrogate_width}")
        if not self.dt > 0:
            raise ValueError(f"dt must be positive, got {self.dt} ms")
        for name in CONSTANTS:
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != self.n:
                raise ValueError(f"{name} has {len(value)} values for {self.n} neurons; give one, or one per neuron")

    def draw(self, generator: torch.Generator) -> "dict[str, Float[Tensor, ' n']]":
        """One value per neuron for each constant, in float64; time constants with a range are drawn from it.

        A single beta counts for the adaptive neurons only: regular ones have beta = 0.
        """
        constants = {name: _per_neuron(getattr(self, name), self.n) for name in CONSTANTS}
        if not isinstance(self.beta, tuple):
            constants["beta"][: self.n_regular] = 0
        for name, bounds in (("tau_m", self.tau_m_range), ("tau_a", self.tau_a_range)):
            if bounds is not None:
                low, high = bounds
                constants[name] = low + (high - low) * torch.rand(self.n, generator=generator, dtype=torch.float64)
        return constants


def whole(name: str, given: Any) -> int:
    """An int of what may be one of numpy's or torch's."""
    try:
        return operator.index(given)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {given!r}; int() makes one") from None


def _plain(name: str, given: Any) -> Values:
    """A number, or a tuple of numbers, of what may be an array, a tensor or a list."""
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, or one per neuron, got {given!r}") from None
    if array.ndim > 1:
        raise ValueError(f"{name} must be a number, or one per neuron, got an array of shape {array.shape}")
    return given if isinstance(given, int | float) else tuple(array.tolist()) if array.ndim else float(array)


def _flat(values: Values) -> tuple[float, ...]:
    return values if isinstance(values, tuple) else (values,)


def _per_neuron(values: Values, n: int) -> Tensor:
    return torch.tensor(values if isinstance(values, tuple) else (values,) * n, dtype=torch.float64)


def exponential(x: Tensor) -> Tensor:
    """exp(x), found in double precision: in single precision its last bit differs between machines, and then spikes."""
    return x.double().exp().to(x.dtype)


class Constants(NamedTuple):
    """The cell's constants as the kernel takes them; differentiable."""

    tau_m: Float[Tensor, " n"]
    tau_a: Float[Tensor, " n"]
    beta: Float[Tensor, " n"]
    v_th: Float[Tensor, " n"]
    noise_std: Float[Tensor, " n"]
    n_ref: int
    reset_delay: int
    dt: float
    tau_out: float
    surrogate: Surrogate
    detach: tuple[Detached, ...] = ()

    def coefficients(self) -> "Coefficients":
        """The decays per step that the constants stand for, one column per constant: shapes (n, 1)."""
        alpha, rho = exponential(-self.dt / self.tau_m), exponential(-self.dt / self.tau_a)
        alpha, rho, beta, v_th = (constant[:, None] for constant in (alpha, rho, self.beta, self.v_th))
        return Coefficients(alpha, rho, beta, v_th, self.n_ref, self.reset_delay, self.surrogate, self.detach)

    @property
    def kappa(self) -> float:
        """Readout decay per step, exp(-dt / tau_out); tau_out = 0 leaves the readout unfiltered."""
        return math.exp(-self.dt / self.tau_out) if self.tau_out > 0 else 0.0


class Coefficients(NamedTuple):
    """What one step needs of the constants; broadcasts over (n, batch)."""

    alpha: Float[Tensor, "n 1"]
    """voltage decay per step, exp(-dt / tau_m)"""
    rho: Float[Tensor, "n 1"]
    """adaptation decay per step, exp(-dt / tau_a)"""
    beta: Float[Tensor, "n 1"]
    v_th: Float[Tensor, "n 1"]
    n_ref: int
    reset_delay: int
    surrogate: Surrogate
    detach: tuple[Detached, ...] = ()


class State(NamedTuple):
    """Everything a network carries from one step to the next; hand it to the next call to go on."""

    v: Float[Tensor, "batch n"]
    """voltage"""
    b: Float[Tensor, "batch n"]
    """adaptation: the neuron's own filtered spike train"""
    z: Float[Tensor, "batch n"]
    """spikes of the last step"""
    z_before: Float[Tensor, "batch n"]
    """spikes of the step before that; used with reset_delay = 1"""
    refractory: Int[Tensor, "batch n"]
    """steps for which the neuron stays silent"""
    pending: Float[Tensor, "max_delay batch n"]
    """current that is on its way: row k arrives in k steps, counted from the next one"""
    y: Float[Tensor, "batch n_out"]
    """filtered readout, without its bias"""

    def detach(self) -> "State":
        """The same state, cut from the graph: gradients do not flow into what came before."""
        return State(*(part.detach() for part in self))


class Cell(NamedTuple):
    """The part of a State that belongs to the neurons themselves, neuron first: the batch is the contiguous axis."""

    v: Float[Tensor, "n batch"]
    b: Float[Tensor, "n batch"]
    z: Float[Tensor, "n batch"]
    z_before: Float[Tensor, "n batch"]
    refractory: Int[Tensor, "n batch"]


def step(cell: Cell, current: Float[Tensor, "n batch"], k: Coefficients) -> tuple[Cell, Float[Tensor, "n batch"]]:
    """Advance all neurons by one step of dt.  THE equations of the cell (Bellec et al. 2018, section 2).

        b[t] = rho b[t-1] + (1 - rho) z[t-1]                      adaptation
        A[t] = v_th + beta b[t]                                   threshold
        v[t] = alpha v[t-1] + (1 - alpha) I[t] - A[t-1] z[t-1]    voltage
        u[t] = (v[t] - A[t]) / A[t]                               normalised distance to threshold
        z[t] = 1 if u[t] > 0 and no spike in the last n_ref steps, else 0
        dz/du := dampening * shape(u), and 0 while refractory     pseudo-derivative, see surrogates.py

    The authors' public code tests the voltage of the step before, so that the reset acts a step later: with
    reset_delay = 1 the last term of v[t] is  - A[t-1] z[t-2].  Gradients flow through every term that is not detached:
    with "reset" the last term of v[t] is a constant to them, with "threshold" every A is.

    Returns the cell at t and the threshold A[t].
    """
    v, b, z, z_before, refractory = cell
    held = k.v_th + k.beta * b
    reset = (held.detach() if "threshold" in k.detach else held) * (z_before if k.reset_delay else z)
    b = k.rho * b + (1 - k.rho) * z
    threshold = k.v_th + k.beta * b
    v = k.alpha * v + (1 - k.alpha) * current - (reset.detach() if "reset" in k.detach else reset)
    bar = threshold.detach() if "threshold" in k.detach else threshold
    u = (v - bar) / bar
    silent = refractory > 0
    fires = k.surrogate.spike(u).masked_fill(silent, 0)
    refractory = torch.where((u > 0) & ~silent, k.n_ref, (refractory - 1).clamp(min=0))
    return Cell(v, b, fires, z, refractory), threshold
