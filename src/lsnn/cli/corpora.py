"""lsnn data: check a copy of a speech corpus, or make one."""

import dataclasses
import json
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from lsnn.cli.parsing import UsageError, parse
from lsnn.speech.check import Findings
from lsnn.speech.making import Size

HELP = """\
usage: lsnn data COMMAND ...

  lsnn data timit PATH             check a copy of TIMIT, or any corpus that the task timit takes
  lsnn data speech DIR             make a free corpus in TIMIT's layout, spoken by espeak-ng

lsnn data COMMAND --help explains a command.
"""

MOST = 20
"""problems and remarks that are printed; --json has all"""


@dataclasses.dataclass(frozen=True)
class CheckOptions:
    """Check a copy of TIMIT, or any corpus that the task timit takes: every recording and its labels are read.

    Nothing is written.  The exit code is 1 where something is wrong or, with TIMIT, missing.
    """

    path: tyro.conf.Positional[Path]
    """folder of the corpus; TRAIN and TEST may lie deeper, in any case"""
    json: bool = False
    """print JSON"""


@dataclasses.dataclass(frozen=True)
class SpeechOptions:
    """Make a free corpus in TIMIT's layout: sentences of a grammar, spoken by espeak-ng with many voices.

    It needs the package of the extra speech: pip install 'lsnn[speech]'.  Numbers on it are not TIMIT numbers.
    """

    out: tyro.conf.Positional[Path]
    """folder to make"""
    size: Size = "medium"
    """tiny: seconds of speech; small: 8 minutes to train on; medium: an hour; large: as many utterances as TIMIT"""
    seed: int = 0
    """the same seed and size give the same files, byte for byte"""
    jobs: int | None = None
    """speakers at a time; not given: as many as there are cores"""


def data(arguments: list[str]) -> int:
    """Check a corpus, or make one."""
    commands = {"timit": _check, "speech": _speech}
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0 if arguments else 2
    if arguments[0] not in commands:
        raise UsageError(f"there is no command data {arguments[0]!r}; commands are {', '.join(commands)}")
    return commands[arguments[0]](arguments[1:])


def _check(arguments: list[str]) -> int:
    from lsnn.speech.check import check_corpus

    options = parse(CheckOptions, arguments, "lsnn data timit")
    findings = check_corpus(options.path)
    if options.json:
        print(json.dumps(findings._asdict()))
    else:
        _show(findings)
    return int(bool(findings.problems))


def _show(findings: Findings) -> None:
    table = Table("", "found", box=None, pad_edge=False)
    if findings.expected:
        table.add_column("TIMIT has", justify="right")
    for name, value in findings.counts.items():
        expected = [str(findings.expected.get(name, ""))] if findings.expected else []
        table.add_row(name, str(value), *expected)
    Console().print(table)
    for title, lines in (("dealt with", findings.remarks), ("wrong", findings.problems)):
        for line in lines[:MOST]:
            print(f"{title}: {line}")
        if len(lines) > MOST:
            print(f"{title}: {len(lines) - MOST} more; --json lists all")
    print(f"{len(findings.problems)} problems" if findings.problems else "no problems")


def _speech(arguments: list[str]) -> int:
    from lsnn.speech.making import make_corpus

    options = parse(SpeechOptions, arguments, "lsnn data speech")
    with Console(stderr=True).status("") as status:

        def told(done: int, total: int) -> None:
            status.update(f"speaking: {done} of {total} speakers")

        make_corpus(options.out, options.size, options.seed, options.jobs, told)
    print(f"{options.out} is made; train on it with: lsnn train timit --task.data {options.out}")
    return 0
