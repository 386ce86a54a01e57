"""Exchanging state between agents in arenas: who is counted, what is exchanged when, and where they go."""

import json
from pathlib import Path

import pytest
import torch

from lsnn import cli, memory, training
from lsnn.memory.returns import EXCHANGES, LEFT_ALONE, _exchange, _sizes, arrivals
from lsnn.tasks import Navigation
from lsnn.tasks.rollout import play
from tests.helpers import acting_experiment, begin

ORDER = torch.tensor([1, 2, 3, 0])
EAST, NORTH, WEST = (0.8, 0.0), (0.0, 0.8), (-0.8, 0.0)


def walked(ways: list[list[tuple[float, float]]], goals: list[tuple[float, float]]) -> dict[str, torch.Tensor]:
    """Records of agents that stood at these points after each step."""
    arrival, goal = torch.tensor(ways).transpose(0, 1), torch.tensor(goals)
    return {"arrival": arrival, "goal": goal, "reached": (arrival - goal).norm(dim=2) <= 0.3}


def test_agents_are_counted_that_know_their_goals_and_take_over_from_one_that_knows_another():
    middle = (0.0, 0.0)
    record = walked(
        [
            [EAST, middle, NORTH, EAST],  # knows; the next one knows: counted, first at the other's goal
            [NORTH, middle, NORTH, EAST],  # knows, the next one has the same goal: not counted
            [NORTH, middle, middle, middle],  # knows, the next one does not: not counted
            [middle, middle, WEST, middle],  # did not know at step 2: not counted
        ],
        [EAST, NORTH, NORTH, WEST],
    )
    own, other = arrivals(record, 2, ORDER, 0.3)
    assert own.tolist() == [2] and other.tolist() == [1]


def test_a_visit_to_the_other_goal_does_not_count_after_ones_own():
    record = walked([[EAST, EAST, NORTH], [NORTH, (0.0, 0.0), (0.0, 0.0)]], [EAST, NORTH])
    own, other = arrivals(record, 1, torch.tensor([1, 0]), 0.3)
    assert own.tolist() == [1, 4] and other.tolist() == [4, 4]


@pytest.mark.parametrize(("n", "sizes"), [(2, [2]), (64, [64]), (65, [65]), (66, [64, 2]), (129, [64, 65])])
def test_no_agent_is_alone(n: int, sizes: list[int]):
    assert _sizes(n) == sizes


@pytest.mark.parametrize("name", EXCHANGES)
def test_state_is_exchanged_between_two_steps(name: str):
    experiment = acting_experiment()
    task, network = experiment.task, experiment.build()
    assert isinstance(task, Navigation)
    seen, exchange = {}, _exchange(network, EXCHANGES[name], 5, ORDER)

    def meddle(step, rewards, stepper):
        before = stepper.state
        exchange(step, rewards, stepper)
        seen[step] = before, stepper.state

    tampered = play(network, task, 4, 0, "test", meddle=meddle)
    alone = play(network, task, 4, 0, "test")
    assert tampered.readout[:5].equal(alone.readout[:5]) and not tampered.readout[5:].equal(alone.readout[5:])
    assert [
        step for step, (before, after) in seen.items() if not before.v.equal(after.v) or not before.b.equal(after.b)
    ] == [4]
    before, after = seen[4]
    assert after.b.equal(before.b if name == "all else exchanged" else before.b[ORDER])
    assert after.v.equal(before.v if name == "thresholds exchanged" else before.v[ORDER])


def test_study_has_shares_that_grow_and_do_not_exceed_one():
    task = Navigation(steps=200, a_scale=0.2, goal_radius=0.5, n_channels=10, n_reward=5)
    found = memory.study_returns(task, acting_experiment(task=task).build().eval(), 70)
    assert found.at == 100 and found.after[-1] == 40 and 5 < found.n <= 70
    assert list(found.own) == list(found.other) == [LEFT_ALONE, *EXCHANGES]
    for curves in (found.own, found.other):
        assert all(a <= b for curve in curves.values() for a, b in zip(curve, curve[1:], strict=False))
    assert 0 < found.own[LEFT_ALONE][-1] <= 1
    assert found == memory.study_returns(task, acting_experiment(task=task).build().eval(), 70)


@pytest.mark.parametrize("n", [-1, 0, 1])
def test_one_agent_has_nobody_to_exchange_with(n: int):
    experiment = acting_experiment()
    with pytest.raises(ValueError, match=f"n must be at least 2, got {n}"):
        memory.study_returns(experiment.task, experiment.build().eval(), n)


def test_agents_that_find_nothing_cannot_be_studied():
    task = Navigation(steps=10, n_channels=10, n_reward=5)
    with pytest.raises(ValueError, match="none of 4 agents had found its goal by step 5"):
        memory.study_returns(task, acting_experiment(task=task).build().eval(), 4)


def test_command_writes_page_figure_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    task = Navigation(steps=200, a_scale=0.2, n_channels=10, n_reward=5, n_validation=2, n_test=2)
    run = begin(tmp_path / "run", acting_experiment(task=task, iterations=1))
    training.proceed(run)
    assert cli.main(["memory", str(run), "--tampered", "40"]) == 0
    written = [Path(line) for line in capsys.readouterr().out.split()]
    assert [path.suffix for path in written] == [".md", ".json", ".png", ".pdf"]
    assert "thresholds exchanged: every agent goes on with the thresholds of another" in written[0].read_text()
    assert json.loads(written[1].read_text())["at"] == 100
