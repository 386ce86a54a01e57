"""A network in a closed loop: episodes that it plays, and all that is needed to learn from them."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from lsnn.network import LSNN
from lsnn.ops import Stepper
from lsnn.policies import Action
from lsnn.seeding import generator_for
from lsnn.tasks.closed_loop import Environment, Record
from lsnn.tasks.task import Split

TOGETHER = 64
"""episodes of a split that are played side by side; their random numbers depend on it"""

Meddling = Callable[[int, Tensor, Any], None]
"""called after every step with its number, its rewards (n) and the network's stepper, whose state it may change"""


class Played(NamedTuple):
    """Episodes from beginning to end."""

    inputs: UInt8[Tensor, "time n n_in"] | Float[Tensor, "time n n_in"]
    noise: Float[Tensor, "time n neuron"] | None
    """standard normal numbers of the current noise: the network on these inputs with this noise does the same again,
    an LSNN bit for bit; None from networks without"""
    readout: Float[Tensor, "time n n_out"]
    actions: Action
    """(time, n, ...)"""
    log_probs: Float[Tensor, "time n"]
    """of the actions, when they were taken"""
    values: Float[Tensor, "time n"]
    rewards: Float[Tensor, "time n"]
    record: dict[str, Tensor]
    """what the world remembers, see `lsnn.tasks.closed_loop.Episodes`"""

    def again(self) -> dict[str, Tensor]:
        """What the network takes, beside the inputs, to do the same again."""
        return {} if self.noise is None else {"noise": self.noise}


@torch.no_grad()
def play(
    network: nn.Module,
    environment: Environment,
    n: int,
    seed: int,
    stream: str,
    step: int = 0,
    *,
    meddle: Meddling | None = None,
) -> Played:
    """n episodes, from rest.  World, actions and noise follow from seed, stream and step."""
    worlds = environment.begin(n, generator_for(seed, f"{stream}/world", step))
    chance = generator_for(seed, f"{stream}/actions", step)
    noise = None
    if isinstance(network, LSNN):
        noise = network.draw_noise(environment.steps, n, generator_for(seed, f"{stream}/noise", step))
    advance = network.stepper(n)  # pyright: ignore[reportCallIssue]  # nn.Module cannot say so
    seen, answered, done, earned = [], [], [], []
    for t in range(environment.steps):
        inputs = worlds.inputs()
        readout, _ = advance(inputs, None if noise is None else noise[t])
        action = environment.policy(readout).sample(chance)
        seen.append(inputs)
        answered.append(readout)
        done.append(action)
        earned.append(worlds.act(action))
        if meddle is not None:
            meddle(t, earned[-1], advance)
    readout, actions = torch.stack(answered), torch.stack(done)
    log_probs, values = environment.policy(readout).log_prob(actions), environment.value(readout)
    rewards = torch.stack(earned)
    return Played(torch.stack(seen), noise, readout, actions, log_probs, values, rewards, worlds.record())


class FreezeThresholds:
    """From the first positive reward of an episode on, its thresholds stay as they are."""

    def __init__(self) -> None:
        self._frozen = torch.tensor(False)

    def __call__(self, step: int, rewards: Float[Tensor, " n"], stepper: Stepper) -> None:
        frozen = self._frozen | (rewards > 0)
        if not frozen.equal(self._frozen):
            self._frozen = frozen
            stepper.hold(frozen)


def forget(step: int, rewards: Float[Tensor, " n"], stepper: Stepper) -> None:
    """At every positive reward, put the network back to rest: what it knows then is what it knew at the beginning."""
    rewarded = rewards > 0
    if rewarded.any():
        stepper.rest(rewarded)


def episodes(
    network: nn.Module, environment: Environment, split: Split, meddling: Callable[[], Meddling] | None = None
) -> Iterator[Played]:
    """A split's episodes as a network plays them: the same worlds at every call and for every network.

    meddling: makes what meddles with some of them, which are played side by side.
    """
    n = environment.n_episodes(split)
    for number, start in enumerate(range(0, n, TOGETHER)):
        size = min(TOGETHER, n - start)
        meddle = None if meddling is None else meddling()
        yield play(network, environment, size, 0, f"{environment.name}/{split}", number, meddle=meddle)


def some(record: Record, which: slice) -> dict[str, Tensor]:
    """The record of some of its episodes."""
    by_step = record["reward"].shape
    return {name: part[:, which] if part.shape[:2] == by_step else part[which] for name, part in record.items()}
