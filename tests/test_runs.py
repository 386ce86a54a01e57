"""Run folders: written whole or not at all, read as data whatever is in them."""

import errno
import io
import json
import os
import pickle
import random
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lsnn import runs
from tests.helpers import contents, error, full_disk

RECORDS = [{"event": "train", "iteration": k, "loss": 1 / (k + 3)} for k in range(1, 6)]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a bit of everything."""
    run = tmp_path / "run"
    runs.create(run, {"lsnn": "0", "experiment": {}})
    for record in RECORDS:
        runs.append_metrics(run, record)
    runs.write_checkpoint(run, {"iteration": 5, "network": {"theta": torch.arange(500.0)}})
    runs.write_tensors(run / runs.WEIGHTS, {"theta": torch.arange(500.0)})
    runs.write_json(run / runs.RESULTS, {"iterations": 5, "seconds": 1.0, "test": {"loss": 1.0}})
    return run


# ---- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [runs.CHECKPOINT, runs.WEIGHTS, runs.RESULTS])
def test_full_disk_leaves_every_file_as_it_was(run: Path, name: str):
    before = contents(run)
    with full_disk(4096), pytest.raises(OSError) as caught:
        runs.write_bytes(run / name, bytes(5000))
    assert caught.value.errno == errno.EFBIG and caught.value.filename == str(run / name)
    assert contents(run) == before


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_disk_that_fills_up_late_leaves_every_file_as_it_was(run: Path, function: str, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = contents(run)
    monkeypatch.setattr(os, function, refuse)
    with pytest.raises(OSError, match="No space left on device"):
        runs.write_checkpoint(run, {"iteration": 6})
    assert contents(run) == before


def test_line_that_does_not_fit_costs_only_itself(run: Path):
    with full_disk((run / runs.METRICS).stat().st_size + 5), pytest.raises(OSError) as caught:
        runs.append_metrics(run, {"event": "train", "iteration": 6, "loss": 0.1})
    assert caught.value.filename == str(run / runs.METRICS)
    assert runs.read_metrics(run) == RECORDS


def test_writing_and_reading_are_inverse(run: Path):
    tensors = {"a": torch.rand(3, 2), "b": torch.arange(4, dtype=torch.int8), "c": torch.rand(2, 3).t()}
    runs.write_tensors(run / runs.EXAMPLE, tensors)
    read = runs.read_tensors(run / runs.EXAMPLE)
    assert read.keys() == tensors.keys() and all(read[name].equal(tensors[name]) for name in tensors)
    assert runs.read_checkpoint(run)["network"]["theta"].equal(torch.arange(500.0))
    assert runs.read_config(run) == {"format": runs.FORMAT, "lsnn": "0", "experiment": {}}


# ---- making and locking ----------------------------------------------------------------------------------------------


def test_folder_that_holds_a_run_is_not_touched(run: Path):
    before = contents(run)
    message = error(runs.create, run, {})
    assert message == f"{run} exists already and nothing in it was touched; continue it with: lsnn resume {run}"
    assert contents(run) == before


@pytest.mark.parametrize("make", [lambda path: path.write_text("x"), lambda path: (path / "sub").mkdir(parents=True)])
def test_anything_else_in_the_way_is_not_touched(tmp_path: Path, make: Callable[[Path], object]):
    make(tmp_path / "other")
    message = error(runs.create, tmp_path / "other", {})
    assert message.endswith("other exists already and nothing in it was touched; choose another folder with --run")


def test_empty_folder_becomes_a_run(tmp_path: Path):
    runs.create(tmp_path, {})
    assert runs.read_config(tmp_path) == {"format": runs.FORMAT}


def test_lock_admits_one_at_a_time(run: Path):
    def lock() -> None:
        with runs.locked(run):
            pass

    with runs.locked(run):
        assert error(lock) == f"{run} is being trained by another process; wait for it or stop it first"
    lock()


def test_lock_removes_what_a_killed_writer_left(run: Path):
    before = contents(run)
    (run / f".{runs.CHECKPOINT}.part").write_bytes(b"half")
    with runs.locked(run):
        assert contents(run) == before


# ---- metrics ---------------------------------------------------------------------------------------------------------


def test_last_line_may_be_cut_anywhere(run: Path):
    whole = (run / runs.METRICS).read_bytes()
    length = len(whole.splitlines()[-1])
    for cut in range(2, length + 2):
        (run / runs.METRICS).write_bytes(whole[:-cut])
        assert runs.read_metrics(run) == RECORDS[:-1]
    (run / runs.METRICS).write_bytes(whole[:-1])  # only the newline is missing
    assert runs.read_metrics(run) == RECORDS


def test_run_without_metrics_has_none(tmp_path: Path):
    assert runs.read_metrics(tmp_path) == []


@pytest.mark.parametrize(
    "line", ["{", "", "[1]", "7", "{}", '{"event": "train", "iteration": "2"}', "\x00\xff", "[" * 9999]
)
def test_damaged_line_is_named(run: Path, line: str):
    lines = (run / runs.METRICS).read_text().splitlines()
    (run / runs.METRICS).write_text("\n".join([*lines[:2], line, *lines[2:]]) + "\n")
    assert error(runs.read_metrics, run) == f"{run / runs.METRICS} line 3 is damaged; delete that line"


def test_rewinding_drops_what_came_after_and_the_test(run: Path):
    runs.append_metrics(run, {"event": "test", "iteration": 5, "loss": 0.1})
    runs.rewind_metrics(run, 5)
    assert runs.read_metrics(run) == RECORDS
    runs.rewind_metrics(run, 3)
    assert runs.read_metrics(run) == RECORDS[:3]
    runs.rewind_metrics(run, 0)
    assert runs.read_metrics(run) == []


def test_rewinding_drops_a_cut_line(run: Path):
    with (run / runs.METRICS).open("a") as file:
        file.write('{"event": "tra')
    runs.rewind_metrics(run, 5)
    runs.append_metrics(run, {"event": "train", "iteration": 6})
    assert runs.read_metrics(run) == [*RECORDS, {"event": "train", "iteration": 6}]


# ---- damage and strangers --------------------------------------------------------------------------------------------


def test_config_of_another_format_is_refused(run: Path):
    runs.write_json(run / runs.CONFIG, {"format": runs.FORMAT + 1, "lsnn": "9.1"})
    assert error(runs.read_config, run) == (
        f"{run / runs.CONFIG} has format {runs.FORMAT + 1}, this lsnn reads {runs.FORMAT}; "
        "use the lsnn that wrote it (9.1)"
    )


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"7", b"\xff\xfe", b"[" * 100_000, b"9" * 5000])
def test_damaged_json_is_refused(run: Path, content: bytes):
    (run / runs.CONFIG).write_bytes(content)
    pattern = rf"{run / runs.CONFIG} is damaged: .*; restore it from a copy"
    assert re.fullmatch(pattern, error(runs.read_config, run))


@pytest.mark.parametrize("missing", ["iterations", "seconds", "test"])
def test_results_that_lack_something_are_refused(run: Path, missing: str):
    results = runs.read_results(run)
    del results[missing]
    runs.write_json(run / runs.RESULTS, results)
    assert f"results.json is damaged: it lacks {missing}; restore it" in error(runs.read_results, run)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"iterations": "5"}, 'its iterations cannot be "5"'),
        ({"seconds": None}, "its seconds cannot be null"),
        ({"test": [1.0]}, "its test cannot be [1.0]"),
        ({"test": {"loss": None}}, "its test's loss cannot be null"),
        ({"test": {}}, "its test has no loss"),
    ],
)
def test_results_with_wrong_content_are_refused(run: Path, change: dict[str, object], complaint: str):
    runs.write_json(run / runs.RESULTS, runs.read_results(run) | change)
    assert f"results.json is damaged: {complaint}; restore it" in error(runs.read_results, run, "loss")


READERS = {
    runs.WEIGHTS: lambda run: runs.read_tensors(run / runs.WEIGHTS),
    runs.CHECKPOINT: runs.read_checkpoint,
    runs.CONFIG: runs.read_config,
    runs.RESULTS: runs.read_results,
}


@pytest.mark.parametrize("name", READERS)
def test_missing_file_and_folder_are_named(run: Path, name: str):
    (run / name).unlink()
    assert error(READERS[name], run).startswith(f"{run} has no {name}: ")
    shutil.rmtree(run)
    assert error(READERS[name], run) == f"there is no run folder {run}; lsnn train writes one"


def test_folder_of_runs_is_told_from_a_run(run: Path):
    message = f"{run.parent} has no config.json, but holds runs; name them, as in {run}"
    assert error(runs.read_config, run.parent) == message


@pytest.mark.parametrize("name", [runs.WEIGHTS, runs.CHECKPOINT])
def test_file_cut_anywhere_is_refused(run: Path, name: str):
    whole = (run / name).read_bytes()
    for length in [0, 1, 7, 8, 100, *range(150, len(whole), 97), len(whole) - 1]:
        (run / name).write_bytes(whole[:length])
        message = error(READERS[name], run)
        assert message.startswith(f"{run / name} is damaged: ")
        assert message.endswith(f"; restore it from a copy, or delete it, and lsnn resume {run} makes it anew")


@pytest.mark.parametrize("name", [runs.WEIGHTS, runs.CHECKPOINT])
@pytest.mark.parametrize("start", [b"", b"\x80\x02", b"PK\x03\x04", b"\x20\0\0\0\0\0\0\0{"])
def test_any_bytes_are_refused(run: Path, name: str, start: bytes):
    source = random.Random(0)
    for length in range(50):
        (run / name).write_bytes(start + source.randbytes(4 * length))
        assert error(READERS[name], run).startswith(f"{run / name} is damaged: ")


def test_one_wrong_bit_in_a_checkpoint_is_noticed(run: Path):
    whole = (run / runs.CHECKPOINT).read_bytes()
    place = whole.index(torch.arange(500.0).numpy().tobytes()) + 1000
    (run / runs.CHECKPOINT).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    assert "checkpoint.pt is damaged: its checksum is wrong" in error(runs.read_checkpoint, run)


class Code:
    """Unpickled without care, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.path,)


def as_checkpoint(code: Code) -> bytes:
    buffer = io.BytesIO()
    torch.save({"iteration": 1, "network": code}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [as_checkpoint, pickle.dumps])
def test_code_in_a_checkpoint_is_not_executed(run: Path, tmp_path: Path, pack: Callable[[Code], bytes]):
    (run / runs.CHECKPOINT).write_bytes(pack(Code(tmp_path / "pwned")))
    assert error(runs.read_checkpoint, run).startswith(f"{run / runs.CHECKPOINT} is damaged: ")
    assert not (tmp_path / "pwned").exists()


def test_the_code_of_these_tests_would_work(tmp_path: Path):
    """Or else the test above would prove nothing."""
    torch.load(io.BytesIO(as_checkpoint(Code(tmp_path / "one"))), weights_only=False)
    pickle.loads(pickle.dumps(Code(tmp_path / "two")))
    assert (tmp_path / "one").is_dir() and (tmp_path / "two").is_dir()


@pytest.mark.parametrize("value", [[1, 2], 7, {"other": 1}, torch.ones(2), "text"])
def test_other_data_are_no_checkpoint(run: Path, value: object):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    (run / runs.CHECKPOINT).write_bytes(buffer.getvalue())
    assert error(runs.read_checkpoint, run).startswith(f"{run / runs.CHECKPOINT} is damaged: ")


def test_another_zip_is_no_checkpoint(run: Path):
    with zipfile.ZipFile(run / runs.CHECKPOINT, "w") as archive:
        archive.writestr("data.json", json.dumps({"iteration": 5}))
    assert error(runs.read_checkpoint, run).startswith(f"{run / runs.CHECKPOINT} is damaged: ")
