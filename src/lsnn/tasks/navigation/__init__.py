"""The water maze: its arenas, agents without a network, and what is told of an agent's searches."""

from lsnn.tasks.navigation.water_maze import Navigation as Navigation
from lsnn.tasks.navigation.world import World as World
