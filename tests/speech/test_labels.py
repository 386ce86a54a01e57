"""Labels: .PHN and TextGrid say the same about every frame, and what cannot be right is refused."""

from pathlib import Path

import pytest
import torch

from lsnn.speech.features import frame_centres
from lsnn.speech.labels import NO_LABEL, Segment, frame_labels, read_labels
from lsnn.speech.phones import CLASSES, FOLDED_PHONES, FOLDING, INDEX, PHONES, phone_named
from tests.helpers import error

ROWS = [(0, 1600, "h#"), (1600, 4000, "aa"), (4000, 7200, "s")]
PHN = "".join(f"{a} {b} {name}\n" for a, b, name in ROWS)
LONG = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 0.45
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 0.45
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 0.45
            text = "say ""ass"""
    item [2]:
        class = "IntervalTier"
        name = "Phones"
        xmin = 0
        xmax = 0.45
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.1
            text = ""
        intervals [2]:
            xmin = 0.1
            xmax = 0.25
            text = "AA1"
        intervals [3]:
            xmin = 0.25
            xmax = 0.45
            text = "S"
'''
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
0.45
<exists>
1
"IntervalTier"
"phones"
0
0.45
3
0
0.1
"sil"
0.1
0.25
"aa"
0.25
0.45
"s"
"""
SEGMENTS = [Segment(a, b, INDEX[name]) for a, b, name in ROWS]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.PHN", PHN),
        ("a.phn", PHN.replace("\n", "\r\n").upper()),
        ("a.PHN", PHN.rstrip("\n") + "\n\n"),
        ("a.TextGrid", LONG),
        ("a.textgrid", LONG.encode("utf-16")),
        ("a.TextGrid", b"\xef\xbb\xbf" + SHORT.replace("\n", "\r\n").encode()),
        ("a.TextGrid", SHORT),
    ],
)
def test_every_way_of_writing_says_the_same(tmp_path, name: str, content: str | bytes):
    assert read_labels(written(tmp_path, name, content), 7200) == SEGMENTS


def test_a_frame_has_the_phone_at_its_centre():
    centres = frame_centres(43)
    labels = frame_labels(SEGMENTS, centres)
    expected = [next(INDEX[name] for a, b, name in ROWS if a <= centre < b) for centre in centres.tolist()]
    assert labels.tolist() == expected


def test_frames_without_a_label_are_told_apart():
    labels = frame_labels([SEGMENTS[0], SEGMENTS[2]], torch.tensor([1599, 1600, 3999, 4000, 7199, 7200]))
    assert labels.tolist() == [INDEX["h#"], NO_LABEL, NO_LABEL, INDEX["s"], INDEX["s"], NO_LABEL]


@pytest.mark.parametrize(
    ("content", "byte", "words"),
    [
        ("", 0, "no labels"),
        (PHN.replace("1600 4000", "1500 4000"), 10, "starts|ends at 1600"),
        (PHN.replace("4000 aa", "1600 aa"), 10, "from sample 1600 to 1600"),
        (PHN.replace(" aa", " aaa"), 10, "unknown phone 'aaa'"),
        (PHN.replace(" aa", " \xe4"), 10, "unknown phone"),
        (PHN.replace("7200", "9200"), 23, "up to sample 9200 of a recording of 7200"),
        (PHN.replace("7200 s", "7200s"), 23, "no START STOP PHONE"),
        (PHN.replace("1600 4000", "-1600 4000"), 10, "no START STOP PHONE"),
    ],
)
def test_labels_that_cannot_be_right_name_their_byte(tmp_path, content: str, byte: int, words: str):
    path = written(tmp_path, "a.PHN", content)
    message = error(read_labels, path, 7200)
    assert message.startswith(f"{path}, byte {byte}: ")
    assert any(word in message for word in words.split("|"))


@pytest.mark.parametrize(
    "content",
    [
        LONG[:300],
        LONG.replace("TextGrid", "Pitch"),
        LONG.replace("Phones", "words2"),
        LONG.replace("size = 3", "size = 3e9"),
        LONG.replace("0.25", "1e999"),
        SHORT.replace("0.1\n0.25", "0.3\n0.25"),
        b"\xff\xfe\x00",
        b"\x80\x81",
    ],
)
def test_a_damaged_textgrid_names_itself(tmp_path, content: str | bytes):
    path = written(tmp_path, "a.TextGrid", content)
    assert error(read_labels, path, 7200).startswith(f"{path}, byte ")


def test_phones_are_timits_61_in_seven_classes():
    assert len(PHONES) == len(set(PHONES)) == 61
    assert [phone for phones in CLASSES.values() for phone in phones] == list(PHONES)


def test_folding_leads_to_39_classes():
    assert len(FOLDED_PHONES) == 39 and set(FOLDING) == set(range(39))
    folded = {phone: FOLDED_PHONES[place] for phone, place in zip(PHONES, FOLDING, strict=True)}
    pairs = "ao aa|ax ah|ax-h ah|axr er|hv hh|ix ih|el l|em m|en n|nx n|eng ng|zh sh|ux uw|epi sil|h# sil|bcl sil|q sil"
    for pair in pairs.split("|"):
        phone, target = pair.split()
        assert folded[phone] == target
    assert sum(phone == target for phone, target in folded.items()) == 38, "all others are their own class"


def test_names_of_aligners_are_understood():
    assert [phone_named(name) for name in ("AA1", "sil", "", "HH", "ax-h")] == [
        INDEX[name] for name in ("aa", "h#", "h#", "hh", "ax-h")
    ]
    assert phone_named("xx") is None and phone_named("AA3") is None
