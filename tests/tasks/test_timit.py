"""TIMIT: batches of utterances that end together, each once an epoch, scored frame by frame."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lsnn import Cells
from lsnn.experiments import NonSpiking, Spiking
from lsnn.speech.phones import PHONES
from lsnn.supervised import respond
from lsnn.tasks import Batch, Classifies, InEpochs, Task, Timit
from tests.helpers import error
from tests.timit_files import timit_experiment

NETWORKS = {
    "lsnn": Spiking(Cells(6, 4, tau_a=50.0, n_ref=2), connectivity=0.5, max_delay=4),
    "lsnn, both ways": Spiking(Cells(6, 4, tau_a=50.0, n_ref=2), connectivity=0.5, max_delay=4, bidirectional=True),
    "reference": Spiking(Cells(6, 4, tau_a=50.0, n_ref=2), connectivity=0.5, max_delay=4, backend="reference"),
    "lstm": NonSpiking("lstm", 5),
    "gru, both ways": NonSpiking("gru", 5, bidirectional=True),
}


@pytest.fixture
def task(timit: Path) -> Timit:
    made = timit_experiment(timit).task
    assert isinstance(made, Timit)
    return made


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def alone(batch: Batch, k: int) -> Batch:
    """One sequence of a batch, without padding."""
    assert batch.lengths is not None
    place = torch.tensor([k])
    return Batch(*(part.index_select(1, place) for part in batch[:3]), batch.lengths[place]).first()


def test_it_is_a_task_in_epochs_that_classifies(task: Timit):
    assert isinstance(task, Task) and isinstance(task, InEpochs) and isinstance(task, Classifies)
    assert Timit().n_in == 39 and Timit().n_out == 61
    assert "--task.data" in error(Timit().batch, "train", 1, seeded())


def test_a_frame_lasts_for_its_steps(task: Timit):
    batch = task.batch("train", 3, seeded())
    assert batch.inputs.shape == (2 * len(batch.target), 3, task.n_in) and batch.inputs.dtype == torch.float32
    assert batch.inputs[::2].equal(batch.inputs[1::2])
    louder = replace(task, current=3.0).batch("train", 3, seeded())
    torch.testing.assert_close(louder.inputs, 3 * batch.inputs)


def test_shorter_utterances_begin_later_and_are_silent_before(task: Timit):
    batch = next(task.evaluation("train", 9))
    assert batch.lengths is not None and len(set(batch.lengths.tolist())) > 3
    steps = len(batch.inputs)
    for k, length in enumerate(batch.lengths.tolist()):
        assert not batch.inputs[: steps - length, k].any() and batch.inputs[steps - length, k].any()
        assert not batch.mask[: (steps - length) // 2, k].any() and batch.mask[(steps - length) // 2 :, k].all()


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_padding_is_not_in_any_result(task: Timit, network: Spiking | NonSpiking):
    net = network.build(task.n_in, task.n_out, seed=3)
    batch = next(task.evaluation("train", 9))
    assert batch.lengths is not None
    together, _ = respond(net, batch)
    losses, rates = task.loss(together.readout, batch).double().sum(), []
    separate = torch.zeros((), dtype=torch.float64)
    for k, length in enumerate(batch.lengths.tolist()):
        one = alone(batch, k)
        by_itself, _ = respond(net, one)
        torch.testing.assert_close(together.readout[-length:, k], by_itself.readout[:, 0], atol=1e-6, rtol=1e-5)
        separate = separate + task.loss(by_itself.readout, one).double().sum()
        if by_itself.rate is not None:
            rates.append(by_itself.rate)
    if together.rate is not None:
        torch.testing.assert_close(together.rate, torch.cat(rates))
        assert together.rate.mean() > 5, "they should spike"
    cost = net.operations(batch.inputs, together, batch.lengths)
    for name, counts in cost.items():
        single = [net.operations((one := alone(batch, k)).inputs, respond(net, one)[0])[name] for k in range(9)]
        torch.testing.assert_close(counts, torch.cat(single), rtol=1e-6, atol=0)  # rates are float32
    gradients = []
    for loss in (losses, separate):
        net.zero_grad()
        (loss + (together.rate if loss is losses else torch.cat(rates)).sum() if rates else loss).backward()
        gradients.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_every_utterance_comes_once_an_epoch_in_batches_of_like_length(task: Timit):
    n = task.n_batches(4)
    assert n == 3  # nine utterances
    epochs = []
    for seed in (0, 1):
        batches = [task.batch_of_epoch(place, 4, seeded(seed)) for place in range(n)]
        assert sorted(batch.inputs.shape[1] for batch in batches) == [1, 4, 4]
        epochs.append(sorted(float(b.inputs[:, k].sum()) for b in batches for k in range(b.inputs.shape[1])))
    assert epochs[0] == pytest.approx(epochs[1])
    assert not task.batch_of_epoch(0, 4, seeded(0)).inputs.equal(task.batch_of_epoch(0, 4, seeded(1)).inputs)


def test_noise_is_on_frames_in_training_alone(task: Timit):
    noisy = replace(task, input_noise=0.5)
    added = []
    for place in range(3):
        clean, heard = task.batch_of_epoch(place, 4, seeded()), noisy.batch_of_epoch(place, 4, seeded())
        assert heard.target.equal(clean.target) and heard.inputs[::2].equal(heard.inputs[1::2])
        assert heard.inputs.equal(noisy.batch_of_epoch(place, 4, seeded()).inputs)
        noise = (heard.inputs - clean.inputs)[::2]
        assert clean.lengths is not None
        for k, frames in enumerate((clean.lengths // 2).tolist()):
            assert not noise[: len(noise) - frames, k].any(), "padding stays silent"
            added.append(noise[len(noise) - frames :, k].flatten())
    values = torch.cat(added)
    assert abs(values.mean()) < 0.01 and abs(values.std() - 0.5) < 0.01, "many thousand numbers"
    assert not added[0][:39].equal(added[1][:39]) and not added[0][:39].equal(added[-1][:39])
    for split in ("validation", "test"):
        pairs = zip(task.evaluation(split, 4), noisy.evaluation(split, 4), strict=True)
        assert all(clean.inputs.equal(heard.inputs) for clean, heard in pairs)
    assert "input_noise" in error(Timit, input_noise=-0.1)


def test_evaluation_has_every_frame_once(task: Timit):
    frames = sum(int(batch.mask.sum()) for batch in task.evaluation("test", 4))
    assert frames == int(task._frames("test").count.sum())


def test_errors_count_frames_among_61_phones_and_39_classes(task: Timit):
    batch = task.batch("test", 2, seeded())
    readout = torch.nn.functional.one_hot(batch.target, task.n_out).float().repeat_interleave(2, dim=0)
    scores = task.metrics(readout, batch)
    assert not any(values.any() for values in scores.values())
    closures = torch.zeros_like(readout)
    closures[..., PHONES.index("pau")] = 1  # folded like h#
    scores, silent = task.metrics(closures, batch), batch.target[batch.mask] == PHONES.index("h#")
    assert scores["frame_error"].mean() == 1
    closure = batch.target[batch.mask] == PHONES.index("tcl")
    assert (scores["folded_error"] == 0).equal(silent | closure)


def test_confusion_counts_what_was_named_what(task: Timit):
    batch = task.batch("test", 2, seeded())
    readout = torch.randn(len(batch.inputs), 2, task.n_out, generator=seeded())
    counts = task.confusion(readout, batch)
    errors = task.metrics(readout, batch)["frame_error"]
    assert counts.sum() == len(errors) and counts.diagonal().sum() == (1 - errors).sum()
    assert counts.sum(1).equal(torch.bincount(batch.target[batch.mask], minlength=61))


@pytest.mark.parametrize("change", [{"steps_per_frame": 0}, {"current": 0.0}, {"logit_scale": float("inf")}])
def test_impossible_settings_are_refused(change):
    (name,) = change
    assert name in error(Timit, **change)
