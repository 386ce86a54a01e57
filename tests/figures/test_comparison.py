import numpy as np
from matplotlib.colors import to_hex

from lsnn import figures
from lsnn.figures import Reference
from tests.figures.data import series


def test_mean_curve_ends_where_the_shortest_run_does() -> None:
    figure = figures.compare_learning({"a": [series(10, 20, 30), series(30, 40)]}, "accuracy (%)", None)
    mean = figure.axes[0].lines[-1]
    assert np.array_equal(mean.get_xdata(), [10, 20])
    assert np.allclose(mean.get_ydata(), [20, 30])


def test_group_keeps_its_colour_where_another_has_no_test_yet() -> None:
    curves = figures.compare_learning({"a": [series(1, 2)], "b": [series(3, 4)]}, "accuracy (%)", None)
    tested = figures.compare_test({"a": [], "b": [4.0]}, {}, "accuracy (%)")
    assert to_hex(curves.axes[0].lines[-1].get_color()) == to_hex(tested.axes[0].lines[0].get_color())


def test_spread_is_that_of_a_sample() -> None:
    labels = figures.compare_test({"a": [90.0, 92.0]}, {}, "accuracy (%)").axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == ["a\n91.0 ± 1.4 (n = 2)"]


def test_errors_are_drawn_over_orders_of_magnitude_unless_one_is_zero() -> None:
    for values, scale in (([30, 10], "log"), ([30, 0], "linear")):
        figure = figures.compare_learning({"a": [series(*values)]}, "error (%)", None, falling=True)
        assert figure.axes[0].get_yscale() == scale
    assert figures.compare_learning({"a": [series(30, 10)]}, "accuracy (%)", None).axes[0].get_yscale() == "linear"


def test_chance_is_named_above_the_curves_on_a_logarithmic_axis_too() -> None:
    curves = {"at chance": [series(48, 54, 52)], "learns": [series(40, 5, 0.5)]}
    ax = figures.compare_learning(curves, "error (%)", Reference(50.0, "chance: 50 %"), falling=True).axes[0]
    (label,) = ax.texts
    assert 54 < label.get_position()[1] < ax.get_ylim()[1] < 150
