"""What a run cost: time, machine, parameters, synapses and spikes."""

from collections.abc import Iterator

from lsnn.report.run import Run
from lsnn.words import duration, spell

OPERATIONS = ("spikes", "synaptic_operations", "multiply_accumulates")


def cost_of(run: Run) -> Iterator[tuple[str, str]]:
    """Names and values, from the results or else from the log."""
    last = next((record for record in reversed(run.metrics) if record["event"] == "train"), {})
    results = run.results or {}
    yield "iterations", f"{results.get('iterations', run.iteration):,}"
    seconds = results.get("seconds", last.get("seconds"))
    if seconds is not None:
        yield "wall time of training", duration(seconds)
    if "machine" in results:
        machine = results["machine"]
        versions = f"torch {machine['torch']}, Python {machine['python']}"
        yield "machine", f"{machine['cpu']}, {machine['threads']} of {machine['cores']} cores; {versions}"
    if "parameters" in results:
        yield "trainable parameters", f"{results['parameters']:,}"
    active, density = ({**last, **results}.get(name) for name in ("active", "density"))
    if active:
        yield "active synapses", f"{sum(active.values()):,}"
        for block, count in active.items():
            share = f" ({100 * density[block]:.1f} % of its places)" if density else ""
            yield f"... {block}", f"{count:,}{share}"
    rate = results.get("test", {}).get("rate_hz", last.get("rate_hz"))
    if rate is not None:
        yield "mean firing rate", f"{rate:.1f} Hz"
    for name in OPERATIONS:
        if name in results.get("test", {}):
            yield f"{spell(name)} per example", f"{results['test'][name]:,.0f}"
