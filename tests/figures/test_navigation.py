import io

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from lsnn import figures
from lsnn.figures import animation
from lsnn.figures.arena import MOST, RETURN, SEARCH
from tests.figures.data import DRAWN, episode, way


def texts(figure: figures.Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def test_ways_tell_goals_and_number_the_searches() -> None:
    found = texts(figures.draw_ways([way(20)], [way(60)]))
    assert {"0 goals in 20 ms", "2 goals in 60 ms"} <= set(found)
    assert found.count("1") == 2 and found.count("3") == 1 and "4" not in found


def test_ways_after_the_first_goal_have_a_colour_of_their_own() -> None:
    (ax,) = figures.draw_ways([], [way(60)]).axes
    ways = [line for line in ax.lines if len(line.get_xydata()) > 1]
    assert {line.get_color(): len(line.get_xydata()) for line in ways[-1:]} == {SEARCH: 26}
    assert [line.get_color() for line in ways[:-1]] == [RETURN] * 2


def test_not_more_searches_are_drawn_than_one_can_tell_apart() -> None:
    found = texts(figures.draw_ways([], [way(200, every=5)]))
    assert f"{MOST}" in found and f"{MOST + 1}" not in found


@pytest.mark.parametrize("row", [0, 1, 2, 3, 4])
def test_every_row_of_an_episode_has_a_line_where_the_goal_was_reached(row: int) -> None:
    ax = figures.draw_episode(episode()).axes[1 + row]
    upright = [line.get_xdata()[0] for line in ax.lines if list(line.get_ydata()) == [0, 1]]
    assert upright == [25, 50]


def test_raster_of_many_neurons_shows_some_and_says_so() -> None:
    found = texts(DRAWN["episode"]())
    assert "60 of 70\nregular" in found and "adaptive\nneurons" in found


def test_goals_of_two_networks_are_told_apart() -> None:
    found = texts(DRAWN["goals"]())
    assert {"own", "other", "circling", "first", "later"} <= set(found)
    assert "own" not in texts(DRAWN["goals alone"]())


def test_animation_has_a_frame_per_step_of_a_short_episode_and_is_small() -> None:
    file = figures.animate(episode(8))
    with Image.open(io.BytesIO(file)) as picture:
        assert picture.n_frames == 8  # type: ignore[attr-defined]
        assert picture.size == (960, 537)
    assert len(file) < 200_000


def test_long_episodes_are_animated_in_so_many_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animation, "FRAMES", 5)
    with Image.open(io.BytesIO(figures.animate(episode(60)))) as picture:
        assert picture.n_frames == 5  # type: ignore[attr-defined]
        first, last = (frame(picture, k) for k in (0, 4))
    assert (first != last).any(axis=2).mean() > 0.01


def frame(picture: Image.Image, k: int) -> np.ndarray:
    picture.seek(k)
    return np.asarray(picture.convert("RGB")).copy()


def test_same_episode_gives_the_same_animation() -> None:
    assert figures.animate(episode(3)) == figures.animate(episode(3))


def test_networks_that_see_and_send_values_are_animated_too() -> None:
    groups = [figures.Group(name, [k]) for k, name in enumerate(("x", "y", "reward", "penalty"))]
    shown = episode(4, spikes=None, thresholds=None, inputs=np.ones((4, 4), np.float32), groups=groups)
    assert len(figures.animate(shown)) > 1000
