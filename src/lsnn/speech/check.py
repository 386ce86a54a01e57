"""What a copy of a corpus has, and what is wrong with it."""

from pathlib import Path
from typing import NamedTuple

from lsnn.speech.audio import RATE, read_corpus_audio
from lsnn.speech.corpus import SA, Corpus, Utterance, list_utterances, split
from lsnn.speech.labels import OVERHANG, Segment, read_labels

TIMIT = {
    "training speakers": 462, "training utterances": 3696, "development speakers": 50, "development utterances": 400,
    "core test speakers": 24, "core test utterances": 192, "SA sentences, left out": 1260, "phones": 61,
}  # fmt: skip
"""what a complete copy has"""


class Findings(NamedTuple):
    """Counts, and sentences about what is wrong."""

    counts: dict[str, int | float]
    expected: dict[str, int]
    """for TIMIT, what a complete copy has; else nothing"""
    problems: list[str]
    """with these the corpus cannot be trained on, or is not the one that published numbers are about"""
    remarks: list[str]
    """oddities that are dealt with"""


def check_corpus(root: Path) -> Findings:
    """Read every recording and its labels."""
    listing = list_utterances(root)
    corpus = split(root, listing.utterances)
    problems = [f"{path} has no labels beside it" for path in listing.unlabelled]
    problems += [f"{path} has no audio beside it" for path in listing.silent]
    remarks: list[str] = []
    phones: set[int] = set()
    seconds = {"train": 0.0, "validation": 0.0, "test": 0.0, "left out": 0.0}
    splits = {"train": corpus.train, "validation": corpus.validation, "test": corpus.test, "left out": corpus.left_out}
    for name, utterances in splits.items():
        for utterance in utterances:
            try:
                n_samples, segments = _read(utterance)
            except ValueError as error:
                problems.append(str(error))
                continue
            phones |= {segment.phone for segment in segments}
            seconds[name] += n_samples / RATE
            remarks += _oddities(utterance, n_samples, segments)
    counts = _counts(corpus, seconds, phones)
    expected = TIMIT if corpus.is_timit else {}
    problems += [
        f"{counts[name]} {name}, a complete TIMIT has {count}"
        for name, count in expected.items()
        if counts[name] != count
    ]
    problems += [f"there is nothing for {name}" for name in ("train", "validation", "test") if not splits[name]]
    return Findings(counts, dict(expected), problems, remarks)


def _read(utterance: Utterance) -> tuple[int, list[Segment]]:
    n_samples = len(read_corpus_audio(utterance.audio))
    return n_samples, read_labels(utterance.labels, n_samples)


def _oddities(utterance: Utterance, n_samples: int, segments: list[Segment]) -> list[str]:
    found = []
    if segments[-1].stop > n_samples:
        over = segments[-1].stop - n_samples
        found.append(f"{utterance.labels} goes on for {over} samples after the audio; they are cut")
    elif n_samples - segments[-1].stop > OVERHANG * RATE:
        found.append(f"{utterance.labels} ends {n_samples - segments[-1].stop} samples before the audio; not scored")
    gaps = sum(after.start - before.stop for before, after in zip(segments, segments[1:], strict=False))
    if gaps:
        found.append(f"{utterance.labels} leaves {gaps} samples between labels; they are not scored")
    return found


def _counts(corpus: Corpus, seconds: dict[str, float], phones: set[int]) -> dict[str, int | float]:
    titles = {"train": "training", "validation": "development", "test": "core test" if corpus.is_timit else "test"}
    counts: dict[str, int | float] = {}
    for name, title in titles.items():
        utterances = getattr(corpus, name)
        counts[f"{title} speakers"] = len({utterance.speaker.lower() for utterance in utterances})
        counts[f"{title} utterances"] = len(utterances)
        counts[f"{title} minutes"] = round(seconds[name] / 60, 1)
    sa = sum(bool(SA.match(utterance.name.rpartition("/")[2])) for utterance in corpus.left_out)
    counts["SA sentences, left out"] = sa
    counts["others left out"] = len(corpus.left_out) - sa
    counts["phones"] = len(phones)
    return counts
