"""Time and memory of what runs in this process."""

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 30.0
"""s: a measurement starts no further iteration after this time, once it has MINIMUM of them"""
MINIMUM = 2


class Clock:
    """Times of the named phases of each iteration, s."""

    def __init__(self) -> None:
        self.iterations: list[dict[str, float]] = []

    def begin(self) -> None:
        """An iteration begins, and with it its first phase."""
        self._began = self._last = time.perf_counter()
        self.iterations.append({})

    def lap(self, phase: str) -> None:
        """A phase ends; the time since the one before was its own."""
        now = time.perf_counter()
        self.iterations[-1][phase] = now - self._last
        self._last = now

    def end(self) -> None:
        """An iteration ends."""
        self.iterations[-1]["iteration_s"] = time.perf_counter() - self._began


def repeat(step: Callable[[Clock], float], iterations: int, patience: float = PATIENCE) -> dict[str, Any]:
    """Call step once to warm up and then `iterations` times, fewer where that would take longer than `patience`, s.

    step tells the clock its phases and returns the mean firing rate, Hz.  Returns the median of each phase and of the
    whole iteration, its extremes, the first call apart, and how many iterations counted.
    """
    clock, rates = Clock(), []
    step(clock)
    until = time.perf_counter() + patience
    while len(rates) < iterations and (len(rates) < MINIMUM or time.perf_counter() < until):
        rates.append(step(clock))
    first, timed = clock.iterations[0], clock.iterations[1:]
    whole = [laps["iteration_s"] for laps in timed]
    medians = {phase: statistics.median(laps[phase] for laps in timed) for phase in timed[0]}
    extremes = {"fastest_s": min(whole), "slowest_s": max(whole)}
    counted = {"iterations": len(timed), "rate_hz": statistics.mean(rates)}
    return {**medians, **extremes, "first_s": first["iteration_s"], **counted}


def peak_mb() -> float:
    """The most memory that this process has held so far, MB."""
    try:  # ru_maxrss begins with what the parent process held
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        unit = 1024**2 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, kilobytes elsewhere
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def free_gb() -> float | None:
    """Memory that programs can still get, GB; None where the system does not tell."""
    limits = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        limits += [int(line.split()[1]) / 1024**2 for line in lines if line.startswith("MemAvailable")]
        most = int(Path("/sys/fs/cgroup/memory.max").read_text())  # a container's
        held = Path("/sys/fs/cgroup/memory.stat").read_text().splitlines()  # memory.current counts cached files, too
        limits += [(most - int(line.split()[1])) / 1024**3 for line in held if line.startswith("anon ")]
    except (OSError, ValueError):  # "max": no limit
        pass
    if not limits and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3)
    return min(limits, default=None)
