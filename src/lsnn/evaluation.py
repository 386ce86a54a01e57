"""Scores of a trained network, and where its task has one, a table with other networks and simpler methods."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.console import Console
from rich.table import Table as Grid
from torch import Tensor

from lsnn import pretrained, results, runs, training
from lsnn.experiments import Experiment
from lsnn.tasks import Analysed, Environment, Table, Task


class Evaluation(NamedTuple):
    """What a network is worth on a split."""

    iteration: int
    scores: dict[str, float]
    table: Table | None

    def plain(self) -> dict[str, Any]:
        """As data for JSON; the table has its rows by name."""
        if self.table is None:
            return self.scores
        rows = {
            name: {column: None if math.isnan(v) else v for column, v in zip(self.table.header, values, strict=True)}
            for name, values in self.table.rows
        }
        return {**self.scores, "table": {"title": self.table.title, "rows": rows}}


def evaluate(
    run: Path | str,
    split: Literal["test", "validation"],
    beside: Sequence[Path | str] = (),
    data: Path | str | None = None,
) -> Evaluation:
    """Score a network, of a run folder or from the box, and compare it with those `beside` it.

    beside: folders or names for further rows of the table, from their stored analyses where they have one; none
        given: the networks of the box that were trained by variants of the same preset.
    data: folder of the task's data, where it is not the one that the run was trained with.
    """
    folder, others = pretrained.locate(Path(run)), [Path(other) for other in beside]
    experiment, network, iteration = training.restore_network(folder)
    experiment = on_data(experiment, data)
    task = experiment.task
    _check_beside(task, others)
    scores, found = results.score(network, experiment, split), results.analysis(network, experiment, split)
    if found is None or not isinstance(task, Analysed):
        return Evaluation(iteration, scores, None)
    analyses: dict[str, Mapping[str, Tensor]] = {str(run): found}
    for other in others or _companions(folder, task):
        analyses[str(other)] = _analysis_of(other, split)  # on the data it was trained with
    return Evaluation(iteration, scores, task.table(analyses))


def on_data(experiment: Experiment, data: Path | str | None) -> Experiment:
    """The experiment with its task's data in another folder; None leaves them where they are."""
    if data is None:
        return experiment
    if not hasattr(experiment.task, "data"):
        raise ValueError(f"the task {experiment.task.name} makes its data up; leave --data out")
    task: Any = experiment.task
    return replace(experiment, task=replace(task, data=Path(data)))


def _check_beside(task: Task | Environment, beside: Sequence[Path]) -> None:
    """Whether those networks can stand in the task's table: said before minutes of work, not after."""
    if beside and not isinstance(task, Analysed):
        raise ValueError(f"the task {task.name} has no table to put other networks in; leave --beside out")
    for other in beside:
        assert isinstance(task, Analysed)
        if not task.comparable(training.load(pretrained.locate(other)).task):
            raise ValueError(f"{other} was not asked the same as the network it should stand beside; choose another")


def _companions(folder: Path, task: Analysed) -> list[Path]:
    """Networks in the box by variants of the same preset: l2l-teacher-lif and l2l-teacher-lstm beside l2l-teacher."""
    stem = f"{runs.read_config(folder).get('preset')}-"
    others = [Path(name) for name in pretrained.names() if name.startswith(stem)]
    return [other for other in others if task.comparable(training.load(pretrained.locate(other)).task)]


def _analysis_of(other: Path, split: Literal["test", "validation"]) -> Mapping[str, Tensor]:
    folder = pretrained.locate(other)
    if split == "test" and (folder / runs.ANALYSIS).exists():
        return runs.read_tensors(folder / runs.ANALYSIS)
    experiment, network, _ = training.restore_network(folder)
    found = results.analysis(network, experiment, split)
    assert found is not None
    return found


def show(evaluation: Evaluation, split: str) -> None:
    """Print scores and table."""
    console = Console()
    grid = Grid("metric", split, box=None, pad_edge=False)
    for name, value in evaluation.scores.items():
        grid.add_row(name, f"{value:.4f}")
    console.print(grid)
    table = evaluation.table
    if table is None:
        return
    grid = Grid(table.title, box=None, pad_edge=False)
    for column in table.header:
        grid.add_column(column, justify="right", no_wrap=True)
    for name, values in table.rows:
        grid.add_row(name, *(table.spelled(value) for value in values))
    console.print("\n", grid, sep="")
