"""What training costs on this machine: the reference and the compiled kernel side by side, each in its own process."""

import importlib.metadata
import json
import sys
from collections.abc import Sequence
from typing import Any

from lsnn import results
from lsnn.bench.apart import measured_apart
from lsnn.bench.table import Row
from lsnn.bench.table import machine_line as machine_line
from lsnn.bench.table import seconds as seconds
from lsnn.bench.table import table as table
from lsnn.bench.table import with_ratios as with_ratios
from lsnn.bench.works import BACKENDS, LEFT_OUT, NEEDS_GB, WORKS, named
from lsnn.ops import Memory


def plan(works: Sequence[str], backends: Sequence[str]) -> list[tuple[str, str]]:
    """What to measure, as pairs of work and backend; without works, those that take seconds.

    Raises ValueError for a name that is not known.
    """
    for backend in backends:
        if backend not in BACKENDS:
            raise ValueError(f"there is no backend {backend!r}; backends are {', '.join(BACKENDS)}")
    for name in works:
        named(name)
    pairs = [(work, backend) for work in works or WORKS for backend in backends]
    return [pair for pair in pairs if works or pair not in LEFT_OUT]


def measure(work: str, backend: str, *, memory: Memory = "fast", iterations: int = 5, threads: int) -> Row:
    """One row of the table, measured in a process of its own."""
    request = {"work": work, "backend": backend, "memory": memory, "threads": threads}
    command = [sys.executable, "-m", "lsnn.bench", json.dumps({**request, "iterations": iterations})]
    if backend == "reference" or work == "stream":
        request["memory"] = None  # they know only one
    return {**request, **measured_apart(command, NEEDS_GB.get((work, backend), 0.0))}


def machine(threads: int) -> dict[str, Any]:
    """Where the numbers come from."""
    return {**results.machine(), "threads": threads, "numba": importlib.metadata.version("numba")}
