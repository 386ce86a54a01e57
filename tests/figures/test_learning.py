from itertools import combinations
from typing import Any

import pytest
from matplotlib.colors import to_hex
from matplotlib.transforms import Bbox

from lsnn import figures
from lsnn.figures import Learning, Reference
from tests.figures.data import NOTHING, learned, series


def labels(curves: Learning) -> dict[str, Bbox]:
    """Reference labels of the headline, and where they lie on the page, px."""
    figure = figures.draw_learning(curves)
    figure.draw_without_rendering()
    return {text.get_text(): text.get_window_extent() for text in figure.axes[0].texts}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "paper": [
                Reference(13.0, "a label that goes from one side of the axes to the other"),
                Reference(94.7, "best"),
            ]
        },
        {"paper": [Reference(value, f"{value} %") for value in (94.0, 94.2, 94.7, 98.0)]},
        {"paper": [Reference(5.0, "best"), Reference(5.0, "mean")], "chance": None},
    ],
    ids=["paper", "paper and chance", "four", "equal"],
)
def test_labels_of_close_lines_are_stacked(changes: dict[str, Any]) -> None:
    boxes = list(labels(learned(**changes)).values())
    assert len(boxes) > 1
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_labels_are_in_the_order_of_their_lines() -> None:
    height = {label: box.y0 for label, box in labels(learned()).items()}
    assert sorted(height, key=height.__getitem__) == ["chance: 10 %", "paper: mean 94.2 %", "paper: best 94.7 %"]


def test_label_of_a_lone_line_is_just_above_it() -> None:
    ax = figures.draw_learning(learned(paper=[Reference(40.0, "mean 40 %")])).axes[0]
    (height,) = (text.get_position()[1] for text in ax.texts if text.get_text() == "paper: mean 40 %")
    assert 40 < height < 44


def test_curves_do_not_run_through_labels() -> None:
    for text in figures.draw_learning(learned()).axes[0].texts:
        patch = text.get_bbox_patch()
        assert patch is not None and to_hex(patch.get_facecolor()) == "#ffffff"
        assert text.get_zorder() > 2  # of lines


def test_a_loss_below_zero_is_within_the_axes() -> None:
    loss = figures.draw_learning(learned(train_loss=series(0.4, -0.2, -0.6), validation_loss=NOTHING)).axes[1]
    low, high = loss.get_ylim()
    assert low < -0.6 and high > 0.4


def test_reference_lines_lie_within_the_axes() -> None:
    headline = figures.draw_learning(learned(train=series(1, 2), validation=NOTHING, test=NOTHING)).axes[0]
    assert headline.get_ylim()[1] > 94.7
