"""Sweeps: every combination is a run, none twice, and what cannot be is refused before anything starts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lsnn import cli, runs, sweep, training
from lsnn.presets import preset
from tests.helpers import ROOT, error, heed_ctrl_c

TINY = (
    *("--set", "task.n-in=8 task.rate-hz=300.0 task.n-slots=3 task.slot-ms=5 task.n-evaluation=8"),
    *("--set", "batch-size=4 iterations=6 validate-every=3"),
    *("--set", "network.cells.n-regular=5 network.cells.n-adaptive=5"),
)


def test_settings_vary_in_step_or_in_every_combination():
    assert sweep.variations("lr=0.01,0.02 l1=0.1,0.2") == [{"lr": 0.01, "l1": 0.1}, {"lr": 0.02, "l1": 0.2}]
    assert sweep.variations("--network.cells.tau-a-range=50:1400,None") == [
        {"network.cells.tau_a_range": [50, 1400]},
        {"network.cells.tau_a_range": None},
    ]
    vary = [sweep.variations("network.max-delay=1,10"), sweep.variations("rewiring=deep-r,off")]
    cells = sweep.plan(["smnist"], {"iterations": 7}, vary, [0, 3], Path("out"))
    assert len({cell.run for cell in cells}) == 8
    assert cells[-1].run == Path("out/smnist_max_delay=10_rewiring=off_3")
    changed = cells[-1].experiment
    assert (changed.network.max_delay, changed.rewiring, changed.seed, changed.iterations) == (10, "off", 3, 7)


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("lr", "write NAME=VALUE,VALUE"),
        ("lr=", "write NAME=VALUE,VALUE"),
        ("lr=1,2 l1=1", "as many values each, got {'lr': 2, 'l1': 1}"),
        ("", "as many values each, got none"),
    ],
)
def test_what_cannot_be_read_says_how_to_write_it(text, complaint):
    assert complaint in error(sweep.variations, text)


def test_a_list_takes_one_value_several_or_none():
    experiment = preset("smnist").experiment
    for text, expected in (("reset", ("reset",)), ("reset:threshold", ("reset", "threshold")), ("[]", ())):
        (settings,) = sweep.variations(f"network.cells.detach={text}")
        assert sweep.changed(experiment, settings).network.cells.detach == expected


def test_names_and_values_that_do_not_exist_are_refused():
    experiment = preset("smnist").experiment
    assert "no setting 'network.tau-b'" in error(sweep.changed, experiment, {"network.tau_b": 1})
    assert "no setting 'lr.x'" in error(sweep.changed, experiment, {"lr.x": 1})
    assert "network.max-delay=long cannot be" in error(sweep.changed, experiment, {"network.max_delay": "long"})
    assert "lr=-1 cannot be: lr must be positive" in error(sweep.changed, experiment, {"lr": -1})
    assert error(sweep.changed, experiment, {"task.logit_scale": 0}).endswith("got 0.0; the paper has 1")


def test_seeds_are_given_by_their_own_flag_and_train_once():
    for settings, vary in (({"seed": 9}, []), ({}, [sweep.variations("seed=5,6")])):
        assert "seeds are given by --seeds" in error(sweep.plan, ["smnist"], settings, vary, [0], Path("out"))
    cells = sweep.plan(["smnist", "smnist"], {}, [], [0, 0, 1], Path("out"))
    assert [cell.experiment.seed for cell in cells] == [0, 1]


def test_iterations_that_epochs_would_overrule_are_refused():
    experiment = preset("timit").experiment
    message = error(sweep.changed, experiment, {"iterations": 3})
    assert "iterations=3 cannot be: training counts 80 epochs, from which --iterations would follow" in message
    assert sweep.changed(experiment, {"iterations": 3, "epochs": None}).iterations == 3


def test_two_spellings_of_a_value_train_once():
    for values in ("lr=0.02,2e-2", "batch-size=7,7", "lr=1,1.0"):
        assert len(sweep.plan(["smnist"], {}, [sweep.variations(values)], [0], Path("out"))) == 1


@pytest.fixture
def sweep_command(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["sweep", *arguments])
        return code, *capfd.readouterr()

    return run


def test_a_sweep_trains_compares_and_goes_on_where_it_was(sweep_command):
    words = ("store-recall", "--vary", "network.max-delay=1,3", "--seeds", "0", "--out", "s", *TINY)
    code, out, _ = sweep_command(*words)
    assert code == 0 and out.count("test recall_error") == 2 and "comparison: s/report/results.md" in out
    assert "network.max-delay 3" in Path("s/report/results.md").read_text()

    first, second = (Path(f"s/store-recall_max_delay={delay}_0") for delay in (1, 3))
    finished = (first / runs.RESULTS).stat().st_mtime_ns
    (second / runs.RESULTS).unlink()
    (second / runs.CHECKPOINT).write_bytes(b"nothing")
    code, out, err = sweep_command(*words)
    assert (first / runs.RESULTS).stat().st_mtime_ns == finished
    assert code == 1 and "checkpoint.pt is damaged" in out
    assert "1 of 2 runs failed, first s/store-recall_max_delay=3_0; the same command goes on" in err

    code, _, err = sweep_command(*words, "--set", "lr=0.5")
    assert code == 1 and "was made with other settings; choose another folder with --out" in err
    assert training.load(first).lr == 0.01


@pytest.mark.parametrize(("torch_s_choice", "jobs", "threads"), [(8, 1, 4), (8, 2, 2), (8, 3, 1), (1, 2, 1), (2, 1, 2)])
def test_runs_share_the_cores_that_this_process_may_use(monkeypatch, torch_s_choice, jobs, threads):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3})
    monkeypatch.setattr(torch, "get_num_threads", lambda: torch_s_choice)  # OMP_NUM_THREADS, where it is set
    assert (sweep.cores(), sweep.threads_each(jobs)) == (4, threads)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_sweep_that_is_ended_ends_its_runs(tmp_path, how, code):
    """The signal goes to the sweep alone; Ctrl-C in a terminal goes to its runs, too."""
    long = ("--set", "iterations=100000 checkpoint-every=1 network.backend=reference")
    words = ("store-recall", "--seeds", "0", "1", "--out", str(tmp_path), *TINY, *long)
    command = [sys.executable, "-m", "lsnn", "sweep", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=heed_ctrl_c)
    run = tmp_path / "store-recall_0"
    while process.poll() is None and not (run / runs.CHECKPOINT).exists():
        time.sleep(0.01)
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode == code
    with runs.locked(run):  # nobody trains it any more
        assert not (tmp_path / "store-recall_1" / runs.METRICS).exists()


@pytest.mark.parametrize(("end", "reason"), [("os.abort()", "exit code -6"), ("sys.exit('a bug')", "a bug")])
def test_a_run_that_was_killed_is_not_reported_by_its_progress(tmp_path, monkeypatch, end, reason):
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport os, sys\nprint('iteration 40', file=sys.stderr, flush=True)\n{end}")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    cell, told = sweep.Cell(tmp_path, "smnist", preset("smnist").experiment), []
    sweep.proceed([cell], 1, lambda *heard: told.append(heard[1]))
    assert told == [reason]


@pytest.mark.parametrize(
    "words, complaint",
    [
        ([], "name a preset"),
        (["store-recall", "--jobs", "999"], "as many as there are cores to use"),
        (["store-recal"], "store-recall"),
        (["store-recall", "--set", "lr=1,2"], "--set takes one value"),
        (["store-recall", "--vary", "lr"], "write NAME=VALUE,VALUE"),
    ],
)
def test_a_wrong_command_line_starts_nothing(sweep_command, words, complaint):
    code, _, err = sweep_command(*words)
    assert code == 2 and complaint in err and not list(Path().iterdir())
