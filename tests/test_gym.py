import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import lsnn.gym
from lsnn.tasks import Navigation


def rollout(env: gymnasium.Env | gymnasium.vector.VectorEnv, steps: int, seed: int):
    observation, _ = env.reset(seed=seed)
    env.action_space.seed(seed)
    seen, rewards = [observation], []
    for _ in range(steps):
        observation, reward, *_ = env.step(env.action_space.sample())
        seen.append(observation)
        rewards.append(reward)
    return np.stack(seen), np.stack(rewards)


@pytest.mark.parametrize("settings", [{}, {"encoding": "population"}, {"restart": "count", "goal_radius": 0.5}])
def test_env_passes_gymnasiums_own_checker(settings):
    check_env(gymnasium.make("lsnn/Navigation-v0", render_mode="rgb_array", steps=40, **settings).unwrapped)


@pytest.mark.parametrize("encoding", ["values", "population"])
def test_vector_env_gives_observations_of_its_space(encoding):
    envs = gymnasium.make_vec("lsnn/Navigation-v0", num_envs=5, encoding=encoding)
    observation, _ = envs.reset(seed=0)
    assert observation in envs.observation_space
    observation, reward, terminated, truncated, info = envs.step(envs.action_space.sample())
    assert observation in envs.observation_space
    assert reward.shape == terminated.shape == truncated.shape == info["reached"].shape == (5,)


@pytest.mark.parametrize("make", [gymnasium.make, lambda name: gymnasium.make_vec(name, num_envs=3)])
def test_everything_follows_from_the_seed(make):
    first, again, other = (rollout(make("lsnn/Navigation-v0"), 30, seed) for seed in (0, 0, 1))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_env_is_the_tasks_own_world():
    env = lsnn.gym.NavigationEnv(goal_radius=0.5)
    env.reset(seed=3)
    seed = int(np.random.default_rng(3).integers(2**63))
    arenas = Navigation(encoding="values", goal_radius=0.5).begin(1, torch.Generator().manual_seed(seed))
    for k in range(100):
        action = np.array([np.cos(k / 9), np.sin(k / 9)], np.float32)
        observation, reward, *_ = env.step(action)
        assert reward == arenas.act(torch.from_numpy(action)[None]).item()
        assert np.array_equal(observation, arenas.inputs()[0].numpy())


def test_episodes_are_truncated_after_their_steps():
    env = lsnn.gym.NavigationEnv(steps=3)
    env.reset(seed=0)
    ends = [env.step(np.zeros(2, np.float32))[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
    with pytest.raises(ValueError, match="over after 3 steps"):
        env.step(np.zeros(2, np.float32))


def test_vector_env_begins_anew_in_the_step_after_the_end():
    envs = lsnn.gym.NavigationVectorEnv(4, steps=2)
    envs.reset(seed=0)
    actions = np.ones((4, 2), np.float32)
    before = [envs.step(actions) for _ in range(2)]
    assert before[1][3].all() and not before[0][3].any()
    observation, reward, _, truncated, _ = envs.step(actions)
    assert not reward.any() and not truncated.any()
    moved = envs.step(actions)[0][:, :2] - observation[:, :2]
    np.testing.assert_allclose(np.hypot(*moved.T), 0.02, atol=0.02)
    assert np.abs(observation - before[1][0]).max() > 0.05


def test_picture_shows_goal_and_agent():
    env = lsnn.gym.NavigationEnv(render_mode="rgb_array")
    env.reset(seed=0)
    for _ in range(20):
        env.step(np.array([1, 0], np.float32))
    picture = env.render()
    assert picture is not None and picture.shape == (320, 320, 3) and picture.dtype == np.uint8
    area = (np.abs(picture.astype(int) - [0xF3, 0xC5, 0x66]).sum(2) < 10).sum() / (np.pi * (0.48 * 320) ** 2)
    assert 0.06 < area < 0.08  # of the disc: the goal's 9 %, less what is beyond the rim and what the agent covers
    assert (np.abs(picture.astype(int) - [0x00, 0x72, 0xB2]).sum(2) < 10).sum() > 50


def test_an_unknown_render_mode_is_told():
    with pytest.raises(ValueError, match="render_mode must be rgb_array or None, got 'human'"):
        lsnn.gym.NavigationEnv(render_mode="human")


@pytest.mark.parametrize("shape", [(2, 4), (8,), (4, 2, 1)])
def test_actions_of_another_shape_are_told(shape: tuple[int, ...]):
    envs = lsnn.gym.NavigationVectorEnv(4)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=r"actions must have shape \(4, 2\), got"):
        envs.step(np.zeros(shape, np.float32))
    env = lsnn.gym.NavigationEnv()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"actions must have shape \(2,\), got \(1, 2\)"):
        env.step(np.zeros((1, 2), np.float32))


def test_stepping_before_reset_is_told():
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
        lsnn.gym.NavigationEnv().step(np.zeros(2, np.float32))


def test_missing_extra_is_told_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, "lsnn.gym")
    with pytest.raises(ImportError, match=r"install it with: pip install 'lsnn\[rl\]'"):
        __import__("lsnn.gym")


def test_the_library_itself_does_without_gymnasium():
    code = "import sys; sys.modules['gymnasium'] = None; import lsnn.cli, lsnn.tasks"
    subprocess.run([sys.executable, "-c", code], check=True)
