from dataclasses import replace
from pathlib import Path

from lsnn import runs
from lsnn.presets import PRESETS
from lsnn.report.learning import learning_of
from lsnn.report.run import read_run
from tests.report.folders import begin, page_in, plates_in, row_of, small, write_run


def test_numbers_stand_beside_the_papers(finished: Path) -> None:
    page = page_in(finished)
    assert row_of(page, "test accuracy")[1:3] == ["**93.1 %**", "94.2 % (mean over runs)"]
    assert "94.7 % (best run)" in page and PRESETS["smnist"].paper[0].source in page
    assert row_of(page, "wall time")[1] == "3 h 3 min"
    assert row_of(page, "active synapses")[1] == "100"
    assert row_of(page, "... input")[1] == "90 (12.0 % of its places)"
    assert row_of(page, "trainable parameters")[1] == "8,185"
    assert row_of(page, "mean firing rate")[1] == "12.5 Hz"
    assert "a processor, 1 of 2 cores" in page
    assert "Finished: 36,000 iterations." in page and "Settings differ" not in page


def test_unfinished_run_says_so_and_shows_its_checkpoint(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", small("smnist"), iterations=40, score=None)
    assert [plate.name for plate in plates_in(folder)] == ["learning", "connectivity", "synapses"]
    page = page_in(folder)
    assert "**Not finished:** 40 of 12,000 iterations" in page and f"lsnn resume {folder}" in page
    assert row_of(page, "test accuracy")[1] == "**not tested yet**"
    titles = {
        ax.get_title(loc="left") for ax in next(p for p in plates_in(folder) if p.name == "connectivity").figure.axes
    }
    assert {"before training", "after 40 iterations"} <= titles


def test_changed_settings_are_named_and_set_off_from_the_papers(tmp_path: Path) -> None:
    experiment = replace(PRESETS["smnist-rnn-paper"].experiment, iterations=60)
    page = page_in(write_run(tmp_path / "run", experiment, "smnist-rnn-paper"))
    assert "lsnn train smnist-rnn-paper --seed 0 --iterations 60\n" in page
    assert "**Settings differ from the paper's**, `--iterations 60`, so" in page
    assert "(the paper trains for 36,000 iterations)" in page


def test_recipe_of_our_own_says_so(run: Path) -> None:
    page = page_in(run)
    assert "**The settings are ours**: `smnist-paper` has the paper's, with 36,000 iterations." in page
    assert "Settings differ" not in page
    assert "Changed here: `--network.cells.n-regular 6" in page and "--iterations 20`." in page


def test_length_of_the_papers_training_is_told_as_its_preset_counts_it(tmp_path: Path) -> None:
    for name, changes, told in (
        ("timit", {}, "`timit-paper` has the paper's, with 80 epochs."),
        ("timit-paper", {"epochs": 3}, "(the paper trains for 80 epochs)"),
        ("timit-paper", {"lr": 0.1}, "`--lr 0.1`, so its numbers below are for orientation only."),
    ):
        begin(
            folder := tmp_path / f"{name} {changes}",
            replace(PRESETS[name].experiment, iterations=3200, **changes),
            name,
        )
        page = page_in(folder)
        assert told in page and "36,000" not in page


def test_data_that_may_not_be_the_papers_are_named_and_are_no_setting(tmp_path: Path) -> None:
    for name, whose in (("smnist-paper", "MNIST"), ("timit-paper", "TIMIT")):
        usual = PRESETS[name].experiment
        begin(tmp_path / name, replace(usual, task=replace(usual.task, data=Path("mine"))), name)
        page = page_in(tmp_path / name)
        assert f"The paper's numbers are for {whose}, this run's for the data in `mine`." in page
        assert "Settings differ" not in page and "--task.data mine" in page
    begin(tmp_path / "run", PRESETS["smnist-paper"].experiment, "smnist-paper")
    assert "for the data" not in page_in(tmp_path / "run")


def test_validation_is_that_of_the_network_that_was_tested(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", small("smnist", patience=3), iterations=40)
    results = {**runs.read_results(folder), "best_iteration": 20, "validation": {"loss": 0.2, "accuracy": 0.777}}
    runs.write_json(folder / runs.RESULTS, results)
    assert row_of(page_in(folder), "validation")[:2] == ["validation accuracy at iteration 20", "77.7 %"]
    assert learning_of(read_run(folder)).test.iteration.tolist() == [20]
    assert read_run(folder).network_iteration == 20


def test_stopping_criterion_is_told_from_an_interruption(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", small("store-recall", stop_at=0.05), "store-recall", iterations=96, score=0.04)
    results = runs.read_results(folder)
    runs.write_json(folder / runs.RESULTS, {**results, "stopped_by": "stop_at"})
    page = page_in(folder)
    assert "stopped after 96 of at most 200 iterations, as recall error in training had reached 5.0 %" in page
    assert row_of(page, "test recall error")[1] == "**4.0 %**"


def test_run_without_a_preset_points_to_its_config(tmp_path: Path) -> None:
    page = page_in(write_run(tmp_path / "run", small("smnist-lstm", iterations=10), None))
    assert "`config.json` of the run has every setting" in page
    assert row_of(page, "test accuracy")[2] == ""
