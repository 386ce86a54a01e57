"""Speech by espeak-ng, with the place of every phoneme, and what its phonemes are among TIMIT's.

The library comes with the optional package `espeakng-loader`, runs in a process of its own, and is under the GPL 3;
neither it nor its data is part of lsnn.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

ACCENTS = {
    "gmw/en-US": True, "gmw/en-US-nyc": True, "gmw/en": False, "gmw/en-GB-x-rp": False, "gmw/en-GB-scotland": False,
    "gmw/en-GB-x-gbclan": False, "gmw/en-GB-x-gbcwmd": False, "gmw/en-029": False,
}  # fmt: skip
"""dialect regions DR1 ... DR8, and whether a vowel's phoneme has an r in it that is heard"""

VOLUME = 55
"""of 100; some voices overdrive beyond it"""


class Voice(NamedTuple):
    """Who speaks."""

    accent: str
    variant: str
    rate: int
    """words per minute"""
    pitch: int
    range: int


class Said(NamedTuple):
    """A sentence as espeak-ng says it."""

    wave: Float[Tensor, " sample"]
    rate: int
    """samples per second"""
    phonemes: list[tuple[int, str]]
    """first sample, and espeak-ng's name without marks of stress"""
    words: list[tuple[int, str]]


MAPPED = {
    "p": "p", "b": "b", "t": "t", "d": "d", "k": "k", "g": "g", "t[": "t", "t#": "dx", "?": "q",
    "tS": "ch", "dZ": "jh", "f": "f", "v": "v", "T": "th", "D": "dh", "s": "s", "z": "z", "S": "sh", "Z": "zh",
    "h": "hh", "x": "hh", "m": "m", "n": "n", "N": "ng", "n-": "en", "m-": "em", "@L": "el",
    "l": "l", "r": "r", "r-": "r", "w": "w", "w#": "w", "j": "y",
    "i:": "iy", "i": "iy", "I": "ih", "I#": "ix", "I2": "ix", "E": "eh", "e": "eh", "eI": "ey", "a": "ae", "aa": "ae",
    "A:": "aa", "0": "aa", "V": "ah", "O": "ao", "O2": "ao", "O:": "ao", "oU": "ow", "U": "uh", "u:": "uw", "u": "uw",
    "aI": "ay", "aI2": "ay", "aU": "aw", "OI": "oy", "3:": "er", "IR": "er", "VR": "er", "3": "axr",
    "@": "ax", "@-": "ax", "@2": "ax", "@5": "ax", "a#": "ax", "_": "pau", "_:": "pau",
}  # fmt: skip
"""TIMIT's phone for a phoneme of espeak-ng; stops and affricates are given their closures besides"""

GLIDING = {
    "A@": ("aa", "r"), "O@": ("ao", "r"), "o@": ("ao", "r"), "e@": ("eh", "r"), "U@": ("uh", "r"), "i@3": ("ih", "r"),
    "i@": ("ih", "ax"), "aI3": ("ay", "axr"), "aI@": ("ay", "ax"), "aU@": ("aw", "ax"),
}  # fmt: skip
"""phonemes that are two phones; without a sounding r, its place is ax after e, u and i, and nothing after a and o"""
SPLIT = 0.6
"""share of such a phoneme that is the first of its phones"""
BROAD = {"0": "ao"}
"""phones of the accents without a sounding r, where they differ"""
CLOSURES = {
    "p": "pcl", "t": "tcl", "k": "kcl", "b": "bcl", "d": "dcl", "g": "gcl", "ch": "tcl", "jh": "dcl",
}  # fmt: skip


def phones_of(phoneme: str, rhotic: bool) -> tuple[str, ...]:
    """TIMIT's phones for a phoneme, one or two.  ValueError for one that is not known."""
    if phoneme in GLIDING:
        first, second = GLIDING[phoneme]
        if rhotic or second != "r":
            return first, second
        return (first,) if first in ("aa", "ao") else (first, "ax")
    if phoneme in MAPPED:
        return (MAPPED[phoneme] if rhotic else BROAD.get(phoneme, MAPPED[phoneme]),)
    raise ValueError(
        f"espeak-ng speaks a phoneme {phoneme!r} that no phone of TIMIT stands for; use espeakng-loader 0.2"
    )


def library() -> tuple[str, str]:
    """Paths of espeak-ng's library and data.  ValueError where the package is not installed."""
    try:
        import espeakng_loader
    except ImportError:
        raise ValueError("speech needs espeak-ng; install it with: pip install 'lsnn[speech]'") from None
    return str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path())


def say(voice: Voice, texts: list[str]) -> list[Said]:
    """Speak sentences with one voice.  The same voice and texts give the same samples, always."""
    path, data = library()
    job = {"library": path, "data": data, "texts": texts, "voice": f"{voice.accent}+{voice.variant}"}
    job |= {"rate": voice.rate, "volume": VOLUME, "pitch": voice.pitch, "range": voice.range}
    script = Path(__file__).with_name("espeak_process.py")
    command = [sys.executable, "-I", str(script)]
    done = subprocess.run(command, input=json.dumps(job).encode(), capture_output=True)
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ValueError(
            f"espeak-ng cannot speak as {voice.accent}+{voice.variant}: {reason}; reinstall 'lsnn[speech]'"
        )
    said, at = [], 0
    for text in texts:
        end = done.stdout.index(b"\n", at)
        line = json.loads(done.stdout[at:end])
        at = end + 1 + 2 * line["n_samples"]
        wave = torch.from_numpy(np.frombuffer(done.stdout[end + 1 : at], "<i2").astype(np.float32) / 32768)
        phonemes = [(sample, name.lstrip("',%=|")) for sample, name in line["phonemes"]]
        words = [(sample, text[place - 1 : place - 1 + length]) for sample, place, length in line["words"]]
        said.append(Said(wave, line["rate"], phonemes, words))
    return said
