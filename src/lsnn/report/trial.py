"""The example trial of a run: its input labelled, its answers where the task reads them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from lsnn.experiments import Spiking
from lsnn.figures import ORANGE, SKY, Array, Group, Span, Trial, Values, Window
from lsnn.report.run import Run, recorded
from lsnn.tasks import Regression, SequentialMnist, Task


def trial_of(run: Run, example: Mapping[str, Tensor]) -> Trial:
    """What the trial figure shows."""
    task, network, dt, n_regular = run.experiment.task, run.experiment.network, 1.0, 0
    if isinstance(network, Spiking):
        dt, n_regular = network.cells.dt, network.n_regular
    assert isinstance(task, Task)
    inputs = example["inputs"].numpy()
    groups = _groups(task, inputs.shape[1])
    return Trial(
        inputs=inputs,
        groups=groups,
        spikes=recorded(example, "spikes"),
        thresholds=recorded(example, "relative_thresholds"),
        n_regular=n_regular,
        probability=torch.softmax(getattr(task, "logit_scale", 1.0) * example["readout"].float(), dim=1).numpy(),
        windows=[] if isinstance(task, Regression) else answers(task, example, dt),
        spans=slots({group.label: group.channels for group in groups}, inputs, len(example["mask"]), dt),
        image=image(task, inputs) if isinstance(task, SequentialMnist) else None,
        dt=dt,
        values=values(task, example, dt) if isinstance(task, Regression) else None,
    )


def values(task: Regression, example: Mapping[str, Tensor], dt: float) -> Values:
    """What was predicted in each step, and what the function gives."""
    predicted = task.predictions(example["readout"][:, None])[:, 0]
    edges = dt * task.shown_ms * np.arange(len(predicted) + 1)
    return Values(edges, predicted.numpy(), example["target"].numpy())


def _groups(task: Task, n_in: int) -> list[Group]:
    groups = [Group(name, range(n_in)[part]) for name, part in task.input_groups().items()]
    return groups if len(groups) <= 6 else [Group("input", range(n_in))]


def answers(task: Task, example: Mapping[str, Tensor], dt: float) -> list[Window]:
    """Where something is asked for.  Windows share the trial, unless the task reads only its last steps, or only the
    first of each window."""
    steps, mask = len(example["readout"]), example["mask"]
    width = getattr(task, "readout_steps", steps // len(mask))
    read = getattr(task, "answer_steps", width)
    windows = []
    for index in mask.nonzero()[:, 0].tolist():
        start = steps - (len(mask) - index) * width
        answer = int(example["readout"][start : start + read].mean(dim=0).argmax())
        windows.append(Window(start * dt, (start + read) * dt, int(example["target"][index]), answer))
    return windows


def slots(groups: Mapping[str, Sequence[int]], inputs: Array, n_slots: int, dt: float) -> list[Span]:
    """Slots of STORE, with the bit to keep, and of RECALL, in tasks that have them."""
    if not {"STORE", "RECALL", "value 1", "value 0"} <= groups.keys():
        return []
    width, spans = len(inputs) // n_slots, []
    for slot in range(n_slots):
        shown = inputs[slot * width : (slot + 1) * width].sum(axis=0)
        count = {name: int(shown[list(channels)].sum()) for name, channels in groups.items()}
        start, stop = slot * width * dt, (slot + 1) * width * dt
        if count["STORE"]:
            spans.append(Span(start, stop, f"STORE {int(count['value 1'] > count['value 0'])}", SKY))
        if count["RECALL"]:
            spans.append(Span(start, stop, "RECALL", ORANGE))
    return spans


def image(task: SequentialMnist, inputs: Array) -> Array | None:
    """The image behind the input, where the code can be undone."""
    shown, groups = inputs[: task.n_steps - task.cue_steps], task.input_groups()
    if task.order == "permuted":
        return None
    if task.encoding == "analog":
        grey = shown[:, groups["grey"]]
    elif {"onset", "offset", "white"} <= groups.keys():
        grey = _levels(*(shown[:, groups[name]] for name in ("onset", "offset", "white")))
    else:
        return None
    side = math.isqrt(grey[:: task.ms_per_pixel].size)
    return grey[:: task.ms_per_pixel].reshape(side, side)


def _levels(onset: Array, offset: Array, white: Array) -> Array:
    """Grey levels behind threshold crossings, from black: a spike tells of the next step, one of white of its own."""
    level, levels = 0, []
    for rise, fall in zip(onset, offset, strict=True):
        levels.append(level)
        if rise.any():
            level = int(rise.nonzero()[0].max())
        elif fall.any():
            level = int(fall.nonzero()[0].min()) - 1
    return np.where(white.any(axis=1), onset.shape[1], levels)
