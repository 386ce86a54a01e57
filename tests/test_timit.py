"""TIMIT from end to end on a tiny corpus in its exact layout, and what training on epochs adds to every experiment."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lsnn import cli, pretrained, runs, training
from lsnn.bidirectional import Bidirectional
from lsnn.experiments import Experiment, NonSpiking, Spiking
from lsnn.figures import style
from lsnn.presets import PRESETS
from lsnn.report.page import page_of
from lsnn.report.run import read_run
from lsnn.results import n_parameters
from lsnn.tasks import Timit
from lsnn.trainer import Trainer
from tests.helpers import ROOT, TINY, begin, error, timeless_metrics, weights
from tests.timit_files import timit_experiment

FLAGS = (
    *("--task.features.n-mfcc", "5", "--task.features.n-mels", "12", "--task.steps-per-frame", "2"),
    *("--network.cells.n-regular", "6", "--network.cells.n-adaptive", "4", "--network.connectivity", "0.4"),
    *("--batch-size", "4", "--epochs", "1", "--threads", "1", "--task.cache", "None"),
)


def stop_after(iteration: int) -> training.Report:
    def report(record: dict[str, Any]) -> None:
        if record["event"] == "step" and record["iteration"] == iteration:
            raise KeyboardInterrupt

    return report


# ---- from end to end -------------------------------------------------------------------------------------------------


def test_from_a_copy_of_timit_to_figures(timit: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(style, "DPI", 20)
    assert cli.main(["data", "timit", str(timit)]) == 1, "it is not complete"
    assert "9 training utterances, a complete TIMIT has 3696" in capsys.readouterr().out
    assert cli.main(["data", "timit", str(timit), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["counts"]["core test utterances"] == 6

    assert cli.main(["train", "timit", "--task.data", str(timit), "--run", "run", *FLAGS]) == 0
    assert "frame_error on the test set" in capsys.readouterr().out
    results = runs.read_results(Path("run"))
    assert results["iterations"] == 3 and {"frame_error", "folded_error", "rate_hz"} <= results["test"].keys()
    assert cli.main(["evaluate", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frame_error"] == results["test"]["frame_error"]

    assert cli.main(["report", "run"]) == 0
    for name in ("activity", "confusion", "learning"):
        assert Path(f"run/report/{name}.png").stat().st_size > 1000
    page = Path("run/report/results.md").read_text()
    assert "33.2 %" in page and "--epochs 1" in page and "--iterations" not in page


def test_iterations_that_epochs_would_overrule_are_refused(capsys):
    assert cli.main(["train", "timit", "--iterations", "3", "--validate-every", "5"]) == 2
    assert "80 epochs, from which --iterations and --validate-every would follow" in capsys.readouterr().err


@pytest.mark.parametrize("bidirectional", [False, True])
def test_any_recording_is_labelled(timit: Path, tmp_path: Path, capsys, monkeypatch, bidirectional: bool):
    monkeypatch.setattr(style, "DPI", 20)
    network = replace(TINY.network, bidirectional=bidirectional)
    run = begin(tmp_path / "run", timit_experiment(timit, epochs=1, network=network))
    training.proceed(run)
    assert cli.main(["report", str(run)]) == 0 and "activity.png" in capsys.readouterr().out
    audio = timit / "TEST/DR1/MDAB0/SX37.WAV"
    assert cli.main(["evaluate", str(run), "--audio", str(audio), "--out", str(tmp_path / "out"), "--json"]) == 0
    labelled = json.loads(capsys.readouterr().out)
    assert [Path(path).name for path in labelled["files"]] == ["SX37-phones.png", "SX37-phones.pdf"]
    assert all(Path(path).exists() for path in labelled["files"]) and 0 <= labelled["frame_error"] <= 1
    assert len(labelled["frames"]) == pytest.approx(100 * labelled["phones"][-1][1], abs=2)
    unlabelled = tmp_path / "mine.wav"
    unlabelled.write_bytes(audio.read_bytes())
    assert cli.main(["evaluate", str(run), "--audio", str(unlabelled), "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "mine-phones.png" in out and "frame error" not in out
    assert cli.main(["evaluate", str(run), "--audio", str(tmp_path / "none.wav")]) == 1
    assert "none.wav cannot be read" in capsys.readouterr().err


def test_a_shipped_network_needs_no_corpus_to_label_and_names_none(timit: Path, tmp_path: Path, capsys, monkeypatch):
    run = tmp_path / "run"
    training.start(run, timit_experiment(timit, epochs=1), preset="timit", threads=1)
    training.proceed(run)
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "box")
    monkeypatch.setattr(style, "DPI", 20)
    import ship

    folder = ship.ship(run, "timit")
    assert all(str(tmp_path).encode() not in path.read_bytes() for path in folder.iterdir())
    assert "not on TIMIT" in (folder / "README.md").read_text()
    monkeypatch.chdir(tmp_path)
    audio = timit / "TEST/DR1/MDAB0/SX37.WAV"
    assert cli.main(["evaluate", "timit", "--audio", str(audio), "--out", "out"]) == 0
    assert cli.main(["evaluate", "timit"]) == 1
    assert "--data" in capsys.readouterr().err
    assert cli.main(["evaluate", "timit", "--data", str(timit), "--json"]) == 0
    scores = runs.read_results(run)["test"]
    assert json.loads(capsys.readouterr().out)["frame_error"] == scores["frame_error"]


def test_a_corpus_is_only_read(timit: Path, tmp_path: Path):
    before = {path: path.stat().st_mtime_ns for path in timit.rglob("*")}
    training.proceed(begin(tmp_path / "run", timit_experiment(timit, epochs=1)))
    assert {path: path.stat().st_mtime_ns for path in timit.rglob("*")} == before


@pytest.mark.parametrize("arguments", [["data"], ["data", "nothing"], ["data", "timit"]])
def test_a_wrong_command_says_so(arguments: list[str], capsys):
    assert cli.main(arguments) == 2


# ---- networks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("timit")])
def test_presets_are_of_equal_size(name: str):
    experiment = replace(PRESETS[name].experiment, rewiring="off")
    network = experiment.network
    if isinstance(network, Spiking):
        cells = replace(network.cells, trainable=())
        experiment = replace(experiment, network=replace(network, cells=cells, connectivity=1.0, excitatory=None))
    size = n_parameters(experiment.build()) / (1 + experiment.network.bidirectional)
    full = 39 * 400 + 400 * 400 + 400 * 61 + 61
    assert abs(size / full - 1) < 0.006  # the LSNN has no autapses


def test_both_directions_have_their_budget_and_wirings_of_their_own(timit: Path):
    experiment = timit_experiment(timit)
    trainer = Trainer.start(replace(experiment, network=replace(experiment.network, bidirectional=True)))
    network = trainer.network
    assert isinstance(network, Bidirectional)
    ahead, behind = network.ahead.synapses, network.behind.synapses
    assert not ahead.pre.equal(behind.pre)
    first = [part.pre.clone() for part in (ahead, behind)]
    for _ in range(12):
        trainer.step()
        assert ahead.active().sum() == behind.active().sum() == len(ahead)
    assert not ahead.pre.equal(first[0]) and not behind.pre.equal(first[1])


def test_the_backward_direction_hears_the_end_first(timit: Path):
    """A readout of the backward network may depend on what comes, one of the forward network may not."""
    experiment = timit_experiment(timit, network=NonSpiking("gru", 4, bidirectional=True), rewiring="off")
    net = experiment.build()
    inputs = torch.randn(9, 1, experiment.task.n_in, generator=torch.Generator().manual_seed(0))
    changed = inputs.clone()
    changed[6] += 1
    ahead = [net.ahead(x)[0].readout for x in (inputs, changed)]
    both = [net(x)[0].readout for x in (inputs, changed)]
    assert ahead[0][:6].equal(ahead[1][:6])
    behind = [b - a for a, b in zip(ahead, both, strict=True)]
    torch.testing.assert_close(behind[0][7:], behind[1][7:])
    assert not torch.allclose(behind[0][:7], behind[1][:7])


# ---- epochs, early stopping, a falling learning rate -----------------------------------------------------------------

VARIANTS = {
    "lsnn, plateau and patience": {
        "schedule": "plateau",
        "lr_decay": 0.2,
        "lr_patience": 1,
        "patience": 3,
        "warmup": 2,
    },
    "both ways": {"patience": 2},
    "lstm, both ways": {"rewiring": "off", "schedule": "plateau", "lr_patience": 1, "clip_norm": 1.0},
}


def variant(timit: Path, name: str) -> Experiment:
    experiment = timit_experiment(timit, **VARIANTS[name])
    if name == "lstm, both ways":
        return replace(experiment, network=NonSpiking("lstm", 4, bidirectional=True))
    return replace(experiment, network=replace(experiment.network, bidirectional=name == "both ways"))


@pytest.mark.parametrize("name", VARIANTS)
def test_resumed_run_equals_uninterrupted_one(timit: Path, tmp_path: Path, name: str):
    experiment = variant(timit, name)
    peaceful, interrupted = begin(tmp_path / "a", experiment), begin(tmp_path / "b", experiment)
    training.proceed(peaceful)
    for iteration in (1, 4, 7, 9):
        with pytest.raises(KeyboardInterrupt):
            training.proceed(interrupted, stop_after(iteration))
    training.proceed(interrupted)
    assert weights(peaceful) == weights(interrupted)
    assert timeless_metrics(peaceful) == timeless_metrics(interrupted)


def test_epochs_become_iterations_with_a_validation_after_each(timit: Path, tmp_path: Path):
    run = begin(tmp_path / "run", timit_experiment(timit, epochs=2))
    experiment = training.load(run)
    assert (experiment.iterations, experiment.validate_every) == (6, 3)
    training.proceed(run)
    validated = [record["iteration"] for record in runs.read_metrics(run) if record["event"] == "validation"]
    assert validated == [3, 6]
    assert "has no epochs" in error(training.start, tmp_path / "other", replace(TINY, epochs=1))


def scripted(monkeypatch: pytest.MonkeyPatch, errors: list[float]) -> None:
    """Let validations find these frame errors, whatever the network does."""
    found = iter(errors)

    def score(network: object, experiment: object, split: str) -> dict[str, float]:
        return {"loss": 1.0, "frame_error": next(found) if split == "validation" else 0.5, "folded_error": 0.5}

    monkeypatch.setattr(training, "score", score)


def test_training_stops_when_validation_does_not_improve_and_tests_the_best(timit: Path, tmp_path: Path, monkeypatch):
    run = begin(tmp_path / "run", timit_experiment(timit, epochs=9, patience=2))
    scripted(monkeypatch, [0.9, 0.7, 0.8, 0.75])  # no more: the log has what the best one scored
    kept: dict[int, dict[str, torch.Tensor]] = {}
    step = Trainer.step

    def watched(self: Trainer) -> dict[str, float]:
        metrics = step(self)
        kept[self.iteration] = {name: t.clone() for name, t in self.network.state_dict().items()}
        return metrics

    monkeypatch.setattr(Trainer, "step", watched)
    results = training.proceed(run)
    assert (results["iterations"], results["best_iteration"]) == (12, 6)
    assert results["validation"]["frame_error"] == 0.7
    saved = runs.read_tensors(run / runs.WEIGHTS)
    assert all(saved[name].equal(tensor) for name, tensor in kept[6].items())
    assert not saved["synapses.theta"].equal(kept[12]["synapses.theta"])
    assert "stopped after 12 of at most 27 iterations, as 2 validations had not" in page_of(read_run(run), [])


def test_the_learning_rate_falls_on_a_plateau(timit: Path, tmp_path: Path, monkeypatch):
    run = begin(tmp_path / "run", timit_experiment(timit, epochs=6, schedule="plateau", lr_decay=0.2, lr_patience=2))
    scripted(monkeypatch, [0.9, 0.8, 0.8, 0.9, 0.9, 0.9])
    training.proceed(run)
    lr = {record["iteration"]: record["lr"] for record in runs.read_metrics(run) if record["event"] == "train"}
    assert [round(lr[k], 6) for k in (1, 11, 12, 13, 16, 18)] == [0.02, 0.02, 0.02, 0.004, 0.004, 0.004]


@pytest.mark.parametrize("change", [{"epochs": 0}, {"patience": 0}, {"lr_patience": 0}])
def test_impossible_settings_are_refused(change):
    (name,) = change
    assert name in error(replace, TINY, **change)
    both = replace(TINY.network, bidirectional=True)
    assert "no state to carry on" in error(replace, TINY, network=both, carry_state=True)


def test_a_task_without_data_says_which_flag_to_give(tmp_path: Path):
    assert "--task.data" in error(training.start, tmp_path / "run", replace(TINY, task=Timit()))
    assert not (tmp_path / "run").exists()
