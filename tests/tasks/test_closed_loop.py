"""What every closed-loop task promises."""

import dataclasses

import pytest
import torch

from lsnn.tasks import Environment, Navigation, TMaze

VARIANTS: list[Environment] = [
    Navigation(steps=70),
    Navigation(steps=70, n_channels=7, n_reward=3, goal_radius=0.5, n_goals=3, restart="count"),
    Navigation(steps=70, encoding="values", spread="deviation"),
    TMaze(),
    TMaze(steps=50, length=3, cue_length=3, error_cost=0.5),
]
environments = pytest.mark.parametrize("environment", VARIANTS, ids=str)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def play(environment: Environment, n: int, seed: int = 0):
    """Actions from readouts that know nothing: inputs, rewards and the record."""
    episodes, chance = environment.begin(n, seeded(seed)), seeded(seed + 1)
    inputs, rewards = [], []
    for _ in range(environment.steps):
        inputs.append(episodes.inputs())
        readout = 0.1 * torch.randn(n, environment.n_out, generator=chance)
        rewards.append(episodes.act(environment.policy(readout).sample(chance)))
    return torch.stack(inputs), torch.stack(rewards), episodes.record()


@environments
def test_it_is_an_environment_of_settings_alone(environment: Environment):
    assert isinstance(environment, Environment)
    assert type(environment)() is not None and dataclasses.fields(environment)  # type: ignore[arg-type]
    assert hash(environment) == hash(dataclasses.replace(environment))  # type: ignore[type-var]


@environments
def test_inputs_have_the_promised_shape_and_type(environment: Environment):
    inputs, rewards, _ = play(environment, 3)
    assert inputs.shape == (environment.steps, 3, environment.n_in)
    assert inputs.dtype in (torch.uint8, torch.float32)
    assert inputs.any()
    assert rewards.shape == (environment.steps, 3) and rewards.dtype == torch.float32


@environments
def test_record_has_the_rewards(environment: Environment):
    _, rewards, record = play(environment, 3)
    assert record["reward"].equal(rewards)


@environments
def test_everything_follows_from_the_generator_and_the_actions(environment: Environment):
    first, again, other = (play(environment, 4, seed) for seed in (0, 0, 5))
    assert first[0].equal(again[0]) and first[1].equal(again[1])
    assert not first[0].equal(other[0])


@environments
def test_policy_and_value_give_one_number_per_row(environment: Environment):
    readout = torch.randn(6, 4, environment.n_out, generator=seeded())
    policy = environment.policy(readout)
    assert policy.log_prob(policy.sample(seeded())).shape == (6, 4)
    assert policy.entropy().shape == (6, 4)
    assert environment.value(readout).shape == (6, 4)


@environments
def test_metrics_are_per_episode_and_have_the_headline(environment: Environment):
    _, _, record = play(environment, 5)
    metrics = environment.metrics(record)
    assert len(metrics[environment.headline.metric]) > 0
    assert all(value.ndim == 1 and not value.isnan().any() for value in metrics.values())


@environments
def test_input_groups_name_every_channel_once(environment: Environment):
    named = [c for group in environment.input_groups().values() for c in range(environment.n_in)[group]]
    assert sorted(named) == list(range(environment.n_in))


@environments
def test_episodes_are_counted_for_every_split(environment: Environment):
    assert environment.n_episodes("validation") > 0 and environment.n_episodes("test") > 0


@environments
def test_acting_after_the_end_is_told(environment: Environment):
    episodes, action = environment.begin(2, seeded()), environment.policy(torch.zeros(2, environment.n_out))
    for _ in range(environment.steps):
        episodes.act(action.sample(seeded()))
    with pytest.raises(ValueError, match=f"over after {environment.steps} steps"):
        episodes.act(action.sample(seeded()))
