"""What a run keeps of its network's activity."""

from dataclasses import replace

import pytest
import torch

from lsnn import Cells
from lsnn.bidirectional import spiking_parts
from lsnn.experiments import Spiking
from lsnn.results import response

NETWORK = Spiking(Cells(3, 4, trainable=("v_th",)), connectivity=0.5, max_delay=3)


def built(network: Spiking) -> torch.nn.Module:
    net = network.build(5, 2, seed=0)
    for k, part in enumerate(spiking_parts(net)):
        part.log_factor["v_th"].data = torch.linspace(-1, 1, network.cells.n) + k
    return net


def test_thresholds_are_kept_in_units_of_those_at_rest():
    net = built(NETWORK)
    inputs = torch.rand(60, 1, 5).round()
    activity, _ = net(inputs, record=("thresholds",))
    kept = response(net, inputs)["relative_thresholds"]
    at_rest = 0.01 * torch.linspace(-1, 1, 7)[3:].exp()
    assert kept.shape == (60, 4) and kept.max() > 1
    torch.testing.assert_close(kept * at_rest, activity.thresholds[:, 0, 3:])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_thresholds_of_neurons_that_never_spiked_are_one(bidirectional: bool):
    net = built(replace(NETWORK, bidirectional=bidirectional))
    kept = response(net, torch.zeros(9, 1, 5))["relative_thresholds"]
    torch.testing.assert_close(kept, torch.ones(9, 4 * (1 + bidirectional)))


def test_a_network_without_adaptive_neurons_keeps_no_thresholds():
    assert sorted(response(built(replace(NETWORK, cells=Cells(3, 0, trainable=("v_th",)))), torch.zeros(9, 1, 5))) == [
        "readout",
        "spikes",
    ]
