"""A preset: an experiment with a name, and the paper's numbers for it."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from lsnn.baselines import RecurrentKind
from lsnn.experiments import Experiment, NonSpiking, Spiking
from lsnn.neuron import Cells
from lsnn.words import show


class PaperRow(NamedTuple):
    """A number of the paper to stand beside ours."""

    metric: str
    value: float
    """in the metric's own unit: a share, not per cent"""
    label: str
    source: str

    @property
    def recalled(self) -> bool:
        """Whether the number is from memory, not verified."""
        return "recalled" in self.source

    @property
    def spelled(self) -> str:
        """The value with its unit."""
        return show(self.metric, self.value)


@dataclass(frozen=True)
class Preset:
    """An experiment with a name, and the paper's numbers for it."""

    summary: str
    experiment: Experiment
    paper: tuple[PaperRow, ...] = ()
    ours_for: str | None = None
    """where the settings are ours: the preset that has the paper's"""


def with_cells(experiment: Experiment, cells: Cells) -> Experiment:
    """The same with other neurons."""
    assert isinstance(experiment.network, Spiking)
    return replace(experiment, network=replace(experiment.network, cells=cells))


def lif(experiment: Experiment) -> Experiment:
    """The same with regular neurons only."""
    assert isinstance(experiment.network, Spiking)
    cells = experiment.network.cells
    trainable = tuple(name for name in cells.trainable if name not in ("tau_a", "beta"))
    return with_cells(experiment, replace(cells, n_regular=cells.n, n_adaptive=0, trainable=trainable))


def with_cell(experiment: Experiment, cell: RecurrentKind, n_hidden: int) -> Experiment:
    """The same with a network that does not spike."""
    return replace(experiment, network=NonSpiking(cell, n_hidden))
