"""Praat TextGrid, in the long and the short text format: the intervals of the tier that has the phones."""

import codecs
import math
import re
from collections.abc import Iterator
from pathlib import Path

from lsnn.speech.damage import damaged, shown

TIERS = ("phones", "phone", "phonemes", "phoneme", "phn", "segments")
"""names, whatever their case, of the tier that is read; otherwise the only tier of intervals is"""

TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<![\w.\[])([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)(?![\w\]])|<(exists|absent)>')
Token = tuple[int, str | float]
LONGEST = 1e6
"""s"""


def intervals(path: Path, raw: bytes) -> Iterator[tuple[int, float, float, str]]:
    """Byte, start and stop in s, and text of each interval of the phone tier."""
    text, width = _decode(path, raw)
    tokens = _tokens(text, width)

    def take(kind: type[str] | type[float]) -> Token:
        at, value = next(tokens, (len(raw), None))
        if value is None or not isinstance(value, kind):
            wanted = "a number" if kind is float else "a text"
            found = "the file ends" if value is None else f"there is {shown(str(value))}"
            raise damaged(path, at, f"{found}, where {wanted} should be", "save the TextGrid as text once more")
        return at, value

    if [take(str)[1] for _ in range(2)] != ["ooTextFile", "TextGrid"]:
        raise damaged(path, 0, "no TextGrid", "save it from Praat as a text file")
    for kind in (float, float, str):
        take(kind)
    tiers: dict[str, list[tuple[int, float, float, str]]] = {}
    for _ in range(_count(path, *take(float))):
        kind, name = take(str)[1], str(take(str)[1])
        rows = []
        for _ in range(2):
            take(float)
        for _ in range(_count(path, *take(float))):
            at, start = take(float)
            stop = take(float)[1] if kind == "IntervalTier" else start
            if not (abs(float(start)) < LONGEST and abs(float(stop)) < LONGEST):
                raise damaged(path, at, f"an interval from {start} to {stop} s", "mend the labels")
            rows.append((at, float(start), float(stop), str(take(str)[1])))
        if kind == "IntervalTier":
            tiers.setdefault(name.strip().lower(), rows)
    named = [tiers[name] for name in TIERS if name in tiers] or (list(tiers.values()) if len(tiers) == 1 else [])
    if not named:
        tried = ", ".join(shown(name) for name in tiers) or "none"
        raise damaged(path, 0, f"no tier of phones; its tiers of intervals are {tried}", "call one phones")
    yield from named[0]


def _count(path: Path, at: int, value: str | float) -> int:
    if not (isinstance(value, float) and math.isfinite(value) and 0 <= value == int(value) < 1e6):
        raise damaged(path, at, f"{value} entries", "save the TextGrid as text once more")
    return int(value)


def _decode(path: Path, raw: bytes) -> tuple[str, int]:
    """The text, and the bytes of a character."""
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return (raw.decode("utf-16"), 2) if wide else (raw.decode("utf-8-sig"), 1)
    except UnicodeDecodeError as error:
        raise damaged(path, error.start, "bytes that are no text in UTF-8 or UTF-16", "save it as UTF-8") from None


def _tokens(text: str, width: int) -> Iterator[Token]:
    """Byte (nearly, with letters beyond ASCII) and value of every text, number and flag; the rest is comment."""
    for found in TOKEN.finditer(text):
        string, number, flag = found.groups()
        if number is not None:
            yield width * found.start(), float(number)
        else:
            yield width * found.start(), string.replace('""', '"') if string is not None else flag
