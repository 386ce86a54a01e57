import numpy as np

from lsnn import figures


def test_silent_neurons_are_counted() -> None:
    legend = figures.draw_rates(np.array([0.0, 0.0, 4.0, 8.0]), 3, None).axes[0].get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["regular: 3, mean 1.3 Hz, silent 2", "adaptive: 1, mean 8.0 Hz, silent 0"]
