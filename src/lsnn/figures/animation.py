"""One episode as a moving picture: the agent in its arena, and what its neurons do meanwhile."""

import io
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from PIL import Image

from lsnn.figures.arena import RETURN, SEARCH, draw_arena
from lsnn.figures.foraging import Episode
from lsnn.figures.oscilloscope import Draw, draw_goal_lines, draw_sweep, rows_of
from lsnn.figures.style import BLACK, GREY, ORANGE, SIZE, STYLE

DPI = 96
"""960 x 537 pixels"""
FRAMES = 240
"""at most"""
FRAME_MS = 50
"""time a frame is shown"""
TRAIL = 60
"""steps of the way that are drawn strongly"""
COLOURS_USED = 128
"""of the picture's palette: more make the file larger"""


def animate(episode: Episode) -> bytes:
    """The episode as a GIF that repeats."""
    steps = np.unique(np.linspace(1, len(episode.inputs), FRAMES).astype(int)).tolist()
    with style.context(["default", STYLE]):
        middle = next(_frames(episode, steps[len(steps) // 2 :][:1]))
        palette = middle.quantize(COLOURS_USED, Image.Quantize.FASTOCTREE)
        small = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in _frames(episode, steps))
        file, shown = io.BytesIO(), [FRAME_MS] * (len(steps) - 1) + [2000]
        next(small).save(file, "GIF", save_all=True, append_images=small, duration=shown, loop=0, optimize=True)
    return file.getvalue()


def _frames(episode: Episode, steps: Sequence[int]) -> Iterator[Image.Image]:
    """Pictures after so many steps each; what does not move is drawn once."""
    figure = Figure(figsize=SIZE, dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    artists, draws = _scene(figure, episode)
    for artist in artists:
        artist.set_animated(True)
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)  # type: ignore[attr-defined]
    for step in steps:
        canvas.restore_region(still)  # type: ignore[attr-defined]
        for draw in draws:
            draw(step)
        for artist in artists:
            figure.draw_artist(artist)
        yield Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def _scene(figure: Figure, episode: Episode) -> tuple[list[Artist], list[Draw]]:
    """Everything in its place: artists that change, in drawing order, and what makes them."""
    arena = figure.add_axes((0.015, 0.06, 0.45, 0.80))
    draw_arena(arena, episode.way)
    parts = [_way(arena, episode), _agent(arena, episode), _score(figure, episode)]
    rows = list(rows_of(episode))
    grid = figure.add_gridspec(
        len(rows), 1, left=0.6, right=0.985, top=0.95, bottom=0.1, height_ratios=[row.height for row in rows]
    )
    axes = [figure.add_subplot(grid[index]) for index in range(len(rows))]
    for ax, row in zip(axes, rows, strict=True):
        parts.append(draw_sweep(ax, row))
    parts += [draw_goal_lines(ax, episode) for ax in axes]
    below = axes[-1].get_xaxis_transform()
    axes[-1].plot([0, 100], [-0.16, -0.16], color=BLACK, linewidth=2, clip_on=False, transform=below)
    axes[-1].text(110, -0.16, "100 ms", va="center", transform=below)
    return [artist for artists, _ in parts for artist in artists], [draw for _, draw in parts]


def _way(ax: Axes, episode: Episode) -> tuple[list[Artist], Draw]:
    """Ways so far, pale, and the latest steps."""
    position, arrival = episode.way.position, episode.way.arrival
    segments = np.stack([position, arrival], 1)  # (time, end, 2)
    past = LineCollection([], colors=GREY, linewidths=0.8, alpha=0.5, zorder=2)
    latest = LineCollection([], linewidths=2.4, capstyle="butt", zorder=3)
    ax.add_collection(past, autolim=False)
    ax.add_collection(latest, autolim=False)
    found = np.cumsum(episode.way.reached) - episode.way.reached

    def draw(step: int) -> None:
        since = max(step - TRAIL, 0)
        past.set_segments(list(segments[:since]))
        latest.set_segments(list(segments[since:step]))
        strength = np.linspace(0.15, 1, step - since)
        pairs = zip(found[since:step], strength, strict=True)
        latest.set_colors([to_rgba(RETURN if seen else SEARCH, alpha) for seen, alpha in pairs])

    return [past, latest], draw


def _agent(ax: Axes, episode: Episode) -> tuple[list[Artist], Draw]:
    """Where it is; a ring spreads where it reached the goal."""
    way, steps = episode.way, np.flatnonzero(episode.way.reached)
    (agent,) = ax.plot([], [], "o", color=BLACK, markersize=8, markeredgecolor="white", zorder=5)
    ring = Circle((0, 0), 0, fill=False, edgecolor=ORANGE, linewidth=2.5, zorder=4)
    ax.add_patch(ring)
    lasts = 3 * max(len(way.reached) // FRAMES, 1)  # steps

    def draw(step: int) -> None:
        agent.set_data(way.arrival[step - 1 : step].T)
        agent.set_color(RETURN if way.reached[:step].any() else SEARCH)
        since = step - 1 - steps[steps < step]
        ring.set_visible(bool(len(since)) and since[-1] <= lasts)
        if ring.get_visible():
            x, y = way.arrival[steps[steps < step][-1]]
            ring.set_center((float(x), float(y)))
            ring.set_radius(0.06 + 0.14 * float(since[-1]) / lasts)

    return [ring, agent], draw


def _score(figure: Figure, episode: Episode) -> tuple[list[Artist], Draw]:
    reached = episode.way.reached.cumsum()
    goals = figure.text(0.24, 0.92, "", ha="center", fontsize=17)
    time = figure.text(0.24, 0.03, "", ha="center", color=GREY)

    def draw(step: int) -> None:
        n = int(reached[step - 1])
        goals.set_text(f"{n} goal{'s' * (n != 1)}" if n else "searching")
        time.set_text(f"{step:,} ms")

    return [goals, time], draw
