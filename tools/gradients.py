"""Which term of the objective moves a policy: the gradient of each, and how far batches of episodes agree on it.

    python tools/gradients.py RUN [--batches 4]

A term whose gradient is large and differs from batch to batch hides the others from the optimizer.  RUN is the folder
of an agent, finished or at its last checkpoint; terms count with their factors, as in training.
"""

import argparse
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lsnn import training
from lsnn.ppo import Ppo
from lsnn.reinforced import lesson, losses
from lsnn.tasks import Environment
from lsnn.tasks.rollout import Played, play


def gradients(
    network: nn.Module, environment: Environment, played: Played, how: Ppo
) -> dict[str, Float[Tensor, " parameter"]]:
    """By term: of its mean with respect to all trained parameters, one after the other."""
    learned = lesson(played, how)
    indifferent = learned._replace(advantages=torch.zeros_like(learned.advantages))
    parts = {
        "policy": (learned, replace(how, value_cost=0.0, entropy_gain=0.0)),
        "value": (indifferent, replace(how, entropy_gain=0.0)),
        "entropy": (indifferent, replace(how, value_cost=0.0)),
    }
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    activity, _ = network(played.inputs, **played.again())
    found = {}
    for term, (known, weighed) in parts.items():
        loss = losses(environment, activity.readout, played, known, weighed).mean()
        by_parameter = torch.autograd.grad(loss, trained, retain_graph=True, materialize_grads=True)
        found[term] = torch.cat([gradient.flatten() for gradient in by_parameter])
    return found


def main() -> None:
    """Print a row per term: norms, and cosines between batches."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.batches < 2:
        parser.error(f"--batches must be at least 2 to compare them, got {options.batches}")
    torch.set_num_threads(options.threads)
    try:
        experiment, network, _ = training.restore_network(options.run)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    task, how = experiment.task, experiment.ppo
    if not isinstance(task, Environment) or how is None:
        parser.error(f"{options.run} has no agent that learns from reward; its task is {task.name}")
    batches = (
        play(network, task, experiment.batch_size, experiment.seed, "gradients", number)
        for number in range(options.batches)
    )
    found = [gradients(network, task, played, how) for played in batches]
    print("term     mean norm  mean cosine of two batches")
    for term in found[0]:
        norm = torch.stack([by_term[term].norm() for by_term in found]).mean()
        alike = [F.cosine_similarity(a[term], b[term], dim=0) for a, b in combinations(found, 2)]
        print(f"{term:8s} {norm:9.4f}  {torch.stack(alike).mean():.2f}")


if __name__ == "__main__":
    main()
