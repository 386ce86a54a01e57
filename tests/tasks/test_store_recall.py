import re
from collections import Counter
from itertools import product

import pytest
import torch

from lsnn.tasks import StoreRecall
from tests.helpers import ROOT


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slow_answers(symbols: list[set[str]]) -> dict[int, int] | None:
    """Slot -> bit to recall, by reading the symbols one by one; None if they break a rule."""
    answers, memory, stored_at = {}, None, None
    for slot, shown in enumerate(symbols):
        bits = [bit for bit in (0, 1) if f"value {bit}" in shown]
        if "RECALL" in shown:
            if shown != {"RECALL"} or memory is None or stored_at == slot - 1:
                return None
            answers[slot], memory = memory, None
        elif len(bits) != 1:
            return None
        elif "STORE" in shown:
            if memory is not None:
                return None
            memory, stored_at = bits[0], slot
    return answers if answers and memory is None else None


def read(task: StoreRecall, active: torch.Tensor) -> list[set[str]]:
    """Names of the active groups per slot, from which neurons fire: active is (slot, n_in)."""
    groups = task.input_groups().items()
    return [{name for name, channels in groups if slot[channels].any()} for slot in active]


def test_recall_asks_for_the_stored_bit():
    task = StoreRecall(slot_ms=20, n_in=200)  # an active group is silent with probability 0.95 ** 1000
    batch = task.batch("train", 200, seeded())
    spikes = batch.inputs.unflatten(0, (task.n_slots, task.slot_ms)).any(dim=1)  # (slot, batch, n_in)
    for k in range(200):
        expected = slow_answers(read(task, spikes[:, k]))
        assert expected is not None, "valid sequence"
        asked = batch.mask[:, k].nonzero().flatten().tolist()
        assert {slot: int(batch.target[slot, k]) for slot in asked} == expected


def test_active_groups_fire_at_their_rate_and_the_others_not_at_all():
    task = StoreRecall()
    generator = seeded()
    shown = task.symbols(50, generator).shown.repeat_interleave(task.n_in // 4, dim=2)
    batch = task.batch("train", 50, seeded())  # the same symbols: they are drawn first
    rate = batch.inputs.unflatten(0, (task.n_slots, task.slot_ms)).double().mean(dim=1)
    assert not rate[~shown].any()
    n_draws = int(shown.sum()) * task.slot_ms
    assert rate[shown].mean().item() == pytest.approx(0.05, abs=5 * (0.05 * 0.95 / n_draws) ** 0.5)


def commands(task: StoreRecall, n: int) -> Counter[str]:
    """How often each pattern of commands comes, such as '.S.R' (. for a slot with a value alone)."""
    _, _, store, recall = task.symbols(n, seeded()).shown.unbind(dim=2)
    code = (store.int() + 2 * recall.int()).t().tolist()
    return Counter("".join(".SR"[k] for k in sequence) for sequence in code)


def test_distractors_last_as_long_as_the_docs_say():
    gaps = [
        stretch.index("R")
        for pattern in commands(StoreRecall(), 20_000).elements()
        for stretch in pattern.split("S")[1:]
    ]
    stated = re.search(r"distractors follow for (\S+) s", (ROOT / "docs/experiments/store-recall.md").read_text())
    assert stated and 0.2 * sum(gaps) / len(gaps) == pytest.approx(float(stated[1]), abs=0.01)


@pytest.mark.parametrize(("n_slots", "delay"), [(3, 6.0), (6, 1.0), (7, 3.0)])
def test_commands_are_distributed_as_by_rejection(n_slots: int, delay: float):
    p = 1 / (1 + delay)
    weight = {}
    for pattern in map("".join, product(".SR", repeat=n_slots)):
        symbols = [{"S": {"STORE", "value 0"}, "R": {"RECALL"}, ".": {"value 0"}}[c] for c in pattern]
        if slow_answers(symbols) is not None:  # weight under free drawing: a command with p, else a value
            weight[pattern] = p ** (n_slots - pattern.count(".")) * (1 - p) ** pattern.count(".")
    n = 20_000
    counts = commands(StoreRecall(n_slots=n_slots, delay=delay), n)
    assert set(counts) == {pattern for pattern in weight} or n_slots > 6
    assert set(counts) <= set(weight)
    for pattern, w in weight.items():
        q = w / sum(weight.values())
        assert abs(counts[pattern] - n * q) <= 5 * (n * q * (1 - q)) ** 0.5 + 1e-9


def test_bits_are_fair_and_the_one_after_store_tells_nothing():
    shown = StoreRecall(n_slots=8, delay=1.0).symbols(5000, seeded()).shown
    _, one, store, _ = shown.unbind(dim=2)
    stored, after = one[:-1][store[:-1]], one[1:][store[:-1]]
    n = len(stored)
    assert n > 5000
    for rate in (stored.double().mean(), (stored != after).double().mean()):
        assert rate.item() == pytest.approx(0.5, abs=5 * (0.25 / n) ** 0.5)


def test_loss_sees_only_the_slots_of_recall():
    task = StoreRecall(n_slots=6, slot_ms=5)
    batch = task.batch("train", 8, seeded())
    readout = torch.zeros(30, 8, 2, requires_grad=True)
    task.loss(readout, batch).sum().backward()
    reached = readout.grad.unflatten(0, (6, 5)).abs().sum(dim=3) > 0
    assert torch.equal(reached.all(dim=1), batch.mask) and torch.equal(reached.any(dim=1), batch.mask)


def test_evaluation_gives_the_stated_number_of_sequences():
    task = StoreRecall(n_slots=4, slot_ms=2, n_evaluation=10)
    assert [batch.inputs.shape for batch in task.evaluation("test", 4)] == [(8, 4, 100), (8, 4, 100), (8, 2, 100)]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("n_in", 10, "n_in must be a multiple of 4, got 10"),
        ("n_in", 0, "n_in must be a multiple of 4, got 0"),
        ("rate_hz", 0.0, r"rate_hz must lie in \(0, 1000\], got 0.0"),
        ("rate_hz", 1001.0, r"rate_hz must lie in \(0, 1000\], got 1001.0"),
        ("n_slots", 2, "n_slots must be at least 3, got 2"),
        ("slot_ms", 0, "slot_ms must be at least 1, got 0"),
        ("delay", 0.0, "delay must be positive, got 0.0"),
        ("delay", float("nan"), "delay must be positive, got nan"),
        ("n_evaluation", 0, "n_evaluation must be at least 1, got 0"),
    ],
)
def test_impossible_fields_are_refused(field: str, value: float, message: str):
    with pytest.raises(ValueError, match=message):
        StoreRecall(**{field: value})
