"""TIMIT's 61 phones, their classes, and the 39 that results are often folded to."""

PHONES = (
    "b d g p t k dx q bcl dcl gcl pcl tcl kcl "
    "jh ch s sh z zh f th v dh "
    "m n ng em en eng nx "
    "l r w y hh hv el "
    "iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h "
    "pau epi h#"
).split()
"""the 61 phones, by class; a phone's place in this list is its readout"""

INDEX = {phone: index for index, phone in enumerate(PHONES)}

CLASSES = {
    "stops": "b d g p t k dx q".split(),
    "closures": "bcl dcl gcl pcl tcl kcl".split(),
    "fricatives": "jh ch s sh z zh f th v dh".split(),
    "nasals": "m n ng em en eng nx".split(),
    "glides": "l r w y hh hv el".split(),
    "vowels": "iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h".split(),
    "silence": "pau epi h#".split(),
}
"""phones by manner, affricates with the fricatives, as TIMIT's own documentation lists them"""

SILENCE = "h#"

FOLDED = {
    "ao": "aa", "ax": "ah", "ax-h": "ah", "axr": "er", "hv": "hh", "ix": "ih", "el": "l", "em": "m", "en": "n",
    "nx": "n", "eng": "ng", "zh": "sh", "ux": "uw", "pcl": "sil", "tcl": "sil", "kcl": "sil", "bcl": "sil",
    "dcl": "sil", "gcl": "sil", "h#": "sil", "pau": "sil", "epi": "sil", "q": "sil",
}  # fmt: skip
"""phones that count as another (Lee and Hon 1989); they leave q out, which a frame's label cannot be: here it is sil"""

FOLDED_PHONES = tuple(dict.fromkeys(FOLDED.get(phone, phone) for phone in PHONES))
"""the 39 classes of the folded error"""

FOLDING = tuple(FOLDED_PHONES.index(FOLDED.get(phone, phone)) for phone in PHONES)
"""folded class of each of the 61 phones"""

OTHER_NAMES = {"sil": "h#", "sp": "h#", "spn": "h#", "": "h#", "hh#": "h#", "axh": "ax-h"}
"""how aligners and editors call what TIMIT calls otherwise"""


def phone_named(name: str) -> int | None:
    """Place of a phone in PHONES, whatever its case; ARPAbet's stress digits are dropped.  None for an unknown one."""
    name = name.strip().lower()
    if name not in INDEX:
        name = name.rstrip("012")
    return INDEX.get(OTHER_NAMES.get(name, name))
