import pytest
import torch

import lsnn
from lsnn.memory.moments import EVERYTHING, SEEN, moments
from lsnn.memory.tampering import TAMPERINGS, derangement, tamperings


def network(**cells) -> lsnn.LSNN:
    chosen = lsnn.Cells(8, 6, tau_a=100.0, n_ref=2, **cells)
    return lsnn.LSNN(10, chosen, 3, connectivity=0.5, max_delay=5, excitatory=0.75, gain=2.0)


def spikes() -> torch.Tensor:
    return (torch.rand(50, 4, 10, generator=torch.Generator().manual_seed(0)) < 0.2).to(torch.uint8)


def test_moments_are_the_states_of_one_run():
    net, x = network(), spikes()
    found = list(moments(net, x, 20))
    assert [moment.step for moment in found] == [20, 40, 50]
    with torch.no_grad():
        whole, _ = net(x, record=["spikes"])
        _, middle = net(x[:40])
    assert torch.equal(torch.cat([moment.readout for moment in found]), whole.readout)
    moment = found[1]
    assert all(torch.equal(a, b) for a, b in zip(moment.state, middle, strict=True))
    part = {name: moment.features[:, columns] for name, columns in moment.columns.items()}
    assert torch.equal(part["thresholds"], middle.b[:, 8:]) and torch.equal(part["voltages"], middle.v)
    assert torch.allclose(part["spikes"], whole.spikes[20:40].float().mean(0) * 1000)
    assert torch.allclose(part["on the way"], middle.pending.sum(0))
    assert torch.equal(part[SEEN], x[20:40].sum(0).float()) and torch.equal(moment.seen, part[SEEN])
    assert part[EVERYTHING].shape[1] == 6 + 3 * 14


def test_neurons_that_do_not_adapt_have_no_thresholds_to_read():
    net = lsnn.LSNN(10, lsnn.Cells(8, 0), 3)
    assert "thresholds" not in next(moments(net, spikes(), 20)).columns
    assert list(tamperings(net)) == ["everything exchanged"]
    assert tamperings(network()).keys() == TAMPERINGS.keys() - {"everything exchanged"}


def test_an_order_leaves_no_example_in_place():
    for n in range(2, 30):
        order = derangement(n, torch.Generator().manual_seed(n))
        assert sorted(order.tolist()) == list(range(n)) and (order != torch.arange(n)).all()
    with pytest.raises(ValueError, match="at least two examples in a batch, got 1"):
        derangement(1, torch.Generator())


@pytest.mark.parametrize("trainable", [(), ("v_th", "beta")])
def test_each_tampering_changes_what_it_says(trainable):
    net, x = network(trainable=trainable), spikes()
    if trainable:
        with torch.no_grad():
            for factor in net.log_factor.values():
                factor.fill_(0.3)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state, order = next(moments(net, x, 30)).state, torch.tensor([1, 2, 3, 0])
    changed = {name: tamper(net, state, order) for name, tamper in TAMPERINGS.items()}
    assert (state.b > 0).any() and not torch.equal(state.b, state.b[order])

    _, exchanged = changed["thresholds exchanged"]
    assert torch.equal(exchanged.b, state.b[order]) and torch.equal(exchanged.v, state.v)
    _, averaged = changed["thresholds averaged"]
    assert torch.allclose(averaged.b, state.b.mean(0).expand(4, -1)) and torch.equal(averaged.pending, state.pending)
    _, rest = changed["all else exchanged"]
    assert torch.equal(rest.b, state.b) and torch.equal(rest.v, state.v[order])
    assert torch.equal(rest.pending, state.pending[:, order]) and torch.equal(rest.refractory, state.refractory[order])

    clamped, same = changed["thresholds clamped"]
    with torch.no_grad():
        thresholds = clamped(x[30:], same, record=["thresholds"])[0].thresholds
        constants = net.constants()
        held = constants.v_th + constants.beta * state.b.mean(0)
    assert torch.allclose(thresholds, held.expand_as(thresholds))
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
