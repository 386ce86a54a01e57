"""Figures of runs: data in, matplotlib Figure out; drawn nowhere else.  A file has a figure and the data it takes."""

from matplotlib.figure import Figure as Figure

from lsnn.figures.comparison import compare_learning as compare_learning
from lsnn.figures.comparison import compare_test as compare_test
from lsnn.figures.connectivity import draw_connectivity as draw_connectivity
from lsnn.figures.curves import Reference as Reference
from lsnn.figures.curves import Series as Series
from lsnn.figures.in_context import Contradiction as Contradiction
from lsnn.figures.in_context import Models as Models
from lsnn.figures.in_context import draw_contradiction as draw_contradiction
from lsnn.figures.in_context import draw_in_context as draw_in_context
from lsnn.figures.in_context import draw_models as draw_models
from lsnn.figures.learning import Learning as Learning
from lsnn.figures.learning import draw_learning as draw_learning
from lsnn.figures.panels import Panel as Panel
from lsnn.figures.panels import draw_panels as draw_panels
from lsnn.figures.rates import draw_rates as draw_rates
from lsnn.figures.speech import Heard as Heard
from lsnn.figures.speech import draw_confusion as draw_confusion
from lsnn.figures.speech import draw_speech as draw_speech
from lsnn.figures.style import ORANGE as ORANGE
from lsnn.figures.style import SKY as SKY
from lsnn.figures.style import Array as Array
from lsnn.figures.style import render as render
from lsnn.figures.synapses import Wired as Wired
from lsnn.figures.synapses import draw_synapses as draw_synapses
from lsnn.figures.trial import Span as Span
from lsnn.figures.trial import Trial as Trial
from lsnn.figures.trial import draw_trial as draw_trial
from lsnn.figures.trial_readout import Values as Values
from lsnn.figures.trial_readout import Window as Window
from lsnn.figures.trial_rows import Group as Group
