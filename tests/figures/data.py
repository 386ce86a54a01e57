"""Small made-up data for each figure."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from lsnn import figures
from lsnn.figures import (
    Contradiction,
    Episode,
    Foraging,
    Group,
    Heard,
    Learning,
    Models,
    Panel,
    Reference,
    Series,
    Span,
    Trial,
    Values,
    Way,
    Window,
    Wired,
)


def series(*values: float, every: int = 10) -> Series:
    return Series(every * np.arange(1, len(values) + 1), np.array(values, dtype=float))


NOTHING = series()


def learned(**changes) -> Learning:
    curves = Learning(
        label="accuracy (%)",
        train=series(10, 40, 70),
        validation=series(12, 45, 72),
        test=Series(np.array([30]), np.array([71.0])),
        test_label="test: 71.0 %",
        train_loss=series(2.3, 1.5, 0.9),
        validation_loss=series(2.2, 1.4, 0.8),
        paper=[Reference(94.2, "mean 94.2 %"), Reference(94.7, "best 94.7 %")],
        chance=Reference(10.0, "chance: 10 %"),
        rates={"regular": series(20, 15, 12), "adaptive": series(15, 9, 8)},
        rate_target=10.0,
    )
    return curves._replace(**changes)


def trial(right: int = 7, answer: int = 4, n_out: int = 10, **changes) -> Trial:
    generator = np.random.default_rng(0)
    steps, n_regular, n_adaptive = 200, 12, 10
    spikes = (generator.random((steps, n_regular + n_adaptive)) < 0.05).astype(np.uint8)
    probability = generator.random((steps, n_out))
    shown = Trial(
        inputs=(generator.random((steps, 9)) < 0.1).astype(np.uint8),
        groups=[Group("onset", range(0, 8, 2)), Group("offset", range(1, 8, 2)), Group("cue", [8])],
        spikes=spikes,
        thresholds=1 + spikes[:, n_regular:].cumsum(axis=0) / 10,
        n_regular=n_regular,
        probability=probability / probability.sum(axis=1, keepdims=True),
        windows=[Window(180.0, 200.0, right, answer)],
        spans=[Span(20.0, 40.0, "STORE 1")],
        image=None,
        dt=1.0,
    )
    return shown._replace(**changes)


def wired(n_in: int = 6, n_regular: int = 5, n_adaptive: int = 4, n_out: int = 2, n_synapses: int = 120) -> Wired:
    generator = np.random.default_rng(1)
    n = n_regular + n_adaptive
    pre = generator.integers(0, n_in + n, n_synapses)
    post = np.where(pre < n_in, generator.integers(0, n, n_synapses), generator.integers(0, n + n_out, n_synapses))
    delay = np.where(post < n, generator.integers(0, 4, n_synapses) + (pre >= n_in), 0)
    return Wired(pre, post, delay, generator.normal(size=n_synapses), n_in, n_regular, n_adaptive, n_out)


def one_synapse(pre: int, post: int, weight: float, **sizes: int) -> Wired:
    network = wired(**sizes)
    pre_, post_, delay_ = (np.array([index]) for index in (pre, post, 1))
    return network._replace(pre=pre_, post=post_, delay=delay_, weight=np.array([weight]))


VALUES = Values(np.arange(0, 201, 20), np.linspace(0, 1, 10), np.linspace(1, 0, 10))


def models(n_x: int, n_functions: int = 2) -> Models:
    x = np.linspace(-1, 1, 9) if n_x == 1 else np.stack(np.meshgrid(*[np.linspace(-1, 1, 3)] * 2), 2).reshape(9, 2)
    generator = np.random.default_rng(2)
    return Models(x, [0, 1, 5], generator.random((n_functions, 9)), generator.random((n_functions, 3, 9)), (0.0, 1.0))


def way(steps: int = 60, every: int = 25) -> Way:
    """To and fro along x, with the goal reached every so many steps and a restart then."""
    step = np.arange(steps) % every
    position, arrival = (np.stack([0.02 * k, np.zeros(steps)], 1) for k in (step, step + 1))
    return Way(position, arrival, step == every - 1, np.array([0.8, 0.0]), 0.3)


def episode(steps: int = 60, **changes) -> Episode:
    generator = np.random.default_rng(3)
    shown = Episode(
        way(steps),
        inputs=(generator.random((steps, 8)) < 0.3).astype(np.uint8),
        groups=[Group("x", range(3)), Group("y", range(3, 6)), Group("reward", [6]), Group("penalty", [7])],
        spikes=(generator.random((steps, 100)) < 0.05).astype(np.uint8),
        thresholds=1 + generator.random((steps, 30)),
        n_regular=70,
        value=np.linspace(0, 1, steps),
    )
    return shown._replace(**changes)


FORAGING = Foraging(
    np.arange(1, 4) * 1000, np.array([1.0, 5.0, 9.0]), np.array([90.0, 60, 40]), np.array([90.0, 30, 9])
)
SHORT = Foraging(FORAGING.episodes, FORAGING.goals)

PHONES = ("b", "d", "g", "iy", "ih", "eh", "ae", "aa")
GROUPS = {"stops": range(0, 3), "vowels": range(3, 8)}


def heard(**changes) -> Heard:
    """20 frames of 10 ms, of two phones."""
    generator = np.random.default_rng(4)
    shown = Heard(
        sound=generator.integers(-9000, 9000, 3500).astype(np.int16),
        features=generator.normal(size=(20, 13)),
        spikes=(generator.random((200, 22)) < 0.05).astype(np.uint8),
        thresholds=1 + generator.random((200, 10)),
        n_regular=12,
        probability=generator.dirichlet(np.ones(8), 20),
        truth=[(0, 9, "b"), (9, 20, "iy")],
        phones=PHONES,
        groups=GROUPS,
        step_ms=1.0,
        begin_ms=7.5,
    )
    return shown._replace(**changes)


DECODED = {"own": [10, 50, None], "frozen": [10, 9, 8]}
PANEL = Panel("decoded", [0, 10, 20], "step", DECODED, "right (%)", [Reference(10, "chance")])

DENSITY = {name: series(0.1, 0.12, 0.13) for name in ("input", "recurrent", "readout")}


DRAWN: dict[str, Callable[[], Figure]] = {
    "learning": lambda: figures.draw_learning(learned()),
    "learning without rates": lambda: figures.draw_learning(learned(rates={}, test=NOTHING)),
    "activity": lambda: figures.draw_trial(trial()),
    "activity, two classes": lambda: figures.draw_trial(trial(right=1, answer=1, n_out=2)),
    "activity, image": lambda: figures.draw_trial(trial(image=np.eye(28))),
    "activity, classes in turn": lambda: figures.draw_trial(trial(windows=[Window(0, 9, 1, 1), Window(9, 20, 2, 2)])),
    "activity, current": lambda: figures.draw_trial(trial(inputs=np.ones((200, 9)), spikes=None, thresholds=None)),
    "connectivity": lambda: figures.draw_connectivity(wired(), wired(), "after 30 steps", DENSITY, series(9, 5, 4)),
    "connectivity, fixed": lambda: figures.draw_connectivity(None, wired(), "after 30 steps", DENSITY, NOTHING),
    "synapses": lambda: figures.draw_synapses(wired(), wired(), 1.0),
    "activity, values": lambda: figures.draw_trial(trial(values=VALUES, windows=[])),
    "in context": lambda: figures.draw_in_context({"own": np.geomspace(1, 0.1, 50), "other": np.ones(50)}, "mse"),
    "models, lines": lambda: figures.draw_models(models(1)),
    "models, squares": lambda: figures.draw_models(models(2)),
    "contradiction": lambda: figures.draw_contradiction(Contradiction(models(1, 1), np.arange(8) / 8, np.ones(8), 4)),
    "goals": lambda: figures.draw_goals({"own": FORAGING, "other": SHORT}, [Reference(7.0, "circling")]),
    "goals alone": lambda: figures.draw_goals({"own": SHORT}),
    "ways": lambda: figures.draw_ways([way(20)] * 2, [way()] * 3),
    "visits": lambda: figures.draw_visits({"own": np.array([90.0, 30, 9]), "other": np.array([80, 70, np.nan])}),
    "episode": lambda: figures.draw_episode(episode()),
    "episode, no spikes": lambda: figures.draw_episode(episode(spikes=None, thresholds=None, inputs=np.ones((60, 8)))),
    "rates": lambda: figures.draw_rates(np.linspace(0, 40, 22), 12, 10.0),
    "compared learning": lambda: figures.compare_learning({"a": [series(1, 2, 3), series(2, 3)]}, "accuracy", None),
    "speech": lambda: figures.draw_speech(heard()),
    "speech, no spikes": lambda: figures.draw_speech(heard(sound=None, spikes=None, thresholds=None, n_regular=0)),
    "confusion": lambda: figures.draw_confusion(np.arange(64).reshape(8, 8), GROUPS),
    "panels": lambda: figures.draw_panels([PANEL, PANEL._replace(lines={"own": [1, 2, 3]})]),
    "compared test": lambda: figures.compare_test({"a": [90.0, 92.0]}, {"a": [Reference(94.2, "mean")]}, "accuracy"),
}  # fmt: skip
