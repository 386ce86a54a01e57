import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch

from lsnn.policies import Gaussian
from lsnn.tasks.navigation import Navigation
from lsnn.tasks.navigation.arenas import AHEAD, Arenas


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def wander(task: Navigation, n: int = 8, seed: int = 0, size: float = 1.0) -> Arenas:
    """Whole episodes of moves in persistent directions, which meet rim and goal often."""
    arenas, chance = task.begin(n, seeded(seed)), seeded(seed + 100)
    heading = torch.zeros(n, 2)
    for _ in range(task.steps):
        heading = 0.95 * heading + 0.3 * torch.randn(n, 2, generator=chance)
        arenas.act(size * heading)
    return arenas


@pytest.fixture(scope="module")
def record():
    found = wander(Navigation(steps=1500), n=32).record()
    assert found["reached"].sum() > 30 and found["blocked"].sum() > 500
    return found


def at(task: Navigation, position: tuple[float, float], goal: tuple[float, float]) -> Arenas:
    """One arena in a given state."""
    arenas = task.begin(1, seeded())
    arenas.position[:], arenas.goal[:] = torch.tensor(position), torch.tensor(goal)
    return arenas


def test_agent_never_leaves_the_disc(record):
    for name in ("position", "arrival"):
        assert record[name].norm(dim=2).max() <= 1 + 1e-6  # float32


def test_moves_are_never_longer_than_a_scale(record):
    assert (record["arrival"] - record["position"]).norm(dim=2).max() <= 0.02 + 1e-6


def test_short_actions_move_by_a_scale_times_the_action():
    arenas = at(Navigation(), (0.1, 0.2), (-0.85, 0.0))
    arenas.act(torch.tensor([[0.5, -0.25]]))
    torch.testing.assert_close(torch.from_numpy(arenas.position), torch.tensor([[0.11, 0.195]], dtype=torch.float64))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_actions_that_are_no_numbers_are_refused_and_move_nobody(value: float):
    arenas = Navigation().begin(3, seeded())
    actions, before = torch.zeros(3, 2), arenas.position.copy()
    actions[1, 0] = value
    with pytest.raises(ValueError, match="actions must be finite"):
        arenas.act(actions)
    assert (arenas.position == before).all() and arenas.step == 0


def test_blocked_move_ends_where_it_crosses_the_rim():
    arenas = at(Navigation(a_scale=0.8), (0.0, 0.6), (-0.85, 0.0))
    reward = arenas.act(torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(torch.from_numpy(arenas.position), torch.tensor([[0.8, 0.6]], dtype=torch.float64))
    arenas.act(torch.tensor([[1.0, 1.0]]))
    torch.testing.assert_close(torch.from_numpy(arenas.position), torch.tensor([[0.8, 0.6]], dtype=torch.float64))
    assert reward.item() == pytest.approx(-0.02)


def test_rewards_are_one_for_the_goal_and_the_walls_cost(record):
    expected = record["reached"].float() - 0.02 * record["blocked"]
    torch.testing.assert_close(record["reward"], expected)


def test_goal_is_reached_within_its_radius_and_nowhere_else(record):
    distance = (record["arrival"] - record["goal"]).norm(dim=2)
    assert (record["reached"] == (distance <= 0.3)).float().mean() > 0.9999  # float32 at the edge


def test_reaching_the_goal_moves_the_agent_and_not_the_goal():
    arenas = at(Navigation(), (0.54, 0.0), (0.85, 0.0))
    goal = arenas.goal.copy()
    arenas.act(torch.tensor([[1.0, 0.0]]))
    assert arenas.reward == [1] and (arenas.goal == goal).all()
    assert math.hypot(*(arenas.position[0] - [0.56, 0.0])) > 0.02


def test_without_a_goal_reached_the_agent_goes_on_from_where_it_arrived(record):
    before, after, reached = record["arrival"][:-1], record["position"][1:], record["reached"][:-1]
    assert before[~reached].equal(after[~reached])
    assert (before[reached] != after[reached]).all()


def test_starts_are_uniform_in_the_disc_outside_the_goal():
    arenas = Navigation().begin(20_000, seeded())
    position, goal = torch.from_numpy(arenas.position), torch.from_numpy(arenas.goal)
    assert (position - goal).norm(dim=1).min() > 0.3
    # of the disc inside radius 1/2, no goal (0.55 ... 1.15 from the centre) takes a part
    share = (position.norm(dim=1) < 0.5).double().mean()
    in_disc = (Navigation(restart="count").begin(20_000, seeded()).position ** 2).sum(1) < 0.25
    overlap = 1 - 0.25 / share.item()  # of the goal with the disc, as a share of the disc
    assert in_disc.mean() == pytest.approx(0.25, abs=0.01)
    assert overlap == pytest.approx(0.07, abs=0.03)  # paper.md's Monte Carlo: 7 %


def test_starts_are_found_beside_the_largest_goal():
    arenas = Navigation(goal_radius=1.75).begin(5000, seeded())
    assert np.hypot(*(arenas.position - arenas.goal).T).min() > 1.75


def test_start_inside_the_goal_counts_in_the_next_step_where_asked():
    arenas = at(Navigation(restart="count"), (0.85, 0.0), (0.85, 0.0))
    assert arenas.act(torch.zeros(1, 2)) == 1


def test_goals_lie_on_a_circle_all_around():
    goal = torch.from_numpy(Navigation().begin(5000, seeded()).goal)
    assert goal.norm(dim=1).sub(0.85).abs().max() < 1e-12
    assert goal.mean(0).abs().max() < 0.05
    few = torch.from_numpy(Navigation(n_goals=4).begin(500, seeded()).goal).round(decimals=6)
    assert len(few.unique(dim=0)) == 4


def test_coordinates_fire_their_neurons_at_the_tunings_rates():
    n = 1000
    arenas = Navigation(steps=40).begin(n, seeded())
    arenas.position[:] = [0.3, -0.7]
    spikes = torch.stack([_still(arenas) for _ in range(40)]).double().mean((0, 1))
    centre = torch.linspace(-1, 1, 40, dtype=torch.float64)
    for name, coordinate in (("x", 0.3), ("y", -0.7)):
        expected = 0.5 * torch.exp(-100 * (centre - coordinate) ** 2)
        found = spikes[arenas.world.input_groups()[name]]
        torch.testing.assert_close(found, expected, atol=0.012, rtol=0)  # five standard errors


def _still(arenas: Arenas) -> torch.Tensor:
    """Inputs of a step, with the agent left where it is."""
    position, spikes = arenas.position.copy(), arenas.inputs()
    arenas.act(torch.zeros(arenas.n, 2))
    arenas.position[:] = position
    return spikes


@pytest.mark.parametrize("encoding", ["population", "values"])
def test_reward_is_signalled_in_the_next_step_alone(encoding):
    task = Navigation(encoding=encoding)
    arenas, groups = at(task, (0.54, 0.0), (0.85, 0.0)), task.input_groups()
    signals = []
    for action in ((1.0, 0.0), (0.0, 0.0), (0.0, 0.0)):
        inputs = arenas.inputs()[0]
        signals.append([inputs[groups[name]].unique().tolist() for name in ("reward", "penalty")])
        arenas.act(torch.tensor([action]))
    assert signals == [[[0], [0]], [[1], [0]], [[0], [0]]]
    arenas.position[:], arenas.goal[:] = [-1.0, 0.0], [0.85, 0.0]
    arenas.act(torch.tensor([[-1.0, 0.0]]))
    inputs = arenas.inputs()[0]
    assert [inputs[groups[name]].unique().tolist() for name in ("reward", "penalty")] == [[0], [1]]


def test_values_are_the_coordinates():
    arenas = at(Navigation(encoding="values"), (0.25, -0.5), (0.85, 0.0))
    assert arenas.inputs().tolist() == [[0.25, -0.5, 0, 0]]


def test_inputs_stay_until_the_next_action():
    arenas = Navigation().begin(3, seeded())
    assert arenas.inputs().equal(arenas.inputs())
    before = arenas.inputs()
    arenas.act(torch.zeros(3, 2))
    assert not arenas.inputs().equal(before)


def test_episodes_follow_from_the_generator():
    first, again, other = (wander(Navigation(steps=3 * AHEAD), seed=seed) for seed in (0, 0, 1))
    assert all(a.equal(b) for a, b in zip(first.record().values(), again.record().values(), strict=True))
    assert not first.record()["goal"].equal(other.record()["goal"])


def test_spread_is_a_variance_or_a_deviation():
    readout = torch.randn(3, 5, generator=seeded())
    variance, deviation = (Navigation(spread=what).policy(readout).variance for what in ("variance", "deviation"))
    assert variance.equal(readout[:, 2:4].sigmoid())
    torch.testing.assert_close(deviation.sqrt(), variance)


@pytest.mark.parametrize("spread", ["variance", "deviation"])
def test_a_spread_far_down_leaves_densities_finite(spread: Literal["variance", "deviation"]):
    policy = Navigation(spread=spread, readout_scale=5.0).policy(torch.full((4, 5), -20.0))
    assert policy.log_prob(policy.sample(seeded())).isfinite().all() and policy.entropy().isfinite().all()


def test_policy_and_value_pass_gradients_to_every_readout():
    readout = torch.randn(6, 4, 5, generator=seeded(), requires_grad=True)
    task = Navigation()
    policy = task.policy(readout)
    assert isinstance(policy, Gaussian) and policy.mean.abs().max() < 1
    (policy.log_prob(policy.sample(seeded()).detach()) + task.value(readout)).sum().backward()
    assert readout.grad is not None and (readout.grad != 0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"a_scale": 0.0}, "a_scale must be positive and finite, got 0.0; the paper has 0.02"),
        ({"goal_distance": 1.2}, "goal_distance must lie in"),
        ({"goal_radius": 1.84}, "covers almost all of the disc, got 1.84"),
        ({"max_rate_hz": 1000.0}, "a step is 1 ms, the paper has 500"),
        ({"n_goals": 0}, "n_goals must be a whole number of at least 1, got 0"),
        ({"n_goals": 1.5}, "n_goals must be a whole number of at least 1, got 1.5"),
        ({"steps": 2.5}, "steps must be a whole number of at least 1, got 2.5"),
        ({"steps": None}, "steps must be a whole number of at least 1, got None"),
        ({"restart": "foo"}, "restart must be redraw or count, got 'foo'"),
        ({"encoding": "Population"}, "encoding must be population or values, got 'Population'"),
        ({"wall_cost": -1.0}, "wall_cost must not be negative"),
    ],
)
def test_impossible_settings_are_told(settings, message):
    with pytest.raises(ValueError, match=message):
        replace(Navigation(), **settings)
