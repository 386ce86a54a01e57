"""Seconds per training iteration of the reference and the compiled kernel, side by side, on this machine.

    python benchmarks/bench.py [WORK ...] [--backends reference,compiled] [--iterations 5] [--threads N] [--json]

An iteration is forward, loss (cross-entropy of the readout's last steps plus a rate regulariser), backward to all
weights and one Adam step.  Every measurement runs in a process of its own, so that peak memory is its own.  Medians
after one warm-up iteration; other work on the machine shows in them.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import torch

import lsnn


@dataclass(frozen=True)
class Work:
    """A network, a batch of random input spikes, and how long they run."""

    about: str
    batch: int
    steps: int
    n_in: int
    n_regular: int
    n_adaptive: int
    n_out: int
    gain: float
    """factor on the initial weights, chosen for a firing rate of 10 to 20 Hz"""
    connectivity: float = 1.0
    max_delay: int = 1
    n_ref: int = 0
    excitatory: float | None = None
    input_rate: float = 0.03
    """input spikes per step"""


WORKS = {
    "W2": Work(
        "the paper's sequential MNIST", 256, 840, 80, 120, 100, 10, 0.85, 0.12, max_delay=10, n_ref=5, excitatory=0.75
    ),
    "W1": Work("dense, no delays", 256, 840, 81, 120, 100, 10, 0.23),
    "W1-long": Work("dense, no delays, few and long", 16, 4000, 81, 120, 100, 10, 0.23),
    "W3": Work("store-recall", 128, 2400, 100, 10, 10, 2, 0.25),
    "L2L": Work("learning to learn", 10, 10_000, 300, 150, 150, 1, 0.25, max_delay=5, n_ref=5, input_rate=0.02),
    "stream": Work("one sample, step by step", 1, 2000, 80, 120, 100, 10, 0.85, 0.12, 10, 5, 0.75),
}
SLOW = {("L2L", "reference")}
"""left out unless named: minutes per iteration, tens of gigabytes"""


def network(work: Work, backend: str, memory: str) -> lsnn.LSNN:
    cells = lsnn.Cells(n_regular=work.n_regular, n_adaptive=work.n_adaptive, n_ref=work.n_ref)
    return lsnn.LSNN(
        work.n_in,
        cells,
        work.n_out,
        connectivity=work.connectivity,
        max_delay=work.max_delay,
        excitatory=work.excitatory,
        gain=work.gain,
        seed=1,
        backend=backend,
        memory=memory,
    )


def measure(name: str, backend: str, iterations: int, threads: int, memory: str) -> dict:
    """One row of the table; times in s, memory in MB over the imported process."""
    torch.set_num_threads(threads)
    work = WORKS[name]
    generator = torch.Generator().manual_seed(0)
    before = peak_mb()
    net = network(work, backend, memory)
    draws = (torch.rand(work.batch, work.n_in, generator=generator) for _ in range(work.steps))
    inputs = torch.stack([draw < work.input_rate for draw in draws])  # not all draws at once: memory is measured
    row = {"work": name, "backend": backend, "memory": memory, "threads": threads}
    took = stream(net, inputs) if name == "stream" else train(net, inputs, iterations)
    return {**row, **took, "peak_mb": round(peak_mb() - before), "load": os.getloadavg()[0]}


def train(net: lsnn.LSNN, inputs: torch.Tensor, iterations: int) -> dict:
    optimizer = torch.optim.Adam(net.parameters(), lr=0.0)  # the work of a step, at a firing rate that stays
    target = torch.randint(net.n_out, (inputs.shape[1],), generator=torch.Generator().manual_seed(1))
    phases: list[tuple[float, ...]] = []
    for _ in range(iterations + 1):
        start = time.perf_counter()
        activity, _ = net(inputs)
        forward = time.perf_counter()
        logits = activity.readout[-56:].mean(0)
        loss = torch.nn.functional.cross_entropy(logits, target) + 1e-4 * (activity.rate - 20).square().mean()
        optimizer.zero_grad()
        middle = time.perf_counter()
        loss.backward()
        backward = time.perf_counter()
        optimizer.step()
        phases.append((forward - start, backward - middle, time.perf_counter() - start))
    first, timed = phases[0], list(zip(*phases[1:], strict=True))
    return {
        "forward_s": round(statistics.median(timed[0]), 4),
        "backward_s": round(statistics.median(timed[1]), 4),
        "iteration_s": round(statistics.median(timed[2]), 4),
        "fastest_s": round(min(timed[2]), 4),
        "first_s": round(first[2], 2),
        "rate_hz": round(activity.rate.mean().item(), 1),
    }


def stream(net: lsnn.LSNN, inputs: torch.Tensor) -> dict:
    """Seconds per step of one sample: `stepper` where the kernel has one, else calls of one step."""
    times, spikes, state = [], 0.0, None
    step = None if net.backend == "reference" else net.stepper()
    with torch.no_grad():
        for x in inputs.float():
            start = time.perf_counter()
            if step is not None:
                fired = step(x)[1]
            else:
                activity, state = net(x[None], state, record=["spikes"])
                fired = activity.spikes
            times.append(time.perf_counter() - start)
            spikes += fired.mean().item()
    median = statistics.median(times[10:])
    fastest = min(times[10:])
    rate = round(1000 * spikes / len(inputs), 1)
    return {
        "iteration_s": round(median, 7),
        "fastest_s": round(fastest, 7),
        "first_s": round(times[0], 2),
        "rate_hz": rate,
    }


def peak_mb() -> float:
    unit = 1024**2 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def table(rows: list[dict]) -> str:
    """Rows of one work together, each with its ratio to the first."""
    head = f"{'work':8} {'backend':10} {'memory':6} {'forward':>9} {'backward':>9} {'iteration':>10} {'ratio':>6}"
    lines = [head + f" {'rate':>8} {'peak':>8}"]
    first: dict[str, float] = {}
    for row in rows:
        reference = first.setdefault(row["work"], row["iteration_s"])
        forward, backward = (_seconds(row.get(key)) for key in ("forward_s", "backward_s"))
        lines.append(
            f"{row['work']:8} {row['backend']:10} {row['memory']:6} {forward:>9} {backward:>9} "
            f"{_seconds(row['iteration_s']):>10} {reference / row['iteration_s']:5.1f}x {row['rate_hz']:5.1f} Hz "
            f"{row['peak_mb']:5d} MB"
        )
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1e6:.1f} us" if value < 1e-3 else f"{value * 1e3:.0f} ms" if value < 10 else f"{value:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"any of {', '.join(WORKS)}; default all")
    parser.add_argument("--backends", default="reference,compiled")
    parser.add_argument("--memory", default="fast", help="fast or low; compiled only")
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement instead of the table")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # a single measurement, this process
    args = parser.parse_args()
    unknown = set(args.works) - set(WORKS)
    if unknown:
        parser.error(f"unknown work {', '.join(sorted(unknown))}; known: {', '.join(WORKS)}")
    if args.here:
        row = measure(args.works[0], args.backends, args.iterations, args.threads, args.memory)
        print(json.dumps(row))
        return
    rows = []
    for name in args.works or WORKS:
        for backend in args.backends.split(","):
            if (name, backend) in SLOW and name not in args.works:
                continue
            command = [sys.executable, __file__, name, "--here", "--backends", backend, "--memory", args.memory]
            command += ["--iterations", str(args.iterations), "--threads", str(args.threads)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
            rows.append(json.loads(done.stdout))
            if args.json:
                print(json.dumps({**rows[-1], **{"settings": asdict(WORKS[name])}}), flush=True)
    if not args.json:
        print(table(rows))


if __name__ == "__main__":
    main()
