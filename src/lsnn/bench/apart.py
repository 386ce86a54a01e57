"""A measurement in a process of its own, so that peak memory is its own and nothing that fails takes others along."""

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

from lsnn.bench.clock import free_gb


def measured_apart(command: Sequence[str], needs_gb: float = 0.0) -> dict[str, Any]:
    """What a command prints as JSON on its last line; {"problem": why} where it fails.

    {"skipped": why}, without running it, where less than needs_gb of memory is free.
    """
    free = free_gb()
    if free is not None and free < needs_gb:
        return {"skipped": f"not measured: it may need {needs_gb:.0f} GB of memory, and {free:.1f} GB are free"}
    # torch reads this at its first large tensor: memory in huge pages is much cheaper to get
    environment = {"THP_MEM_ALLOC_ENABLE": "1", **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode == 0 and done.stdout.strip():
        return json.loads(done.stdout.splitlines()[-1])
    return {"problem": _reason(done)}


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if done.returncode == -signal.SIGKILL:
        return "its process was killed (signal 9), most likely for lack of memory; free some, or leave it out"
    if done.returncode < 0:
        return f"its process died of {signal.Signals(-done.returncode).name}"
    if "MemoryError" in done.stderr or "can't allocate memory" in done.stderr:
        return "the machine has too little memory for it; free some, or leave it out"
    return f"its process failed: {said[-1][:300] if said else f'exit code {done.returncode}, and not a word'}"
