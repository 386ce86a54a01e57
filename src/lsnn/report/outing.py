"""What a run in the arenas shows: goals over training, ways, visits, and an episode with the network in it."""

from collections.abc import Iterator, Mapping

import numpy as np
from torch import Tensor

from lsnn import figures
from lsnn.experiments import Spiking
from lsnn.figures import Episode, Foraging, Group, Reference, Way
from lsnn.report.run import Run, recorded
from lsnn.tasks import Navigation
from lsnn.tasks.navigation import outings

SHOWN = 4
"""episodes in the figure of ways"""


def drawn(run: Run) -> Iterator[tuple[str, figures.Figure, str]]:
    """Names, figures and captions."""
    if not isinstance(run.experiment.task, Navigation):
        return
    if len(run.series("validation", "goals").value) > 1:
        caption = (
            "Look for when goals rise above what a circle without memory finds, and for returns faster than searches."
        )
        yield "goals", figures.draw_goals({"this network": foraging_of(run)}, references(run)), caption
    if run.analysis is not None:
        caption = "Look for searches along the rim (1), and for ways straight back to the goal (2 and on)."
        yield "ways", figures.draw_ways(ways(run, "before training"), ways(run, "network")), caption
        caption = "Look for a fall from the first visit to the second: the goal is remembered."
        yield "visits", figures.draw_visits(_visits(run.analysis)), caption
    if run.example is not None:
        caption = "One test episode: look for a long search (1), and for short ways back from anywhere (2 and on)."
        yield "episode", figures.draw_episode(episode_of(run, run.example)), caption


def moving(run: Run) -> bytes | None:
    """The example as a moving picture (GIF), if it is an episode in an arena."""
    if run.example is None or not isinstance(run.experiment.task, Navigation):
        return None
    return figures.animate(episode_of(run, run.example))


def references(run: Run) -> list[Reference]:
    """What walkers reach."""
    found = outings.scores(run.analysis or {})
    return [Reference(float(found[name][0]), name) for name in outings.WALKERS if name in found]


def ways(run: Run, agent: str) -> list[Way]:
    """The first test episodes of an agent."""
    assert run.analysis is not None
    record = {part: rows for part, rows in outings.part(run.analysis, f"path/{agent}").items()}
    return [_way(run, record, k) for k in range(min(SHOWN, len(record.get("goal", ()))))]


def episode_of(run: Run, example: Mapping[str, Tensor]) -> Episode:
    """The run's example."""
    task, network = run.experiment.task, run.experiment.network
    assert isinstance(task, Navigation)
    return Episode(
        way=_way(run, outings.part(example, "record"), 0),
        inputs=example["inputs"].numpy(),
        groups=[Group(name, range(task.n_in)[channels]) for name, channels in task.input_groups().items()],
        spikes=recorded(example, "spikes"),
        thresholds=recorded(example, "relative_thresholds"),
        n_regular=network.n_regular if isinstance(network, Spiking) else 0,
        value=task.value(example["readout"]).numpy(),
    )


def _way(run: Run, record: Mapping[str, Tensor], k: int) -> Way:
    task = run.experiment.task
    assert isinstance(task, Navigation)
    along = (record[name][:, k].numpy() for name in ("position", "arrival", "reached"))
    return Way(*along, goal=record["goal"][k].numpy(), goal_radius=task.goal_radius)


def foraging_of(run: Run) -> Foraging:
    """How the network fared over training; nan where it never went back to a goal."""
    goals, first = run.series("validation", "goals"), run.series("validation", "first_goal")
    later = run.series("validation", "later_goals")  # a validation without a return has none
    at = np.full(len(goals.value), np.nan)
    at[np.isin(goals.iteration, later.iteration)] = later.value
    episodes = goals.iteration * run.experiment.batch_size
    return Foraging(episodes, goals.value, first.value, at if len(later.value) else None)


def _visits(analysis: Mapping[str, Tensor]) -> dict[str, figures.Array]:
    names = ("network", outings.FROZEN, outings.FORGETFUL, "circling, no memory", outings.LATE, "goal known")
    curves = outings.part(analysis, "visits")
    renamed = {"network": "this network"}
    return {renamed.get(name, name): curves[name].numpy() for name in names if name in curves}
