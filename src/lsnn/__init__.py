"""Recurrent networks of leaky integrate-and-fire neurons with adaptive thresholds, trained and rewired."""

from lsnn.baselines import Recurrent as Recurrent
from lsnn.deep_r import DeepR as DeepR
from lsnn.deep_r import SoftDeepR as SoftDeepR
from lsnn.network import LSNN as LSNN
from lsnn.neuron import Cells as Cells
from lsnn.neuron import State as State
from lsnn.ops import Activity as Activity
from lsnn.synapses import Connections as Connections

__version__ = "0.1.0"
