"""A corpus as frames: features and labels of every utterance, computed once and kept in a cache."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lsnn import runs
from lsnn.speech.audio import read_corpus_audio
from lsnn.speech.corpus import Corpus, Utterance, find_corpus
from lsnn.speech.features import Features, frame_centres, n_frames
from lsnn.speech.labels import frame_labels, read_labels

FORMAT = 1
"""version of cached files; part of their names"""
SPLITS = ("train", "validation", "test")


class Frames(NamedTuple):
    """The utterances of a split, one after the other."""

    features: Float[Tensor, "frame n"]
    labels: Int64[Tensor, " frame"]
    """phone, or NO_LABEL"""
    first: Int64[Tensor, " utterance"]
    """first frame of each utterance"""
    count: Int64[Tensor, " utterance"]
    """frames of each utterance"""
    audio: tuple[Path, ...]
    """the recording of each utterance"""


class Normalisation(NamedTuple):
    """Mean and standard deviation of each feature over all frames of the training set."""

    mean: Float[Tensor, " n"]
    std: Float[Tensor, " n"]

    def __call__(self, features: Float[Tensor, "frame n"]) -> Float[Tensor, "frame n"]:
        """Features of mean 0 and standard deviation 1."""
        return (features - self.mean) / self.std


class Spoken(NamedTuple):
    """A corpus, normalised.  One copy serves the whole process: read, don't write."""

    train: Frames
    validation: Frames
    test: Frames
    normalisation: Normalisation


def load(root: Path, features: Features, cache: Path | None) -> Spoken:
    """All frames of a corpus, once per process; from the cache where it has them for these files and settings."""
    return _load(root.resolve(), features, None if cache is None else cache.resolve())


@lru_cache(maxsize=2)
def _load(root: Path, features: Features, cache: Path | None) -> Spoken:
    corpus = find_corpus(root)
    path = None if cache is None else cache / f"{_key(corpus, features)}.safetensors"
    raw = None if path is None else _cached(path, corpus, features)
    if raw is None:
        raw = _computed(corpus, features)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            runs.write_tensors(path, raw)
    heard = raw["train.features"].double()
    std = heard.std(dim=0, correction=0)
    normalisation = Normalisation(heard.mean(dim=0).float(), torch.where(std > 0, std, 1.0).float())
    train, validation, test = (_frames(raw, split, getattr(corpus, split), normalisation) for split in SPLITS)
    return Spoken(train, validation, test, normalisation)


def _frames(raw: dict[str, Tensor], split: str, utterances: tuple[Utterance, ...], normalise: Normalisation) -> Frames:
    count = raw[f"{split}.count"]
    audio = tuple(utterance.audio for utterance in utterances)
    labels = raw[f"{split}.labels"].long()
    return Frames(normalise(raw[f"{split}.features"]), labels, count.cumsum(0) - count, count, audio)


def _key(corpus: Corpus, features: Features) -> str:
    """A name that changes with the settings and with every file's name, size or time."""
    files = []
    for split in SPLITS:
        for utterance in getattr(corpus, split):
            status = [path.stat() for path in (utterance.audio, utterance.labels)]
            files.append([split, utterance.name, *((s.st_size, s.st_mtime_ns) for s in status)])
    content = json.dumps([FORMAT, dataclasses.asdict(features), str(corpus.root), files])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _cached(path: Path, corpus: Corpus, features: Features) -> dict[str, Tensor] | None:
    """What the file holds, if it is whole; computed anew otherwise."""
    if not path.exists():
        return None
    try:
        raw = runs.read_tensors(path)
    except ValueError:
        return None
    for split in SPLITS:
        count, labels, values = (raw.get(f"{split}.{name}") for name in ("count", "labels", "features"))
        if count is None or labels is None or values is None or len(count) != len(getattr(corpus, split)):
            return None
        if values.shape != (int(count.sum()), features.n) or labels.shape != values.shape[:1]:
            return None
    return raw


def _computed(corpus: Corpus, features: Features) -> dict[str, Tensor]:
    raw = {}
    with one_thread():
        for split in SPLITS:
            parts = [_utterance(utterance, features) for utterance in getattr(corpus, split)]
            raw[f"{split}.features"] = torch.cat([values for values, _ in parts])
            raw[f"{split}.labels"] = torch.cat([labels for _, labels in parts]).to(torch.int8)
            raw[f"{split}.count"] = torch.tensor([len(labels) for _, labels in parts])
    return raw


def _utterance(utterance: Utterance, features: Features) -> tuple[Tensor, Tensor]:
    wave = read_corpus_audio(utterance.audio)
    segments = read_labels(utterance.labels, len(wave))
    labels = frame_labels(segments, frame_centres(n_frames(len(wave))))
    if not (labels >= 0).any():
        raise ValueError(f"{utterance.audio} has {len(wave)} samples and no labelled frame of 25 ms; leave it out")
    return features.of(wave), labels


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums come out the same to the last bit, however many threads there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
