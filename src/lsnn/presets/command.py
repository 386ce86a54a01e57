"""A training's settings, as one would type them."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lsnn import runs, training
from lsnn.config import encode
from lsnn.experiments import Experiment
from lsnn.presets import PRESETS, described
from lsnn.trainer import PLACES

BOOKKEEPING = (
    "--seed",
    "--log-every",
    "--validate-every",
    "--checkpoint-every",
    "--network.backend",
    "--network.memory",
)
"""settings that do not set two runs apart"""
IDLE = {
    "cosine": ("--lr-decay", "--lr-decay-every", "--lr-patience"),
    "plateau": ("--lr-decay-every",),
    "step": ("--lr-patience",),
}
"""settings that have no effect, by schedule"""


class Origin(NamedTuple):
    """How a run came about."""

    preset: str | None
    experiment: Experiment
    start_from: str | None
    """the run whose weights this one began with"""


def origin(folder: Path) -> Origin:
    """That of a run folder.  Raises ValueError, naming the file, where something is damaged."""
    config = runs.read_config(folder)
    return Origin(config.get("preset"), training.load(folder), config.get("start_from"))


def reproduce(run: Origin) -> str:
    """What the preset is, and the command that trains the same again."""
    if run.preset not in PRESETS:
        return f"No preset of this name is known; `{runs.CONFIG}` of the run has every setting."
    summary = described(run.preset)
    command = " ".join(["lsnn train", run.preset, f"--seed {run.experiment.seed}", *flags(run)])
    return f"{summary[:1].upper()}{summary[1:]}.\n\n```sh\n{command}\n```"


def settings(run: Origin) -> list[str]:
    """Settings that set a run apart from its preset: `flags` without bookkeeping and places of files."""
    places = tuple(f"--task.{name} " for name in PLACES)
    return [flag for flag in flags(run, bookkeeping=False) if not flag.startswith(places)]


def flags(run: Origin, bookkeeping: bool = True) -> list[str]:
    """Settings that differ from the preset's, as the command line takes them; the seed left out."""
    if run.preset not in PRESETS:
        return []
    changed = dict(_differences(encode(run.experiment), encode(PRESETS[run.preset].experiment), "--"))
    left_out = {*(("--seed",) if bookkeeping else BOOKKEEPING), *IDLE[run.experiment.schedule]}
    if run.experiment.schedule == "plateau" or run.experiment.patience is not None:
        left_out -= {"--validate-every"}  # what training does depends on it
    if run.experiment.epochs is not None:
        left_out |= {"--iterations", "--validate-every"}  # follow from the epochs
    begun = [] if run.start_from is None else [f"--start-from {shlex.quote(run.start_from)}"]
    return begun + [flag for name, flag in changed.items() if name not in left_out]


def _differences(ours: Mapping[str, Any], usual: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in ours.items():
        name = prefix + key.replace("_", "-")
        if isinstance(value, dict) and isinstance(usual.get(key), dict):
            yield from _differences(value, usual[key], f"{name}.")
        elif value != usual.get(key) and isinstance(value, bool):
            yield name, name if value else f"{prefix}no-{key.replace('_', '-')}"
        elif value != usual.get(key):
            values = value if isinstance(value, list) else [value]
            yield name, " ".join([name, *(shlex.quote(str(item)) for item in values)])
