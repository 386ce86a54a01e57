"""A study of an untrained network on small images: what must come out whatever was learned."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lsnn import LSNN, Cells, cli, memory, training
from lsnn.experiments import Experiment, NonSpiking, Spiking
from lsnn.memory.moments import EVERYTHING, SEEN
from lsnn.tasks import SequentialMnist, Timit
from tests.helpers import TINY, begin, image_folder

SMALL = Experiment(
    task=SequentialMnist(pool=True),
    network=Spiking(cells=Cells(20, 20), connectivity=0.3),
    iterations=1,
    batch_size=100,
)


@pytest.fixture(scope="module")
def studied() -> memory.Study:
    return memory.study(SMALL, SMALL.build().eval(), every=28, n_decoded=300, n_tampered=150)


def test_study_has_a_value_for_every_moment(studied: memory.Study):
    decoded, tampered = studied.decoded, studied.tampered
    assert decoded.steps == [28, 56, 84, 112, 140, 168, 196, 224, 252] and decoded.recalled_at == 168
    assert decoded.back == [168, 140, 112, 84, 56, 28] and tampered.steps == decoded.steps[:-1]
    assert all(len(values) == 9 for values in decoded.right.values())
    assert all(len(values) == 6 for values in decoded.explained.values())
    assert all(len(values) == 8 for values in tampered.right.values())
    assert (studied.n_decoded, studied.n_tampered) == (300, 150)


def test_what_has_just_been_seen_is_known_and_then_forgotten(studied: memory.Study):
    *_, before, last = studied.decoded.explained[SEEN]
    assert last > 0.99 > before + 0.1


def test_a_network_knows_more_of_the_class_than_chance(studied: memory.Study):
    right = studied.decoded.right
    assert max(right[EVERYTHING]) > 0.3 and right[SEEN][-1] < 0.2  # at the end all have just seen the same cue


def test_study_is_the_same_at_every_call(studied: memory.Study):
    again = memory.study(SMALL, SMALL.build().eval(), every=28, n_decoded=300, n_tampered=150)
    assert again == studied


NOISY = replace(SMALL, network=replace(SMALL.network, cells=Cells(20, 20, noise_std=0.05)))


def test_decoders_of_a_noisy_network_are_judged_on_other_noise(monkeypatch: pytest.MonkeyPatch):
    drawn, draw = [], LSNN.draw_noise
    monkeypatch.setattr(LSNN, "draw_noise", lambda *given: drawn.append(draw(*given)) or drawn[-1])
    memory.study(NOISY, NOISY.build().eval(), every=126, n_decoded=200, n_tampered=100)
    fitted, judged, (tampered,) = drawn[:2], drawn[2:4], drawn[4:]
    assert len({noise.numpy().tobytes() for noise in (*fitted, *judged)}) == 4
    assert tampered.equal(judged[0])


def test_a_noisy_trial_with_which_nothing_is_done_goes_on_as_it_was(monkeypatch: pytest.MonkeyPatch):
    nothing = {"nothing": lambda network, state, order: (network, state)}
    monkeypatch.setattr(sys.modules["lsnn.memory.study"], "tamperings", lambda network: nothing)
    tampered = memory.study(NOISY, NOISY.build().eval(), every=84, n_decoded=2, n_tampered=100).tampered
    assert tampered.right["nothing"] == [tampered.intact] * 2


@pytest.mark.parametrize(("experiment", "every", "message"), [
    (TINY, 5, "store-recall does not ask for one class per trial"),
    (SMALL, 0, "every must lie in 1 ... 189, three quarters of a trial, got 0"),
    (SMALL, 190, "got 190"),
    (replace(SMALL, task=Timit()), 5, "timit does not ask for one class per trial"),  # whether there is a corpus or not
])  # fmt: skip
def test_what_cannot_be_studied_is_named(experiment: Experiment, every: int, message: str):
    with pytest.raises(ValueError, match=message):
        memory.study(experiment, experiment.build(), every, 10, 10)


@pytest.mark.parametrize(("n_decoded", "n_tampered"), [(1, 50), (0, 50), (50, 1), (50, -1)])
def test_fewer_than_two_examples_are_refused(n_decoded: int, n_tampered: int):
    with pytest.raises(ValueError, match=f"must be at least 2, got {n_decoded} and {n_tampered}"):
        memory.study(SMALL, SMALL.build().eval(), 84, n_decoded, n_tampered)


def test_command_writes_page_figure_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = begin(tmp_path / "run", SMALL)
    training.proceed(run)
    assert cli.main(["memory", str(run), "--examples", "100", "--tampered", "50"]) == 0
    written = [Path(line) for line in capsys.readouterr().out.split()]
    assert {path.name for path in written} == {"memory.md", "memory.json", "memory.png", "memory.pdf"}
    assert "thresholds exchanged: every example goes on with the thresholds of another" in written[0].read_text()
    assert json.loads(written[1].read_text())["decoded"]["recalled_at"] == 168


def test_no_more_examples_are_studied_than_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    task = SequentialMnist(pool=True, data=image_folder(tmp_path / "images"))
    drawn, draw = [], LSNN.draw_noise
    monkeypatch.setattr(LSNN, "draw_noise", lambda *given: drawn.append(given[2]) or draw(*given))
    memory.study(replace(SMALL, task=task, batch_size=4), SMALL.build().eval(), 84, n_decoded=10**9, n_tampered=2)
    assert sum(drawn) == 44 + 4 + 2  # to fit on, to judge on, to tamper with: all but the last are fewer than asked for


def test_command_takes_data_from_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    here, there = image_folder(tmp_path / "here"), image_folder(tmp_path / "there", n_train=96)
    task = SequentialMnist(pool=True, data=here)
    run = begin(tmp_path / "run", replace(SMALL, task=task, batch_size=4))
    training.proceed(run)
    assert cli.main(["memory", str(run), "--every", "84", "--data", str(there)]) == 0
    page = (run / "report" / "memory.md").read_text()
    assert "right answers in % of 8 validation examples" in page


@pytest.mark.parametrize(("batch_size", "asked", "left"), [(50, 51, 50), (1, 3, 2)])
def test_an_example_alone_in_its_batch_is_not_tampered_with(batch_size: int, asked: int, left: int):
    experiment = replace(SMALL, batch_size=batch_size)
    studied = memory.study(experiment, SMALL.build().eval(), every=84, n_decoded=60, n_tampered=asked)
    assert studied.n_tampered == left


def test_command_refuses_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = begin(tmp_path / "run", replace(SMALL, network=NonSpiking("rnn", 3), rewiring="off"))
    training.proceed(run)
    assert cli.main(["memory", str(run)]) == 2
    message = f"lsnn: error: {run} does not spike; memory studies LSNNs that run from start to end\n"
    assert capsys.readouterr().err == message
    both = begin(tmp_path / "both", replace(SMALL, network=replace(SMALL.network, bidirectional=True), iterations=1))
    training.proceed(both)
    assert cli.main(["memory", str(both)]) == 2
    assert "hears trials backwards, too, and has no state half-way" in capsys.readouterr().err
    assert cli.main(["memory", str(run), "--tampered", "1"]) == 2
    assert "must be at least 2, got 5000 and 1" in capsys.readouterr().err
