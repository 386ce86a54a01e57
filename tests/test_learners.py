"""Learners against closed forms and slow definitions."""

import pytest
import torch

from lsnn import learners
from tests.helpers import error


def episode(n_examples: int = 40, n: int = 3, n_x: int = 2, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(n_examples, n, n_x, generator=generator) - 1
    return x, torch.rand(n_examples, n, generator=generator)


def test_linear_fit_is_exact_for_linear_functions_and_least_squares_for_others():
    x, y = episode()
    plane = 0.3 + x @ torch.tensor([1.0, -2.0])
    torch.testing.assert_close(learners.linear_fit(x, plane), plane, atol=1e-5, rtol=1e-5)
    for k in range(3):
        features = torch.cat([x[:, k], torch.ones(40, 1)], 1)
        solution = torch.linalg.lstsq(features, y[:, k, None]).solution
        torch.testing.assert_close(learners.linear_fit(x, y)[:, k], (features @ solution)[:, 0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("prior", [0.0, 0.5])
def test_ridge_refits_before_each_example_on_all_before_it(prior: float):
    features, y = episode(n_x=7)
    predicted = learners.ridge_so_far(features, y, 0.7, prior)
    for i in (0, 1, 5, 39):
        for k in range(3):
            seen = features[:i, k].double()
            w = torch.linalg.solve(seen.T @ seen + 0.7 * torch.eye(7), seen.T @ (y[:i, k].double() - prior))
            assert predicted[i, k].item() == pytest.approx((features[i, k].double() @ w).item() + prior, abs=1e-5)


def test_linear_fit_so_far_is_ridge_with_a_loose_intercept():
    x, y = episode()
    features = torch.cat([x, torch.full_like(x[..., :1], 10)], 2)
    expected = learners.ridge_so_far(features, y, 0.1, 0.5)
    torch.testing.assert_close(learners.linear_so_far(x, y, prior=0.5), expected, atol=1e-5, rtol=1e-5)
    plane = 0.3 + x @ torch.tensor([1.0, -2.0])
    assert (learners.linear_so_far(x, plane, 1e-8) - plane)[4:].abs().max() < 1e-3


def test_nearest_example_is_the_nearest_of_those_seen():
    x, y = episode(n_examples=12)
    predicted = learners.nearest_so_far(x, y, prior=0.5)
    assert (predicted[0] == 0.5).all()
    for i in range(1, 12):
        for k in range(3):
            nearest = min(range(i), key=lambda j: (x[j, k] - x[i, k]).norm().item())
            assert predicted[i, k] == y[nearest, k]


def test_backprop_trains_each_function_s_network_alone():
    """All functions at once equal one after the other, each with a plain torch module and optimizer."""
    x, y = episode(n_examples=30)
    predicted = learners.backprop_so_far(x, y, torch.Generator().manual_seed(5), lr=0.05)
    generator = torch.Generator().manual_seed(5)
    w_in = (2 / 12) ** 0.5 * torch.randn(3, 2, 10, generator=generator)
    w_out = (2 / 11) ** 0.5 * torch.randn(3, 10, 1, generator=generator)
    for k in range(3):
        model = torch.nn.Sequential(
            torch.nn.Linear(2, 10), torch.nn.Sigmoid(), torch.nn.Linear(10, 1), torch.nn.Sigmoid()
        )
        with torch.no_grad():
            model[0].weight.copy_(w_in[k].T), model[2].weight.copy_(w_out[k].T)
            model[0].bias.zero_(), model[2].bias.zero_()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=1e-5, amsgrad=True)
        for i in range(30):
            output = model(x[i, k])[0]
            assert predicted[i, k].item() == pytest.approx(output.item(), abs=1e-4)
            optimizer.zero_grad()
            (output - y[i, k]).square().backward()
            optimizer.step()


def test_backprop_gets_better_with_examples():
    x, _ = episode(n_examples=400)
    y = torch.sigmoid(3 * x[..., 0] - 2 * x[..., 1])
    error_ = (learners.backprop_so_far(x, y, torch.Generator().manual_seed(0), 0.1) - y).square().mean(1)
    assert error_[-50:].mean() < 0.1 * error_[:10].mean()


@pytest.mark.parametrize("learner", [learners.linear_so_far, learners.nearest_so_far, learners.backprop_so_far])
def test_no_learner_sees_what_it_predicts(learner):
    x, y = episode(n_examples=12)
    other = y.clone()
    other[6:] = 1 - y[6:]
    more = {"generator": torch.Generator()} if learner is learners.backprop_so_far else {}
    results = [learner(x, targets, **{k: g.manual_seed(0) for k, g in more.items()}) for targets in (y, other)]
    torch.testing.assert_close(results[0][:7], results[1][:7])
    assert not results[0][7:].equal(results[1][7:])


def test_ridge_needs_a_penalty():
    assert error(learners.ridge_so_far, *episode(), 0.0).startswith("l2 must be positive, got 0.0")
