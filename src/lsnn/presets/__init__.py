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


def preset(name: str) -> Preset:
    """Look a preset up.  Raises ValueError with the nearest names."""
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name.lower(), PRESETS, n=3, cutoff=0.5)
    offer = f"did you mean {' or '.join(near)}?" if near else "lsnn list shows them all"
    raise ValueError(f"there is no preset {name!r}; {offer}")
