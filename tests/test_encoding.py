import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lsnn.encoding import append_cue, poisson, poisson_held, population_rate, threshold_crossing, tuning


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slow_threshold_crossing(grey: list[int], n_thresholds: int, white: int) -> list[list[int]]:
    """The definition in exact fractions, threshold by threshold and step by step."""
    y = [Fraction(g, white) for g in grey]
    channels = []
    for k in range(n_thresholds - 1):
        threshold = Fraction(k, n_thresholds - 1)
        pairs = list(zip(y, y[1:], strict=False))
        channels.append([int(now < threshold <= following) for now, following in pairs] + [0])
        channels.append([int(following < threshold <= now) for now, following in pairs] + [0])
    channels.append([int(value == 1) for value in y])
    return [list(step) for step in zip(*channels, strict=True)]


def test_five_pixels_give_the_spikes_computed_by_hand():
    grey = torch.tensor([0, 128, 255, 255, 0], dtype=torch.uint8)  # levels at 0, 127.5 and 255
    onset0, offset0, onset1, offset1, white = threshold_crossing(grey, n_thresholds=3).t().tolist()
    assert onset0 == offset0 == [0, 0, 0, 0, 0]
    assert onset1 == [1, 0, 0, 0, 0]  # 0 -> 128, on the last step before
    assert offset1 == [0, 0, 0, 1, 0]  # 255 -> 0
    assert white == [0, 0, 1, 1, 0]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 50), st.sampled_from([255, 1020]), st.lists(st.integers(0, 255), min_size=1, max_size=12))
def test_threshold_crossing_equals_its_slow_definition(n_thresholds: int, white: int, grey: list[int]):
    grey = [g * (white // 255) for g in grey]
    expected = slow_threshold_crossing(grey, n_thresholds, white)
    assert threshold_crossing(torch.tensor(grey), n_thresholds, white).tolist() == expected


def test_every_grey_value_reaches_the_levels_it_reaches_in_fractions():
    up_from_black = torch.stack([torch.zeros(256, dtype=torch.int64), torch.arange(256)])  # (time, batch)
    onsets = threshold_crossing(up_from_black)[0, :, 0:78:2].sum(dim=1)
    assert onsets.tolist() == [sum(Fraction(k, 39) <= Fraction(g, 255) for k in range(1, 39)) for g in range(256)]


def test_a_tie_counts_as_reached():
    assert threshold_crossing(torch.tensor([84, 85])).nonzero().tolist() == [[0, 2 * 13]]  # 85 / 255 = 13 / 39


def test_the_pair_at_black_is_silent_and_the_other_channels_are_not():
    fired = threshold_crossing(torch.randint(0, 256, (2000,), generator=seeded())).any(dim=0)
    assert fired.shape == (79,)
    assert not fired[:2].any() and fired[2:].all()


def test_a_pixel_shown_twice_crosses_once_on_its_second_step():
    grey = torch.randint(0, 255, (30,), generator=seeded())  # no white pixel
    once, twice = threshold_crossing(grey), threshold_crossing(grey.repeat_interleave(2))
    assert once.sum() > 30
    assert torch.equal(twice[1::2], once)
    assert not twice[::2].any()


def test_sequences_of_a_batch_are_encoded_independently():
    grey = torch.randint(0, 256, (20, 3, 2), generator=seeded(), dtype=torch.uint8)
    spikes = threshold_crossing(grey)
    assert spikes.dtype == torch.uint8 and spikes.shape == (20, 3, 2, 79)
    assert torch.equal(spikes[:, 1, 1], threshold_crossing(grey[:, 1, 1]))


def test_cue_is_on_in_the_added_steps_and_everything_else_off():
    inputs = torch.ones(5, 2, 3)
    cued = append_cue(inputs, n_steps=4)
    assert cued.shape == (9, 2, 4) and cued.dtype == inputs.dtype
    assert torch.equal(cued[:5, :, :3], inputs)
    assert not cued[5:, :, :3].any()
    assert torch.equal(cued[..., 3], torch.tensor([0.0] * 5 + [1.0] * 4).unsqueeze(1).expand(9, 2))


def test_tuning_peaks_at_the_centres_and_falls_by_the_gaussian():
    rate = tuning(torch.tensor([-0.2, 0.5, 1.2], dtype=torch.float64), 15, 0.0, 1.0)  # centres -0.2, -0.1, ... 1.2
    assert rate.shape == (3, 15)
    assert rate[0, 0] == rate[2, 14] == 200
    expected = 200 * torch.exp(-torch.arange(-7, 8, dtype=torch.float64).square() / 2)  # one sigma apart
    torch.testing.assert_close(rate[1], expected, rtol=1e-12, atol=0)


def test_tuning_is_differentiable():
    value = torch.tensor([0.1, 0.55], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: tuning(value, 5, 0.0, 1.0), value)


def test_tuning_takes_its_width_from_sigma():
    rate = tuning(
        torch.tensor(0.5, dtype=torch.float64), 5, 0.0, 1.0, max_rate_hz=100.0, sigma=0.25
    )  # -0.5, 0, ... 1.5
    expected = 100 * torch.exp(-torch.tensor([4.0, 2.0, 0.0, 2.0, 4.0], dtype=torch.float64).square() / 2)
    torch.testing.assert_close(rate, expected, rtol=1e-12, atol=0)


def assert_rate(spikes: Tensor, p: Tensor):
    """Spike counts over time (the first axis) lie within five standard deviations of their expectation."""
    n = len(spikes)
    assert ((spikes.sum(dim=0) - n * p).abs() <= 5 * (n * p * (1 - p)).sqrt() + 1e-9).all()


@pytest.mark.parametrize("dt", [1.0, 0.5])
def test_population_fires_at_its_tuned_rates(dt: float):
    value = torch.tensor([0.0, 0.3, 1.0])
    spikes = population_rate(value.expand(5_000, 3), 11, 0.0, 1.0, seeded(), dt=dt)
    assert spikes.shape == (5_000, 3, 11) and spikes.dtype == torch.uint8
    p = tuning(value, 11, 0.0, 1.0) * dt / 1000
    assert p.max() > 0.15 * dt
    assert_rate(spikes, p)


@pytest.mark.parametrize("dt", [1.0, 0.5])
def test_poisson_fires_at_its_rates(dt: float):
    rate_hz = torch.tensor([[0.0, 2.0, 50.0], [400.0, 0.0, 1000.0]])
    spikes = poisson(rate_hz, 20_000, seeded(), dt)
    assert spikes.shape == (20_000, 2, 3) and spikes.dtype == torch.uint8
    assert_rate(spikes, rate_hz * dt / 1000)  # 0 and 1000 Hz have no deviation at dt = 1


def test_poisson_steps_are_independent():
    spikes = poisson(torch.full((2,), 100.0), 50_000, seeded()).double()
    after_spike = spikes[1:, 0][spikes[:-1, 0] == 1]
    with_neighbour = spikes[:, 0][spikes[:, 1] == 1]
    for conditional in (after_spike, with_neighbour):
        assert conditional.mean().item() == pytest.approx(0.1, abs=5 * (0.09 / 5000) ** 0.5)


@pytest.mark.parametrize("dt", [1.0, 0.5])
def test_held_rates_are_those_asked_for(dt: float):
    rate_hz = torch.tensor([[[0.0, 2.0, 50.0]], [[400.0, 0.004, 999.0]]])  # (hold, batch, channel)
    spikes = poisson_held(rate_hz, 20_000, seeded(), dt)
    assert spikes.shape == (40_000, 1, 3) and spikes.dtype == torch.uint8 and spikes.max() == 1
    for hold in range(2):
        part = spikes[20_000 * hold : 20_000 * (hold + 1)]
        assert_rate(part, (rate_hz[hold] * dt / 1000).mul(2**16).round() / 2**16)
    assert not spikes[:20_000, 0, 0].any(), "no rate, no spike"


def test_held_trains_are_independent():
    spikes = poisson_held(torch.full((5, 2), 100.0), 10_000, seeded()).double()
    after_spike = spikes[1:, 0][spikes[:-1, 0] == 1]
    with_neighbour = spikes[:, 0][spikes[:, 1] == 1]
    for conditional in (after_spike, with_neighbour):
        assert conditional.mean().item() == pytest.approx(0.1, abs=5 * (0.09 / 5000) ** 0.5)


@pytest.mark.parametrize("channels", [3, 30_001])
def test_held_trains_before_a_change_do_not_depend_on_it(channels: int):
    """Also where several holds, or few, are drawn at once."""
    rates = torch.full((6, channels), 30.0)
    changed = rates.clone()
    changed[4] = 300.0
    first, second, shorter = (poisson_held(r, 4, seeded()) for r in (rates, changed, rates[:3]))
    assert first[:16].equal(second[:16]) and not first[16:20].equal(second[16:20]) and first[20:].equal(second[20:])
    assert first[:12].equal(shorter)


def test_poisson_of_nothing_is_silent():
    assert poisson(torch.zeros(3), 10, seeded()).sum() == 0
    assert poisson(torch.empty(0), 10, seeded()).shape == (10, 0)
    assert poisson(torch.ones(3), 0, seeded()).shape == (0, 3)
    assert poisson_held(torch.ones(2, 0), 5, seeded()).shape == (10, 0)
    assert poisson_held(torch.ones(0, 3), 5, seeded()).shape == (0, 3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.01, 1000), st.integers(1, 50))
def test_poisson_follows_from_its_generator(seed: int, rate_hz: float, n_steps: int):
    rates = torch.tensor([rate_hz, rate_hz / 2, 0.0])
    first, second = poisson(rates, n_steps, seeded(seed)), poisson(rates, n_steps, seeded(seed))
    assert torch.equal(first, second)
    assert first.max() <= 1 and not first[:, 2].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: threshold_crossing(torch.tensor([0]), n_thresholds=1), "need n_thresholds >= 2.*got 1 and 255"),
        (lambda: threshold_crossing(torch.rand(3)), r"grey must be integers in 0 \.\.\. 255, got torch.float32"),
        (lambda: threshold_crossing(torch.tensor([3, 256])), r"grey must lie in 0 \.\.\. 255, got 3 \.\.\. 256"),
        (lambda: threshold_crossing(torch.tensor([-1])), r"grey must lie in 0 \.\.\. 255, got -1"),
        (lambda: tuning(torch.zeros(1), 1, 0.0, 1.0), "need n_channels >= 2 and low < high, got 1, 0.0 and 1.0"),
        (lambda: tuning(torch.zeros(1), 9, 1.0, 1.0), "need n_channels >= 2 and low < high, got 9, 1.0 and 1.0"),
        (lambda: tuning(torch.zeros(1), 9, 0.0, 1.0, sigma=0.0), "sigma must be positive, got 0.0"),
        (lambda: tuning(torch.arange(3), 9, 0.0, 1.0), "value must be floating point, got torch.int64"),
        (lambda: population_rate(torch.arange(3), 9, 0.0, 1.0, seeded()), "value must be floating point"),
        (lambda: population_rate(torch.zeros(1), 9, 0.0, 1.0, seeded(), max_rate_hz=1001.0), "0 ... 1000 Hz"),
        (
            lambda: population_rate(torch.tensor([0.5, math.nan]), 9, 0.0, 1.0, seeded()),
            "value must be numbers, got nan",
        ),
        (lambda: append_cue(torch.zeros(5, 2, 3), -2), "n_steps must not be negative, got -2"),
        (lambda: poisson_held(torch.tensor([[1001.0]]), 9, seeded()), "0 ... 1000 Hz"),
        (lambda: poisson(torch.tensor([5.0, -1.0]), 9, seeded()), r"got -1 \.\.\. 5 Hz"),
        (lambda: poisson(torch.tensor([5000.0]), 9, seeded(), dt=0.5), "0 ... 2000 Hz, one spike per 0.5 ms"),
    ],
)
def test_impossible_requests_are_refused(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()
