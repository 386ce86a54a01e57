"""Agents without a network in the arenas: what a network's goals are to be compared with."""

import math
from collections import deque
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from lsnn.tasks.navigation.arenas import Arenas
from lsnn.tasks.navigation.world import World

Directions = NDArray[np.float64]
"""unit vectors, (n, 2): walkers always go at full speed"""
Walker = Callable[[Arenas, Generator], Callable[[], Directions]]
"""given arenas and a source of randomness: what tells the direction of the next step, again and again"""

PERSISTENCE = 0.45
"""of the persistent random walk: 0.3 radians a step at the paper's speed; straighter walks find up to 40 % more"""


def erratic(arenas: Arenas, generator: Generator) -> Callable[[], Directions]:
    """A new random direction in every step."""
    return lambda: _at(2 * math.pi * _uniform(arenas.n, generator))


def persistent(arenas: Arenas, generator: Generator, length: float = PERSISTENCE) -> Callable[[], Directions]:
    """A direction that turns a little in every step, at random, and is drawn anew where the rim blocks it.

    length: way after which the direction is forgotten (its cosine falls to 1/e), in radii of the disc; standard
        deviation of a turn is sqrt(2 a_scale / length).
    """
    turning = math.sqrt(2 * arenas.world.a_scale / length)
    heading = 2 * math.pi * _uniform(arenas.n, generator)

    def direction() -> Directions:
        heading[:] += turning * torch.randn(arenas.n, generator=generator, dtype=torch.float64).numpy()
        blocked = arenas.reward < 0
        heading[blocked] = 2 * math.pi * _uniform(int(blocked.sum()), generator)
        return _at(heading)

    return direction


def circling(arenas: Arenas, generator: Generator) -> Callable[[], Directions]:
    """Around the centre, along the inner edge of where goals may be: the best route without memory that we know.

    It cuts every goal at 5/6 of its radius: in the paper's arena the circle's radius is 0.6, with 15 % more goals than
    at 0.75, a walk along the rim.  Where goals have places, it goes straight from one to the next, first to the
    nearest.
    """
    world = arenas.world
    radius = max(world.goal_distance - world.goal_radius * 5 / 6, world.a_scale)
    if world.n_goals is not None:
        return _from_place_to_place(arenas, radius * _at(2 * math.pi * np.arange(world.n_goals) / world.n_goals))

    def direction() -> Directions:
        angle = np.arctan2(arenas.position[:, 1], arenas.position[:, 0])
        return _unit(radius * _at(angle + world.a_scale / radius) - arenas.position)

    return direction


def _from_place_to_place(arenas: Arenas, places: NDArray[np.float64]) -> Callable[[], Directions]:
    """From each start to the nearest of these places, (place, 2), and on to the next ones."""
    ahead = np.zeros(arenas.n, np.int64)

    def direction() -> Directions:
        distance = np.hypot(*(arenas.position[:, None] - places).transpose(2, 0, 1))
        begins = arenas.reward > 0 if arenas.step else np.full(arenas.n, True)
        ahead[begins] = distance[begins].argmin(1)
        ahead[distance[np.arange(arenas.n), ahead] < arenas.world.a_scale] += 1
        ahead[:] %= len(places)
        return _unit(places[ahead] - arenas.position)

    return direction


def knowing(arenas: Arenas, generator: Generator) -> Callable[[], Directions]:
    """Straight to the goal, which it is told."""
    return lambda: _unit(arenas.goal - arenas.position)


def late(delay: int, tau_out: float) -> Walker:
    """Knows the goal, but goes where a readout points that sees it as late as a spiking network does.

    delay: steps until what is seen arrives.  tau_out: time constant by which the direction is averaged, ms.
    After a restart such an agent goes on in the direction of before for a while.  What a network could save by
    overshooting when it turns is not counted, nor what its membranes cost.
    """
    if delay < 0 or not tau_out >= 0:
        raise ValueError(f"delay and tau_out must not be negative, got {delay} steps and {tau_out} ms")
    kept = math.exp(-1 / tau_out) if tau_out else 0.0

    def walker(arenas: Arenas, generator: Generator) -> Callable[[], Directions]:
        straight = knowing(arenas, generator)
        arriving = deque([straight()] * delay, maxlen=delay + 1)
        pointing = np.zeros((arenas.n, 2))

        def direction() -> Directions:
            arriving.append(straight())
            pointing[:] = kept * pointing + (1 - kept) * arriving[0]
            return _unit(pointing)

        return direction

    return walker


WALKERS: Mapping[str, Walker] = {
    "a new direction every ms": erratic,
    "persistent random walk": persistent,
    "circling, no memory": circling,
    "goal known": knowing,
}
"""by the names of their rows"""


def walk(world: World, walker: Walker, n: int, generator: Generator) -> dict[str, Tensor]:
    """The record of n episodes."""
    arenas = Arenas(world, n, generator)
    direction = walker(arenas, generator)
    for _ in range(world.steps):
        arenas.act(torch.from_numpy(direction()))
    return arenas.record()


def _uniform(n: int, generator: Generator) -> NDArray[np.float64]:
    return torch.rand(n, dtype=torch.float64, generator=generator).numpy()


def _at(angle: NDArray[np.float64]) -> Directions:
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _unit(vectors: NDArray[np.float64]) -> Directions:
    return vectors / np.maximum(np.hypot(vectors[:, 0], vectors[:, 1]), 1e-12)[:, None]
