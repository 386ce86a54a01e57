"""Flags from dataclasses, and one line for what is wrong with them."""

import contextlib
import io
from typing import Any, TypeVar

import tyro

Options = TypeVar("Options")


class UsageError(ValueError):
    """The command line itself is wrong; exit code 2."""


def parse(options: type[Options], arguments: list[str], prog: str, **more: Any) -> Options:
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
