"""The page of one run: how far it got, the command to repeat it, its numbers and figures."""

from collections.abc import Sequence

from lsnn.presets import PRESETS
from lsnn.report.analysis import table_of
from lsnn.report.command import flags, reproduce
from lsnn.report.cost import cost_of
from lsnn.report.plates import Plate, gallery
from lsnn.report.run import Run
from lsnn.words import show, spell, table


def page_of(run: Run, plates: Sequence[Plate]) -> str:
    """The page in Markdown."""
    title = run.preset or run.experiment.task.name
    header = ("", "this run", "paper", "source of the paper's number")
    parts = [f"# {title}, seed {run.experiment.seed}", _status(run), reproduce(run)]
    parts += ["## Numbers", table(header, _numbers(run)), *table_of(run), *gallery(plates)]
    return "\n\n".join(parts) + "\n"


def _status(run: Run) -> str:
    """How far the run got, and what keeps its numbers from being the paper's."""
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
    chosen = PRESETS.get(run.preset or "")
    if run.paper and chosen and chosen.ours_for:
        usual = PRESETS[chosen.ours_for].experiment.iterations
        sentences.append(f"**The settings are ours**: `{chosen.ours_for}` has the paper's, with {usual:,} iterations.")
    elif run.paper and chosen and flags(run, bookkeeping=False):
        usual = chosen.experiment.iterations
        sentences.append(
            "**Settings differ from the paper's**, so its numbers below are for orientation only"
            + (f" (the paper trains for {usual:,} iterations)." if planned != usual else ".")
        )
    return " ".join(sentences)


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
    validation = run.series("validation", metric)
    if len(validation.value):
        at = f"validation {spell(metric)} at iteration {validation.iteration[-1]:,}"
        rows.append((at, show(metric, validation.value[-1]), "", ""))
    if run.results and "loss" in run.results["test"]:
        rows.append(("test loss", f"{run.results['test']['loss']:.4g}", "", ""))
    return rows + [(name, value, "", "") for name, value in cost_of(run)]
