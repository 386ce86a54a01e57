"""Recurrent networks of leaky integrate-and-fire neurons with adaptive thresholds, trained and rewired."""

from lsnn.baselines import Recurrent as Recurrent
from lsnn.deep_r import DeepR as DeepR
from lsnn.deep_r import SoftDeepR as SoftDeepR
from lsnn.network import LSNN as LSNN
from lsnn.neuron import Cells as Cells
from lsnn.neuron import State as State
from lsnn.ops import Activity as Activity
from lsnn.pretrained import load as load
from lsnn.pretrained import load_pretrained as load_pretrained
from lsnn.probing import probe as probe
from lsnn.synapses import Connections as Connections
from lsnn.version import __version__ as __version__
