"""The command bench."""

import dataclasses
import json
from typing import Literal

import tyro
from rich.console import Console

import lsnn
from lsnn.cli.parsing import UsageError, parse


@dataclasses.dataclass(frozen=True)
class BenchOptions:
    """What training costs on this machine: the reference and the compiled kernel side by side.

    An iteration is forward, loss, backward to all weights and Adam; of smnist-paper, smnist-delays, l2l-teacher
    and large, a whole training step, which is encoding, DEEP R and metrics too; of stream, one step of one sample.
    """

    works: tyro.conf.Positional[tuple[str, ...]] = ()
    """any of smnist-paper, smnist-delays, W2, W1, W1-long, W3, L2L, l2l-teacher, stream, large; none: all that take
    seconds"""
    backends: str = "reference,compiled"
    """kernels to measure, separated by commas"""
    memory: Literal["fast", "low"] = "fast"
    """memory setting of the compiled kernel"""
    iterations: int = 5
    """iterations after the first call, of which the median counts; none begins after 30 s, but for the second"""
    threads: int | None = None
    """torch threads; not given: torch's choice"""
    json: bool = False
    """print JSON"""


def bench(arguments: list[str]) -> int:
    options = parse(BenchOptions, arguments, "lsnn bench")
    import torch

    from lsnn import bench, training

    try:
        pairs = bench.plan(options.works, options.backends.split(","))
        if options.iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {options.iterations}; 5 give a median")
        threads = training.checked_threads(torch.get_num_threads() if options.threads is None else options.threads)
    except ValueError as error:
        raise UsageError(f"{error}; lsnn bench --help lists all flags") from None
    settings = {"memory": options.memory, "iterations": options.iterations, "threads": threads}
    rows: list[bench.Row] = []
    try:
        with Console(stderr=True).status("") as status:
            for work, backend in pairs:
                status.update(f"measuring {work}, {backend} ({len(rows) + 1} of {len(pairs)})")
                rows.append(bench.measure(work, backend, **settings))
    finally:  # after Ctrl-C, what has been measured
        rows = bench.with_ratios(rows, base="reference")
        machine = bench.machine(threads)
        if options.json:
            print(json.dumps({"lsnn": lsnn.__version__, "machine": machine, "rows": rows}))
        elif rows:
            print(f"{bench.machine_line(machine)}\n\n{bench.table(rows)}")
    return int(any("problem" in row for row in rows))
