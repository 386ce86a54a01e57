"""The water maze behind gymnasium's interface, for agents of any library (extra rl: pip install 'lsnn[rl]').

    import gymnasium, lsnn.gym
    env = gymnasium.make("lsnn/Navigation-v0", render_mode="rgb_array")
    envs = gymnasium.make_vec("lsnn/Navigation-v0", num_envs=64)

Settings are the fields of `lsnn.tasks.navigation.World`; the one difference is that coordinates and signs of reward
come as four numbers unless encoding="population" asks for spikes.  Actions are moves in units of a_scale; longer ones
than 1 are shortened to 1.  Episodes are truncated after `steps`, never terminated.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lsnn.tasks.navigation.arenas import Arenas
from lsnn.tasks.navigation.world import World

try:
    import gymnasium
    from gymnasium.vector import AutoresetMode
    from gymnasium.vector.utils import batch_space
except ImportError:
    raise ImportError("lsnn.gym needs gymnasium; install it with: pip install 'lsnn[rl]'") from None

Array = NDArray[Any]

PIXELS = 320
"""side of a rendered picture"""
FINER = 3
"""pixels drawn for each of the picture's, along each side: smooth edges"""
TRAIL = 150
"""steps of the way that a picture shows"""
GROUND, DISC, GOAL, WAY, AGENT = "#FFFFFF", "#EEF3F7", "#F3C566", "#8FA3B5", "#0072B2"
METADATA = {"render_modes": ["rgb_array"], "render_fps": 50}


class NavigationEnv(gymnasium.Env[Array, Array]):
    """One arena."""

    metadata: dict[str, Any] = METADATA

    def __init__(self, render_mode: str | None = None, **settings: Any) -> None:
        self.world = _world(settings)
        self.render_mode = _render_mode(render_mode)
        self.observation_space, self.action_space = _spaces(self.world)
        self._arenas: Arenas | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """A new episode, with a new goal."""
        super().reset(seed=seed)
        self._arenas = _begin(self.world, 1, self.np_random)
        return _observation(self._arenas)[0], {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Move; info says whether the goal was reached, and whether the rim was in the way."""
        arenas = _begun(self._arenas)
        reward = arenas.act(_actions(action, (2,))[None])
        info = {name: bool(happened[0]) for name, happened in arenas.outcome().items()}
        return _observation(arenas)[0], float(reward[0]), False, arenas.step == self.world.steps, info

    def render(self) -> Array | None:  # type: ignore[override]
        """The arena from above, (320, 320, 3) uint8: goal, agent and its latest way."""
        return None if self.render_mode is None else _picture(_begun(self._arenas), 0)


class NavigationVectorEnv(gymnasium.vector.VectorEnv[Array, Array, Array]):
    """Arenas side by side, stepped as one.  Their episodes end together, and begin anew with the next step."""

    metadata: dict[str, Any] = {**METADATA, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs: int = 1, render_mode: str | None = None, **settings: Any) -> None:
        self.world, self.num_envs = _world(settings), num_envs
        self.render_mode = _render_mode(render_mode)
        self.single_observation_space, self.single_action_space = _spaces(self.world)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._arenas: Arenas | None = None

    def reset(  # type: ignore[override]
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """New episodes, each with a goal of its own; one seed stands for all of them."""
        super().reset(seed=seed)
        self._arenas = _begin(self.world, self.num_envs, self.np_random)
        return _observation(self._arenas), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Move all; info has who reached the goal, and who was blocked by the rim."""
        arenas, never = _begun(self._arenas), np.zeros(self.num_envs, np.bool_)
        if arenas.step == self.world.steps:
            observation, _ = self.reset()
            return observation, np.zeros(self.num_envs), never, never.copy(), {}
        rewards = arenas.act(_actions(actions, (self.num_envs, 2))).double().numpy()
        over = np.full(self.num_envs, arenas.step == self.world.steps)
        return _observation(arenas), rewards, never, over, arenas.outcome()

    def render(self) -> tuple[Array, ...] | None:  # type: ignore[override]
        """Each arena from above."""
        if self.render_mode is None:
            return None
        return tuple(_picture(_begun(self._arenas), which) for which in range(self.num_envs))


gymnasium.register(
    "lsnn/Navigation-v0", entry_point=NavigationEnv, vector_entry_point=NavigationVectorEnv, disable_env_checker=True
)


def _world(settings: dict[str, Any]) -> World:
    return World(**{"encoding": "values", **settings})


def _render_mode(asked: str | None) -> str | None:
    if asked not in (None, *METADATA["render_modes"]):
        raise ValueError(
            f"render_mode must be rgb_array or None, got {asked!r}; write the pictures to a file to see them"
        )
    return asked


def _spaces(world: World) -> tuple[gymnasium.Space[Array], gymnasium.Space[Array]]:
    """Of observations and of actions."""
    if world.encoding == "population":
        seen: gymnasium.Space[Array] = gymnasium.spaces.MultiBinary(world.n_in)
    else:
        seen = gymnasium.spaces.Box(np.array([-1, -1, 0, 0], np.float32), np.ones(4, np.float32))
    return seen, gymnasium.spaces.Box(-1, 1, (2,), np.float32)


def _begin(world: World, n: int, random: np.random.Generator) -> Arenas:
    return Arenas(world, n, torch.Generator().manual_seed(int(random.integers(2**63))))


def _begun(arenas: Arenas | None) -> Arenas:
    if arenas is None:
        raise gymnasium.error.ResetNeeded("no episode has begun; call reset first")
    return arenas


def _observation(arenas: Arenas) -> Array:
    seen = arenas.inputs().numpy()
    return seen.astype(np.int8) if seen.dtype == np.uint8 else seen


def _actions(action: Array, shape: tuple[int, ...]) -> torch.Tensor:
    found = np.asarray(action, np.float32)
    if found.shape != shape:
        raise ValueError(f"actions must have shape {shape}, got {found.shape}; a move has two components")
    return torch.from_numpy(found)


def _picture(arenas: Arenas, which: int) -> Array:
    side, radius = PIXELS * FINER, 0.48 * PIXELS * FINER

    def pixel(points: Array) -> list[tuple[float, float]]:
        return [(x, y) for x, y in (side / 2 + radius * np.atleast_2d(points) * [1, -1]).tolist()]  # y upwards

    def circle(centre: Array, size: float) -> tuple[float, float, float, float]:
        ((x, y),) = pixel(centre)
        return x - radius * size, y - radius * size, x + radius * size, y + radius * size

    floor, rim = Image.new("RGB", (side, side), DISC), Image.new("L", (side, side))
    draw = ImageDraw.Draw(floor)
    draw.ellipse(circle(arenas.goal[which], arenas.world.goal_radius), fill=GOAL)
    for stretch in arenas.way(which, TRAIL):
        draw.line(pixel(stretch), fill=WAY, width=2 * FINER)
    ImageDraw.Draw(rim).ellipse(circle(np.zeros(2), 1.0), fill=255)
    picture = Image.composite(floor, Image.new("RGB", (side, side), GROUND), rim)
    ImageDraw.Draw(picture).ellipse(circle(arenas.position[which], 0.04), fill=AGENT)
    return np.asarray(picture.resize((PIXELS, PIXELS), Image.Resampling.LANCZOS))
