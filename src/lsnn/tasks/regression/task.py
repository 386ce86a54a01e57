"""Learning to learn from a teacher: a family of functions, and what a network has learned of those it has not seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lsnn.tasks.regression import in_context, internal_model
from lsnn.tasks.regression.family import Family
from lsnn.tasks.task import Split, Table


@dataclass(frozen=True)
class Regression(Family):
    """Predict each value of an unseen function from the examples before it; see `Family` for episodes and fields."""

    def analyse(
        self, network: nn.Module, split: Split, before: nn.Module | None = None, **run: Any
    ) -> dict[str, Tensor]:
        """Its learning curves and those of what it is compared with, `in_context.learning_curves`, and as model/NAME
        its internal model, `internal_model.internal_models`."""
        curves = in_context.learning_curves(self, network, split, before, **run)
        models = internal_model.internal_models(self, network, split, **run)
        return curves | {f"model/{name}": tensor for name, tensor in models.items()}

    def table(self, analyses: Mapping[str, Mapping[str, Tensor]]) -> Table:
        """Error at some examples and over those that the score counts."""
        curves = {name: in_context.part(analysis, "curve") for name, analysis in analyses.items()}
        return in_context.table_of(self, curves)

    def comparable(self, other: object) -> bool:
        """Whether the other task has the same unseen functions and examples, however they are shown."""
        return type(other) is type(self) and all(getattr(self, name) == getattr(other, name) for name in self.decisive)
