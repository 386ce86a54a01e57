import math
from dataclasses import replace

import pytest
import torch

from lsnn.baselines import Recurrent
from lsnn.tasks import Analysed, Navigation
from lsnn.tasks.navigation.outings import FORGETFUL, FROZEN, LATE, WALKERS, scores, table_of
from lsnn.tasks.navigation.searches import pace
from lsnn.tasks.rollout import episodes
from tests.helpers import ACTING

TASK = Navigation(steps=80, a_scale=0.1, goal_radius=0.6, n_channels=8, n_reward=4, n_test=20)


@pytest.fixture(scope="module")
def analysis() -> dict[str, torch.Tensor]:
    return TASK.analyse(ACTING.build(), "test", before=replace(ACTING, seed=1).build())


def test_navigation_has_more_to_say_than_scores():
    assert isinstance(TASK, Analysed)


def test_every_agent_has_a_score(analysis):
    assert list(scores(analysis)) == ["network", FROZEN, FORGETFUL, "before training", *WALKERS, LATE]


def test_a_network_s_score_is_that_of_the_split_s_episodes(analysis):
    records = [played.record for played in episodes(ACTING.build(), TASK, "test")]
    reached = {"reached": torch.cat([record["reached"] for record in records], 1)}
    goals, found, first, second, ratio = scores(analysis)["network"].tolist()
    assert goals == pytest.approx(reached["reached"].sum().item() / 20) and goals > 0.1
    assert found == pytest.approx(reached["reached"].any(0).double().mean().item())
    assert (first, second, ratio) == pytest.approx((*pace(reached), pace(reached).ratio), nan_ok=True)


def test_who_knows_the_goal_needs_the_fewest_steps(analysis):
    steps = {name: analysis[f"visits/{name}"][1].item() for name in WALKERS}
    assert min(steps, key=lambda name: math.inf if math.isnan(steps[name]) else steps[name]) == "goal known"


def test_without_adaptive_neurons_nothing_can_be_frozen():
    network = replace(ACTING.network, cells=replace(ACTING.network.cells, n_regular=11, n_adaptive=0))
    found = TASK.analyse(network.build(TASK.n_in, TASK.n_out, seed=0), "test")
    assert list(scores(found)) == ["network", FORGETFUL, *WALKERS, LATE]


def test_delays_are_those_of_an_lsnn(analysis):
    assert analysis[f"score/{LATE}"][0] < analysis["score/goal known"][0]
    network = Recurrent("lstm", TASK.n_in, 3, TASK.n_out)
    assert list(scores(TASK.analyse(network, "test"))) == ["network", FORGETFUL, *WALKERS]


def test_the_table_has_the_networks_first_and_then_what_the_first_is_compared_with(analysis):
    table = table_of({"mine": analysis, "yours": analysis})
    names = [name for name, _ in table.rows]
    assert names == ["mine", "yours", FROZEN, FORGETFUL, "before training", *WALKERS, LATE]
    assert all(len(values) == len(table.header) for _, values in table.rows)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"encoding": "values", "n_channels": 9}, True),
        ({"n_goals": 4}, False),
        ({"steps": 81}, False),
        ({"n_validation": 3}, False),
    ],
)
def test_agents_are_comparable_in_the_same_arenas_however_they_see_them(changes, same):
    assert TASK.comparable(replace(TASK, **changes)) == same
    assert not TASK.comparable(ACTING)
