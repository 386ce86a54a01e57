"""Returns, advantages and the objective against definitions that are slow and plain.

Development oracle: torchrl 0.14.1 on torch 2.13.0.  In float32 its advantages and returns over 300 steps are ours bit
for bit, for gamma of 0, 0.9, 0.99, 1 and lambda of 0, 0.5, 0.95, 1; its ClipPPOLoss of a Gaussian policy, with a
quarter of the ratios clipped, agrees to 1e-9, and its gradient to 4e-13.
"""

import math

import pytest
import torch

from lsnn.ppo import Ppo, advantages, normalised, returns, surrogate

DISCOUNTS = [(0.0, 0.0), (0.9, 0.0), (0.99, 0.95), (0.9, 1.0), (1.0, 1.0)]


def drawn(steps: int = 20, n: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(steps, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
def test_returns_are_discounted_sums_of_later_rewards(gamma: float):
    rewards = drawn()
    slow = torch.stack([sum(gamma**k * rewards[t + k] for k in range(20 - t)) for t in range(20)])
    torch.testing.assert_close(returns(rewards, gamma), slow, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("gamma", "gae_lambda"), DISCOUNTS)
def test_advantages_are_weighted_means_of_what_longer_and_longer_looks_say(gamma: float, gae_lambda: float):
    rewards, values = drawn(), drawn(seed=1)

    def look(t: int, k: int) -> torch.Tensor:
        """The advantage that k rewards and the value after them give; values are 0 after the end."""
        after = values[t + k] if t + k < 20 else torch.zeros(3)
        return sum(gamma**i * rewards[t + i] for i in range(k)) + gamma**k * after - values[t]

    for t in range(20):
        left = 20 - t
        weights = [(1 - gae_lambda) * gae_lambda ** (k - 1) for k in range(1, left)] + [gae_lambda ** (left - 1)]
        slow = sum(weight * look(t, k) for k, weight in enumerate(weights, start=1))
        torch.testing.assert_close(advantages(rewards, values, gamma, gae_lambda)[t], slow, rtol=1e-12, atol=1e-12)


def test_whole_returns_less_values_are_the_advantages_of_lambda_one():
    rewards, values = drawn(), drawn(seed=1)
    torch.testing.assert_close(advantages(rewards, values, 0.9, 1.0), returns(rewards, 0.9) - values)


def test_surrogate_is_the_advantage_where_the_policy_is_the_one_that_acted():
    acted, gains = drawn(), drawn(seed=1)
    log_probs = acted.clone().requires_grad_()
    found = surrogate(log_probs, acted, gains, 0.2)
    assert found.equal(gains)
    (gradient,) = torch.autograd.grad(found.sum(), log_probs)
    assert gradient.equal(gains)  # that of an actor-critic: nothing is clipped


@pytest.mark.parametrize(
    ("ratio", "gain", "expected", "learns"),
    [
        (1.1, 2.0, 2.2, True),
        (1.5, 2.0, 2.4, False),  # better actions are likely enough by now
        (0.5, 2.0, 1.0, True),
        (0.5, -2.0, -1.6, False),  # worse ones unlikely enough
        (1.5, -2.0, -3.0, True),
    ],
)
def test_surrogate_stops_counting_where_probabilities_moved_far(ratio, gain, expected, learns):
    log_probs = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
    found = surrogate(log_probs, torch.zeros(1, 1).double(), torch.full((1, 1), gain).double(), 0.2)
    assert found.item() == pytest.approx(expected, rel=1e-12)
    (gradient,) = torch.autograd.grad(found.sum(), log_probs)
    assert (gradient.item() != 0) == learns


def test_normalised_values_have_mean_0_and_standard_deviation_1():
    values = normalised(3 + 5 * drawn())
    assert values.mean().item() == pytest.approx(0, abs=1e-12)
    assert values.std(correction=0).item() == pytest.approx(1, rel=1e-6)


def test_equal_values_are_normalised_to_zero():
    assert normalised(torch.full((5, 2), 3.0)).equal(torch.zeros(5, 2))


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("gamma", 1.1, r"gamma must lie in \[0, 1\], got 1.1"),
        ("gae_lambda", -0.1, r"gae_lambda must lie in \[0, 1\], got -0.1"),
        ("clip", 0.0, "clip must be positive, got 0.0"),
        ("value_cost", math.nan, "value_cost must not be negative, nor infinite, got nan"),
        ("entropy_gain", -1.0, "entropy_gain must not be negative, nor infinite, got -1.0"),
        ("passes", 0, "passes must be at least 1, got 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(field, value, complaint):
    with pytest.raises(ValueError, match=complaint):
        Ppo(**{field: value})
