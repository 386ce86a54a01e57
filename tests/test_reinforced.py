import math
from dataclasses import replace

import pytest
import torch

from lsnn import Cells, ppo
from lsnn.ppo import Ppo
from lsnn.reinforced import Lesson, evaluate, judged, lesson, losses
from lsnn.tasks import TMaze
from lsnn.tasks.rollout import Played, episodes, play
from lsnn.trainer import Trainer
from tests.helpers import ACTING, ROOT, acting_experiment

WORLD = ACTING.task
HOW = Ppo(gamma=0.9, gae_lambda=0.8, value_cost=0.7, entropy_gain=0.05)


def played(n: int = 16) -> tuple[torch.nn.Module, Played]:
    network = ACTING.build().double()
    return network, play(network, WORLD, n, 0, "train")


def test_the_loss_is_the_papers_sum_of_three_terms():
    _, seen = played()
    learned, policy = lesson(seen, HOW), WORLD.policy(seen.readout)
    assert (seen.rewards > 0).any()
    surrogate = ppo.advantages(seen.rewards, seen.values, 0.9, 0.8)  # of the policy that acted: the ratio is 1
    value = (ppo.returns(seen.rewards, 0.9) - WORLD.value(seen.readout)).square()
    expected = -surrogate + 0.7 * value - 0.05 * policy.entropy()
    torch.testing.assert_close(losses(WORLD, seen.readout, seen, learned, HOW), expected, rtol=1e-12, atol=1e-12)


def test_gradients_of_the_loss_match_those_of_the_reference():
    network, seen = played()
    learned = lesson(seen, HOW)
    with torch.no_grad():  # some way from the policy that acted, so that some steps are clipped
        network.synapses.theta.mul_(1.3)
        network.bias.add_(0.1)
    gradients = []
    for backend in ("compiled", "reference"):
        network.backend = backend
        network.zero_grad()
        activity, _ = network(seen.inputs, **seen.again())
        losses(WORLD, activity.readout, seen, learned, HOW).mean().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in network.named_parameters()})
    ratio = (WORLD.policy(activity.readout).log_prob(seen.actions) - seen.log_probs).exp()
    assert 0.02 < ((ratio - 1).abs() > HOW.clip).double().mean() < 0.98
    assert activity.rate.mean() > 10
    for name, gradient in gradients[0].items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-9, atol=1e-12, msg=name)


def test_advantages_are_normalised_where_asked_for():
    _, seen = played()
    assert lesson(seen, replace(HOW, normalise=True)).advantages.std(correction=0).item() == pytest.approx(1, rel=1e-6)


def test_values_that_are_the_returns_explain_all_of_them():
    _, seen = played()
    returns = ppo.returns(seen.rewards, 0.9)
    learned = Lesson(returns, returns)
    assert judged(WORLD, seen._replace(values=returns), learned)["explained"] == pytest.approx(1)
    assert judged(WORLD, seen._replace(values=returns * 0 + 3), learned)["explained"] == pytest.approx(0, abs=1e-6)


def test_metrics_without_a_value_are_left_out():
    _, seen = played(1)
    record = {**seen.record, "reached": torch.zeros_like(seen.record["reached"])}
    found = judged(WORLD, seen._replace(record=record), lesson(seen, HOW))
    assert found["goals"] == 0 and "later_goals" not in found
    assert all(math.isfinite(value) for value in found.values())


def test_evaluation_plays_the_same_episodes_again():
    network = ACTING.build()
    scores = evaluate(network, WORLD, HOW, "test")
    assert scores == evaluate(network, WORLD, HOW, "test")
    assert scores != evaluate(network, WORLD, HOW, "validation")
    goals = torch.cat([WORLD.metrics(some.record)["goals"] for some in episodes(network, WORLD, "test")])
    assert len(goals) == WORLD.n_test and scores["goals"] == pytest.approx(goals.mean().item())
    assert scores["rate_hz"] > 1 and scores["spikes"] > 1


def test_a_split_is_more_episodes_than_are_played_side_by_side():
    world = replace(WORLD, steps=5, n_test=70)
    assert [some.rewards.shape[1] for some in episodes(ACTING.build(), world, "test")] == [64, 6]


def test_several_passes_go_further_than_one():
    moved = []
    for passes in (1, 3):
        trainer = Trainer.start(acting_experiment(rewiring="off", ppo=Ppo(passes=passes)))
        before = trainer.network.bias.detach().clone()
        trainer.step()
        assert trainer.iteration == 1
        moved.append((trainer.network.bias - before).norm().item())
    assert moved[1] > 2 * moved[0] > 0


def test_an_agent_learns_to_go_where_the_reward_is():
    """In corridors, to walk on: by chance it stands still in two steps out of three."""
    network = replace(ACTING.network, cells=Cells(20, 5), tau_out=5.0)
    how = Ppo(gamma=0.9, gae_lambda=0.9, normalise=True)
    experiment = acting_experiment(
        task=TMaze(steps=50, length=4, cue_length=4), network=network, batch_size=16, lr=0.05, ppo=how
    )
    trainer = Trainer.start(experiment)
    rewards = [trainer.step()["rewards"] for _ in range(120)]
    assert sum(rewards[-10:]) > 1.3 * sum(rewards[:10])


def test_gradients_of_the_terms_add_up_to_that_of_the_loss(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from gradients import gradients

    network, seen = played()
    how = Ppo(gamma=0.9, gae_lambda=0.8, value_cost=0.7, entropy_gain=0.05, normalise=True)
    by_term = gradients(network, WORLD, seen, how)
    activity, _ = network(seen.inputs, **seen.again())
    losses(WORLD, activity.readout, seen, lesson(seen, how), how).mean().backward()
    whole = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    assert all(part.norm() > 0 for part in by_term.values())
    torch.testing.assert_close(sum(by_term.values()), whole, rtol=1e-9, atol=1e-12)
