"""The command line: every mistake is one clear line and an exit code, and costs nothing that was there before."""

import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from lsnn import __version__, cli, mnist, pretrained, runs, training
from lsnn.presets import PRESETS
from lsnn.progress import Progress
from lsnn.trainer import Trainer
from tests.helpers import (
    ROOT,
    TINY,
    TINY_FLAGS,
    contents,
    full_disk,
    heed_ctrl_c,
    image_folder,
    python,
    timeless_metrics,
    tiny_experiment,
    weights,
)

Lsnn = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lsnn(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lsnn:
    """Run the command line in an empty folder.  Returns the exit code, what it printed and what it complained."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = cli.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


Refusal = Callable[..., str]

PROGRESS = r"iteration \d+ of \d+, \d+ s: \w+ [\d.]+ in validation\n"
"""a line for each validation, where no terminal is"""


@pytest.fixture
def refusal(lsnn: Lsnn) -> Refusal:
    """Run a command that must fail with the given exit code and one line, after those of progress if it trained.

    Returns the line without its prefix.
    """

    def run(code: int, *arguments: str | Path) -> str:
        actual, out, err = lsnn(*arguments)
        said = re.fullmatch(rf"(?:{PROGRESS})*lsnn: error: ([^\n]+)\n", err)
        assert (actual, out) == (code, "") and said, err
        return said[1].strip()

    return run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "finished"
    assert cli.main(["train", "store-recall", *TINY_FLAGS, "--run", str(run)]) == 0
    return run


@pytest.fixture(scope="session")
def unfinished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stopped in its fifth step, with a checkpoint after the fourth."""
    run = tmp_path_factory.mktemp("runs") / "unfinished"
    training.start(run, tiny_experiment(iterations=6, checkpoint_every=2), threads=1)

    def stop(record: dict[str, object]) -> None:
        if record["iteration"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.proceed(run, stop)
    return run


@pytest.fixture
def finished(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "finished"))


@pytest.fixture
def unfinished(unfinished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(unfinished_run, tmp_path / "unfinished"))


COMMANDS = ", ".join(cli.COMMANDS)


# ---- mistakes on the command line ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tran"], f"there is no command 'tran'; commands are {COMMANDS}"),
        (["--lr", "1"], f"there is no command '--lr'; commands are {COMMANDS}"),
        (["train"], "name a preset, as in: lsnn train store-recall; lsnn list shows them all"),
        (["train", "--lr", "1"], "name a preset, as in: lsnn train store-recall; lsnn list shows them all"),
        (["train", "smnst"], "there is no preset 'smnst'; did you mean smnist or smnist-rnn or smnist-lif?"),
        (["train", "qqq"], "there is no preset 'qqq'; lsnn list shows them all"),
        (["resume"], "Missing from lsnn resume: PATH run folder (required); lsnn resume --help lists all flags"),
        (["resume", "a", "b"], "Unrecognized options: b; lsnn resume --help lists all flags"),
        (["report"], "name one or more run folders, as in: lsnn report runs/store-recall-0"),
        (
            ["bench", "smnst"],
            "there is no work 'smnst'; did you mean smnist-paper or smnist-delays?; lsnn bench --help lists all flags",
        ),
        (
            ["bench", "--backends", "compiled,gpu"],
            "there is no backend 'gpu'; backends are reference, compiled; lsnn bench --help lists all flags",
        ),
        (
            ["bench", "--iterations", "0"],
            "iterations must be at least 1, got 0; 5 give a median; lsnn bench --help lists all flags",
        ),
        (
            ["bench", "--threads", "0"],
            "threads must lie in 1 ... 1024, got 0; one per core is enough; lsnn bench --help lists all flags",
        ),
        (["list", "--jsn"], "Unrecognized options: --jsn; did you mean --json?; lsnn list --help lists all flags"),
        (
            ["evaluate", "a", "--split", "train"],
            "invalid choice 'train' for argument '--split'. Expected one of ('test', 'validation'); "
            "lsnn evaluate --help lists all flags",
        ),
    ],
)
def test_wrong_commands_are_refused_with_code_2(refusal: Refusal, arguments: list[str], message: str):
    assert refusal(2, *arguments) == message


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--lr", "fast"], "--lr: could not convert string to float: 'fast'"),
        (["--lr", "-1"], "lr must be positive and at most 1e+06, got -1.0"),
        (["--lr"], ""),
        (["--iterations", "1.5"], "--iterations: invalid literal for int() with base 10: '1.5'"),
        (["--optimizer", "lion"], "invalid choice 'lion' for argument '--optimizer'. Expected one of ('adam', 'adamw'"),
        (["--task.n-in", "7"], "experiment.task: n_in must be a multiple of 4, got 7; four symbols share"),
        (["--network.cells.n-ref", "-1"], "experiment.network.cells: n_ref counts steps, 0 means no"),
        (["--network.cells.tau-a", "1", "2"], "experiment.network.cells: tau_a has 2 values for 20 neurons; give one"),
        (["--lrr", "1"], "Unrecognized options: --lrr, 1; did you mean --lr?"),
        (["--network.cells.tau-b", "1"], "Unrecognized options: --network.cells.tau-b, 1; did you mean"),
        (["extra"], "Unrecognized options: extra"),
    ],
)
@pytest.mark.parametrize("width", ["40", "200"])
@pytest.mark.parametrize("unicode", [True, False])
def test_wrong_flags_are_refused_with_code_2_and_leave_no_folder(
    refusal: Refusal,
    tmp_path: Path,
    flags: list[str],
    message: str,
    width: str,
    unicode: bool,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setattr("tyro._fmtlib._should_use_utf8_drawing_chars", lambda: unicode)
    line = refusal(2, "train", "store-recall", *flags)
    assert line.startswith(message) and line.endswith("; lsnn train store-recall --help lists all flags")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--network.connectivity", "2"], "connectivity must lie in (0, 1], got 2.0; 1 trains densely"),
        (["--rewiring", "deep-r"], "rewiring needs signed synapses: set --network.excitatory 0.75, or --rewiring off"),
        (["--threads", "-1"], "threads must lie in 1 ... 1024, got -1; one per core is enough"),
        (["--threads", "0"], "threads must lie in 1 ... 1024, got 0; one per core is enough"),
        (["--batch-size", "1000000000000000"], "the experiment cannot be set up ("),
    ],
)
def test_impossible_experiments_are_refused_and_leave_no_folder(
    refusal: Refusal, tmp_path: Path, flags: list[str], message: str
):
    assert refusal(1, "train", "store-recall", *flags).startswith(message)
    assert not list(tmp_path.iterdir())


# ---- mistakes about folders ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["resume", "evaluate", "report"])
def test_missing_run_folder_is_named(refusal: Refusal, command: str):
    assert refusal(1, command, "no/where") == "there is no run folder no/where; lsnn train writes one"
    line = refusal(1, command, "nowhere")
    assert line.startswith("there is no run folder nowhere")
    assert command == "resume" or "; the box has l2l-sine, " in line


@pytest.mark.parametrize("command", ["resume", "evaluate", "report"])
def test_folder_without_a_run_is_named(refusal: Refusal, tmp_path: Path, command: str):
    line = refusal(1, command, tmp_path)
    assert line == f"{tmp_path} has no config.json: it is not a run folder; name one that lsnn train wrote"
    assert not list(tmp_path.iterdir())


def test_existing_run_is_not_trained_over(refusal: Refusal, finished: Path):
    before = contents(finished)
    line = refusal(1, "train", "store-recall", *TINY_FLAGS, "--run", finished)
    assert line == f"{finished} exists already and nothing in it was touched; continue it with: lsnn resume {finished}"
    assert contents(finished) == before


def test_other_folder_is_not_trained_into(refusal: Refusal, tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    line = refusal(1, "train", "store-recall", *TINY_FLAGS, "--run", tmp_path)
    assert line == f"{tmp_path} exists already and nothing in it was touched; choose another folder with --run"
    assert contents(tmp_path) == {"thesis.tex": b"years of work"}


def test_run_folder_inside_a_file_is_refused(refusal: Refusal, tmp_path: Path):
    (tmp_path / "file").write_text("x")
    line = refusal(1, "train", "store-recall", *TINY_FLAGS, "--run", "file/run")
    assert line == "file/run: Not a directory; what was written before is kept, so put that right and try again"


def test_missing_data_folder_is_named_and_leaves_no_run(refusal: Refusal, tmp_path: Path):
    line = refusal(1, "train", "smnist", "--task.data", "nowhere")
    assert line.endswith("nowhere is no folder; name one that holds four IDX files, or none for the packaged MNIST")
    assert not list(tmp_path.iterdir())


def test_data_folder_with_a_wrong_file_is_named_and_leaves_no_run(refusal: Refusal, tmp_path: Path):
    images = image_folder(tmp_path / "images")
    labels = images / "train-labels-idx1-ubyte"
    labels.write_bytes(b"<html>404</html>")
    line = refusal(1, "train", "smnist", "--task.data", images, "--run", "run")
    assert line.startswith(f"{labels} starts with bytes 3c 68 74 6d, IDX labels with 00 00 08 01; it is another file")
    assert not (tmp_path / "run").exists()


def test_data_folder_that_vanished_stops_the_resumed_run(lsnn: Lsnn, refusal: Refusal, tmp_path: Path):
    images = image_folder(tmp_path / "images")
    training.start(tmp_path / "run", tiny_experiment(task=cheap_mnist(images)), threads=1)
    shutil.rmtree(images)
    mnist._load.cache_clear()  # as in another process
    assert "images is no folder; name one that holds four IDX files" in refusal(1, "resume", "run")


# ---- damaged runs ----------------------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    """Keep the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 4)


DAMAGE = pytest.mark.parametrize("damage", [cut, noise])


@DAMAGE
@pytest.mark.parametrize("command", ["resume", "evaluate"])
def test_damaged_checkpoint_is_named_and_nothing_is_lost(
    refusal: Refusal, unfinished: Path, command: str, damage: Callable[[Path], None]
):
    damage(unfinished / runs.CHECKPOINT)
    before = contents(unfinished)
    line = refusal(1, command, unfinished)
    assert line.startswith(f"{unfinished / runs.CHECKPOINT} is damaged: ")
    assert line.endswith(f"; restore it from a copy, or delete it, and lsnn resume {unfinished} makes it anew")
    assert contents(unfinished) == before


@DAMAGE
def test_damaged_weights_are_named_and_the_remedy_works(
    lsnn: Lsnn, refusal: Refusal, finished: Path, damage: Callable[[Path], None]
):
    whole = weights(finished)
    damage(finished / runs.WEIGHTS)
    before = contents(finished)
    line = refusal(1, "evaluate", finished)
    assert line.startswith(f"{finished / runs.WEIGHTS} is damaged: ")
    assert line.endswith(f"; restore it from a copy, or delete it, and lsnn resume {finished} makes it anew")
    assert contents(finished) == before
    (finished / runs.WEIGHTS).unlink()
    assert lsnn("resume", finished)[0] == 0 and weights(finished) == whole


@DAMAGE
@pytest.mark.parametrize("command", ["resume", "evaluate", "report"])
def test_damaged_config_is_named_and_nothing_is_lost(
    refusal: Refusal, unfinished: Path, command: str, damage: Callable[[Path], None]
):
    damage(unfinished / runs.CONFIG)
    before = contents(unfinished)
    line = refusal(1, command, unfinished)
    assert line.startswith(f"{unfinished / runs.CONFIG} is damaged: ") and line.endswith("; restore it from a copy")
    assert contents(unfinished) == before


def test_damaged_results_are_named(refusal: Refusal, finished: Path):
    (finished / runs.RESULTS).write_text("{}")
    for command in ("resume", "evaluate"):
        line = refusal(1, command, finished)
        assert line.startswith(f"{finished / runs.RESULTS} is damaged: it lacks iterations, seconds, test; restore")


@pytest.mark.parametrize("command", ["resume", "evaluate", "report"])
def test_results_without_their_metric_are_named(refusal: Refusal, finished: Path, command: str):
    runs.write_json(finished / runs.RESULTS, {"iterations": 6, "seconds": 1, "test": {}})
    line = refusal(1, command, finished)
    assert line.startswith(f"{finished / runs.RESULTS} is damaged: its test has no recall_error; restore it")


def test_damaged_metrics_are_named_by_line(refusal: Refusal, unfinished: Path):
    lines = (unfinished / runs.METRICS).read_text().splitlines()
    (unfinished / runs.METRICS).write_text("\n".join([lines[0], "#?", *lines[1:]]) + "\n")
    assert refusal(1, "resume", unfinished) == f"{unfinished / runs.METRICS} line 2 is damaged; delete that line"


@pytest.mark.parametrize("command", ["resume", "evaluate", "report"])
def test_config_of_another_format_is_named(refusal: Refusal, unfinished: Path, command: str):
    runs.write_json(unfinished / runs.CONFIG, runs.read_config(unfinished) | {"format": 2, "lsnn": "9.1"})
    assert refusal(1, command, unfinished) == (
        f"{unfinished / runs.CONFIG} has format 2, this lsnn reads 1; use the lsnn that wrote it (9.1)"
    )


@pytest.mark.parametrize("command", ["resume", "evaluate", "report"])
def test_config_with_fields_of_another_version_is_named(refusal: Refusal, unfinished: Path, command: str):
    config = runs.read_config(unfinished)
    config["experiment"]["network"]["cells"]["tau_b"] = 1.0
    runs.write_json(unfinished / runs.CONFIG, config)
    assert refusal(1, command, unfinished) == (
        f"{unfinished / runs.CONFIG}: network.cells has unknown fields ['tau_b']; "
        "it was edited, or written by another version of lsnn"
    )


def test_checkpoint_that_does_not_fit_is_named(refusal: Refusal, unfinished: Path):
    config = runs.read_config(unfinished)
    config["experiment"]["lr"] = 0.5
    runs.write_json(unfinished / runs.CONFIG, config)
    assert refusal(1, "resume", unfinished) == (
        f"{unfinished / runs.CHECKPOINT} does not fit {unfinished / runs.CONFIG} (it was made with another lr); "
        "restore both from a copy"
    )


def test_run_without_a_checkpoint_cannot_be_evaluated(refusal: Refusal, tmp_path: Path):
    training.start(tmp_path / "run", TINY)
    assert refusal(1, "evaluate", "run") == (
        "run has no checkpoint.pt: the run has not got that far, or the file was lost; go on with: lsnn resume run"
    )


def test_second_process_is_refused(unfinished: Path):
    before = contents(unfinished)
    with runs.locked(unfinished):
        second = python("-m", "lsnn", "resume", str(unfinished))
    assert (second.returncode, second.stdout) == (1, "")
    remedy = "wait for it or stop it first"
    assert second.stderr == f"lsnn: error: {unfinished} is being trained by another process; {remedy}\n"
    assert contents(unfinished) == before


# ---- disks, memory, numbers, fingers ---------------------------------------------------------------------------------


def test_full_disk_at_the_start_is_one_line(refusal: Refusal, tmp_path: Path):
    with full_disk(100):
        line = refusal(1, "train", "store-recall", *TINY_FLAGS, "--run", "run")
    assert line == "run/config.json: File too large; what was written before is kept, so put that right and try again"
    assert not list((tmp_path / "run").iterdir())


def test_full_disk_during_training_loses_nothing(lsnn: Lsnn, refusal: Refusal, unfinished: Path, tmp_path: Path):
    peaceful = Path(shutil.copytree(unfinished, tmp_path / "peaceful"))
    checkpoint = (unfinished / runs.CHECKPOINT).read_bytes()
    with full_disk(len(checkpoint) // 2):
        line = refusal(1, "resume", unfinished)
    assert line == (
        f"{unfinished / runs.CHECKPOINT}: File too large; nothing saved is lost, "
        f"so put that right and go on with: lsnn resume {unfinished}"
    )
    assert (unfinished / runs.CHECKPOINT).read_bytes() == checkpoint
    assert lsnn("resume", unfinished)[0] == 0 and lsnn("resume", peaceful)[0] == 0
    assert weights(unfinished) == weights(peaceful) and timeless_metrics(unfinished) == timeless_metrics(peaceful)


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_disk_without_space_is_said_to_be_so(
    refusal: Refusal, unfinished: Path, function: str, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = contents(unfinished)
    monkeypatch.setattr(os, function, refuse)
    line = refusal(1, "resume", unfinished)
    assert line.startswith(f"{unfinished / runs.METRICS}: No space left on device; nothing saved is lost")
    assert contents(unfinished) == before


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you ...")])
def test_too_little_memory_is_one_line(
    refusal: Refusal, unfinished: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
):
    def refuse(self: Trainer) -> None:
        raise error

    monkeypatch.setattr(Trainer, "step", refuse)
    line = refusal(1, "resume", unfinished)
    assert line == "the machine has too little memory for this; lower --batch-size or the network's size"


def test_mistakes_of_ours_keep_their_traceback(lsnn: Lsnn, unfinished: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(self: Trainer) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Trainer, "step", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        lsnn("resume", unfinished)


def test_numbers_that_blow_up_are_one_line(refusal: Refusal):
    line = refusal(1, "train", "store-recall", *TINY_FLAGS, "--network.gain", "1e39", "--run", "run")
    assert re.fullmatch(
        r"weight\[\d+\] is -?inf; smaller steps of training keep it finite; there is no checkpoint yet; "
        r"train anew with a lower --lr or a --clip-norm",
        line,
    )


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(lsnn: Lsnn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    step = Trainer.step

    def step_or_stop(self: Trainer) -> dict[str, float]:
        if self.iteration == 4:
            raise KeyboardInterrupt
        return step(self)

    flags = ("store-recall", *TINY_FLAGS, "--checkpoint-every", "2")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", step_or_stop)
        stopped = lsnn("train", *flags, "--run", "run")
    assert stopped[:2] == (130, "")
    assert re.fullmatch(PROGRESS + "lsnn: stopped; go on with: lsnn resume run\n", stopped[2])
    assert lsnn("resume", "run")[0] == 0 and lsnn("train", *flags, "--run", "peaceful")[0] == 0
    assert weights(Path("run")) == weights(Path("peaceful"))


def test_real_processes_killed_and_interrupted_end_with_the_same_bytes(lsnn: Lsnn, tmp_path: Path):
    """`kill -9` on the first process, Ctrl-C on the second, the third is left in peace."""
    flags = ("store-recall", *TINY_FLAGS, "--iterations", "150", "--validate-every", "150", "--checkpoint-every", "5")
    run = tmp_path / "run"
    train, resume = ("train", *flags, "--run", str(run)), ("resume", str(run))
    assert stopped_on_its_way(signal.SIGKILL, run, *train) == (-signal.SIGKILL, b"", b"")
    saved = runs.read_checkpoint(run)["iteration"]
    code, out, err = stopped_on_its_way(signal.SIGINT, run, *resume)
    assert (code, out, err.decode()) == (130, b"", f"lsnn: stopped; go on with: lsnn resume {run}\n")
    assert 0 < saved < runs.read_checkpoint(run)["iteration"] < 150
    assert lsnn(*resume)[0] == 0 and lsnn("train", *flags, "--run", "peaceful")[0] == 0
    assert weights(run) == weights(tmp_path / "peaceful")
    assert timeless_metrics(run) == timeless_metrics(tmp_path / "peaceful")


def stopped_on_its_way(how: signal.Signals, run: Path, *arguments: str) -> tuple[int, bytes, bytes]:
    """Start a training, and stop it after two more checkpoints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "lsnn", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, **pipes, preexec_fn=heed_ctrl_c)
    versions = {version(run / runs.CHECKPOINT)}
    while process.poll() is None and len(versions) < 3:
        time.sleep(0.003)
        versions.add(version(run / runs.CHECKPOINT))
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def version(path: Path) -> int:
    """A number that changes when a file is replaced."""
    return path.stat().st_mtime_ns if path.exists() else 0


# ---- what works ------------------------------------------------------------------------------------------------------


def cheap_mnist(images: Path):
    from lsnn.tasks import SequentialMnist

    return SequentialMnist(order="rows", encoding="analog", data=images)


def test_help_without_a_command(lsnn: Lsnn):
    assert lsnn() == (2, cli.HELP, "")
    assert lsnn("--help") == lsnn("-h") == (0, cli.HELP, "")


def test_version(lsnn: Lsnn):
    assert lsnn("--version") == (0, f"lsnn {__version__}\n", "")


@pytest.mark.parametrize("command", sorted({*COMMANDS.split(", ")} - {"train"}))
def test_every_command_has_help(lsnn: Lsnn, command: str):
    code, out, err = lsnn(command, "--help")
    assert (code, err) == (0, "") and f"usage: lsnn {command}" in out


def test_help_of_train_names_the_presets(lsnn: Lsnn):
    code, out, err = lsnn("train", "--help")
    assert (code, err) == (0, "") and all(name in out for name in PRESETS)


def test_help_of_a_preset_shows_units_and_its_defaults(lsnn: Lsnn, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "100")
    code, out, err = lsnn("train", "smnist-2ms", "--help")
    assert (code, err) == (0, "")
    text = " ".join(out.replace("│", " ").split())
    for flag in (
        "--network.cells.tau-a FLOAT|{[FLOAT [FLOAT ...]]} threshold adaptation time constant, ms; "
        "one value or one per neuron (default: 1400.0)",
        "ms (default: 2) --task.cue-ms ",
        "--rate-target FLOAT firing rate that the regulariser pulls every neuron towards, Hz (default: 10.0)",
        "--run {None}|PATH run folder to make; not given: runs/PRESET-SEED (default: None)",
    ):
        assert flag in text


@pytest.mark.parametrize("preset", ["smnist", "store-recall-lstm"])
def test_every_flag_has_a_description_and_a_default(lsnn: Lsnn, preset: str):
    text = " ".join(lsnn("train", preset, "--help")[1].replace("│", " ").split())
    flags = re.split(r" (?=--[a-z][-.\w]* )", text)[2:]  # what comes before the first, and --help
    assert len(flags) > 25
    assert not [flag for flag in flags if not re.search(r" [a-z]\w* .*\(default: ", flag)]


def test_list_names_every_preset_with_the_paper_s_numbers(lsnn: Lsnn, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = lsnn("list")
    rows = {line.split()[0]: line for line in out.splitlines()[1:] if line.strip()}
    assert (code, err) == (0, "") and rows.keys() - {"?", "*"} == PRESETS.keys()
    assert "  94.2 % (mean over runs), 94.7 % (best run)" in rows["smnist-paper"]


def test_list_has_the_scores_of_the_networks_in_the_box(lsnn: Lsnn, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    listed = json.loads(lsnn("list", "--json")[1])
    assert {name for name, row in listed.items() if row["box"]} == set(pretrained.names())
    results = runs.read_results(pretrained.folder("smnist"))
    assert listed["smnist"]["box"]["value"] == results["test"]["accuracy"]
    row = next(line for line in lsnn("list", "smnist")[1].splitlines() if line.startswith("smnist "))
    assert f"{results['test']['accuracy']:.1%}".replace("%", " % in ") in row


def test_list_marks_what_is_recalled_and_what_was_trained_with_other_settings(
    lsnn: Lsnn, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "200")
    rows = {line.split()[0]: line for line in lsnn("list", "smnist")[1].splitlines() if line.strip()}
    assert "92.0 %? (mean over runs), 93.3 % (best run)" in rows["smnist-dense"]
    assert " %* in " in rows["smnist-dense"] and "%*" not in rows["smnist"]
    assert {"?", "*"} < rows.keys()
    listed = json.loads(lsnn("list", "smnist", "--json")[1])
    assert listed["smnist-dense"]["box"]["settings"] == ["--iterations 6000", "--lr 0.005"]
    assert listed["smnist"]["box"]["settings"] == []


def test_list_is_a_line_for_each_preset_where_nothing_limits_its_width(lsnn: Lsnn, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = lsnn("list")[1].splitlines()
    for name, preset in PRESETS.items():
        assert any(line.startswith(f"{name} ") and preset.summary in line for line in lines)


def test_list_takes_the_beginning_of_names(lsnn: Lsnn):
    listed = json.loads(lsnn("list", "l2l", "--json")[1])
    assert listed and all(name.startswith("l2l") for name in listed)
    code, _, err = lsnn("list", "nothing")
    assert code == 2 and "no preset's name begins with 'nothing'" in err


def test_list_json_parses(lsnn: Lsnn):
    code, out, err = lsnn("list", "--json")
    listed = json.loads(out)
    assert (code, err) == (0, "") and listed.keys() == PRESETS.keys()
    assert listed["smnist"]["paper"][0].items() >= {"metric": "accuracy", "value": 0.942}.items()


def test_train_names_run_and_result_and_tells_validations_elsewhere(lsnn: Lsnn, tmp_path: Path):
    code, out, err = lsnn("train", "store-recall", *TINY_FLAGS, "--seed", "3")
    run = Path("runs/store-recall-3")
    recall_error = runs.read_results(run)["test"]["recall_error"]
    first, second = out.splitlines()
    assert code == 0 and re.fullmatch(PROGRESS * 2, err) and second == f"figures and results page: lsnn report {run}"
    assert re.fullmatch(
        rf"recall_error on the test set: {recall_error:.4f}  \(6 iterations, \d+ s of training\)", first
    )
    assert runs.read_config(run)["preset"] == "store-recall" and training.load(run).seed == 3


def test_seed_decides_everything(lsnn: Lsnn, tmp_path: Path):
    for run, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        assert lsnn("train", "store-recall", *TINY_FLAGS, "--seed", seed, "--run", run)[0] == 0
    assert weights(Path("a")) == weights(Path("b")) != weights(Path("c"))


def test_resuming_a_finished_run_says_so_and_repeats_its_result(lsnn: Lsnn, finished: Path):
    before = contents(finished)
    code, out, err = lsnn("resume", finished)
    assert (code, err) == (0, "")
    assert out.startswith(f"{finished} is already finished\nrecall_error on the test set: ")
    assert contents(finished) == before


def test_unfinished_run_is_evaluated_at_its_checkpoint(lsnn: Lsnn, unfinished: Path):
    before = contents(unfinished)
    code, out, err = lsnn("evaluate", unfinished, "--json")
    assert (code, err) == (0, "") and json.loads(out)["iteration"] == 4
    assert contents(unfinished) == before


@pytest.mark.parametrize("split", ["test", "validation"])
def test_evaluate_json_has_the_scores_of_the_results(lsnn: Lsnn, finished: Path, split: str):
    code, out, err = lsnn("evaluate", finished, "--json", "--split", split)
    scores = runs.read_results(finished)[split]
    assert (code, err) == (0, "")
    assert json.loads(out) == {"run": str(finished), "iteration": 6, "split": split, **scores}


def test_evaluate_prints_every_score(lsnn: Lsnn, finished: Path):
    code, out, err = lsnn("evaluate", finished)
    table = {line.split()[0]: line.split()[1] for line in out.splitlines()[1:]}
    assert (code, err) == (0, "")
    assert table == {name: f"{value:.4f}" for name, value in runs.read_results(finished)["test"].items()}


def test_folder_of_images_is_trained_on(lsnn: Lsnn, tmp_path: Path):
    images = image_folder(tmp_path / "images")
    flags = ("--task.order", "rows", "--iterations", "2", "--batch-size", "8", "--network.n-hidden", "4")
    code, out, err = lsnn("train", "smnist-rnn", "--task.data", images, *flags, "--run", "run")
    assert code == 0 and re.fullmatch(PROGRESS, err) and out.startswith("accuracy on the test set: ")
    assert training.load(Path("run")).task.data == images


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_takes_leaves_no_traceback(unbuffered: str):
    """`python -m lsnn --version | head -0`, and the same `> /dev/full`."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    read, write = os.pipe()
    os.close(read)
    done = []
    for out in (write, os.open("/dev/full", os.O_WRONLY)):
        command = [sys.executable, "-m", "lsnn", "--version"]
        done.append(subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment))
        os.close(out)
    to_closed, to_full = done
    assert (to_closed.returncode, to_closed.stderr) == (1, "")
    assert to_full.returncode == 1
    assert re.fullmatch(r"lsnn: error: output: No space left on device; [^\n]+\n", to_full.stderr)


# ---- progress --------------------------------------------------------------------------------------------------------

STEP = {"event": "step", "iteration": 40, "seconds": 7.6, "loss": 0.5, "recall_error": 0.25, "rate_hz": 12.0}
TRAIN = STEP | {"event": "train", "density": {"input": 0.3, "recurrent": 0.2, "readout": 0.1}}
VALIDATION = {"event": "validation", "iteration": 40, "loss": 0.75, "recall_error": 0.125, "rate_hz": 11.0}


def drawn(*records: dict[str, object], terminal: bool = True) -> str:
    """What progress draws for these records."""
    file = io.StringIO()
    console = Console(force_terminal=terminal, file=file, width=160)
    with Progress(Path("runs/x"), tiny_experiment(iterations=100), console) as progress:
        for record in records:
            progress(record)
    return file.getvalue()


def test_progress_on_a_terminal_shows_everything_at_a_glance():
    rates = {"rate_regular_hz": 15.0, "rate_adaptive_hz": 9.0}
    text = drawn(STEP | {"iteration": 39}, STEP | rates, TRAIN | rates, VALIDATION)
    shown = text.split("runs/x")[-2]  # the last table, above the last bar
    for part in (
        *("0.5000", "0.250", "15.0 Hz regular, 9.0 Hz adaptive", "input 30.0 %, recurrent 20.0 %, readout 10.0 %"),
        *("validation", "0.7500", "0.125", "11.0 Hz"),
    ):
        assert part in shown
    bar = text.split("runs/x")[-1]
    assert "40/100" in bar and "it/s" in bar and re.search(r"\d:\d\d:\d\d", bar)


def test_progress_of_a_network_without_spikes_has_no_rates():
    text = drawn({"event": "step", "iteration": 1, "loss": 0.5, "recall_error": 0.25})
    assert "0.5000" in text and "Hz" not in text


def test_progress_elsewhere_is_a_line_for_each_validation():
    line = "iteration 40 of 100, 8 s: recall_error 0.1250 in validation\n"
    assert drawn(STEP, TRAIN, VALIDATION, STEP, terminal=False) == line and re.fullmatch(PROGRESS, line)


def test_real_run_is_drawn(tmp_path: Path):
    file = io.StringIO()
    training.start(tmp_path / "run", TINY, threads=1)
    with Progress(tmp_path / "run", TINY, Console(force_terminal=True, file=file, width=160)) as progress:
        results = training.proceed(tmp_path / "run", progress)
    end = file.getvalue()[-4000:]
    assert "12/12" in end and f"{results['test']['loss']:.4f}" in end
    assert torch.get_num_threads() == 1
