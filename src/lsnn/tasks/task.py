"""The seam for new tasks: what a task is, and the batch it hands to a network."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int64, UInt8
from torch import Generator, Tensor, nn

Split = Literal["train", "validation", "test"]
Readout = Float[Tensor, "time batch n_out"]
Decisions = Float[Tensor, " decision"]


class Batch(NamedTuple):
    """Sequences, and what is asked of them.  A window is a stretch of time, as defined by the task's `loss`."""

    inputs: UInt8[Tensor, "time batch n_in"] | Float[Tensor, "time batch n_in"]
    """spikes (uint8, 0 or 1), or values that enter as currents (float32), one row per step of 1 ms"""
    target: Int64[Tensor, "window batch"] | Float[Tensor, "window batch"]
    """class, or value, asked for in each window"""
    mask: Bool[Tensor, "window batch"]
    """windows in which something is asked for"""
    lengths: Int64[Tensor, " batch"] | None = None
    """steps of each sequence, where they differ: they end together, and inputs are zero before they begin"""

    def first(self) -> "Batch":
        """The first sequence alone, without padding."""
        if self.lengths is None:
            return Batch(self.inputs[:, :1], self.target[:, :1], self.mask[:, :1])
        steps = int(self.lengths[0])
        windows = steps * len(self.target) // len(self.inputs)
        return Batch(self.inputs[-steps:, :1], self.target[-windows:, :1], self.mask[-windows:, :1])


class Headline(NamedTuple):
    """The metric a task is judged by, and which way is up."""

    metric: str
    higher_is_better: bool


def is_share(metric: str) -> bool:
    """Whether a metric is a share, which is shown in per cent."""
    return metric.startswith("accuracy") or metric.endswith("_error")


class Table(NamedTuple):
    """Networks, and what they are compared with, in rows."""

    title: str
    header: tuple[str, ...]
    """of the columns of values"""
    rows: Sequence[tuple[str, tuple[float, ...]]]
    """name and values of each"""
    share: bool = False
    """whether values are shares, which are shown in per cent"""

    def spelled(self, value: float) -> str:
        """A value as it is printed; nan where there is none."""
        if math.isnan(value):
            return "-"
        return f"{100 * value:.1f} %" if self.share else f"{value:.4f}"


@runtime_checkable
class Task(Protocol):
    """Where sequences come from and how answers are scored.

    A new task is a frozen dataclass with these members and an entry in TASKS.  Its fields are the command line's flags
    and the run's config.json, so each has a type, a default, and a docstring with its unit.  It holds no state:
    randomness comes in as a generator, and data files are read when the first batch is drawn.  Losses and metrics are
    per decision; whoever calls them takes the mean.

    A task of long sequences may have `windows_shown`, how many windows of one a figure shows; `Analysed` is for tasks
    with more to say about a network than scores.
    """

    name: ClassVar[str]
    headline: ClassVar[Headline]

    @property
    def n_in(self) -> int:
        """Input channels."""
        ...

    @property
    def n_out(self) -> int:
        """Readouts."""
        ...

    def batch(self, split: Split, n: int, generator: Generator) -> Batch:
        """n sequences of a split, drawn with this generator and nothing else."""
        ...

    def evaluation(self, split: Split, n: int) -> Iterator[Batch]:
        """A split from end to end, the same at every call, in batches of at most n sequences.

        A task with a data set gives each of its items once, in order; one that makes its sequences up gives a fixed
        number of them, from a generator of its own that no training stream shares.
        """
        ...

    def loss(self, readout: Readout, batch: Batch) -> Decisions:
        """What training minimises, per decision."""
        ...

    def metrics(self, readout: Readout, batch: Batch) -> dict[str, Decisions]:
        """What is reported, per decision; the headline's metric is among them."""
        ...

    def input_groups(self) -> dict[str, slice]:
        """Input channels by name, to label a raster."""
        ...


@runtime_checkable
class Analysed(Protocol):
    """A task that has more to say about a network than its scores.

    A finished run keeps its analysis; `lsnn evaluate` prints its table, with a row for other networks too, and
    `lsnn report` draws it.
    """

    def analyse(
        self, network: nn.Module, split: Split, before: nn.Module | None = None, **run: Any
    ) -> dict[str, Tensor]:
        """What the network does on a split, by name.

        before: the network before training, to compare with.  ``run`` goes to the networks.
        """
        ...

    def table(self, analyses: Mapping[str, Mapping[str, Tensor]]) -> Table:
        """Analyses of several networks by name, the one that is judged first."""
        ...

    def comparable(self, other: object) -> bool:
        """Whether networks of that task are asked the same, in validation and test, and may stand in one table."""
        ...


@runtime_checkable
class InEpochs(Protocol):
    """A task whose training set is gone through again and again, each sequence once an epoch."""

    def n_batches(self, n: int) -> int:
        """Batches of n sequences in an epoch."""
        ...

    def batch_of_epoch(self, place: int, n: int, generator: Generator) -> Batch:
        """One of them; the epoch's order follows from the generator, which is the same for all of its batches."""
        ...


@runtime_checkable
class Staged(Protocol):
    """A task that begins easier than it is: a training batch depends on how far training has come."""

    def batch_at(self, iteration: int, n: int, generator: Generator) -> Batch:
        """n sequences for this training step, counted from 0."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A task of which a trained network needs something that the data set told, such as a normalisation."""

    def remembered(self) -> dict[str, Tensor]:
        """Tensors that are kept with a trained network."""
        ...


@runtime_checkable
class Classifies(Protocol):
    """A task whose classes one wants to see confused with each other."""

    def confusion(self, readout: Readout, batch: Batch) -> Int64[Tensor, "n_out n_out"]:
        """How often each class (row) was named what (column)."""
        ...
