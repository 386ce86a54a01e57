"""Presets: every experiment of the paper by name, one file per task."""

import difflib

from lsnn.presets.l2l import L2L
from lsnn.presets.navigation import NAVIGATION
from lsnn.presets.preset import PaperRow as PaperRow
from lsnn.presets.preset import Preset as Preset
from lsnn.presets.smnist import SMNIST
from lsnn.presets.store_recall import STORE_RECALL
from lsnn.presets.timit import TIMIT

PRESETS: dict[str, Preset] = {**STORE_RECALL, **SMNIST, **TIMIT, **L2L, **NAVIGATION}
SAME = "the same"
"""how a summary begins that goes on from the one before in the list"""


def described(name: str) -> str:
    """What a preset trains, without another one beside it: of "the same with ..." also what is the same."""
    summary, base = PRESETS[name].summary, name
    if not summary.startswith(SAME):
        return summary
    while base and (base not in PRESETS or PRESETS[base].summary.startswith(SAME)):
        base = base.rpartition("-")[0]
    if not base:
        return summary
    return f"{PRESETS[base].summary}; here{summary.removeprefix(SAME)}"


def preset(name: str) -> Preset:
    """Look a preset up.  Raises ValueError with the nearest names."""
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name.lower(), PRESETS, n=3, cutoff=0.5)
    offer = f"did you mean {' or '.join(near)}?" if near else "lsnn list shows them all"
    raise ValueError(f"there is no preset {name!r}; {offer}")
