"""The corpus made here: the same bytes for the same seed, TIMIT's layout, nothing left of what was interrupted."""

from pathlib import Path

import pytest
import torch

from lsnn import cli
from lsnn.speech import making
from lsnn.speech.cast import MEN, SPLITS, WOMEN, speakers, variants
from lsnn.speech.check import check_corpus
from lsnn.speech.corpus import find_corpus
from lsnn.speech.espeak import ACCENTS, CLOSURES, GLIDING, MAPPED, Said, phones_of
from lsnn.speech.labels import read_labels
from lsnn.speech.phones import INDEX, PHONES
from lsnn.speech.sentences import sentences
from tests.helpers import error


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("espeakng_loader")
    return making.make_corpus(tmp_path_factory.mktemp("speech") / "tiny", "tiny", seed=3, jobs=2)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_same_seed_gives_the_same_bytes_in_however_many_processes(made: Path, tmp_path: Path):
    again = making.make_corpus(tmp_path / "again", "tiny", seed=3, jobs=1)
    assert contents(again) == contents(made) and len(contents(made)) == 16 * 4 + 1
    other = making.make_corpus(tmp_path / "other", "tiny", seed=4)
    assert not set(contents(other)) & set(contents(made)) - {"README.TXT"}


def test_it_is_a_corpus_without_problems(made: Path):
    findings = check_corpus(made)
    assert findings.problems == [] and findings.remarks == []
    assert (findings.counts["training utterances"], findings.counts["test utterances"]) == (8, 4)
    assert findings.counts["phones"] > 40
    corpus = find_corpus(made)
    assert not corpus.is_timit
    for utterance in (*corpus.train, *corpus.validation, *corpus.test):
        text = utterance.labels.with_suffix(".TXT").read_text().split(" ", 2)[2]
        words = [line.split()[2] for line in utterance.labels.with_suffix(".WRD").read_text().splitlines()]
        assert len(words) >= 4 and words[0] in text.lower()
        n_samples = int(utterance.labels.with_suffix(".TXT").read_text().split()[1])
        labels = read_labels(utterance.labels, n_samples)
        assert labels[0].phone == labels[-1].phone == INDEX["h#"] and labels[-1].stop == n_samples
        assert all(before.stop == after.start for before, after in zip(labels, labels[1:], strict=False))


def test_labels_fit_the_sound(made: Path):
    """Hissing is where s and sh are, and closures are quiet."""
    from lsnn.speech.audio import read_corpus_audio

    sharp: dict[str, list[float]] = {}
    for utterance in find_corpus(made).train:
        wave = read_corpus_audio(utterance.audio)
        for start, stop, phone in read_labels(utterance.labels, len(wave)):
            part = wave[start:stop]
            if stop - start > 320:
                row = [float(part.diff().square().mean() / part.square().mean()), float(part.square().mean())]
                sharp.setdefault(PHONES[phone], []).append(row)  # type: ignore[arg-type]
    mean = {phone: torch.tensor(rows).median(0).values.tolist() for phone, rows in sharp.items()}
    assert mean["s"][0] > 10 * mean["m"][0] and mean["s"][0] > 5 * mean["iy"][0]
    assert mean["tcl"][1] < 0.05 * mean["iy"][1] and mean["h#"][1] < 0.01 * mean["iy"][1]


def test_an_interrupted_build_leaves_nothing_that_looks_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("espeakng_loader")
    speak, spoken = making._speak, []

    def speak_twice(task):
        if len(spoken) == 2:
            raise KeyboardInterrupt
        spoken.append(task)
        speak(task)

    monkeypatch.setattr(making, "_speak", speak_twice)
    with pytest.raises(KeyboardInterrupt):
        making.make_corpus(tmp_path / "out", "tiny", jobs=1)
    assert not (tmp_path / "out").exists() and not list(tmp_path.iterdir())
    (tmp_path / ".out.part" / "TRAIN").mkdir(parents=True)  # as kill -9 leaves it
    monkeypatch.setattr(making, "_speak", speak)
    making.make_corpus(tmp_path / "out", "tiny", jobs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert "exists already" in error(making.make_corpus, tmp_path / "out", "tiny")


def test_without_the_package_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "espeakng_loader", None)
    assert cli.main(["data", "speech", str(tmp_path / "out"), "--size", "tiny"]) == 1
    assert "pip install 'lsnn[speech]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_splits_share_neither_voices_nor_speakers():
    cast = speakers({"train": 160, "validation": 24, "test": 24}, 0)
    voices = [{speaker.voice.variant for speaker in cast[split]} for split in SPLITS]
    names = [speaker.name for split in SPLITS for speaker in cast[split]]
    assert not voices[0] & voices[1] and not voices[0] & voices[2] and not voices[1] & voices[2]
    assert len(set(names)) == 208
    assert {speaker.region for speaker in cast["test"]} == set(range(1, 9))
    assert 0.25 < sum(name[0] == "F" for name in names) / 208 < 0.4
    for women, (everyone, kept) in ((True, WOMEN), (False, MEN)):
        assert all(set(names) <= set(everyone) for names in kept.values()) and variants("train", women)


def test_sentences_differ():
    texts = sentences(0)
    drawn = [next(texts) for _ in range(3000)]
    assert len(set(drawn)) == 3000 and not any("{" in text for text in drawn)
    again = sentences(0)
    assert drawn[:5] == [next(again) for _ in range(5)]


def test_every_phoneme_becomes_phones_of_timit():
    for rhotic in (True, False):
        found = {phone for phoneme in (*MAPPED, *GLIDING) for phone in phones_of(phoneme, rhotic)}
        assert found <= set(PHONES)
    assert set(CLOSURES.values()) <= set(PHONES) and len(ACCENTS) == 8
    assert phones_of("A@", True) == ("aa", "r") and phones_of("A@", False) == ("aa",)
    assert phones_of("e@", False) == ("eh", "ax")
    assert "'!'" in error(phones_of, "!", True)


def test_a_closure_is_the_silence_before_a_burst():
    rate = 22_050
    wave = torch.cat([torch.ones(2205), torch.zeros(1102), 0.5 * torch.ones(441), torch.ones(2205)])
    wave *= torch.where(torch.arange(len(wave)) % 2 == 0, 1.0, -1.0)
    said = Said(wave, rate, [(0, "a"), (3307, "t"), (3748, "i:"), (5953, "_:")], [])
    found = making.phones_in(said, True)
    assert [name for _, _, name in found] == ["ae", "tcl", "t", "iy"]
    assert [round(start, 2) for start, _, _ in found] == [0, 0.1, 0.15, 0.17]
