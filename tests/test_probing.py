import pytest
import torch

import lsnn
from lsnn import Cells, Recurrent
from lsnn.bidirectional import Bidirectional
from tests.helpers import error


def spiking() -> lsnn.LSNN:
    return lsnn.LSNN(20, Cells(8, 6, tau_a=100.0, beta=1.6, v_th=0.03), 2, max_delay=4, gain=1.5, tau_out=0.0)


def spikes(steps: int, batch: int, seed: int = 0) -> torch.Tensor:
    return (torch.rand(steps, batch, 20, generator=torch.Generator().manual_seed(seed)) < 0.1).to(torch.uint8)


NETWORKS = {
    "lsnn": spiking,
    "lstm": lambda: Recurrent("lstm", 20, 7, 2),
    "gru": lambda: Recurrent("gru", 20, 7, 2),
}
networks = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)


def parts(state) -> list[torch.Tensor]:
    return [state] if isinstance(state, torch.Tensor) else list(state)


@networks
def test_probing_leaves_the_state_as_it_is(make):
    net = make()
    _, state = net(spikes(60, 1))
    before = [part.clone() for part in parts(state)]
    lsnn.probe(net, state, spikes(10, 5, seed=1))
    assert all(part.equal(copy) for part, copy in zip(parts(state), before, strict=True))


@networks
@pytest.mark.parametrize("sample", [0, 2])
def test_a_question_that_comes_next_gets_the_network_s_own_answer(make, sample: int):
    net, inputs = make(), spikes(80, 3)
    activity, state = net(inputs[:60])
    if activity.rate is not None:
        assert activity.rate.mean() > 5, "the network spikes"
    answers = lsnn.probe(net, state, inputs[60:, sample : sample + 1], sample=sample)
    following, _ = net(inputs[60:], state)
    torch.testing.assert_close(answers[:, 0], following.readout[:, sample], rtol=1e-6, atol=1e-7)


def test_of_a_spiking_network_the_answer_is_the_same_bit_for_bit():
    net, inputs = spiking(), spikes(80, 1)
    _, state = net(inputs[:60])
    assert lsnn.probe(net, state, inputs[60:]).equal(net(inputs[60:], state)[0].readout)


@networks
def test_questions_do_not_hear_of_each_other(make):
    net = make()
    _, state = net(spikes(40, 1))
    questions = spikes(10, 6, seed=2)
    together = lsnn.probe(net, state, questions)
    alone = torch.cat([lsnn.probe(net, state, questions[:, k : k + 1]) for k in range(6)], 1)
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-7)
    assert not together.requires_grad


def test_a_network_without_a_state_cannot_be_asked():
    net = Bidirectional(spiking(), spiking())
    message = error(lsnn.probe, net, net(spikes(5, 1))[1], spikes(5, 1))
    assert message == "there is no state to ask from, as of a bidirectional network; probe one that reads forwards"


def test_a_sample_that_the_state_does_not_hold_is_refused():
    net = spiking()
    _, state = net(spikes(5, 2))
    assert error(lsnn.probe, net, state, spikes(5, 1), sample=2) == (
        "the state holds 2 samples, so there is no sample 2; count from 0"
    )
