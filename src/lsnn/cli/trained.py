"""Commands that look at what was trained: evaluate, report, memory."""

import dataclasses
import json
from pathlib import Path
from typing import Literal

import tyro

from lsnn.cli.parsing import UsageError, parse


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
    out: Path | None = None
    """folder for figures, of --audio and of tasks with a table; not given: as lsnn report"""
    figures: bool = True
    """for tasks with a table: draw what lsnn report draws"""
    json: bool = False
    """print JSON, and draw nothing but --audio"""


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """Figures and a results page for one run, or a comparison of several."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """run folders, or names of trained networks in the box"""
    out: Path | None = None
    """folder to write to; not given: the report folder of a single run, ./report for several"""


@dataclasses.dataclass(frozen=True)
class MemoryOptions:
    """What a network remembers, and where.

    For networks that name one class per trial: class and past input are decoded from thresholds, voltages, spikes and
    what is on its way; each is tampered with in mid-trial.  For agents in arenas: parts of the state are exchanged with
    another's in mid-episode, and who then goes to which goal says where its place was kept.
    """

    run: tyro.conf.Positional[Path]
    """run folder, or the name of a trained network in the box"""
    every: int = 28
    """steps between two looks at the state, of trials; a row of an image has 28"""
    examples: int = 5000
    """examples to fit decoders on, and as many to judge them on, of trials; or all that there are"""
    tampered: int = 512
    """examples whose trials, or episodes, are tampered with"""
    data: Path | None = None
    """folder of the task's data, if it is not the one that the run was trained with"""
    out: Path | None = None
    """folder to write to; not given: the report folder of the run, ./report for a network from the box"""


def evaluate(arguments: list[str]) -> int:
    from lsnn import evaluation, pretrained

    options = parse(EvaluateOptions, arguments, "lsnn evaluate")
    folder = pretrained.locate(options.run)
    if options.audio is not None:
        return _label(folder, options.audio, options.out or Path("report"), options.json)
    found = evaluation.evaluate(options.run, options.split, options.beside, options.data)
    if options.json:
        where = {"run": str(options.run), "iteration": found.iteration, "split": options.split}
        print(json.dumps({**where, **found.plain()}))
    else:
        evaluation.show(found, options.split)
        if options.figures and found.table is not None:
            from lsnn.report import write_report

            print(*write_report([folder], _report_folder(options.run, folder, options.out)), sep="\n")
    return 0


def _report_folder(named: Path, folder: Path, out: Path | None) -> Path:
    """Where a report goes if nothing else is said: into a run's folder, but not into the box."""
    return out or (folder / "report" if folder == named else Path("report"))


def _label(run: Path, audio: Path, out: Path, as_json: bool) -> int:
    from lsnn.report.speech import label_recording

    labelled = label_recording(run, audio, out)
    if as_json:
        print(json.dumps({**labelled._asdict(), "files": [str(path) for path in labelled.files]}))
        return 0
    for start, stop, phone, sure in labelled.phones:
        print(f"{start:8.3f} {stop:8.3f} s  {phone:5} {100 * sure:3.0f} %")
    if labelled.frame_error is not None:
        print(f"frame error against the labels beside it: {labelled.frame_error:.4f}")
    print(*labelled.files, sep="\n")
    return 0


def report(arguments: list[str]) -> int:
    options = parse(ReportOptions, arguments, "lsnn report")
    if not options.runs:
        raise UsageError("name one or more run folders, as in: lsnn report runs/store-recall-0")
    from lsnn import pretrained
    from lsnn.report import write_report

    folders = [pretrained.locate(run) for run in options.runs]
    in_box = folders != list(options.runs)
    for path in write_report(folders, options.out or (Path("report") if in_box else None)):
        print(path)
    return 0


def memory(arguments: list[str]) -> int:
    options = parse(MemoryOptions, arguments, "lsnn memory")
    if min(options.examples, options.tampered) < 2:
        raise UsageError(f"examples and tampered must be at least 2, got {options.examples} and {options.tampered}")
    from lsnn import evaluation, memory, pretrained, training
    from lsnn.bidirectional import spiking_parts
    from lsnn.network import LSNN
    from lsnn.report import write_memory, write_returns
    from lsnn.tasks import Navigation

    folder = pretrained.locate(options.run)
    experiment, network, _ = training.restore_network(folder)
    if not isinstance(network, LSNN):
        why = "hears trials backwards, too, and has no state half-way" if spiking_parts(network) else "does not spike"
        raise UsageError(f"{options.run} {why}; memory studies LSNNs that run from start to end")
    experiment = evaluation.on_data(experiment, options.data)
    out = _report_folder(options.run, folder, options.out)
    network, title = network.eval(), options.run.name
    if isinstance(experiment.task, Navigation):
        paths = write_returns(title, memory.study_returns(experiment.task, network, options.tampered), out)
    else:
        studied = memory.study(experiment, network, options.every, options.examples, options.tampered)
        paths = write_memory(title, experiment, studied, out)
    for path in paths:
        print(path)
    return 0
