import numpy as np
from matplotlib.figure import Figure

from lsnn import figures
from tests.figures.data import NOTHING, one_synapse, wired


def matrices(figure: Figure) -> list[np.ndarray]:
    """Pictures of the input, recurrent and readout block of the first network drawn."""
    return [np.asarray(ax.images[0].get_array()) for ax in figure.axes if ax.images][:3]


def test_matrix_shows_a_synapse_at_its_source_and_target_with_its_sign() -> None:
    for network, block, place, sign in (
        (one_synapse(2, 3, 0.5), 0, (2, 3), 1),
        (one_synapse(6 + 4, 1, -0.5), 1, (4, 1), -1),
        (one_synapse(6 + 8, 9 + 1, 0.5), 2, (8, 1), 1),
    ):
        pictures = matrices(figures.draw_connectivity(None, network, "now", {}, NOTHING))
        assert [picture.shape for picture in pictures] == [(6, 9), (9, 9), (9, 2)]
        assert np.sign(pictures[block][place]) == sign
        assert sum(np.count_nonzero(picture) for picture in pictures) == 1


def test_newborn_synapse_is_visible_beside_a_strong_one() -> None:
    network = wired()._replace(pre=np.array([0, 1]), post=np.array([0, 0]), weight=np.array([1e-12, 1.0]))
    picture, *_ = matrices(figures.draw_connectivity(None, network, "now", {}, NOTHING))
    assert picture[0, 0] > 0.3


def test_large_network_is_drawn_with_several_neurons_to_a_pixel() -> None:
    network = one_synapse(6 + 4999, 4999, -1.0, n_regular=3000, n_adaptive=2000)
    _, recurrent, _ = matrices(figures.draw_connectivity(None, network, "now", {}, NOTHING))
    assert recurrent.shape == (1000, 1000)
    assert recurrent[-1, -1] == -1
