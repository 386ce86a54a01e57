"""One network put through decoding and tampering."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lsnn.experiments import Experiment
from lsnn.memory.decoding import Decoder, Explained, Sums
from lsnn.memory.moments import moments
from lsnn.memory.tampering import derangement, tamperings
from lsnn.network import LSNN
from lsnn.seeding import generator_for
from lsnn.tasks import Batch, Split, Task

Shares = dict[str, list[float | None]]


class Decoded(NamedTuple):
    """What can be read out of each variable by linear regression.  Variance explained on new examples can be < 0."""

    steps: list[int]
    """where the trials were cut"""
    right: Shares
    """share of examples whose class is read out right at each of those steps"""
    recalled_at: int
    """the step at which past input is read out: three quarters of the trial, whose end may be a cue or blank"""
    back: list[int]
    """how many steps before `recalled_at` each past stretch began"""
    explained: Shares
    """share of the variance of the input in each past stretch"""


class Tampered(NamedTuple):
    """What the answers are worth when a variable is changed in mid-trial."""

    steps: list[int]
    """when"""
    right: Shares
    """share of right answers, by what was done"""
    intact: float
    """share of right answers of trials left alone"""


class Study(NamedTuple):
    """What came out, on so many examples each."""

    decoded: Decoded
    n_decoded: int
    tampered: Tampered
    n_tampered: int


@torch.no_grad()
def study(
    experiment: Experiment, network: LSNN, every: int = 28, n_decoded: int = 5000, n_tampered: int = 512
) -> Study:
    """Decode and tamper with a network that names one class at the end of each trial.

    every: steps in a stretch, such as a row of an image.
    n_decoded: examples of the training set that decoders are fitted on, and of the validation set to judge them on;
        of either no more than it has.
    n_tampered: examples of the validation set whose trials are tampered with, one fewer where it would be alone in a
        batch.

    Raises ValueError for a task that asks for something else, for stretches that are no shorter than a trial, and for
    fewer than two examples.
    """
    task = experiment.task
    if not isinstance(task, Task):
        raise ValueError(f"in {task.name} the network acts; a study of memory needs trials that are the same for all")
    other = f"{task.name} does not ask for one class per trial, which a study of memory needs"
    if task.headline.metric != "accuracy":  # said before its data are looked for
        raise ValueError(other)
    trial = next(_examples(experiment, "validation", 1))
    steps = len(trial.inputs)
    if len(trial.target) != 1:
        raise ValueError(other)
    if not 1 <= every <= 3 * steps // 4:
        raise ValueError(f"every must lie in 1 ... {3 * steps // 4}, three quarters of a trial, got {every}")
    if min(n_decoded, n_tampered) < 2:
        raise ValueError(
            f"n_decoded and n_tampered must be at least 2, got {n_decoded} and {n_tampered}; study more examples"
        )
    some = [batch for batch in _examples(experiment, "validation", n_tampered) if batch.target.shape[1] > 1]
    if not some:
        raise ValueError("exchanging needs at least two examples in a batch; study more examples")
    fit, judge = (list(_examples(experiment, split, n_decoded)) for split in ("train", "validation"))
    decoded = _decode(experiment, network, fit, judge, every)
    tampered = _tamper(experiment, network, some, every)
    return Study(decoded, _count(judge), tampered, _count(some))


def _examples(experiment: Experiment, split: Split, n: int) -> Iterator[Batch]:
    """Batches of n examples of a split, or of as many as it has; the same at every call.

    Training examples are drawn as training draws them, so that one may come twice.
    """
    task, size = experiment.task, max(experiment.batch_size, 2)
    assert isinstance(task, Task)
    if split == "train":
        n = _no_more_than(task.evaluation(split, size), n)
        batches = (task.batch(split, size, generator_for(0, "memory", index)) for index in range(-(-n // size)))
    else:
        batches = task.evaluation(split, size)
    for batch in batches:
        some = min(n, batch.target.shape[1])
        yield Batch(batch.inputs[:, :some], batch.target[:, :some], batch.mask[:, :some])
        n -= some
        if not n:
            return


def _no_more_than(batches: Iterator[Batch], n: int) -> int:
    """n, or the number of all examples if there are fewer."""
    count = 0
    for batch in batches:
        count += batch.target.shape[1]
        if count >= n:
            return n
    return count


def _count(batches: list[Batch]) -> int:
    return sum(batch.target.shape[1] for batch in batches)


def _noise(experiment: Experiment, network: LSNN, split: Split, index: int, batch: Batch) -> Tensor | None:
    """Of the current, for whole trials: each batch has its own, whatever is done to it."""
    steps, n = batch.inputs.shape[:2]
    return network.draw_noise(steps, n, generator_for(experiment.seed, f"memory/{split}", index))


def _decode(experiment: Experiment, network: LSNN, fit: list[Batch], judge: list[Batch], every: int) -> Decoded:
    recalled_at = 3 * len(fit[0].inputs) // 4 // every * every
    classes, pasts = _decoders(experiment, network, fit, every, recalled_at)
    right = {key: 0 for key in classes}
    explained = {(name, k): Explained() for name in pasts for k in range(recalled_at // every)}
    for index, batch in enumerate(judge):
        seen: list[Tensor] = []
        noise = _noise(experiment, network, "validation", index, batch)
        for moment in moments(network, batch.inputs, every, noise):
            seen.append(moment.seen)
            for name in moment.columns:
                answer = classes[moment.step, name](moment.features).argmax(1)
                right[moment.step, name] += int((answer == batch.target[0]).sum())
            if moment.step == recalled_at:
                for name, decoder in pasts.items():
                    parts = decoder(moment.features).split(seen[0].shape[1], dim=1)
                    for k, (predicted, wanted) in enumerate(zip(parts, seen, strict=True)):
                        explained[name, k].add(predicted, wanted)
    steps = list(dict.fromkeys(step for step, _ in classes))
    stretches = range(recalled_at // every)
    return Decoded(
        steps=steps,
        right={name: [right[step, name] / _count(judge) for step in steps] for name in pasts},
        recalled_at=recalled_at,
        back=[recalled_at - k * every for k in stretches],
        explained={name: [explained[name, k].share() for k in stretches] for name in pasts},
    )


def _decoders(
    experiment: Experiment, network: LSNN, fit: list[Batch], every: int, recalled_at: int
) -> tuple[dict[tuple[int, str], Decoder], dict[str, Decoder]]:
    """Of the class, by step and variable; of all input up to `recalled_at`, by variable."""
    of_class, of_past, columns = {}, Sums(), {}
    for index, batch in enumerate(fit):
        wanted, seen = F.one_hot(batch.target[0], experiment.task.n_out), []
        for moment in moments(network, batch.inputs, every, _noise(experiment, network, "train", index, batch)):
            seen.append(moment.seen)
            columns = moment.columns
            of_class.setdefault(moment.step, Sums()).add(moment.features, wanted)
            if moment.step == recalled_at:
                of_past.add(moment.features, torch.cat(seen, dim=1))
    classes = {(step, name): sums.ridge(part) for step, sums in of_class.items() for name, part in columns.items()}
    return classes, {name: of_past.ridge(part) for name, part in columns.items()}


def _tamper(experiment: Experiment, network: LSNN, batches: list[Batch], every: int) -> Tampered:
    task = experiment.task
    assert isinstance(task, Task)
    right: dict[tuple[int, str], float] = {}
    intact, chosen = 0.0, tamperings(network)
    for index, batch in enumerate(batches):
        order = derangement(batch.target.shape[1], generator_for(0, "tampering", index))
        noise = _noise(experiment, network, "validation", index, batch)
        walked = list(moments(network, batch.inputs, every, noise))
        whole = torch.cat([moment.readout for moment in walked])
        intact += task.metrics(whole, batch)["accuracy"].sum().item()
        for moment in walked[:-1]:
            before, rest = whole[: moment.step], batch.inputs[moment.step :]
            later = None if noise is None else noise[moment.step :]
            for name, tamper in chosen.items():
                other, state = tamper(network, moment.state, order)
                readout = torch.cat([before, other(rest, state, noise=later)[0].readout])
                key = moment.step, name
                right[key] = right.get(key, 0.0) + task.metrics(readout, batch)["accuracy"].sum().item()
    n, steps = _count(batches), list(dict.fromkeys(step for step, _ in right))
    return Tampered(steps, {name: [right[step, name] / n for step in steps] for name in chosen}, intact / n)
