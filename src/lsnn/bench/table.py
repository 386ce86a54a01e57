"""Measurements as a table, in Markdown that reads as plain text."""

from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]
"""a measurement: work, backend, memory, threads; then what `lsnn.bench.measuring.measure` returns, and the ratio of
the base's time to its own; or else why it was "skipped", or what "problem" there was"""
LEFT = ("work", "backend", "peer", "memory", "version", "note")
"""columns of words"""

PHASES = {
    "encode_s": "encoding", "forward_s": "forward", "loss_s": "loss", "backward_s": "backward",
    "optimizer_s": "optimizer", "rewire_s": "rewiring",
}  # fmt: skip


def with_ratios(rows: Sequence[Row], base: str) -> list[Row]:
    """The rows, each with how many times faster it is than `base` on the same work; None where that is not known."""
    known = {row["work"]: row["iteration_s"] for row in rows if row["backend"] == base and "iteration_s" in row}

    def ratio(row: Row) -> float | None:
        return known[row["work"]] / row["iteration_s"] if "iteration_s" in row and row["work"] in known else None

    return [{**row, "ratio": ratio(row)} for row in rows]


def table(rows: Sequence[Row], what: str = "backend") -> str:
    """One line per measurement, then the phases of whole training steps, and what went wrong.

    what: heading of the column of backends.  Rows with a version or a note get a column for each.
    """
    columns: dict[str, Callable[[Row], str]] = {
        "work": lambda row: row["work"],
        what: lambda row: row["backend"],
        "memory": lambda row: row["memory"] or "-",
        "threads": lambda row: str(row["threads"]),
        "forward": lambda row: seconds(row.get("forward_s")),
        "backward": lambda row: seconds(row.get("backward_s")),
        "iteration": lambda row: seconds(row.get("iteration_s")),
        "range": _range,
        "n": lambda row: str(row.get("iterations", "-")),
        "ratio": lambda row: f"{row['ratio']:.{1 if row['ratio'] < 10 else 0}f}x" if row.get("ratio") else "-",
        "rate": lambda row: f"{row['rate_hz']:.1f} Hz" if "rate_hz" in row else "-",
        "peak": lambda row: f"{row['peak_mb']:,.0f} MB" if "peak_mb" in row else "-",
        "first call": lambda row: seconds(row.get("first_s")),
    }
    for name in ("version", "note"):
        if any(name in row for row in rows):
            columns[name] = lambda row, name=name: row.get(name, "")
    cells = [list(columns), *([show(row) for show in columns.values()] for row in rows)]
    return "\n".join([*_aligned(cells), *_remarks(rows)])


def _aligned(cells: list[list[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    rule = ["-" * width for width in widths]

    def line(row: list[str]) -> str:
        padded = (
            cell.ljust(width) if name in LEFT else cell.rjust(width)
            for name, cell, width in zip(cells[0], row, widths, strict=True)
        )
        return "| " + " | ".join(padded) + " |"

    return [line(row) for row in (cells[0], rule, *cells[1:])]


def _remarks(rows: Sequence[Row]) -> list[str]:
    remarks = []
    for row in rows:
        name = f"{row['work']}, {row['backend']}"
        remarks += [f"{name}: {row[why]}" for why in ("skipped", "problem") if why in row]
        if "encode_s" in row:
            phases = [f"{word} {seconds(row[key])}" for key, word in PHASES.items() if key in row]
            remarks.append(f"{name}: " + ", ".join(phases))
    return ["", *remarks] if remarks else []


def _range(row: Row) -> str:
    if "fastest_s" not in row:
        return "-"
    return f"{seconds(row['fastest_s'])} - {seconds(row['slowest_s'])}"


def seconds(value: float | None) -> str:
    """Three digits, in the unit that suits them."""
    if value is None:
        return "-"
    for factor, unit in ((1e6, "us"), (1e3, "ms")):
        if value * factor < 999.5:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.3g} s" if value < 100 else f"{value:.0f} s"


def machine_line(machine: dict[str, Any]) -> str:
    """Where the numbers come from, in a line."""
    cores = f"{machine['cpu']}, {machine['threads']} threads on {machine['cores']} cores"
    return f"{cores}; Python {machine['python']}, torch {machine['torch']}, numba {machine['numba']}"
