import pytest
import torch
from torch.distributions import Categorical, Independent, Normal

from lsnn.policies import Choice, Gaussian


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


READOUT = torch.randn(7, 5, 4, dtype=torch.float64, generator=seeded(1))
GAUSSIAN = Gaussian(READOUT[..., :2], READOUT[..., 2:].exp())
CHOICE = Choice(3 * READOUT)
PAIRS = [
    pytest.param(GAUSSIAN, Independent(Normal(GAUSSIAN.mean, GAUSSIAN.variance.sqrt()), 1), id="gaussian"),
    pytest.param(CHOICE, Categorical(logits=CHOICE.logits), id="choice"),
]
pairs = pytest.mark.parametrize(("policy", "theirs"), PAIRS)


@pairs
def test_log_prob_is_that_of_torchs_distribution(policy, theirs):
    action = policy.sample(seeded())
    torch.testing.assert_close(policy.log_prob(action), theirs.log_prob(action))


@pairs
def test_entropy_is_that_of_torchs_distribution(policy, theirs):
    torch.testing.assert_close(policy.entropy(), theirs.entropy())


def test_choices_are_made_with_the_softmaxs_probabilities():
    logits = torch.tensor([1.0, -1.0, 0.5])
    made = Choice(logits.expand(40_000, 3)).sample(seeded())
    share = torch.bincount(made, minlength=3) / len(made)
    torch.testing.assert_close(share, logits.softmax(0), atol=0.01, rtol=0)  # four standard errors


def test_gaussian_samples_have_its_mean_and_variance():
    made = Gaussian(torch.tensor([2.0, -1.0]).expand(40_000, 2), torch.tensor([0.25, 4.0]).expand(40_000, 2))
    sample = made.sample(seeded())
    torch.testing.assert_close(sample.mean(0), torch.tensor([2.0, -1.0]), atol=0.04, rtol=0)
    torch.testing.assert_close(sample.var(0), torch.tensor([0.25, 4.0]), atol=0, rtol=0.04)


@pairs
def test_samples_follow_from_the_generator(policy, theirs):
    first, again, other = (policy.sample(seeded(seed)) for seed in (0, 0, 1))
    assert first.equal(again) and not first.equal(other)
