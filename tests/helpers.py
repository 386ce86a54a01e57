"""What tests of runs, training and the command line share: experiments of milliseconds, and ways to interrupt them."""

import contextlib
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lsnn import Cells, cli, runs, training
from lsnn.experiments import Experiment, NonSpiking, Spiking
from lsnn.ppo import Ppo
from lsnn.tasks import Navigation, StoreRecall
from lsnn.trainer import Trainer

ROOT = Path(__file__).parent.parent

TINY = Experiment(
    task=StoreRecall(n_in=8, rate_hz=300.0, n_slots=3, slot_ms=5, n_evaluation=8),
    network=Spiking(cells=Cells(n_regular=5, n_adaptive=5), connectivity=0.3, max_delay=3),
    iterations=12,
    batch_size=4,
    rate_cost=0.01,
    validate_every=6,
    log_every=1,
    checkpoint_every=5,
)
"""an LSNN with DEEP R; a step takes milliseconds"""

TINY_FLAGS = (
    *("--task.n-in", "8", "--task.rate-hz", "300", "--task.n-slots", "3", "--task.slot-ms", "5"),
    *("--task.n-evaluation", "8", "--batch-size", "4", "--iterations", "6", "--validate-every", "3"),
    *("--network.cells.n-regular", "5", "--network.cells.n-adaptive", "5", "--threads", "1"),
)
"""make an experiment of milliseconds out of the preset store-recall"""


def tiny_experiment(**changes: Any) -> Experiment:
    """TINY with some fields changed."""
    return replace(TINY, **changes)


ACTING = Experiment(
    task=Navigation(steps=60, a_scale=0.1, n_channels=8, n_reward=4, n_validation=6, n_test=8),
    network=Spiking(
        Cells(n_regular=6, n_adaptive=5, n_ref=3, noise_std=0.03, trainable=("noise_std",)),
        connectivity=0.4,
        max_delay=3,
    ),
    iterations=12,
    batch_size=4,
    rate_cost=100.0,
    rate_reduction="mean",
    ppo=Ppo(),
    validate_every=6,
    log_every=1,
    checkpoint_every=5,
)
"""an LSNN that acts; a step takes tens of milliseconds"""


def acting_experiment(**changes: Any) -> Experiment:
    """ACTING with some fields changed."""
    return replace(ACTING, **changes)


VARIANTS = {
    "deep-r": tiny_experiment(lr=0.02, l1=1.0, log_every=3),
    "deep-r, carried state, hot": tiny_experiment(lr=0.05, temperature=1e-4, carry_state=True),
    "deep-r, sgd, decaying lr": tiny_experiment(optimizer="sgd", lr=0.05, l1=0.2, lr_decay=0.5, lr_decay_every=4),
    "deep-r, cosine": tiny_experiment(lr=0.05, l1=0.2, schedule="cosine", warmup=3),
    "soft-deep-r, adamw": tiny_experiment(rewiring="soft-deep-r", optimizer="adamw", lr=0.05, temperature=1e-3),
    "noise, trained constants": tiny_experiment(
        network=replace(TINY.network, cells=Cells(5, 5, noise_std=0.01, trainable=("tau_a", "beta", "noise_std")))
    ),
    "free signs": tiny_experiment(
        network=replace(TINY.network, excitatory=None), rewiring="off", clip_norm=0.1, carry_state=True
    ),
    "acting, several passes": acting_experiment(lr=0.05, ppo=Ppo(gae_lambda=0.9, normalise=True, passes=2)),
    "acting, lstm": acting_experiment(network=NonSpiking("lstm", 6), rewiring="off"),
    "lstm, carried state": tiny_experiment(network=NonSpiking("lstm", 6), rewiring="off", carry_state=True),
    "gru, carried state": tiny_experiment(network=NonSpiking("gru", 6), rewiring="off", carry_state=True, lr_decay=0.9),
}  # fmt: skip
"""every kind of state that a checkpoint has to hold, by name"""


def begin(run: Path, experiment: Experiment = TINY) -> Path:
    """Make the run folder of an experiment on one thread."""
    training.start(run, experiment, threads=1)
    return run


def error(function: Callable[..., object], *arguments: object, **keywords: object) -> str:
    """The message with which a function refuses its arguments: one line."""
    with pytest.raises(ValueError) as caught:
        function(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def timeless_metrics(run: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what the clock says."""
    return [{name: value for name, value in record.items() if name != "seconds"} for record in runs.read_metrics(run)]


def weights(run: Path) -> bytes:
    """The bytes of a run's trained weights."""
    return (run / runs.WEIGHTS).read_bytes()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but its lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def image_folder(folder: Path, n_train: int = 48, n_test: int = 6) -> Path:
    """Write random images and labels in MNIST's layout."""
    generator = torch.Generator().manual_seed(0)
    folder.mkdir()
    for name, n in (("train", n_train), ("t10k", n_test)):
        for kind, shape, top in (("images-idx3", (n, 28, 28), 256), ("labels-idx1", (n,), 10)):
            header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
            data = torch.randint(top, shape, generator=generator, dtype=torch.uint8).numpy().tobytes()
            (folder / f"{name}-{kind}-ubyte").write_bytes(header + data)
    return folder


@contextlib.contextmanager
def full_disk(n_bytes: int) -> Iterator[None]:
    """No file can grow beyond so many bytes: the operating system refuses, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def python(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run Python on one thread in the root of the repository."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout)


def heed_ctrl_c() -> None:
    """Tests may run in the background of a shell, which has its children ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def in_fresh_process(function: Callable[..., Any], *arguments: str) -> Any:
    """What a function of this module returns in a new process.

    A process may be forked only as long as torch's autograd has not run in it, which a test session can't promise.
    """
    code = f"import json, sys; from tests import helpers; print(json.dumps(helpers.{function.__name__}(*sys.argv[1:])))"
    done = python("-c", code, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---- killing; these run in a process of their own --------------------------------------------------------------------

TRAPS = ("mid-file", "before renaming", "after renaming", "mid-line")
"""where in a write a process kills itself"""


def kill_at_random_moments(baseline: str, run: str, n_kills: str, n_lines: str) -> list[dict[str, int]]:
    """Train `baseline` in peace; train `run` killing it n_kills times, then let it end.  What each kill found.

    A kill comes up to n_lines lines of metrics.jsonl after a start, and up to 15 ms after that: in whatever the
    process is at, on fast machines and busy ones.
    """
    _prepare_to_fork(Path(run))
    assert _exit_code(_fork(_resume, Path(baseline))) == 0
    moments, kills = random.Random(0), []
    for _ in range(int(n_kills)):
        heard, told = os.pipe()
        child = _fork(_resume, Path(run), lambda told=told: _tell_of_lines(told))
        os.close(told)
        for _ in range(moments.randint(0, int(n_lines))):
            os.read(heard, 1)
        time.sleep(moments.uniform(0, 0.015))
        os.kill(child, signal.SIGKILL)
        os.close(heard)
        kills.append({"code": _exit_code(child), "saved": _saved(Path(run)), "logged": _logged(Path(run))})
    assert _exit_code(_fork(_resume, Path(run))) == 0
    return kills


def kill_at_every_write(begun: str) -> dict[str, list[str]]:
    """For every trap and n = 1, 2, ...: train a copy of the folder `begun`, killed at its n-th write, then resume it.

    Returns the folders by trap; the last of each was never killed, as there are fewer writes than n.
    """
    _prepare_to_fork(Path(begun))
    return {trap: [str(run) for run in _killed_at_every_write(Path(begun), trap)] for trap in TRAPS}


def _killed_at_every_write(begun: Path, trap: str) -> Iterator[Path]:
    for n in itertools.count(1):
        run = begun.with_name(f"{trap} {n}")
        shutil.copytree(begun, run)
        code = _exit_code(_fork(_resume, run, lambda n=n: _set_trap(n, trap)))
        assert code in (0, -signal.SIGKILL)
        if code != 0:
            assert _exit_code(_fork(_resume, run)) == 0
        yield run
        if code == 0:
            return


def _prepare_to_fork(run: Path) -> None:
    torch.set_num_threads(1)
    Trainer.start(training.load(run))  # torch.optim imports for a second, here instead of in every child


def _resume(run: Path) -> int:
    return cli.main(["resume", str(run)])


def _fork(function: Callable[[Path], int], run: Path, prepare: Callable[[], None] = lambda: None) -> int:
    child = os.fork()
    if child == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        try:
            prepare()
            os._exit(function(run))
        finally:
            os._exit(70)
    return child


def _exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _saved(run: Path) -> int:
    return runs.read_checkpoint(run)["iteration"] if (run / runs.CHECKPOINT).exists() else 0


def _logged(run: Path) -> int:
    return max((record["iteration"] for record in runs.read_metrics(run)), default=0)


def _tell_of_lines(told: int) -> None:
    """Write a byte to a pipe for every line of metrics.jsonl."""
    append = runs.append_metrics

    def append_and_tell(run: Path, record: dict[str, Any]) -> None:
        append(run, record)
        os.write(told, b".")

    runs.append_metrics = append_and_tell


def _set_trap(n: int, trap: str) -> None:
    """Make this process kill itself at its n-th write: in the middle of a file, before or after its renaming, ..."""
    calls, fsync, rename, append = itertools.count(1), os.fsync, os.replace, runs.append_metrics

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def torn_write(descriptor: int) -> None:
        if next(calls) == n:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            die()
        fsync(descriptor)

    def rename_or_die(source: Path, target: Path) -> None:
        if (number := next(calls)) == n and trap == "before renaming":
            die()
        rename(source, target)
        if number == n:
            die()

    def torn_line(run: Path, record: dict[str, Any]) -> None:
        if next(calls) == n:
            line = json.dumps(record)
            (run / runs.METRICS).open("a").write(line[: len(line) // 2])
            die()
        append(run, record)

    if trap == "mid-file":
        os.fsync = torn_write
    elif trap == "mid-line":
        runs.append_metrics = torn_line
    else:
        os.replace = rename_or_die
