"""What a large sparse network asks for beside the training step that `lsnn bench large` times.

    python benchmarks/large.py [--neurons 10000] [--connectivity 0.01] [--batch 32] [--steps 840] [--threads N]

Prints the sizes that grow with the network, and the time of what happens once per rewiring: the list of synapses is
sorted anew for the kernel, and places for newborn synapses are drawn.
"""

import argparse
import time
from collections.abc import Callable

import torch

import lsnn
from lsnn.bench.clock import peak_mb
from lsnn.bench.table import seconds

N_IN, N_OUT, MAX_DELAY = 80, 10, 10
BORN = 100
"""synapses reborn in a step"""


def timed(function: Callable[[], object]) -> float:
    """How long a call takes, s."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=10_000)
    parser.add_argument("--connectivity", type=float, default=0.01)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=840)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    cells = lsnn.Cells(n_regular=args.neurons // 2, n_adaptive=args.neurons - args.neurons // 2)
    shape = {"connectivity": args.connectivity, "max_delay": MAX_DELAY, "excitatory": 0.75}
    before, start = peak_mb(), time.perf_counter()
    net = lsnn.LSNN(N_IN, cells, N_OUT, **shape)
    drawn, drawn_mb = time.perf_counter() - start, peak_mb() - before
    synapses, generator = net.synapses, torch.Generator().manual_seed(0)
    step = torch.zeros(1, args.batch, N_IN, dtype=torch.uint8)
    with torch.no_grad():
        net(step)  # compiles
        known = min(timed(lambda: net(step)) for _ in range(3))
        sorting = []
        for _ in range(3):
            synapses.delay[0] = synapses.delay[0]  # the kernel sees that the synapses were written to
            sorting.append(timed(lambda: net(step)) - known)
        births = min(timed(lambda: synapses.draw_free(BORN, generator)) for _ in range(3))

    stored = sum(part.numel() * part.element_size() for part in (*synapses.buffers(), synapses.theta))
    voltages = 4 * args.steps * args.neurons * args.batch
    print(f"{args.neurons:,} neurons, {len(synapses):,} synapses, batch {args.batch}, {args.steps} steps")
    print(f"network drawn in {seconds(drawn)}, {drawn_mb:.0f} MB; its synapses are stored in {stored / 1e6:.0f} MB")
    print(f"synapses sorted for the kernel after a rewiring: {seconds(min(sorting))}")
    print(f"places drawn for {BORN} newborn synapses: {seconds(births)}")
    print(f"voltages kept for the backward pass, memory='fast': {voltages / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
