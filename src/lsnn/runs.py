"""A run folder: everything a later command needs to resume, evaluate or report a training.

    config.json           what was run; written once
    metrics.jsonl         one line per logged training step, validation and test
    checkpoint.pt         network, optimizer and counters at the last saved iteration
    initial.safetensors   network before training
    weights.safetensors   network after training
    example.safetensors   what the trained network did on one test example
    results.json          test result and cost; its presence says that the run is finished

Files are replaced whole or not at all, so a run may be killed at any moment.  Nothing in a run folder is executed:
JSON is parsed, checkpoints load with weights_only, weights are safetensors.
"""

import io
import json
import os
import pickle
from collections.abc import Iterator
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


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file whole: a reader, or a crash at any point, sees the old content or the new."""
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


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
    with open(run / METRICS, "a") as file:
        file.write(json.dumps(record) + "\n")


def rewind_metrics(run: Path, iteration: int) -> None:
    """Drop what was logged after the given iteration, so that a resumed run does not log it twice."""
    kept = [record for record in read_metrics(run) if record["iteration"] <= iteration]
    write_bytes(run / METRICS, "".join(json.dumps(record) + "\n" for record in kept).encode())


# ---- reading: every damage is one clear line -----------------------------------------------------------------------


def _existing(path: Path) -> Path:
    folder = path.parent
    if not folder.is_dir():
        raise ValueError(f"there is no run folder {folder}; lsnn train writes one")
    if not path.is_file():
        reason = (
            "it is not a run folder" if path.name == CONFIG else "the run has not got that far, or the file was lost"
        )
        raise ValueError(f"{folder} has no {path.name}: {reason}")
    return path


def read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_existing(path).read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}; restore it from a copy") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged: it holds no object; restore it from a copy")
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


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """All records so far; a last line cut short by a kill is left out."""
    path = run / METRICS
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(keepends=True), 1):
        try:
            record = json.loads(line)
            record["iteration"], record["event"]
        except (json.JSONDecodeError, TypeError, KeyError):
            if not line.endswith("\n"):
                break
            raise ValueError(f"{path} line {number} is damaged; delete that line") from None
        records.append(record)
    return records


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read safetensors."""
    try:
        return safetensors.torch.load(_existing(path).read_bytes())
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}; lsnn resume {path.parent} writes it anew") from None


def read_checkpoint(run: Path) -> dict[str, Any]:
    """Read the checkpoint as data only."""
    path = _existing(run / CHECKPOINT)
    try:
        checkpoint = torch.load(io.BytesIO(path.read_bytes()), weights_only=True)
        checkpoint["iteration"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path} is damaged or no checkpoint ({reason[:120]}); restore it from a copy, or train anew"
        ) from None
    return checkpoint
