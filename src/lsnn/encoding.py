"""Analog signals as input spikes: threshold crossings, population rate codes, Poisson trains.

Time is the first axis, channels the last; spikes are uint8, 0 or 1.  Values that enter as currents need no encoding.
"""

import math

import torch
from jaxtyping import Float, Int64, Integer, Shaped, UInt8
from torch import Generator, Tensor
from torch.nn import functional


def threshold_crossing(
    grey: Integer[Tensor, "time ..."], n_thresholds: int = 40, white: int = 255
) -> UInt8[Tensor, "time ... channel"]:
    """Spikes where a grey value crosses one of `n_thresholds` levels, evenly spaced from black (0) to `white`.

    Channel 2k fires on the last step before the value rises to level k or above, channel 2k + 1 on the last step
    before it falls below; white, the top level, has one channel, the last, which fires on every step at white.  That
    makes 2 n_thresholds - 1 channels, of which the first two never fire: no value lies below black.
    Source: Bellec et al. 2018, sequential MNIST, 40 levels; channels in the order of the authors' public code.

    grey: integers in 0 ... white.  Level k is reached when grey / white >= k / (n_thresholds - 1), compared in integers
    as grey (n_thresholds - 1) >= k white, so that rounding decides no tie (85 / 255 does reach level 13 of 39).
    """
    if n_thresholds < 2 or white < 1:
        raise ValueError(
            f"need n_thresholds >= 2 and white >= 1, got {n_thresholds} and {white}; the paper has 40 and 255"
        )
    if grey.is_floating_point():
        raise ValueError(f"grey must be integers in 0 ... {white}, got {grey.dtype}; scale and round it")
    if grey.numel() and not 0 <= int(grey.min()) <= int(grey.max()) <= white:
        found = f"{int(grey.min())} ... {int(grey.max())}"
        raise ValueError(f"grey must lie in 0 ... {white}, got {found}; give the value of white as white=")
    level = grey.long() * (n_thresholds - 1) // white  # highest one reached
    following = torch.cat([level[1:], level[-1:]])  # at the last step nothing is crossed
    table = _crossings(n_thresholds).to(grey.device)
    spikes = table.index_select(0, (level * n_thresholds + following).flatten())
    return spikes.view(*grey.shape, -1)


def _crossings(n: int) -> UInt8[Tensor, "pair channel"]:
    """Channels that fire on a step at level `now` before one at level `following`; their row is now n + following."""
    now, following, level = torch.arange(n).view(n, 1, 1), torch.arange(n).view(1, n, 1), torch.arange(n - 1)
    onset = (now < level) & (level <= following)  # (now, following, level)
    offset = (following < level) & (level <= now)
    at_white = (now == n - 1).expand(n, n, 1)
    return torch.cat([torch.stack([onset, offset], -1).flatten(2), at_white], -1).flatten(0, 1).to(torch.uint8)


def append_cue(inputs: Shaped[Tensor, "time batch n"], n_steps: int) -> Shaped[Tensor, "longer batch wider"]:
    """Add an output cue: one more channel, the last, at 1 in `n_steps` further steps, with all others silent."""
    if n_steps < 0:
        raise ValueError(f"n_steps must not be negative, got {n_steps}; a cue is added after the inputs")
    padded = functional.pad(inputs, (0, 1, 0, 0, 0, n_steps))
    padded[len(inputs) :, :, -1] = 1
    return padded


def tuning(
    value: Float[Tensor, "..."],
    n_channels: int,
    low: float,
    high: float,
    max_rate_hz: float = 200.0,
    sigma: float | None = None,
) -> Float[Tensor, "... channel"]:
    """Firing rates, Hz, of a population with Gaussian tuning to a scalar between `low` and `high`.

        rate[i] = max_rate exp(-(centre[i] - value)^2 / (2 sigma^2))

    Centres are spaced evenly from low - 2 sigma to high + 2 sigma.
    sigma: width, in the units of the value; a tenth of the range if not given.
    Source: population code of the authors' lab; the paper's supplement gives 200 Hz at the peak.
    """
    if n_channels < 2 or low >= high:
        raise ValueError(
            f"need n_channels >= 2 and low < high, got {n_channels}, {low} and {high}; tuning spans a range"
        )
    if not value.is_floating_point():
        raise ValueError(f"value must be floating point, got {value.dtype}; convert it with .float()")
    sigma = (high - low) / 10 if sigma is None else sigma
    if sigma <= 0:
        raise ValueError(f"sigma must be positive, got {sigma}; None takes a tenth of the range")
    centre = torch.linspace(low - 2 * sigma, high + 2 * sigma, n_channels, dtype=value.dtype, device=value.device)
    return ((value.unsqueeze(-1) - centre) / sigma).square_().mul_(-0.5).exp_().mul(max_rate_hz)


def population_rate(
    value: Float[Tensor, "time ..."],
    n_channels: int,
    low: float,
    high: float,
    generator: Generator,
    max_rate_hz: float = 200.0,
    sigma: float | None = None,
    dt: float = 1.0,
) -> UInt8[Tensor, "time ... channel"]:
    """Spikes of a population tuned to a scalar (see `tuning`): one Bernoulli draw per channel and step of dt ms."""
    if value.isnan().any():
        raise ValueError("value must be numbers, got nan; torch.nan_to_num replaces it")
    peak = float(_probability(torch.tensor(max_rate_hz, dtype=torch.float64), dt))
    spikes = torch.empty(*value.shape, n_channels, dtype=torch.uint8)
    for some, out in zip(value.split(16), spikes.split(16), strict=True):  # a few steps at a time stay in the cache
        p = tuning(some, n_channels, low, high, peak, sigma)
        out.copy_(torch.rand(p.shape, generator=generator) < p)
    return spikes


def poisson_held(
    rate_hz: Float[Tensor, "hold ..."], n_steps: int, generator: Generator, dt: float = 1.0
) -> UInt8[Tensor, "time ..."]:
    """Spike trains of rates that are held for `n_steps` each, one after the other: one Bernoulli draw per channel and
    step of dt ms, as in `population_rate`.

    Made for long inputs to many channels (10,000 steps of 10 x 300 take 0.05 s): each draw compares 16 random bits, so
    probabilities are multiples of 2^-16 (a rate of 0.015 Hz at 1 ms, and at most 999.98 Hz).
    The draws of a hold do not depend on any rate: trains before a change are the same with and without it.
    """
    threshold = (_probability(rate_hz, dt) * 2**16).round_().clamp_(max=2**16 - 1).sub_(2**15).to(torch.int16)
    spikes = torch.empty(len(rate_hz), n_steps, *rate_hz.shape[1:], dtype=torch.uint8)
    per_hold = spikes[:1].numel()
    n_words = -(-per_hold // 4)  # of 64 bits, for one hold: four draws each
    at_once = max(1, 2**18 // max(per_hold, 1))  # holds that stay in the cache
    for level, out in zip(threshold.split(at_once), spikes.split(at_once), strict=True):
        words = torch.empty(len(out), n_words, dtype=torch.int64).random_(-(2**63), None, generator=generator)
        draws = words.view(torch.int16)[:, :per_hold].reshape(out.shape)
        torch.lt(draws, level.unsqueeze(1), out=out.view(torch.bool))
    return spikes.flatten(0, 1)


def poisson(
    rate_hz: Float[Tensor, "..."], n_steps: int, generator: Generator, dt: float = 1.0
) -> UInt8[Tensor, "time ..."]:
    """Spike trains of constant rate: in each step of dt ms a spike with probability rate dt / 1000, independently.

    The work grows with the spikes, not with the steps: candidates come at the highest rate, only in channels that fire
    at all, and a channel of lower rate keeps its share of them.
    """
    p = _probability(rate_hz, dt).flatten()
    spikes = torch.zeros(n_steps, len(p), dtype=torch.uint8)
    active = p.nonzero().squeeze(1)
    if n_steps and len(active):
        candidate = _successes(n_steps * len(active), float(p.max()), generator)  # index into (step, active channel)
        step, channel = candidate // len(active), active[candidate % len(active)]
        kept = torch.rand(len(channel), generator=generator) < p[channel] / p.max()
        spikes[step[kept], channel[kept]] = 1
    return spikes.view(n_steps, *rate_hz.shape)


def _successes(n: int, p: float, generator: Generator) -> Int64[Tensor, " success"]:
    """Which of n independent trials of probability p > 0 succeed, in order; the gaps between them are geometric."""
    if p == 1:
        return torch.arange(n)
    enough = int(n * p + 6 * math.sqrt(n * p)) + 6  # six standard deviations; the loop sees to the rest
    trial = torch.tensor([-1])
    while trial[-1] < n - 1:
        gap = torch.empty(enough, dtype=torch.int64).geometric_(p, generator=generator)
        trial = torch.cat([trial, trial[-1] + gap.cumsum(0)])
    return trial[(0 <= trial) & (trial < n)]


def _probability(rate_hz: Float[Tensor, "..."], dt: float) -> Float[Tensor, "..."]:
    """Probability of a spike in one step of dt ms."""
    p = rate_hz * dt / 1000
    if not ((p >= 0) & (p <= 1)).all():
        found = f"{float(rate_hz.min()):g} ... {float(rate_hz.max()):g} Hz"
        raise ValueError(
            f"rates must lie in 0 ... {1000 / dt:g} Hz, one spike per {dt} ms, got {found}; lower them or dt"
        )
    return p
