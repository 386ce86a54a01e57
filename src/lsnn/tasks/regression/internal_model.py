"""The internal model of a network: what it takes a function for, asked from its state after some examples."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lsnn.probing import probe
from lsnn.seeding import generator_for
from lsnn.tasks.regression.family import Family
from lsnn.tasks.task import Split

AFTER = (0, 1, 2, 5, 10, 20, 50, 500)
"""examples after which the internal model is asked for"""
N_MODELS = 3
"""functions whose internal model is asked for"""
AFTER_FEW = tuple(range(9))
CONTRADICTED = 4
"""the example, counted from 1, that contradicts the function"""
N_DRAWS = 4
"""questions are asked so often, each time with fresh input spikes, and the answers averaged"""


def internal_models(task: Family, network: nn.Module, split: Split, **run: Any) -> dict[str, Tensor]:
    """What the network takes a function for after k examples: answers over all arguments from one frozen state.

    x: (point, n_x); after: (k); then for the split's first functions true: (function, point) and
    answers: (function, k, point).  For functions of one argument also the same with an example that is wrong, the
    fourth: examples_x, examples_y (example), contradicted_true, contradicted_after, contradicted_answers.
    """
    functions, (x, y) = task.unseen(split)
    n, points = y.shape[1], grid(task)
    true = functions(points[:, None].expand(-1, n, -1))  # (point, n)
    after = [k for k in AFTER if k <= len(y)]
    chosen = range(min(N_MODELS, n))
    answers = [_asked(task, network, x[:, k], y[:, k], after, points, **run) for k in chosen]
    found = {
        "x": points,
        "after": torch.tensor(after),
        "true": true[:, : len(chosen)].t(),
        "answers": torch.stack(answers),
    }
    if task.n_x == 1 and len(y) >= AFTER_FEW[-1]:
        found |= _contradicted(task, network, points, true, x, y, **run)
    return found


def grid(task: Family) -> Float[Tensor, "point n_x"]:
    """Arguments that span the family's range: a line, a square, or for more arguments the diagonal."""
    low, high = task.x_range
    if task.n_x == 2:
        side = torch.linspace(low, high, 17)
        return torch.cartesian_prod(side, side)
    return torch.linspace(low, high, 81)[:, None].expand(-1, task.n_x)


def _contradicted(
    task: Family, network: nn.Module, points: Tensor, true: Tensor, x: Tensor, y: Tensor, **run: Any
) -> dict[str, Tensor]:
    """One example of the steepest function lies where the function is farthest from its mirror image, on that image."""
    low, high = task.y_range
    which = int((true.amax(0) - true.amin(0)).argmax())
    x, y = x[: AFTER_FEW[-1], which].clone(), y[: AFTER_FEW[-1], which].clone()
    at = int((2 * true[:, which] - low - high).abs().argmax())
    x[CONTRADICTED - 1], y[CONTRADICTED - 1] = points[at], low + high - true[at, which]
    answers = _asked(task, network, x, y, AFTER_FEW, points, **run)
    return {
        "contradicted_after": torch.tensor(AFTER_FEW),
        "contradicted_true": true[:, which],
        "contradicted_answers": answers,
        "examples_x": x[:, 0],
        "examples_y": y,
    }


def _asked(
    task: Family, network: nn.Module, x: Tensor, y: Tensor, after: Sequence[int], points: Tensor, **run: Any
) -> Float[Tensor, "k point"]:
    """Answers at all points after each number of examples of one function: x (example, n_x), y (example)."""
    spikes = generator_for(0, f"{task.name}/probing")
    questions = points.repeat(N_DRAWS, 1)[None]  # (1, question, n_x)
    told, state, answers, done = task.told(y[:, None]), None, [], 0
    with torch.no_grad():
        for k in after:
            if k > done:
                episode = task.encode(x[done:k, None], told[done:k], spikes)
                _, state = network(episode, state, **run)
                done = k
            last = y[k - 1] if k else torch.zeros(())
            asked = task.encode(questions, last.expand(1, questions.shape[1]), spikes)
            readout = network(asked, **run)[0].readout if state is None else probe(network, state, asked, **run)
            answers.append(task.predictions(readout)[0].unflatten(0, (N_DRAWS, -1)).mean(0))
    return torch.stack(answers)
