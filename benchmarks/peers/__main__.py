"""Seconds per training iteration of other libraries on the works of `lsnn bench`, those of them that are installed.

    python -m benchmarks.peers [WORK ...] [--peers NAME,NAME] [--iterations 5] [--threads N] [--json]

All run the network that `lsnn bench` draws, on the same input spikes, with the same loss and Adam, each in a process of
its own.  Readouts are one product with the spikes, weighted so that it equals the mean of the filtered readout at the
end: a library is charged for its recurrent network alone.  What a library cannot express is said in the last column.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

import lsnn
from benchmarks.peers import on_jax, on_torch
from benchmarks.peers.network import Net, network
from lsnn import bench
from lsnn.bench.apart import measured_apart
from lsnn.bench.clock import peak_mb
from lsnn.bench.works import WORKS, Work


class Peer(NamedTuple):
    """A library, and how it builds a network."""

    package: str
    build: Callable[[Net], tuple[Any, Any]]
    note: str
    delays: bool = False
    """whether it can have the delays and refractory period of W2"""
    in_jax: bool = False


WHOLE = "the whole cell"
PEERS = {
    "torch loop": Peer("torch", on_torch.torch_loop, WHOLE, delays=True),
    "torch.compile": Peer("torch", on_torch.torch_compile, f"{WHOLE}; one step compiled", delays=True),
    "JAX scan": Peer("jax", on_jax.scan, f"{WHOLE}; scan and gradient compiled as one", delays=True, in_jax=True),
    "JAX by hand": Peer("jax", on_jax.by_hand, f"{WHOLE}; scans with the gradient by hand", delays=True, in_jax=True),
    "norse": Peer("norse", on_torch.norse, "LSNNRecurrent: no gradient through adaptation and reset; a synaptic state"),
    "sinabs": Peer("sinabs", on_torch.sinabs, "ALIFRecurrent: cost grows with the square of time"),
    "snntorch": Peer("snntorch", on_torch.snntorch, "RLeaky: no adaptation"),
    "spikingjelly": Peer("spikingjelly", on_torch.spikingjelly, "LIFNode in LinearRecurrentContainer: no adaptation"),
    "spyx": Peer("spyx", on_jax.spyx, "ALIF, all neurons adaptive with beta 1; recurrence by hand", in_jax=True),
}  # fmt: skip
OURS = "lsnn"
NEEDS_GB = {("W2", "torch loop"): 12.0, ("W2", "torch.compile"): 6.0}
DEFAULT_WORKS = ("W1", "W1-long", "W2", "W3")


def measure_here(peer: str, work: Work, iterations: int, threads: int) -> dict[str, Any]:
    """One row, in this process."""
    torch.set_num_threads(threads)
    if PEERS[peer].in_jax and hasattr(os, "sched_setaffinity"):  # JAX takes every core it sees
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    net = network(work)
    before = peak_mb()
    built = PEERS[peer].build(net)
    train = on_jax.measure if PEERS[peer].in_jax else on_torch.measure
    return {**train(net, *built, iterations), "peak_mb": peak_mb() - before}


def measure(peer: str, name: str, iterations: int, threads: int) -> bench.Row:
    """One row of the table, from a process of its own."""
    row = {"work": name, "backend": peer, "memory": None, "threads": threads, "version": "", "note": ""}
    if peer == OURS:
        ours = bench.measure(name, "compiled", iterations=iterations, threads=threads)
        return row | ours | {"backend": OURS, "version": lsnn.__version__, "note": WHOLE}
    package, work = PEERS[peer].package, WORKS[name]
    if importlib.util.find_spec(package) is None:
        return row | {"skipped": f"not installed; pip install {package}"}
    row |= {"version": importlib.metadata.version(package), "note": PEERS[peer].note}
    if (work.max_delay > 1 or work.n_ref > 0) and not PEERS[peer].delays:
        return row | {"skipped": "has no delay per synapse"}
    request = {"peer": peer, "work": name, "iterations": iterations, "threads": threads}
    command = [sys.executable, "-m", "benchmarks.peers", "--here", json.dumps(request)]
    return row | measured_apart(command, NEEDS_GB.get((name, peer), 0.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    works = [name for name, work in WORKS.items() if isinstance(work, Work) and not work.streams]
    parser.add_argument("works", nargs="*", help=f"of {', '.join(works)}; default {' '.join(DEFAULT_WORKS)}")
    parser.add_argument(
        "--peers", default=",".join([*PEERS, OURS]), help="separated by commas; default all: %(default)s"
    )
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--here", type=json.loads, help=argparse.SUPPRESS)  # a single measurement, this process
    args = parser.parse_args()
    if args.here:
        print(json.dumps(measure_here(**{**args.here, "work": WORKS[args.here["work"]]})))
        return
    peers = args.peers.split(",")
    for kind, given, known in (("work", args.works, works), ("peer", peers, [*PEERS, OURS])):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"there is no {kind} {unknown[0]!r}; known: {', '.join(known)}")
    rows = []
    for name in args.works or DEFAULT_WORKS:
        for peer in peers:
            print(f"measuring {name}, {peer}", file=sys.stderr, flush=True)
            rows.append(measure(peer, name, args.iterations, args.threads))
    rows = bench.with_ratios(rows, base="torch loop")
    machine = bench.machine(args.threads)
    if args.json:
        print(json.dumps({"lsnn": lsnn.__version__, "machine": machine, "rows": rows}))
    else:
        print(f"{bench.machine_line(machine)}\n\n{bench.table(rows, 'peer')}")


if __name__ == "__main__":
    main()
