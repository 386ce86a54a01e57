import pytest
import torch

from lsnn.memory.decoding import Explained, Sums


def data(n: int = 400, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of very different scales, one of them constant, and targets that follow from two of them."""
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed)) * torch.tensor([1e-3, 1.0, 100.0, 0.0]) + 7.0
    return x, torch.stack([1000 * x[:, 0] - x[:, 1], 3 + x[:, 2]], dim=1)


def test_ridge_finds_what_follows_from_its_features():
    sums = Sums()
    for x, y in zip(*(part.split(150) for part in data()), strict=True):
        sums.add(x, y)
    x, y = data(seed=1)
    decoder, explained = sums.ridge(slice(0, 4)), Explained()
    explained.add(decoder(x), y)
    assert explained.share() == pytest.approx(1, abs=1e-3)
    assert decoder.weight[3].abs().max() == 0  # a feature that never varies says nothing


def test_ridge_uses_its_columns_only():
    sums, (x, y) = Sums(), data()
    sums.add(x, y)
    decoder = sums.ridge(slice(2, 4))
    changed = x.clone()
    changed[:, :2] = 0
    assert torch.equal(decoder(x), decoder(changed))
    assert torch.allclose(decoder(x)[:, 1], y[:, 1], atol=0.5) and not torch.allclose(
        decoder(x)[:, 0], y[:, 0], atol=0.5
    )


def test_the_mean_explains_nothing_and_a_constant_has_nothing_to_explain():
    _, y = data()
    mean, still = Explained(), Explained()
    mean.add(y.mean(0).expand_as(y), y)
    still.add(torch.zeros(5, 2), torch.ones(5, 2))
    assert mean.share() == pytest.approx(0, abs=1e-5) and still.share() is None
