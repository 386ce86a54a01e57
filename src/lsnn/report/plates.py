"""The figures of one run, each with what to look for in it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from lsnn import figures
from lsnn.experiments import Spiking
from lsnn.figures import Figure
from lsnn.report import outing
from lsnn.report.analysis import drawn
from lsnn.report.learning import learning_of, rewired
from lsnn.report.run import Run
from lsnn.report.speech import heard_in, phone_groups
from lsnn.report.synapses import wired_of
from lsnn.report.trial import trial_of
from lsnn.synapses import BLOCKS
from lsnn.tasks import Task, Timit


class Plate(NamedTuple):
    """A figure of the page."""

    name: str
    figure: Figure
    caption: str


def plates_of(run: Run) -> Iterator[Plate]:
    """The figures that a run has the data for."""
    network = run.experiment.network
    spiking = isinstance(network, Spiking)
    if run.metrics:
        mark = "the paper's numbers" if run.paper else "what is easily reached"
        also = ", and whether firing rates settle near their target" if spiking else ""
        caption = f"Look for the distance between the validation curve and {mark}{also}."
        yield Plate("learning", figures.draw_learning(learning_of(run)), caption)
    if run.example is not None and isinstance(run.experiment.task, Task):
        caption = "One test example: look for how sure the answer is where it is read (shaded)."
        if spiking and network.n_adaptive:
            caption = "One test example: look for thresholds that carry the past to where the answer is read (shaded)."
        if isinstance(run.experiment.task, Timit):
            caption = "One test utterance: look for phones (above) whose row of the posteriorgram stays pale."
            yield Plate("activity", figures.draw_speech(heard_in(run.experiment.task, network, run.example)), caption)
        else:
            yield Plate("activity", figures.draw_trial(trial_of(run, run.example)), caption)
    if run.example is not None and "confusion" in run.example and isinstance(run.experiment.task, Timit):
        caption = "All test frames, shares of each row: look for phones confused within their class, and beyond it."
        yield Plate("confusion", figures.draw_confusion(run.example["confusion"].numpy(), phone_groups()), caption)
    for name, figure, caption in (*drawn(run), *outing.drawn(run)):
        yield Plate(name, figure, caption)
    if spiking and run.network is not None:
        yield from _of_network(run, network, run.network)


def _of_network(run: Run, network: Spiking, saved: Mapping[str, Tensor]) -> Iterator[Plate]:
    before, after = wired_of(run.initial, network) if run.initial else None, wired_of(saved, network)
    when = f"after {run.network_iteration:,} iterations" + ", forward direction" * network.bidirectional
    density = {block: run.series("train", "density", block) for block in BLOCKS}
    caption = "Look for weights that grew or changed sign; no synapse has moved."
    if run.experiment.rewires:
        caption = "Look for sources and targets that gained or lost synapses, and for blocks that grew denser."
    yield Plate("connectivity", figures.draw_connectivity(before, after, when, density, rewired(run)), caption)
    caption = "Look for how far training (filled) has spread the weights beyond where they started (outline)."
    yield Plate("synapses", figures.draw_synapses(before, after, network.cells.dt), caption)
    if run.example is not None and "rates" in run.example:
        figure = figures.draw_rates(run.example["rates"].numpy(), network.n_regular, run.rate_target)
        caption = "Over the first batch of the test set"
        if isinstance(run.experiment.task, Timit):
            caption += ", its shortest utterances"
        yield Plate("rates", figure, f"{caption}: look for silent neurons, and for the few far above the target.")


def gallery(plates: Sequence[Plate]) -> list[str]:
    """Paragraphs of the page that show its figures."""
    shown = [f"![{plate.name}]({plate.name}.png)\n\n{plate.caption} [PDF]({plate.name}.pdf)" for plate in plates]
    return ["## Figures", *shown] if shown else []
