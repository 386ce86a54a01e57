"""The compiled kernel against its definition: outputs, states and every gradient, on networks that spike."""

import contextlib
import copy
import math
import os
import pickle
import re
import signal
import time
import warnings
from dataclasses import dataclass, field
from functools import partial

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch.utils.checkpoint import checkpoint

import lsnn
from lsnn import ops
from lsnn.baselines import Recurrent
from lsnn.neuron import State
from lsnn.ops import compiled, reference
from lsnn.ops.kernel.index import MANY
from lsnn.surrogates import SHAPES
from tests.helpers import error

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
"""largest difference of a tensor over its largest value"""
CONSTANTS = ("tau_m", "tau_a", "beta", "v_th", "noise_std")


FULL = {"connectivity": 1.0, "max_delay": 1}
"""a network whose blocks of synapses the kernel takes as matrices"""
wirings = pytest.mark.parametrize("wiring", [{}, FULL], ids=["listed", "full"])


@dataclass
class Problem:
    """A random network, input, state and loss, everything about them trained.  It spikes by a push on its way."""

    seed: int = 0
    steps: int = 30
    batch: int = 5
    n_in: int = 6
    n_regular: int = 4
    n_adaptive: int = 5
    n_out: int = 3
    connectivity: float = 0.6
    max_delay: int = 4
    n_ref: int = 3
    reset_delay: int = 0
    surrogate: str = "triangular"
    detach: tuple[str, ...] = ()
    inputs: str = "spikes"
    density: float = 0.2
    gain: float = 0.3
    noise: bool = False
    trainable: tuple[str, ...] = CONSTANTS
    record: tuple[str, ...] = ()
    dtype: torch.dtype = torch.float64
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)

    def draw(self, *shape: int, kind=torch.rand) -> torch.Tensor:
        return kind(shape, generator=self.generator, dtype=self.dtype)

    def net(self) -> lsnn.LSNN:
        cells = lsnn.Cells(
            n_regular=self.n_regular,
            n_adaptive=self.n_adaptive,
            tau_m_range=(5.0, 30.0),
            tau_a_range=(20.0, 200.0),
            v_th=0.05,
            n_ref=self.n_ref,
            reset_delay=self.reset_delay,
            surrogate=self.surrogate,
            surrogate_width=1.3,
            detach=self.detach,
            noise_std=0.2 if self.noise else 0.0,
            trainable=self.trainable,
        )
        return lsnn.LSNN(
            self.n_in,
            cells,
            self.n_out,
            connectivity=self.connectivity,
            max_delay=self.max_delay,
            gain=self.gain,
            seed=self.seed,
        ).to(self.dtype)

    def signal(self, steps: int | None = None) -> torch.Tensor:
        x = self.draw(steps or self.steps, self.batch, self.n_in)
        if self.inputs == "currents":
            return x.sub(0.5).requires_grad_()
        spikes = x < self.density
        return {"spikes": spikes.to(torch.uint8), "bool": spikes, "counts": 3 * spikes.int(), "float": spikes.to(x)}[
            self.inputs
        ]

    def state(self) -> State:
        """In full swing; the first currents on their way push every neuron that may spike over its threshold."""
        n = self.n_regular + self.n_adaptive
        pending = self.draw(self.max_delay, self.batch, n)
        pending[0] += 50
        refractory = torch.randint(0, self.n_ref // 2 + 1, (self.batch, n), generator=self.generator)
        refractory[:, 0] = 0
        return State(
            v=(0.05 * self.draw(self.batch, n)).requires_grad_(),
            b=(0.2 * self.draw(self.batch, n)).requires_grad_(),
            z=(self.draw(self.batch, n) < 0.3).to(self.dtype).requires_grad_(),
            z_before=(self.draw(self.batch, n) < 0.3).to(self.dtype).requires_grad_(),
            refractory=refractory,
            pending=pending.requires_grad_(),
            y=self.draw(self.batch, self.n_out).requires_grad_(),
        )

    def run(self, kernel) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Everything that comes out, and the gradient of a random sum of it to everything that went in."""
        self.__post_init__()
        net, x, state = self.net(), self.signal(), self.state()
        noise = (
            self.draw(self.steps, self.batch, net.synapses.n, kind=torch.randn).requires_grad_() if self.noise else None
        )
        activity, last = kernel(x, net.synapses.wiring(), net.constants(), state, noise, self.record)
        named = {**activity._asdict(), **{f"last {name}": part for name, part in last._asdict().items()}}
        outputs = {name: part for name, part in named.items() if part is not None}
        loss = sum(
            (part * self.draw(*part.shape, kind=torch.randn)).sum() / part.numel() ** 0.5
            for part in outputs.values()
            if part.is_floating_point()
        )
        leaves = {**dict(net.named_parameters()), **state._asdict(), "noise": noise, "inputs": x}
        leaves = {name: leaf for name, leaf in leaves.items() if leaf is not None and leaf.requires_grad}
        grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
        return outputs, dict(zip(leaves, grads, strict=True))


def assert_matches_reference(problem: Problem) -> None:
    outputs, grads = problem.run(reference.run)
    outputs_here, grads_here = problem.run(compiled.run)
    assert outputs["rate"].sum() > 0, "a parity test needs a network that spikes"
    if problem.dtype == torch.float32:  # where V meets A within a rounding error, either answer is right
        assume(torch.equal(outputs["rate"], outputs_here["rate"]))
    exact = {"spikes", "rate", "last z", "last z_before", "last refractory"}
    for name, expected in {**outputs, **{f"gradient of {k}": g for k, g in grads.items()}}.items():
        got = outputs_here[name] if name in outputs else grads_here[name.removeprefix("gradient of ")]
        assert got.dtype == expected.dtype and got.shape == expected.shape, name
        if name in exact:
            assert torch.equal(got, expected), name
        elif expected.numel():
            # far from threshold the kernel's Gaussian ends at exp(-80)
            error = (got - expected).abs().max() / expected.abs().max().clamp(min=1e-20)
            assert error <= TOLERANCE[problem.dtype], f"{name}: relative error {error:.1e}"


problems = st.builds(
    Problem,
    seed=st.integers(0, 10_000),
    steps=st.integers(1, 40),
    batch=st.integers(1, 8),  # one width of block, so that the kernel compiles twice and not eight times
    n_in=st.integers(1, 9),
    n_regular=st.integers(0, 6),
    n_adaptive=st.integers(1, 6),
    n_out=st.integers(1, 3),
    connectivity=st.sampled_from([0.05, 0.3, 1.0]),
    max_delay=st.integers(1, 20),
    n_ref=st.integers(0, 8),
    reset_delay=st.sampled_from([0, 1]),
    surrogate=st.sampled_from(sorted(SHAPES)),
    detach=st.sampled_from([(), ("reset",), ("threshold",), ("reset", "threshold")]),
    inputs=st.sampled_from(["spikes", "bool", "counts", "float", "currents"]),
    density=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    gain=st.sampled_from([0.1, 1.0, 10.0]),
    noise=st.booleans(),
    trainable=st.sampled_from([(), CONSTANTS]),
    record=st.sampled_from([(), ("spikes",), ("spikes", "voltages", "thresholds")]),
    dtype=st.sampled_from([torch.float64, torch.float64, torch.float32]),
)


@settings(max_examples=60, deadline=None)
@given(problems)
@example(Problem(steps=1, batch=1))
@example(Problem(steps=1, batch=1, reset_delay=1))
@example(Problem(steps=2, reset_delay=1))
@example(Problem(n_regular=1, n_adaptive=0, n_in=1, n_out=1))
@example(Problem(connectivity=1e-6))
@example(Problem(density=0.0, inputs="float"))
@example(Problem(density=1.0, gain=10.0, n_ref=0))
def test_compiled_matches_reference(problem):
    assert_matches_reference(problem)


@pytest.mark.parametrize("batch", [8, 9, 16, 17, 33])
def test_every_width_of_block_matches_reference(batch):
    assert_matches_reference(Problem(batch=batch, density=0.3, noise=True))


@pytest.mark.parametrize("inputs", ["spikes", "currents"])
@pytest.mark.parametrize("batch, n_regular, n_in", [(3, 14, 7), (16, 40, 20), (40, 11, 33)])
def test_full_blocks_match_reference(batch, n_regular, n_in, inputs):
    sizes = {"batch": batch, "n_regular": n_regular, "n_in": n_in}
    assert_matches_reference(Problem(**sizes, inputs=inputs, gain=1.0, noise=True, **FULL))


@pytest.mark.parametrize("steps", [20, 110])
def test_long_delays_match_reference(steps):
    assert_matches_reference(Problem(max_delay=50, steps=steps))


def test_constants_without_gradients_keep_less_and_match_reference():
    assert_matches_reference(Problem(trainable=(), steps=40))


def test_gradient_through_the_adaptation_of_regular_neurons_matches_reference():
    assert_matches_reference(Problem(trainable=(), n_adaptive=0, n_regular=6))


def _net_and_signal(**changes):
    problem = Problem(**{"batch": 40, "steps": 60, "gain": 3.0, **changes})
    return problem.net(), problem.signal()


@wirings
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("reset_delay", [0, 1])
def test_a_run_equals_its_parts_bit_for_bit(dtype, reset_delay, wiring):
    net, x = _net_and_signal(dtype=dtype, reset_delay=reset_delay, **wiring)
    whole, last = net(x, record=["voltages"])
    assert 1 < whole.rate.mean() < 500
    state, voltages, readouts = None, [], []
    for part in x.split([1, 22, 36, 1]):
        activity, state = net(part, state, record=["voltages"])
        voltages.append(activity.voltages)
        readouts.append(activity.readout)
    assert torch.equal(torch.cat(voltages), whole.voltages)
    assert torch.equal(torch.cat(readouts), whole.readout)
    assert all(torch.equal(a, b) for a, b in zip(state, last, strict=True))


@wirings
def test_results_do_not_depend_on_the_number_of_threads(wiring):
    net, x = _net_and_signal(dtype=torch.float32, **wiring)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            net.zero_grad()
            activity, _ = net(x)
            assert 1 < activity.rate.mean() < 500
            (activity.readout.square().mean() + activity.rate.mean()).backward()
            results.append([activity.readout, *(p.grad for p in net.parameters())])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@wirings
@pytest.mark.parametrize("inputs", ["spikes", "currents"])
def test_a_sample_answers_alone_as_among_others_bit_for_bit(inputs, wiring):
    """Whatever the width of its block, and however many of its neighbours spike with it."""
    net, x = _net_and_signal(dtype=torch.float32, batch=70, n_in=30, inputs=inputs, **wiring)
    together, last = net(x, record=["voltages"])
    assert 1 < together.rate.mean() < 500
    if inputs == "spikes":
        at_once = x[:, :8].sum(1)
        assert ((at_once > 0) & (at_once < MANY)).any() and (at_once >= MANY).any()
    parts = [net(part, record=["voltages"]) for part in x.split([1, 5, 17, 47], dim=1)]
    for name in ("voltages", "readout"):
        assert torch.equal(torch.cat([getattr(activity, name) for activity, _ in parts], 1), getattr(together, name))
    assert torch.equal(torch.cat([state.pending for _, state in parts], 1), last.pending)


def test_a_call_without_gradients_gives_the_same():
    net, x = _net_and_signal()
    activity, _ = net(x)
    with torch.no_grad():
        without, _ = net(x)
    assert torch.equal(activity.readout, without.readout) and activity.rate.mean() > 1


@wirings
@pytest.mark.parametrize("inputs", ["spikes", "currents"])
def test_low_memory_gives_the_same_bits(inputs, wiring):
    problem = Problem(batch=40, steps=300, gain=2.0, inputs=inputs, noise=True, record=("voltages",), **wiring)
    assert_same_bits_with_low_memory(problem)


@pytest.mark.parametrize("inputs", ["spikes", "currents"])
def test_low_memory_gives_the_same_bits_with_long_delays(inputs):
    assert_same_bits_with_low_memory(Problem(steps=130, max_delay=50, gain=2.0, inputs=inputs))


def assert_same_bits_with_low_memory(problem: Problem) -> None:
    outputs, grads = problem.run(compiled.run)
    assert 1 < outputs["rate"].mean() < 500
    outputs_low, grads_low = problem.run(partial(compiled.run, memory="low"))
    assert all(torch.equal(outputs[name], outputs_low[name]) for name in outputs)
    assert all(torch.equal(grads[name], grads_low[name]) for name in grads)


def test_a_state_that_is_changed_after_a_run_does_not_change_its_gradient():
    gradients = []
    for change in (1, 0):
        problem = Problem(n_ref=9, surrogate="gaussian", gain=3.0)
        net, x, state = problem.net(), problem.signal(), problem.state()
        activity, _ = compiled.run(x, net.synapses.wiring(), net.constants(), state, None, [])
        assert activity.rate.sum() > 0
        state.refractory.mul_(change)
        gradients.append(torch.autograd.grad(activity.readout.sum(), state.v)[0])
    assert gradients[0].any() and gradients[0].equal(gradients[1])


@wirings
@pytest.mark.parametrize("inputs", ["spikes", "currents"])
@pytest.mark.parametrize("reset_delay", [0, 1])
def test_single_steps_equal_a_run_bit_for_bit(inputs, reset_delay, wiring):
    problem = Problem(batch=11, steps=50, inputs=inputs, reset_delay=reset_delay, noise=True, gain=3.0, **wiring)
    net, x, state = problem.net(), problem.signal(), problem.state()
    noise = problem.draw(problem.steps, problem.batch, net.synapses.n, kind=torch.randn)
    wiring, constants = net.synapses.wiring(), net.constants()
    activity, last = compiled.run(x, wiring, constants, state, noise, ["spikes"])
    assert 0.01 < activity.spikes.mean() < 0.5
    stepper = ops.Stepper(wiring, constants, state)
    for t in range(problem.steps):
        readout, spikes = stepper(x[t], noise[t])
        assert torch.equal(readout, activity.readout[t]) and torch.equal(spikes, activity.spikes[t])
        if t == 20:
            stepper.state = stepper.state
    assert all(torch.equal(a, b) for a, b in zip(stepper.state, last, strict=True))


def test_a_stepper_holds_the_thresholds_of_some_samples():
    problem = Problem(batch=40, steps=30, noise=True, gain=3.0)  # two blocks
    net, x, state = problem.net(), problem.signal(), problem.state()
    noise = problem.draw(problem.steps, problem.batch, net.synapses.n, kind=torch.randn)
    free, held = (ops.Stepper(net.synapses.wiring(), net.constants(), state) for _ in range(2))
    some = torch.arange(40) % 3 == 0
    for t in range(problem.steps):
        if t == 10:
            held.hold(some)
            then = held.state.b
        spikes = free(x[t], noise[t])[1]
        assert held(x[t], noise[t])[1][~some].equal(spikes[~some])
    assert held.state.b[some].equal(then[some]) and held.state.b[~some].equal(free.state.b[~some])
    assert not free.state.b[some].equal(then[some])


def test_thresholds_are_held_where_adaptation_is_fast_too():
    cells = lsnn.Cells(n_regular=0, n_adaptive=1, tau_a=1.0, beta=1.0, v_th=1.0, n_ref=3, tau_m=1e6)
    net = lsnn.LSNN(1, cells, 1)
    rest = net.initial_state(2)
    step = net.stepper(2, rest._replace(b=torch.ones(2, 1), v=torch.full((2, 1), 1.6)))
    step.hold(torch.tensor([True, False]))
    spikes = torch.stack([step(torch.zeros(2, 1))[1] for _ in range(5)])
    assert not spikes[:, 0].any() and spikes[0, 1]  # held at 2, and fallen to 1.37


def test_a_stepper_puts_some_samples_back_to_rest():
    problem = Problem(batch=40, steps=30, noise=True, gain=3.0)  # two blocks
    net, x, state = problem.net(), problem.signal(), problem.state()
    noise = problem.draw(problem.steps, problem.batch, net.synapses.n, kind=torch.randn)
    some = torch.arange(40) % 3 == 0
    on, rested = (net.stepper(state=state) for _ in range(2))
    for t in range(15):
        before = on(x[t], noise[t]), rested(x[t], noise[t])
    assert before[0][1].any() and before[0][0].equal(before[1][0])
    rested.rest(some)
    anew = net.stepper(40)
    for t in range(15, 30):
        (went_on, _), (mixed, _), (began, _) = (step(x[t], noise[t]) for step in (on, rested, anew))
        assert mixed[some].equal(began[some]) and mixed[~some].equal(went_on[~some])
    assert not went_on[some].equal(began[some])


def test_a_stepper_refuses_what_does_not_fit():
    net, other = Problem(batch=4).net(), Problem(max_delay=9).net()
    step, x, state = net.stepper(4), torch.zeros(4, 6), net.initial_state
    assert error(step, x, torch.zeros(2, 9)) == "noise must have shape (4, 9), got (2, 9)"
    assert error(step, x.numpy()) == "inputs must be a tensor, got ndarray; torch.as_tensor makes one"
    for wrong, shape in ((state(2), "v has shape (2, 9)"), (other.initial_state(4), "pending has shape (9, 4, 9)")):
        assert error(setattr, step, "state", wrong).startswith(f"state.{shape}, network and inputs ask for")
        assert error(net.stepper, 4, wrong).startswith(f"state.{shape}, network and inputs ask for")
    assert "pending has shape" in error(net.stepper, None, other.initial_state(4))
    assert error(net.stepper, 0) == "a stepper needs at least one sample, got a state of none"
    assert net.stepper(state=state(3))(x[:3])[0].shape == (3, 3)
    assert net.stepper()(x[:1])[0].shape == (1, 3)


@pytest.mark.parametrize("samples", [torch.tensor([True]), torch.tensor([0, 1]), torch.ones(9).bool(), [True, False]])
def test_a_stepper_takes_one_boolean_per_sample(samples):
    step = Problem().net().stepper(2)
    for choose in (step.rest, step.hold, Recurrent("gru", 3, 5, 2).stepper(2).rest):
        assert re.match(r"samples must be (2 booleans, one per sample, got torch|a tensor)", error(choose, samples))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_stepper_refuses_numbers_that_are_not_finite(value):
    net = Problem(batch=4).net()
    step, x, state = net.stepper(4), torch.zeros(4, 6), net.initial_state(4)
    x[3, 2] = value
    assert error(step, x).startswith(f"inputs must be finite, got {value} at (sample, input) = (3, 2); ")
    noise = torch.full((4, 9), value)
    assert f"noise must be finite, got {value} at (sample, neuron) = (0, 0); " in error(step, x.nan_to_num(), noise)
    state.v[1, 5] = value
    assert error(setattr, step, "state", state).startswith(
        f"state.v must be finite, got {value} at (sample, neuron) = "
    )
    assert "state.v must be finite" in error(net.stepper, state=state)


def test_a_copied_stepper_goes_on_alike_and_apart():
    problem = Problem(gain=3.0)
    net, x = problem.net(), problem.signal()
    step = net.stepper(state=problem.state())
    step(x[0])
    step.hold(torch.arange(problem.batch) % 2 == 0)
    for copied in (copy.deepcopy(step), pickle.loads(pickle.dumps(step))):
        before = step.state
        readout, spikes = copied(x[1])
        assert step.state.v.equal(before.v) and not copied.state.v.equal(before.v)
    there, emitted = step(x[1])
    assert readout.equal(there) and spikes.equal(emitted)
    assert copied.state.v.equal(step.state.v) and copied.state.b.equal(step.state.b)


def test_a_stepper_of_a_noisy_network_needs_noise():
    step = Problem(noise=True).net().stepper(2)
    assert "noise_std > 0 needs noise at every step: " in error(step, torch.zeros(2, 6))


def test_the_readout_of_a_stepper_includes_the_bias():
    net, x = _net_and_signal(batch=1)
    with torch.no_grad():
        net.bias.copy_(torch.tensor([1.0, -2.0, 3.0]))
        readout, _ = net.stepper()(x[0])
        assert torch.equal(readout, net(x[:1])[0].readout[0]) and readout.abs().max() >= 2


def test_a_synapse_given_twice_counts_twice():
    problem = Problem(**FULL)
    outputs = []
    for copies in (1, 2):
        net = problem.net()
        pre, post, delay, weight, *sizes = net.synapses.wiring()
        twice = (torch.cat([part] * copies) for part in (pre, post, delay))
        wiring = net.synapses.wiring()._replace(
            **dict(zip(("pre", "post", "delay"), twice, strict=True)), weight=torch.cat([weight / copies] * copies)
        )
        activity, _ = compiled.run(problem.signal(), wiring, net.constants(), problem.state(), None, ())
        problem.__post_init__()
        outputs.append(activity)
    assert outputs[0].rate.sum() > 0
    assert torch.equal(outputs[0].rate, outputs[1].rate) and torch.allclose(outputs[0].readout, outputs[1].readout)


def test_a_process_may_fork_after_the_kernel_ran_on_several_threads():
    net, x = _net_and_signal()
    assert torch.get_num_threads() > 1 or torch.set_num_threads(2) is None
    expected, _ = net(x)
    assert expected.rate.mean() > 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's, about threads and forks
        child = os.fork()
    if child == 0:  # no test runner here: leave at once, whatever happens
        try:
            os._exit(0 if torch.equal(net(x)[0].readout, expected.readout) else 1)
        finally:
            os._exit(2)
    deadline = time.monotonic() + 60
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    if done == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert done == (child, 0), "the child hung" if done == (0, 0) else "the child failed"


def test_backward_twice_through_a_kept_graph_gives_the_same():
    net, x = _net_and_signal()
    activity, _ = net(x)
    assert activity.rate.mean() > 1
    first = torch.autograd.grad(activity.readout.sum(), net.synapses.theta, retain_graph=True)
    second = torch.autograd.grad(activity.readout.sum(), net.synapses.theta)
    assert torch.equal(first[0], second[0])


@pytest.mark.parametrize("memory", ["fast", "low"])
def test_torch_may_keep_only_the_inputs_of_a_call_and_run_it_again(memory):
    net, x = _net_and_signal(inputs="currents", trainable=())
    net.memory = memory

    def run(x):
        return net(x)[0].readout

    gradients = []
    for readout in (run(x), checkpoint(run, x, use_reentrant=False)):
        gradients.append(torch.autograd.grad(readout.square().sum(), [x, *net.parameters()]))
    assert gradients[0][1].any() and all(a.equal(b) for a, b in zip(*gradients, strict=True))


def test_compiled_on_an_unsupported_request_says_why():
    problem = Problem()
    net = problem.net().to(torch.bfloat16)
    state = net.initial_state(problem.batch)
    with pytest.raises(ValueError, match="float32 or float64, and weights are torch.bfloat16"):
        ops.run(problem.signal(), net.synapses.wiring(), net.constants(), state, backend="compiled")


def test_a_surrogate_that_the_kernel_does_not_have_is_the_references(monkeypatch):
    monkeypatch.setattr(ops, "_fallbacks_said", set())
    monkeypatch.setitem(SHAPES, "box", lambda x: (x.abs() < 0.5).to(x))
    problem = Problem(surrogate="box", dtype=torch.float64, gain=3.0)
    net, x = problem.net(), problem.signal()
    net.backend = "compiled"
    with pytest.raises(ValueError, match="cannot run this: it does not know the surrogate 'box'; use backend="):
        net(x)
    gradients = []
    for net.backend in ("auto", "reference"):
        with pytest.warns(UserWarning, match="'box'") if net.backend == "auto" else contextlib.nullcontext():
            activity, _ = net(x)
        gradients.append(torch.autograd.grad(activity.readout.square().sum(), net.synapses.theta)[0])
    assert gradients[0].equal(gradients[1]) and gradients[0].any()
    step = net.stepper(problem.batch)
    assert all(torch.allclose(step(now)[0], readout) for now, readout in zip(x, activity.readout, strict=True))


def test_an_unknown_kind_of_memory_is_refused():
    problem = Problem()
    net = problem.net()
    with pytest.raises(ValueError, match="unknown memory 'tiny'; known: fast, low"):
        ops.run(
            problem.signal(),
            net.synapses.wiring(),
            net.constants(),
            problem.state(),
            memory="tiny",  # type: ignore
        )


def test_spikes_of_a_state_must_be_spikes():
    problem = Problem()
    net, state = problem.net(), problem.state()
    with pytest.raises(ValueError, match="must be 0 or 1"):
        compiled.run(problem.signal(), net.synapses.wiring(), net.constants(), state._replace(z=state.v), None, ())


def test_auto_falls_back_to_the_reference_and_says_so_once(monkeypatch):
    monkeypatch.setattr(ops, "_fallbacks_said", set())
    problem = Problem(n_adaptive=0)
    net = problem.net().to(torch.float32)
    state, constants = net.initial_state(problem.batch), net.constants()
    constants = constants._replace(noise_std=constants.noise_std.double())
    with pytest.warns(UserWarning, match="backend='reference'"):
        activity, _ = ops.run(problem.signal(), net.synapses.wiring(), constants, state)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ops.run(problem.signal(), net.synapses.wiring(), constants, state)
    assert activity.readout.shape == (problem.steps, problem.batch, problem.n_out)
