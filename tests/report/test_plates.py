import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from lsnn import figures, runs
from lsnn.experiments import Spiking
from lsnn.neuron import Cells
from lsnn.report.learning import learning_of, rewired
from lsnn.report.run import read_run
from lsnn.report.synapses import wired_of
from tests.report.folders import page_in, plates_in, small, write_run


def test_network_that_does_not_spike_gets_the_figures_that_make_sense(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", small("smnist-lstm", iterations=30), "smnist-lstm")
    assert [plate.name for plate in plates_in(folder)] == ["learning", "activity"]
    page = page_in(folder)
    assert "firing rate" not in page and "synapses" not in page


def test_rates_say_what_they_are_taken_over(run: Path) -> None:
    (caption,) = (plate.caption for plate in plates_in(run) if plate.name == "rates")
    assert caption.startswith("Over the first batch of the test set: ")


def test_network_of_regular_neurons_shows_its_rate(tmp_path: Path) -> None:
    experiment = small("smnist-lif", iterations=20)
    experiment = replace(experiment, network=Spiking(cells=Cells(n_regular=10, n_adaptive=0)))
    learning = learning_of(read_run(write_run(tmp_path / "run", experiment, "smnist-lif")))
    assert list(learning.rates) == ["regular"]
    assert learning.rates["regular"].value.tolist() == [12.5, 12.5]


def test_rewired_synapses_are_counted_per_iteration(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", small("smnist", log_every=5), iterations=10, score=None)
    regrown = rewired(read_run(folder))
    assert regrown.iteration.tolist() == [5, 10] and regrown.value.tolist() == [6.0, 6.0]


def test_records_left_out_of_the_box_do_not_change_the_turnover(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", small("smnist", log_every=5), iterations=40, score=None)
    records = [record for record in runs.read_metrics(folder) if record["iteration"] % 20 == 0]
    runs.write_metrics(folder, records)
    regrown = rewired(read_run(folder))
    assert regrown.iteration.tolist() == [20, 40] and regrown.value.tolist() == [6.0, 6.0]


def test_dormant_synapses_are_not_drawn(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", small("smnist"), iterations=10)
    run = read_run(folder)
    assert run.network is not None and isinstance(run.experiment.network, Spiking)
    saved = dict(run.network)
    saved["synapses.theta"] = saved["synapses.theta"].clone()
    saved["synapses.theta"][:7] = -1e-3
    wired = wired_of(saved, run.experiment.network)
    assert len(wired.weight) == len(saved["synapses.theta"]) - 7
    assert (np.sign(wired.weight) == saved["synapses.sign"][7:].numpy()).all()
    assert (wired.n_in, wired.n_regular, wired.n_adaptive, wired.n_out) == (80, 6, 4, 10)


def test_losses_that_are_no_numbers_are_drawn_as_gaps(run: Path) -> None:
    with open(run / runs.METRICS, "a") as file:
        file.write(json.dumps({"event": "train", "iteration": 30, "loss": math.nan, "accuracy": 0.1}) + "\n")
    assert figures.render(plates_in(run)[0].figure, "png")
