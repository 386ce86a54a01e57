import math
from dataclasses import replace

import pytest
import torch

from lsnn import Cells
from lsnn.experiments import Spiking
from lsnn.learners import linear_fit
from lsnn.presets import preset
from lsnn.results import n_parameters
from lsnn.seeding import generator_for
from lsnn.tasks import Sines, TargetNetworks
from lsnn.tasks.regression import Examples, Regression, in_context
from lsnn.trainer import Trainer
from tests.helpers import error

SMALL = TargetNetworks(n_examples=24, example_ms=10, n_channels=20, n_validation=6, n_test=7)
CELLS = Cells(n_regular=12, n_adaptive=8, tau_a_range=(1.0, 1000.0), beta=1.6, v_th=0.03, dampening=0.4)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network_for(task: Regression, gain: float = 1.0):
    network = Spiking(CELLS, connectivity=1.0, max_delay=6, excitatory=None, tau_out=0.0, gain=gain)
    return network.build(task.n_in, task.n_out, seed=0)


# ---- functions -------------------------------------------------------------------------------------------------------


def test_target_networks_are_what_their_equation_says():
    task = TargetNetworks(weight_range=2.0, scaling="none")
    functions = task.draw(3, seeded())
    w = 2 * (2 * torch.rand(3, 10, 4, generator=seeded()) - 1)
    x = task.arguments(5, 3, seeded(1))

    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    for e in range(5):
        for k in range(3):
            hidden = [sigmoid(float(u[0] * x[e, k, 0] + u[1] * x[e, k, 1] + u[2])) for u in w[k]]
            expected = sigmoid(sum(float(u[3]) * h for u, h in zip(w[k], hidden, strict=True)))
            assert functions(x)[e, k].item() == pytest.approx(expected, abs=1e-6)


def test_min_max_scaling_uses_the_whole_range():
    task = TargetNetworks()
    x = task.arguments(4000, 20, seeded())
    values = task.draw(20, seeded(1))(x)
    assert values.min() >= 0 and values.max() <= 1
    assert (values.amin(0) < 0.1).all() and (values.amax(0) > 0.9).all()


@pytest.mark.parametrize(
    ("task", "variance", "residual"),
    [
        (TargetNetworks(), 0.062, 0.0205),
        (TargetNetworks(weight_range=1.0, scaling="none"), 0.0017, 1.3e-5),
        (Sines(), 4.04, 3.90),
    ],
    ids=["main", "literal", "sines"],
)
def test_family_is_as_nonlinear_as_the_docs_say(task: Regression, variance: float, residual: float):
    x, y = task.unseen("test")[1]
    assert y.var(0).mean().item() == pytest.approx(variance, rel=0.05)
    assert (linear_fit(x, y) - y).square().mean().item() == pytest.approx(residual, rel=0.1)


def test_easier_networks_are_among_those_trained_on_and_not_among_those_tested():
    task = replace(SMALL, easiest=0.5)
    assert all(a.equal(b) for a, b in zip(task.unseen("test")[1], SMALL.unseen("test")[1], strict=True))
    assert task.comparable(SMALL) and task.batch("test", 3, seeded()).target.equal(
        SMALL.batch("test", 3, seeded()).target
    )

    def residual(training: bool) -> float:
        x, y = task.examples(200, 300, seeded(), training)
        return (linear_fit(x, y) - y).square().mean().item()

    assert 0.2 * residual(False) < residual(True) < 0.7 * residual(False)


def test_training_begins_with_the_easiest_networks_and_ends_with_the_full_range():
    task = replace(SMALL, easiest=0.5, easy_steps=100)

    def same(iteration: int, weight_range: float) -> bool:
        fixed = replace(SMALL, easiest=0.5, weight_range=weight_range)
        return torch.equal(task.batch_at(iteration, 4, seeded()).target, fixed.batch("train", 4, seeded()).target)

    assert same(0, 0.5) and same(50, 2.75) and same(100, 5.0) and same(10_000, 5.0)
    assert not same(50, 5.0)


def test_training_episodes_grow_to_their_full_length():
    def length(iteration: int, **fields: int) -> int:
        task = replace(SMALL, settled=2, shortest=4, easy_steps=100, **fields)
        return len(task.batch_at(iteration, 1, seeded()).target)

    assert [length(k, n_train_examples=14) for k in (0, 50, 99, 100, 10_000)] == [4, 9, 14, 14, 14]
    assert [length(k) for k in (0, 50, 100)] == [4, 14, 24]
    both = replace(SMALL, settled=2, shortest=4, easiest=0.5, easy_steps=100).batch_at(50, 4, seeded())
    planes = replace(SMALL, settled=2, n_train_examples=14, easiest=0.5, weight_range=2.75).batch("train", 4, seeded())
    assert torch.equal(both.target, planes.target)


def test_a_training_step_draws_what_its_iteration_asks_for():
    task = replace(SMALL, easiest=0.5, easy_steps=100)
    trainer = Trainer.start(replace(preset("l2l-teacher").experiment, task=task, batch_size=3))
    for trainer.iteration in (0, 100):
        expected = task.batch_at(trainer.iteration, 3, generator_for(0, "batch", trainer.iteration))
        assert torch.equal(trainer.batch().target, expected.target)
    assert not torch.equal(expected.target, task.batch_at(0, 3, generator_for(0, "batch", 100)).target)


def test_sines_have_the_paper_s_amplitudes_and_phases():
    functions = Sines().draw(2000, seeded())
    x = torch.tensor([0.0, math.pi / 2])[:, None, None].expand(2, 2000, 1)
    at_zero, at_quarter = functions(x)  # A sin(phi), A cos(phi)
    amplitude, phase = torch.hypot(at_zero, at_quarter), torch.atan2(at_zero, at_quarter)
    assert 0.1 <= amplitude.min() < 0.15 and 4.9 < amplitude.max() <= 5
    assert 0 <= phase.min() < 0.02 and math.pi - 0.02 < phase.max() <= math.pi + 1e-5


# ---- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", [0, 1, 11, 23])
@pytest.mark.parametrize("value_ms", [0, 5])
def test_no_prediction_depends_on_the_target_it_predicts(example: int, value_ms: int):
    """The leak test: from some example on, targets are shuffled; all predictions up to that one stay, bit for bit."""
    task = replace(SMALL, value_ms=value_ms)
    x, y = task.examples(24, 5, seeded())
    shuffled = y.clone()
    shuffled[example:] = y[example:][:, torch.randperm(5, generator=seeded(3))].flip(0)
    net, predictions = network_for(task, gain=1.5), []
    for targets in (y, shuffled):
        inputs = task.episodes(Examples(x, targets), seeded(1)).inputs
        activity, _ = net(inputs)
        assert 5 < activity.rate.mean() < 100, "the network spikes"
        predictions.append(task.predictions(activity.readout))
    assert predictions[0][: example + 1].equal(predictions[1][: example + 1])
    if example < 23:
        assert not predictions[0].equal(predictions[1]), "what follows does depend on it"


def test_values_are_fed_back_one_example_late_and_nothing_at_first():
    task = replace(SMALL, encoding="values", example_ms=2)
    x, y = task.examples(24, 3, seeded())
    inputs = task.episodes(Examples(x, y), seeded()).inputs
    assert inputs.shape == (48, 3, 3)
    torch.testing.assert_close(inputs[::2, :, :2], x)
    torch.testing.assert_close(inputs[2::2, :, 2], 2 * y[:-1] - 1)
    assert (inputs[:2, :, 2] == -1).all(), "value 0, the least of its range"


def test_values_may_be_told_beside_their_own_arguments_after_the_prediction():
    task = replace(SMALL, encoding="values", example_ms=2, value_ms=3)
    x, y = task.examples(24, 3, seeded())
    inputs = task.episodes(Examples(x, y), seeded()).inputs.unflatten(0, (24, 5))
    for step in range(5):
        torch.testing.assert_close(inputs[:, step, :, :2], x)
    assert not inputs[:, :2, :, 2].any()
    for step in (2, 3, 4):
        torch.testing.assert_close(inputs[:, step, :, 2], 2 * y - 1)


def test_no_value_is_told_by_spikes_while_it_is_to_be_predicted():
    task = replace(SMALL, example_ms=40, value_ms=60, max_rate_hz=500.0)
    inputs = task.batch("train", 3, seeded()).inputs.unflatten(0, (24, 100))
    told = task.input_groups()["value"]
    assert not inputs[:, :40, :, told].any() and inputs[:, 40:, :, told].any(dim=(1, 3)).all()
    arguments = inputs[..., : told.start].double()
    assert arguments[:, :40].mean().item() == pytest.approx(arguments[:, 40:].mean().item(), rel=0.05)


def test_spikes_that_follow_the_value_are_not_counted_in_the_network_s_favour():
    """Ridge regression on its spikes must not hear the value that it is to predict."""
    task = replace(SMALL, value_ms=10)
    x, y = task.examples(24, 5, seeded())
    net = network_for(task, gain=1.5)
    counts = in_context.follow(task, net, x, task.told(y), seeded(1), counts=True).counts
    activity, _ = net(task.episodes(Examples(x, y), seeded(1)).inputs, record=("spikes",))
    spikes = activity.spikes.unflatten(0, (24, 20))
    torch.testing.assert_close(counts, spikes[:, :10].sum(1))
    assert spikes[:, 10:].sum() > 0


def test_what_is_said_once_the_value_is_told_does_not_count():
    task = replace(SMALL, value_ms=4)
    batch = task.batch("train", 2, seeded())
    right = batch.target[:, None, :, None].expand(-1, 14, -1, -1).clone()
    right[:, 10:] = 7.0
    torch.testing.assert_close(task.loss(right.flatten(0, 1), batch), torch.zeros(48))


def test_populations_fire_at_the_rate_of_their_tuning():
    task = replace(SMALL, example_ms=2000, n_channels=15)
    x, before = torch.tensor([[[-0.5, 1.0]]]), torch.tensor([[0.25]])
    rate = 1000 * task.encode(x, before, seeded()).double().mean((0, 1))
    for name, value, low, high in (("x1", -0.5, -1, 1), ("x2", 1.0, -1, 1), ("value before", 0.25, 0, 1)):
        sigma = 0.1 * (high - low)
        centres = torch.linspace(low - 2 * sigma, high + 2 * sigma, 15, dtype=torch.float64)
        expected = 200 * torch.exp(-((centres - value) ** 2) / (2 * sigma**2))
        spread = (1000 * expected / 2000).sqrt() + 0.1  # of a count over 2 s
        assert ((rate[task.input_groups()[name]] - expected).abs() < 5 * spread).all()


def test_prediction_is_a_linear_readout_of_mean_rates():
    """With tau_out = 0 the mean readout of a step is W_out . (spike count / 20 ms) + bias."""
    net = network_for(SMALL, gain=1.5)
    with torch.no_grad():
        net.bias.fill_(0.3)
        activity, _ = net(SMALL.batch("train", 4, seeded()).inputs, record=("spikes",))
        rates = activity.spikes.unflatten(0, (24, 10)).mean(1)  # per ms
        readout = net.synapses.post >= net.cells.n
        w_out = torch.zeros(net.cells.n)
        w_out[net.synapses.pre[readout] - net.n_in] = net.synapses.theta[readout]
        assert rates.mean() > 0.005
        torch.testing.assert_close(SMALL.predictions(activity.readout), rates @ w_out + 0.3, rtol=1e-4, atol=1e-6)


def test_unseen_functions_do_not_depend_on_how_they_are_shown():
    shown = replace(SMALL, encoding="values", example_ms=1)
    assert all(a.equal(b) for a, b in zip(SMALL.unseen("test")[1], shown.unseen("test")[1], strict=True))
    assert SMALL.comparable(shown) and not SMALL.comparable(replace(SMALL, weight_range=1.0))
    assert SMALL.comparable(replace(SMALL, value_ms=10))
    assert not SMALL.comparable(Sines(n_examples=24))
    targets = [torch.cat([b.target for b in task.evaluation("test", n)], 1) for task, n in ((SMALL, 3), (shown, 7))]
    assert targets[0].equal(targets[1]) and targets[0].shape == (24, 7)
    assert not SMALL.unseen("validation")[1].y[:, :6].equal(SMALL.unseen("test")[1].y[:, :6])


def test_tasks_are_compared_by_what_decides_alone():
    assert not replace(SMALL, easiest=2.0).comparable(replace(SMALL, weight_range=1.0))
    assert not replace(SMALL, n_train_examples=22).comparable(replace(SMALL, settled=23))
    assert not any(SMALL.comparable(replace(SMALL, **{name: 5})) for name in ("n_validation", "n_test"))


def test_score_counts_from_the_example_where_it_settles():
    batch = SMALL.batch("train", 2, seeded())
    readout = torch.zeros(240, 2, 1)
    errors = batch.target.square()
    torch.testing.assert_close(SMALL.metrics(readout, batch)["mse"], errors[19:].flatten())
    torch.testing.assert_close(SMALL.loss(readout, batch), errors.flatten())


def test_readout_scale_multiplies_predictions_and_training_episodes_may_be_shorter():
    task = replace(SMALL, readout_scale=10.0, n_train_examples=21)
    assert len(task.batch("train", 1, seeded()).target) == 21
    assert len(task.batch("validation", 1, seeded()).target) == 24
    readout = torch.rand(240, 2, 1, generator=seeded())
    torch.testing.assert_close(task.predictions(readout), 10 * SMALL.predictions(readout))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_examples": 0}, "n_examples must be at least 1, got 0"),
        ({"n_examples": 19}, "n_examples must be at least settled = 20, got 19; the paper has 500"),
        ({"n_train_examples": 3}, "n_train_examples must be at least settled = 20, got 3; the paper has 500"),
        ({"value_ms": -1}, "value_ms must not be negative, got -1; 0 shows a value with the next x"),
        ({"n_channels": 1}, "n_channels must be at least 2, got 1; the paper has 100"),
        ({"coding_width": 0.0}, "coding_width must be positive and finite, got 0.0; usual is 0.1"),
        ({"max_rate_hz": 1000.0}, "max_rate_hz must lie in (0, 1000), got 1000.0; a step is 1 ms, the paper has 200"),
        ({"easy_steps": -1}, "easy_steps must not be negative, got -1; 0 begins as it goes on"),
        ({"easy_steps": 10}, "easy_steps, 10, need something to begin with, such as shortest 50"),
        ({"shortest": 50}, "shortest, 50, needs easy_steps in which episodes grow, such as 1000"),
        (
            {"shortest": 19, "easy_steps": 10},
            "shortest must lie between settled = 20 and 500, the examples of a training episode in the end, got 19; "
            "with None and easy_steps 0 all have as many",
        ),
        ({"easiest": 6.0}, "easiest must lie in (0, 5.0], up to weight_range, got 6.0"),
        ({"weight_range": -1.0}, "weight_range must lie in (0, 100], got -1.0; the paper's text has 1"),
    ],
)
def test_impossible_fields_are_refused(fields: dict, message: str):
    assert error(TargetNetworks, **fields) == message


# ---- the paper's settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n_in", "n", "n_adaptive"), [("l2l-teacher-paper", 300, 300, 120), ("l2l-sine", 200, 100, 40)]
)
def test_presets_have_the_paper_s_sizes(name: str, n_in: int, n: int, n_adaptive: int):
    network = preset(name).experiment.build()
    assert (network.n_in, network.cells.n, network.cells.n_adaptive, network.n_out) == (n_in, n, n_adaptive, 1)
    assert sum(network.synapses.counts().values()) == n_in * n + n * n - n + n
    tau_a = network.tau_a[network.cells.n_regular :]
    assert 1 <= tau_a.min() < 60 and 940 < tau_a.max() <= 1000


def test_our_network_for_target_networks_is_of_the_paper_s_size():
    ours, paper = (preset(name).experiment.build() for name in ("l2l-teacher", "l2l-teacher-paper"))
    assert ours.cells.n == paper.cells.n and ours.synapses.counts() == paper.synapses.counts()


@pytest.mark.parametrize("name", ["l2l-teacher", "l2l-sine"])
def test_paper_s_presets_have_the_paper_s_settings(name: str):
    ours, paper = (preset(name + suffix).experiment for suffix in ("", "-paper"))
    assert (paper.iterations, paper.batch_size, paper.lr, paper.lr_factor(4_999)) == (5_000, 10, 0.001, 1.0)
    assert (paper.rate_cost, paper.rate_target, paper.rate_reduction, paper.rewiring) == (30.0, 20.0, "mean", "off")
    assert (paper.task.n_examples, paper.task.example_ms, paper.task.n_train_examples) == (500, 20, None)
    cells = paper.network.cells
    assert (cells.tau_a_range, cells.beta, cells.v_th, cells.n_ref) == ((1.0, 1000.0), 1.6, 0.03, 5)
    assert (cells.dampening, cells.tau_m, paper.network.connectivity, paper.network.tau_out) == (0.4, 20.0, 1.0, 0.0)
    delay = paper.build().synapses.delay
    assert (int(delay.min()), int(delay.max())) == (0, 6)
    assert (ours.network == paper.network) == (name == "l2l-sine") and ours.task.comparable(paper.task)


@pytest.mark.parametrize("name", ["l2l-teacher", "l2l-sine"])
def test_lstm_has_as_many_parameters(name: str):
    spiking, lstm = (n_parameters(preset(name + suffix).experiment.build()) for suffix in ("", "-lstm"))
    assert lstm == pytest.approx(spiking, rel=0.03)
