"""Ridge regression from sums over examples: nothing is kept per example."""

import torch
from jaxtyping import Float
from torch import Tensor

PENALTY = 1e-3
"""of weights on features of unit variance, per example"""


class Sums:
    """First and second moments of features and targets."""

    def __init__(self) -> None:
        self.n = 0
        self.sums: list[Tensor] = []

    def add(self, features: Float[Tensor, "batch feature"], targets: Float[Tensor, "batch target"]) -> None:
        """More examples."""
        x, y = features.float(), targets.float()
        more = [part.double() for part in (x.sum(0), y.sum(0), x.T @ x, x.T @ y)]
        self.sums = [total + part for total, part in zip(self.sums, more, strict=True)] if self.sums else more
        self.n += len(x)

    def ridge(self, columns: slice) -> "Decoder":
        """Least squares from some of the features, with a penalty on the weights of standardised ones."""
        mean, offset, xx, xy = (total / self.n for total in self.sums)
        mean, xx, xy = mean[columns], xx[columns, columns], xy[columns]
        xx, xy = xx - torch.outer(mean, mean), xy - torch.outer(mean, offset)
        deviation = xx.diagonal().clamp(min=0).sqrt()
        varies = deviation > 1e-4 * mean.abs()  # what hardly varies is rounding, and gets no weight
        scale = torch.where(varies, 1 / deviation, 0.0)
        penalised = scale[:, None] * xx * scale + PENALTY * torch.eye(len(xx), dtype=xx.dtype)
        weight = scale[:, None] * torch.linalg.solve(penalised, scale[:, None] * xy)
        return Decoder(columns, weight.float(), (offset - mean @ weight).float())


class Decoder:
    """A linear map from some features to the targets."""

    def __init__(self, columns: slice, weight: Float[Tensor, "feature target"], offset: Float[Tensor, " target"]):
        self.columns, self.weight, self.offset = columns, weight, offset

    def __call__(self, features: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch target"]:
        """The targets of new examples."""
        return features[:, self.columns].float() @ self.weight + self.offset


class Explained:
    """Share of the targets' variance, summed over targets, that predictions explain."""

    def __init__(self) -> None:
        self.n, self.residual, self.squares, self.total = 0, 0.0, 0.0, torch.zeros((), dtype=torch.float64)

    def add(self, predicted: Float[Tensor, "batch target"], targets: Float[Tensor, "batch target"]) -> None:
        """More examples to judge."""
        y = targets.double()
        self.n += len(y)
        self.residual += (y - predicted).square().sum().item()
        self.squares += y.square().sum().item()
        self.total = self.total + y.sum(0)

    def share(self) -> float | None:
        """None where the targets do not vary."""
        variance = self.squares - (self.total.square().sum() / self.n).item()
        return 1 - self.residual / variance if variance > 1e-9 * max(self.squares, 1.0) else None
