"""Arenas: n discs at one step, each with an agent and a goal."""

import math

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Generator, Tensor

from lsnn.tasks.navigation.searches import stretches
from lsnn.tasks.navigation.world import World

AHEAD = 32
"""steps for which random bits of the input spikes are drawn at once"""


class Arenas:
    """Episodes in a `World`.  Positions are kept in double precision, so that blocked moves end on the rim."""

    def __init__(self, world: World, n: int, generator: Generator) -> None:
        if n < 1:
            raise ValueError(f"need at least 1 episode, got {n}")
        self.world, self.n, self.step = world, n, 0
        self._generator = generator
        turn = self._uniform(n)
        turn = turn if world.n_goals is None else np.floor(turn * world.n_goals) / world.n_goals
        self.goal = world.goal_distance * _at_angle(2 * math.pi * turn)
        """centre of each goal, (n, 2)"""
        self.position = self._starts(np.arange(n))
        """(n, 2)"""
        self.reward = np.zeros(n)
        """of the step before, (n)"""
        self._positions, self._arrivals = (np.empty((world.steps, n, 2), np.float32) for _ in range(2))
        self._rewards = np.empty((world.steps, n), np.float32)
        self._reached, self._blocked = (np.empty((world.steps, n), np.bool_) for _ in range(2))
        self._centre = np.linspace(-1, 1, world.n_channels, dtype=np.float32)
        self._draw_ahead()

    def inputs(self) -> UInt8[Tensor, "n n_in"] | Float[Tensor, "n n_in"]:
        """Where the agent is, and the sign of the reward of the step before; the same until `act`."""
        world, signs = self.world, np.stack([self.reward > 0, self.reward < 0], 1)
        if world.encoding == "values":
            return torch.from_numpy(np.concatenate([self.position, signs], 1).astype(np.float32))
        level = self.position.astype(np.float32)[:, :, None] - self._centre  # (n, 2, n_channels)
        np.square(level, out=level)
        level *= -world.sharpness
        np.maximum(level, -80, out=level)  # no spike either way; smaller powers are subnormal and slow
        np.exp(level, out=level)
        level *= world.max_rate_hz / 1000 * 2**16
        level -= 2**15  # of 16 random bits, as a signed number
        spikes = np.empty((self.n, world.n_in), np.uint8)
        places = 2 * world.n_channels
        spikes[:, :places] = self._bits[self.step % AHEAD] < level.reshape(self.n, places)
        spikes[:, places:] = signs.repeat(world.n_reward, axis=1)
        return torch.from_numpy(spikes)

    def act(self, actions: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        """Move.  Returns the rewards."""
        world, now = self.world, self.step
        if now == world.steps:
            raise ValueError(f"the episodes are over after {world.steps} steps; begin new ones")
        if actions.shape != (self.n, 2):
            raise ValueError(f"actions must have shape {(self.n, 2)} (n, 2), got {tuple(actions.shape)}")
        move = actions.detach().double().numpy()
        length = _norm(move)
        if not math.isfinite(length.dot(length)):  # the cheapest way to ask: the loop is hot
            raise ValueError("actions must be finite, got NaN or infinity; look for what made them so")
        self._positions[now] = self.position
        move = move * (world.a_scale / np.maximum(length, 1))[:, None]
        arrival = self.position + move
        blocked = _norm(arrival) > 1
        if blocked.any():
            arrival[blocked] = _towards_rim(self.position[blocked], move[blocked])
        reached = _norm(arrival - self.goal) <= world.goal_radius
        self.reward = reached - world.wall_cost * blocked
        self._arrivals[now], self._rewards[now] = arrival, self.reward
        self._reached[now], self._blocked[now] = reached, blocked
        if reached.any():
            arrival[reached] = self._starts(np.flatnonzero(reached))
        self.position, self.step = arrival, now + 1
        if self.step % AHEAD == 0:
            self._draw_ahead()
        return torch.from_numpy(self._rewards[now].copy())

    def record(self) -> dict[str, Tensor]:
        """What happened so far:

        position, arrival: (time, n, 2), where the agent was in each step, and where its action led; the next position
            is elsewhere where that was the goal.
        reward: (time, n).  reached, blocked: (time, n), whether the step ended in the goal, or on the rim.
        goal: (n, 2), its centre.
        """
        names = ("position", "arrival", "reward", "reached", "blocked")
        kept = (self._positions, self._arrivals, self._rewards, self._reached, self._blocked)
        found = {name: torch.from_numpy(rows[: self.step].copy()) for name, rows in zip(names, kept, strict=True)}
        return found | {"goal": torch.from_numpy(self.goal.astype(np.float32))}

    def outcome(self) -> dict[str, NDArray[np.bool_]]:
        """Whether the latest step ended in the goal, or on the rim: reached, blocked, (n) each."""
        return {"reached": self._reached[self.step - 1].copy(), "blocked": self._blocked[self.step - 1].copy()}

    def way(self, which: int, steps: int) -> list[NDArray[np.floating]]:
        """Where one agent went in its latest steps: points, (k, 2), of each stretch between two restarts."""
        since = max(self.step - steps, 0)
        some = slice(since, self.step), which
        return stretches(self._positions[some], self._arrivals[some], self._reached[some])

    def _starts(self, which: NDArray[np.int64]) -> NDArray[np.float64]:
        """Positions drawn uniformly in the disc for these episodes."""
        start, left = np.empty((len(which), 2)), np.arange(len(which))
        while len(left):
            start[left] = np.sqrt(self._uniform(len(left)))[:, None] * _at_angle(2 * math.pi * self._uniform(len(left)))
            if self.world.restart == "count":
                break
            left = left[_norm(start[left] - self.goal[which[left]]) <= self.world.goal_radius]
        return start

    def _uniform(self, n: int) -> NDArray[np.float64]:
        return torch.rand(n, dtype=torch.float64, generator=self._generator).numpy()

    def _draw_ahead(self) -> None:
        """Random bits for the input spikes of the next steps."""
        shape = (AHEAD, self.n, 2 * self.world.n_channels)
        words = torch.empty(-(-math.prod(shape) // 4), dtype=torch.int64)  # of 64 bits: four draws each
        words.random_(-(2**63), None, generator=self._generator)
        self._bits = words.numpy().view(np.int16)[: math.prod(shape)].reshape(shape)


def _norm(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hypot(vectors[:, 0], vectors[:, 1])


def _at_angle(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points on the rim, (n, 2); angles in radians."""
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _towards_rim(start: NDArray[np.float64], move: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where moves out of the disc cross its rim: start + t move with norm 1, 0 <= t <= 1."""
    along, square = (start * move).sum(1), (move * move).sum(1)
    room = np.maximum(1 - (start * start).sum(1), 0)
    t = np.clip((np.sqrt(along * along + square * room) - along) / square, 0, 1)
    end = start + t[:, None] * move
    return end / np.maximum(_norm(end), 1)[:, None]
