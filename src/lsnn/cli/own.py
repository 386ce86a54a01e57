"""Tasks and presets of one's own, for every command: --use FILE, or the environment variable LSNN_USE."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from lsnn.cli.parsing import UsageError

VARIABLE = "LSNN_USE"
FLAG = "--use"


def use_own(arguments: Sequence[str]) -> list[str]:
    """Run the files that --use and LSNN_USE name, which enter what they define in TASKS and PRESETS.

    What --use named is added to LSNN_USE, for the processes that a sweep starts.  Returns the other arguments.
    """
    rest: list[str] = []
    named = [name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]
    remaining = iter(arguments)
    for argument in remaining:
        flag, equals, value = argument.partition("=")
        if flag != FLAG:
            rest.append(argument)
        elif name := value if equals else next(remaining, ""):
            named.append(name)
        else:
            raise UsageError("--use needs a file or a module, as in: lsnn --use which_first.py train which-first")
    named = list(dict.fromkeys(str(Path(name).absolute()) if name.endswith(".py") else name for name in named))
    for name in named:
        _run(name)
    if named:
        os.environ[VARIABLE] = os.pathsep.join(named)
    return rest


def _run(name: str) -> None:
    """Import a file, which may import what lies beside it, or a module by its name; once."""
    if name.endswith(".py") and not Path(name).is_file():
        raise UsageError(f"there is no file {name}, which --use or {VARIABLE} names")
    try:
        _import_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
    except Exception as error:  # whatever somebody else's file may raise
        reason = f"{type(error).__name__}: {error}{_where(error, name)}"
        raise UsageError(f"{name} cannot be used: {reason}") from error


def _import_file(path: Path) -> ModuleType:
    module = sys.modules.get(path.stem)
    if module is not None:
        if getattr(module, "__file__", None) == str(path):
            return module
        raise ImportError(f"Python has another module called {path.stem}; give the file another name")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # the name ends with .py
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def _where(error: Exception, file: str) -> str:
    """The last line of that file on the way to an error, if there was one; a SyntaxError says its own."""
    line, trace = None, None if isinstance(error, SyntaxError) else error.__traceback__
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == file else line
        trace = trace.tb_next
    return "" if line is None else f" (line {line})"
