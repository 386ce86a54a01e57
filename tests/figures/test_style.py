import matplotlib
import pytest
from matplotlib import style
from matplotlib.text import Text

from lsnn import figures
from lsnn.figures import speech
from lsnn.figures.style import STYLE
from tests.figures.data import DRAWN, PHONES


@pytest.mark.parametrize("name", DRAWN)
def test_figure_is_legible_on_a_slide(name: str) -> None:
    figure = DRAWN[name]()
    phones = PHONES if name.startswith("speech") else ()  # a tall figure, with smaller names of phones
    assert tuple(figure.get_size_inches()) == (speech.TALL if phones else (10.0, 5.6))
    with style.context(["default", STYLE]):  # as figures.render does: tick labels come with drawing
        figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    assert len(texts) > 5
    assert min(text.get_fontsize() for text in texts if text.get_text() not in phones) >= 11


def test_settings_of_the_user_neither_show_nor_change() -> None:
    plain = figures.render(DRAWN["rates"](), "png")
    with matplotlib.rc_context({"font.size": 4, "axes.spines.top": True, "savefig.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        assert figures.render(DRAWN["rates"](), "png") == plain
        assert dict(matplotlib.rcParams) == before


def test_same_figure_gives_same_pdf() -> None:
    assert figures.render(DRAWN["rates"](), "pdf") == figures.render(DRAWN["rates"](), "pdf")
