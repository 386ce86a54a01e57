"""A free corpus in TIMIT's layout: sentences of a grammar, spoken by espeak-ng with many voices, labelled by it.

Numbers on it are not TIMIT numbers: synthetic speech is far more regular than people's.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lsnn.seeding import generator_for
from lsnn.speech.audio import RATE, resample
from lsnn.speech.cast import Speaker, speakers
from lsnn.speech.espeak import ACCENTS, CLOSURES, SPLIT, Said, library, phones_of, say
from lsnn.speech.frames import one_thread
from lsnn.speech.labels import phn_text
from lsnn.speech.phones import SILENCE
from lsnn.speech.sentences import sentences
from lsnn.speech.sphere import sphere_bytes

Size = Literal["tiny", "small", "medium", "large"]
SIZES: dict[Size, tuple[dict[str, int], int]] = {
    "tiny": ({"train": 4, "validation": 2, "test": 2}, 2),
    "small": ({"train": 32, "validation": 8, "test": 8}, 5),
    "medium": ({"train": 160, "validation": 24, "test": 24}, 8),
    "large": ({"train": 462, "validation": 50, "test": 24}, 8),
}
"""speakers of each split, and sentences of each speaker; medium has an hour to train on, large TIMIT's own counts"""
FOLDERS = {"train": "TRAIN", "validation": "DEV", "test": "TEST"}
README = "README.TXT"
"""who speaks what"""
QUIET = 0.01
"""share of the peak below which speech is silent: a closure"""
BLOCK = 0.002
"""s; stretches that are judged silent or not"""
SHORTEST = 0.02
"""s; silence that is no closure is a phone of its own from here on"""
VOICED = ("b", "d", "g", "jh")
LONGEST_CLOSURE = 0.06
"""s, of a stop after a pause"""

Phones = list[tuple[float, float, str]]
"""start and stop, s, and name"""


class Task(NamedTuple):
    """One speaker's share of the work."""

    folder: Path
    speaker: Speaker
    texts: Sequence[str]
    numbers: Sequence[int]
    seed: int


def make_corpus(
    out: Path,
    size: Size = "medium",
    seed: int = 0,
    jobs: int | None = None,
    told: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a corpus; the same size and seed give the same files, byte for byte.  Returns the folder.

    It is written beside its place and put there when it is whole.  told: speakers done, and all of them.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists already and nothing in it was touched; choose another folder")
    library()  # complain before anything is written
    counts, n_each = SIZES[size]
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    texts, number, tasks = sentences(seed), 1, []
    for split, cast in speakers(counts, seed).items():
        for speaker in cast:
            folder = part / FOLDERS[split] / f"DR{speaker.region}" / speaker.name
            tasks.append(Task(folder, speaker, list(islice(texts, n_each)), range(number, number + n_each), seed))
            number += n_each
    try:
        with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool, one_thread():
            for done, _ in enumerate(pool.map(_speak, tasks), 1):
                if told is not None:
                    told(done, len(tasks))
        (part / README).write_text(_readme(size, seed, tasks))
        if out.exists():
            out.rmdir()
        os.replace(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out


def _speak(task: Task) -> None:
    """All sentences of a speaker, four files each."""
    task.folder.mkdir(parents=True)
    voice = task.speaker.voice
    for text, number, said in zip(task.texts, task.numbers, say(voice, list(task.texts)), strict=True):
        generator = generator_for(task.seed, "recording", number)
        wave, lead = record(said, task.speaker, generator)
        phones = phones_in(said, ACCENTS[voice.accent])
        path = task.folder / f"SX{number}"
        _write(path.with_suffix(".WAV"), sphere_bytes(wave, RATE, task.speaker.name))
        labels = [(lead + round(RATE * start), lead + round(RATE * stop), name) for start, stop, name in phones]
        first, last = labels[0][0], labels[-1][1]
        labels = [(0, first, SILENCE), *(row for row in labels if row[0] < row[1]), (last, len(wave), SILENCE)]
        _write(path.with_suffix(".PHN"), phn_text(labels).encode())
        _write(path.with_suffix(".TXT"), f"0 {len(wave)} {text}\n".encode())
        starts = [lead + round(RATE * sample / said.rate) for sample, _ in said.words] + [last]
        words = [(a, b, word.lower()) for a, b, (_, word) in zip(starts, starts[1:], said.words, strict=False)]
        _write(path.with_suffix(".WRD"), phn_text(words).encode())


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def record(said: Said, speaker: Speaker, generator: torch.Generator) -> tuple[np.ndarray, int]:
    """16-bit samples at 16 kHz with silence around them and noise, and the sample that speech begins at."""
    lead, tail = (int(RATE * seconds) for seconds in (0.1 + 0.15 * torch.rand(2, generator=generator)).tolist())
    edge = said.wave.new_zeros(said.rate // 4)  # lets the resampled sound ring out
    padded = torch.cat([edge, said.wave, edge])
    padded = torch.cat([padded, padded.new_zeros(-len(padded) % said.rate)])  # whole seconds: quick to transform
    speech = resample(padded, said.rate, RATE)
    n = round(RATE * len(said.wave) / said.rate)
    start = RATE // 4 - lead
    wave = speech[start : start + lead + n + tail]
    wave = wave * (speaker.gain / wave.abs().max().clamp(min=1e-6))
    loudness = wave[lead : lead + n].square().mean().sqrt()
    wave = wave + noise(len(wave), generator) * loudness * 10 ** (-speaker.noise_db / 20)
    return (32768 * wave).round().clamp(-32768, 32767).numpy().astype("<i2"), lead


def noise(n: int, generator: torch.Generator) -> Float[Tensor, " sample"]:
    """Noise of a room: standard deviation 1, less of it at high frequencies."""
    white = torch.randn(n, generator=generator)
    smooth = torch.nn.functional.conv1d(white[None, None], torch.full((1, 1, 9), 1 / 9), padding="same")[0, 0]
    mixed = 0.3 * white + smooth
    return mixed / mixed.std()


def phones_in(said: Said, rhotic: bool) -> Phones:
    """TIMIT's phones of a sentence, without the silence before and after.

    A stop is marked where its burst begins, or its murmur if it is voiced: silence before it is its closure, and so is
    the murmur.
    """
    quiet = _quiet(said)
    ends = [sample / said.rate for sample, _ in said.phonemes[1:]] + [len(said.wave) / said.rate]
    rows: Phones = []
    for (sample, phoneme), stop in zip(said.phonemes, ends, strict=True):
        start = sample / said.rate
        if phoneme == ";" or stop <= start:  # a palatal colour, or nothing
            if rows and stop > start:
                rows[-1] = (rows[-1][0], stop, rows[-1][2])
            continue
        names = phones_of(phoneme, rhotic)
        closure = CLOSURES.get(names[0])
        if rows and names[0] != "pau":
            begins = max(_silent_from(quiet, start), rows[-1][0] + BLOCK)
            if rows[-1][2] == "pau":  # a pause keeps its silence, but for a closure's share
                begins = max(begins, start - LONGEST_CLOSURE) if closure else start
            silence = closure or (None if names[0] == "q" else "epi")
            if begins < start and (silence != "epi" or start - begins >= SHORTEST):
                rows[-1] = (rows[-1][0], begins, rows[-1][2])
                rows += [(begins, start, silence)] if silence else []
                start = start if silence else begins
        if names[0] in VOICED:
            burst = _burst(said, start, stop)
            if burst > start:
                if rows and rows[-1][2] == closure:
                    rows[-1] = (rows[-1][0], burst, rows[-1][2])
                else:
                    rows.append((start, burst, CLOSURES[names[0]]))
                start = burst
        if rows and rows[-1][2] == names[0] == "pau":
            rows[-1] = (rows[-1][0], stop, "pau")
            continue
        middle = start + SPLIT * (stop - start) if len(names) == 2 else stop
        rows.append((start, middle, names[0]))
        if len(names) == 2:
            rows.append((middle, stop, names[1]))
    while rows and rows[-1][2] in ("pau", "epi"):
        rows.pop()
    while rows and rows[0][2] in ("pau", "epi"):
        rows.pop(0)
    if not rows:
        raise ValueError("espeak-ng said nothing; reinstall 'lsnn[speech]'")
    return rows


def _quiet(said: Said) -> np.ndarray:
    """Whether each block of 2 ms is silent."""
    size = round(BLOCK * said.rate)
    blocks = said.wave[: len(said.wave) // size * size].reshape(-1, size).abs().amax(dim=1)
    return (blocks < QUIET * said.wave.abs().max()).numpy()


def _silent_from(quiet: np.ndarray, moment: float) -> float:
    """Where the silence begins that lasts until a moment, s; the moment itself if there is none."""
    block = min(int(moment / BLOCK), len(quiet))
    k = block
    while k > 0 and quiet[k - 1]:
        k -= 1
    return moment if k == block else k * BLOCK


def _burst(said: Said, start: float, stop: float) -> float:
    """Where a stop's murmur ends and its burst begins: high frequencies rise to their peak from below a quarter, s."""
    size = round(BLOCK * said.rate)
    part = said.wave[int(start * said.rate) : int(stop * said.rate)]
    if len(part) < 4 * size:
        return start
    sharp = part.diff(n=2)
    blocks = sharp[: len(sharp) // size * size].reshape(-1, size).square().mean(dim=1)
    first = int(blocks.argmax())
    while first > 0 and blocks[first - 1] >= 0.25 * blocks.max():
        first -= 1
    return start + first * BLOCK if first >= 4 else start


def _readme(size: str, seed: int, tasks: Sequence[Task]) -> str:
    lines = [
        "Synthetic speech in the layout of TIMIT, made by lsnn with espeak-ng; free of any rights of lsnn's authors.",
        "Numbers on it are not numbers on TIMIT.",
        "",
        f"size {size}, seed {seed}; TRAIN, DEV and TEST share neither speakers nor voices nor sentences.",
        "",
        "speaker  split  region  accent                 voice          words/min  pitch  range  noise",
    ]
    for task in tasks:
        name, region, voice, _, noise_db = task.speaker
        where = task.folder.parts[-3]
        lines.append(
            f"{name:8} {where:6} DR{region}     {voice.accent:22} {voice.variant:14} {voice.rate:9} {voice.pitch:6} "
            f"{voice.range:6}  -{noise_db:.0f} dB"
        )
    return "\n".join(lines) + "\n"
