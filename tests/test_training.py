"""Training: one loop, and a run that ends with the same bytes however often it is interrupted."""

import math
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lsnn import Cells, runs, training
from lsnn.experiments import Experiment, NonSpiking
from lsnn.presets import preset
from lsnn.results import score
from lsnn.seeding import generator_for
from lsnn.supervised import regularised
from lsnn.tasks import SequentialMnist, StoreRecall
from lsnn.trainer import STOP_WINDOW, Trainer
from tests.helpers import (
    TINY,
    TRAPS,
    VARIANTS,
    begin,
    error,
    image_folder,
    in_fresh_process,
    kill_at_every_write,
    kill_at_random_moments,
    timeless_metrics,
    tiny_experiment,
    weights,
)


def stop_after(iteration: int) -> training.Report:
    """Interrupt a training as Ctrl-C does, after so many steps."""

    def report(record: dict[str, Any]) -> None:
        if record["event"] == "step" and record["iteration"] == iteration:
            raise KeyboardInterrupt

    return report


def assert_same_run(one: Path, other: Path) -> None:
    assert weights(one) == weights(other)
    assert timeless_metrics(one) == timeless_metrics(other)
    timeless = {"seconds": None}
    assert runs.read_results(one) | timeless == runs.read_results(other) | timeless


# ---- interrupted and resumed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("experiment", VARIANTS.values(), ids=VARIANTS)
def test_resumed_run_equals_uninterrupted_one(tmp_path: Path, experiment: Experiment):
    peaceful, interrupted = begin(tmp_path / "a", experiment), begin(tmp_path / "b", experiment)
    training.proceed(peaceful)
    for iteration in (3, 7, 11):  # before the first checkpoint, between two, after the last
        with pytest.raises(KeyboardInterrupt):
            training.proceed(interrupted, stop_after(iteration))
    training.proceed(interrupted)
    assert_same_run(peaceful, interrupted)


@pytest.mark.parametrize("name", ["deep-r", "deep-r, carried state, hot", "deep-r, sgd, decaying lr"])
def test_rewiring_is_at_work_in_what_is_resumed(tmp_path: Path, name: str):
    """Or else the test above would prove little."""
    run = begin(tmp_path / "run", VARIANTS[name])
    training.proceed(run)
    records = [record for record in runs.read_metrics(run) if record["event"] == "train"]
    assert sum(record["died"] for record in records) > 3
    assert sum(record["rate_hz"] for record in records) / len(records) > 10


@pytest.mark.parametrize(
    ("experiment", "n_kills"),
    [
        (replace(VARIANTS["deep-r, carried state, hot"], iterations=500, checkpoint_every=3, validate_every=50), 25),
        (replace(VARIANTS["lstm, carried state"], iterations=1000, checkpoint_every=3, validate_every=50), 20),
    ],
    ids=["deep-r", "lstm"],
)
def test_killed_at_random_moments_a_run_ends_with_the_same_bytes(tmp_path: Path, experiment: Experiment, n_kills: int):
    peaceful, killed = begin(tmp_path / "a", experiment), begin(tmp_path / "b", experiment)
    kills = in_fresh_process(kill_at_random_moments, str(peaceful), str(killed), str(n_kills), "10")
    assert [kill["code"] for kill in kills] == [-signal.SIGKILL] * n_kills
    saved = [kill["saved"] for kill in kills]
    assert saved == sorted(saved) and saved[-1] < experiment.iterations
    assert len(set(saved)) > n_kills / 3, "kills should land all along the run"
    assert sum(kill["logged"] > kill["saved"] for kill in kills) > n_kills / 4, "kills should cost steps"
    assert_same_run(peaceful, killed)


@pytest.fixture(scope="module")
def killed_at_writes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """By trap: runs killed at their first, second, ... write and then resumed, the last one never killed."""
    begun = tmp_path_factory.mktemp("killed") / "run"
    network = replace(TINY.network, backend="reference")  # the compiled one takes long to load, 32 times over
    begin(begun, tiny_experiment(network=network, iterations=3, validate_every=2, checkpoint_every=1))
    folders = in_fresh_process(kill_at_every_write, str(begun))
    return {trap: [Path(run) for run in runs_] for trap, runs_ in folders.items()}


@pytest.mark.parametrize("trap", TRAPS)
def test_killed_at_any_write_a_run_ends_with_the_same_bytes(killed_at_writes: dict[str, list[Path]], trap: str):
    *killed, peaceful = killed_at_writes[trap]
    # lines: 3 steps, 2 validations, a test; files: 3 checkpoints, metrics rewound, and those of a finished run
    assert len(killed) == (3 + 2 + 1 if trap == "mid-line" else 3 + 1 + len(runs.FINISHED))
    for run in killed:
        assert_same_run(peaceful, run)
        assert not list(run.glob(".*.part"))


def test_threads_are_those_the_run_began_with(tmp_path: Path):
    training.start(tmp_path / "run", TINY, threads=2)
    seen = []
    training.proceed(tmp_path / "run", lambda record: seen.append(torch.get_num_threads()))
    assert set(seen) == {2} and torch.get_num_threads() == 1


def test_denormal_numbers_are_zero_while_a_run_trains_and_no_longer(tmp_path: Path):
    half = torch.tensor(1.2e-38)  # the smallest normal number of float32 is 1.18e-38
    training.start(tmp_path / "run", TINY)
    seen = []
    training.proceed(tmp_path / "run", lambda record: seen.append((half / 2).item()))
    assert seen and set(seen) == {0.0} and (half / 2).item() > 0


@pytest.mark.parametrize("name", ["deep-r", "free signs", "lstm, carried state"])
def test_a_run_may_begin_with_the_weights_of_another_and_resumes_without_it(tmp_path: Path, name: str):
    experiment = VARIANTS[name]
    first = begin(tmp_path / "first", experiment)
    training.proceed(first)
    for run in ("second", "third"):
        training.start(tmp_path / run, replace(experiment, seed=5, iterations=8), threads=1, start_from=first)
    given, second = runs.read_tensors(first / runs.WEIGHTS), runs.read_tensors(tmp_path / "second" / runs.INITIAL)
    assert given.keys() == second.keys() and all(torch.equal(given[key], second[key]) for key in given)
    training.proceed(tmp_path / "second")
    shutil.rmtree(first)

    def interrupt(record: dict[str, Any]) -> None:
        if record["event"] == "step" and record["iteration"] == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.proceed(tmp_path / "third", interrupt)
    training.proceed(tmp_path / "third")
    assert weights(tmp_path / "second") == weights(tmp_path / "third")
    assert weights(tmp_path / "second") != (tmp_path / "second" / runs.INITIAL).read_bytes()


def with_trained(*constants: str) -> Experiment:
    return replace(TINY, network=replace(TINY.network, cells=Cells(5, 5, trainable=constants)), lr=0.1)


@pytest.mark.parametrize(("before", "after"), [((), ("tau_a", "v_th")), (("tau_a", "v_th"), ("beta", "v_th"))])
def test_constants_go_on_from_those_of_another_run_whichever_are_trained(tmp_path: Path, before, after):
    first = begin(tmp_path / "first", with_trained(*before))
    training.proceed(first)
    training.start(tmp_path / "second", with_trained(*after), start_from=first)
    old, new = training.restore_network(first)[1], with_trained(*after).build()
    new.load_state_dict(runs.read_tensors(tmp_path / "second" / runs.INITIAL))
    for name in ("tau_a", "v_th", "beta", "tau_m"):
        torch.testing.assert_close(getattr(new.constants(), name), getattr(old.constants(), name))
    assert (old.constants().tau_a != with_trained().build().constants().tau_a).any() == bool(before)
    assert training.proceed(tmp_path / "second")["test"]["loss"] > 0


def test_weights_that_do_not_fit_are_refused_and_leave_no_folder(tmp_path: Path):
    first = begin(tmp_path / "first")
    training.proceed(first)
    larger = replace(TINY, network=replace(TINY.network, cells=Cells(6, 5)))
    message = error(training.start, tmp_path / "second", larger, start_from=first)
    assert message.startswith(f"{first} has a network that does not fit (") and "start from one that does" in message
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"cells": Cells(5, 5, tau_a=100.0)}, "--network.cells.tau-a 700.0"),
        ({"cells": Cells(10, 0)}, "--network.cells.n-regular 5"),
        ({"cells": Cells(5, 5, noise_std=0.5)}, "--network.cells.noise-std 0.0"),
        ({"excitatory": 0.5}, "--network.excitatory 0.75"),
    ],
)
def test_settings_that_come_with_weights_have_to_be_those_of_their_run(tmp_path: Path, change, flag: str):
    first = begin(tmp_path / "first", with_trained())
    training.proceed(first)
    other = replace(TINY, network=replace(TINY.network, **({"cells": Cells(5, 5)} | change)))
    message = error(training.start, tmp_path / "second", other, start_from=first)
    assert f"was trained with {flag}" in message and not (tmp_path / "second").exists()


def test_a_run_that_lost_the_weights_it_began_with_says_so(tmp_path: Path):
    first = begin(tmp_path / "first")
    training.proceed(first)
    training.start(tmp_path / "second", TINY, start_from=first)
    (tmp_path / "second" / runs.INITIAL).unlink()
    assert "has lost initial.safetensors, the weights it began with" in error(training.proceed, tmp_path / "second")


def test_a_folder_may_be_a_string(tmp_path: Path):
    run = str(tmp_path / "run")
    training.start(run, tiny_experiment(iterations=1))
    assert training.load(run) == training.load(Path(run))
    training.proceed(run)
    training.start(f"{run}-2", tiny_experiment(iterations=1), start_from=run)
    assert training.restore_network(run)[2] == 1


def test_finished_run_is_left_alone(tmp_path: Path):
    run = begin(tmp_path / "run")
    results = training.proceed(run)
    before = {path: path.stat().st_mtime_ns for path in run.iterdir() if path.name != ".lock"}
    assert training.proceed(run) == results
    assert before == {path: path.stat().st_mtime_ns for path in run.iterdir() if path.name != ".lock"}


@pytest.mark.parametrize("name", [*runs.FINISHED, runs.CHECKPOINT])
def test_lost_file_is_made_anew(tmp_path: Path, name: str):
    run = begin(tmp_path / "run", tiny_experiment(iterations=4))
    training.proceed(run)
    content, metrics = (run / name).read_bytes(), timeless_metrics(run)
    (run / name).unlink()
    if name == runs.CHECKPOINT:
        (run / runs.RESULTS).unlink()
    training.proceed(run)
    assert timeless_metrics(run) == metrics
    if name in (runs.INITIAL, runs.WEIGHTS, runs.EXAMPLE):
        assert (run / name).read_bytes() == content


@pytest.mark.parametrize("name", ["deep-r, carried state, hot", "lstm, carried state", "gru, carried state"])
def test_state_is_carried_from_batch_to_batch_without_its_gradient(name: str):
    trainer, expected = Trainer.start(VARIANTS[name]), None
    for iteration in range(2):
        batch = TINY.task.batch("train", TINY.batch_size, generator_for(TINY.seed, "batch", iteration))
        expected = trainer.network(batch.inputs, expected)[1]  # by hand from where the step before ended
        trainer.step()
    carried = trainer.carried
    if isinstance(carried, torch.Tensor):
        expected, carried = (expected,), (carried,)
    assert all(torch.equal(*pair) for pair in zip(expected, carried, strict=True))
    assert any(part.abs().max() > 0 for part in carried) and not any(part.requires_grad for part in carried)


def test_state_is_not_carried_unless_asked_for():
    trainer = Trainer.start(TINY)
    trainer.step()
    assert trainer.carried is None


# ---- checkpoints that do not belong ----------------------------------------------------------------------------------


def half_trained(run: Path, experiment: Experiment = TINY) -> Path:
    """A run that stopped after six steps, its checkpoint at five."""
    begin(run, experiment)
    with pytest.raises(KeyboardInterrupt):
        training.proceed(run, stop_after(6))
    return run


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"lr": 0.02}, "another lr"),
        ({"optimizer": "sgd", "rewiring": "off"}, "another optimizer and rewiring"),
        ({"network": replace(TINY.network, cells=Cells(6, 4))}, "another network"),
        ({"task": replace(TINY.task, rate_hz=200.0)}, "another task"),
    ],
)
def test_checkpoint_of_another_experiment_is_refused(tmp_path: Path, changes: dict[str, Any], named: str):
    run, other = half_trained(tmp_path / "run"), begin(tmp_path / "other", replace(TINY, **changes))
    (run / runs.CONFIG).write_bytes((other / runs.CONFIG).read_bytes())
    message = error(training.proceed, run)
    assert message.startswith(f"{run / runs.CHECKPOINT} does not fit {run / runs.CONFIG} (it was made with {named}); ")
    assert message == error(training.restore_network, run)


def test_run_whose_lr_falls_to_zero_at_its_end_is_not_made_longer(tmp_path: Path):
    run = half_trained(tmp_path / "run", tiny_experiment(schedule="cosine"))
    longer = begin(tmp_path / "longer", tiny_experiment(schedule="cosine", iterations=20))
    (run / runs.CONFIG).write_bytes((longer / runs.CONFIG).read_bytes())
    assert "(it was made with another iterations)" in error(training.proceed, run)


def test_run_may_be_made_longer(tmp_path: Path):
    run, longer = half_trained(tmp_path / "run"), begin(tmp_path / "longer", tiny_experiment(iterations=20))
    (run / runs.CONFIG).write_bytes((longer / runs.CONFIG).read_bytes())
    assert training.proceed(run)["iterations"] == 20
    training.proceed(longer)
    assert weights(run) == weights(longer)


@pytest.mark.parametrize("missing", ["settings", "network", "optimizer", "scheduler", "carried", "recent", "seconds"])
def test_checkpoint_that_lacks_something_is_refused(tmp_path: Path, missing: str):
    run = half_trained(tmp_path / "run")
    checkpoint = runs.read_checkpoint(run)
    del checkpoint[missing]
    runs.write_checkpoint(run, checkpoint)
    assert f"does not fit {run / runs.CONFIG} ('{missing}'); restore both" in error(training.proceed, run)


def first(tensor: torch.Tensor, value: int) -> torch.Tensor:
    tensor[0] = value
    return tensor


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("pre", value) for value in (-1, 18, 2**40)),  # 8 inputs and 10 neurons
        *(("post", value) for value in (-1, 12, 2**40)),  # 10 neurons and 2 readouts
        *(("delay", value) for value in (-1, 3, 2**40)),  # the first synapse is one of an input, 0 ... max_delay - 1
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_synapses_that_lead_out_of_the_network_are_refused(tmp_path: Path, name: str, value: int, finished: bool):
    run = half_trained(tmp_path / "run", tiny_experiment(iterations=6) if finished else TINY)
    if finished:
        training.proceed(run)
        tensors = runs.read_tensors(run / runs.WEIGHTS)
        runs.write_tensors(
            run / runs.WEIGHTS, tensors | {f"synapses.{name}": first(tensors[f"synapses.{name}"], value)}
        )
    else:
        checkpoint = runs.read_checkpoint(run)
        first(checkpoint["network"][f"synapses.{name}"], value)
        runs.write_checkpoint(run, checkpoint)
    assert "(1 synapses lead out of the network with n_in=8, n=10, " in error(training.restore_network, run)


def test_weights_of_another_network_are_refused(tmp_path: Path):
    run = begin(tmp_path / "run", tiny_experiment(iterations=1))
    training.proceed(run)
    runs.write_tensors(run / runs.WEIGHTS, {"theta": torch.ones(3)})
    assert f"{run / runs.WEIGHTS} does not fit {run / runs.CONFIG} (" in error(training.restore_network, run)


@pytest.mark.parametrize("threads", [None, 0, -1, "2", 10**6])
def test_threads_of_a_stranger_are_checked(tmp_path: Path, threads: object):
    run = begin(tmp_path / "run")
    runs.write_json(run / runs.CONFIG, runs.read_config(run) | {"threads": threads})
    assert error(training.proceed, run).startswith(
        f"{run / runs.CONFIG}: threads must lie in 1 ... 1024, got {threads!r}"
    )


# ---- starting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": replace(TINY.network, connectivity=0.0)}, "connectivity must lie in"),
        ({"network": replace(TINY.network, excitatory=None)}, "rewiring needs signed synapses"),
        ({"rewiring": "soft-deep-r"}, "soft-DEEP R needs l1 and temperature above 0"),
        ({"batch_size": 10**15}, "the experiment cannot be set up (.*allocate"),
        ({"batch_size": 10**30}, "the experiment cannot be set up (.*verflow"),
        ({"task": SequentialMnist(data=Path("nowhere"))}, "nowhere is no folder"),
    ],
)
def test_impossible_experiment_leaves_no_folder(tmp_path: Path, changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        training.start(tmp_path / "run", replace(TINY, **changes))
    assert not (tmp_path / "run").exists()


@dataclass(frozen=True)
class Wrong(StoreRecall):
    """A task one of whose methods does what its owner made it do."""

    method: str = ""
    change: Callable[[Any], Any] = lambda given: given

    def batch(self, split, n, generator):
        return self._changed("batch", super().batch(split, n, generator))

    def loss(self, readout, batch):
        return self._changed("loss", super().loss(readout, batch))

    def metrics(self, readout, batch):
        return self._changed("metrics", super().metrics(readout, batch))

    def _changed(self, method: str, given: Any) -> Any:
        return self.change(given) if method == self.method else given


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("batch", tuple, "batch() gives a tuple; let it give a lsnn.tasks.Batch"),
        ("loss", torch.Tensor.mean, "loss() gives [] torch.float32; let it give a float tensor of a value per"),
        ("loss", lambda loss: loss.mean().item(), "loss() gives a float; let it"),
        ("metrics", lambda given: {"right": given["recall_error"]}, "metrics() gives right; let it give a dict with"),
        ("metrics", dict.popitem, "metrics() gives a tuple; let it give a dict with the headline's metric, rec"),
        ("metrics", lambda given: {"recall_error": 0.5}, "metrics()['recall_error'] gives a float; let it"),
        ("metrics", lambda given: {**given, "b": given["recall_error"].mean()}, "metrics()['b'] gives [] torch.float"),
        ("metrics", lambda given: {**given, "b": given["recall_error"] > 0}, "metrics()['b'] gives [4] torch.bool"),
    ],
)
def test_task_that_gives_something_else_is_told_before_it_trains(tmp_path: Path, method: str, change, message: str):
    task = Wrong(n_in=8, n_slots=3, slot_ms=5, method=method, change=change)
    told = error(training.start, tmp_path / "run", tiny_experiment(task=task))
    assert told.startswith(f"store-recall: {message}")
    assert not (tmp_path / "run").exists()


def test_too_few_images_leave_no_folder(tmp_path: Path):
    task = SequentialMnist(data=image_folder(tmp_path / "images"))
    assert "a batch must have 1 ... 44 images" in error(
        training.start, tmp_path / "run", tiny_experiment(task=task, batch_size=45)
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("threads", [0, -1, 10**6])
def test_impossible_threads_leave_no_folder(tmp_path: Path, threads: int):
    assert error(training.start, tmp_path / "run", TINY, threads=threads).startswith("threads must lie in 1 ... 1024")
    assert not (tmp_path / "run").exists()


# ---- stopping --------------------------------------------------------------------------------------------------------

ROWS = tiny_experiment(network=NonSpiking("rnn", 4), rewiring="off", iterations=23, validate_every=100)


@pytest.mark.parametrize(("stop_at", "end"), [(1.0, STOP_WINDOW), (-0.1, 23)])
def test_error_that_falls_to_stop_at_ends_a_run(tmp_path: Path, stop_at: float, end: int):
    run = begin(tmp_path / "run", tiny_experiment(iterations=23, validate_every=100, stop_at=stop_at))
    assert training.proceed(run)["iterations"] == end


@pytest.mark.parametrize(("stop_at", "end"), [(0.0, STOP_WINDOW), (1.1, 23)])
def test_accuracy_that_rises_to_stop_at_ends_a_run(tmp_path: Path, stop_at: float, end: int):
    task = SequentialMnist(order="rows", encoding="analog", data=image_folder(tmp_path / "images"))
    run = begin(tmp_path / "run", replace(ROWS, task=task, stop_at=stop_at))
    assert training.proceed(run)["iterations"] == end


def test_stopping_looks_at_the_last_steps_only(tmp_path: Path):
    trainer = Trainer.start(tiny_experiment(stop_at=0.25))
    trainer.recent.extend([1.0] * 30 + [0.5] * 10 + [0.0] * 10)
    assert trainer.good_enough()
    trainer.recent.append(1.0)
    assert not trainer.good_enough()


def test_early_stop_survives_an_interruption(tmp_path: Path):
    experiment = tiny_experiment(iterations=40, stop_at=1.0)
    peaceful, interrupted = begin(tmp_path / "a", experiment), begin(tmp_path / "b", experiment)
    training.proceed(peaceful)
    with pytest.raises(KeyboardInterrupt):
        training.proceed(interrupted, stop_after(17))
    training.proceed(interrupted)
    assert_same_run(peaceful, interrupted)


# ---- numbers that blow up --------------------------------------------------------------------------------------------


def nan_loss(loss: torch.Tensor) -> torch.Tensor:
    return loss * math.nan


def infinite_gradient(loss: torch.Tensor) -> torch.Tensor:
    """A finite loss: the slope of a square root at zero is infinite."""
    return loss + (loss - loss.detach()).sqrt()


def huge_gradient(loss: torch.Tensor) -> torch.Tensor:
    """Finite, but its norm is not."""
    return loss.detach() + 1e30 * (loss - loss.detach())


def spoil(monkeypatch: pytest.MonkeyPatch, iteration: int, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Change the loss of the given training step."""
    calls = iter(range(1, 10**6))

    def spoilt(*arguments: Any) -> torch.Tensor:
        loss = regularised(*arguments)
        return change(loss) if next(calls) == iteration else loss

    monkeypatch.setattr("lsnn.trainer.regularised", spoilt)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (nan_loss, "the loss is nan at iteration 9"),
        (infinite_gradient, "the gradient of .*synapses.theta.* is not finite at iteration 9"),
        (huge_gradient, "the norm of the gradient is not finite at iteration 9"),
    ],
)
@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_blow_up_stops_the_run_and_keeps_the_checkpoint(
    tmp_path: Path,
    change: Callable[[torch.Tensor], torch.Tensor],
    message: str,
    clip_norm: float | None,
    monkeypatch: pytest.MonkeyPatch,
):
    experiment = tiny_experiment(clip_norm=clip_norm)
    run, healthy = begin(tmp_path / "run", experiment), begin(tmp_path / "healthy", experiment)
    with monkeypatch.context() as patch:
        spoil(patch, 9, change)
        kept = "; the checkpoint of iteration 5 is kept; train anew with a lower --lr or a --clip-norm"
        with pytest.raises(FloatingPointError, match=message + kept):
            training.proceed(run)
    assert [record["iteration"] for record in runs.read_metrics(run) if record["event"] == "train"] == [*range(1, 9)]
    training.proceed(run)
    training.proceed(healthy)
    assert_same_run(run, healthy)


def test_blow_up_before_the_first_checkpoint_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spoil(monkeypatch, 2, nan_loss)
    with pytest.raises(FloatingPointError, match="the loss is nan at iteration 2; there is no checkpoint yet; "):
        training.proceed(begin(tmp_path / "run"))


def test_step_that_blows_up_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    trainer = Trainer.start(TINY)
    trainer.step()
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    spoil(monkeypatch, 1, infinite_gradient)
    with pytest.raises(FloatingPointError):
        trainer.step()
    assert trainer.iteration == 1
    assert all(before[name].equal(value) for name, value in trainer.network.state_dict().items())


def test_validation_that_is_not_finite_stops_the_run(tmp_path: Path):
    run = half_trained(tmp_path / "run")
    checkpoint = runs.read_checkpoint(run)
    checkpoint["network"]["bias"][0] = math.nan
    trainer = Trainer.start(TINY)
    trainer.load_state_dict(checkpoint)
    with pytest.raises(FloatingPointError, match="the loss on the validation set is nan"):
        score(trainer.network, TINY, "validation")


# ---- what is logged --------------------------------------------------------------------------------------------------

EVERY = {"event", "iteration", "loss", "recall_error"}
STEP = EVERY | {"seconds", "lr", "gradient_norm"}
SPIKING = {"rate_hz", "rate_regular_hz", "rate_adaptive_hz", "active", "density"}
OF_SPIKES = EVERY | {"rate_hz", "spikes", "synaptic_operations"}


@pytest.mark.parametrize(
    ("experiment", "of_a_step", "of_a_score"),
    [
        (TINY, STEP | SPIKING | {"died", "regrown"}, OF_SPIKES),
        (tiny_experiment(rewiring="off"), STEP | SPIKING, OF_SPIKES),
        (tiny_experiment(network=NonSpiking("gru", 4), rewiring="off"), STEP, EVERY | {"multiply_accumulates"}),
    ],
    ids=["deep-r", "fixed", "gru"],
)
def test_records_have_the_documented_fields(
    tmp_path: Path, experiment: Experiment, of_a_step: set[str], of_a_score: set[str]
):
    run = begin(tmp_path / "run", experiment)
    training.proceed(run)
    for record in runs.read_metrics(run):
        assert record.keys() == (of_a_step if record["event"] == "train" else of_a_score)


def test_the_gradients_norm_is_that_before_clipping():
    norms = []
    for clip_norm in (None, 0.01):
        trainer = Trainer.start(tiny_experiment(clip_norm=clip_norm))
        logged = trainer.step()["gradient_norm"]
        left = torch.cat([p.grad.flatten() for p in trainer.network.parameters() if p.grad is not None]).norm().item()
        norms.append((logged, left))
    (free, left_free), (clipped, left_clipped) = norms
    assert free == clipped == pytest.approx(left_free, rel=1e-5) and free > 0.02
    assert left_clipped == pytest.approx(0.01, rel=1e-3)


def test_log_validation_and_checkpoint_come_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    saved, write = [], runs.write_checkpoint
    monkeypatch.setattr(
        runs, "write_checkpoint", lambda run, state: (saved.append(state["iteration"]), write(run, state))
    )
    run = begin(tmp_path / "run", tiny_experiment(iterations=11, log_every=4, validate_every=3, checkpoint_every=5))
    training.proceed(run)
    at = {"train": [], "validation": [], "test": []}
    for record in runs.read_metrics(run):
        at[record["event"]].append(record["iteration"])
    assert at == {"train": [4, 8, 11], "validation": [3, 6, 9, 11], "test": [11]}
    assert saved == [5, 10, 11]


def test_every_step_is_reported(tmp_path: Path):
    seen = []
    training.proceed(begin(tmp_path / "run"), lambda record: seen.append((record["event"], record["iteration"])))
    assert [iteration for event, iteration in seen if event == "step"] == [*range(1, 13)]
    assert seen[-1] == ("test", 12)


def test_results_agree_with_the_metrics_and_the_network(tmp_path: Path):
    run = begin(tmp_path / "run")
    results = training.proceed(run)
    _, network, iteration = training.restore_network(run)
    last = {record["event"]: record for record in runs.read_metrics(run)}
    assert results["iterations"] == iteration == 12
    assert results["test"].items() <= last["test"].items()
    assert results["validation"].items() <= last["validation"].items()
    assert results["active"] == network.synapses.counts() and results["parameters"] == len(network.synapses) + 2
    assert score(network, TINY, "test") == results["test"]


def test_lr_follows_its_schedule(tmp_path: Path):
    run = begin(tmp_path / "run", VARIANTS["deep-r, sgd, decaying lr"])
    training.proceed(run)
    lr = {record["iteration"]: record["lr"] for record in runs.read_metrics(run) if record["event"] == "train"}
    assert [lr[k] for k in (1, 4, 5, 8, 9, 12)] == [0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125]


# ---- the paper's budget ----------------------------------------------------------------------------------------------


def test_smnist_keeps_its_budget_after_every_step():
    trainer = Trainer.start(replace(preset("smnist").experiment, batch_size=4))
    died = 0
    for _ in range(3):
        metrics = trainer.step()
        died += sum(trainer.optimizer.take_turnover().died.values())
        assert sum(trainer.network.synapses.counts().values()) == 8185
        assert len(torch.unique(trainer.network.synapses.position())) == 8185
    assert died > 100 and metrics["rate_hz"] > 1
