"""The equations of the cell, each against numbers worked out by hand."""

import math

import pytest
import torch

import lsnn
from lsnn.neuron import Cell, Coefficients, step
from lsnn.surrogates import Surrogate


def one_neuron(**cells) -> lsnn.LSNN:
    """A neuron that sees its input current through a weight of 1, read out by a weight of 1."""
    kinds = {"n_regular": 0, "n_adaptive": 1, "n_ref": 0} | cells
    return lsnn.LSNN.from_arrays([[1.0]], [[0.0]], [[1.0]], lsnn.Cells(**kinds), dtype=torch.float64)


def run(net: lsnn.LSNN, current: list[float]):
    inputs = torch.tensor(current, dtype=torch.float64)[:, None, None]
    activity, _ = net(inputs, record=("spikes", "voltages", "thresholds"))
    return [trace[:, 0, 0].tolist() for trace in (activity.spikes, activity.voltages, activity.thresholds)]


def test_five_steps_of_an_adaptive_neuron_by_hand():
    """alpha = rho = 1/2, v_th = 1, beta = 2, current 3, 3, 1, 4, 1.

    t  b                    A = 1 + 2b   v = v/2 + I/2 - A[t-1] z[t-1]         z
    0  0                    1            0 + 1.5                  =  1.5       1
    1  0/2 + 1/2   = 0.5    2            0.75 + 1.5 - 1           =  1.25      0
    2  0.25                 1.5          0.625 + 0.5              =  1.125     0
    3  0.125                1.25         0.5625 + 2               =  2.5625    1
    4  0.0625 + 1/2= 0.5625 2.125        1.28125 + 0.5 - 1.25     =  0.53125   0
    """
    half = 1 / math.log(2)
    net = one_neuron(tau_m=half, tau_a=half, beta=2.0, v_th=1.0)
    spikes, voltages, thresholds = run(net, [3, 3, 1, 4, 1])
    assert spikes == [1, 0, 0, 1, 0]
    assert voltages == pytest.approx([1.5, 1.25, 1.125, 2.5625, 0.53125], abs=1e-12)
    assert thresholds == pytest.approx([1, 2, 1.5, 1.25, 2.125], abs=1e-12)


def test_five_steps_in_the_order_of_the_authors_code():
    """As above with reset_delay = 1: the reset A[t-1] z[t-2] comes a step later.

    0  1.5 > 1                          spike
    1  0.75 + 1.5          = 2.25 > 2   spike   (b = 0.5)
    2  1.125 + 0.5 - A[1]  = -0.375             (b = 0.75, A = 2.5)
    3  -0.1875 + 2 - A[2]  = -0.6875            (b = 0.375, A = 1.75)
    4  -0.34375 + 0.5      = 0.15625            (b = 0.1875, A = 1.375)
    """
    half = 1 / math.log(2)
    net = one_neuron(tau_m=half, tau_a=half, beta=2.0, v_th=1.0, reset_delay=1)
    spikes, voltages, thresholds = run(net, [3, 3, 1, 4, 1])
    assert spikes == [1, 1, 0, 0, 0]
    assert voltages == pytest.approx([1.5, 2.25, -0.375, -0.6875, 0.15625], abs=1e-12)
    assert thresholds == pytest.approx([1, 2, 2.5, 1.75, 1.375], abs=1e-12)


def test_threshold_rises_by_one_spikes_worth_and_decays_with_tau_a():
    tau_a, beta = 700.0, 1.8
    net = one_neuron(tau_a=tau_a, beta=beta)
    spikes, _, thresholds = run(net, [1.0] + [0.0] * 701)  # one strong pulse
    assert spikes[0] == 1 and sum(spikes) == 1 + sum(spikes[1:])
    first = spikes.index(1)
    last = len(spikes) - 1 - spikes[::-1].index(1)
    rise = beta * (1 - math.exp(-1 / tau_a))
    assert rise == pytest.approx(0.00257, abs=5e-6)  # paper's settings
    assert thresholds[first + 1] - thresholds[first] == pytest.approx(rise, rel=1e-9)
    silent = [threshold - 0.01 for threshold in thresholds[last + 1 :]]
    assert silent[-1] / silent[0] == pytest.approx(math.exp(-(len(silent) - 1) / tau_a), rel=1e-9)


def test_regular_neuron_keeps_its_threshold():
    spikes, _, thresholds = run(one_neuron(n_regular=1, n_adaptive=0), [0.05] * 200)
    assert sum(spikes) > 5
    assert thresholds == [0.01] * 200


@pytest.mark.parametrize("n_ref", [0, 1, 5])
def test_no_two_spikes_closer_than_the_refractory_period(n_ref):
    spikes, _, _ = run(one_neuron(n_ref=n_ref, beta=0.0), [10.0] * 100)  # drive that would make it fire every step
    times = [t for t, z in enumerate(spikes) if z]
    assert len(times) > 10
    assert min(b - a for a, b in zip(times, times[1:], strict=False)) == n_ref + 1


def test_reset_subtracts_the_adapted_threshold():
    net = one_neuron(tau_a=5.0)
    spikes, voltages, thresholds = run(net, [0.6] * 30)
    alpha = math.exp(-1 / 20)
    resets = [t for t in range(1, 30) if spikes[t - 1]]
    assert len(resets) > 3 and thresholds[resets[-1] - 1] > 0.02  # well above the baseline of 0.01
    for t in resets:
        expected = alpha * voltages[t - 1] + (1 - alpha) * 0.6 - thresholds[t - 1]
        assert voltages[t] == pytest.approx(expected, rel=1e-9)


def coefficients(**changes) -> Coefficients:
    values = {"alpha": 0.9, "rho": 0.99, "beta": 1.8, "v_th": 0.01} | changes
    tensors = {name: torch.tensor([[value]], dtype=torch.float64) for name, value in values.items()}
    return Coefficients(**tensors, n_ref=2, reset_delay=0, surrogate=Surrogate())


def cell(v=0.0, b=0.0, z=0.0, refractory=0) -> Cell:
    values = [torch.tensor([[value]], dtype=torch.float64, requires_grad=True) for value in (v, b, z, 0.0)]
    return Cell(*values, torch.tensor([[refractory]]))


@pytest.mark.parametrize(
    ("voltage", "shape"), [(0.01, 1.0), (0.015, 0.5), (0.005, 0.5), (0.0, 0.0), (0.02, 0.0), (-1.0, 0)]
)
def test_pseudo_derivative_of_the_voltage(voltage, shape):
    """dz/dv = gamma / A max(0, 1 - |v - A| / A): gamma / A at threshold, zero from v = 0 down and v = 2A up."""
    before = cell(v=voltage / 0.9)
    after, threshold = step(before, torch.zeros(1, 1, dtype=torch.float64), coefficients())
    (slope,) = torch.autograd.grad(after.z.sum(), before.v)
    assert slope.item() == pytest.approx(0.9 * 0.3 / threshold.item() * shape, rel=1e-9, abs=1e-9)


def test_pseudo_derivative_of_the_threshold_is_minus_v_over_a_squared():
    before = cell(v=0.02, b=0.005)  # A = 0.01 + 1.8 * 0.99 * 0.005 = 0.01891, v = 0.018
    after, threshold = step(before, torch.zeros(1, 1, dtype=torch.float64), coefficients())
    (slope,) = torch.autograd.grad(after.z.sum(), before.b)
    v, a = 0.018, threshold.item()
    shape = 1 - abs(v - a) / a
    assert slope.item() == pytest.approx(0.3 * shape * (-v / a**2) * 1.8 * 0.99, rel=1e-9)


def test_no_gradient_while_refractory():
    before = cell(v=0.0111, refractory=1)
    after, _ = step(before, torch.zeros(1, 1, dtype=torch.float64), coefficients())
    (slope,) = torch.autograd.grad(after.z.sum(), before.v)
    assert after.z.item() == 0 and slope.item() == 0


def test_adaptation_carries_gradient_over_long_times():
    """With no spikes in between, d b[t+n] / d b[t] = rho^n: the long memory path is not detached."""
    before = now = cell(b=0.5)
    for _ in range(300):
        now, _ = step(now, torch.zeros(1, 1, dtype=torch.float64), coefficients())
        assert now.z.item() == 0
    (slope,) = torch.autograd.grad(now.b.sum(), before.b)
    assert slope.item() == pytest.approx(0.99**300, rel=1e-9)


def test_reset_carries_gradient_through_spike_and_threshold():
    """d v[t] / d z[t-1] = -A[t-1] and d v[t] / d b[t-1] = -beta z[t-1]: neither factor of the reset is detached."""
    before = cell(v=0.0, b=0.2, z=1.0)
    after, _ = step(before, torch.zeros(1, 1, dtype=torch.float64), coefficients())
    by_z, by_b = torch.autograd.grad(after.v.sum(), [before.z, before.b])
    assert by_z.item() == pytest.approx(-(0.01 + 1.8 * 0.2))
    assert by_b.item() == pytest.approx(-1.8)


def test_detached_terms_are_constants_to_the_gradient():
    def slopes(*detach: str) -> list[float]:
        """Of v by z and b through the reset, and of z by b through the threshold."""
        after, _ = step(fired := cell(v=0.0, b=0.2, z=1.0), current, coefficients()._replace(detach=detach))
        through_reset = torch.autograd.grad(
            after.v.sum(), [fired.z, fired.b], allow_unused=True, materialize_grads=True
        )
        near, _ = step(close := cell(v=0.02, b=0.005), current, coefficients()._replace(detach=detach))
        through_threshold = torch.autograd.grad(near.z.sum(), close.b, allow_unused=True, materialize_grads=True)
        return [slope.item() for slope in (*through_reset, *through_threshold)]

    current = torch.zeros(1, 1, dtype=torch.float64)
    by_z, by_b, of_z = slopes()
    assert 0 not in (by_z, by_b, of_z)
    assert slopes("reset") == [0, 0, of_z]
    assert slopes("threshold") == [by_z, 0, 0]
    assert slopes("reset", "threshold") == [0, 0, 0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_regular": 0, "n_adaptive": 0}, "at least one neuron"),
        ({"tau_a": 0.0}, "tau_a must be positive and finite, got 0.0"),
        ({"tau_m": float("nan")}, "tau_m must be positive"),
        ({"beta": -1.0}, "beta must be finite and not negative"),
        ({"tau_a": (100.0, 200.0)}, "tau_a has 2 values for 220 neurons"),
        ({"tau_a_range": (10.0, 5.0)}, "tau_a_range must be two rising positive numbers"),
        ({"tau_m_range": (1.0, 2.0, 3.0)}, "tau_m_range must be two rising positive numbers"),
        ({"n_ref": -1}, "n_ref counts steps, 0 means no refractory period; got -1"),
        ({"reset_delay": 2}, "reset_delay must be 0"),
        ({"surrogate": "step"}, "unknown surrogate 'step'; known: triangular"),
        ({"detach": ("resets",)}, "detach can name reset, threshold, got 'resets'"),
        ({"trainable": ("tau_x",)}, "trainable can name tau_m, tau_a, beta, v_th, noise_std, got 'tau_x'"),
        ({"trainable": "tau_m"}, r"trainable is a tuple of names, got 'tau_m'; write \('tau_m',\)"),
        ({"tau_m": [[1.0, 2.0]]}, r"tau_m must be a number, or one per neuron, got an array of shape \(1, 2\)"),
        ({"tau_m": "long"}, "tau_m must be a number, or one per neuron, got 'long'"),
        ({"n_ref": 2.5}, "n_ref must be a whole number, got 2.5; int"),
        ({"n_regular": 2.5}, "n_regular must be a whole number, got 2.5"),
        ({"n_adaptive": "5"}, "n_adaptive must be a whole number, got '5'"),
        ({"dampening": -1.0}, "dampening must not be negative, got -1.0"),
        ({"dt": 0.0}, "dt must be positive"),
    ],
)
def test_impossible_cells_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        lsnn.Cells(**fields)


def test_time_constants_are_drawn_from_their_range():
    cells = lsnn.Cells(n_regular=500, n_adaptive=500, tau_a_range=(1.0, 1000.0))
    tau_a = cells.draw(torch.Generator().manual_seed(0))["tau_a"]
    assert tau_a.min() >= 1 and tau_a.max() <= 1000
    assert tau_a.mean().item() == pytest.approx(500.5, abs=30)
