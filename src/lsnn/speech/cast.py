"""Who speaks in the corpus that is made here: voices of espeak-ng, shared out among the splits."""

import random
from typing import NamedTuple

from lsnn.speech.espeak import ACCENTS, Voice

WOMEN = (
    "Andrea Annie anika aunty belinda f1 grandma linda steph steph2 steph3".split(),
    {"validation": ("anika", "grandma"), "test": ("aunty", "belinda")},
)
MEN = (
    "Alex Andy Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Mario Michael Mike Nguyen Reed Storm adam antonio "
    "benjamin boris david ed edward grandpa gustave ian iven iven2 iven4 john kaukovalta m1 m3 m4 m5 m6 m7 m8 marcelo "
    "max michel miguel mike2 norbert pablo paul pedro quincy rob robert shelby travis zac".split(),
    {"validation": ("m4", "boris", "max", "quincy", "david"), "test": ("m6", "Lee", "john", "zac", "rob", "robert")},
)
"""variants of espeak-ng's voices that sound like people, have no echo, which would fill the closures of stops, and
sound the same every time, which breathy ones do not; and those of them that are kept for two of the splits"""
SPLITS = ("train", "validation", "test")
WOMEN_SHARE = 0.33
"""TIMIT has 30 women in a hundred speakers"""


class Speaker(NamedTuple):
    """One speaker of the corpus."""

    name: str
    """as TIMIT writes them: sex, three letters, a digit"""
    region: int
    """1 ... 8, an accent each"""
    voice: Voice
    gain: float
    """peak of the recording"""
    noise_db: float
    """level of the noise below the speech, dB"""


def variants(split: str, women: bool) -> list[str]:
    """The voices a split may use: no two splits share one."""
    everyone, kept = WOMEN if women else MEN
    if split != "train":
        return list(kept[split])
    away = {name for names in kept.values() for name in names}
    return [name for name in everyone if name not in away]


def speakers(counts: dict[str, int], seed: int) -> dict[str, list[Speaker]]:
    """So many speakers for each split, the same for the same seed; regions and sexes are spread evenly."""
    taken: set[str] = set()
    cast = {}
    for split in SPLITS:
        draw = random.Random(f"speakers/{seed}/{split}")
        pools: dict[bool, list[str]] = {True: [], False: []}
        cast[split] = []
        for k in range(counts[split]):
            woman = int((k + 1) * WOMEN_SHARE) > int(k * WOMEN_SHARE)
            if not pools[woman]:
                pools[woman] = variants(split, woman)
                draw.shuffle(pools[woman])
            region = k % len(ACCENTS)
            voice = Voice(
                accent=list(ACCENTS)[region],
                variant=pools[woman].pop(),
                rate=draw.randint(145, 195),
                pitch=draw.randint(35, 65),
                range=draw.randint(35, 65),
            )
            name = _name(woman, taken, draw)
            cast[split].append(Speaker(name, region + 1, voice, draw.uniform(0.15, 0.6), draw.uniform(30, 45)))
    return cast


def _name(woman: bool, taken: set[str], draw: random.Random) -> str:
    """A name that none of TIMIT's speakers has: theirs end in a digit up to 9, and have no Q in second place."""
    while True:
        name = ("F" if woman else "M") + "Q" + "".join(draw.choice("ABCDEFGHIJKLMNOPRSTUVWXYZ") for _ in range(2)) + "0"
        if name not in taken:
            taken.add(name)
            return name
