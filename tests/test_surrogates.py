"""Every surrogate: a hard step forward, its own pseudo-derivative backward."""

import pytest
import torch

from lsnn.surrogates import SHAPES, Surrogate
from tests.smooth import INTEGRALS

U = torch.linspace(-3, 3, 121, dtype=torch.float64)


@pytest.mark.parametrize("name", SHAPES)
def test_forward_is_a_step_and_backward_the_scaled_shape(name):
    u = U.clone().requires_grad_()
    surrogate = Surrogate(name, dampening=0.3, width=0.7)
    spikes = surrogate.spike(u)
    assert torch.equal(spikes, (U > 0).double())
    (slope,) = torch.autograd.grad(spikes.sum(), u)
    assert torch.allclose(slope, 0.3 * SHAPES[name](U / 0.7), rtol=1e-14)


@pytest.mark.parametrize("name", SHAPES)
def test_peak_is_the_dampening(name):
    assert Surrogate(name, dampening=0.3).derivative(torch.zeros(1, dtype=torch.float64)).item() == pytest.approx(0.3)
    assert SHAPES[name](U).max() <= 1 + 1e-12


@pytest.mark.parametrize("name", SHAPES)
def test_shape_is_the_derivative_of_its_closed_integral(name):
    h, away_from_kinks = 1e-5, U + 0.0123
    slope = (INTEGRALS[name](away_from_kinks + h) - INTEGRALS[name](away_from_kinks - h)) / (2 * h)
    assert torch.allclose(slope, SHAPES[name](away_from_kinks), rtol=1e-7, atol=1e-9)


def test_triangle_by_hand():
    u = torch.tensor([-1.5, -1.0, -0.5, 0.0, 0.25, 1.0, 2.0])
    assert Surrogate(dampening=0.4).derivative(u).tolist() == pytest.approx([0, 0, 0.2, 0.4, 0.3, 0, 0])


def test_multi_gaussian_is_negative_beside_its_peak():
    """Its side lobes are what tells it from the Gaussian (Yin et al. 2021)."""
    slope = Surrogate("multi_gaussian").derivative(torch.tensor([0.0, 4.0]))
    assert slope[0] > 0 > slope[1]


@pytest.mark.parametrize("name", SHAPES)
def test_far_from_threshold_gradients_stay_finite(name):
    u = torch.tensor([-1e30, -1e5, 1e5, 1e30], requires_grad=True)
    (slope,) = torch.autograd.grad(Surrogate(name).spike(u).sum(), u)
    assert torch.isfinite(slope).all()
