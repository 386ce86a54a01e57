"""The seam for tasks in which the network acts: a world whose next input depends on what was done before."""

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from lsnn.policies import Action, Policy
from lsnn.tasks.task import Headline, Split

Record = Mapping[str, Tensor]
"""what happened, by name: (time, episode, ...) step by step, or (episode, ...)"""


class Episodes(Protocol):
    """n episodes side by side, at one step: give inputs, take actions, in turn.  All state of the worlds is here."""

    def inputs(self) -> UInt8[Tensor, "n n_in"] | Float[Tensor, "n n_in"]:
        """What the networks see in this step: spikes (uint8), or values that enter as currents (float32)."""
        ...

    def act(self, actions: Action) -> Float[Tensor, " n"]:
        """End the step with these actions.  Returns the rewards."""
        ...

    def record(self) -> dict[str, Tensor]:
        """What happened so far; the rewards are in it as reward: (time, n)."""
        ...


@runtime_checkable
class Environment(Protocol):
    """Where episodes come from, how a readout becomes an action, and what is reported.

    A new one is a frozen dataclass with these members, as a `Task` is: its fields are the command line's flags and the
    run's config.json.  It holds no state: that of the worlds is in `Episodes`, and all that is random in them comes
    from the generator they began with.  An episode has a fixed number of steps.
    """

    name: ClassVar[str]
    headline: ClassVar[Headline]

    @property
    def n_in(self) -> int:
        """Input channels."""
        ...

    @property
    def n_out(self) -> int:
        """Readouts, of which policy and value are made."""
        ...

    @property
    def steps(self) -> int:
        """Steps of 1 ms in an episode."""
        ...

    def n_episodes(self, split: Split) -> int:
        """Episodes in a validation or test."""
        ...

    def begin(self, n: int, generator: Generator) -> Episodes:
        """n new episodes, with all that is random in them, now and later, drawn from this generator."""
        ...

    def policy(self, readout: Float[Tensor, "... n_out"]) -> Policy:
        """Distribution of the action for each row of a readout; differentiable."""
        ...

    def value(self, readout: Float[Tensor, "... n_out"]) -> Float[Tensor, "..."]:
        """Estimate of the discounted rewards to come."""
        ...

    def metrics(self, record: Record) -> dict[str, Float[Tensor, " k"]]:
        """What is reported of whole episodes, of which whoever calls takes the mean: a value per episode, or fewer
        where not every episode has one; the headline's metric is among them."""
        ...

    def input_groups(self) -> dict[str, slice]:
        """Input channels by name, to label a raster."""
        ...
