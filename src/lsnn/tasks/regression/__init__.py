"""Families of functions to learn within an episode, and what a network has learned of one."""

from lsnn.tasks.regression.family import Examples as Examples
from lsnn.tasks.regression.family import Functions as Functions
from lsnn.tasks.regression.sines import Sines as Sines
from lsnn.tasks.regression.target_networks import TargetNetworks as TargetNetworks
from lsnn.tasks.regression.task import Regression as Regression
