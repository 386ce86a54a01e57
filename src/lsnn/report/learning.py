"""How a run learned, from its log, and what to compare it with."""

import numpy as np

from lsnn.experiments import Spiking
from lsnn.figures import Learning, Reference, Series
from lsnn.report.analysis import baseline
from lsnn.report.run import Run
from lsnn.tasks import Environment, Task
from lsnn.words import axis_label, scale, show


def learning_of(run: Run) -> Learning:
    """What the learning figure shows."""
    metric, factor = run.metric, scale(run.metric)
    train, validation, test = (run.series(event, metric, factor=factor) for event in ("train", "validation", "test"))
    if run.results:  # the best network may be an earlier one
        test = test._replace(iteration=np.full_like(test.iteration, run.network_iteration))
    return Learning(
        label=axis_label(metric),
        train=train,
        validation=validation,
        test=test,
        test_label=f"test: {show(metric, test.value[-1] / factor)}" if len(test.value) else "",
        train_loss=run.series("train", "loss"),
        validation_loss=run.series("validation", "loss"),
        paper=[Reference(factor * row.value, f"{row.label} {show(metric, row.value)}") for row in run.paper],
        chance=chance(run.experiment.task) or baseline(run),
        rates={kind: series for kind, series in _rates(run).items() if len(series.value)},
        rate_target=run.rate_target,
    )


def chance(task: Task | Environment) -> Reference | None:
    """What guessing among equally likely classes would reach."""
    metric, higher_is_better = task.headline
    if scale(metric) == 1:
        return None
    value = 1 / task.n_out if higher_is_better else 1 - 1 / task.n_out
    return Reference(100 * value, f"chance: {100 * value:.3g} %")


def rewired(run: Run) -> Series:
    """Synapses regrown per iteration.  A record counts since the one logged before, which the box may not have kept."""
    regrown = run.series("train", "regrown")
    logged = np.diff(regrown.iteration, prepend=0).clip(min=1, max=run.experiment.log_every)
    return Series(regrown.iteration, regrown.value / logged)


def _rates(run: Run) -> dict[str, Series]:
    """Mean firing rates by kind of neuron; where there is one kind only, the log has them under one name."""
    network = run.experiment.network
    if isinstance(network, Spiking) and 0 in (network.cells.n_regular, network.cells.n_adaptive):
        return {"regular" if network.cells.n_regular else "adaptive": run.series("train", "rate_hz")}
    return {kind: run.series("train", f"rate_{kind}_hz") for kind in ("regular", "adaptive")}
