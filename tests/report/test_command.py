import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tyro

from lsnn.experiments import Experiment, Spiking
from lsnn.neuron import Cells
from lsnn.presets import PRESETS, preset
from lsnn.tasks import SequentialMnist
from tests.report.folders import begin, page_in


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 3, "iterations": 50, "clip_norm": 1.5, "carry_state": True, "rewiring": "off"},
        {"task": SequentialMnist(pool=True, ms_per_pixel=2, cue_ms=0, data=Path("my images"))},
        {"network": Spiking(cells=Cells(tau_a_range=(1.0, 900.0), trainable=("tau_m", "beta")), excitatory=None)},
    ],
    ids=["experiment", "task", "network"],
)
def test_command_on_the_page_trains_the_same_experiment(changes: dict[str, Any], tmp_path: Path) -> None:
    experiment = replace(PRESETS["smnist"].experiment, **changes)
    begin(tmp_path / "run", experiment)
    page = page_in(tmp_path / "run")
    command = shlex.split(next(line for line in page.splitlines() if line.startswith("lsnn train smnist ")))
    usual = preset("smnist").experiment
    assert tyro.cli(Experiment, args=command[3:], default=usual, config=(tyro.conf.AvoidSubcommands,)) == experiment


def test_settings_without_effect_are_left_out(tmp_path: Path) -> None:
    begin(tmp_path / "run", replace(PRESETS["smnist"].experiment, lr_decay_every=7, lr_patience=5, seed=1))
    assert "lsnn train smnist --seed 1\n" in page_in(tmp_path / "run")
