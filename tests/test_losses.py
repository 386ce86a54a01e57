import math

import pytest
import torch

from lsnn.losses import masked_cross_entropy, masked_error, rate_regulariser, squared_error, window_mean


def test_window_mean_averages_consecutive_steps():
    readout = torch.arange(6.0).view(6, 1, 1)
    assert window_mean(readout, 3).flatten().tolist() == [1.0, 4.0]
    assert window_mean(readout, 1).equal(readout)
    assert window_mean(torch.randn(6, 2, 5), 2).shape == (3, 2, 5)


@pytest.mark.parametrize("window", [0, 4, 7])
def test_window_must_divide_the_steps(window: int):
    with pytest.raises(ValueError, match=f"6 steps are no multiple of a window of {window}"):
        window_mean(torch.zeros(6, 1, 1), window)


def test_cross_entropy_counts_only_what_the_mask_asks_for():
    logits = torch.tensor([[[0.0, 0.0], [9.0, 0.0]], [[0.0, math.log(3)], [0.0, 0.0]]])  # (window, batch, n_out)
    target = torch.tensor([[0, 1], [0, 1]])
    mask = torch.tensor([[True, False], [True, False]])
    loss = masked_cross_entropy(logits, target, mask)
    torch.testing.assert_close(loss, torch.tensor([math.log(2), math.log(4)]), rtol=1e-6, atol=0)


def test_no_gradient_reaches_logits_outside_the_mask():
    logits = torch.randn(3, 2, 4, requires_grad=True)
    mask = torch.tensor([[True, False], [False, False], [False, True]])
    masked_cross_entropy(logits, torch.zeros(3, 2, dtype=torch.int64), mask).sum().backward()
    assert torch.equal(logits.grad.abs().sum(dim=2) > 0, mask)


def test_error_is_one_where_the_largest_logit_is_wrong():
    logits = torch.tensor([[[1.0, 2.0], [2.0, 1.0], [0.0, 5.0]]])
    target, mask = torch.tensor([[1, 1, 0]]), torch.tensor([[True, True, False]])
    assert masked_error(logits, target, mask).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("loss", [masked_cross_entropy, masked_error])
def test_shapes_and_the_type_of_the_mask_must_fit(loss):
    logits, target = torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.int64)
    refusal = ValueError, TypeError  # TypeError where annotations are checked, before the function sees its arguments
    with pytest.raises(refusal, match=r"target \(1, 3\), mask \(2, 3\) torch.bool do not fit|checking .*parameters"):
        loss(logits, target[:1], torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(refusal, match=r"mask \(2, 3\) torch.int64 do not fit|checking .*parameters"):
        loss(logits, target, torch.ones_like(target))


def test_squared_error_has_no_half_and_does_not_broadcast():
    assert squared_error(torch.tensor([1.0, 4.0]), torch.tensor([3.0, 4.0])).tolist() == [4.0, 0.0]
    with pytest.raises(ValueError, match=r"differ in shape, \(2, 1\) and \(2,\)"):
        squared_error(torch.zeros(2, 1), torch.zeros(2))


def test_rate_regulariser_measures_in_khz():
    rates = torch.tensor([10.0, 20.0, 40.0], dtype=torch.float64)  # off by 0, 0.01 and 0.03 kHz
    assert rate_regulariser(rates, 10.0).item() == pytest.approx(1e-3, rel=1e-12)
    assert rate_regulariser(rates, 10.0, "mean").item() == pytest.approx(1e-3 / 3, rel=1e-12)


def test_rate_regulariser_knows_sum_and_mean_only():
    with pytest.raises(ValueError, match="unknown reduction 'max'; known: sum, mean"):
        rate_regulariser(torch.ones(3), 10.0, "max")  # type: ignore


def test_rate_regulariser_pulls_towards_the_target():
    rates = torch.tensor([5.0, 10.0, 15.0], requires_grad=True)
    rate_regulariser(rates, 10.0).backward()
    assert rates.grad.sign().tolist() == [-1.0, 0.0, 1.0]
