"""Plates and table of what a task says of a network beside its scores."""

from collections.abc import Iterator

from lsnn import figures
from lsnn.figures import Contradiction, Models, Reference
from lsnn.report import outing
from lsnn.report.run import Run
from lsnn.tasks import Analysed, Navigation, Regression
from lsnn.tasks.regression import in_context, internal_model
from lsnn.words import table


def table_of(run: Run) -> list[str]:
    """The section of the page with the task's table, if it has one."""
    task = run.experiment.task
    if run.analysis is None or not isinstance(task, Analysed):
        return []
    found = task.table({run.preset or "the network": run.analysis})
    rows = [(name, *(found.spelled(value) for value in values)) for name, values in found.rows]
    return [f"## {found.title[:1].upper()}{found.title[1:]}", table(("", *found.header), rows)]


def baseline(run: Run) -> Reference | None:
    """What the headline metric is to be compared with over training, where the task has something."""
    if isinstance(run.experiment.task, Navigation):
        lines = [line for line in outing.references(run) if line.label == "circling, no memory"]
        return lines[0] if lines else None
    if not isinstance(run.experiment.task, Regression):
        return None
    value = in_context.linear_baseline(run.experiment.task)
    return Reference(value, f"linear fit of each function: {value:.4g}")


def drawn(run: Run) -> Iterator[tuple[str, figures.Figure, str]]:
    """Names, figures and captions."""
    task, analysis = run.experiment.task, run.analysis
    if analysis is None or not isinstance(task, Regression):
        return
    curves = {name: curve.numpy() for name, curve in in_context.part(analysis, "curve").items()}
    caption = "Look for how fast the trained network's error falls below a linear fit's, and below backprop's."
    renamed = {"this network": curves.pop("network"), **curves}
    yield "in-context", figures.draw_in_context(renamed, "mean squared error"), caption
    model = {name: tensor.numpy() for name, tensor in in_context.part(analysis, "model").items()}
    x = model["x"] if task.n_x == 2 else model["x"][:, 0]
    models = Models(x, model["after"].tolist(), model["true"], model["answers"], task.y_range)
    caption = "The network's answers to all arguments from one frozen state: look for when they take the right shape."
    yield "internal-model", figures.draw_models(models), caption
    if "contradicted_true" in model:
        true, answers = model["contradicted_true"][None], model["contradicted_answers"][None]
        shown = Models(x, model["contradicted_after"].tolist(), true, answers, task.y_range)
        false = internal_model.CONTRADICTED
        figure = figures.draw_contradiction(Contradiction(shown, model["examples_x"], model["examples_y"], false))
        caption = "Example 4 (cross) is false: look for whether the answers stay a curve of the family."
        yield "contradiction", figure, caption
