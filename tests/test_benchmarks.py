"""The scripts in benchmarks/: the peers' networks are lsnn's, and what linear means.  Nothing here asserts a time."""

import importlib.util
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import scaling
from benchmarks.peers import __main__ as peers
from benchmarks.peers import on_torch
from benchmarks.peers.network import network
from lsnn.bench.measuring import TAIL, whole_run
from lsnn.bench.works import W2, Work

DENSE = Work("dense", 3, 120, 20, 6, 6, 2, gain=0.5)
SPARSE = Work("sparse", 3, 120, 20, 6, 6, 2, gain=1.5, connectivity=0.5, max_delay=4, n_ref=3, excitatory=0.75)
WORKS = pytest.mark.parametrize("work", [DENSE, SPARSE, replace(SPARSE, steps=TAIL - 6)])


@WORKS
def test_torch_loop_is_lsnn_spike_for_spike_and_in_its_gradient(work: Work):
    net = work.network("reference").double()
    activity, _ = net(work.inputs(), record=["spikes"])
    run, (w_in, w_rec) = on_torch.torch_loop(network(work))
    spikes = run()
    assert torch.equal(spikes, activity.spikes.float()) and 5 < activity.rate.mean() < 200

    weight = torch.linspace(0, 1, spikes.numel()).view_as(spikes)
    (spikes * weight).sum().backward()
    (activity.spikes * weight).sum().backward()
    n, synapses = work.n, net.synapses
    inner = synapses.post < n
    assert w_in.grad is not None and w_rec.grad is not None
    theirs = torch.cat([w_in.grad, w_rec.grad])[synapses.pre[inner], synapses.post[inner]]
    assert synapses.theta.grad is not None
    ours = (synapses.sign * synapses.theta.grad if synapses.fixed_signs else synapses.theta.grad)[inner].float()
    assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-3 * float(ours.abs().max()))  # float32 against float64


@WORKS
def test_weighted_sum_of_spikes_is_the_mean_filtered_readout(work: Work):
    net, dense = work.network("reference"), network(work)
    spikes = net(work.inputs(), record=["spikes"])[0].spikes
    readout, _ = whole_run(net, work.inputs())()
    ours = torch.einsum("t,tbn->bn", torch.from_numpy(dense.tail), spikes) @ torch.from_numpy(dense.w_out)
    assert torch.allclose(ours, readout, rtol=1e-4, atol=1e-6) and spikes.any()


def test_measured_torch_loop_fires_like_lsnn():
    row = peers.measure_here("torch loop", SPARSE, 2, 1)
    activity, _ = SPARSE.network("compiled")(SPARSE.inputs())
    assert row["rate_hz"] == pytest.approx(activity.rate.mean().item(), rel=1e-5)
    assert {"forward_s", "backward_s", "iteration_s", "first_s", "peak_mb"} <= row.keys()


def test_peer_that_is_not_installed_is_listed_with_its_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert peers.measure("norse", "W1", 1, 1)["skipped"] == "not installed; pip install norse"


def test_peer_without_delays_says_so(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0")
    row = peers.measure("snntorch", "W2", 1, 1)
    assert row["skipped"] == "has no delay per synapse" and row["version"] == "1.0"


def test_command_prints_the_same_table_with_versions_and_notes(monkeypatch, capsys):
    def measured(peer, name, iterations, threads):
        row = {"work": name, "backend": peer, "memory": None, "threads": threads, "version": "1", "note": "whole"}
        return row | {"iteration_s": 0.1 if peer == "lsnn" else 2.0}

    monkeypatch.setattr(peers, "measure", measured)
    command = ["peers", "W3", "--peers", "torch loop,lsnn"]
    monkeypatch.setattr(sys, "argv", command)
    peers.main()
    assert "20x" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*command, "--json"])
    peers.main()
    result = json.loads(capsys.readouterr().out)
    assert [row["ratio"] for row in result["rows"]] == [1.0, pytest.approx(20.0)]


@pytest.mark.parametrize(("arguments", "complaint"), [(["W9"], "no work 'W9'"), (["--peers", "x"], "no peer 'x'")])
def test_unknown_names_are_refused(monkeypatch, capsys, arguments, complaint):
    monkeypatch.setattr(sys, "argv", ["peers", *arguments])
    with pytest.raises(SystemExit) as exit:
        peers.main()
    assert exit.value.code == 2 and complaint in capsys.readouterr().err


# ---- scaling --------------------------------------------------------------------------------------------------------

QUANTITY = [1.0, 2.0, 4.0, 8.0, 16.0]


def test_line_is_found_exactly_and_nothing_deviates():
    line = scaling.fit(QUANTITY, [3 + 2 * x for x in QUANTITY])
    assert line == pytest.approx((3.0, 2.0))
    assert scaling.deviations(QUANTITY, [3 + 2 * x for x in QUANTITY], line) == pytest.approx([0] * 5)


def test_quadratic_cost_deviates_by_far_more_than_the_bound():
    cost = [x**2 for x in QUANTITY]
    assert max(np.abs(scaling.deviations(QUANTITY, cost, scaling.fit(QUANTITY, cost)))) > 2 * scaling.BOUND


def test_line_weighs_errors_relative_to_the_cost():
    cost = [1.1 * QUANTITY[0], *QUANTITY[1:]]
    small, large = scaling.fit(QUANTITY, cost), scaling.fit(QUANTITY, [1000 * y for y in cost])
    assert (1000 * small.fixed, 1000 * small.slope) == pytest.approx(large)


def test_cost_per_unit_is_one_where_cost_is_proportional():
    assert scaling.per_unit(QUANTITY, [5 * x for x in QUANTITY]) == pytest.approx([1] * 5)
    assert np.prod(scaling.per_unit(QUANTITY, [3 + 2 * x for x in QUANTITY])) == pytest.approx(1)


def test_gain_is_found_for_a_rate():
    work, rate = scaling.at_rate(replace(W2, batch=4, steps=100), 15.0)
    assert rate == pytest.approx(15, abs=0.5)
    with torch.no_grad():
        assert work.network()(work.inputs())[0].rate.mean().item() == pytest.approx(rate)


def test_points_are_measured_tabled_and_drawn():
    axes = {"steps": [replace(SPARSE, steps=steps) for steps in (20, 40, 80)]}
    result = scaling.evaluate(scaling.measure(axes, 2, rate=30.0))
    assert result["steps"]["quantity"] == [20, 40, 80] and len(result["steps"]["deviation"]) == 3
    assert len(scaling.table(result).splitlines()) == 5
    (panel,) = scaling.draw(result).axes
    assert panel.get_xlabel() == "time steps" and "% from the line" in panel.get_title(loc="left")
