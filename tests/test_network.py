"""LSNN as a module: state, devices, copies, explicit arrays, recording."""

import copy
import io
import json
import pickle
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch

import lsnn
from tests.helpers import error


def network(**options) -> lsnn.LSNN:
    cells = options.pop("cells", lsnn.Cells(n_regular=10, n_adaptive=10, n_ref=3))
    return lsnn.LSNN(12, cells, 3, **{"connectivity": 0.5, "max_delay": 5, "excitatory": 0.75, "gain": 2.0} | options)


def spikes(steps: int = 60, batch: int = 4, seed: int = 0) -> torch.Tensor:
    drawn = torch.rand(steps, batch, 12, generator=torch.Generator().manual_seed(seed))
    return (drawn < 0.1).to(torch.uint8)


EVERYTHING = ("spikes", "voltages", "thresholds")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reset_delay", [0, 1])
@pytest.mark.parametrize("cut", [1, 23, 59])
def test_two_calls_equal_one_bit_for_bit(dtype, reset_delay, cut):
    net = network(cells=lsnn.Cells(10, 10, n_ref=3, reset_delay=reset_delay)).to(dtype)
    x = spikes()
    whole, end = net(x, record=EVERYTHING)
    first, middle = net(x[:cut], record=EVERYTHING)
    second, end_of_two = net(x[cut:], middle, record=EVERYTHING)
    assert 0.02 < whole.spikes.mean() < 0.5
    for name in ("readout", *EVERYTHING):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(first, name), getattr(second, name)])), name
    for a, b in zip(end, end_of_two, strict=True):
        assert torch.equal(a, b)


def test_noise_does_not_depend_on_how_time_is_cut():
    net = network(cells=lsnn.Cells(10, 10, noise_std=0.05))
    x = spikes()
    whole, _ = net(x, generator=torch.Generator().manual_seed(1), record=("voltages",))
    generator = torch.Generator().manual_seed(1)
    first, state = net(x[:17], generator=generator, record=("voltages",))
    second, _ = net(x[17:], state, generator=generator, record=("voltages",))
    assert torch.equal(whole.voltages, torch.cat([first.voltages, second.voltages]))
    quiet, _ = network()(x, record=("voltages",))
    assert not torch.equal(whole.voltages, quiet.voltages)
    with pytest.raises(ValueError, match="needs a generator"):
        net(x)


def test_noise_drawn_beforehand_is_that_of_the_generator():
    net, x = network(cells=lsnn.Cells(10, 10, noise_std=0.05)), spikes()
    drawn = net.draw_noise(*x.shape[:2], torch.Generator().manual_seed(1))
    given, _ = net(x, noise=drawn)
    assert given.readout.equal(net(x, generator=torch.Generator().manual_seed(1))[0].readout)
    assert network().draw_noise(*x.shape[:2], torch.Generator()) is None


def test_gradient_flows_through_a_state_that_was_handed_over():
    """Two calls chained through their state give the gradient of one."""
    gradients = []
    for cut in (None, 30):
        net, x = network().double(), spikes()
        if cut is None:
            activity, _ = net(x)
            loss = activity.readout[-20:].square().sum()
        else:
            _, state = net(x[:cut])
            activity, _ = net(x[cut:], state)
            loss = activity.readout[-20:].square().sum()
        loss.backward()
        gradients.append(net.synapses.theta.grad)
    assert gradients[0].norm() > 0
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-10, atol=1e-14)


def test_detached_state_cuts_the_gradient():
    net = network()
    _, state = net(spikes())
    assert state.v.requires_grad and not any(part.requires_grad for part in state.detach())


def test_rate_is_spikes_per_second():
    activity, _ = network()(spikes(), record=("spikes",))
    assert torch.allclose(activity.rate, activity.spikes.mean(0) * 1000)
    fine, _ = network(cells=lsnn.Cells(10, 10, dt=0.5))(spikes(), record=("spikes",))
    assert torch.allclose(fine.rate, fine.spikes.mean(0) * 2000)


def test_spikes_and_the_same_numbers_as_currents_are_one():
    net, x = network(), spikes()
    for same in (x.bool(), x.to(torch.int64), x.float()):
        assert torch.equal(net(x)[0].readout, net(same)[0].readout)


def test_readout_is_a_leaky_integral_of_weighted_spikes():
    net = network()
    activity, _ = net(spikes(), record=("spikes",))
    w_out, kappa, y = net.synapses.dense()["readout"], np.exp(-1 / 20), torch.zeros(4, 3)
    for t in range(60):
        y = kappa * y + (1 - kappa) * activity.spikes[t] @ w_out
        assert torch.allclose(activity.readout[t], y + net.bias, atol=1e-6)


def test_delay_is_the_time_from_spike_to_voltage():
    """An input spike at t moves the voltage at t + d; a neuron's spike at t another's at t + d, d >= 1."""
    cells = lsnn.Cells(n_regular=2, n_adaptive=0, v_th=0.5)
    net = lsnn.LSNN.from_arrays([[20.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]], [[0.0], [0.0]], cells, delay_in=3, delay_rec=4)
    x = torch.zeros(20, 1, 1, dtype=torch.uint8)
    x[2] = 1
    activity, _ = net(x, record=EVERYTHING)
    assert activity.voltages[:, 0, 0].nonzero()[0].item() == 2 + 3
    fired = activity.spikes[:, 0, 0].nonzero()[0].item()
    assert fired == 5
    assert activity.voltages[:, 0, 1].nonzero()[0].item() == fired + 4


def test_dense_matrices_lists_and_numpy_build_the_same_network():
    generator = torch.Generator().manual_seed(0)
    w_in, w_rec = torch.randn(3, 4, generator=generator), torch.randn(4, 4, generator=generator).fill_diagonal_(0)
    d_rec = torch.randint(1, 5, (4, 4), generator=generator)
    w_out, cells = torch.randn(4, 2, generator=generator), lsnn.Cells(2, 2, tau_a=(10.0, 20.0, 30.0, 40.0))
    dense = lsnn.LSNN.from_arrays(w_in, w_rec, w_out, cells, delay_rec=d_rec, bias=[0.1, 0.2])
    pre, post = w_rec.nonzero(as_tuple=True)
    lists = lsnn.LSNN.from_arrays(
        w_in.numpy(),
        lsnn.Connections(pre.tolist(), post.tolist(), w_rec[pre, post].tolist(), d_rec[pre, post].tolist()),
        w_out.tolist(),
        cells,
        bias=torch.tensor([0.1, 0.2]),
    )
    x = torch.rand(40, 2, 3, generator=generator) < 0.3
    (a, _), (b, _) = (net(x, record=("spikes",)) for net in (dense, lists))
    assert 0.02 < a.spikes.mean() < 0.6
    assert torch.equal(a.spikes, b.spikes) and torch.equal(a.readout, b.readout)
    assert dense.tau_a.tolist() == [10.0, 20.0, 30.0, 40.0]


@pytest.mark.parametrize("values", [[10.0, 20.0, 30.0, 40.0], torch.arange(10.0, 50.0, 10.0), np.arange(10, 50, 10)])
def test_constants_and_delays_come_as_lists_arrays_or_tensors(values):
    arrays = {"inputs": torch.ones(3, 4), "recurrent": torch.ones(4, 4), "readout": torch.ones(4, 2)}
    net = lsnn.LSNN.from_arrays(**arrays, cells=lsnn.Cells(2, 2, tau_m=values), delay_rec=np.int64(3))
    assert net.tau_m.tolist() == [10.0, 20.0, 30.0, 40.0] and net.synapses.max_delay == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bias": [0.0, np.nan]}, r"bias must be finite, got nan at \(readout\) = \(1,\); "),
        ({"bias": [0.0]}, "bias needs one value per readout, 2, got shape"),
        ({"delay_rec": [[1, 2]]}, "delays have shape .1, 2., weights .4, 4.; give both alike"),
        ({"inputs": [1.0, 2.0]}, r"inputs must have shape \(2, 4\) \[pre, post\], got \(2,\)"),
        ({"n_in": 3.0}, "n_in must be a whole number, got 3.0"),
        ({"max_delay": 2.5}, "max_delay must be a whole number, got 2.5"),
        ({"n_in": 20}, r"inputs must have shape \(20, 4\) \[pre, post\], got \(3, 4\)"),
        ({"readout": torch.ones(3, 2)}, r"readout must have shape \(4, 2\) \[pre, post\], got \(3, 2\)"),
        ({"inputs": lsnn.Connections([0], [0], [1.0], 0)}, "inputs given as lists do not tell their size; pass n_in"),
        ({"recurrent": torch.ones(5, 5)}, r"recurrent must have shape \(4, 4\) \[pre, post\], got \(5, 5\)"),
    ],
)
def test_impossible_arrays_are_refused(changes, message):
    arrays = {"inputs": torch.ones(3, 4), "recurrent": torch.ones(4, 4), "readout": torch.ones(4, 2)}
    with pytest.raises(ValueError, match=message):
        lsnn.LSNN.from_arrays(**arrays | {"cells": lsnn.Cells(2, 2)} | changes)


def test_sizes_may_be_integers_of_numpy():
    cells = lsnn.Cells(np.int64(6), np.int64(5), n_ref=np.int64(3), reset_delay=np.int64(1))
    assert json.loads(json.dumps(asdict(cells)))["n_adaptive"] == 5
    sizes = {"n_in": np.int64(3), "n_out": np.int64(2), "max_delay": np.int64(4)}
    places = {"pre": [0, 2], "post": [0, 1], "weight": [1.0, 1.0], "delay": 0}
    none, some = lsnn.Connections([], [], [], 1), lsnn.Connections(**places)
    for net in (lsnn.LSNN(cells=cells, **sizes), lsnn.LSNN.from_arrays(some, none, some, cells, **sizes)):
        assert net(torch.ones(5, 2, 3))[0].readout.shape == (5, 2, 2)
        assert all(type(size) is int for size in (net.n_in, net.n_out, net.cells.n, net.synapses.max_delay))


def test_deepcopy_and_state_dict_carry_the_whole_network():
    net, x = network(seed=1), spikes()
    expected, _ = net(x)
    clone = copy.deepcopy(net)
    other = network(seed=2)
    assert not torch.equal(other(x)[0].readout, expected.readout)
    other.load_state_dict(net.state_dict())
    for copied in (clone, other):
        assert torch.equal(copied(x)[0].readout, expected.readout)
    clone.synapses.theta.data.mul_(2)
    assert torch.equal(net(x)[0].readout, expected.readout)


@pytest.mark.parametrize("assign", [False, True])
def test_a_state_dict_whose_synapses_lead_out_of_the_network_is_refused_and_changes_none(assign):
    saved, net = network(max_delay=10).state_dict(), network(max_delay=5)
    before = {name: part.clone() for name, part in net.synapses.state_dict().items()}
    for whole in (net, torch.nn.Sequential(net)):
        prefix = "" if whole is net else "0."
        message = error(whole.load_state_dict, {prefix + name: part for name, part in saved.items()}, assign=assign)
        assert "synapses lead out of the network with n_in=12, n=20, n_out=3, max_delay=5; build it" in message
    assert all(part.equal(before[name]) for name, part in net.synapses.state_dict().items())
    net.load_state_dict(network(seed=2).state_dict(), assign=assign)
    assert net(spikes())[0].readout.equal(network(seed=2)(spikes())[0].readout)


def test_a_state_dict_is_refused_where_its_strengths_mean_something_else():
    signed, free = network(), network(excitatory=None)
    assert "saved synapses have fixed signs, the network's are free" in error(free.load_state_dict, signed.state_dict())
    assert "the network follows Dale's law, the saved one did not" in error(signed.load_state_dict, free.state_dict())
    network(excitatory=None, fixed_signs=True).load_state_dict(signed.state_dict())


def test_a_network_says_how_large_it_is():
    said = "12 -> 10 regular + 10 adaptive -> 3, 351 synapses, max_delay=5, backend='auto'"
    assert said in repr(network()).splitlines()[1]


def test_a_whole_network_can_be_saved():
    net, file = network(), io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    for copied in (torch.load(file, weights_only=False), pickle.loads(pickle.dumps(net))):
        assert copied(spikes())[0].readout.equal(net(spikes())[0].readout)
    moved = network(seed=2).to("meta")
    moved.load_state_dict(net.state_dict(), assign=True)
    assert moved(spikes())[0].readout.equal(net(spikes())[0].readout)


def test_moving_moves_everything():
    """The meta device stands in for an accelerator: no tensor may stay behind."""
    net = network().to("meta")
    assert {t.device.type for t in net.state_dict().values()} == {"meta"}
    wiring, constants = net.synapses.wiring(), net.constants()
    assert wiring.weight.is_meta and constants.tau_a.is_meta and net.initial_state(3).v.is_meta
    assert network().double().initial_state(2).v.dtype == torch.float64


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_reference_runs_on_cuda():
    net, x = network(), spikes()
    here, _ = net(x)
    there, _ = net.cuda()(x.cuda())
    assert torch.allclose(here.readout, there.readout.cpu(), atol=1e-4)


@pytest.mark.parametrize("name", ["tau_m", "tau_a", "beta", "v_th", "noise_std"])
def test_constants_can_be_trained(name):
    net = network(cells=lsnn.Cells(10, 10, n_ref=3, noise_std=0.02, trainable=(name,)))
    activity, _ = net(spikes(), generator=torch.Generator().manual_seed(0))
    activity.readout.square().sum().backward()
    assert net.log_factor[name].grad.norm() > 0
    before = getattr(net.constants(), name).detach().clone()
    with torch.no_grad():
        net.log_factor[name].add_(0.1)
    assert torch.allclose(getattr(net.constants(), name), before * np.exp(0.1))


def test_seed_decides_everything():
    same, again, other = network(seed=3), network(seed=3), network(seed=4)
    for a, b in zip(same.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(same.synapses.theta, other.synapses.theta)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: network()(torch.zeros(5, 2, 7)), r"inputs must have shape \(time, batch, 12\), got \(5, 2, 7\)"),
        (lambda: network()(torch.zeros(5, 12)), r"inputs must have shape \(time, batch, 12\), got \(5, 12\)"),
        (lambda: network()(torch.zeros(0, 2, 12)), "inputs have no time steps"),
        (
            lambda: network()(spikes(), network().initial_state(3)),
            r"state.v has shape \(3, 20\), network and inputs ask for \(4, 20\)",
        ),
        (
            lambda: network()(spikes(), network(max_delay=2).initial_state(4)),
            r"state.pending has shape \(2, 4, 20\), network and inputs ask for \(5, 4, 20\)",
        ),
        (lambda: network()(spikes(), tuple(network().initial_state(4))), "state must be a State, got tuple; State"),
        (lambda: network().stepper(state=(1, 2)), "state must be a State, got tuple"),
        (
            lambda: network()(spikes(), network().initial_state(4)._replace(v=None)),
            "state.v must be a tensor, got None",
        ),
        (lambda: network()(spikes(), record=("voltage",)), "cannot record .'voltage'.; known: spikes"),
        (lambda: network()(torch.zeros(5, 0, 12)), "inputs have no samples; give at least one"),
        (lambda: network()(spikes().numpy()), "inputs must be a tensor, got ndarray; torch.as_tensor makes one"),
        (lambda: network()([[[0] * 12]]), "inputs must be a tensor, got list"),
        (lambda: network()(spikes(), lengths=[1, 2, 3, 4]), "lengths must be a tensor, got list"),
        (lambda: network()(spikes(), lengths=torch.ones(4)), r"lengths must be 4 integers, .*, got torch.float32"),
        (lambda: network()(spikes(), lengths=torch.ones(3).long()), r"lengths must be 4 integers, .* shape \(3,\)"),
        (lambda: network()(spikes(), lengths=torch.tensor([0, 1, 2, 60])), r"in 1 ... 60, .*, got 0 ... 60"),
        (lambda: network()(spikes(), lengths=torch.tensor([1, 1, 2, 61])), r"in 1 ... 60, .*, got 1 ... 61"),
        (lambda: network(backend="fpga"), "unknown backend 'fpga'; known: auto, reference, compiled"),
        (lambda: network(memory="tiny"), "unknown memory 'tiny'; known: fast, low"),
        (lambda: lsnn.LSNN(0, lsnn.Cells(), 1), "n_in must be at least 1, got 0"),
        (lambda: lsnn.LSNN(8.0, lsnn.Cells(), 1), "n_in must be a whole number, got 8.0; int.. makes one"),
        (lambda: network(max_delay=2.5), "max_delay must be a whole number, got 2.5"),
        (lambda: network(tau_out=-1.0), "tau_out must not be negative"),
    ],
)
def test_misuse_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_inputs_that_are_not_finite_are_refused(backend, value):
    x = spikes().float()
    x[3, 1, 2] = value
    assert f"inputs must be finite, got {value} at (time, sample, input) = (3, 1, 2); " in error(
        network(backend=backend), x
    )


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize("value", [float("nan"), -float("inf")])
def test_states_and_noise_that_are_not_finite_are_refused(backend, value):
    net, rest = network(backend=backend), network().initial_state(4)
    for name, axes in (("v", "sample, neuron"), ("z", "sample, neuron"), ("pending", "step, sample, neuron"),
                       ("y", "sample, readout")):  # fmt: skip
        part = getattr(rest, name).clone()
        part[..., 1, 2] = value
        said = error(net, spikes(), rest._replace(**{name: part}))
        place = (0, 1, 2)[-part.ndim :]
        assert said.startswith(f"state.{name} must be finite, got {value} at ({axes}) = {place}; ")
    noise = torch.zeros(60, 4, 20)
    noise[3, 1, 2] = value
    assert f"noise must be finite, got {value} at (time, sample, neuron) = (3, 1, 2); " in error(
        net, spikes(), noise=noise
    )
    everywhere = rest._replace(pending=torch.tensor(value).expand(5, 4, 20))
    assert "state.pending must be finite" in error(net, spikes(), everywhere)


@pytest.mark.parametrize("name", ["synapses.theta", "log_factor.tau_a"])
def test_networks_whose_numbers_blew_up_are_refused(name):
    net = network(cells=lsnn.Cells(10, 10, trainable=("tau_a",)))
    with torch.no_grad():
        net.get_parameter(name)[7] = float("nan")
    for call in (lambda: net(spikes()), net.stepper):
        with pytest.raises(FloatingPointError, match=r"^(weight|tau_a)\[7\] is nan; smaller steps of training keep"):
            call()


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize(("own", "other"), [("float32", "float64"), ("float64", "float32")])
def test_noise_of_another_precision_is_converted_and_such_a_state_refused(backend, own, other):
    net = network(cells=lsnn.Cells(10, 10, noise_std=0.02), backend=backend).to(getattr(torch, own))
    noise = torch.randn(60, 4, 20, generator=torch.Generator().manual_seed(0))
    converted, _ = net(spikes(), noise=noise.to(getattr(torch, other)))
    expected, state = net(spikes(), noise=noise.to(getattr(torch, own)))
    assert converted.readout.equal(expected.readout) and expected.rate.any()
    state = state._replace(y=state.y.to(getattr(torch, other)))
    said = f"state.y is torch.{other}, the network asks for torch.{own}; .to(torch.{own}) converts it"
    assert error(net, spikes(), state, noise=noise) == error(net.stepper, state=state) == said


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_inputs_of_another_precision_are_converted(backend, dtype):
    net = network(backend=backend)
    for x in (spikes(), spikes() * 0.75):
        assert net(x.to(dtype))[0].readout.equal(net(x.float())[0].readout)


def test_one_trace_may_be_named_without_a_list():
    activity, _ = network()(spikes(), record="spikes")
    assert activity.spikes is not None and activity.voltages is None


def test_importing_lsnn_does_not_load_plotting_or_the_command_line():
    code = "import sys, lsnn; print([m for m in ('matplotlib', 'tyro', 'rich') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch.compile reads it
def test_a_module_around_a_network_can_be_compiled():
    compiler = pytest.importorskip("torch._dynamo")
    if not compiler.is_dynamo_supported():
        pytest.skip("torch.compile does not run here")

    class Around(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.before, self.net = torch.nn.Linear(12, 12), network()

        def forward(self, x):
            return self.net(self.before(x), record="spikes")[0]

    net, x = Around(), spikes().float()
    gradients = []
    for called in (net, torch.compile(net, backend="eager")):  # which traces, and needs no C compiler
        activity = called(x)
        assert activity.spikes.any() and activity.readout.equal(net(x).readout)
        gradients.append(torch.autograd.grad(activity.readout.sum(), list(net.parameters())))
    assert all(torch.allclose(a, b) for a, b in zip(*gradients, strict=True))
    alone = torch.compile(net.net, backend="eager")
    assert alone(x)[0].readout.equal(net.net(x)[0].readout)


def test_operations_are_events_times_the_synapses_they_meet():
    net, x = network(), spikes()
    with torch.no_grad():
        net.synapses.theta[::3] = 0  # dormant slots carry nothing
    activity, _ = net(x, record=["spikes"])
    counted = net.operations(x, activity)
    dense = {name: weight != 0 for name, weight in net.synapses.dense().items()}
    events, fired = x.sum(0).double(), activity.spikes.sum(0).double()
    expected = events @ dense["input"].sum(1).double()
    expected += fired @ (dense["recurrent"].sum(1) + dense["readout"].sum(1)).double()
    assert fired.sum() > 100
    assert torch.allclose(counted["spikes"], fired.sum(1)) and torch.allclose(counted["synaptic_operations"], expected)
