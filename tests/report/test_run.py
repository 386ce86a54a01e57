from pathlib import Path

import pytest

from lsnn import runs
from lsnn.experiments import NonSpiking
from lsnn.report.run import read_run


def refused(folder: Path) -> str:
    with pytest.raises(ValueError) as caught:
        read_run(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_missing_folder_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in refused(tmp_path / "nowhere")


def test_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path} has no config.json" in refused(tmp_path)


def test_damaged_line_of_metrics_is_numbered(run: Path) -> None:
    lines = (run / runs.METRICS).read_text().splitlines()
    lines[2] = lines[2][:20]
    (run / runs.METRICS).write_text("\n".join(lines) + "\n")
    assert f"{run / runs.METRICS} line 3 is damaged" in refused(run)


@pytest.mark.parametrize("name", [runs.INITIAL, runs.WEIGHTS, runs.EXAMPLE, runs.RESULTS, runs.CONFIG])
def test_truncated_file_is_named(name: str, run: Path) -> None:
    (run / name).write_bytes((run / name).read_bytes()[:50])
    assert str(run / name) in refused(run)


def test_results_without_their_metric_are_named(run: Path) -> None:
    runs.write_json(run / runs.RESULTS, {"iterations": 20, "seconds": 1.0, "test": {"loss": 0.2}})
    assert f"{run / runs.RESULTS} is damaged: its test has no accuracy; restore it" in refused(run)


def test_weights_of_another_network_are_refused(run: Path) -> None:
    network = NonSpiking(n_hidden=3).build(80, 10, seed=0)
    runs.write_tensors(run / runs.WEIGHTS, network.state_dict())
    assert f"{run / runs.WEIGHTS} is damaged or of another run: it has no synapses.pre" in refused(run)
