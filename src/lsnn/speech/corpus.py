"""Where a corpus has its recordings and labels, and which of them train, validate and test.  Paths are only read."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lsnn.speech.labels import LABEL_SUFFIXES
from lsnn.speech.speakers import CORE_TEST, DEVELOPMENT

PARTS = {"train": "train", "test": "test", "dev": "validation", "development": "validation", "validation": "validation"}
"""folders of a corpus, whatever their case"""
SA = re.compile(r"sa\d+$", re.IGNORECASE)
"""TIMIT's two sentences that every speaker reads: they would be in training and test alike"""
EVERY = 10
"""of recordings without folders for it, one in so many develops, another one tests"""


class Utterance(NamedTuple):
    """A recording with labels."""

    name: str
    """path in the corpus without suffix, TRAIN/DR1/FCJF0/SI1027"""
    speaker: str
    audio: Path
    labels: Path


class Corpus(NamedTuple):
    """The utterances of each split, in order of name."""

    root: Path
    is_timit: bool
    """TIMIT's own splits, by its lists of speakers"""
    train: tuple[Utterance, ...]
    validation: tuple[Utterance, ...]
    test: tuple[Utterance, ...]
    left_out: tuple[Utterance, ...]
    """SA sentences, and speakers of TIMIT's test folder that are in neither list"""


class Listing(NamedTuple):
    """What a folder holds."""

    utterances: tuple[Utterance, ...]
    unlabelled: tuple[Path, ...]
    """audio without labels"""
    silent: tuple[Path, ...]
    """labels without audio"""


def find_corpus(root: Path) -> Corpus:
    """The corpus in a folder.  ValueError where there is none, or where a split would be empty.

    With folders TRAIN and TEST it is TIMIT or laid out like it, at any depth and in any case: SA sentences are left
    out; TIMIT's speakers are split as its users do, 50 to develop, the 24 of the core test set to test; others by
    a folder DEV, or else by taking every tenth training utterance.  Without such folders it is a collection of
    recordings with labels beside them, of which every tenth develops and every tenth tests.
    """
    listing = list_utterances(root)
    if not listing.utterances:
        raise ValueError(f"{root} has no recording with labels beside it (NAME.wav with NAME.PHN or NAME.TextGrid)")
    corpus = split(root, listing.utterances)
    empty = [name for name in ("train", "validation", "test") if not getattr(corpus, name)]
    if empty:
        raise ValueError(
            f"{root} has {len(listing.utterances)} labelled recordings, and none of them for {' and '.join(empty)}; "
            "sort them into folders TRAIN, DEV and TEST"
        )
    return corpus


def split(root: Path, utterances: tuple[Utterance, ...]) -> Corpus:
    """Share utterances out; a split may stay empty."""
    parts: dict[str | None, list[Utterance]] = {}
    for utterance in utterances:
        parts.setdefault(_part(utterance.name), []).append(utterance)
    if not {"train", "test"} & parts.keys():
        place = {8: "validation", 9: "test"}
        shares: dict[str, list[Utterance]] = {"train": [], "validation": [], "test": []}
        for k, utterance in enumerate(utterances):
            shares[place.get(k % EVERY, "train")].append(utterance)
        train, validation, test = (tuple(share) for share in shares.values())
        return Corpus(root, False, train, validation, test, ())
    left_out = [u for u in utterances if SA.match(u.name.rpartition("/")[2]) or _part(u.name) is None]
    away = {u.name for u in left_out}
    train, validation, test = (
        [u for u in parts.get(name, []) if u.name not in away] for name in ("train", "validation", "test")
    )
    known = CORE_TEST | DEVELOPMENT
    is_timit = not validation and any(u.speaker.lower() in known for u in test)
    if is_timit:
        left_out += [u for u in test if u.speaker.lower() not in known]
        validation = [u for u in test if u.speaker.lower() in DEVELOPMENT]
        test = [u for u in test if u.speaker.lower() in CORE_TEST]
    elif not validation:
        validation = train[EVERY - 2 :: EVERY]
        taken = {u.name for u in validation}
        train = [u for u in train if u.name not in taken]
    return Corpus(root, is_timit, tuple(train), tuple(validation), tuple(test), tuple(left_out))


def _part(name: str) -> str | None:
    """Split by the first folder that is called like one."""
    return next((PARTS[folder] for folder in name.lower().split("/")[:-1] if folder in PARTS), None)


def list_utterances(root: Path) -> Listing:
    """Recordings and labels that belong together, by name without suffix, whatever its case."""
    if not root.is_dir():
        raise ValueError(f"{root} is no folder; name one that holds a corpus")
    audio: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    for path in _files(root):
        suffix = path.suffix.lower()
        stem = path.relative_to(root).as_posix()[: -len(suffix)] if suffix else ""
        if suffix == ".wav" and stem.lower().endswith(".wav"):
            audio.setdefault(stem[:-4].lower(), path)  # SA1.WAV.wav, a copy in RIFF beside the original
        elif suffix == ".wav":
            _enter(audio, stem, path)
        elif suffix in LABEL_SUFFIXES:
            _enter(labels, stem, path)
    names = {key: path.relative_to(root).as_posix().rpartition(".")[0] for key, path in labels.items()}
    utterances = tuple(
        Utterance(names[key], audio[key].parent.name, audio[key], labels[key])
        for key in sorted(audio.keys() & labels.keys())
    )
    unlabelled = tuple(audio[key] for key in sorted(audio.keys() - labels.keys()))
    return Listing(utterances, unlabelled, tuple(labels[key] for key in sorted(labels.keys() - audio.keys())))


def _enter(table: dict[str, Path], stem: str, path: Path) -> None:
    key = stem.lower()
    other = table.get(key)
    if other is not None and not other.name.lower().endswith(".wav.wav"):
        kinds = {other.suffix.lower(), path.suffix.lower()}
        if kinds == set(LABEL_SUFFIXES):  # both kinds of labels: TIMIT's own count
            table[key] = other if other.suffix.lower() == LABEL_SUFFIXES[0] else path
            return
        raise ValueError(f"{other} and {path} differ only in case; keep one of them")
    table[key] = path


def _files(root: Path) -> Iterator[Path]:
    """Every file, in order; links are followed, but no folder is entered twice, so that loops end."""
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True, onerror=_refuse):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        yield from (Path(folder) / name for name in sorted(files) if not name.startswith("._"))


def _refuse(error: OSError) -> None:
    raise ValueError(f"{error.filename} cannot be read ({error.strerror}); see that it is a folder one may read")
