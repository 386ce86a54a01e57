"""Networks in torch: a plain loop over time, and the recurrent layers of libraries."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers.network import ALPHA, DAMPENING, RHO, V_TH, Net
from lsnn.bench.clock import repeat
from lsnn.bench.measuring import training_step

Spikes = Callable[[], Tensor]
"""runs over the inputs and returns the spikes, (time, batch, n)"""


def measure(net: Net, run: Spikes, parameters: list[Tensor], iterations: int) -> dict[str, Any]:
    """Train a network of torch with the loop that measures lsnn."""
    w_out, tail = torch.nn.Parameter(torch.from_numpy(net.w_out)), torch.from_numpy(net.tail)
    bias = torch.nn.Parameter(torch.zeros(net.work.n_out))

    def forward() -> tuple[Tensor, Tensor]:
        spikes = run()
        return torch.einsum("t,tbn->bn", tail, spikes) @ w_out + bias, 1000 * spikes.mean(0)

    return repeat(training_step(forward, [*parameters, w_out, bias], net.work.target()), iterations)


class Spike(torch.autograd.Function):
    """A step, with a triangle as its derivative."""

    @staticmethod
    def forward(ctx, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u > 0).to(u.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        return grad * DAMPENING * (1 - u.abs()).clamp(min=0)


def torch_loop(net: Net, compiled: bool = False) -> tuple[Spikes, list[Tensor]]:
    """The cell's equations step by step; delays as a product with the spikes of the last D steps."""
    work, depth = net.work, net.work.max_delay
    w_in, w_rec = (torch.nn.Parameter(torch.from_numpy(w)) for w in (net.w_in, net.w_rec))
    at_in, at_rec, beta = (torch.from_numpy(part) for part in (net.at_in, net.at_rec, net.beta))
    late = torch.from_numpy(np.concatenate([np.zeros((depth - 1, *net.inputs.shape[1:]), np.float32), net.inputs]))

    def step(x, past, weight, v, b, z, threshold, silent):
        reset = threshold * z
        b = RHO * b + (1 - RHO) * z
        threshold = V_TH + beta * b
        v = ALPHA * v + (1 - ALPHA) * (x + past @ weight) - reset
        z = Spike.apply((v - threshold) / threshold) * (silent <= 0)
        silent = torch.where(z.detach() > 0, work.n_ref, silent - 1)
        return v, b, z, threshold, silent

    advance = torch.compile(step, dynamic=False) if compiled else step

    def run() -> Tensor:
        weight = (w_rec * at_rec).flatten(0, 1)  # (D n, n)
        parts = [late[depth - 1 - d :][: work.steps] @ (w_in * at_in[d]) for d in range(depth)]
        current = torch.stack(parts).sum(0) if depth > 1 else parts[0]
        v = b = z = silent = torch.zeros(work.batch, work.n)
        threshold = torch.full((work.batch, work.n), V_TH)
        spikes = [z] * depth
        for x in current.unbind(0):  # current[t] would make a gradient as large as current at every step
            past = torch.cat(spikes[: -depth - 1 : -1], 1) if depth > 1 else z  # (batch, D n), the last step first
            v, b, z, threshold, silent = advance(x, past, weight, v, b, z, threshold, silent)
            spikes.append(z)
        return torch.stack(spikes[depth:])

    return run, [w_in, w_rec]


def torch_compile(net: Net) -> tuple[Spikes, list[Tensor]]:
    return torch_loop(net, compiled=True)


# ---- libraries ------------------------------------------------------------------------------------------------------


def linear(weight: np.ndarray, gain: float = 1.0) -> torch.nn.Linear:
    """A layer with the given weights [pre, post]."""
    layer = torch.nn.Linear(*weight.shape, bias=False)
    layer.weight.data.copy_(gain * torch.from_numpy(weight).t())
    return layer


def norse(net: Net) -> tuple[Spikes, list[Tensor]]:
    from norse.torch import LSNNParameters, LSNNRecurrent

    constants = {"tau_syn_inv": 200.0, "tau_mem_inv": 50.0, "tau_adapt_inv": 1 / 0.7, "v_th": V_TH, "alpha": 100.0}
    parameters = LSNNParameters(
        **{name: torch.as_tensor(value) for name, value in constants.items()},
        beta=torch.from_numpy(net.beta * (1 - RHO)),
    )
    cell = LSNNRecurrent(net.work.n_in, net.work.n, p=parameters, dt=0.001)
    # its synaptic current holds every spike for 5 ms
    cell.input_weights.data.copy_(torch.from_numpy(net.w_in).t() / 5)
    cell.recurrent_weights.data.copy_(torch.from_numpy(net.w_rec).t() / 5)
    inputs = torch.from_numpy(net.inputs)
    return lambda: cell(inputs)[0], list(cell.parameters())


def snntorch(net: Net) -> tuple[Spikes, list[Tensor]]:
    import snntorch

    # its threshold is 1, and nothing scales its currents; at 0.7 of them it fires about as often without adaptation
    gain = 0.7 * (1 - ALPHA) / V_TH
    into = linear(net.w_in, gain)
    cell = snntorch.RLeaky(beta=ALPHA, linear_features=net.work.n, spike_grad=Spike.apply, reset_mechanism="subtract")
    cell.recurrent.weight.data.copy_(gain * torch.from_numpy(net.w_rec).t())
    cell.recurrent.bias.data.zero_()
    inputs = torch.from_numpy(net.inputs)

    def run() -> Tensor:
        spikes, voltage = cell.reset_mem()
        train = []
        for x in into(inputs).unbind(0):
            spikes, voltage = cell(x, spikes, voltage)
            train.append(spikes)
        return torch.stack(train)

    return run, [*into.parameters(), *cell.parameters()]


def spikingjelly(net: Net) -> tuple[Spikes, list[Tensor]]:
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    n = net.work.n
    into = linear(net.w_in)
    shape = surrogate.PiecewiseQuadratic()
    node = neuron.LIFNode(tau=20.0, v_threshold=V_TH, v_reset=None, surrogate_function=shape)
    cell = layer.LinearRecurrentContainer(node, n, n, bias=False)
    cell.rc.weight.data.copy_(torch.cat([torch.eye(n), torch.from_numpy(net.w_rec).t()], 1))
    inputs = torch.from_numpy(net.inputs)

    def run() -> Tensor:
        functional.reset_net(cell)
        return torch.stack([cell(x) for x in into(inputs).unbind(0)])

    return run, [*into.parameters(), *cell.parameters()]


def sinabs(net: Net) -> tuple[Spikes, list[Tensor]]:
    from sinabs.activation import SingleSpike
    from sinabs.layers import ALIFRecurrent

    into, recurrent = linear(net.w_in), linear(net.w_rec)
    cell = ALIFRecurrent(
        tau_mem=20.0,
        tau_adapt=700.0,
        rec_connect=recurrent,
        adapt_scale=torch.from_numpy(net.beta),
        spike_threshold=torch.tensor(V_TH),
        spike_fn=SingleSpike,
        train_alphas=False,
    )
    inputs = torch.from_numpy(net.inputs).transpose(0, 1).contiguous()

    def run() -> Tensor:
        cell.reset_states()
        return cell(into(inputs)).transpose(0, 1)

    return run, [*into.parameters(), *recurrent.parameters()]
