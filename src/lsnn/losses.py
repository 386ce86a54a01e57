"""Pure loss terms, unreduced wherever a task may want to average in its own way."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional


def window_mean(
    readout: Float[Tensor, "time batch n_out"], window: int, first: int | None = None
) -> Float[Tensor, "window batch n_out"]:
    """Mean of the readout over consecutive windows of `window` steps, or over the `first` of each; several paper tasks
    decide on it."""
    if window < 1 or len(readout) % window:
        raise ValueError(f"{len(readout)} steps are no multiple of a window of {window}; cut them to whole windows")
    return readout.unflatten(0, (-1, window))[:, :first].mean(dim=1)


def masked_cross_entropy(
    logits: Float[Tensor, "window batch n_out"],
    target: Int64[Tensor, "window batch"],
    mask: Bool[Tensor, "window batch"],
) -> Float[Tensor, " decision"]:
    """Cross-entropy, nats, of the softmax of the logits: one value per decision, that is per True of the mask."""
    _agree(logits, target, mask)
    return functional.cross_entropy(logits[mask], target[mask], reduction="none")


def masked_error(
    logits: Float[Tensor, "window batch n_out"],
    target: Int64[Tensor, "window batch"],
    mask: Bool[Tensor, "window batch"],
) -> Float[Tensor, " decision"]:
    """1 where the largest logit is not the target's, else 0; one value per decision, as in `masked_cross_entropy`."""
    _agree(logits, target, mask)
    return (logits[mask].argmax(dim=-1) != target[mask]).to(logits.dtype)


def squared_error(prediction: Float[Tensor, "..."], target: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """(prediction - target)^2, element by element and without a factor of a half."""
    if prediction.shape != target.shape:
        shapes = f"{tuple(prediction.shape)} and {tuple(target.shape)}"
        raise ValueError(f"prediction and target differ in shape, {shapes}; reshape one, nothing is broadcast")
    return (prediction - target).square()


def rate_regulariser(
    rate_hz: Float[Tensor, " n"], target_hz: float, reduction: Literal["sum", "mean"] = "sum"
) -> Float[Tensor, ""]:
    """Squared distance of the neurons' mean firing rates from a target, in kHz, as the paper's coefficients want it.

        sum (or mean) over neurons of ((rate - target) / 1000)^2

    The sum is in the authors' sequential-MNIST code, the mean in their learning-to-learn code.
    """
    if reduction not in ("sum", "mean"):
        raise ValueError(f"unknown reduction {reduction!r}; known: sum, mean")
    squared = ((rate_hz - target_hz) / 1000).square()
    return squared.sum() if reduction == "sum" else squared.mean()


def _agree(logits: Tensor, target: Tensor, mask: Tensor) -> None:
    if not (logits.shape[:-1] == target.shape == mask.shape and mask.dtype == torch.bool):
        found = f"logits {tuple(logits.shape)}, target {tuple(target.shape)}, mask {tuple(mask.shape)} {mask.dtype}"
        raise ValueError(f"{found} do not fit; pass (window, batch, n_out), (window, batch), (window, batch) of bool")
