"""Learning from reward: returns, advantages, and the clipped objective of proximal policy optimisation (PPO).

Time is the first axis; an episode ends with the last step, and nothing is to be had after it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Ppo:
    """How a policy is improved.  Defaults are the paper's for navigation (Bellec et al. 2018, supplement, recalled).

    Source of the objective: Schulman et al. 2017 (arXiv 1707.06347), equations 7 and 9.
    """

    gamma: float = 0.99
    """discount of a reward, per step"""
    gae_lambda: float = 1.0
    """how far ahead advantages look before they trust the value, see `advantages`; 1 takes whole returns"""
    clip: float = 0.2
    """how far a policy's probabilities may move from those acted with, as a share, before the gain stops counting"""
    value_cost: float = 1.0
    """factor of the squared error of the value"""
    entropy_gain: float = 0.001
    """factor of the policy's entropy, nats, which is kept high"""
    normalise: bool = False
    """shift and scale the advantages of a batch to mean 0 and standard deviation 1"""
    passes: int = 1
    """gradient steps on every batch of episodes; with 1, probabilities have not moved yet and nothing is clipped"""

    def __post_init__(self) -> None:
        for name in ("gamma", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if not self.clip > 0:
            raise ValueError(f"clip must be positive, got {self.clip}; the usual is 0.2")
        for name in ("value_cost", "entropy_gain"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must not be negative, nor infinite, got {getattr(self, name)}")
        if self.passes < 1:
            raise ValueError(f"passes must be at least 1, got {self.passes}")


def returns(rewards: Float[Tensor, "time n"], gamma: float) -> Float[Tensor, "time n"]:
    """Discounted sum of the rewards from each step on: R[t] = r[t] + gamma R[t+1]."""
    return _discounted(rewards, gamma)


def advantages(
    rewards: Float[Tensor, "time n"], values: Float[Tensor, "time n"], gamma: float, gae_lambda: float
) -> Float[Tensor, "time n"]:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438, equation 16).

        delta[t] = r[t] + gamma V[t+1] - V[t]
        A[t] = delta[t] + gamma gae_lambda A[t+1]

    With gae_lambda = 1 that is the return less the value.
    """
    later = torch.cat([values[1:], torch.zeros_like(values[:1])])
    return _discounted(rewards + gamma * later - values, gamma * gae_lambda)


def _discounted(terms: Float[Tensor, "time n"], factor: float) -> Float[Tensor, "time n"]:
    sums, ahead = torch.empty_like(terms), torch.zeros_like(terms[0])
    for t in reversed(range(len(terms))):
        ahead = terms[t] + factor * ahead
        sums[t] = ahead
    return sums


def normalised(values: Float[Tensor, "time n"]) -> Float[Tensor, "time n"]:
    """With mean 0 and standard deviation 1 over everything."""
    return (values - values.mean()) / (values.std(correction=0) + 1e-8)


def surrogate(
    log_probs: Float[Tensor, "time n"], acted: Float[Tensor, "time n"], gains: Float[Tensor, "time n"], clip: float
) -> Float[Tensor, "time n"]:
    """What the policy gains over the one that acted, as far as it stays near to it; to be maximised.

        min(q A, min(max(q, 1 - clip), 1 + clip) A),    q = exp(log_probs - acted)

    log_probs: of the actions taken; acted: the same when they were taken.  gains: advantages A.
    """
    ratio = (log_probs - acted).exp()
    return torch.minimum(ratio * gains, ratio.clamp(1 - clip, 1 + clip) * gains)
