"""The paper's second family of functions: sines."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator

from lsnn.tasks.regression.family import Functions
from lsnn.tasks.regression.task import Regression


@dataclass(frozen=True)
class Sines(Regression):
    """y = A sin(x + phi): amplitude A from 0.1 to 5, phase phi from 0 to pi, x from -5 to 5, all uniform.

    Source: Bellec et al. 2018, figure 2I and supplement, recalled with confidence.
    """

    name: ClassVar[str] = "sines"
    n_x: ClassVar[int] = 1
    x_range: ClassVar[tuple[float, float]] = (-5.0, 5.0)
    y_range: ClassVar[tuple[float, float]] = (-5.0, 5.0)

    def draw(self, n: int, generator: Generator) -> Functions:
        """n random sines."""
        amplitude = 0.1 + 4.9 * torch.rand(n, generator=generator)
        phase = math.pi * torch.rand(n, generator=generator)
        return lambda x: amplitude * torch.sin(x[..., 0] + phase)
