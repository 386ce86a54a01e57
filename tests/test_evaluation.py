"""Scores and tables of trained networks, and the figures drawn from what a run keeps of them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lsnn import cli, evaluation, pretrained, runs, training
from lsnn.experiments import Experiment, NonSpiking
from lsnn.neuron import Cells
from lsnn.presets import preset
from lsnn.report.page import page_of
from lsnn.report.plates import plates_of
from lsnn.report.run import read_run
from lsnn.seeding import generator_for
from lsnn.tasks import Analysed, Regression, SequentialMnist
from lsnn.tasks.regression import in_context, internal_model
from tests.helpers import ROOT, begin, contents, error, image_folder, timeless_metrics, tiny_experiment

EXAMPLES = 24


def small(name: str, **changes) -> Experiment:
    """A preset for learning to learn, on episodes and networks of milliseconds."""
    experiment = preset(name).experiment
    fields = {"n_examples": EXAMPLES, "n_train_examples": None, "n_validation": 4, "n_test": 6}
    at_once = {"shortest": None, "easy_steps": 0} if isinstance(experiment.task, Regression) else {}
    task = replace(experiment.task, **fields, **at_once)
    if isinstance(experiment.network, NonSpiking):
        network = replace(experiment.network, n_hidden=6)
    else:
        task = replace(task, example_ms=5, value_ms=task.value_ms // 2, n_channels=12)
        cells = replace(experiment.network.cells, n_regular=12, n_adaptive=8)
        network = replace(experiment.network, cells=cells)
    rest = {"iterations": 4, "batch_size": 3, "validate_every": 2, "log_every": 1, "checkpoint_every": 3}
    return replace(experiment, **{"task": task, "network": network, **rest, **changes})


def train(run: Path, name: str, **changes) -> Path:
    training.start(run, small(name, **changes), preset=name, threads=1)
    training.proceed(run)
    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: train(folder / name, name) for name in ("l2l-teacher", "l2l-teacher-lstm", "l2l-sine")}


def test_finished_runs_keep_their_analysis_and_it_is_the_network_s(trained):
    for name, run in trained.items():
        kept, (experiment, network, _) = runs.read_tensors(run / runs.ANALYSIS), training.restore_network(run)
        assert isinstance(experiment.task, Analysed)
        again = experiment.task.analyse(network, "test", experiment.build())
        assert kept.keys() == again.keys() and all(torch.equal(kept[key], again[key]) for key in kept)
        assert ("curve/ridge on its spikes" in kept) == (name != "l2l-teacher-lstm")
        scores = runs.read_results(run)["test"]
        curve = kept["curve/network"][19:].mean().item()
        assert curve == pytest.approx(scores["mse"], rel=0.3)  # other input spikes
        assert kept["curve/network"].shape == (EXAMPLES,)


def test_curve_of_a_network_without_input_noise_is_its_score(trained):
    run = trained["l2l-teacher-lstm"]
    curve = runs.read_tensors(run / runs.ANALYSIS)["curve/network"]
    assert curve[19:].mean().item() == pytest.approx(runs.read_results(run)["test"]["mse"], rel=1e-5)


def test_before_training_is_the_initial_network(trained):
    run = trained["l2l-teacher-lstm"]
    experiment, network, _ = training.restore_network(run)
    network.load_state_dict(runs.read_tensors(run / runs.INITIAL))
    own = experiment.task.analyse(network, "test")["curve/network"]
    torch.testing.assert_close(runs.read_tensors(run / runs.ANALYSIS)["curve/before training"], own)


def test_shuffled_feedback_differs_only_where_there_was_feedback(trained):
    curves = runs.read_tensors(trained["l2l-teacher"] / runs.ANALYSIS)
    assert curves["curve/shuffled feedback"][0] == curves["curve/network"][0]
    assert not curves["curve/shuffled feedback"][1:].equal(curves["curve/network"][1:])


def test_variance_between_showings_is_what_averaging_takes_away(trained):
    """Of two showings averaged, the error is lower by half of the variance."""
    experiment, network, _ = training.restore_network(trained["l2l-teacher"])
    task = experiment.task
    x, y = task.unseen("test")[1]
    showings = [
        in_context.follow(task, network, x, task.told(y), generator_for(0, f"{task.name}/{name}/test", 0)).predicted
        for name in ("spikes", "other spikes")
    ]
    one = sum((showing - y).square() for showing in showings) / 2
    both = (sum(showings) / 2 - y).square()
    curves = runs.read_tensors(trained["l2l-teacher"] / runs.ANALYSIS)
    torch.testing.assert_close(curves["curve/variance between showings"] / 2, (one - both).mean(1))
    assert (curves["curve/variance between showings"] > 0).all()
    assert "curve/variance between showings" not in runs.read_tensors(trained["l2l-teacher-lstm"] / runs.ANALYSIS)


def test_evaluate_prints_one_table_of_all_networks(trained, capsys):
    run, other = trained["l2l-teacher"], trained["l2l-teacher-lstm"]
    assert cli.main(["evaluate", str(run), "--beside", str(other), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    rows = printed["table"]["rows"]
    assert list(rows)[:2] == [str(run), str(other)]
    assert list(rows[str(run)]) == ["1", "5", "10", "20", "20 - 24"]
    assert {"shuffled feedback", "linear fit so far", "nearest example so far", "2-10-1 by backprop"} <= rows.keys()
    kept = runs.read_tensors(other / runs.ANALYSIS)["curve/network"]
    assert rows[str(other)]["5"] == pytest.approx(kept[4].item())
    assert printed["mse"] == runs.read_results(run)["test"]["mse"]


def test_evaluate_draws_beside_the_table_unless_told_not_to(trained, tmp_path, capsys):
    run, out = str(trained["l2l-teacher"]), tmp_path / "figures"
    assert cli.main(["evaluate", run, "--out", str(out)]) == 0
    table, _, files = capsys.readouterr().out.partition(str(out))
    assert "linear fit to all examples" in table and "in_context.png" in files.replace("-", "_")
    assert all((out / Path(line).name).exists() for line in files.splitlines())
    assert cli.main(["evaluate", run, "--no-figures"]) == 0
    assert "linear fit to all examples" in (printed := capsys.readouterr().out) and ".png" not in printed
    assert not (trained["l2l-teacher"] / "report").exists()


def test_variants_in_the_box_stand_in_the_table_unasked(trained, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "box")
    import ship

    for name, run in trained.items():
        ship.ship(run, name)
        assert "MNIST" not in (tmp_path / "box" / name / "README.md").read_text()
    found = evaluation.evaluate(Path("l2l-teacher"), "test")
    assert found.table is not None
    assert [name for name, _ in found.table.rows][:3] == ["l2l-teacher", "l2l-teacher-lstm", "before training"]


def test_networks_that_were_asked_something_else_are_refused(trained):
    message = error(evaluation.evaluate, trained["l2l-teacher"], "test", [trained["l2l-sine"]])
    assert message.endswith("was not asked the same as the network it should stand beside; choose another")


def test_data_may_be_elsewhere_when_a_network_is_evaluated(tmp_path):
    here, there = image_folder(tmp_path / "here"), image_folder(tmp_path / "there", n_test=9)
    task = SequentialMnist(encoding="analog", pool=True, data=here)
    run = begin(tmp_path / "run", tiny_experiment(task=task, iterations=1))
    training.proceed(run)
    scores = [evaluation.evaluate(str(run), "test", data=data).scores for data in (None, str(there))]
    assert scores[0] == runs.read_results(run)["test"] != scores[1]


def test_tasks_that_make_their_data_up_take_no_folder(trained):
    assert error(evaluation.evaluate, trained["l2l-sine"], "test", (), Path("x")) == (
        "the task sines makes its data up; leave --data out"
    )


def test_tasks_without_a_table_take_no_others(tmp_path):
    run = begin(tmp_path / "run", tiny_experiment(iterations=1))
    training.proceed(run)
    assert evaluation.evaluate(run, "test").table is None
    assert "has no table" in error(evaluation.evaluate, run, "test", [run])


# ---- report ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("l2l-teacher", {"in-context", "internal-model", "activity", "learning", "rates"}),
        ("l2l-teacher-lstm", {"in-context", "internal-model", "activity", "learning"}),
        ("l2l-sine", {"in-context", "internal-model", "contradiction", "activity", "learning"}),
    ],
)
def test_report_draws_what_figure_2_shows(trained, name: str, figures: set[str]):
    run = read_run(trained[name])
    assert figures <= {plate.name for plate in plates_of(run)}
    text = page_of(run, [])
    assert "## Mean squared error at example" in text and "| linear fit to all examples |" in text


def test_example_is_the_beginning_of_an_episode(trained):
    run = read_run(trained["l2l-teacher"])
    assert run.example is not None and len(run.example["target"]) == EXAMPLES
    long = small("l2l-teacher", task=replace(small("l2l-teacher").task, n_examples=70))
    from lsnn.results import example

    kept = example(long.build(), long)
    assert len(kept["target"]) == 50 and len(kept["spikes"]) == len(kept["inputs"]) == 500


# ---- the internal model ----------------------------------------------------------------------------------------------


def test_internal_model_asks_each_point_from_the_frozen_state(monkeypatch):
    """An oracle that answers with x and the value before shows that questions come with both, and in order."""
    experiment = small("l2l-teacher-lstm")
    task = experiment.task
    asked: list[torch.Tensor] = []

    class Oracle(torch.nn.Module):
        def forward(self, inputs, state=None):
            asked.append(inputs)
            from lsnn.ops import Activity

            return Activity(inputs[..., :1], rate=None), torch.zeros(1, inputs.shape[1], 2)

    models = internal_model.internal_models(task, Oracle(), "test")
    x, y = task.unseen("test")[1]
    torch.testing.assert_close(models["answers"], models["x"][:, 0].expand(3, 6, -1))
    after_two = asked[2 * 2]  # no example; then an episode and questions for each k = 1, 2
    torch.testing.assert_close(after_two[..., 2], (2 * y[1, 0] - 1).expand(1, after_two.shape[1]))
    functions = task.unseen("test")[0]
    true = functions(models["x"][:, None].expand(-1, 6, -1))[:, :3]
    torch.testing.assert_close(models["true"], true.t())


def test_contradiction_is_one_false_example(trained):
    model = in_context.part(runs.read_tensors(trained["l2l-sine"] / runs.ANALYSIS), "model")
    task = small("l2l-sine").task
    functions, (x, y) = task.unseen("test")
    n = y.shape[1]
    values = functions(model["examples_x"][:, None, None].expand(-1, n, 1))
    which = int((values - model["examples_y"][:, None]).abs().sum(0).argmin())
    off = (values[:, which] - model["examples_y"]).abs() > 1e-4
    assert off.nonzero().flatten().tolist() == [3]
    assert model["examples_y"][3] == pytest.approx(-values[3, which].item(), abs=1e-4)


# ---- training --------------------------------------------------------------------------------------------------------


def test_a_resumed_run_ends_as_the_uninterrupted_one(trained, tmp_path):
    run, whole = tmp_path / "run", trained["l2l-teacher"]
    training.start(run, small("l2l-teacher"), preset="l2l-teacher", threads=1)

    class Stop(Exception):
        pass

    def stop_at_four(record):
        if record["event"] == "step" and record["iteration"] == 4:
            raise Stop

    with pytest.raises(Stop):
        training.proceed(run, stop_at_four)
    assert runs.read_checkpoint(run)["iteration"] == 3
    training.proceed(run)
    one, other = contents(run), contents(whole)
    for name in (runs.WEIGHTS, runs.ANALYSIS, runs.EXAMPLE, runs.INITIAL):
        assert one[name] == other[name], name
    assert timeless_metrics(run) == timeless_metrics(whole)


def test_command_line_begins_with_another_run_and_the_report_says_so(trained, tmp_path, capsys):
    first, run = trained["l2l-teacher-lstm"], tmp_path / "run"
    sizes = ["--task.n-examples", "24", "--task.n-train-examples", "20", "--network.n-hidden", "6", "--threads", "1"]
    sizes += ["--task.n-validation", "2", "--task.n-test", "2", "--iterations", "1", "--batch-size", "2"]
    sizes += ["--task.shortest", "None", "--task.easy-steps", "0"]
    assert cli.main(["train", "l2l-teacher-lstm", *sizes, "--run", str(run), "--start-from", str(first)]) == 0
    assert contents(run)[runs.INITIAL] == contents(first)[runs.WEIGHTS]
    assert f"--start-from {first}" in page_of(read_run(run), [])


def test_a_run_that_begins_with_a_network_of_the_box_calls_it_by_its_name(tmp_path):
    run, sizes = tmp_path / "run", ["--task.n-examples", "20", "--task.n-validation", "2", "--task.n-test", "2"]
    sizes += ["--task.n-train-examples", "20", "--iterations", "1", "--batch-size", "2", "--threads", "1"]
    assert cli.main(["train", "l2l-sine-lstm", *sizes, "--run", str(run), "--start-from", "l2l-sine-lstm"]) == 0
    assert runs.read_config(run)["start_from"] == "l2l-sine-lstm"
    assert "--start-from l2l-sine-lstm" in page_of(read_run(run), [])


def test_seeds_draw_other_networks_and_other_functions(trained, tmp_path):
    other = train(tmp_path / "run", "l2l-teacher", seed=1, iterations=1)
    first, second = (runs.read_metrics(run)[0] for run in (trained["l2l-teacher"], other))
    assert first["loss"] != second["loss"]
    assert contents(other)[runs.INITIAL] != contents(trained["l2l-teacher"])[runs.INITIAL]


def test_training_brings_the_error_of_a_small_network_down():
    """The gradient of the loss through episodes: forty steps on planes of weights in [-1, 1] find their mean value."""
    from lsnn.trainer import Trainer

    experiment = small("l2l-teacher", lr=0.01, batch_size=8)
    cells = Cells(n_regular=20, n_adaptive=10, tau_a_range=(1.0, 1000.0), beta=1.6, v_th=0.03, dampening=0.4)
    experiment = replace(experiment, network=replace(experiment.network, cells=cells), iterations=40)
    trainer = Trainer.start(experiment)
    losses = [trainer.step() for _ in range(40)]
    assert losses[0]["rate_hz"] > 5
    assert sum(m["loss"] for m in losses[-5:]) < 0.6 * sum(m["loss"] for m in losses[:5])


def test_command_line_has_every_field_of_the_task(capsys):
    assert cli.main(["train", "l2l-teacher", "--help"]) == 0
    shown = capsys.readouterr().out
    for flag in ("--task.weight-range", "--task.scaling", "--task.coding-width", "--task.n-train-examples"):
        assert flag in shown
