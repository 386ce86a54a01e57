"""What a network remembers, and where: in its thresholds, its spikes and voltages, or on the way along its synapses.

The analyses that reviewers of Bellec et al. 2018 asked for.  moments.py cuts trials into stretches, decoding.py reads
answers and past inputs out of each variable, tampering.py changes one in mid-trial and sees what the answers are worth.
returns.py asks agents in arenas, which have no answers to judge but places they go to.
"""

from lsnn.memory.returns import Returns as Returns
from lsnn.memory.returns import study_returns as study_returns
from lsnn.memory.study import Study as Study
from lsnn.memory.study import study as study
