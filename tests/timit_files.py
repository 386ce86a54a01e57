"""A tiny corpus in TIMIT's exact layout, with headers written byte by byte, and experiments on it."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from lsnn import Cells
from lsnn.experiments import Experiment, Spiking
from lsnn.speech.features import Features
from lsnn.tasks import Timit

PHONES = {"h#": 0.0, "aa": 700.0, "iy": 2300.0, "s": 5000.0, "tcl": 0.0, "m": 250.0}
"""a few phones and the pitch they have here, Hz"""
SPEAKERS = {
    "TRAIN/DR1": ("FCJF0", "MCPM0", "FVFB0"),
    "TEST/DR1": ("FAKS0", "MDAB0", "FELC0", "FJEM0", "MSTK0"),  # development, core, core, development, neither
}
SENTENCES = ("SA1", "SI1027", "SX37", "SX127")


def sphere(samples: np.ndarray, rate: int = 16_000, order: str = "01", count: int | None = None) -> bytes:
    """A file as TIMIT's are."""
    lines = [
        "NIST_1A", "   1024", "database_id -s5 TIMIT", "database_version -s3 1.0", "utterance_id -s8 cjf0_sa1",
        "channel_count -i 1", f"sample_count -i {len(samples) if count is None else count}", f"sample_rate -i {rate}",
        f"sample_min -i {samples.min()}", f"sample_max -i {samples.max()}", "sample_n_bytes -i 2",
        f"sample_byte_format -s2 {order}", "sample_sig_bits -i 16", "end_head", "",
    ]  # fmt: skip
    data = samples.astype("<i2" if order == "01" else ">i2").tobytes()
    return "\n".join(lines).encode().ljust(1024) + data


def utterance(draw: np.random.Generator, n_phones: int) -> tuple[np.ndarray, str]:
    """Samples and the text of their .PHN."""
    names = ["h#", *draw.choice(list(PHONES)[1:], n_phones), "h#"]
    at, parts, lines = 0, [], []
    for name in names:
        n = int(draw.integers(900, 1800))
        tone = 0.0 if PHONES[name] == 0 else 6000 * np.sin(2 * np.pi * PHONES[name] * np.arange(n) / 16_000)
        parts.append(tone + draw.normal(0, 30, n))
        lines.append(f"{at} {at + n} {name}\n")
        at += n
    return np.concatenate(parts).round().astype(np.int16), "".join(lines)


def write_timit(root: Path) -> Path:
    """The tree as the LDC ships it: eight speakers, SA sentences among theirs."""
    draw = np.random.default_rng(0)
    for region, names in SPEAKERS.items():
        for name in names:
            folder = root / region / name
            folder.mkdir(parents=True)
            for k, sentence in enumerate(SENTENCES):
                samples, labels = utterance(draw, 2 + 2 * k)
                (folder / f"{sentence}.WAV").write_bytes(sphere(samples))
                (folder / f"{sentence}.PHN").write_text(labels)
                (folder / f"{sentence}.WRD").write_text(f"0 {len(samples)} word\n")
                (folder / f"{sentence}.TXT").write_text(f"0 {len(samples)} Word.\n")
    return root


def timit_experiment(root: Path, **changes: object) -> Experiment:
    """An LSNN of ten neurons with DEEP R; a step takes milliseconds."""
    task = Timit(data=root, features=Features(n_mfcc=5, n_mels=12), steps_per_frame=2, cache=None)
    cells = Cells(n_regular=6, n_adaptive=4, tau_a=50.0, n_ref=2)
    experiment = Experiment(
        task=task,
        network=Spiking(cells, connectivity=0.4, max_delay=3),
        batch_size=4,
        epochs=4,
        log_every=1,
        checkpoint_every=2,
        lr=0.02,
        l1=0.2,
        rate_cost=0.01,
    )
    return replace(experiment, **changes)
