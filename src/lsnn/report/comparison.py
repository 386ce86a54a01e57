"""Several runs side by side: their figures and their page, task by task, runs of the same settings together."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lsnn import figures
from lsnn.figures import Reference
from lsnn.presets import PRESETS
from lsnn.presets.command import flags
from lsnn.report.analysis import baseline
from lsnn.report.cost import OPERATIONS, cost_of
from lsnn.report.learning import chance
from lsnn.report.plates import Plate, gallery
from lsnn.report.run import Run
from lsnn.words import axis_label, scale, show, spell, table

Groups = Mapping[str, Sequence[Run]]
"""runs of the same settings up to the seed, by what one would type to train them, flags of all left out"""


def comparison_of(found: Sequence[Run]) -> tuple[list[Plate], str]:
    """The figures, and the page in Markdown."""
    tasks: dict[str, list[Run]] = {}
    for run in found:
        tasks.setdefault(run.experiment.task.name, []).append(run)
    plates, parts = [], [f"# {len(found)} runs side by side"]
    for task_name, runs_of_task in tasks.items():
        shared = _shared(runs_of_task)
        groups = _grouped(runs_of_task, shared)
        plates += _plates(task_name, groups)
        parts += [f"## {task_name}", *([f"All with `{' '.join(shared)}`."] if shared else []), *_tables(groups)]
    return plates, "\n\n".join(parts + gallery(plates)) + "\n"


def _shared(found: Sequence[Run]) -> list[str]:
    """Flags that every run with a preset has: they set none of them apart."""
    every = [flags(run.origin, bookkeeping=False) for run in found if run.preset in PRESETS]
    return [flag for flag in every[0] if all(flag in others for others in every)] if every else []


def _grouped(found: Sequence[Run], shared: Sequence[str]) -> Groups:
    groups: dict[str, list[Run]] = {}
    for run in found:
        name = f"custom: {run.path}"
        if run.preset in PRESETS:
            own = [flag for flag in flags(run.origin, bookkeeping=False) if flag not in shared]
            name = " ".join([run.preset, *own])
        groups.setdefault(name, []).append(run)
    return groups


def _tested(group: Sequence[Run]) -> list[float]:
    """Test values of the headline metric of the runs that have one."""
    return [run.tested for run in group if run.tested is not None]


def _plates(task_name: str, groups: Groups) -> Iterator[Plate]:
    first, *_ = next(iter(groups.values()))
    metric, factor = first.metric, scale(first.metric)
    falling = not first.experiment.task.headline.higher_is_better
    curves = {
        name: [run.series("validation", metric, factor=factor) for run in group] for name, group in groups.items()
    }
    if any(len(series.value) for group in curves.values() for series in group):
        caption = "Thin lines are runs, thick ones means: look for groups that part early, and for seeds that fail."
        figure = figures.compare_learning(
            curves, axis_label(metric), chance(first.experiment.task) or baseline(first), falling
        )
        yield Plate(f"{task_name}-learning", figure, caption)
    tested = {name: [factor * value for value in _tested(group)] for name, group in groups.items()}
    if any(tested.values()):
        marks = {
            name: [Reference(factor * row.value, row.label) for row in group[0].paper] for name, group in groups.items()
        }
        caption = "Small dots are runs, large ones means with standard deviation: compare them with the paper's marks."
        yield Plate(f"{task_name}-test", figures.compare_test(tested, marks, axis_label(metric)), caption)


def _tables(groups: Groups) -> Iterator[str]:
    """One of groups, one of runs."""
    first, *_ = next(iter(groups.values()))
    words = f"test {spell(first.metric)}"
    header = ("settings", "runs tested", f"{words}, mean ± std", "best", "paper", "source")
    yield table(header, [_group_row(*group) for group in groups.items()])
    header = (
        "run",
        "settings",
        "seed",
        "iterations",
        words,
        "wall time",
        "firing rate",
        "active synapses",
        "operations",
    )
    yield table(header, [_run_row(label, run) for label, group in groups.items() for run in group])


def _group_row(label: str, group: Sequence[Run]) -> Sequence[str]:
    metric, higher_is_better = group[0].experiment.task.headline
    values, rows = _tested(group), group[0].paper
    mean = best = "none yet"
    if values:
        spread = f" ± {show(metric, float(np.std(values, ddof=1)))}" if len(values) > 1 else ""
        mean, best = show(metric, float(np.mean(values))) + spread, show(metric, (min, max)[higher_is_better](values))
    paper = "; ".join(f"{show(metric, row.value)} ({row.label})" for row in rows)
    return f"`{label}`", f"{len(values)} of {len(group)}", mean, best, paper, "; ".join({row.source: 0 for row in rows})


def _run_row(label: str, run: Run) -> Sequence[str]:
    cost, planned = dict(cost_of(run)), run.experiment.iterations
    tested = show(run.metric, run.tested) if run.tested is not None else "not finished"
    iterations = cost["iterations"] if run.results else f"{cost['iterations']} of {planned:,}"
    rest = (cost.get(name, "") for name in ("wall time of training", "mean firing rate", "active synapses"))
    operations = (cost.get(f"{spell(name)} per example", "") for name in OPERATIONS[1:])
    return run.path.name, f"`{label}`", str(run.experiment.seed), iterations, tested, *rest, "".join(operations)
