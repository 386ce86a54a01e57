import numpy as np

from lsnn import figures
from tests.figures.data import wired


def test_histograms_count_every_synapse_once() -> None:
    network = wired()
    figure = figures.draw_synapses(None, network, 1.0)
    count = {name: int(network.block(name).sum()) for name in ("input", "recurrent", "readout")}
    assert sum(count.values()) == 120
    bars = [round(sum(bar.get_height() for bar in ax.patches)) for ax in figure.axes]
    assert bars == [*count.values(), count["input"], count["recurrent"]]


def test_weight_histogram_does_not_mix_signs_in_a_bar() -> None:
    edges = [bar.get_x() for bar in figures.draw_synapses(None, wired(), 1.0).axes[0].patches]
    assert np.abs(edges).min() < 1e-12


def test_delays_are_left_out_where_there_are_none() -> None:
    network = wired()
    assert len(figures.draw_synapses(None, network._replace(delay=network.delay.clip(max=1)), 1.0).axes) == 3
