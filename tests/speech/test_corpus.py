"""Corpora: TIMIT's splits in any spelling of its tree, other layouts, and what a check says."""

import shutil
from pathlib import Path

import numpy as np

from lsnn.speech.check import check_corpus
from lsnn.speech.corpus import Utterance, find_corpus
from lsnn.speech.speakers import CORE_TEST, DEVELOPMENT
from tests.helpers import error
from tests.timit_files import sphere, utterance


def speakers(utterances: tuple[Utterance, ...]) -> set[str]:
    return {u.speaker.upper() for u in utterances}


def copied(timit: Path, root: Path, spelled=str) -> Path:
    for path in timit.rglob("*.*"):
        target = root / spelled(path.relative_to(timit).as_posix())
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return root


def test_lists_have_the_published_sizes():
    assert len(CORE_TEST) == 24 and len(DEVELOPMENT) == 50 and not CORE_TEST & DEVELOPMENT
    assert sum(name[0] == "f" for name in CORE_TEST) == 8, "a woman and two men of each region"


def test_timit_is_split_by_its_lists_without_sa(timit: Path):
    corpus = find_corpus(timit)
    assert corpus.is_timit
    assert speakers(corpus.train) == {"FCJF0", "MCPM0", "FVFB0"} and len(corpus.train) == 9
    assert speakers(corpus.validation) == {"FAKS0", "FJEM0"} and len(corpus.validation) == 6
    assert speakers(corpus.test) == {"MDAB0", "FELC0"} and len(corpus.test) == 6
    assert len(corpus.left_out) == 8 + 3, "an SA sentence each, and a speaker who is in neither list"


def test_the_tree_may_be_spelled_in_any_case_and_lie_deeper(timit: Path, tmp_path: Path):
    def of(root: Path) -> list[list[str]]:
        corpus = find_corpus(root)
        return [[u.name.lower().split("timit/")[-1] for u in part] for part in corpus[2:5]]

    lower = copied(timit, tmp_path / "a", lambda name: f"data/timit/{name.lower()}")
    mixed = copied(timit, tmp_path / "b", str.title)
    assert of(lower) == of(mixed) == of(timit)


def test_riff_copies_beside_the_originals_do_not_count_twice(timit: Path, tmp_path: Path):
    root = copied(timit, tmp_path / "a")
    for path in list(root.rglob("*.WAV")):
        shutil.copy(path, path.with_name(path.name + ".wav"))
    assert len(find_corpus(root).train) == 9


def test_loops_of_links_end(timit: Path, tmp_path: Path):
    root = copied(timit, tmp_path / "a")
    (root / "TRAIN" / "DR1" / "again").symlink_to(root, target_is_directory=True)
    (root / "TRAIN" / "DR1" / "FCJF0" / "up").symlink_to("..", target_is_directory=True)
    assert len(find_corpus(root).train) == 9


def test_files_that_differ_only_in_case_are_refused(timit: Path, tmp_path: Path):
    root = copied(timit, tmp_path / "a")
    path = root / "TRAIN" / "DR1" / "FCJF0" / "SX37.PHN"
    shutil.copy(path, path.with_name("sx37.phn"))
    assert "differ only in case" in error(find_corpus, root)


def test_a_folder_dev_develops(timit: Path, tmp_path: Path):
    root = copied(timit, tmp_path / "a", lambda name: name.replace("TEST/DR1/FAKS0", "DEV/DR1/X"))
    corpus = find_corpus(root)
    assert not corpus.is_timit and speakers(corpus.validation) == {"X"}
    assert speakers(corpus.test) == {"MDAB0", "FELC0", "FJEM0", "MSTK0"}


def test_recordings_without_folders_are_shared_out(tmp_path: Path):
    draw = np.random.default_rng(0)
    for k in range(12):
        samples, labels = utterance(draw, 3)
        (tmp_path / f"r{k:02}.wav").write_bytes(sphere(samples))
        (tmp_path / f"r{k:02}.phn").write_text(labels)
    corpus = find_corpus(tmp_path)
    assert [len(part) for part in corpus[2:]] == [10, 1, 1, 0]


def test_what_is_no_corpus_says_what_to_do(tmp_path: Path):
    assert "is no folder" in error(find_corpus, tmp_path / "nowhere")
    assert "no recording with labels" in error(find_corpus, tmp_path)
    samples, labels = utterance(np.random.default_rng(0), 3)
    (tmp_path / "a.wav").write_bytes(sphere(samples))
    (tmp_path / "a.phn").write_text(labels)
    assert "none of them for validation and test" in error(find_corpus, tmp_path)


def test_a_check_counts_and_finds_what_is_wrong(timit: Path, tmp_path: Path):
    root = copied(timit, tmp_path / "a")
    folder = root / "TRAIN" / "DR1" / "FCJF0"
    (folder / "SX37.PHN").unlink()
    (folder / "SX127.WAV").write_bytes((folder / "SX127.WAV").read_bytes()[:-100])
    (folder / "SI1027.PHN").write_text((folder / "SI1027.PHN").read_text().replace("h#", "h", 1))
    findings = check_corpus(root)
    assert findings.counts["training speakers"] == 3 and findings.counts["training utterances"] == 8
    assert findings.counts["SA sentences, left out"] == 8 and findings.expected["training utterances"] == 3696
    text = "\n".join(findings.problems)
    for words in (
        "SX37.WAV has no labels",
        "cut short",
        "unknown phone 'h'",
        "8 training utterances, a complete TIMIT",
    ):
        assert words in text


def test_a_check_remarks_on_what_it_can_live_with(timit: Path, tmp_path: Path):
    root = copied(timit, tmp_path / "a")
    path = root / "TRAIN" / "DR1" / "FCJF0" / "SX37.PHN"
    *lines, last = path.read_text().splitlines()
    start, stop, name = last.split()
    path.write_text("\n".join([*lines, f"{start} {int(stop) + 5} {name}"]))
    assert any("5 samples after the audio" in remark for remark in check_corpus(root).remarks)
