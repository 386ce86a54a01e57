"""What a person sees while a run trains; where the output is no terminal, a line for each validation."""

import time
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from lsnn.experiments import Experiment


class Progress:
    """Called with every record of a run; draws loss, metric, rates, density, speed and time left."""

    def __init__(self, run: Path, experiment: Experiment, console: Console | None = None) -> None:
        self.run, self.headline, self.total = run, experiment.task.headline.metric, experiment.iterations
        self.console = console or Console(stderr=True)
        self.bar = Bar(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(), console=self.console,
        )  # fmt: skip
        self.row = self.bar.add_task(str(run), total=self.total, speed="")
        self.latest: dict[str, dict[str, Any]] = {}
        self.live: Live | None = None
        self.last_time = time.perf_counter()
        self.speed = 0.0

    def __enter__(self) -> "Progress":
        if self.console.is_terminal:
            self.live = Live(self._view(), console=self.console, refresh_per_second=4)
            self.live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.live is not None:
            self.live.update(self._view())
            self.live.stop()

    def __call__(self, record: dict[str, Any]) -> None:
        self.latest[record["event"]] = record
        if self.live is None:
            if record["event"] == "validation":
                self._log(record)
            return
        if record["event"] == "step":
            now = time.perf_counter()
            rate = 1 / max(now - self.last_time, 1e-9)
            self.speed = rate if self.speed == 0 else 0.9 * self.speed + 0.1 * rate
            self.last_time = now
            self.bar.update(self.row, completed=record["iteration"], speed=f"{self.speed:.2f} it/s")
        self.live.update(self._view())

    def _log(self, record: dict[str, Any]) -> None:
        done = f"iteration {record['iteration']} of {self.total}, {self.latest['step']['seconds']:.0f} s"
        line = f"{done}: {self.headline} {record[self.headline]:.4f} in validation"
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _view(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for column in ("", "iteration", "loss", self.headline, "rate", "density"):
            table.add_column(column, justify="left" if column == "" else "right")
        for event, name in (("step", "training"), ("validation", "validation"), ("test", "test")):
            record = self.latest.get(event)
            if record:
                table.add_row(name, *self._cells(record, self.latest.get("train", {}) if event == "step" else {}))
        return Group(table, self.bar)

    def _cells(self, record: dict[str, Any], wiring: dict[str, Any]) -> list[str]:
        rate = f"{record['rate_hz']:.1f} Hz" if "rate_hz" in record else ""
        if "rate_regular_hz" in record:
            rate = f"{record['rate_regular_hz']:.1f} Hz regular, {record['rate_adaptive_hz']:.1f} Hz adaptive"
        density = ", ".join(f"{block} {100 * share:.1f} %" for block, share in wiring.get("density", {}).items())
        return [str(record["iteration"]), f"{record['loss']:.4f}", f"{record[self.headline]:.3f}", rate, density]
