from pathlib import Path

import pytest

from lsnn.report import write_report
from tests.report.folders import begin, small


def test_finished_run_gets_a_page_and_every_figure(finished: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    files = write_report([finished], tmp_path / "out")
    names = ["learning", "activity", "connectivity", "synapses", "rates"]
    assert [path.name for path in files] == ["results.md", *(f"{n}.{s}" for n in names for s in ("png", "pdf"))]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in files)
    assert all(path.read_bytes()[:4] == (b"\x89PNG" if path.suffix == ".png" else b"%PDF") for path in files[1:])
    page = files[0].read_text()
    assert all(f"![{name}]({name}.png)" in page for name in names)
    assert {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()} == before


def test_report_goes_into_the_run_by_default(tmp_path: Path) -> None:
    begin(tmp_path / "run", small("smnist"))
    assert write_report([tmp_path / "run"]) == [tmp_path / "run" / "report" / "results.md"]


def test_a_folder_may_be_named_alone_and_as_a_string(tmp_path: Path) -> None:
    begin(tmp_path / "run", small("smnist"))
    assert write_report(str(tmp_path / "run")) == write_report(tmp_path / "run")
    assert write_report([str(tmp_path / "run")], str(tmp_path / "out")) == [tmp_path / "out" / "results.md"]


def test_run_that_has_only_begun_gets_a_page(tmp_path: Path) -> None:
    begin(tmp_path / "run", small("smnist"))
    files = write_report([tmp_path / "run"])
    assert [path.name for path in files] == ["results.md"]
    assert "0 of 12,000 iterations" in files[0].read_text()


def test_comparison_goes_to_the_current_folder_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        begin(tmp_path / name, small("smnist-lstm"))
    monkeypatch.chdir(tmp_path)
    assert write_report([Path("a"), Path("b")]) == [Path("report/results.md")]


def test_report_is_not_written_over_a_file(run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ValueError, match="is a file; choose another"):
        write_report([run], tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_no_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="name at least one run folder"):
        write_report([])
