"""Sparse synapses: counts, places, signs, delays and initial weights."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsnn.initial import balanced_matrix, large_balanced
from lsnn.synapses import Connections, Synapses


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def synapses(n_in=8, n=12, n_out=3, seed=0, **options) -> Synapses:
    return Synapses(n_in, n, n_out, generator=generator(seed), **{"connectivity": 0.3, "max_delay": 4} | options)


sizes = st.tuples(st.integers(1, 12), st.integers(1, 15), st.integers(1, 4))


@settings(deadline=None, max_examples=60)
@given(sizes, st.floats(0.05, 1.0), st.integers(1, 6), st.booleans(), st.integers(0, 5))
def test_slots_are_distinct_places_off_the_diagonal(size, connectivity, max_delay, dale, seed):
    n_in, n, n_out = size
    s = synapses(*size, seed, connectivity=connectivity, max_delay=max_delay, excitatory=0.75 if dale else None)
    position = s.position()
    assert len(position.unique()) == len(s)
    pre, post = s.endpoints(position)
    assert torch.equal(pre, s.pre) and torch.equal(post, s.post)
    assert not (s.pre - n_in == s.post).any()
    from_input, to_readout = s.pre < n_in, s.post >= n
    assert not (from_input & to_readout).any()
    assert (s.delay[to_readout] == 0).all()
    inner = s.delay[~to_readout] - (~from_input[~to_readout]).long()
    assert ((inner >= 0) & (inner < max_delay)).all()


def test_budget_is_the_papers_count():
    s = Synapses(80, 220, 10, connectivity=0.12, max_delay=10, excitatory=0.75, generator=generator())
    assert len(s) == sum(s.counts().values()) == 8185
    assert s.counts() == {"input": 2112, "recurrent": 5809, "readout": 264}


def test_dense_network_has_a_slot_everywhere_but_on_the_diagonal():
    assert len(synapses(8, 12, 3, connectivity=1.0)) == 8 * 12 + 12 * 12 - 12 + 12 * 3


def test_delays_are_uniform_over_their_range():
    s = synapses(60, 60, 2, connectivity=1.0, max_delay=5)
    for block, first in ((0, 0), (1, 1)):
        share = torch.bincount(s.delay[s.block() == block], minlength=first + 5)[first:] / (s.block() == block).sum()
        assert share.tolist() == pytest.approx([0.2] * 5, abs=0.03)


def test_signs_follow_dales_law_and_the_authors_proportions():
    s = Synapses(80, 220, 10, connectivity=0.12, max_delay=10, excitatory=0.75, generator=generator())
    assert (s.source_sign[:80] > 0).sum() == 61  # int(0.75 * 80) + 1
    assert (s.source_sign[80:] < 0).nonzero().flatten().tolist() == list(range(54))  # inhibitory neurons come first
    weight = s.weight().detach()
    assert torch.equal(weight.sign(), s.source_sign[s.pre].float())
    assert (s.theta > 0).all()


def test_unsigned_weights_take_both_signs_within_a_source():
    weight = synapses(connectivity=1.0).dense()["input"]
    assert ((weight > 0).any(1) & (weight < 0).any(1)).all()


def test_initial_weights_have_the_papers_spread():
    s = Synapses(400, 500, 10, connectivity=1.0, generator=generator())
    dense = s.dense()
    assert dense["input"].std().item() == pytest.approx(1 / math.sqrt(400), rel=0.02)
    off_diagonal = ~torch.eye(500, dtype=torch.bool)
    assert dense["recurrent"][off_diagonal].std().item() == pytest.approx(1 / math.sqrt(500), rel=0.02)
    assert dense["readout"].abs().max().item() <= math.sqrt(6 / 510)


def test_gain_scales_what_reaches_neurons_and_not_the_readout():
    one, two = synapses(gain=1.0), synapses(gain=2.0)
    to_neurons = one.post < 12
    assert torch.allclose(two.theta[to_neurons], 2 * one.theta[to_neurons])
    assert torch.equal(two.theta[~to_neurons], one.theta[~to_neurons])


@pytest.mark.parametrize(("n", "n_post"), [(40, 40), (80, 20), (30, 70)])
def test_balanced_matrix_is_the_authors(n, n_post):
    """Columns sum to zero, sources keep their sign, and the square matrix has spectral radius 1."""
    sign = torch.cat([-torch.ones(n // 4), torch.ones(n - n // 4)]).to(torch.int8)
    matrix = balanced_matrix(sign, n_post, generator())
    assert matrix.shape == (n, n_post)
    assert matrix.sum(0).abs().max() < 1e-5
    assert torch.equal(matrix.sign(), sign[:, None].expand(n, n_post).float())
    if n == n_post:
        assert torch.linalg.eigvals(matrix).abs().max().item() == pytest.approx(1, abs=1e-5)


def test_large_networks_draw_from_the_same_law():
    """Mean and spread of the magnitudes of either sign, drawn sparsely and through the whole matrix."""
    n = 600
    sign = torch.cat([-torch.ones(150), torch.ones(450)]).to(torch.int8)
    whole = balanced_matrix(sign, n, generator()).abs()
    pre = torch.arange(n).repeat_interleave(200)
    sparse = large_balanced(sign, pre, generator(1))
    for kind in (-1, 1):
        drawn, expected = sparse[sign[pre] == kind], whole[sign == kind]
        assert drawn.mean().item() == pytest.approx(expected.mean().item(), rel=0.1)
        assert drawn.std().item() == pytest.approx(expected.std().item(), rel=0.1)


@settings(deadline=None, max_examples=40)
@given(sizes, st.floats(0.05, 0.95), st.integers(0, 100))
def test_free_places_are_distinct_empty_and_no_autapses(size, connectivity, seed):
    s = synapses(*size, connectivity=connectivity)
    free = s.n_positions - s.n - len(s)
    k = int(free * 0.7)
    drawn = s.draw_free(k, generator(seed))
    assert len(drawn.unique()) == k
    assert not torch.isin(drawn, s.position()).any()
    pre, post = s.endpoints(drawn)
    assert not (pre - s.n_in == post).any()


def test_free_places_are_drawn_uniformly():
    s = synapses(4, 5, 2, connectivity=0.4)
    counts = torch.zeros(s.n_positions)
    for seed in range(3000):
        counts[s.draw_free(3, generator(seed))] += 1
    free = counts > 0
    assert free.sum() == s.n_positions - s.n - len(s)
    expected = 9000 / free.sum()
    assert counts[free].min() > 0.75 * expected and counts[free].max() < 1.25 * expected


def test_all_free_places_can_be_drawn():
    s = synapses(4, 5, 2, connectivity=0.4)
    free = s.n_positions - s.n - len(s)
    assert len(s.draw_free(free, generator()).unique()) == free
    with pytest.raises(ValueError, match=f"{free + 1} synapses do not fit into {free} free places"):
        s.draw_free(free + 1, generator())


def test_explicit_connections_are_kept_as_given():
    s = Synapses.from_connections(
        2, 3, 1,
        Connections([0, 1, 1], [0, 2, 2], [0.5, -0.2, 0.1], [0, 3, 1]),
        Connections.from_dense([[0.0, 1.0, 0.0], [0.0, 0.0, -2.0], [0.0, 0.0, 0.0]], 2),
        Connections.from_dense([[1.0], [0.0], [3.0]], 0),
        dtype=torch.float64,
    )  # fmt: skip
    assert s.max_delay == 4  # an input delay of 3 needs four slots
    assert s.pre.tolist() == [0, 1, 1, 2, 3, 2, 4] and s.post.tolist() == [0, 2, 2, 1, 2, 3, 3]
    assert s.delay.tolist() == [0, 3, 1, 2, 2, 0, 0]
    assert s.weight().tolist() == [0.5, -0.2, 0.1, 1.0, -2.0, 1.0, 3.0]
    assert s.dense()["input"][1].tolist() == [0, 0, pytest.approx(-0.1)]


@pytest.mark.parametrize(
    ("recurrent", "message"),
    [
        (Connections([0], [3], [1.0], 1), "recurrent synapses: post must lie in 0 ... 2, got 3"),
        (Connections([0], [1], [1.0], 0), "recurrent synapses need a delay of at least 1 steps, got 0"),
        (Connections([0, 1], [1], [1.0], 1), "recurrent synapses need arrays of one length"),
        (Connections([0], [1], [1.0], [1.7]), "recurrent synapses: delay must be whole numbers, got 1.7"),
        (Connections([0.5], [1], [1.0], 1), "recurrent synapses: pre must be whole numbers, got 0.5"),
        (Connections([0], [1], [math.nan], 1), "recurrent synapses: weights must be finite, got nan"),
    ],
)
def test_impossible_connections_are_refused(recurrent, message):
    none = Connections([], [], [], 0)
    with pytest.raises(ValueError, match=message):
        Synapses.from_connections(2, 3, 1, none, recurrent, none)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"connectivity": 0.0}, r"connectivity must lie in \(0, 1\], got 0.0"),
        ({"connectivity": 1.2}, "got 1.2; 1 trains densely"),
        ({"max_delay": 0}, "max_delay must be at least 1 step"),
        ({"excitatory": 1.5}, "excitatory must lie in"),
        ({"excitatory": 0.75, "fixed_signs": False}, "excitatory needs fixed_signs"),
        ({"gain": 0.0}, "gain must be positive and finite, got 0.0"),
        ({"gain": math.nan}, "gain must be positive and finite, got nan"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        synapses(**options)
