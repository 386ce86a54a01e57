"""The reference kernel against central differences and against two independent implementations of the equations."""

import math

import pytest
import torch
from torch import Tensor

from lsnn.surrogates import SHAPES, Surrogate
from tests.ops.networks import BATCH, N_IN, STEPS, N, activity, leaves, network, objective
from tests.smooth import SmoothSurrogate


def relative_error(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm() / expected.norm().clamp(min=1e-12)).item()


# ---- central differences on a smooth forward -------------------------------------------------------------------------


@pytest.mark.parametrize("reset_delay", [0, 1])
@pytest.mark.parametrize("name", ["triangular", "multi_gaussian"])
def test_gradients_equal_central_differences(monkeypatch, reset_delay, name):
    """In every weight, constant, input, noise and state variable, with refractory neurons and all delays active."""
    net = network(reset_delay=reset_delay)
    monkeypatch.setattr("lsnn.network.Surrogate", lambda *_: SmoothSurrogate(name, dampening=0.4, width=2.0))
    x = leaves(net)
    result, final = activity(net, x)
    events = (result.voltages > result.thresholds).double().mean()
    assert 0.05 < events < 0.8 and final.refractory.max() > 0
    found = torch.autograd.grad(objective(result, final), list(x.values()), allow_unused=True)
    gradients = dict(zip(x, found, strict=True))

    for leaf, value in x.items():
        if gradients[leaf] is None:
            assert leaf == "z_before" and reset_delay == 0
            continue
        differences = torch.zeros(value.numel(), dtype=torch.float64)
        # long tensors: a sample of entries, the same for both sides
        entries = torch.randperm(value.numel(), generator=torch.Generator().manual_seed(0))[:20]
        for i in entries:
            differences[i] = five_point_difference(net, x, leaf, int(i))
        assert relative_error(differences[entries], gradients[leaf].flatten()[entries]) <= 1e-8, leaf


def five_point_difference(net, x: dict[str, Tensor], leaf: str, entry: int) -> float:
    scale = max(abs(x[leaf].detach().flatten()[entry].item()), 0.1)
    # rounding asks for a long step, the refractory mask and the curvature for a short one where the effect is strong
    h = scale * (1e-5 if leaf in ("weight", "tau_m", "tau_a", "beta", "v_th", "b") else 1e-4)

    def at(offset: float) -> float:
        moved = {name: value.detach() for name, value in x.items()}
        moved[leaf] = moved[leaf].clone()
        moved[leaf].view(-1)[entry] += offset
        return objective(*activity(net, moved)).item()

    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)


# ---- an independent implementation: synapse by synapse, over the history of spikes -----------------------------------


class Step(torch.autograd.Function):
    """The textbook spike with a triangular pseudo-derivative, written without the library."""

    @staticmethod
    def forward(ctx, u, gamma):
        ctx.save_for_backward(u)
        ctx.gamma = gamma
        return torch.heaviside(u, torch.zeros_like(u))

    @staticmethod
    def backward(ctx, grad):
        (u,) = ctx.saved_tensors
        return grad * ctx.gamma * torch.relu(1 - torch.abs(u)), None


def unrolled(net, x: dict[str, Tensor]):
    """Design equations with explicit sums over past spikes instead of a buffer of future currents."""
    cells, synapses = net.cells, net.synapses
    triples = list(zip(synapses.pre.tolist(), synapses.post.tolist(), synapses.delay.tolist(), strict=True))
    alpha, rho = torch.exp(-1 / x["tau_m"]), torch.exp(-1 / x["tau_a"])
    kappa = math.exp(-1 / net.tau_out)
    v, b, y = x["v"], x["b"], x["y"]
    past = [x["z_before"], x["z"]]  # spikes at -2 and -1
    silent_for = (torch.arange(BATCH * N).reshape(BATCH, N) % 3).tolist()
    fired = [[[] for _ in range(N)] for _ in range(BATCH)]
    readouts, spikes, voltages, thresholds = [], [], [], []
    for t in range(STEPS):
        current = [x["pending"][t, :, j] if t < len(x["pending"]) else torch.zeros(BATCH).double() for j in range(N)]
        drive = [torch.zeros(BATCH).double() for _ in range(net.n_out)]
        for i, (pre, post, delay) in enumerate(triples):
            if post >= N:
                continue
            if pre < N_IN and t - delay >= 0:
                current[post] = current[post] + x["weight"][i] * x["inputs"][t - delay, :, pre]
            if pre >= N_IN and t - delay >= -1:  # older spikes are in the pending currents already
                current[post] = current[post] + x["weight"][i] * past[t - delay + 2][:, pre - N_IN]
        total = torch.stack(current, 1) + x["noise_std"] * x["noise"][t]
        reset = (x["v_th"] + x["beta"] * b) * past[t + 1 - cells.reset_delay]
        b = rho * b + (1 - rho) * past[t + 1]
        a = x["v_th"] + x["beta"] * b
        v = alpha * v + (1 - alpha) * total - reset
        candidate = Step.apply((v - a) / a, cells.dampening)
        mask = torch.ones(BATCH, N).double()
        for i in range(BATCH):
            for j in range(N):
                recent = any(t - s <= cells.n_ref for s in fired[i][j])
                if recent or t < silent_for[i][j]:
                    mask[i, j] = 0
                elif v[i, j] > a[i, j]:
                    fired[i][j].append(t)
        z = candidate * mask
        past.append(z)
        for i, (pre, post, _) in enumerate(triples):
            if post >= N:
                drive[post - N] = drive[post - N] + x["weight"][i] * z[:, pre - N_IN]
        y = kappa * y + (1 - kappa) * torch.stack(drive, 1)
        for trace, value in ((readouts, y), (spikes, z), (voltages, v), (thresholds, a)):
            trace.append(value)
    rate = torch.stack(spikes).mean(0) * 1000
    return torch.stack(readouts), rate, torch.stack(spikes), torch.stack(voltages), torch.stack(thresholds)


@pytest.mark.parametrize("reset_delay", [0, 1])
@pytest.mark.parametrize("spikes_in", [False, True])
def test_outputs_and_gradients_equal_an_unrolled_implementation(reset_delay, spikes_in):
    net = network(seed=1, reset_delay=reset_delay)
    x = leaves(net, seed=1, spikes_in=spikes_in)
    result, _ = activity(net, x)
    expected = unrolled(net, x)
    assert 0.02 < result.spikes.mean() < 0.5
    assert torch.equal(result.spikes, expected[2])
    for found, wanted in zip(result, expected, strict=True):
        assert torch.allclose(found, wanted, rtol=1e-12, atol=1e-13)

    def loss(outputs) -> Tensor:
        generator = torch.Generator().manual_seed(3)
        return sum((torch.randn(o.shape, generator=generator).double() * o).sum() for o in outputs)  # type: ignore

    found = torch.autograd.grad(loss(result), list(x.values()), allow_unused=True)
    wanted = torch.autograd.grad(loss(expected), list(x.values()), allow_unused=True)
    for name, f, w in zip(x, found, wanted, strict=True):
        if w is None or w.norm() == 0:
            assert name == "z_before" and reset_delay == 0
            continue
        assert relative_error(f, w) <= 1e-8, name


# ---- the authors' update order, step for step as their public code has it --------------------------------------------


def authors_cell(net, inputs: Tensor, w_in, w_rec, d_in, d_rec) -> Tensor:
    """The authors' order: buffer, adaptation, threshold, voltage, and a spike from the voltage of before."""
    alpha, rho = torch.exp(-1 / net.tau_m), torch.exp(-1 / net.tau_a)
    steps, batch, _ = inputs.shape
    depth = int(max(d_in.max(), d_rec.max())) + 1
    v, z, b = (torch.zeros(batch, N).double() for _ in range(3))
    buffer = [torch.zeros(batch, N).double() for _ in range(depth)]
    history, output = [torch.zeros(batch, N).double() for _ in range(net.cells.n_ref)], []
    for x in inputs:
        for k in range(depth):
            buffer[k] = buffer[k] + x @ (w_in * (d_in == k)) + z @ (w_rec * (d_rec == k))
        b = rho * b + (1 - rho) * z
        threshold = net.v_th + net.beta * b
        v_new = alpha * v + (1 - alpha) * buffer[0] - z * threshold
        fires = Step.apply((v - threshold) / threshold, net.cells.dampening)
        silent = sum(history) > 0 if history else torch.zeros(batch, N, dtype=torch.bool)
        z = torch.where(silent, torch.zeros_like(fires), fires)
        v = v_new
        buffer = buffer[1:] + [torch.zeros(batch, N).double()]
        history = (history + [z.detach()])[len(history) + 1 - net.cells.n_ref :]
        output.append(z)
    return torch.stack(output)


def test_reset_delay_reproduces_the_authors_order_spike_for_spike_and_gradient_for_gradient():
    import lsnn

    generator = torch.Generator().manual_seed(5)
    cells = lsnn.Cells(n_regular=2, n_adaptive=4, n_ref=3, reset_delay=1, tau_a=40.0)
    w_in = torch.randn(N_IN, N, generator=generator, dtype=torch.float64) * 0.4
    w_rec = torch.randn(N, N, generator=generator, dtype=torch.float64).fill_diagonal_(0) * 0.2
    d_in = torch.randint(0, 4, w_in.shape, generator=generator)
    d_rec = torch.randint(0, 4, w_rec.shape, generator=generator)
    w_out = torch.ones(N, 1, dtype=torch.float64)
    net = lsnn.LSNN.from_arrays(w_in, w_rec, w_out, cells, delay_in=d_in + 1, delay_rec=d_rec + 2, dtype=torch.float64)
    inputs = (torch.rand(60, BATCH, N_IN, generator=generator) < 0.2).double()

    ours, _ = net(inputs, record=("spikes",))
    w_in.requires_grad_(), w_rec.requires_grad_()
    theirs = authors_cell(net, inputs, w_in, w_rec, d_in, d_rec)
    assert 0.02 < theirs.mean() < 0.5
    assert torch.equal(ours.spikes, theirs)

    weights = torch.randn(theirs.shape, generator=generator).double()
    (ours.spikes * weights).sum().backward()
    by_in, by_rec = torch.autograd.grad((theirs * weights).sum(), [w_in, w_rec])
    found = torch.zeros(N_IN + N, N).double()
    inner = net.synapses.post < N
    found[net.synapses.pre[inner], net.synapses.post[inner]] = net.synapses.theta.grad[inner]
    off_diagonal = 1 - torch.eye(N).double()
    assert relative_error(found, torch.cat([by_in, by_rec * off_diagonal])) <= 1e-8


# ---- bookkeeping -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("surrogate", SHAPES)
def test_every_surrogate_trains_through_the_kernel(surrogate):
    net = network(surrogate=surrogate)
    x = leaves(net)
    result, final = activity(net, x)
    gradients = torch.autograd.grad(objective(result, final), [x["weight"], x["tau_a"]])
    assert 0.02 < result.spikes.mean() < 0.5
    assert all(torch.isfinite(g).all() and g.norm() > 0 for g in gradients)


def test_surrogate_changes_gradients_only():
    net = network()
    x = leaves(net)
    hard, _ = activity(net, x)
    net.cells = network(surrogate="gaussian").cells
    soft, _ = activity(net, x)
    assert torch.equal(hard.spikes, soft.spikes)
    assert net.constants().surrogate == Surrogate("gaussian")


def test_parallel_synapses_add_up():
    import lsnn

    twice = lsnn.Connections(pre=[0, 0], post=[0, 0], weight=[0.03, 0.05], delay=[0, 0])
    once = lsnn.Connections(pre=[0], post=[0], weight=[0.08], delay=[0])
    nets = [
        lsnn.LSNN.from_arrays(c, [[0.0]], [[1.0]], lsnn.Cells(0, 1), n_in=1, dtype=torch.float64) for c in (twice, once)
    ]
    inputs = torch.ones(50, 1, 1, dtype=torch.uint8)
    (a, _), (b, _) = (net(inputs, record=("spikes",)) for net in nets)
    assert a.spikes.sum() > 3 and torch.equal(a.spikes, b.spikes)
    a.readout.sum().backward()
    assert nets[0].synapses.theta.grad[0] == nets[0].synapses.theta.grad[1] != 0
