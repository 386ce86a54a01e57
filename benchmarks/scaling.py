"""How the cost of a training iteration grows with time steps, batch and synapses, each over a factor of 16.

    python benchmarks/scaling.py [--rounds 7] [--threads N] [--out docs/figures]

The network is the paper's for sequential MNIST (W2 of `lsnn bench`), and one quantity is varied at a time; synapses by
connectivity, so that neurons stay the same.  At every point the gain of the initial weights is chosen such that the
network fires at 15 Hz.  Rounds go over all points, so that a slow minute of the machine falls on all of them alike.

A cost is linear if  cost = fixed + slope * quantity  describes it.  The line is fitted to the medians, least squares of
the relative error, and a point's deviation is its relative distance from the line.  Beside it stands the cost per unit
relative to the geometric mean of all points', which is 1 everywhere only if nothing is fixed.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from lsnn import bench
from lsnn.bench.clock import Clock
from lsnn.bench.measuring import training_step, whole_run
from lsnn.bench.works import W2, Work
from lsnn.figures.style import BLACK, BLUE, GREY, SIZE, SMALL, render, styled

RATE = 15.0
"""Hz"""
BOUND = 0.15
"""deviation from the line that the figure shades"""
AXES = {
    "steps": [replace(W2, steps=steps) for steps in (128, 256, 512, 1024, 2048)],
    "batch": [replace(W2, batch=batch) for batch in (32, 64, 128, 256, 512)],
    "synapses": [replace(W2, connectivity=share) for share in (0.06, 0.12, 0.24, 0.48, 0.96)],
}
LABELS = {"steps": "time steps", "batch": "batch size", "synapses": "synapses"}


class Line(NamedTuple):
    """cost = fixed + slope * quantity."""

    fixed: float
    slope: float

    def at(self, quantity: Any) -> Any:
        """The line's cost."""
        return self.fixed + self.slope * quantity


def fit(quantity: Sequence[float], cost: Sequence[float]) -> Line:
    """The line with the least squares of the relative error."""
    x, y = np.asarray(quantity, float), np.asarray(cost, float)
    (fixed, slope), *_ = np.linalg.lstsq(np.stack([1 / y, x / y], 1), np.ones(len(x)), rcond=None)
    return Line(float(fixed), float(slope))


def deviations(quantity: Sequence[float], cost: Sequence[float], line: Line) -> list[float]:
    """Each cost's relative distance from the line."""
    return [y / line.at(x) - 1 for x, y in zip(quantity, cost, strict=True)]


def per_unit(quantity: Sequence[float], cost: Sequence[float]) -> list[float]:
    """Cost per unit, relative to the geometric mean."""
    unit = np.asarray(cost, float) / np.asarray(quantity, float)
    return (unit / np.exp(np.log(unit).mean())).tolist()


# ---- measuring -------------------------------------------------------------------------------------------------------


@dataclass
class Point:
    """A network at the wanted rate, and what its iterations cost."""

    axis: str
    quantity: int
    work: Work
    rate_hz: float
    costs: list[float]

    def cost(self) -> float:
        """Median, s."""
        return statistics.median(self.costs)


def at_rate(work: Work, rate: float, tolerance: float = 0.2, most: int = 20) -> tuple[Work, float]:
    """The work with the gain at which its network fires at `rate`, Hz, found by halving; and its rate."""
    low, high = 0.05, 5.0
    inputs, found = work.inputs(), 0.0
    for _ in range(most):
        work = replace(work, gain=(low * high) ** 0.5)
        with torch.no_grad():
            found = work.network()(inputs)[0].rate.mean().item()
        if abs(found - rate) < tolerance:
            break
        low, high = (work.gain, high) if found < rate else (low, work.gain)
    return work, found


def measure(axes: dict[str, list[Work]], rounds: int, rate: float = RATE) -> list[Point]:
    """Every point of every axis, `rounds` times.

    Each time twice, and the second counts: a training has its memory at hand, not that of another size.
    """
    points, steps = [], []
    for axis, works in axes.items():
        for work in works:
            work, found = at_rate(work, rate)
            net = work.network()
            quantity = len(net.synapses) if axis == "synapses" else getattr(work, axis)
            points.append(Point(axis, quantity, work, found, []))
            steps.append(training_step(whole_run(net, work.inputs()), net.parameters(), work.target()))
    for _ in range(rounds):
        for point, step in zip(points, steps, strict=True):
            clock = Clock()
            step(clock)
            step(clock)
            point.costs.append(clock.iterations[1]["iteration_s"])
    return points


# ---- showing ---------------------------------------------------------------------------------------------------------


def evaluate(points: Sequence[Point]) -> dict[str, dict[str, Any]]:
    """By axis: quantities, costs in s, the line, deviations from it, cost per unit, rates in Hz."""
    result = {}
    for axis in dict.fromkeys(point.axis for point in points):
        own = [point for point in points if point.axis == axis]
        quantity, cost = [point.quantity for point in own], [point.cost() for point in own]
        line = fit(quantity, cost)
        result[axis] = {
            "quantity": quantity,
            "iteration_s": cost,
            "fastest_s": [min(point.costs) for point in own],
            "slowest_s": [max(point.costs) for point in own],
            "rate_hz": [point.rate_hz for point in own],
            "gain": [point.work.gain for point in own],
            "line": line._asdict(),
            "deviation": deviations(quantity, cost, line),
            "per_unit": per_unit(quantity, cost),
        }
    return result


def table(result: dict[str, dict[str, Any]]) -> str:
    """One line per point, in Markdown."""
    names = ("varied", "quantity", "rate", "iteration", "range", "line", "deviation", "cost per unit")
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for axis, r in result.items():
        line = Line(**r["line"])
        for k, x in enumerate(r["quantity"]):
            spread = " - ".join(bench.seconds(r[name][k]) for name in ("fastest_s", "slowest_s"))
            measured = f"{r['rate_hz'][k]:.1f} Hz | {bench.seconds(r['iteration_s'][k])} | {spread}"
            lines.append(
                f"| {LABELS[axis]} | {x:,} | {measured} "
                f"| {bench.seconds(line.at(x))} | {100 * r['deviation'][k]:+.0f} % | {r['per_unit'][k]:.2f} |"
            )
    return "\n".join(lines)


@styled
def draw(result: dict[str, dict[str, Any]]) -> Figure:
    """Cost over each quantity, with its line and the bound around it; both axes logarithmic."""
    figure = Figure(figsize=(SIZE[0], 4.2), layout="constrained")
    panels = figure.subplots(1, len(result), sharey=True, squeeze=False)[0]
    for ax, (axis, r) in zip(panels, result.items(), strict=True):
        _draw_axis(ax, axis, r)
    panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    panels[0].yaxis.set_major_formatter("{x:g}")
    panels[0].set_ylabel("seconds per iteration")
    panels[0].legend(loc="upper left")
    return figure


def _draw_axis(ax: Axes, axis: str, r: dict[str, Any]) -> None:
    x, line = np.asarray(r["quantity"], float), Line(**r["line"])
    dense = np.geomspace(x[0] / 1.15, x[-1] * 1.15)
    fitted = line.at(dense)
    band = {"color": GREY, "alpha": 0.25, "linewidth": 0, "label": f"± {100 * BOUND:.0f} %"}
    ax.fill_between(dense, (1 - BOUND) * fitted, (1 + BOUND) * fitted, **band)
    ax.plot(dense, fitted, color=BLACK, linewidth=1, label="fixed + slope × quantity")
    ax.plot(x, r["iteration_s"], "o", color=BLUE, markersize=7, label="median iteration")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(x, [f"{value:,.0f}" for value in x])
    ax.minorticks_off()
    ax.set_xlabel(LABELS[axis])
    worst = max(abs(value) for value in r["deviation"])
    ax.set_title(f"at most {100 * worst:.0f} % from the line", fontsize=SMALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path("docs/figures"), help="folder of scaling.png and scaling.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    result = evaluate(measure(AXES, args.rounds))
    machine = bench.machine(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "scaling.json").write_text(json.dumps({"machine": machine, "axes": result}, indent=1) + "\n")
    (args.out / "scaling.png").write_bytes(render(draw(result), "png"))
    print(f"{bench.machine_line(machine)}\n\n{table(result)}")


if __name__ == "__main__":
    main()
