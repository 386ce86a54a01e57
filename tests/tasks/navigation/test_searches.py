import math

import pytest
import torch

from lsnn.tasks.navigation import Navigation
from lsnn.tasks.navigation.searches import pace, steps_by_visit, stretches, visits
from lsnn.tasks.navigation.walkers import WALKERS, walk


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def told(*goals: tuple[int, ...], steps: int = 100) -> dict[str, torch.Tensor]:
    """A record in which each episode reaches the goal at these steps, counted from 1."""
    reached = torch.zeros(steps, len(goals), dtype=torch.bool)
    for episode, at in enumerate(goals):
        reached[[step - 1 for step in at], episode] = True
    position = torch.zeros(steps, len(goals), 2)
    position[:50, :, 0], position[50:, :, 1] = 0.5, 0.9
    return {"reached": reached, "position": position, "blocked": torch.zeros_like(reached)}


def test_visits_are_steps_from_start_to_goal():
    found = visits(told((30, 50, 55), (), (100,)))
    nan = math.nan
    expected = torch.tensor([[30.0, 20, 5], [nan, nan, nan], [100, nan, nan]])
    torch.testing.assert_close(found, expected, equal_nan=True)
    assert visits(told((), ())).shape == (2, 1)


def test_metrics_of_known_episodes():
    found = Navigation(steps=100).metrics(told((30, 50, 55), (), (100,)))
    assert found["goals"].tolist() == [3, 0, 1]
    assert found["first_goal"].tolist() == [30, 100, 100]
    assert found["later_goals"].tolist() == [20, 5]
    torch.testing.assert_close(found["radius"], torch.tensor([0.5, 0.7, 0.7]))


def test_pace_counts_searches_that_the_episodes_end_cuts_off():
    found = pace(told((30, 50, 55), (), (90,), (10, 70), (100,)))
    assert found.first == pytest.approx((30 + 100 + 90 + 10 + 100) / 5)
    # second searches of 20 and 60 steps, and one cut off after 10: survival 1, half from 20 on, none from 60 on
    assert found.second == pytest.approx(20 + 0.5 * 40)
    assert found.ratio == found.second / found.first
    assert math.isnan(pace(told((), ())).second)


def test_steps_by_visit_are_given_as_far_as_half_of_the_episodes_get():
    found = steps_by_visit(told((30, 50, 55), (20, 60), (100,), (40,)), 4)
    # second searches: of 20 and 40 steps, and cut off after 60
    torch.testing.assert_close(found[:2], torch.tensor([47.5, 20 + 20 * 2 / 3 + 60 / 3]))
    assert not found[2].isnan() and found[3].isnan()


def test_stretches_go_from_each_start_to_the_goal():
    record = walk(Navigation(steps=300), WALKERS["circling, no memory"], 1, seeded())
    position, arrival, reached = (record[name][:, 0].numpy() for name in ("position", "arrival", "reached"))
    found = stretches(position, arrival, reached)
    assert len(found) == reached.sum() + 1 > 2 and sum(len(part) - 1 for part in found) == 300
    for part in found:
        assert (abs(part[1:] - part[:-1]) <= 0.02 + 1e-6).all()


def test_episodes_with_many_searches_weigh_no_more_than_others():
    assert pace(told(tuple(range(10, 101, 10)), (50, 100))).second == pytest.approx((10 + 50) / 2)


def test_pace_of_an_agent_without_memory_is_the_same_before_and_after():
    found = pace(walk(Navigation(steps=600), WALKERS["persistent random walk"], 1000, seeded()))
    assert found.ratio == pytest.approx(1, abs=0.1)
