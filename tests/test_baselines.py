"""The networks to compare with: the paper's sizes and starts, the interface of LSNN."""

import math

import pytest
import torch

from lsnn.baselines import Recurrent

KINDS = ["lstm", "gru", "rnn"]


def inputs(steps: int = 30, batch: int = 4, n_in: int = 3) -> torch.Tensor:
    return torch.rand(steps, batch, n_in, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("kind", "count"), [("lstm", 67_850), ("rnn", 17_930)])
def test_parameter_counts_are_the_papers(kind, count):
    net = Recurrent(kind, 1, 128, 10)
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == count


@pytest.mark.parametrize("kind", KINDS)
def test_two_calls_equal_one(kind):
    net, x = Recurrent(kind, 3, 8, 2), inputs()
    whole, _ = net(x)
    first, state = net(x[:11])
    second, _ = net(x[11:], state)
    assert whole.readout.shape == (30, 4, 2) and whole.rate is None
    assert torch.allclose(whole.readout, torch.cat([first.readout, second.readout]), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_trainable_parameter_gets_a_gradient(kind):
    net = Recurrent(kind, 3, 8, 2)
    net(inputs())[0].readout.square().sum().backward()
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.norm() > 0, name


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_gradients_stay_within_their_stretch(kind):
    """The same values, and the gradient that each stretch has on its own, from the state in which it begins."""
    net, truncated = Recurrent(kind, 3, 8, 2), Recurrent(kind, 3, 8, 2, truncate_after=12)
    x = inputs().requires_grad_()
    activity, end = truncated(x)
    (gradient,) = torch.autograd.grad(activity.readout.square().sum(), x)
    apart, state = [], None
    for stretch in x.detach().split(12):  # 12, 12, 6
        with torch.no_grad():
            _, following = net(stretch, state)
        stretch.requires_grad_()
        apart += torch.autograd.grad(net(stretch, state)[0].readout.square().sum(), stretch)
        state = following
    torch.testing.assert_close(activity.readout, net(x)[0].readout)
    torch.testing.assert_close(end, state)
    torch.testing.assert_close(gradient, torch.cat(apart))
    (whole,) = torch.autograd.grad(net(x)[0].readout.square().sum(), x)
    assert not torch.allclose(gradient[:12], whole[:12], rtol=1e-3)
    torch.testing.assert_close(gradient[24:], whole[24:])


def test_initial_weights_are_the_baseline_scripts():
    """One Glorot matrix over input and hidden units, biases zero but the forget gate's, readout N(0, 1)."""
    net = Recurrent("lstm", 1, 128, 10)
    limit = math.sqrt(6 / (1 + 128 + 512))
    assert 0.99 * limit < net.layer.weight_hh_l0.abs().max() <= limit
    bias = (net.layer.bias_ih_l0 + net.layer.bias_hh_l0).view(4, 128)
    assert bias.mean(1).tolist() == [0, 1, 0, 0]
    assert net.readout.weight.std().item() == pytest.approx(1, abs=0.1)


def test_memory_of_an_lstm_can_be_spread():
    """Forgetting times 1 + exp(b), between 2 and 101 steps here; input gates take what is forgotten."""
    net, plain = (Recurrent("lstm", 1, 500, 2, longest_memory=longest) for longest in (100.0, None))
    of_input, of_forget, *rest = net.layer.bias_ih_l0.view(4, 500)
    times = of_forget.exp()
    assert 1 <= times.min() < 3 and 97 < times.max() <= 100 and times.mean().item() == pytest.approx(50.5, abs=4)
    assert torch.equal(of_input, -of_forget) and all((part == 0).all() for part in rest)
    assert torch.equal(net.layer.weight_hh_l0, plain.layer.weight_hh_l0)
    with pytest.raises(ValueError, match="longest_memory is for an lstm and more than one step, got 1.0 for lstm"):
        Recurrent("lstm", 1, 5, 2, longest_memory=1.0)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_single_steps_equal_a_run_up_to_rounding(kind):
    net, x = Recurrent(kind, 3, 5, 2), inputs()
    step = net.stepper(x.shape[1])
    readout = torch.stack([step(now)[0] for now in x])
    torch.testing.assert_close(readout, net(x)[0].readout, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"inputs must have shape \(4, 3\) \(batch, n_in\), got \(2, 3\)"):
        step(x[0, :2])


def test_seed_decides_the_start():
    a, b, c = (Recurrent("gru", 2, 5, 2, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(a.layer.weight_hh_l0, b.layer.weight_hh_l0)
    assert not torch.equal(a.layer.weight_hh_l0, c.layer.weight_hh_l0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Recurrent("mlp", 1, 2, 3), "unknown kind of network 'mlp'; known: lstm, gru, rnn"),
        (lambda: Recurrent("rnn", 1, 0, 3), "n_hidden must be at least 1, got 0"),
        (lambda: Recurrent("rnn", 1, 2, 3, truncate_after=0), "truncate_after must be at least 1 step"),
        (lambda: Recurrent("rnn", 1, 2, 3)(inputs()), r"inputs must have shape \(time, batch, 1\)"),
    ],
)
def test_misuse_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_operations_of_the_papers_lstm():
    """A step of 128 units on one input is 4 x 128 x 129 multiply-accumulates; ten readouts of a decision are 1,280."""
    net, x = Recurrent("lstm", 1, 128, 10), inputs(steps=7, n_in=1)
    for decisions, times in ((torch.tensor([1, 1, 2, 0]), [1, 1, 2, 0]), (None, [7] * 4)):
        counted = net.operations(x, net(x)[0], decisions=decisions)["multiply_accumulates"]
        assert counted.tolist() == [7 * 4 * 128 * 129 + k * 1280 for k in times]


def test_input_gain_scales_the_input_weights_alone():
    plain, louder = (Recurrent("lstm", 3, 5, 2, input_gain=gain, seed=1) for gain in (1.0, 10.0))
    w_in = "layer.weight_ih_l0"
    torch.testing.assert_close(louder.state_dict()[w_in], 10 * plain.state_dict()[w_in])
    rest = set(plain.state_dict()) - {w_in}
    assert all(torch.equal(louder.state_dict()[name], plain.state_dict()[name]) for name in rest)
