import pytest
import torch

from lsnn.tasks import Navigation, Record, pace
from lsnn.tasks.navigation.walkers import WALKERS, late, walk


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def goals(record: Record) -> float:
    return record["reached"].sum(0).double().mean().item()


@pytest.fixture(scope="module")
def records() -> dict[str, Record]:
    return {name: walk(Navigation(), walker, 300, seeded()) for name, walker in WALKERS.items()}


@pytest.mark.parametrize(
    ("name", "expected"),  # of simulations of 1,000 episodes; six of our standard errors
    [
        ("a new direction every ms", pytest.approx(0.29, abs=0.2)),
        ("persistent random walk", pytest.approx(4.45, abs=0.8)),
        ("circling, no memory", pytest.approx(20.7, abs=0.9)),
        ("goal known", pytest.approx(50.7, abs=1.3)),
    ],
)
def test_walkers_reach_as_many_goals_as_stated(records, name, expected):
    assert goals(records[name]) == expected


def test_goals_of_the_one_who_knows_are_those_of_an_independent_simulation_where_restarts_inside_count():
    record = walk(Navigation(restart="count"), WALKERS["goal known"], 300, seeded())
    assert goals(record) == pytest.approx(54.4, abs=1.3)


def test_walkers_without_memory_return_no_faster_than_they_searched(records):
    for name in ("persistent random walk", "circling, no memory", "goal known"):
        assert pace(records[name]).ratio == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(("n_goals", "expected"), [(1, 28.8), (2, 20.8), (4, 14.5), (12, 12.2)])
def test_the_best_route_without_memory_goes_from_place_to_place(n_goals, expected):
    world = Navigation(steps=600, a_scale=0.04, n_goals=n_goals)
    assert goals(walk(world, WALKERS["circling, no memory"], 300, seeded())) == pytest.approx(expected, rel=0.04)


def test_walkers_go_at_full_speed(records):
    for record in records.values():
        length = (record["arrival"] - record["position"]).norm(dim=2)[~record["blocked"]]
        torch.testing.assert_close(length, torch.full_like(length, 0.02), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("delay", "tau_out", "expected"), [(0, 0.0, 50.7), (0, 20.0, 44.5), (5, 20.0, 40.3), (10, 0.0, 45.5)]
)
def test_whoever_knows_the_goal_reaches_fewer_the_later_it_turns(delay, tau_out, expected):
    assert goals(walk(Navigation(), late(delay, tau_out), 300, seeded())) == pytest.approx(expected, abs=1.3)


def test_without_delays_nothing_is_late():
    straight, undelayed = (
        walk(Navigation(steps=200), walker, 20, seeded()) for walker in (WALKERS["goal known"], late(0, 0.0))
    )
    torch.testing.assert_close(undelayed["arrival"], straight["arrival"])


def test_what_is_seen_late_is_acted_on_late():
    found = walk(Navigation(steps=40, a_scale=0.01, goal_radius=0.05), late(3, 0.0), 5, seeded())
    moves = found["arrival"] - found["position"]
    seen = found["goal"] - found["position"]
    torch.testing.assert_close(moves[3:], 0.01 * seen[:-3] / seen[:-3].norm(dim=2, keepdim=True), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("delay", "tau_out"), [(-1, 20.0), (1, -1.0), (1, float("nan"))])
def test_delays_must_not_be_negative(delay, tau_out):
    with pytest.raises(ValueError, match=f"must not be negative, got {delay} steps and {tau_out} ms"):
        late(delay, tau_out)


def test_walks_follow_from_the_generator():
    first, again, other = (
        walk(Navigation(steps=50), WALKERS["persistent random walk"], 3, seeded(seed))["arrival"] for seed in (0, 0, 1)
    )
    assert first.equal(again) and not first.equal(other)
