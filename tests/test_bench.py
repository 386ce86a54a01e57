"""lsnn bench: what a measurement holds, how it fails, how it reads.  Nothing here asserts a time."""

import json
import sys
from dataclasses import replace

import pytest
import torch

from lsnn import bench, cli
from lsnn.bench import apart, clock, works
from lsnn.bench.measuring import measure
from lsnn.bench.works import Training, Work
from tests.helpers import TINY

TINY_WORK = Work("tiny", 3, 60, 20, 6, 6, 2, gain=1.5, connectivity=0.5, max_delay=3, n_ref=2, excitatory=0.75)
TIMES = {"iteration_s", "fastest_s", "slowest_s", "first_s", "iterations", "rate_hz", "peak_mb"}
PHASES = {"forward_s", "loss_s", "backward_s", "optimizer_s"}


@pytest.mark.parametrize("memory", ["fast", "low"])
def test_reference_and_compiled_are_measured_on_the_same_spikes(memory):
    rows = [measure(TINY_WORK, backend, memory, 2, 1) for backend in works.BACKENDS]
    for row in rows:
        assert row.keys() == TIMES | PHASES and row["iterations"] == 2
        assert row["fastest_s"] <= row["iteration_s"] <= row["slowest_s"]
        assert sum(row[phase] for phase in PHASES) <= row["slowest_s"] * 2
    assert rows[0]["rate_hz"] == pytest.approx(rows[1]["rate_hz"], rel=1e-6) and rows[0]["rate_hz"] > 5


@pytest.mark.parametrize("backend", works.BACKENDS)
def test_streaming_counts_single_steps(backend):
    row = measure(replace(TINY_WORK, batch=1, streams=True), backend, "fast", 2, 1)
    assert row.keys() == TIMES and row["iterations"] == TINY_WORK.steps - 1
    assert row["rate_hz"] > 5


@pytest.mark.parametrize("backend", works.BACKENDS)
def test_training_step_is_divided_into_its_phases(backend):
    row = measure(Training("tiny", TINY, settle=2), backend, "fast", 3, 1)
    phases = {"encode_s", "forward_s", "backward_s", "optimizer_s", "rewire_s"}
    assert row.keys() == TIMES | phases and row["iterations"] == 3
    assert all(row[phase] > 0 for phase in phases) and row["rate_hz"] > 5


def test_training_without_rewiring_has_no_such_phase():
    row = measure(Training("tiny", replace(TINY, rewiring="off")), "compiled", "fast", 2, 1)
    assert "rewire_s" not in row and row["optimizer_s"] > 0


def test_inputs_and_network_are_the_same_at_every_call():
    assert torch.equal(TINY_WORK.inputs(), TINY_WORK.inputs())
    first, second = (TINY_WORK.network().state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_slow_iterations_stop_when_patience_ends():
    calls = []

    def step(watch: clock.Clock) -> float:
        watch.begin()
        watch.end()
        calls.append(None)
        return 10.0

    assert clock.repeat(step, 50, patience=0.0)["iterations"] == clock.MINIMUM
    assert len(calls) == 1 + clock.MINIMUM
    assert clock.repeat(step, 50)["iterations"] == 50


def test_named_works_are_measured_and_slow_ones_only_when_named():
    everything = bench.plan((), works.BACKENDS)
    assert ("W2", "compiled") in everything and not works.LEFT_OUT & set(everything)
    assert bench.plan(("large",), ["compiled"]) == [("large", "compiled")]
    assert bench.plan(("W3", "W1"), ["compiled"]) == [("W3", "compiled"), ("W1", "compiled")]


def test_every_work_can_be_built():
    for name, work in works.WORKS.items():
        assert work.about and work.batch >= 1, name
        if isinstance(work, Work):
            assert work.network().synapses.n == work.n


# ---- what can go wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise ValueError('two\\nlines')", "its process failed: lines"),
        ("raise SystemExit(3)", "its process failed: exit code 3, and not a word"),
        ("raise MemoryError", "the machine has too little memory for it; free some, or leave it out"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "its process was killed (signal 9), most likely for lack of memory; free some, or leave it out",
        ),
        ("import os; os.abort()", "its process died of SIGABRT"),
    ],
)
def test_failed_process_is_a_line_in_the_table(code, problem):
    row = {"work": "W2", "backend": "compiled", "memory": "fast", "threads": 1}
    row |= apart.measured_apart([sys.executable, "-c", code])
    assert row["problem"] == problem
    assert bench.table([row]).splitlines()[-1] == f"W2, compiled: {problem}"


def test_too_little_memory_leaves_a_measurement_out(monkeypatch, capsys):
    monkeypatch.setattr(apart, "free_gb", lambda: 3.5)
    row = bench.measure("W2", "reference", threads=1)
    assert row["skipped"] == "not measured: it may need 15 GB of memory, and 3.5 GB are free"
    assert cli.main(["bench", "W2", "--backends", "reference"]) == 0
    assert capsys.readouterr().out.endswith("W2, reference: " + row["skipped"] + "\n")


def test_what_a_container_holds_is_not_free(monkeypatch):
    files = {"/proc/meminfo": "MemAvailable: 52428800 kB", "/sys/fs/cgroup/memory.max": str(8 * 1024**3)}
    files["/sys/fs/cgroup/memory.stat"] = f"anon {5 * 1024**3}\nfile {2 * 1024**3}\n"
    monkeypatch.setattr(clock.Path, "read_text", lambda path: files[str(path)])
    assert clock.free_gb() == 3
    files["/sys/fs/cgroup/memory.max"] = "max"
    assert clock.free_gb() == 50


def test_one_failed_measurement_leaves_the_others_and_exit_code_1(monkeypatch, capsys):
    times = {"iteration_s": 0.1, "fastest_s": 0.1, "slowest_s": 0.2, "first_s": 1.0, "iterations": 5}
    answers = iter([{"problem": "it broke"}, {**times, "rate_hz": 10.0, "peak_mb": 100.0}])
    monkeypatch.setattr(bench, "measured_apart", lambda *_: next(answers))
    assert cli.main(["bench", "W3"]) == 1
    out = capsys.readouterr().out
    assert "100 ms" in out and out.endswith("W3, reference: it broke\n")


def test_ctrl_c_keeps_what_was_measured(monkeypatch, capsys):
    def measured(work, backend, **_):
        if work == "W2":
            raise KeyboardInterrupt
        return {"work": work, "backend": backend, "memory": None, "threads": 1, "iteration_s": 0.25}

    monkeypatch.setattr(bench, "measure", measured)
    assert cli.main(["bench", "W3", "W2", "--backends", "compiled"]) == 130
    assert "250 ms" in capsys.readouterr().out


# ---- the table ------------------------------------------------------------------------------------------------------


def test_command_prints_one_object_with_machine_and_rows(capsys):
    assert cli.main(["bench", "W3", "--backends", "compiled", "--iterations", "2", "--threads", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    (row,) = result["rows"]
    assert result.keys() == {"lsnn", "machine", "rows"} and err == ""
    assert result["machine"].keys() == {"cpu", "cores", "threads", "python", "torch", "numba"}
    assert result["machine"]["threads"] == 1
    assert row.keys() == {"work", "backend", "memory", "threads", "ratio"} | TIMES | PHASES
    assert (row["work"], row["backend"], row["memory"], row["ratio"]) == ("W3", "compiled", "fast", None)
    assert 5 < row["rate_hz"] < 30 and row["peak_mb"] > 10


def test_table_is_aligned_and_names_ratios_to_the_base():
    def row(work, backend, seconds):
        times = {"iteration_s": seconds, "fastest_s": seconds, "slowest_s": seconds, "first_s": 2.0, "iterations": 5}
        return {"work": work, "backend": backend, "memory": None, "threads": 2, "rate_hz": 12.34, **times}

    rows = [row("W2", "reference", 6.5), row("W2", "compiled", 0.13), row("W3", "compiled", 0.05)]
    rows = bench.with_ratios(rows, "reference")
    assert [r["ratio"] for r in rows] == [1.0, pytest.approx(50.0), None]
    lines = bench.table(rows).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "6.5 s" in lines[2] and "50x" in lines[3] and "12.3 Hz" in lines[4]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (1.88e-5, "18.8 us"), (0.1234, "123 ms"), (0.9996, "1 s"), (6.543, "6.54 s"), (123.4, "123 s")],
)
def test_times_have_three_digits(value, text):
    from lsnn.bench.table import seconds

    assert seconds(value) == text


def test_help_names_every_work(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert cli.main(["bench", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in works.WORKS)
