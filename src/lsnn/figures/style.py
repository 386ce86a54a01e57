"""How every figure looks: size, colours, settings of matplotlib; and a figure as a file."""

import io
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, ParamSpec

from matplotlib import style
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

SIZE = (10.0, 5.6)
"""inches: a slide of 16:9"""
DPI = 200
SMALL = 11
"""points: the smallest text"""

BLACK, GREY, ORANGE, SKY, GREEN, BLUE, VERMILLION, PINK = (
    "#000000", "#8C8C8C", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
)  # fmt: skip  # Okabe and Ito: told apart with every common colour vision
COLOURS = {
    "regular": BLACK, "adaptive": GREEN,
    "input": SKY, "recurrent": PINK, "readout": ORANGE,
    "excitatory": VERMILLION, "inhibitory": BLUE,
}  # fmt: skip
SIGNS = LinearSegmentedColormap.from_list("signs", [BLUE, "#FFFFFF", VERMILLION])
DASHES = (0, (4, 3))
"""lines of what is aimed at or compared with"""

STYLE = {
    "font.size": 12, "axes.labelsize": 12, "axes.titlesize": 12, "xtick.labelsize": SMALL, "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL, "legend.frameon": False, "legend.handlelength": 1.4,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8, "axes.titlelocation": "left",
    "lines.linewidth": 1.5, "lines.solid_capstyle": "round", "pdf.fonttype": 42,
}  # fmt: skip

Array = NDArray[Any]
P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw under the style above, whatever the user's matplotlibrc says, and leave no trace of it."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return drawn


def render(figure: Figure, suffix: Literal["png", "pdf"]) -> bytes:
    """The figure as a file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}}[suffix]
    with style.context(["default", STYLE]):
        figure.savefig(buffer, format=suffix, dpi=DPI, metadata=metadata)
    return buffer.getvalue()
