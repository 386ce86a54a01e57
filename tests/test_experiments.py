"""Experiments: the same values as dataclass, flags and config.json, and networks of the paper's sizes."""

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lsnn import Cells
from lsnn.bidirectional import spiking_parts
from lsnn.config import decode, encode
from lsnn.deep_r import DeepR, SoftDeepR
from lsnn.experiments import Experiment, Spiking
from lsnn.ppo import Ppo
from lsnn.presets import PRESETS, Preset, described, preset
from lsnn.results import n_parameters
from lsnn.tasks import Navigation, SequentialMnist
from lsnn.trainer import Trainer
from tests.helpers import ACTING, TINY, VARIANTS, error


def through_json(experiment: Experiment) -> Experiment:
    return decode(json.loads(json.dumps(encode(experiment))))


# ---- to and from JSON ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_preset_survives_json(name: str):
    experiment = PRESETS[name].experiment
    assert through_json(experiment) == experiment


@pytest.mark.parametrize("experiment", VARIANTS.values(), ids=VARIANTS)
def test_experiment_survives_json(experiment: Experiment):
    assert through_json(experiment) == experiment


def test_paths_tuples_and_none_survive_json():
    cells = Cells(2, 1, tau_m=(10.0, 20.0, 30.0), tau_a_range=(100.0, 1000.0), trainable=("beta",))
    experiment = replace(
        TINY, task=SequentialMnist(data=Path("a folder")), network=replace(TINY.network, cells=cells), clip_norm=None
    )
    read = through_json(experiment)
    assert read == experiment and isinstance(read.task.data, Path) and isinstance(read.network.cells.tau_m, tuple)


def test_whole_numbers_of_a_hand_edited_config_count_as_floats():
    config = encode(TINY) | {"lr": 1}
    assert decode(config).lr == 1.0 and isinstance(decode(config).lr, float)


CONFIG = json.loads(json.dumps(encode(TINY)))


def changed(place: str, value: Any = None, *, remove: bool = False) -> Any:
    """TINY's config with one thing changed or removed; place: names with dots between them."""
    config = copy.deepcopy(CONFIG)
    *outer, last = place.split(".")
    section = config
    for name in outer:
        section = section[name]
    if remove:
        del section[last]
    else:
        section[last] = value
    return config


@pytest.mark.parametrize(
    ("place", "where", "field"),
    [
        ("lr", "experiment", "lr"),
        ("task.n_slots", "task", "n_slots"),
        ("network.gain", "network", "gain"),
        ("network.cells.beta", "network.cells", "beta"),
    ],
)
def test_unknown_fields_are_named_and_missing_ones_have_defaults(place: str, where: str, field: str):
    assert error(decode, changed(f"{place}_2", 1)) == f"{where} has unknown fields ['{field}_2']"
    defaults = encode(Experiment(type(TINY.task)(), Spiking()))
    for name in place.split("."):
        defaults = defaults[name]
    assert decode(changed(place, remove=True)) == decode(changed(place, defaults))


@pytest.mark.parametrize("place", ["task", "network"])
@pytest.mark.parametrize("value", [None, 7, "text", [], [1, 2]])
def test_missing_sections_are_named(place: str, value: object):
    expected = f"{place} is missing or no object"
    assert error(decode, changed(place, value)) == expected
    assert error(decode, changed(place, remove=True)) == expected


@pytest.mark.parametrize("value", [None, 7, "text", [1, 2]])
def test_config_that_is_no_object_is_refused(value: object):
    assert error(decode, value) == "experiment is missing or no object"


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("lr", "fast", "lr: Expected `float`, got `str`"),
        ("iterations", 1.5, "iterations: Expected `int`, got `float`"),
        ("carry_state", 1, "carry_state: Expected `bool`, got `int`"),
        ("optimizer", "lion", "optimizer: Invalid enum value 'lion'"),
        ("task.n_in", "8", "task: Expected `int`, got `str` - at `$.n_in`"),
        ("task.n_in", 7, "task: n_in must be a multiple of 4, got 7"),
        ("network.cells", [], "network: Expected `object`, got `array` - at `$.cells`"),
        ("network.cells.v_th", -1, "network: v_th must be positive and finite, got -1.0"),
        ("task.name", "chess", "unknown task 'chess'; known: store-recall, sequential-mnist"),
        ("task.name", [1], r"unknown task [1]; known: "),
        ("network.kind", None, "unknown network None; known: lsnn, recurrent"),
        ("lr", -1, "lr must be positive and at most 1e+06, got -1.0"),
    ],
)
def test_wrong_values_are_named(place: str, value: object, message: str):
    assert error(decode, changed(place, value)).startswith(message)


# ---- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "values"),
    [
        *((name, (0, -1)) for name in ("iterations", "batch_size", "lr_decay_every")),
        *((name, (0, -1)) for name in ("validate_every", "log_every", "checkpoint_every")),
        *((name, (0.0, -1.0, float("nan"), float("inf"))) for name in ("lr", "lr_decay")),
        *((name, (-1.0, float("nan"), float("inf"))) for name in ("l1", "temperature", "rate_cost", "rate_target")),
        ("clip_norm", (0.0, -1.0, float("nan"))),
        ("warmup", (-1, TINY.iterations, float("nan"))),
    ],
)
def test_impossible_values_are_refused(field: str, values: tuple[float, ...]):
    for value in values:
        assert re.match(f"{field} must .*got {re.escape(str(value))}", error(replace, TINY, **{field: value}))


def test_an_untrained_network_has_the_synapses_that_rewiring_begins_with():
    soft = replace(TINY, rewiring="soft-deep-r", temperature=1e-3)
    counts = [
        spiking_parts(network)[0].synapses.counts() for network in (soft.untrained(), Trainer.start(soft).network)
    ]
    assert counts[0] == counts[1] and counts[0] != spiking_parts(soft.build())[0].synapses.counts()


@pytest.mark.parametrize(
    ("experiment", "changes", "message"),
    [
        (TINY, {"ppo": Ppo()}, "the task store-recall tells what is right and pays no reward; leave ppo out"),
        (ACTING, {"ppo": None}, "the task navigation is learned from reward; say how, ppo=Ppo()"),
        (ACTING, {"carry_state": True}, "episodes begin at rest; leave --carry-state out"),
        (
            ACTING,
            {"network": replace(ACTING.network, bidirectional=True)},
            "a network that acts cannot hear the future; leave --network.bidirectional out",
        ),
        (
            preset("timit").experiment,
            {"carry_state": True},
            "sequences of timit begin at rest; leave --carry-state out",
        ),
        *(
            (
                preset(name).experiment,
                {"network": replace(preset(name).experiment.network, bidirectional=True)},
                f"{preset(name).experiment.task.name} shows each answer one example late, which a network that hears "
                "backwards would know in time; leave --network.bidirectional out",
            )
            for name in ("l2l-teacher", "l2l-sine-lstm", "omniglot")
        ),
    ],
)
def test_what_does_not_go_together_is_refused(experiment: Experiment, changes: dict[str, Any], message: str):
    assert error(replace, experiment, **changes) == message


def test_a_config_with_unknown_fields_of_ppo_is_refused():
    config = encode(ACTING)
    config["ppo"]["klip"] = 0.2
    assert error(decode, config).startswith("ppo has unknown fields ['klip']")


def test_lr_falls_in_steps():
    experiment = replace(TINY, lr_decay=0.5, lr_decay_every=4)
    assert [experiment.lr_factor(k) for k in (0, 3, 4, 11)] == [1, 1, 0.5, 0.25]


def test_lr_falls_along_half_a_cosine_to_zero():
    experiment = replace(TINY, iterations=12, schedule="cosine")
    assert [experiment.lr_factor(k) for k in (0, 4, 6, 8, 12)] == pytest.approx([1, 0.75, 0.5, 0.25, 0])


@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_lr_rises_over_the_warmup_and_then_is_what_it_would_have_been(schedule: str):
    cold, warm = (replace(TINY, schedule=schedule, warmup=warmup) for warmup in (0, 3))
    shares = [warm.lr_factor(k) / cold.lr_factor(k) for k in range(5)]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1, 1])


def test_rewiring_without_signs_is_refused_with_both_remedies():
    experiment = replace(TINY, network=replace(TINY.network, excitatory=None))
    message = error(experiment.build_optimizer, experiment.build())
    assert message == "rewiring needs signed synapses: set --network.excitatory 0.75, or --rewiring off"


# ---- presets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_preset_builds(name: str):
    experiment = PRESETS[name].experiment
    network = experiment.build()
    optimizer = experiment.build_optimizer(network)
    assert (network.n_in, network.n_out) == (experiment.task.n_in, experiment.task.n_out)
    trained = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    assert trained == {parameter for parameter in network.parameters() if parameter.requires_grad}


@pytest.mark.parametrize("name", PRESETS)
def test_paper_rows_are_of_the_task_s_metric_and_say_where_they_are_from(name: str):
    chosen = PRESETS[name]
    for row in chosen.paper:
        assert row.metric == chosen.experiment.task.headline.metric and 0 < row.value < 1 and row.source


@pytest.mark.parametrize(("rewiring", "kind"), [("deep-r", DeepR), ("soft-deep-r", SoftDeepR)])
def test_rewiring_wraps_the_optimizer(rewiring: str, kind: type):
    experiment = replace(TINY, rewiring=rewiring, temperature=1e-3)
    assert type(experiment.build_optimizer(experiment.build())) is kind


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("smnst", "smnist"),
        ("store-recal", "store-recall"),
        ("SMNIST-LSTM", "smnist-lstm"),
        ("smnist_lif", "smnist-lif"),
    ],
)
def test_unknown_preset_offers_the_nearest_names(name: str, near: str):
    assert error(preset, name).startswith(f"there is no preset {name!r}; did you mean {near}")


def test_name_unlike_any_preset_points_to_the_list():
    assert error(preset, "qqq") == "there is no preset 'qqq'; lsnn list shows them all"


# ---- the paper's counts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["smnist", "smnist-paper"])
def test_smnist_has_the_paper_s_budget(name: str):
    network = preset(name).experiment.build()
    assert len(network.synapses) == 8185 == int(0.12 * 68_210)
    assert sum(network.synapses.counts().values()) == 8185
    assert (network.n_in, network.cells.n, network.n_out) == (80, 220, 10)


def test_smnist_of_the_paper_has_the_paper_s_settings():
    experiment = preset("smnist-paper").experiment
    assert (experiment.iterations, experiment.batch_size, experiment.lr, experiment.schedule) == (
        36_000, 256, 0.01, "step"
    )  # fmt: skip
    assert (experiment.lr_decay, experiment.lr_decay_every) == (0.8, 2500)
    assert experiment.network == Spiking() and experiment.network.max_delay == 10
    assert experiment.task == SequentialMnist() and experiment.task.logit_scale == 1


def test_smnist_sees_what_the_paper_s_network_sees():
    ours, paper = (preset(name).experiment for name in ("smnist", "smnist-paper"))
    assert replace(ours.network.cells, trainable=()) == paper.network.cells
    assert ours.network == replace(paper.network, cells=ours.network.cells)
    generator = torch.Generator()
    shown = [e.task.batch("train", 2, generator.manual_seed(0)).inputs for e in (ours, paper)]
    assert torch.equal(*shown)


def test_dense_smnist_has_every_synapse_but_the_diagonal():
    network = preset("smnist-dense-paper").experiment.build()
    assert sum(network.synapses.counts().values()) == 68_210 - 220 - 10  # the paper counts autapses and biases
    assert n_parameters(network) == 68_210 - 220


def test_dense_smnist_differs_from_the_paper_s_network_in_delays_and_trained_constants_only():
    ours, paper = (preset(name).experiment.network for name in ("smnist-dense", "smnist-dense-paper"))
    assert ours == replace(paper, max_delay=1, cells=preset("smnist").experiment.network.cells)


@pytest.mark.parametrize(("name", "count"), [("smnist-lstm", 67_850), ("smnist-rnn", 17_930)])
def test_baselines_have_the_paper_s_number_of_parameters(name: str, count: int):
    assert n_parameters(preset(name).experiment.build()) == count


def test_lif_differs_from_smnist_in_adaptation_only():
    lif, lsnn = (preset(name).experiment for name in ("smnist-lif", "smnist"))
    cells = replace(lsnn.network.cells, n_regular=220, n_adaptive=0, trainable=("tau_m", "v_th"))
    assert lif == replace(lsnn, network=replace(lsnn.network, cells=cells))


@pytest.mark.parametrize("recipe", ["", "-paper"])
def test_smnist_has_the_paper_s_length_and_adaptation_in_both_speeds(recipe: str):
    for name, steps, tau_a in (("smnist", 840, 700), ("smnist-2ms", 1680, 1400)):
        experiment = preset(name + recipe).experiment
        assert (experiment.task.n_steps, experiment.network.cells.tau_a) == (steps, tau_a)


def test_every_row_of_the_paper_s_table_has_two_recipes_at_two_speeds():
    for network in ("", "-dense", "-lif", "-large", "-lstm", "-rnn"):
        for speed in ("", "-2ms"):
            ours, exact = preset(f"smnist{network}{speed}"), preset(f"smnist{network}{speed}-paper")
            assert ours.ours_for == f"smnist{network}{speed}-paper" and exact.ours_for is None
            assert ours.paper == exact.paper != () and exact.experiment.iterations == 36_000


def test_navigation_of_the_paper_has_the_paper_s_settings():
    experiment = preset("navigation-paper").experiment
    assert experiment.task == Navigation() and experiment.ppo == Ppo()
    assert (experiment.iterations, experiment.batch_size, experiment.lr) == (30_000, 10, 0.01)
    assert (experiment.lr_decay, experiment.lr_decay_every, experiment.adam_eps) == (0.5, 5_000, 1e-5)
    assert (experiment.rate_cost, experiment.rate_target, experiment.rate_reduction) == (100.0, 10.0, "mean")
    network = experiment.build()
    assert (network.n_in, network.cells.n_regular, network.cells.n_adaptive, network.n_out) == (160, 280, 120, 5)
    assert 15 < network.tau_m.min() < network.tau_m.max() < 30
    assert network.constants().noise_std.unique().tolist() == pytest.approx([0.03])
    assert len(network.synapses) == int(0.2 * (160 * 400 + 400 * 400 + 400 * 5 + 5))


def test_the_agent_s_lstm_has_as_many_parameters():
    spiking, lstm = (n_parameters(preset(f"navigation{name}").experiment.build()) for name in ("", "-lstm"))
    assert lstm == pytest.approx(spiking, rel=0.03)


@pytest.mark.parametrize("name", ["navigation", "navigation-small", "t-maze"])
def test_an_agent_without_adaptation_differs_in_nothing_else(name: str):
    lif, lsnn = (preset(name + suffix).experiment for suffix in ("-lif", ""))
    cells = lsnn.network.cells
    cells = replace(cells, n_regular=cells.n, n_adaptive=0)
    assert lif == replace(lsnn, network=replace(lsnn.network, cells=cells))


def test_dormant_synapses_are_no_parameters():
    experiment = replace(TINY, rewiring="soft-deep-r", temperature=1e-3)
    network = experiment.build()
    experiment.build_optimizer(network)  # lets all but the wanted share fall dormant
    slots = len(network.synapses)
    assert n_parameters(network) == int(0.3 * slots) + network.n_out < slots


def test_adaptation_of_regular_neurons_is_no_parameter():
    fixed = TINY.build()
    cells = replace(TINY.network.cells, trainable=("tau_m", "tau_a", "beta"))
    trained = replace(TINY, network=replace(TINY.network, cells=cells)).build()
    assert n_parameters(trained) - n_parameters(fixed) == cells.n + 2 * cells.n_adaptive


def test_presets_are_described_without_the_one_before():
    texts = {name: described(name) for name in PRESETS if PRESETS[name].summary.startswith("the same")}
    assert texts["timit-lif"] == f"{PRESETS['timit'].summary}; here with 400 regular neurons"
    assert texts["navigation-small-lif"].startswith(f"{PRESETS['navigation-small'].summary}; here with 140")
    assert not [text for text in texts.values() if "the same" in text]


def test_a_preset_that_is_the_same_as_none_is_described_by_its_summary(monkeypatch):
    monkeypatch.setitem(PRESETS, "mine", Preset("the same with less", PRESETS["smnist"].experiment))
    assert described("mine") == "the same with less"
