from pathlib import Path

import numpy as np
import pytest
import torch

from lsnn import runs, training
from lsnn.report import read_run, write_report
from lsnn.report.outing import foraging_of, references
from tests.helpers import ACTING, acting_experiment, begin


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = begin(tmp_path_factory.mktemp("runs") / "outing", acting_experiment(iterations=4, validate_every=2))
    training.proceed(folder)
    return folder


def test_a_run_in_the_arenas_has_its_figures_and_a_moving_picture(run: Path):
    written = {path.name for path in write_report([run])}
    assert {"learning.png", "goals.png", "ways.png", "visits.png", "episode.png", "animation.gif"} <= written
    assert "activity.png" not in written


def test_the_page_has_a_row_for_every_agent(run: Path):
    write_report([run])
    page = (run / "report" / "results.md").read_text()
    for row in ("the network", "thresholds frozen at the first goal", "before training", "goal known"):
        assert f"| {row} |" in page


def test_a_validation_without_a_return_leaves_a_gap(run: Path):
    found = read_run(run)
    records = [{"event": "validation", "iteration": k, "goals": 1.0, "first_goal": 9.0} for k in (1, 2, 3)]
    for k, steps in ((0, 5.0), (2, 7.0)):
        records[k]["later_goals"] = steps
    foraging = foraging_of(found._replace(metrics=records))
    assert foraging.later is not None
    assert [foraging.later[0], foraging.later[2]] == [5, 7] and np.isnan(foraging.later[1])


def test_walkers_are_told_by_their_goals(run: Path):
    found = {line.label: line.value for line in references(read_run(run))}
    assert found["goal known"] > found["circling, no memory"] > found["a new direction every ms"]


def test_the_example_is_the_first_test_episode(run: Path):
    example, analysis = runs.read_tensors(run / runs.EXAMPLE), runs.read_tensors(run / runs.ANALYSIS)
    assert example["record/position"].shape == (ACTING.task.steps, 1, 2)
    assert torch.equal(example["record/position"], analysis["path/network/position"][:, :1])
