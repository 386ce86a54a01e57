"""The command line: what `lsnn COMMAND` does.  parsing.py reads flags; the other files have the commands."""

import os
import sys
from collections.abc import Callable, Sequence

import lsnn
from lsnn.cli.corpora import data
from lsnn.cli.costs import bench
from lsnn.cli.own import use_own
from lsnn.cli.parsing import UsageError
from lsnn.cli.trained import evaluate, memory, report
from lsnn.cli.training import list_presets, reason_of, resume, sweep, train

HELP = """\
usage: lsnn COMMAND ...

Train spiking networks with long short-term memory (LSNNs, Bellec et al. 2018).

  lsnn list [NAME]                 presets, with the paper's numbers and ours
  lsnn train PRESET [--run DIR]    train a preset; any of its settings is a flag
  lsnn resume DIR                  go on with a run that was interrupted
  lsnn sweep PRESET ...            train over values of settings and over seeds, and compare
  lsnn evaluate DIR|NAME           score a trained network, yours or one from the box, on a whole split
  lsnn report DIR ...              figures and a results page for one run, or a comparison of several
  lsnn memory DIR|NAME             what a trained network remembers, and in which of its variables
  lsnn bench [WORK ...]            what training costs on this machine, in seconds and megabytes
  lsnn data timit|speech PATH      check a copy of TIMIT, or make a free corpus like it

lsnn COMMAND --help explains a command, lsnn train PRESET --help every setting with unit and default.
With --use FILE.py every command knows the tasks and presets of a file of yours, too (docs/extending.md).
"""

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "list": list_presets, "train": train, "resume": resume, "sweep": sweep,
    "evaluate": evaluate, "report": report, "memory": memory, "bench": bench, "data": data,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point.

    Returns the exit code: 0 on success, 1 on failure, 2 on a wrong command line, 130 on Ctrl-C, 143 of a sweep that
    SIGTERM ended.
    """
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
        return _fail(f"{reason_of(error)}; what was written before is kept, so put that right and try again", 1)
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


def _dispatch(arguments: list[str]) -> int:
    arguments = use_own(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"lsnn {lsnn.__version__}")
        return 0
    command = COMMANDS.get(arguments[0])
    if command is None:
        raise UsageError(f"there is no command {arguments[0]!r}; commands are {', '.join(COMMANDS)}")
    try:
        return command(arguments[1:])
    except SystemExit as exit:  # tyro's, after --help; a sweep's, on SIGTERM
        return int(exit.code or 0)
