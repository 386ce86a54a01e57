from pathlib import Path
from typing import Any

from lsnn import runs
from lsnn.report import write_report
from tests.report.folders import row_of, small, write_run


def test_seeds_are_grouped_and_averaged_by_settings(tmp_path: Path) -> None:
    def run(seed: int, name: str = "smnist-lstm", score: float | None = 0.5, **changes: Any) -> Path:
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        return write_run(folder, small(name, seed=seed, **changes), name, iterations=20, score=score)

    folders = [run(0, score=0.90), run(1, score=0.94), run(2, score=None), run(3, score=0.2, lr=0.1, log_every=5)]
    files = write_report([*folders, run(0, "store-recall-rnn", 0.04), run(1, "store-recall-rnn", 0.06)], tmp_path / "o")
    names = ["sequential-mnist-learning", "sequential-mnist-test", "store-recall-learning", "store-recall-test"]
    assert [path.name for path in files] == ["results.md", *(f"{n}.{s}" for n in names for s in ("png", "pdf"))]
    page = files[0].read_text()
    paper = "79.8 % (mean over runs); 98.5 % (best run)"
    assert row_of(page, "`smnist-lstm` ")[1:5] == ["2 of 3", "92.0 % ± 2.8 %", "94.0 %", paper]
    assert row_of(page, "`smnist-lstm --lr 0.1`")[1:4] == ["1 of 1", "20.0 %", "20.0 %"]
    assert row_of(page, "`store-recall-rnn`")[3] == "4.0 %"  # of errors the lowest is best
    assert row_of(page, "run2 ")[2:5] == ["2", "20 of 12,000", "not finished"]


def test_runs_that_began_with_other_weights_are_a_group_of_their_own(tmp_path: Path) -> None:
    first, second = (write_run(tmp_path / name, small("smnist-lstm"), "smnist-lstm", iterations=20) for name in "ab")
    runs.write_json(second / runs.CONFIG, {**runs.read_config(second), "start_from": "runs/a"})
    page = write_report([first, second], tmp_path / "out")[0].read_text()
    assert row_of(page, "`smnist-lstm` ")[1] == row_of(page, "`smnist-lstm --start-from runs/a`")[1] == "1 of 1"


def test_a_run_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    first, second = (write_run(tmp_path / name, small("smnist-lstm"), "smnist-lstm", iterations=20) for name in "ab")
    page = write_report([first, second, tmp_path / "b" / ".." / "a"], tmp_path / "out")[0].read_text()
    assert row_of(page, "`smnist-lstm` ")[1] == "2 of 2"
    alone = write_report([first, first], tmp_path / "one")[0].read_text()
    assert alone.startswith("# smnist-lstm, seed 0")


def test_runs_are_grouped_by_when_they_validate_where_training_depends_on_it(tmp_path: Path) -> None:
    for name, changes, groups in (
        ("step", {}, 1),
        ("falls", {"schedule": "plateau"}, 2),
        ("stops", {"patience": 2}, 2),
    ):
        folders = [
            write_run(
                tmp_path / f"{name}{n}", small("smnist-lstm", validate_every=n, **changes), "smnist-lstm", iterations=20
            )
            for n in (10, 20)
        ]
        page = write_report(folders, tmp_path / name)[0].read_text()
        assert page.count("| 1 of 1 |") == (groups if groups > 1 else 0)


def test_runs_without_a_preset_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name / "run", small("smnist-lstm"), None, iterations=20) for name in "ab"]
    page = write_report(folders, tmp_path / "out")[0].read_text()
    assert all(row_of(page, f"`custom: {folder}`")[1] == "1 of 1" for folder in folders)


def test_comparison_without_a_test_has_learning_curves_only(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name, small("smnist-lstm"), iterations=20, score=None) for name in "ab"]
    files = write_report(folders, tmp_path / "out")
    assert [path.stem for path in files[1::2]] == ["sequential-mnist-learning"]
    assert row_of(files[0].read_text(), "`smnist")[2:4] == ["none yet", "none yet"]


def test_flags_of_all_runs_stand_once_above_the_tables(tmp_path: Path) -> None:
    def run(name: str, **changes: Any) -> Path:
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        return write_run(folder, small(name, batch_size=7, **changes), name, iterations=20, score=0.9)

    page = write_report([run("smnist-lstm"), run("smnist-lstm", lr=0.1), run("smnist-rnn", lr=0.1)], tmp_path / "o")[0]
    text = page.read_text()
    assert "All with `" in text and text.count("--batch-size 7") == 1
    assert row_of(text, "`smnist-lstm` ") and row_of(text, "`smnist-lstm --lr 0.1`") and row_of(text, "`smnist-rnn")
