"""What to do, drawn from a readout: distributions of actions, sampled with a generator of the caller's.

`torch.distributions` draw from torch's global generator; these draw from one's own, and cost a few calls a step.
"""

import math
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

Action = Float[Tensor, "... n_action"] | Int64[Tensor, "..."]
"""a vector, or the number of a choice"""


class Policy(Protocol):
    """A distribution of actions for each row of a readout."""

    def sample(self, generator: Generator) -> Action:
        """An action per row."""
        ...

    def log_prob(self, action: Action) -> Float[Tensor, "..."]:
        """Logarithm of the probability, or of its density, of each action; differentiable."""
        ...

    def entropy(self) -> Float[Tensor, "..."]:
        """Nats; differentiable."""
        ...


class Gaussian(NamedTuple):
    """Independent normal numbers, the components of a vector; every variance must be positive."""

    mean: Float[Tensor, "... n_action"]
    variance: Float[Tensor, "... n_action"]

    def sample(self, generator: Generator) -> Float[Tensor, "... n_action"]:
        noise = torch.randn(self.mean.shape, dtype=self.mean.dtype, generator=generator)
        return noise.mul_(self.variance.sqrt()).add_(self.mean)

    def log_prob(self, action: Float[Tensor, "... n_action"]) -> Float[Tensor, "..."]:
        squared = (action - self.mean).square() / self.variance
        return -0.5 * (squared + self.variance.log() + math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Float[Tensor, "..."]:
        return 0.5 * (self.variance.log() + (1 + math.log(2 * math.pi))).sum(-1)


class Choice(NamedTuple):
    """One of several actions, with the probabilities of a softmax."""

    logits: Float[Tensor, "... n_choice"]

    def sample(self, generator: Generator) -> Int64[Tensor, "..."]:
        noise = torch.empty_like(self.logits).exponential_(generator=generator)
        return (self.logits - noise.log_()).argmax(-1)  # Gumbel's way: the largest of logits with such noise

    def log_prob(self, action: Int64[Tensor, "..."]) -> Float[Tensor, "..."]:
        return self.logits.log_softmax(-1).gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Float[Tensor, "..."]:
        log_p = self.logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)
