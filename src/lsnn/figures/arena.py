"""The disc of the navigation task, and ways in it."""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Circle

from lsnn.figures.style import BLUE, GREY, ORANGE, SMALL, Array
from lsnn.tasks.navigation.searches import stretches

FLOOR = "#EEF3F7"
MOST = 8
"""searches of an episode that are drawn: more would hide each other"""
SEARCH, RETURN = GREY, BLUE
"""colours of the way to the first goal, and of those back to it"""


class Way(NamedTuple):
    """Where an agent was in an episode, and what it looked for; lengths in radii of the disc."""

    position: Array
    """(time, 2), at the beginning of each step"""
    arrival: Array
    """(time, 2), at its end, before a restart"""
    reached: Array
    """(time), whether it ended in the goal"""
    goal: Array
    """(2), its centre"""
    goal_radius: float

    def stretches(self) -> list[Array]:
        """Points from each start to the goal, (k, 2); the last stretch may end anywhere."""
        return stretches(self.position, self.arrival, self.reached)


def draw_arena(ax: Axes, way: Way) -> None:
    """The disc from above, with the goal."""
    floor = Circle((0, 0), 1, facecolor=FLOOR, edgecolor=GREY, linewidth=0.8, zorder=0)
    ax.add_patch(floor)
    goal = Circle((way.goal[0], way.goal[1]), way.goal_radius, facecolor=ORANGE, alpha=0.45, linewidth=0, zorder=1)
    ax.add_patch(goal)
    goal.set_clip_path(floor)
    ax.set_xlim(-1.03, 1.03)
    ax.set_ylim(-1.03, 1.03)
    ax.set_aspect("equal")
    ax.set_axis_off()


def draw_way(ax: Axes, way: Way) -> None:
    """The first searches in their order, each with its number where it starts."""
    for number, points in reversed(list(enumerate(way.stretches()[:MOST], start=1))):
        colour = SEARCH if number == 1 else RETURN
        strength = 1.0 if number == 1 else 1.0 - 0.6 * (number - 2) / (MOST - 2)
        width = 1.4 if len(points) < 600 else 0.7  # a long search crosses itself
        ax.plot(*points.T, color=colour, alpha=strength, linewidth=width, zorder=3)
        start = (float(points[0, 0]), float(points[0, 1]))
        ax.plot(*points[:1].T, "o", color="white", markeredgecolor=colour, markersize=12.5, zorder=4)
        ax.annotate(f"{number}", start, ha="center", va="center_baseline", fontsize=SMALL, zorder=5)


def tell_goals(ax: Axes, way: Way) -> None:
    """How often the goal was reached, below the disc."""
    goals = int(way.reached.sum())
    text = f"{goals} goal{'s' * (goals != 1)} in {len(way.reached):,} ms"
    ax.text(0, -1.12, text, ha="center", va="top", fontsize=SMALL)
