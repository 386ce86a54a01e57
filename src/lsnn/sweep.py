"""A sweep: an experiment over values of its settings and over seeds, each combination a run folder of its own."""

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lsnn import config, runs, training
from lsnn.experiments import Experiment
from lsnn.presets import preset

Settings = dict[str, Any]
"""values by dotted name, {"network.max_delay": 30}"""


class Cell(NamedTuple):
    """One combination."""

    run: Path
    preset: str
    experiment: Experiment


def variations(text: str) -> list[Settings]:
    """Parse what varies together: "network.max-delay=1,10" or, in step, "lr=0.01,0.02 l1=0.01,0.02".

    Values are separated by commas, items of one value, such as the two ends of a range, by a colon; None is a value,
    and so is [], an empty list.  Raises ValueError.
    """
    columns = {}
    for part in text.split():
        name, equals, values = part.partition("=")
        if not equals or not name or not all(values.split(",")):
            raise ValueError(f"cannot read {part!r}; write NAME=VALUE,VALUE as in network.max-delay=1,10")
        columns[name.removeprefix("--").replace("-", "_")] = [_value(value) for value in values.split(",")]
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"settings that vary in step need as many values each, got {lengths or 'none'}")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _value(text: str) -> Any:
    if ":" in text:
        return [_value(part) for part in text.split(":")]
    if text == "None":
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def changed(experiment: Experiment, settings: Settings) -> Experiment:
    """The experiment with some settings changed.  Raises ValueError for names and values that do not fit."""
    if "seed" in settings:
        raise ValueError("seeds are given by --seeds, as in --seeds 0 1 2; leave seed out of --set and --vary")
    tree = config.encode(experiment)
    for name, value in settings.items():
        *path, last = name.split(".")
        place: Any = tree
        for key in path:
            place = place.get(key) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place:
            raise ValueError(f"there is no setting {name.replace('_', '-')!r}; lsnn train PRESET --help lists all")
        place[last] = [value] if isinstance(place[last], list) and not isinstance(value, list) else value
    try:
        result = config.decode(tree)
        result.check_counted(settings)
        return result
    except ValueError as error:
        spelled = ", ".join(f"{name.replace('_', '-')}={_spelled(value)}" for name, value in settings.items())
        raise ValueError(f"{spelled} cannot be: {error}") from None


def plan(
    names: Sequence[str], settings: Settings, vary: Sequence[Sequence[Settings]], seeds: Sequence[int], out: Path
) -> list[Cell]:
    """Every combination of presets, of what varies, and of seeds; each experiment once, however it is spelled."""
    cells: dict[tuple[str, Experiment], Cell] = {}
    for name, chosen, seed in itertools.product(dict.fromkeys(names), itertools.product(*vary), dict.fromkeys(seeds)):
        varied = {key: value for part in chosen for key, value in part.items()}
        experiment = replace(changed(preset(name).experiment, {**settings, **varied}), seed=seed)
        parts = [name, *(f"{key.rpartition('.')[2]}={_spelled(value)}" for key, value in varied.items()), str(seed)]
        cells.setdefault((name, experiment), Cell(out / "_".join(parts), name, experiment))
    return list(cells.values())


def _spelled(value: Any) -> str:
    text = ":".join(map(_spelled, value)) if isinstance(value, list) else str(value)
    return text.replace(os.sep, "-")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_each(jobs: int) -> int:
    """Torch threads of a run among so many at a time: its share of the cores, but no more than torch would take."""
    return max(1, min(cores() // jobs, torch.get_num_threads()))


def start(cells: Sequence[Cell], threads: int) -> None:
    """Make the run folders that do not exist.  Raises ValueError where one holds another experiment."""
    for cell in cells:
        if (cell.run / runs.CONFIG).exists():
            if training.load(cell.run) != cell.experiment.resolved():
                raise ValueError(f"{cell.run} was made with other settings; choose another folder with --out")
        else:
            training.start(cell.run, cell.experiment, preset=cell.preset, threads=threads)


def proceed(cells: Sequence[Cell], jobs: int, told: Callable[[Cell, str | None], None]) -> None:
    """Train all to their ends, `jobs` at a time, each in a process of its own; what has results stays as it is.

    An exception in the calling thread, such as Ctrl-C raises, ends the processes, too.
    told: called as each ends, with the reason if it failed.
    """
    children: list[subprocess.Popen[str]] = []
    stopping = threading.Event()

    def work(cell: Cell) -> None:
        if (cell.run / runs.RESULTS).exists():
            return told(cell, None)
        command = [sys.executable, "-m", "lsnn", "resume", str(cell.run)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        children.append(child)
        if stopping.is_set():  # since before the child was in the list
            child.terminate()
        _, complaint = child.communicate()
        lines = complaint.strip().splitlines() if child.returncode > 0 else []  # killed, its last words are progress
        reason = (lines or [f"exit code {child.returncode}"])[-1]
        told(cell, reason if child.returncode else None)

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for _ in pool.map(work, cells):
                pass
        except BaseException:  # leaving the pool waits for what ends here
            stopping.set()
            for child in children:
                child.terminate()
            raise
