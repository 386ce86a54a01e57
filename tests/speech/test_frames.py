"""Frames of a corpus: normalised, cached, and computed anew when files or settings change."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lsnn.speech import frames
from lsnn.speech.features import Features
from tests.helpers import error

FEATURES = Features(n_mfcc=5, n_mels=12)


@pytest.fixture(autouse=True)
def forgetful():
    """Nothing is remembered from one test to the next."""
    frames._load.cache_clear()


def loaded(root: Path, features: Features = FEATURES, cache: Path | None = None) -> frames.Spoken:
    frames._load.cache_clear()
    return frames.load(root, features, cache)


def test_training_features_have_mean_0_and_deviation_1(timit: Path):
    spoken = loaded(timit)
    assert spoken.train.features.shape == (int(spoken.train.count.sum()), FEATURES.n)
    torch.testing.assert_close(spoken.train.features.mean(0), torch.zeros(FEATURES.n), atol=1e-4, rtol=0)
    torch.testing.assert_close(spoken.train.features.std(0, correction=0), torch.ones(FEATURES.n), atol=1e-4, rtol=0)


def test_the_cache_gives_the_same_to_the_last_bit(timit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = loaded(timit, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(frames, "_computed", lambda *arguments: pytest.fail("computed though cached"))
    again = loaded(timit, cache=tmp_path)
    for one, other in zip(first[:3], again[:3], strict=True):
        assert all(a.equal(b) for a, b in zip(one[:4], other[:4], strict=True))


def test_it_is_computed_anew_for_other_settings_and_changed_files(timit: Path, tmp_path: Path):
    root, cache = tmp_path / "copy", tmp_path / "cache"
    shutil.copytree(timit, root)
    loaded(root, cache=cache)
    assert loaded(root, replace(FEATURES, n_mels=13), cache).train.features.shape[1] == FEATURES.n
    assert len(list(cache.iterdir())) == 2
    os.utime(next(root.rglob("SX37.PHN")), ns=(1, 1))
    loaded(root, cache=cache)
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: b"", lambda raw: b"x" * len(raw)])
def test_a_damaged_cache_is_computed_anew(timit: Path, tmp_path: Path, damage):
    expected = loaded(timit, cache=tmp_path).test.features
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert loaded(timit, cache=tmp_path).test.features.equal(expected)
    assert loaded(timit, cache=tmp_path).test.features.equal(expected)


def test_a_damaged_recording_stops_the_training_by_name(timit: Path, tmp_path: Path):
    root = tmp_path / "copy"
    shutil.copytree(timit, root)
    path = root / "TRAIN" / "DR1" / "FCJF0" / "SX37.WAV"
    path.write_bytes(path.read_bytes()[:-20])
    assert error(loaded, root).startswith(f"{path}, byte ")
    path.write_bytes(path.read_bytes()[:1024].replace(b"sample_count -i", b"sample_count -i 0 ;")[:1024])
    assert str(path.parent) in error(loaded, root)
