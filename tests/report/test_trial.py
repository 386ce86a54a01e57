from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lsnn.encoding import append_cue, threshold_crossing
from lsnn.report.run import read_run
from lsnn.report.trial import answers, image, slots, trial_of
from lsnn.tasks import FewShotOmniglot, SequentialMnist, StoreRecall
from tests.report.folders import small, write_run


def test_probabilities_are_those_of_the_loss(tmp_path: Path) -> None:
    experiment = small("smnist")
    run = read_run(write_run(tmp_path / "run", experiment, iterations=10))
    assert run.example is not None and isinstance(experiment.task, SequentialMnist)
    assert experiment.task.logit_scale == 100
    expected = torch.softmax(100 * run.example["readout"], dim=1)
    assert np.allclose(trial_of(run, run.example).probability, expected, atol=1e-6)


def picture(side: int = 28) -> Tensor:
    """Grey values with a black corner, as MNIST has."""
    rows = torch.arange(side)
    return (rows[:, None] * 9 + (rows * rows[:, None]) % 7 * 2).clamp(max=255)


@pytest.mark.parametrize("ms", [1, 3])
def test_image_is_read_back_from_threshold_crossings(ms: int) -> None:
    digit = picture()
    digit[20] = 255
    crossings = threshold_crossing(digit.flatten().repeat_interleave(ms)[:, None])
    inputs = append_cue(crossings, 56 * ms)[:, 0].numpy()
    levels = image(SequentialMnist(ms_per_pixel=ms), inputs)
    assert levels is not None
    assert np.array_equal(levels, digit.numpy() * 39 // 255)


@pytest.mark.parametrize("order", ["pixels", "rows"])
def test_image_is_read_back_from_a_current(order: Any) -> None:
    digit = picture().numpy().astype(np.float32)
    task = SequentialMnist(encoding="analog", order=order)
    shown = image(task, digit.reshape(-1, task.n_in))
    assert shown is not None and np.array_equal(shown, digit)


@pytest.mark.parametrize("task", [SequentialMnist(order="permuted"), SequentialMnist(encoding="population")])
def test_image_is_left_out_where_the_code_cannot_be_undone(task: SequentialMnist) -> None:
    assert image(task, np.zeros((840, 80), dtype=np.uint8)) is None


def test_slots_are_labelled_with_the_stored_bit() -> None:
    groups, inputs = StoreRecall().input_groups(), np.zeros((600, 100), dtype=np.uint8)
    for group, start in (("STORE", 0), ("value 1", 0), ("value 0", 200), ("RECALL", 400)):
        inputs[start : start + 200, groups[group]] = 1
    channels = {name: range(100)[part] for name, part in groups.items()}
    assert [span[:3] for span in slots(channels, inputs, 3, 1.0)] == [(0, 200, "STORE 1"), (400, 600, "RECALL")]


def test_answer_is_read_where_the_task_reads_it() -> None:
    readout = torch.zeros(840, 10)
    readout[:812, 2], readout[812:, 5] = 9.0, 1.0
    asked = {"readout": readout, "target": torch.tensor([7]), "mask": torch.tensor([True])}
    assert answers(SequentialMnist(), asked, 1.0) == [(812, 840, 7, 5)]
    slots = {
        "readout": readout[:600, :3],
        "target": torch.tensor([0, 1, 1]),
        "mask": torch.tensor([False, True, False]),
    }
    assert answers(StoreRecall(), slots, 1.0) == [(200, 400, 1, 2)]
    named = {"readout": torch.zeros(60, 5), "target": torch.tensor([3, 4]), "mask": torch.tensor([True, True])}
    named["readout"][:10, 1], named["readout"][10:30, 2], named["readout"][30:40, 4] = 1.0, 9.0, 1.0
    task = FewShotOmniglot(image_ms=10, label_ms=20)
    assert answers(task, named, 1.0) == [(0, 10, 3, 1), (30, 40, 4, 4)], "not once the label is shown"
