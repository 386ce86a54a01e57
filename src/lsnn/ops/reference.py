"""The kernel's definition: a loop over time in torch, differentiated by autograd.  Runs on any torch device."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lsnn.neuron import Cell, Constants, State, step
from lsnn.ops.activity import Activity, Memory, Record
from lsnn.synapses import Wiring

CROWDED = 100
"""up to so many places per synapse, a product over all places costs less than one over synapses (measured)"""


def run(
    inputs: Shaped[Tensor, "time batch n_in"],
    wiring: Wiring,
    constants: Constants,
    state: State,
    noise: Float[Tensor, "time batch n"] | None,
    record: Sequence[Record],
    memory: Memory = "fast",
) -> tuple[Activity, State]:
    """Same signature and meaning as `lsnn.ops.run`; autograd keeps everything, whatever `memory` says.

    Neuron-major inside, (n, batch): every synapse then adds one contiguous row to another.
    """
    k = constants.coefficients()
    deliver = _Synapses(wiring, recurrent=True)
    read = _Synapses(wiring, recurrent=False)
    cell = Cell(*(part.mT for part in state[:5]))
    pending, y = state.pending.mT, state.y.mT
    dtype = wiring.weight.dtype

    readouts, spikes, voltages, thresholds = [], [], [], []
    total = torch.zeros_like(cell.v)
    for t, x in enumerate(inputs.unbind(0)):
        source = torch.cat([x.mT.to(dtype), cell.z])  # (n_in + n, batch)
        pending = pending + deliver(source).view_as(pending)
        current = pending[0]
        pending = torch.cat([pending[1:], torch.zeros_like(pending[:1])])
        if noise is not None:
            current = current + constants.noise_std[:, None] * noise[t].mT
        cell, threshold = step(cell, current, k)
        y = constants.kappa * y + (1 - constants.kappa) * read(cell.z)
        readouts.append(y)
        total = total + cell.z
        if "spikes" in record:
            spikes.append(cell.z)
        if "voltages" in record:
            voltages.append(cell.v)
        if "thresholds" in record:
            thresholds.append(threshold)

    activity = Activity(
        readout=_rows(readouts),
        rate=total.mT * (1000 / (constants.dt * len(inputs))),
        spikes=_rows(spikes) if spikes else None,
        voltages=_rows(voltages) if voltages else None,
        thresholds=_rows(thresholds) if thresholds else None,
    )
    parts = (*cell, pending, y)
    return activity, State(*(part.mT.contiguous() for part in parts))


def _rows(steps: list[Tensor]) -> Tensor:
    return torch.stack(steps).mT.contiguous()  # (time, batch, neuron)


class _Synapses:
    """A block of synapses as a linear map from sources to the currents they cause now and later.

    Recurrent: from inputs and neurons, (n_in + n, batch), to (max_delay * n, batch), row k * n + j being what arrives
    at neuron j in k steps.  The spikes of neurons are those of the step before, hence one step of delay less.
    Otherwise: from neurons, (n, batch), to readouts, (n_out, batch).
    """

    def __init__(self, wiring: Wiring, *, recurrent: bool) -> None:
        w = wiring
        chosen = ((w.post < w.n) if recurrent else (w.post >= w.n)).nonzero()[:, 0]
        pre, post = w.pre[chosen], w.post[chosen]
        if recurrent:
            self.rows = (w.delay[chosen] - (pre >= w.n_in).long()) * w.n + post
            self.columns, shape = pre, (w.max_delay * w.n, w.n_in + w.n)
        else:
            self.rows, self.columns, shape = post - w.n, pre - w.n_in, (w.n_out, w.n)
        self.weight = w.weight[chosen]
        index = torch.stack([self.rows, self.columns])
        matrix = torch.sparse_coo_tensor(index, self.weight.detach(), shape, check_invariants=False)
        self.matrix, self.transposed = matrix.coalesce(), matrix.t().coalesce()
        self.crowded = CROWDED * len(pre) > shape[0] * shape[1]

    def __call__(self, source: Float[Tensor, "sources batch"]) -> Float[Tensor, "targets batch"]:
        return _Deliver.apply(self.weight, source, self)


class _Deliver(torch.autograd.Function):
    """matrix @ source; its gradients touch the synapses that exist and nothing else."""

    @staticmethod
    def forward(ctx, weight: Tensor, source: Tensor, synapses: _Synapses) -> Tensor:
        ctx.save_for_backward(source)
        ctx.synapses = synapses
        return torch.sparse.mm(synapses.matrix, source)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (source,) = ctx.saved_tensors
        s: _Synapses = ctx.synapses
        grad_weight = grad_source = None
        if ctx.needs_input_grad[0]:
            if s.crowded:
                grad_weight = (grad @ source.mT)[s.rows, s.columns]
            else:
                grad_weight = (grad.index_select(0, s.rows) * source.index_select(0, s.columns)).sum(1)
        if ctx.needs_input_grad[1]:
            grad_source = torch.sparse.mm(s.transposed, grad)
        return grad_weight, grad_source, None
