"""Trained networks in the box: what is on the card is what they do."""

import json
import re
from pathlib import Path

import pytest
import torch

import lsnn
from lsnn import cli, pretrained, results, runs, training
from lsnn.presets.command import origin, reproduce
from lsnn.tasks import FewShotOmniglot, Regression, Task, Timit
from lsnn.tasks.regression import in_context
from lsnn.trainer import PLACES
from tests.helpers import ROOT, python, tiny_experiment

NAMES = pretrained.names()


@pytest.fixture
def box(tmp_path, monkeypatch) -> Path:
    """A box with one network, shipped from a run."""
    run = tmp_path / "run"
    training.start(run, tiny_experiment(), preset="store-recall")
    training.proceed(run)
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "box")
    import ship

    return ship.ship(run, "tiny")


def test_a_shipped_network_is_the_trained_one(box):
    trained = runs.read_tensors(box.parents[1] / "run" / runs.WEIGHTS)
    net = lsnn.load_pretrained("tiny")
    assert not net.training
    assert all(torch.equal(tensor, trained[name]) for name, tensor in net.state_dict().items())


def test_load_gives_the_network_and_its_task_by_name_or_by_run_folder(box):
    run = box.parents[1] / "run"
    for name in ("tiny", run, str(run)):
        network, task = lsnn.load(name)
        assert not network.training and task == training.load(run).task
        batch = task.batch("test", 3, torch.Generator().manual_seed(0))
        assert set(task.metrics(network(batch.inputs)[0].readout, batch)) == {task.headline.metric}
    with pytest.raises(ValueError, match="there is no run folder timy"):
        lsnn.load("timy")
    with pytest.raises(ValueError, match="is no network of the box; lsnn.load takes run folders"):
        lsnn.load_pretrained(str(run))


def test_commands_take_its_name(box, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["evaluate", "tiny", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == runs.read_results(box)["test"]["loss"]
    assert cli.main(["report", "tiny"]) == 0
    written = capsys.readouterr().out.split()
    assert "report/results.md" in written and "report/activity.png" in written


def test_its_card_says_how_it_was_trained_and_how_good_it_is(box):
    card, scores = (box / "README.md").read_text(), runs.read_results(box)["test"]
    assert "lsnn train store-recall" in card
    assert all(f"| test {name} | {value:.4f} |" in card for name, value in scores.items())


def test_an_unknown_name_says_what_is_there(box):
    with pytest.raises(ValueError, match="there is no trained network 'timy'; did you mean tiny?"):
        lsnn.load_pretrained("timy")
    with pytest.raises(ValueError, match="in the box are tiny"):
        lsnn.load_pretrained("x")


def test_an_unfinished_run_is_not_shipped(tmp_path):
    training.start(tmp_path / "run", tiny_experiment(), preset="store-recall")
    done = python(ROOT / "tools" / "ship.py", tmp_path / "run", "tiny")
    assert done.returncode == 1 and "is not finished; go on with: lsnn resume" in done.stderr


def _on_some_functions(task: Regression, network: torch.nn.Module, kept: torch.Tensor) -> None:
    """A thousand episodes take minutes: a few functions have the error that the analysis has of them."""
    x, y = (part[:, :16] for part in task.unseen("test")[1])
    predicted = in_context.follow(task, network, x, task.told(y), torch.Generator().manual_seed(0)).predicted
    errors = (predicted - y)[task.settled - 1 :].square().mean(0)
    torch.testing.assert_close(errors, kept[:16], rtol=0.5, atol=1e-3)  # other input spikes: up to a third was seen
    assert errors.mean().item() == pytest.approx(kept[:16].mean().item(), rel=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_networks_in_the_box_do_what_their_cards_say(name):
    experiment, network, _ = training.restore_network(pretrained.folder(name))
    if isinstance(experiment.task, Regression):
        kept = runs.read_tensors(pretrained.folder(name) / runs.ANALYSIS)
        return _on_some_functions(experiment.task, network.eval(), kept["functions"])
    if isinstance(experiment.task, FewShotOmniglot | Timit):
        pytest.skip("its data are not in the box")
    metric = experiment.task.headline.metric
    split = "test" if isinstance(experiment.task, Task) else "validation"  # a thousand episodes take a minute
    expected = runs.read_results(pretrained.folder(name))[split][metric]
    assert results.score(network, experiment, split)[metric] == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_names_the_command_that_trains_its_network_today(name):
    """Also after its preset has changed."""
    folder = pretrained.folder(name)
    place = re.compile(rf" --task\.({'|'.join(PLACES)}) \S+")
    card, usual = (folder / "README.md").read_text(), reproduce(origin(folder))
    assert place.sub("", usual) in place.sub("", card), "its text is that of another preset; ship it again"
