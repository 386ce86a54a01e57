"""Episodes of examples: a function nobody has seen, of which examples arrive one by one."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple, Self

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor
from torch.nn import functional

from lsnn.encoding import poisson_held, tuning
from lsnn.losses import squared_error, window_mean
from lsnn.seeding import generator_for
from lsnn.tasks.task import Batch, Decisions, Headline, Readout, Split

Functions = Callable[[Float[Tensor, "example n n_x"]], Float[Tensor, "example n"]]
"""n functions at once: of arguments (example, n, n_x), function k takes those in [:, k]"""


class Examples(NamedTuple):
    """Arguments and values of n functions, in the order they are shown."""

    x: Float[Tensor, "example n n_x"]
    y: Float[Tensor, "example n"]


@dataclass(frozen=True)
class Family:
    """Episodes of examples of one function each; the weights stay, so what is learned is in spikes and thresholds.

    In step i of an episode, 20 ms long, the network sees the argument x(i) and the value of the one before, y(i-1):
    0 in the first step.  Its prediction of y(i) is the mean readout over the step.  y(i)
    itself is never shown in time.  With `value_ms`, which the paper does not have, y(i) is shown once the prediction
    has been read, beside x(i): what is known at each prediction is the same, and the network need not hold x(i) in
    mind until its value comes.  Every training batch has functions of its own; testing has functions of its own.
    Source: Bellec et al. 2018, section on learning-to-learn and supplement, recalled with confidence but for the
    width of the tuning curves; docs/experiments/learning-to-learn.md says what is certain.

    `Regression` adds what there is to say of a network beside its scores, and is what families are subclasses of: with
    `name`, `n_x`, `draw`, and where they differ from these, the ranges.
    """

    name: ClassVar[str]
    headline: ClassVar[Headline] = Headline("mse", higher_is_better=False)
    decisive: ClassVar[tuple[str, ...]] = ("n_examples", "settled", "n_validation", "n_test")
    """fields that unseen functions and the score follow from; a family adds its own"""
    windows_shown: ClassVar[int] = 50
    """examples of an episode that a figure of it shows"""
    n_x: ClassVar[int]
    """arguments of a function"""
    x_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    """of each argument, which is drawn uniformly"""
    y_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    """of values, for their code"""

    n_examples: int = 500
    """examples in an episode of validation and test"""
    n_train_examples: int | None = None
    """examples in an episode of training; None: as many as in the test, which is the paper's"""
    shortest: int | None = None
    """examples in the first episodes of training, which grow from there over `easy_steps`; None: all have as many"""
    easy_steps: int = 0
    """training steps over which training, begun with shorter episodes or easier functions, becomes what it is to be"""
    example_ms: int = 20
    """time an example is shown in which its value is to be predicted, ms; 1 for networks that do not spike"""
    value_ms: int = 0
    """time its argument stays on after that, with its value, ms; 0 shows the value with the next argument instead"""
    encoding: Literal["population", "values"] = "population"
    """arguments and last value as spikes of populations with Gaussian tuning, or as currents between -1 and 1"""
    n_channels: int = 100
    """input neurons for each number shown"""
    max_rate_hz: float = 200.0
    """firing rate of an input neuron for the number it is tuned to, Hz"""
    coding_width: float = 0.1
    """standard deviation of the tuning, as a share of the range; the lab's code has 0.1, the paper's text 0.001"""
    readout_scale: float = 1.0
    """factor from mean readout to prediction: the larger, the smaller the weights that predictions need"""
    settled: int = 20
    """first example that the score, mse, counts; the loss counts all"""
    n_validation: int = 100
    """functions in a validation"""
    n_test: int = 1000
    """functions in a test"""

    def __post_init__(self) -> None:
        for name in ("n_examples", "example_ms", "settled", "n_validation", "n_test"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.value_ms < 0:
            raise ValueError(f"value_ms must not be negative, got {self.value_ms}; 0 shows a value with the next x")
        for name, least, usual in (("n_examples", self.settled, 500), ("n_train_examples", self.settled, 500)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least settled = {least}, got {value}; the paper has {usual}")
        if self.shortest is not None and not self.settled <= self.shortest <= self._longest:
            raise ValueError(
                f"shortest must lie between settled = {self.settled} and {self._longest}, the examples of a training "
                f"episode in the end, got {self.shortest}; with None and easy_steps 0 all have as many"
            )
        if self.easy_steps < 0:
            raise ValueError(f"easy_steps must not be negative, got {self.easy_steps}; 0 begins as it goes on")
        if self.shortest is not None and not self.easy_steps:
            raise ValueError(f"shortest, {self.shortest}, needs easy_steps in which episodes grow, such as 1000")
        if self.easy_steps and not self.begins_easier:
            raise ValueError(f"easy_steps, {self.easy_steps}, need something to begin with, such as shortest 50")
        if self.n_channels < 2:
            raise ValueError(f"n_channels must be at least 2, got {self.n_channels}; the paper has 100")
        for name, usual in (("coding_width", "0.1"), ("readout_scale", "1")):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}; usual is {usual}")
        if not 0 < self.max_rate_hz < 1000:
            raise ValueError(
                f"max_rate_hz must lie in (0, 1000), got {self.max_rate_hz}; a step is 1 ms, the paper has 200"
            )

    @property
    def begins_easier(self) -> bool:
        """Whether training begins with something easier."""
        return self.shortest is not None

    @property
    def _longest(self) -> int:
        """Examples in an episode of training, in the end."""
        return self.n_train_examples or self.n_examples

    @property
    def shown_ms(self) -> int:
        """Time an example is shown in all, ms."""
        return self.example_ms + self.value_ms

    @property
    def n_in(self) -> int:
        """Input channels: arguments one after the other, then the value that is told."""
        return (self.n_x + 1) * (self.n_channels if self.encoding == "population" else 1)

    @property
    def n_out(self) -> int:
        """The prediction."""
        return 1

    def input_groups(self) -> dict[str, slice]:
        """Input channels by the number they tell."""
        names = ["x"] if self.n_x == 1 else [f"x{k + 1}" for k in range(self.n_x)]
        names.append("value" if self.value_ms else "value before")
        size = self.n_in // (self.n_x + 1)
        return {name: slice(k * size, (k + 1) * size) for k, name in enumerate(names)}

    # ---- functions and their examples ----------------------------------------------------------------------------

    def draw(self, n: int, generator: Generator) -> Functions:
        """n functions of the family.  A subclass says which."""
        raise NotImplementedError

    def draw_training(self, n: int, generator: Generator) -> Functions:
        """n functions to train on; a family may have easier ones among them."""
        return self.draw(n, generator)

    def arguments(self, n_examples: int, n: int, generator: Generator) -> Float[Tensor, "example n n_x"]:
        """Drawn uniformly, for each function its own."""
        low, high = self.x_range
        return low + (high - low) * torch.rand(n_examples, n, self.n_x, generator=generator)

    def examples(self, n_examples: int, n: int, generator: Generator, training: bool = False) -> Examples:
        """Of n fresh functions."""
        functions = (self.draw_training if training else self.draw)(n, generator)
        x = self.arguments(n_examples, n, generator)
        return Examples(x, functions(x))

    def unseen(self, split: Split) -> tuple[Functions, Examples]:
        """The functions of a validation or test with all examples: the same whatever the code and the batches are."""
        n = self.n_test if split == "test" else self.n_validation
        functions = self.draw(n, generator_for(0, f"{self.name}/functions/{split}"))
        x = self.arguments(self.n_examples, n, generator_for(0, f"{self.name}/arguments/{split}"))
        return functions, Examples(x, functions(x))

    # ---- what the network sees, and what is asked of it ----------------------------------------------------------

    def batch(self, split: Split, n: int, generator: Generator) -> Batch:
        """Episodes of n fresh functions."""
        training = split == "train"
        length = self._longest if training else self.n_examples
        return self.episodes(self.examples(length, n, generator, training), generator)

    def batch_at(self, iteration: int, n: int, generator: Generator) -> Batch:
        """Episodes of n fresh functions for this training step."""
        grown = iteration / self.easy_steps if self.easy_steps else 1.0
        return (self if grown >= 1 else self.grown(grown)).batch("train", n, generator)

    def grown(self, share: float) -> Self:
        """The family as it is trained on when this share of `easy_steps`, below 1, is over; longer episodes here."""
        if self.shortest is None:
            return self
        return replace(self, n_train_examples=round(self.shortest + share * (self._longest - self.shortest)))

    def evaluation(self, split: Split, n: int) -> Iterator[Batch]:
        """Every unseen function of the split once."""
        generator = generator_for(0, f"{self.name}/evaluation/{split}")
        _, (x, y) = self.unseen(split)
        for some_x, some_y in zip(x.split(n, dim=1), y.split(n, dim=1), strict=True):
            yield self.episodes(Examples(some_x, some_y), generator)

    def episodes(self, examples: Examples, generator: Generator) -> Batch:
        """The batch that shows these examples."""
        inputs = self.encode(examples.x, self.told(examples.y), generator)
        return Batch(inputs, examples.y, torch.ones_like(examples.y, dtype=torch.bool))

    def told(self, y: Float[Tensor, "example n"]) -> Float[Tensor, "example n"]:
        """The value that each step tells: the one before, 0 at first, as in the paper; with `value_ms` its own."""
        return y if self.value_ms else torch.cat([torch.zeros_like(y[:1]), y[:-1]])

    def encode(
        self, x: Float[Tensor, "example n n_x"], told: Float[Tensor, "example n"], generator: Generator
    ) -> UInt8[Tensor, "time n n_in"] | Float[Tensor, "time n n_in"]:
        """Arguments and the values told as the network sees them, held for `example_ms`; with `value_ms` arguments
        alone, then both."""
        if not self.value_ms:
            return self._held(x, told, self.example_ms, generator)
        phases = self._held(x, None, self.example_ms, generator), self._held(x, told, self.value_ms, generator)
        return torch.cat([phase.unflatten(0, (len(x), -1)) for phase in phases], dim=1).flatten(0, 1)

    def _held(
        self, x: Float[Tensor, "example n n_x"], told: Float[Tensor, "example n"] | None, ms: int, generator: Generator
    ) -> UInt8[Tensor, "time n n_in"] | Float[Tensor, "time n n_in"]:
        """Arguments and, where one is told, a value, held for so long."""
        parts = [(x[..., k], self.x_range) for k in range(self.n_x)]
        parts += [(told, self.y_range)] if told is not None else []
        if self.encoding == "values":
            channels = [2 * (part - low) / (high - low) - 1 for part, (low, high) in parts]
            return self._padded(torch.stack(channels, dim=2)).repeat_interleave(ms, dim=0)
        rates = [
            tuning(part, self.n_channels, low, high, self.max_rate_hz, self.coding_width * (high - low))
            for part, (low, high) in parts
        ]
        return poisson_held(self._padded(torch.cat(rates, dim=2)), ms, generator)

    def _padded(self, channels: Float[Tensor, "example n channel"]) -> Float[Tensor, "example n n_in"]:
        """With zeros for a value that is not told."""
        return functional.pad(channels, (0, self.n_in - channels.shape[2]))

    def predictions(self, readout: Readout) -> Float[Tensor, "example n"]:
        """Mean readout of each step until its value is told: with tau_out = 0, a linear readout of mean rates."""
        return self.readout_scale * window_mean(readout, self.shown_ms, self.example_ms)[..., 0]

    def loss(self, readout: Readout, batch: Batch) -> Decisions:
        """Squared error of every prediction."""
        return squared_error(self.predictions(readout), batch.target)[batch.mask]

    def metrics(self, readout: Readout, batch: Batch) -> dict[str, Decisions]:
        """mse: squared error of the predictions from example `settled` on."""
        error = squared_error(self.predictions(readout), batch.target)
        return {"mse": error[self.settled - 1 :][batch.mask[self.settled - 1 :]]}
