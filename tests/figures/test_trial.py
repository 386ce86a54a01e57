import numpy as np
import pytest
from matplotlib.text import Text

from lsnn import figures
from lsnn.figures.style import COLOURS
from tests.figures.data import trial


def test_raster_has_one_mark_per_spike_in_the_colour_of_its_kind() -> None:
    shown = trial()
    assert shown.spikes is not None and 0.02 < shown.spikes.mean() < 0.1
    figure = figures.draw_trial(shown)
    regular, adaptive = (figure.axes[row].lines[0] for row in (1, 2))
    assert len(regular.get_xdata()) == shown.spikes[:, :12].sum()
    assert len(adaptive.get_xdata()) == shown.spikes[:, 12:].sum()
    assert (regular.get_color(), adaptive.get_color()) == (COLOURS["regular"], COLOURS["adaptive"])


def test_raster_is_kept_as_pixels_in_vector_files() -> None:
    figure = figures.draw_trial(trial())
    assert all(figure.axes[row].lines[0].get_rasterized() for row in (1, 2))


def test_inputs_are_stacked_group_by_group() -> None:
    inputs = np.zeros((200, 9), dtype=np.uint8)
    inputs[10] = 1
    marks = figures.draw_trial(trial(inputs=inputs)).axes[0].lines[-1]
    height = np.asarray(marks.get_ydata())
    assert height[[0, 2, 4, 6]].max() < height[[1, 3, 5, 7]].min() < height[8]


@pytest.mark.parametrize(("answer", "labels"), [(7, {"7 (right)"}), (4, {"7 (target)", "4 (answer)"})])
def test_readout_names_the_answer_and_the_target(answer: int, labels: set[str]) -> None:
    texts = {text.get_text() for text in figures.draw_trial(trial(right=7, answer=answer)).findobj(Text)}
    assert labels == {text for text in texts if text.endswith(("(right)", "(answer)", "(target)"))}
