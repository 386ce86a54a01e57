"""Speech as a network heard it: a run's example, or any recording, for the figure of `lsnn.figures.speech`."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lsnn import figures, runs, training
from lsnn.experiments import NonSpiking, Spiking
from lsnn.figures import Heard
from lsnn.report.run import recorded
from lsnn.results import response
from lsnn.speech.audio import read_any_audio
from lsnn.speech.features import FRAME_MS, frame_centres
from lsnn.speech.frames import Normalisation
from lsnn.speech.labels import LABEL_SUFFIXES, NO_LABEL, frame_labels, read_labels
from lsnn.speech.phones import CLASSES, INDEX, PHONES
from lsnn.supervised import noise_source
from lsnn.tasks import Timit

FIRST_FRAME_MS = 7.5
"""frames of 10 ms around centres that begin at 12.5 ms"""


class Labelled(NamedTuple):
    """A recording, frame by frame."""

    phones: list[tuple[float, float, str, float]]
    """start and stop, s; phone; its mean probability"""
    frames: list[str]
    """phone of every frame of 10 ms"""
    frame_error: float | None
    """against labels beside the recording, if there are any"""
    files: list[Path]


def phone_groups() -> dict[str, range]:
    """Places of the phones by class."""
    return {name: range(INDEX[phones[0]], INDEX[phones[-1]] + 1) for name, phones in CLASSES.items()}


def heard_in(task: Timit, network: Spiking | NonSpiking, example: Mapping[str, Tensor]) -> Heard:
    """What the figure of an example shows."""
    target = torch.where(example["mask"], example["target"], NO_LABEL)
    return Heard(
        sound=recorded(example, "sound"),
        features=example["inputs"][:: task.steps_per_frame].numpy(),
        spikes=recorded(example, "spikes"),
        thresholds=recorded(example, "relative_thresholds"),
        n_regular=network.n_regular if isinstance(network, Spiking) else 0,
        probability=_probability(task, example["readout"]).numpy(),
        truth=_runs(target.tolist()),
        phones=PHONES,
        groups=phone_groups(),
        step_ms=task.step_ms,
        begin_ms=FIRST_FRAME_MS,
    )


def _probability(task: Timit, readout: Tensor) -> Tensor:
    """(frame, phone)"""
    mean = readout.float().unflatten(0, (-1, task.steps_per_frame)).mean(dim=1)
    return torch.softmax(task.logit_scale * mean, dim=1)


def _runs(labels: list[int]) -> list[tuple[int, int, str]]:
    """First frame, first frame after it, and name of each stretch of one phone; unlabelled frames are left out."""
    stretches, start = [], 0
    for k in range(1, len(labels) + 1):
        if k == len(labels) or labels[k] != labels[start]:
            if labels[start] != NO_LABEL:
                stretches.append((start, k, PHONES[labels[start]]))
            start = k
    return stretches


@torch.no_grad()
def label_recording(run: Path, audio: Path, out: Path) -> Labelled:
    """Name the phone of every 10 ms of a recording with the network of a run, and draw it."""
    experiment, network, _ = training.restore_network(run)
    task = experiment.task
    if not isinstance(task, Timit):
        raise ValueError(f"{run} was trained on {task.name}, not on speech; name a run of timit, or timit itself")
    wave = read_any_audio(audio)
    batch = task.heard(wave, _normalisation(run, task))
    network.eval()
    answered = response(network, batch.inputs, **noise_source(network, experiment.seed, 0, "example"))
    truth = _truth(audio, len(wave), len(batch.target))
    example = {
        "inputs": batch.inputs[:, 0], "target": truth.clamp(min=0), "mask": truth != NO_LABEL,
        "sound": (32768 * wave).clamp(-32768, 32767).to(torch.int16), **answered,
    }  # fmt: skip
    probability = _probability(task, answered["readout"])
    named = probability.argmax(dim=1)
    error = None
    if (truth != NO_LABEL).any():
        error = (named != truth)[truth != NO_LABEL].double().mean().item()
    figure = figures.draw_speech(heard_in(task, experiment.network, example))
    files = []
    for suffix in ("png", "pdf"):
        files.append(out / f"{audio.stem}-phones.{suffix}")
        out.mkdir(parents=True, exist_ok=True)
        runs.write_bytes(files[-1], figures.render(figure, suffix))
    phones = []
    for start, stop, name in _runs(named.tolist()):
        sure = probability[start:stop, INDEX[name]].mean().item()
        begin, end = ((FIRST_FRAME_MS + k * FRAME_MS) / 1000 for k in (start, stop))
        phones.append((begin, end, name, sure))
    return Labelled(phones, [PHONES[k] for k in named.tolist()], error, files)


def _normalisation(run: Path, task: Timit) -> Normalisation:
    """The run's own; while it is unfinished, from the corpus."""
    kept = runs.read_tensors(run / runs.EXAMPLE) if (run / runs.EXAMPLE).exists() else task.remembered()
    if "mean" not in kept or "std" not in kept:
        raise ValueError(f"{run / runs.EXAMPLE} has no normalisation; delete it, and lsnn resume {run} makes it anew")
    return Normalisation(kept["mean"], kept["std"])


def _truth(audio: Path, n_samples: int, n_frames: int) -> Tensor:
    """Labels beside the recording, if there are any."""
    for suffix in LABEL_SUFFIXES:
        path = next((p for p in audio.parent.glob(f"{audio.stem}.*") if p.suffix.lower() == suffix), None)
        if path is not None:
            return frame_labels(read_labels(path, n_samples), frame_centres(n_frames))
    return torch.full((n_frames,), NO_LABEL)
