"""Where one way of doing synapses becomes cheaper than the other: the constants of `lsnn.ops.kernel.index`.

    python benchmarks/crossover.py

MANY: a source whose spikes fill a block's lanes is done for all lanes at once, one with few is done spike by spike.
FULL: a block of synapses without delays is a matrix from some density on, below it a list.

Milliseconds per forward and backward pass on one thread, fastest of several: 220 neurons, batch 64, 300 steps.
"""

import time

import torch

import lsnn
from lsnn.ops.kernel import index

STEPS, BATCH, N_IN = 300, 64, 80
REPEATS = 7


def milliseconds(connectivity: float, max_delay: int, input_rate: float) -> float:
    """Of the fastest pass of a network whose own neurons stay silent, so that only input spikes vary."""
    net = lsnn.LSNN(
        N_IN,
        lsnn.Cells(n_regular=120, n_adaptive=100),
        10,
        connectivity=connectivity,
        max_delay=max_delay,
        gain=1e-3,
        seed=1,
        backend="compiled",
    )
    inputs = torch.rand(STEPS, BATCH, N_IN, generator=torch.Generator().manual_seed(0)) < input_rate
    times = []
    for _ in range(REPEATS):
        net.zero_grad()
        start = time.perf_counter()
        activity, _ = net(inputs)
        activity.readout[-1].sum().backward()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def many() -> None:
    choices = (2, 3, 4, 6, 8, 12, 16, 65)
    print("MANY, delays 1-10, 12 %".ljust(26) + "".join(f"{choice:>8}" for choice in choices))
    before = index.MANY
    for rate in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0):
        row = []
        for index.MANY in choices:
            row.append(milliseconds(0.12, 10, rate))
        print(f"input rate {rate:.2f}".ljust(26) + "".join(f"{value:8.1f}" for value in row), flush=True)
    index.MANY = before


def full() -> None:
    print("FULL, no delays".ljust(26) + f"{'list':>8}{'matrix':>8}")
    before = index.FULL
    for rate in (0.01, 0.03, 0.1):
        for connectivity in (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 1.0):
            row = []
            for index.FULL in (2.0, 0.0):
                row.append(milliseconds(connectivity, 1, rate))
            print(
                f"rate {rate:.2f}, {connectivity:4.0%} full".ljust(26) + "".join(f"{v:8.1f}" for v in row), flush=True
            )
    index.FULL = before


if __name__ == "__main__":
    torch.set_num_threads(1)
    many()
    full()
