from dataclasses import replace

import pytest
import torch

from lsnn import Cells
from lsnn.experiments import NonSpiking, Spiking
from lsnn.tasks import Navigation
from lsnn.tasks.rollout import FreezeThresholds, Played, forget, play, some
from lsnn.trainer import Trainer
from tests.helpers import acting_experiment

WORLD = Navigation(steps=120, a_scale=0.1, n_channels=10, n_reward=5)
CELLS = Cells(n_regular=14, n_adaptive=11, tau_a_range=(1.0, 300.0), n_ref=3, noise_std=0.03, trainable=("noise_std",))
NETWORKS = {
    "noise": Spiking(CELLS, connectivity=0.4, max_delay=5),
    "no noise": Spiking(replace(CELLS, noise_std=0.0, trainable=()), connectivity=0.4, max_delay=5),
    "dense": Spiking(CELLS, connectivity=1.0, max_delay=1, excitatory=None),
}
by_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def built(network: Spiking | NonSpiking, seed: int = 0) -> torch.nn.Module:
    return network.build(WORLD.n_in, WORLD.n_out, seed=seed)


def same(one: Played, other: Played) -> bool:
    flat = [[*played[:7], *played.record.values()] for played in (one, other)]
    return all(a is b if a is None or b is None else a.equal(b) for a, b in zip(*flat, strict=True))


@by_network
@pytest.mark.parametrize("n", [3, 40])  # one block of samples, and several
def test_the_fused_network_does_again_what_it_did_step_by_step_bit_for_bit(network: Spiking, n: int):
    net = built(network)
    played = play(net, WORLD, n, 0, "train")
    step, spikes = net.stepper(n), []
    for t in range(WORLD.steps):
        spikes.append(step(played.inputs[t], None if played.noise is None else played.noise[t])[1])
    activity, _ = net(played.inputs, record=("spikes",), **played.again())
    assert 0.005 < activity.spikes.mean() < 0.3
    assert activity.spikes.equal(torch.stack(spikes))
    assert activity.readout.equal(played.readout)
    assert activity.readout.requires_grad
    assert WORLD.policy(activity.readout).log_prob(played.actions).equal(played.log_probs)


def test_a_network_trained_on_its_noise_still_does_the_same_again():
    trainer = Trainer.start(acting_experiment(lr=0.05))
    for _ in range(3):
        trainer.step()
    assert trainer.network.log_factor["noise_std"].abs().max() > 0.01
    played = trainer.batch()
    activity, _ = trainer.network(played.inputs, **played.again())
    assert activity.readout.equal(played.readout)


def test_a_network_that_does_not_spike_does_the_same_again_up_to_rounding():
    net = built(NonSpiking("lstm", 8))
    played = play(net, WORLD, 5, 0, "train")
    torch.testing.assert_close(net(played.inputs)[0].readout, played.readout, rtol=1e-5, atol=1e-6)


@by_network
def test_episodes_follow_from_seed_stream_and_step(network: Spiking):
    net = built(network)
    first = play(net, WORLD, 4, 0, "train", 1)
    torch.rand(3)  # torch's own generator has no influence
    torchs_own = torch.random.get_rng_state()
    assert same(first, play(net, WORLD, 4, 0, "train", 1))
    for other in ((1, "train", 1), (0, "test", 1), (0, "train", 2)):
        assert not first.record["position"].equal(play(net, WORLD, 4, *other).record["position"])
    assert torch.random.get_rng_state().equal(torchs_own)  # and is left alone


def test_rewards_are_those_of_the_world():
    played = play(built(NETWORKS["noise"]), WORLD, 30, 0, "train")
    assert played.rewards.equal(played.record["reward"])
    assert (played.rewards > 0).any() and (played.rewards < 0).any()


def test_thresholds_can_be_held_from_the_first_reward_on():
    net = built(NETWORKS["noise"])
    free, held = (play(net, WORLD, 40, 0, "train", meddle=meddle) for meddle in (None, FreezeThresholds()))
    first = int((free.rewards > 0).any(1).float().argmax())  # from then on the worlds' chances differ, too
    assert 0 < first < 100 and free.rewards[first].max() > 0
    assert held.readout[: first + 1].equal(free.readout[: first + 1])
    assert not held.readout[first + 1 :].equal(free.readout[first + 1 :])


@pytest.mark.parametrize("network", [*NETWORKS.values(), NonSpiking("lstm", 8), NonSpiking("gru", 8)], ids=str)
def test_a_network_may_forget_at_every_reward(network: Spiking | NonSpiking):
    net = built(network)
    free, forgetful = (play(net, WORLD, 40, 0, "train", meddle=meddle) for meddle in (None, forget))
    first = int((free.rewards > 0).any(1).float().argmax())
    some = free.rewards[first] > 0
    assert 0 < first < 100 and some.any() and not some.all()
    assert forgetful.readout[: first + 1].equal(free.readout[: first + 1])
    assert forgetful.readout[first + 1, ~some].equal(free.readout[first + 1, ~some])
    noise = None if free.noise is None else free.noise[first + 1]
    at_rest = net.stepper(40)(free.inputs[first + 1], noise)[0]
    torch.testing.assert_close(forgetful.readout[first + 1, some], at_rest[some])
    assert not free.readout[first + 1, some].allclose(at_rest[some])


def test_some_of_the_episodes_have_records_of_the_same_form():
    played = play(built(NETWORKS["noise"]), WORLD, 5, 0, "train")
    two = some(played.record, slice(1, 3))
    assert {name: part.shape for name, part in two.items()} == {
        "position": (120, 2, 2), "arrival": (120, 2, 2), "reward": (120, 2), "reached": (120, 2), "blocked": (120, 2),
        "goal": (2, 2),
    }  # fmt: skip
    assert two["goal"].equal(played.record["goal"][1:3])
