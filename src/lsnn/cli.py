"""The command line: list, train, resume, sweep, evaluate, report, memory, bench, data."""

import contextlib
import dataclasses
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro
from rich.console import Console
from rich.table import Table

import lsnn
from lsnn.progress import Progress

HELP = """\
usage: lsnn COMMAND ...

Train spiking networks with long short-term memory (LSNNs, Bellec et al. 2018).

  lsnn list                        presets, with the paper's numbers
  lsnn train PRESET [--run DIR]    train a preset; any of its settings is a flag
  lsnn resume DIR                  go on with a run that was interrupted
  lsnn sweep PRESET ...            train over values of settings and over seeds, and compare
  lsnn evaluate DIR|NAME           score a trained network, yours or one from the box, on a whole split
  lsnn report DIR ...              figures and a results page for one run, or a comparison of several
  lsnn memory DIR|NAME             what a trained network remembers, and in which of its variables
  lsnn bench [WORK ...]            what training costs on this machine, in seconds and megabytes
  lsnn data timit|speech PATH      check a copy of TIMIT, or make a free corpus like it

lsnn COMMAND --help explains a command, lsnn train PRESET --help every setting with unit and default.
"""

Options = TypeVar("Options")


class UsageError(ValueError):
    """The command line itself is wrong; exit code 2."""


@dataclasses.dataclass(frozen=True)
class ListOptions:
    """Presets, with the paper's numbers."""

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
    """runs at a time; the processor's cores are shared among them"""


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    """Score the network of a run, or one from the box, on every example of a split."""

    run: tyro.conf.Positional[Path]
    """run folder, or the name of a trained network in the box"""
    split: Literal["test", "validation"] = "test"
    """which examples"""
    beside: tuple[Path, ...] = ()
    """for tasks with a table: other networks to put into it; not given: those from the box by the same preset"""
    data: Path | None = None
    """folder of the task's data, if it is not the one that the run was trained with"""
    audio: Path | None = None
    """instead of a split, with a network trained on timit: a recording to label every 10 ms of, and to draw"""
    out: Path = Path("report")
    """folder for the figure of --audio"""
    json: bool = False
    """print JSON"""


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """Figures and a results page for one run, or a comparison of several."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """run folders, or names of trained networks in the box"""
    out: Path | None = None
    """folder to write to; not given: the report folder of a single run, ./report for several"""


@dataclasses.dataclass(frozen=True)
class MemoryOptions:
    """What a network that names one class per trial remembers, and where.

    Class and past input are decoded from thresholds, voltages, spikes and what is on its way; each is tampered with in
    mid-trial.
    """

    run: tyro.conf.Positional[Path]
    """run folder, or the name of a trained network in the box"""
    every: int = 28
    """steps between two looks at the state; a row of an image has 28"""
    examples: int = 5000
    """examples to fit decoders on, and as many to judge them on"""
    tampered: int = 512
    """examples whose trials are tampered with"""
    out: Path | None = None
    """folder to write to; not given: the report folder of the run, ./report for a network from the box"""


@dataclasses.dataclass(frozen=True)
class BenchOptions:
    """What training costs on this machine: the reference and the compiled kernel side by side.

    An iteration is forward, loss, backward to all weights and Adam; of smnist and large, a whole training step, which
    is encoding, DEEP R and metrics too; of stream, one step of one sample.
    """

    works: tyro.conf.Positional[tuple[str, ...]] = ()
    """any of smnist-paper, smnist-delays, W2, W1, W1-long, W3, L2L, l2l-teacher, stream, large; none: all that take
    seconds"""
    backends: str = "reference,compiled"
    """kernels to measure, separated by commas"""
    memory: Literal["fast", "low"] = "fast"
    """memory setting of the compiled kernel"""
    iterations: int = 5
    """iterations after the first call, of which the median counts; none begins after 30 s, but for the second"""
    threads: int | None = None
    """torch threads; not given: torch's choice"""
    json: bool = False
    """print JSON"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point.  Returns the exit code: 0 on success, 1 on failure, 2 on a wrong command line, 130 on Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # torch reads this at its first large tensor: memory in huge pages is much cheaper to get
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except UsageError as error:
        return _fail(error, 2)
    except OSError as error:
        _drop_output()
        if isinstance(error, BrokenPipeError):  # a reader such as head has seen enough
            return 1
        return _fail(f"{_reason(error)}; what was written before is kept, so put that right and try again", 1)
    except (ValueError, FloatingPointError) as error:
        return _fail(error, 1)
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "can't allocate memory" not in str(error):
            raise
        return _fail("the machine has too little memory for this; lower --batch-size or the network's size", 1)


def _fail(error: Exception | str, code: int) -> int:
    print("lsnn: error: " + " ".join(str(error).split()), file=sys.stderr)
    return code


def _drop_output() -> None:
    """Leave nothing that Python would fail to write once more at its exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reason(error: OSError) -> str:
    return f"{error.filename or 'output'}: {error.strerror or error}"


def _dispatch(arguments: list[str]) -> int:
    commands: dict[str, Callable[[list[str]], int]] = {
        "list": _list, "train": _train, "resume": _resume, "sweep": _sweep,
        "evaluate": _evaluate, "report": _report, "memory": _memory, "bench": _bench, "data": _data,
    }  # fmt: skip
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"lsnn {lsnn.__version__}")
        return 0
    command = commands.get(arguments[0])
    if command is None:
        raise UsageError(f"there is no command {arguments[0]!r}; commands are {', '.join(commands)}")
    try:
        return command(arguments[1:])
    except SystemExit as exit:  # tyro's, after --help
        return int(exit.code or 0)


def _parse(options: type[Options], arguments: list[str], prog: str, **more: Any) -> Options:
    """Parse with tyro, whose boxed complaints are put on one line."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(options, args=arguments, prog=prog, config=(tyro.conf.AvoidSubcommands,), **more)
    except SystemExit as exit:
        if exit.code in (0, None):
            raise
        raise UsageError(f"{_unboxed(complaint.getvalue())}; {prog} --help lists all flags") from None
    except ValueError as error:  # from a dataclass that checks its fields
        raise UsageError(f"{error}; {prog} --help lists all flags") from None


def _unboxed(box: str) -> str:
    """The first section of tyro's error box, drawn in Unicode or ASCII, and what it suggests instead."""
    sections: list[list[str]] = [[]]
    for line in box.splitlines()[1:]:  # the first line is a title
        text = line.strip("│╭╮╰╯ ")
        if len(text) > 3 and set(text) <= set("─-"):
            sections.append([])
        elif text:
            sections[-1].append(text)
    complaint, *more = [section for section in sections if section]
    suggestions = [line for section in more if section[0] == "Perhaps you meant:" for line in section]
    flags = [line.split()[0].rstrip(",") for line in suggestions if line.startswith("--")]
    offer = f"; did you mean {' or '.join(flags[:3])}?" if flags else ""
    return " ".join(complaint).removeprefix("Error parsing ").rstrip(".") + offer


def _list(arguments: list[str]) -> int:
    options = _parse(ListOptions, arguments, "lsnn list")
    from lsnn.presets import PRESETS

    if options.json:
        rows = {
            name: {"summary": preset.summary, "paper": [row._asdict() for row in preset.paper]}
            for name, preset in PRESETS.items()
        }
        print(json.dumps(rows, indent=2))
        return 0
    table = Table("preset", "what it trains", "paper", box=None, pad_edge=False)
    for name, preset in PRESETS.items():
        paper = ", ".join(f"{row.spelled} ({row.label})" for row in preset.paper)
        table.add_row(f"[bold]{name}[/bold]", preset.summary, paper)
    Console().print(table)
    return 0


def _train(arguments: list[str]) -> int:
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

    TrainOptions.__doc__ = f"Train {name}: {preset.summary}."
    options = _parse(TrainOptions, flags, f"lsnn train {name}", default=TrainOptions(preset.experiment))
    run = options.run or Path("runs") / f"{name}-{options.experiment.seed}"
    first = None if options.start_from is None else pretrained.locate(options.start_from)
    training.start(run, options.experiment, preset=name, threads=options.threads, start_from=first)
    return _proceed(run)


def _resume(arguments: list[str]) -> int:
    return _proceed(_parse(ResumeOptions, arguments, "lsnn resume").run)


def _proceed(run: Path) -> int:
    from lsnn import training

    experiment = training.load(run)
    try:
        with Progress(run, experiment) as progress:
            results = training.proceed(run, progress)
    except KeyboardInterrupt:
        print(f"lsnn: stopped; go on with: lsnn resume {run}", file=sys.stderr)
        raise
    except OSError as error:
        remedy = f"nothing saved is lost, so put that right and go on with: lsnn resume {run}"
        raise ValueError(f"{_reason(error)}; {remedy}") from None
    headline = experiment.task.headline.metric
    cost = f"{results['iterations']} iterations, {results['seconds']:.0f} s of training"
    print(f"{headline} on the test set: {results['test'][headline]:.4f}  ({cost})")
    print(f"figures and results page: lsnn report {run}")
    return 0


def _sweep(arguments: list[str]) -> int:
    from lsnn import sweep
    from lsnn.report import write_report

    options = _parse(SweepOptions, arguments, "lsnn sweep")
    cores = os.cpu_count() or 1
    if not options.presets:
        raise UsageError("name a preset, as in: lsnn sweep smnist --vary network.max-delay=1,10; lsnn list shows all")
    if not options.seeds or not 1 <= options.jobs <= cores:
        raise UsageError(f"give at least one seed, and 1 to {cores} jobs, as many as there are cores")
    try:
        fixed = [sweep.variations(text) for text in options.set]
        if any(len(choices) > 1 for choices in fixed):
            raise ValueError("--set takes one value for each name; --vary takes several")
        settings = {name: value for (choice,) in fixed for name, value in choice.items()}
        vary = [sweep.variations(text) for text in options.vary]
        cells = sweep.plan(options.presets, settings, vary, options.seeds, options.out)
    except ValueError as error:
        raise UsageError(f"{error}; lsnn sweep --help explains") from None
    sweep.start(cells, threads=max(1, cores // options.jobs))
    done, failed = [], []

    def told(cell: sweep.Cell, reason: str | None) -> None:
        (failed if reason else done).append(cell.run)
        print(f"{cell.run}: {reason or _headline(cell.run)}", flush=True)

    sweep.proceed(cells, options.jobs, told)
    if done:
        print(f"comparison: {write_report(sorted(done), options.out / 'report')[0]}")
    if failed:
        raise ValueError(f"{len(failed)} of {len(cells)} runs failed, first {failed[0]}; the same command goes on")
    return 0


def _headline(run: Path) -> str:
    from lsnn import runs, training

    name = training.load(run).task.headline.metric
    return f"test {name} {runs.read_results(run)['test'][name]:.4f}"


def _evaluate(arguments: list[str]) -> int:
    from lsnn import evaluation

    options = _parse(EvaluateOptions, arguments, "lsnn evaluate")
    if options.audio is not None:
        return _label(options)
    found = evaluation.evaluate(options.run, options.split, options.beside, options.data)
    if options.json:
        where = {"run": str(options.run), "iteration": found.iteration, "split": options.split}
        print(json.dumps({**where, **found.plain()}))
    else:
        evaluation.show(found, options.split)
    return 0


def _label(options: EvaluateOptions) -> int:
    from lsnn import pretrained
    from lsnn.report.speech import label_recording

    assert options.audio is not None
    labelled = label_recording(pretrained.locate(options.run), options.audio, options.out)
    if options.json:
        print(json.dumps({**labelled._asdict(), "files": [str(path) for path in labelled.files]}))
        return 0
    for start, stop, phone, sure in labelled.phones:
        print(f"{start:8.3f} {stop:8.3f} s  {phone:5} {100 * sure:3.0f} %")
    if labelled.frame_error is not None:
        print(f"frame error against the labels beside it: {labelled.frame_error:.4f}")
    print(*labelled.files, sep="\n")
    return 0


def _data(arguments: list[str]) -> int:
    from lsnn import data_command

    return data_command.main(arguments, _parse, UsageError)


def _report(arguments: list[str]) -> int:
    options = _parse(ReportOptions, arguments, "lsnn report")
    if not options.runs:
        raise UsageError("name one or more run folders, as in: lsnn report runs/store-recall-0")
    from lsnn import pretrained
    from lsnn.report import write_report

    folders = [pretrained.locate(run) for run in options.runs]
    in_box = folders != list(options.runs)
    for path in write_report(folders, options.out or (Path("report") if in_box else None)):
        print(path)
    return 0


def _memory(arguments: list[str]) -> int:
    options = _parse(MemoryOptions, arguments, "lsnn memory")
    if min(options.examples, options.tampered) < 2:
        raise UsageError(f"examples and tampered must be at least 2, got {options.examples} and {options.tampered}")
    from lsnn import memory, pretrained, training
    from lsnn.network import LSNN
    from lsnn.report import write_memory

    folder = pretrained.locate(options.run)
    experiment, network, _ = training.restore_network(folder)
    if not isinstance(network, LSNN):
        raise UsageError(f"{options.run} does not spike; memory studies LSNNs")
    studied = memory.study(experiment, network.eval(), options.every, options.examples, options.tampered)
    out = options.out or (folder / "report" if folder == options.run else Path("report"))
    for path in write_memory(options.run.name, experiment, studied, out):
        print(path)
    return 0


def _bench(arguments: list[str]) -> int:
    options = _parse(BenchOptions, arguments, "lsnn bench")
    import torch

    from lsnn import bench, training

    try:
        pairs = bench.plan(options.works, options.backends.split(","))
        if options.iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {options.iterations}; 5 give a median")
        threads = training.checked_threads(torch.get_num_threads() if options.threads is None else options.threads)
    except ValueError as error:
        raise UsageError(f"{error}; lsnn bench --help lists all flags") from None
    settings = {"memory": options.memory, "iterations": options.iterations, "threads": threads}
    rows: list[bench.Row] = []
    try:
        with Console(stderr=True).status("") as status:
            for work, backend in pairs:
                status.update(f"measuring {work}, {backend} ({len(rows) + 1} of {len(pairs)})")
                rows.append(bench.measure(work, backend, **settings))
    finally:  # after Ctrl-C, what has been measured
        rows = bench.with_ratios(rows, base="reference")
        machine = bench.machine(threads)
        if options.json:
            print(json.dumps({"lsnn": lsnn.__version__, "machine": machine, "rows": rows}))
        elif rows:
            print(f"{bench.machine_line(machine)}\n\n{bench.table(rows)}")
    return int(any("problem" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
