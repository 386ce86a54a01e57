"""Two networks on one sequence, one of which hears it backwards, their readouts added (Graves, Schmidhuber 2005)."""

from typing import Any

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from lsnn.baselines import Recurrent
from lsnn.network import LSNN
from lsnn.ops import Activity


class Bidirectional(nn.Module):
    """A network that reads from start to end and an independent one from end to start; their readouts are added.

    Adding two readouts is one readout of both networks' neurons.  Each sequence is turned round within its own length.
    """

    def __init__(self, ahead: LSNN | Recurrent, behind: LSNN | Recurrent) -> None:
        super().__init__()
        self.ahead, self.behind = ahead, behind

    @property
    def n_in(self) -> int:
        return self.ahead.n_in

    @property
    def n_out(self) -> int:
        return self.ahead.n_out

    def forward(
        self,
        inputs: Shaped[Tensor, "time batch n_in"],
        state: None = None,
        *,
        lengths: Int64[Tensor, " batch"] | None = None,
        **run: Any,
    ) -> tuple[Activity, None]:
        """Run over whole sequences from rest; there is no state to go on from.

        Neurons are in the order regular ones of ahead, of behind, adaptive ones of ahead, of behind.
        """
        if state is not None:
            raise ValueError("a bidirectional network hears a sequence as a whole; it cannot go on from a state")
        one, _ = self.ahead(inputs, lengths=lengths, **run)
        order = _turned(len(inputs), inputs.shape[1], lengths)
        other, _ = self.behind(_Reorder.apply(inputs, order), lengths=lengths, **run)
        readout = one.readout + _Reorder.apply(other.readout, order)
        traces = [
            self._neurons(of_one, _Reorder.apply(of_other, order))
            for of_one, of_other in zip(one[2:], other[2:], strict=True)
            if of_one is not None and of_other is not None
        ]
        kept = [name for name in Activity._fields[2:] if getattr(one, name) is not None]
        rate = None if one.rate is None or other.rate is None else self._neurons(one.rate, other.rate)
        return Activity(readout, rate, **dict(zip(kept, traces, strict=True))), None

    def operations(
        self,
        inputs: Shaped[Tensor, "time batch n_in"],
        activity: Activity,
        lengths: Int64[Tensor, " batch"] | None = None,
        decisions: Int64[Tensor, " batch"] | None = None,
    ) -> dict[str, Float[Tensor, " batch"]]:
        """What the run cost, per example, both directions together; see `LSNN.operations`."""
        one = other = activity
        if isinstance(self.ahead, LSNN) and activity.rate is not None:
            n_regular, n = self.ahead.cells.n_regular, self.ahead.cells.n
            parts = activity.rate.split([n_regular, n_regular, n - n_regular, n - n_regular], dim=1)
            one, other = (activity._replace(rate=torch.cat(parts[k::2], dim=1)) for k in (0, 1))
        both = ((self.ahead, one), (self.behind, other))
        costs = [part.operations(inputs, of, lengths, decisions) for part, of in both]
        return {name: costs[0][name] + costs[1][name] for name in costs[0]}

    def _neurons(self, one: Tensor, other: Tensor) -> Tensor:
        """Values per neuron of both directions side by side."""
        assert isinstance(self.ahead, LSNN)
        n = self.ahead.cells.n_regular
        return torch.cat([one[..., :n], other[..., :n], one[..., n:], other[..., n:]], dim=-1)


def _turned(steps: int, batch: int, lengths: Tensor | None) -> Int64[Tensor, " row"]:
    """Rows of (time, batch) in an order that turns each sequence round and leaves what is before it."""
    time = torch.arange(steps)[:, None]
    if lengths is None:
        source = (steps - 1 - time).expand(steps, batch)
    else:
        begin = steps - lengths
        source = torch.where(time >= begin, steps - 1 - (time - begin), time)
    return (source * batch + torch.arange(batch)).flatten()


class _Reorder(torch.autograd.Function):
    """Rows of (time, batch) in another order, one that undoes itself, so that gradients take the same way back."""

    @staticmethod
    def forward(ctx, values: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return values.flatten(0, 1)[order].view_as(values)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (order,) = ctx.saved_tensors
        return gradient.flatten(0, 1)[order].view_as(gradient), None


def spiking_parts(network: nn.Module) -> list[LSNN]:
    """The spiking networks that a network is made of: itself, its two directions, or none."""
    parts = [network.ahead, network.behind] if isinstance(network, Bidirectional) else [network]
    return [part for part in parts if isinstance(part, LSNN)]
