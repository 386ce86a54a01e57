"""Report on runs: figures, and a page of numbers beside the paper's.

run.py reads a run folder; learning.py, synapses.py, trial.py, outing.py and analysis.py take from it what each figure
shows; plates.py chooses the figures; page.py (one run) and comparison.py (several) write the page.  memory.py is a
report of its own.
"""

from collections.abc import Sequence
from pathlib import Path

from lsnn import figures, runs
from lsnn.report import outing
from lsnn.report.comparison import comparison_of
from lsnn.report.memory import write_memory as write_memory
from lsnn.report.memory import write_returns as write_returns
from lsnn.report.page import page_of
from lsnn.report.plates import plates_of
from lsnn.report.run import read_run

PAGE = "results.md"
ANIMATION = "animation.gif"


def write_report(folders: Path | str | Sequence[Path | str], out: Path | str | None = None) -> list[Path]:
    """Write figures (PNG and PDF) and results.md for one run, or for several side by side.  Returns the files.

    A run in the arenas gets a moving picture, too.
    out: folder to write to; by default RUN/report for one run, ./report for several.
    """
    if not folders:
        raise ValueError("there is nothing to report on; name at least one run folder")
    paths = [Path(folder) for folder in ([folders] if isinstance(folders, Path | str) else folders)]
    found = [read_run(path) for path in {path.resolve(): path for path in paths}.values()]
    out = Path(out) if out else (found[0].path / "report" if len(found) == 1 else Path("report"))
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; choose another folder for the report")
    out.mkdir(parents=True, exist_ok=True)
    if len(found) == 1:
        plates = list(plates_of(found[0]))
        page = page_of(found[0], plates)
    else:
        plates, page = comparison_of(found)
    written = []
    for plate in plates:
        for suffix in ("png", "pdf"):
            written.append(out / f"{plate.name}.{suffix}")
            runs.write_bytes(written[-1], figures.render(plate.figure, suffix))
    moving = outing.moving(found[0]) if len(found) == 1 else None
    if moving is not None:
        written.append(out / ANIMATION)
        runs.write_bytes(written[-1], moving)
    runs.write_bytes(out / PAGE, page.encode())
    return [out / PAGE, *written]
