"""The tool that asks how far back a frame's phone is told."""

from pathlib import Path

import pytest
import torch

from lsnn.speech import frames
from lsnn.speech.features import Features


@pytest.fixture
def reach(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "tools"))
    import reach

    return reach


def test_the_past_of_a_frame_ends_where_its_utterance_begins(timit: Path, reach):
    spoken = frames.load(timit, Features(), None).train
    wide = reach.with_past(spoken, 2).reshape(len(spoken.features), 3, 39)
    assert wide[:, 0].equal(spoken.features)
    first, count = int(spoken.first[1]), int(spoken.count[1])
    assert not wide[first, 1:].any() and not wide[first + 1, 2].any()
    assert wide[first + 1, 1].equal(spoken.features[first])
    assert wide[first + 2 : first + count, 2].equal(spoken.features[first : first + count - 2])


def test_what_follows_the_phone_by_a_frame_is_told_by_the_past_alone(reach):
    phones = torch.randint(61, (4000,), generator=torch.Generator().manual_seed(0))
    heard = torch.nn.functional.one_hot(phones.roll(-1), 61).float()  # each frame shows the next one's phone
    split = frames.Frames(heard, phones, torch.tensor([0]), torch.tensor([4000]), ())
    spoken = frames.Spoken(split, split, split, frames.Normalisation(torch.zeros(61), torch.ones(61)))
    assert reach.errors(spoken, 0, 128, 15)[1] > 0.9
    assert reach.errors(spoken, 1, 128, 15)[1] < 0.02
