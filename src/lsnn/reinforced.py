"""Episodes that a network played: what is to be learned from their rewards, and evaluation over a split."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lsnn import ppo
from lsnn.ppo import Ppo
from lsnn.tasks import Environment, Split
from lsnn.tasks.rollout import Played, episodes


class Lesson(NamedTuple):
    """What the rewards of some episodes say about each action and each value."""

    returns: Float[Tensor, "time n"]
    advantages: Float[Tensor, "time n"]


def lesson(played: Played, how: Ppo) -> Lesson:
    """Returns, and by how much actions were better than expected."""
    gains = ppo.advantages(played.rewards, played.values, how.gamma, how.gae_lambda)
    return Lesson(ppo.returns(played.rewards, how.gamma), ppo.normalised(gains) if how.normalise else gains)


def losses(
    environment: Environment, readout: Float[Tensor, "time n n_out"], played: Played, learned: Lesson, how: Ppo
) -> Float[Tensor, "time n"]:
    """What is minimised, per step and episode:

        - surrogate + value_cost (R - V)^2 - entropy_gain entropy

    readout: of the network as it is now, on the inputs of the episodes.
    """
    policy = environment.policy(readout)
    gain = ppo.surrogate(policy.log_prob(played.actions), played.log_probs, learned.advantages, how.clip)
    error = (learned.returns - environment.value(readout)).square()
    return how.value_cost * error - gain - how.entropy_gain * policy.entropy()


def judged(environment: Environment, played: Played, learned: Lesson) -> dict[str, float]:
    """Means of the environment's metrics, of those that have values, and besides:

    entropy: of the policy, nats.
    explained: share of the variance of returns that the values explain.
    """
    found = {name: values.double() for name, values in environment.metrics(played.record).items() if len(values)}
    metrics = {name: values.mean().item() for name, values in found.items()}
    metrics["entropy"] = environment.policy(played.readout).entropy().mean().item()
    spread = learned.returns.double().var(correction=0)
    if spread > 0:
        metrics["explained"] = 1 - ((learned.returns - played.values).double().var(correction=0) / spread).item()
    return metrics


@torch.no_grad()
def evaluate(network: nn.Module, environment: Environment, how: Ppo, split: Split) -> dict[str, float]:
    """Mean loss and metrics over the episodes of a split, what an episode costs on average, firing rates in Hz."""
    gathered: dict[str, list[Tensor]] = {}
    rates = []
    for played in episodes(network, environment, split):
        activity, _ = network(played.inputs, **played.again())
        for name, values in {
            "loss": losses(environment, played.readout, played, lesson(played, how), how),
            **environment.metrics(played.record),
            **network.operations(played.inputs, activity),  # pyright: ignore[reportCallIssue]  # nn.Module cannot say so
        }.items():
            gathered.setdefault(name, []).append(values.double().flatten())
        if activity.rate is not None:
            rates.append(activity.rate.double())
    together = {name: torch.cat(values) for name, values in gathered.items()}
    result = {name: values.mean().item() for name, values in together.items() if len(values)}
    if rates:
        result["rate_hz"] = torch.cat(rates).mean().item()
    return result
