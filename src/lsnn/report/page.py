"""The page of one run: how far it got, the command to repeat it, its numbers and figures."""

from collections.abc import Iterator, Sequence

from lsnn.experiments import AnyTask, Experiment
from lsnn.presets import PRESETS
from lsnn.presets.command import reproduce, settings
from lsnn.report.analysis import table_of
from lsnn.report.cost import cost_of
from lsnn.report.plates import Plate, gallery
from lsnn.report.run import Run
from lsnn.tasks import SequentialMnist, Timit
from lsnn.words import show, spell, table


def page_of(run: Run, plates: Sequence[Plate]) -> str:
    """The page in Markdown."""
    title = run.preset or run.experiment.task.name
    header = ("", "this run", "paper", "source of the paper's number")
    parts = [f"# {title}, seed {run.experiment.seed}", _status(run), reproduce(run.origin)]
    parts += ["## Numbers", table(header, _numbers(run)), *table_of(run), *gallery(plates)]
    return "\n\n".join(parts) + "\n"


def _status(run: Run) -> str:
    """How far the run got, and what to keep in mind beside the paper's numbers."""
    planned, done = run.experiment.iterations, run.iteration
    if run.results is None:
        sentences = [f"**Not finished:** {done:,} of {planned:,} iterations are logged and nothing has been tested."]
        sentences += [f"`lsnn resume {run.path}` goes on."]
    else:
        done = run.results["iterations"]
        sentences = [f"Finished: {done:,} iterations."]
        if done < planned:
            sentences = [f"Finished: stopped after {done:,} of at most {planned:,} iterations{_reason(run)}."]
        if "best_iteration" in run.results:
            best = run.results["best_iteration"]
            sentences.append(f"Tested is the network of iteration {best:,}, which validated best.")
    return " ".join([*sentences, *_caveats(run)])


def _caveats(run: Run) -> Iterator[str]:
    """What keeps the run's numbers from being the paper's."""
    if not run.paper or run.preset is None:
        return
    chosen, changed = PRESETS[run.preset], settings(run.origin)
    told = f"`{' '.join(changed)}`"
    if chosen.ours_for:
        usual = _length(PRESETS[chosen.ours_for].experiment)
        yield f"**The settings are ours**: `{chosen.ours_for}` has the paper's, with {usual}."
        if changed:
            yield f"Changed here: {told}."
    elif changed:
        usual = _length(chosen.experiment)
        longer = f" (the paper trains for {usual})" if _length(run.experiment) != usual else ""
        yield f"**Settings differ from the paper's**, {told}, so its numbers below are for orientation only{longer}."
    yield from _other_data(run.experiment.task)


def _length(experiment: Experiment) -> str:
    """How long a training is, as its preset counts it."""
    return f"{experiment.iterations:,} iterations" if experiment.epochs is None else f"{experiment.epochs} epochs"


def _other_data(task: AnyTask) -> Iterator[str]:
    """Whose data the paper's numbers are for, where the run's may be others: no run folder knows."""
    if isinstance(task, SequentialMnist | Timit) and task.data is not None:
        corpus = "TIMIT" if isinstance(task, Timit) else "MNIST"
        yield f"The paper's numbers are for {corpus}, this run's for the data in `{task.data}`."
    elif isinstance(task, Timit):
        yield "The paper's numbers are for TIMIT, this run's for data that it does not name."


def _reason(run: Run) -> str:
    """Why training stopped before its last iteration, as far as the results tell."""
    stopped_by = run.results.get("stopped_by") if run.results else None
    if stopped_by == "stop_at" and run.experiment.stop_at is not None:
        return f", as {spell(run.metric)} in training had reached {show(run.metric, run.experiment.stop_at)}"
    if stopped_by == "patience":
        return f", as {run.experiment.patience} validations had not become better"
    return ""


def _numbers(run: Run) -> list[Sequence[str]]:
    """Rows of the table: the headline first, then what it cost."""
    metric = run.metric
    ours = show(metric, run.tested) if run.tested is not None else "not tested yet"
    paper = [(f"{show(metric, row.value)} ({row.label})", row.source) for row in run.paper] or [("", "")]
    rows: list[Sequence[str]] = [(f"test {spell(metric)}", f"**{ours}**", *paper[0])]
    rows += [("", "", *row) for row in paper[1:]]
    validated = _validated(run)
    if validated is not None:
        at, value = validated
        rows.append((f"validation {spell(metric)} at iteration {at:,}", show(metric, value), "", ""))
    if run.results and "loss" in run.results["test"]:
        rows.append(("test loss", f"{run.results['test']['loss']:.4g}", "", ""))
    return rows + [(name, value, "", "") for name, value in cost_of(run)]


def _validated(run: Run) -> tuple[int, float] | None:
    """When the network was validated, and its headline metric: the network that was tested, or else the last."""
    scores = (run.results or {}).get("validation", {})
    if run.metric in scores:
        return run.network_iteration, scores[run.metric]
    series = run.series("validation", run.metric)
    return (int(series.iteration[-1]), float(series.value[-1])) if len(series.value) else None
