"""A run folder: everything a later command needs to resume, evaluate or report a training.

    config.json           what was run; written once
    metrics.jsonl         one line per logged training step, validation and test
    checkpoint.pt         network, optimizer and counters at the last saved iteration
    initial.safetensors   network before training
    weights.safetensors   network after training
    example.safetensors   what the trained network did on one test example
    analysis.safetensors  what more its task has to say about it, where it has
    results.json          test result and cost; written last, so its presence says that the run is finished

Files are replaced whole or not at all, so a run may be killed at any moment.  Nothing in a run folder is executed:
JSON is parsed, checkpoints load with weights_only, weights are safetensors.
"""

import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import safetensors
import safetensors.torch
import torch
from torch import Tensor

FORMAT = 1
"""version of the layout; a reader refuses any other"""

CONFIG, METRICS, CHECKPOINT = "config.json", "metrics.jsonl", "checkpoint.pt"
INITIAL, WEIGHTS, EXAMPLE, RESULTS = "initial.safetensors", "weights.safetensors", "example.safetensors", "results.json"
ANALYSIS = "analysis.safetensors"
FINISHED = (INITIAL, WEIGHTS, EXAMPLE, RESULTS)
"""files that a finished run has all of"""


def create(run: Path, config: dict[str, Any]) -> None:
    """Make a run folder and write its config.  Raises ValueError where there is something already."""
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        hint = f"continue it with: lsnn resume {run}" if (run / CONFIG).exists() else "choose another folder with --run"
        raise ValueError(f"{run} exists already and nothing in it was touched; {hint}")
    run.mkdir(parents=True, exist_ok=True)
    write_json(run / CONFIG, {"format": FORMAT, **config})


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold a run folder for one process at a time; the lock goes with the process, however it ends."""
    lock = filelock.FileLock(run / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ValueError(f"{run} is being trained by another process; wait for it or stop it first") from None
    try:
        for left_over in run.glob(".*.part"):  # of a process killed while it wrote
            left_over.unlink()
        yield
    finally:
        lock.release()


def finished(run: Path) -> bool:
    """Whether a run has all that it ends with."""
    return all((run / name).exists() for name in FINISHED)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file whole: a reader, or a crash at any point, sees the old content or the new."""
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _naming(error, path) from None


def _naming(error: OSError, path: Path) -> OSError:
    """The same error with the file's name, which a full disk does not tell."""
    return OSError(error.errno, error.strerror, str(path))


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write safetensors."""
    write_bytes(path, safetensors.torch.save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}))


def write_checkpoint(run: Path, checkpoint: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write_bytes(run / CHECKPOINT, buffer.getvalue())


def append_metrics(run: Path, record: dict[str, Any]) -> None:
    """Add one line."""
    try:
        with open(run / METRICS, "a") as file:
            file.write(json.dumps(record) + "\n")
    except OSError as error:
        raise _naming(error, run / METRICS) from None


def rewind_metrics(run: Path, iteration: int) -> None:
    """Drop what was logged after the given iteration, and the test, so that a resumed run does not log it twice."""
    records = read_metrics(run)
    kept = [record for record in records if record["iteration"] <= iteration and record["event"] != "test"]
    write_metrics(run, kept)


def write_metrics(run: Path, records: Iterable[dict[str, Any]]) -> None:
    """Replace all records."""
    write_bytes(run / METRICS, "".join(json.dumps(record) + "\n" for record in records).encode())


# ---- reading: every damage is one clear line -----------------------------------------------------------------------


def _existing(path: Path) -> Path:
    folder = path.parent
    if not folder.is_dir():
        raise ValueError(f"there is no run folder {folder}; lsnn train writes one")
    if not path.is_file():
        if path.name == CONFIG:
            within = sorted(folder.glob(f"*/{CONFIG}"))
            if within:
                raise ValueError(f"{folder} has no {CONFIG}, but holds runs; name them, as in {within[0].parent}")
            raise ValueError(f"{folder} has no {CONFIG}: it is not a run folder; name one that lsnn train wrote")
        raise ValueError(
            f"{folder} has no {path.name}: the run has not got that far, or the file was lost; "
            f"go on with: lsnn resume {folder}"
        )
    return path


def _damaged(path: Path, reason: str) -> ValueError:
    remedy = "restore it from a copy"
    if path.name != CONFIG:
        remedy += f", or delete it, and lsnn resume {path.parent} makes it anew"
    return ValueError(f"{path} is damaged: {reason}; {remedy}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def read_json(path: Path) -> dict[str, Any]:
    content = _existing(path).read_bytes()
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, _first_line(error)) from None
    if not isinstance(value, dict):
        raise _damaged(path, "it holds no object")
    return value


def read_config(run: Path) -> dict[str, Any]:
    """The content of config.json.  Raises ValueError for another version of the layout."""
    config = read_json(run / CONFIG)
    if config.get("format") != FORMAT:
        raise ValueError(
            f"{run / CONFIG} has format {config.get('format')!r}, this lsnn reads {FORMAT}; "
            f"use the lsnn that wrote it ({config.get('lsnn', 'version unknown')})"
        )
    return config


def read_results(run: Path, metric: str | None = None) -> dict[str, Any]:
    """The content of results.json.

    metric: what the test has to have, if it is known.
    """
    path, kinds = run / RESULTS, {"iterations": int, "seconds": int | float, "test": dict}
    results = read_json(path)
    missing = [name for name in kinds if name not in results]
    if missing:
        raise _damaged(path, f"it lacks {', '.join(missing)}")
    for name, kind in kinds.items():
        if not isinstance(results[name], kind):
            raise _damaged(path, f"its {name} cannot be {json.dumps(results[name])[:50]}")
    tested = results["test"]
    if metric is not None and metric not in tested:
        raise _damaged(path, f"its test has no {metric}")
    for name, value in tested.items():
        if not isinstance(value, int | float):
            raise _damaged(path, f"its test's {name} cannot be {json.dumps(value)[:50]}")
    return results


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """All records so far; a last line cut short by a kill is left out."""
    path = run / METRICS
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(keepends=True), 1):
        record = _record(line)
        if record is not None:
            records.append(record)
        elif line.endswith("\n"):
            raise ValueError(f"{path} line {number} is damaged; delete that line")
    return records


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    sound = isinstance(record, dict) and isinstance(record.get("iteration"), int) and "event" in record
    return record if sound else None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read safetensors."""
    content = _existing(path).read_bytes()
    try:
        return safetensors.torch.load(content)
    except Exception as error:  # whatever a stranger's bytes provoke
        raise _damaged(path, _first_line(error)) from None


def read_checkpoint(run: Path) -> dict[str, Any]:
    """Read the checkpoint as data only."""
    path = run / CHECKPOINT
    file = io.BytesIO(_existing(path).read_bytes())
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(file) as archive:
            warnings.simplefilter("ignore")  # torch's remarks on a file that is refused anyway
            if archive.testzip() is not None:  # torch.load does not compare checksums
                raise ValueError("its checksum is wrong")
            file.seek(0)
            checkpoint = torch.load(file, weights_only=True)
        checkpoint["iteration"]
    except pickle.UnpicklingError:  # torch's own message tells how to run the code in it
        raise _damaged(path, "it holds something else than data") from None
    except Exception as error:  # whatever a stranger's bytes provoke
        raise _damaged(path, _first_line(error)) from None
    return checkpoint
