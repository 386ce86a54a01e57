import dataclasses

import pytest
import torch

from lsnn.tasks import TASKS, Batch, SequentialMnist, Sines, StoreRecall, TargetNetworks, Task

VARIANTS: list[Task] = [
    StoreRecall(n_slots=5, slot_ms=20, n_evaluation=10),
    StoreRecall(n_in=8, rate_hz=500.0, n_slots=3, slot_ms=2, n_evaluation=3),
    SequentialMnist(),
    SequentialMnist(encoding="population", pool=True),
    SequentialMnist(encoding="analog", ms_per_pixel=2),
    SequentialMnist(encoding="analog", cue_ms=10, order="rows"),
    SequentialMnist(order="rows", n_channels=4),
    SequentialMnist(encoding="population", order="rows", n_channels=10, pool=True),
    SequentialMnist(order="permuted", pool=True, cue_ms=0, readout_ms=5),
    TargetNetworks(n_examples=25, example_ms=3, n_channels=10, n_validation=4, n_test=5),
    TargetNetworks(n_examples=9, settled=1, weight_range=1.0, scaling="none", coding_width=0.001, n_test=2),
    TargetNetworks(n_examples=20, example_ms=1, encoding="values", n_validation=3),
    Sines(n_examples=30, n_train_examples=20, max_rate_hz=900.0),
]
tasks = pytest.mark.parametrize("task", VARIANTS, ids=str)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def same(one: Batch, other: Batch) -> bool:
    pairs = zip(one, other, strict=True)
    return all(a is b if a is None or b is None else a.equal(b) for a, b in pairs)


def test_registry_names_every_task_by_its_own_name():
    assert set(TASKS) == {
        "store-recall",
        "sequential-mnist",
        "timit",
        "target-networks",
        "sines",
        "omniglot",
        "navigation",
        "t-maze",
    }
    for name, task in TASKS.items():
        assert task.name == name
        assert dataclasses.fields(task()), "constructed without arguments, and its fields are the command line's"


def asks_for_classes(batch: Batch) -> bool:
    """Or else for values."""
    return not batch.target.is_floating_point()


@tasks
def test_batch_has_the_promised_shapes(task: Task):
    batch = task.batch("train", 3, seeded())
    assert batch.inputs.shape[1:] == (3, task.n_in)
    assert batch.inputs.dtype in (torch.uint8, torch.float32)
    least = 0 if batch.inputs.dtype == torch.uint8 else -1
    assert least <= batch.inputs.min() and 0 < batch.inputs.max() <= 1
    assert batch.target.shape == batch.mask.shape and batch.mask.dtype == torch.bool
    if not asks_for_classes(batch):
        assert batch.target.dtype == torch.float32
    else:
        assert batch.target.dtype == torch.int64 and 0 <= batch.target.min() and batch.target.max() < task.n_out
    assert batch.mask.any(dim=0).all(), "every sequence asks for something"


@tasks
def test_batch_follows_from_its_generator(task: Task):
    first, again, other = (task.batch("train", 4, seeded(seed)) for seed in (1, 1, 2))
    assert same(first, again)
    assert not first.inputs.equal(other.inputs)


@tasks
def test_evaluation_is_the_same_at_every_call(task: Task):
    first, again = (next(task.evaluation("validation", 3)) for _ in range(2))
    assert same(first, again)
    assert not first.inputs.equal(next(task.evaluation("test", 3)).inputs)


@tasks
def test_loss_and_metrics_are_per_decision(task: Task):
    batch = task.batch("train", 3, seeded())
    readout = torch.randn(len(batch.inputs), 3, task.n_out, generator=seeded(), requires_grad=True)
    loss, metrics = task.loss(readout, batch), task.metrics(readout, batch)
    decisions = (int(batch.mask.sum()),)
    assert loss.shape == decisions and (loss > 0).all()
    assert task.headline.metric in metrics
    assert all(value.ndim == 1 and 0 < len(value) <= decisions[0] for value in metrics.values())
    loss.mean().backward()
    assert readout.grad is not None and readout.grad.any()


@tasks
def test_headline_knows_which_way_is_up(task: Task):
    batch = task.batch("train", 3, seeded())
    steps = len(batch.inputs) // len(batch.target)
    classes = asks_for_classes(batch)
    right = torch.nn.functional.one_hot(batch.target, task.n_out).float() if classes else batch.target.unsqueeze(2)
    right = right.repeat_interleave(steps, dim=0)
    best, worst = (task.metrics(readout, batch)[task.headline.metric].mean().item() for readout in (right, -right))
    if classes:
        assert (best, worst) == ((1, 0) if task.headline.higher_is_better else (0, 1))
    else:
        assert not task.headline.higher_is_better and abs(best) < 1e-9 < worst


@tasks
def test_input_groups_name_every_channel_once(task: Task):
    named = [channel for group in task.input_groups().values() for channel in range(task.n_in)[group]]
    assert sorted(named) == list(range(task.n_in))
