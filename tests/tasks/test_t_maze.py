import math

import pytest
import torch

from lsnn.tasks.t_maze import FORWARD, LEFT, RIGHT, Mazes, TMaze


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def walk(mazes: Mazes, memory: float = 1.0) -> dict[str, torch.Tensor]:
    """Forward, and at the fork where the cue said, with this probability."""
    chance = seeded(1)
    for _ in range(mazes.task.steps):
        remembers = torch.rand(mazes.cue.shape, generator=chance) < memory
        turn = torch.where(remembers, mazes.cue, 1 - mazes.cue)
        mazes.act(torch.where(mazes.place == mazes.task.length, turn, FORWARD))
    return mazes.record()


def test_who_walks_and_remembers_gets_every_reward():
    task = TMaze()
    metrics = task.metrics(walk(task.begin(20, seeded())))
    assert (metrics["rewards"] == task.steps // (task.length + 1)).all()
    assert metrics["accuracy"].mean() == 1


def test_wrong_turns_cost_and_lead_back_too():
    task = TMaze(error_cost=0.5)
    record = walk(task.begin(20, seeded()), memory=0.0)
    assert record["reward"].sum() == -0.5 * 20 * (300 // 41)
    assert task.metrics(record)["accuracy"].mean() == 0


def test_turns_do_nothing_before_the_fork():
    mazes = TMaze().begin(4, seeded())
    mazes.act(torch.tensor([LEFT, RIGHT, FORWARD, FORWARD]))
    assert mazes.place.tolist() == [0, 0, 1, 1]
    assert not mazes.record()["reward"].any()


def test_cue_is_seen_near_the_entrance_alone():
    task = TMaze(rate_hz=1000.0)
    mazes, seen = task.begin(6, seeded()), []
    groups = task.input_groups()
    for _ in range(task.length + 1):
        inputs = mazes.inputs()
        seen.append(torch.stack([inputs[:, groups[name]].any(1) for name in ("cue left", "cue right", "junction")]))
        mazes.act(torch.full((6,), FORWARD))
    left, right, junction = torch.stack(seen, 1)
    assert (left | right).equal((torch.arange(41) < 10)[:, None].expand(41, 6))
    assert left[0].equal(mazes.cue == LEFT) and right[0].equal(mazes.cue == RIGHT)
    assert junction.equal((torch.arange(41) == 40)[:, None].expand(41, 6))


def test_cues_are_drawn_anew_after_each_turn():
    mazes = TMaze(steps=2000, length=1, cue_length=1).begin(1, seeded())
    cues = []
    for _ in range(1000):
        cues.append(int(mazes.cue))
        mazes.act(torch.tensor([FORWARD]))
        mazes.act(torch.tensor([LEFT]))
    assert sum(cues) / 1000 == pytest.approx(0.5, abs=0.06)  # four standard errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 5}, "length must be at least 10, got 5; usual"),
        ({"steps": 40}, "steps must be at least 41, got 40; usual"),
        ({"cue_length": 0}, "cue_length must be at least 1, got 0; usual"),
        ({"rate_hz": 0.0}, r"rate_hz must lie in \(0, 1000\], got 0.0"),
        ({"readout_scale": 0.0}, "readout_scale must be positive and finite, got 0.0; usual"),
        ({"n_test": 0}, "n_test must be at least 1, got 0"),
        ({"n_validation": -3}, "n_validation must be at least 1, got -3"),
        ({"error_cost": -0.5}, "error_cost must be finite and not negative, got -0.5; usual"),
        ({"error_cost": math.nan}, "error_cost must be finite and not negative, got nan"),
    ],
)
def test_impossible_settings_are_told(settings, message: str):
    with pytest.raises(ValueError, match=message):
        TMaze(**settings)
