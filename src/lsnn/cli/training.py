"""Commands that train: list, train, resume, sweep."""

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from lsnn.cli.parsing import UsageError, parse
from lsnn.progress import Progress


@dataclasses.dataclass(frozen=True)
class ListOptions:
    """Presets, with the paper's numbers and those of the networks in the box, on test sets."""

    begin: tyro.conf.Positional[str] = ""
    """what their names begin with, as in: lsnn list smnist; not given: all"""
    json: bool = False
    """print JSON"""


@dataclasses.dataclass(frozen=True)
class ResumeOptions:
    """Go on with a run that was interrupted; it ends as if it had not been, bit for bit."""

    run: tyro.conf.Positional[Path]
    """run folder"""


@dataclasses.dataclass(frozen=True)
class SweepOptions:
    """Train presets over values of their settings and over seeds, and compare the runs.

    Interrupted and called again with the same words, a sweep goes on where it was.
    """

    presets: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PRESET ...")]
    """what to train"""
    vary: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """NAME=VALUE,VALUE as in network.max-delay=1,10; what is named in one --vary changes in step, several --vary give
    every combination; a colon joins the items of a list or the two ends of a range, [] is an empty list"""
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """NAME=VALUE for all runs, as in iterations=2000"""
    seeds: tuple[int, ...] = (0, 1, 2)
    """one run each"""
    out: Path = Path("runs/sweep")
    """folder of the runs, and of their comparison in report"""
    jobs: int = 1
    """runs at a time; the cores that this process may use are shared among them"""


def list_presets(arguments: list[str]) -> int:
    options = parse(ListOptions, arguments, "lsnn list")
    from lsnn.presets import PRESETS

    chosen = {name: preset for name, preset in PRESETS.items() if name.startswith(options.begin)}
    if not chosen:
        raise UsageError(f"no preset's name begins with {options.begin!r}; lsnn list shows them all")
    box = {name: _tested(name) for name in chosen}
    if options.json:
        rows = {
            name: {"summary": preset.summary, "paper": [row._asdict() for row in preset.paper], "box": box[name]}
            for name, preset in chosen.items()
        }
        print(json.dumps(rows, indent=2))
        return 0
    table = Table(box=None, pad_edge=False)
    for title, whole in (("preset", True), ("what it trains", False), ("paper", False), ("in the box", True)):
        table.add_column(title, no_wrap=whole)
    families = [preset.experiment.task.name for preset in chosen.values()]
    for (name, preset), family, before in zip(chosen.items(), families, [families[0], *families], strict=False):
        if family != before:
            table.add_row()
        paper = ", ".join(f"{row.spelled}{'?' * row.recalled} ({row.label})" for row in preset.paper)
        table.add_row(f"[bold]{name}[/bold]", preset.summary, paper, _told(box[name]))
    plain = not sys.stdout.isatty() and "COLUMNS" not in os.environ  # for grep, a preset is a line
    Console(width=10_000 if plain else None).print(table)
    tested = {name: row for name, row in box.items() if row is not None}
    notes = {
        "?  recalled, not verified": any(row.recalled for preset in chosen.values() for row in preset.paper),
        "*  trained with other settings than the preset's, which its card has": any(
            row["settings"] for row in tested.values()
        ),
        "timit in the box: on speech that lsnn data speech makes; these are not TIMIT's numbers": any(
            name.startswith("timit") for name in tested
        ),
    }
    print(*(f"\n{note}" for note, holds in notes.items() if holds), sep="")
    return 0


def _told(tested: dict[str, Any] | None) -> str:
    """Score and time in words; per cent stand without the name of their metric, as in the paper's column."""
    from lsnn.words import duration, scale, show, spell

    if tested is None:
        return ""
    metric = tested["metric"]
    unit = "" if scale(metric) == 100 else f" {spell(metric)}"
    star = "*" if tested["settings"] else ""
    return f"{show(metric, tested['value'])}{unit}{star} in {duration(tested['seconds'])}"


def _tested(name: str) -> dict[str, Any] | None:
    """Test score and seconds of training of the network of that name in the box, and its settings that are not the
    preset's; None where there is none."""
    from lsnn import pretrained, runs
    from lsnn.presets.command import origin, settings

    if name not in pretrained.names():
        return None
    folder = pretrained.folder(name)
    trained = origin(folder)
    metric = trained.experiment.task.headline.metric
    results = runs.read_results(folder, metric)
    other = [] if trained.preset == name else [f"lsnn train {trained.preset}"]
    changed = other + settings(trained)
    return {"metric": metric, "value": results["test"][metric], "seconds": results["seconds"], "settings": changed}


def train(arguments: list[str]) -> int:
    from lsnn import experiments, presets, pretrained, training

    if not arguments or arguments[0].startswith("-"):
        if {"-h", "--help"} & set(arguments):
            print("usage: lsnn train PRESET [--run DIR] [flags]\n\nPresets: " + ", ".join(presets.PRESETS))
            print("lsnn train PRESET --help shows every setting with unit and default.")
            return 0
        raise UsageError("name a preset, as in: lsnn train store-recall; lsnn list shows them all")
    name, flags = arguments[0], arguments[1:]
    try:
        preset = presets.preset(name)
    except ValueError as error:
        raise UsageError(str(error)) from None

    @dataclasses.dataclass(frozen=True)
    class TrainOptions:
        experiment: Annotated[experiments.Experiment, tyro.conf.arg(name="")]
        run: Path | None = None
        """run folder to make; not given: runs/PRESET-SEED"""
        threads: int | None = None
        """torch threads; not given: torch's choice"""
        start_from: Path | None = None
        """run folder, or name of a network in the box, whose weights to begin with; not given: random ones"""

    TrainOptions.__doc__ = f"Train {name}: {presets.described(name)}."
    options = parse(TrainOptions, flags, f"lsnn train {name}", default=TrainOptions(preset.experiment))
    chosen = options.experiment
    try:
        chosen.check_counted(
            field.name
            for field in dataclasses.fields(chosen)
            if getattr(chosen, field.name) != getattr(preset.experiment, field.name)
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    run = options.run or Path("runs") / f"{name}-{chosen.seed}"
    first = None if options.start_from is None else pretrained.locate(options.start_from)
    called = str(options.start_from)  # counts only with a first
    training.start(run, chosen, preset=name, threads=options.threads, start_from=first, called=called)
    return _proceed(run)


def resume(arguments: list[str]) -> int:
    return _proceed(parse(ResumeOptions, arguments, "lsnn resume").run)


def _proceed(run: Path) -> int:
    from lsnn import runs, training

    experiment = training.load(run)
    finished = runs.finished(run)
    try:
        with Progress(run, experiment) as progress:
            results = training.proceed(run, progress)
    except KeyboardInterrupt:
        print(f"lsnn: stopped; go on with: lsnn resume {run}", file=sys.stderr)
        raise
    except OSError as error:
        remedy = f"nothing saved is lost, so put that right and go on with: lsnn resume {run}"
        raise ValueError(f"{reason_of(error)}; {remedy}") from None
    if finished:
        print(f"{run} is already finished")
    headline = experiment.task.headline.metric
    cost = f"{results['iterations']} iterations, {results['seconds']:.0f} s of training"
    print(f"{headline} on the test set: {results['test'][headline]:.4f}  ({cost})")
    print(f"figures and results page: lsnn report {run}")
    return 0


def sweep(arguments: list[str]) -> int:
    from lsnn import sweep
    from lsnn.report import write_report

    options = parse(SweepOptions, arguments, "lsnn sweep")
    if not options.presets:
        raise UsageError("name a preset, as in: lsnn sweep smnist --vary network.max-delay=1,10; lsnn list shows all")
    if not options.seeds or not 1 <= options.jobs <= sweep.cores():
        raise UsageError(f"give at least one seed, and 1 to {sweep.cores()} jobs, as many as there are cores to use")
    try:
        fixed = [sweep.variations(text) for text in options.set]
        if any(len(choices) > 1 for choices in fixed):
            raise ValueError("--set takes one value for each name; --vary takes several")
        settings = {name: value for (choice,) in fixed for name, value in choice.items()}
        vary = [sweep.variations(text) for text in options.vary]
        cells = sweep.plan(options.presets, settings, vary, options.seeds, options.out)
    except ValueError as error:
        raise UsageError(str(error)) from None
    sweep.start(cells, threads=sweep.threads_each(options.jobs))
    done, failed = [], []

    def told(cell: sweep.Cell, reason: str | None) -> None:
        (failed if reason else done).append(cell.run)
        print(f"{cell.run}: {reason or _headline(cell.run)}", flush=True)

    with _ended_by_sigterm():
        sweep.proceed(cells, options.jobs, told)
    if done:
        print(f"comparison: {write_report(sorted(done), options.out / 'report')[0]}")
    if failed:
        raise ValueError(f"{len(failed)} of {len(cells)} runs failed, first {failed[0]}; the same command goes on")
    return 0


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM raise, as Ctrl-C does, so that what was begun is ended; with the exit code that a shell shows."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _headline(run: Path) -> str:
    from lsnn import runs, training

    name = training.load(run).task.headline.metric
    return f"test {name} {runs.read_results(run, name)['test'][name]:.4f}"


def reason_of(error: OSError) -> str:
    """What went wrong with which file."""
    return f"{error.filename or 'output'}: {error.strerror or error}"
