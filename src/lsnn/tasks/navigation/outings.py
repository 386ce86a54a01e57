"""How fast an agent finds the goal, and finds it again, beside agents that know less or more."""

from collections.abc import Callable, Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lsnn.network import LSNN
from lsnn.seeding import generator_for
from lsnn.tasks.closed_loop import Environment
from lsnn.tasks.navigation.searches import pace, steps_by_visit
from lsnn.tasks.navigation.walkers import WALKERS, late, walk
from lsnn.tasks.navigation.world import World
from lsnn.tasks.rollout import FreezeThresholds, Meddling, episodes, forget, some
from lsnn.tasks.task import Split, Table

KEPT = 16
"""episodes whose paths are kept"""
VISITS = 30
"""visits to the goal that are told apart"""
HEADER = ("goals", "goal found", "first goal, ms", "second goal, ms", "second / first")
FROZEN = "thresholds frozen at the first goal"
FORGETFUL = "put back to rest at every goal"
LATE = "goal known, with the network's delays"


def of_networks(task: Environment, network: nn.Module, split: Split, before: nn.Module | None) -> dict[str, Tensor]:
    """By agent, score/NAME: goals an episode and pace, as in the table; visits/NAME: mean steps to each visit.

    Agents are the network, itself with thresholds that stay as they are from the first goal on, itself with nothing
    left of what it knew when it reached the goal, itself before training.
    path/NAME: some test episodes of the network and of the one before training, parts of their records.
    """
    found: dict[str, Tensor] = {}
    agents: dict[str, tuple[nn.Module, Callable[[], Meddling] | None]] = {"network": (network, None)}
    if isinstance(network, LSNN) and network.cells.n_adaptive:
        agents[FROZEN] = (network, FreezeThresholds)
    agents[FORGETFUL] = (network, lambda: forget)
    if before is not None:
        agents["before training"] = (before, None)
    for name, (agent, meddling) in agents.items():
        records = [played.record for played in episodes(agent, task, split, meddling)]
        found |= _told_of(name, records)
        if meddling is None:
            found |= {f"path/{name}/{part}": rows for part, rows in some(records[0], slice(KEPT)).items()}
    return found


def of_walkers(world: World, n: int, network: nn.Module) -> dict[str, Tensor]:
    """The same scores and visits of agents without a network, over n episodes each.

    One knows the goal, but what it sees arrives as late as the inputs of this LSNN do on average, and its direction is
    averaged as by the readout.
    """
    found: dict[str, Tensor] = {}
    walkers = dict(WALKERS)
    if isinstance(network, LSNN):
        walkers[LATE] = late((network.synapses.max_delay - 1) // 2, network.tau_out)
    for name, walker in walkers.items():
        found |= _told_of(name, [walk(world, walker, n, generator_for(0, f"navigation/{name}"))])
    return found


def _told_of(name: str, records: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    whole = {"reached": torch.cat([record["reached"] for record in records], dim=1)}
    first, second = pace(whole)
    goals = whole["reached"].sum(0).double()
    score = (goals.mean().item(), (goals > 0).double().mean().item(), first, second, second / first)
    return {f"score/{name}": torch.tensor(score), f"visits/{name}": steps_by_visit(whole, VISITS)}


def table_of(analyses: Mapping[str, Mapping[str, Tensor]]) -> Table:
    """A row per network, then those of the first one's controls and of the walkers."""
    first = next(iter(analyses))
    found = {name: scores(analysis) for name, analysis in analyses.items()}
    rows = [(name, found[name].pop("network")) for name in analyses]
    rows += list(found[first].items())
    return Table("goals an episode, and steps to the goal", HEADER, [(name, tuple(s.tolist())) for name, s in rows])


def scores(analysis: Mapping[str, Tensor]) -> dict[str, Float[Tensor, " 5"]]:
    """By agent: goals, share of episodes with one, steps to the first and from there to the second, their ratio."""
    found, order = part(analysis, "score"), ("network", FROZEN, FORGETFUL, "before training", *WALKERS, LATE)
    return {name: found[name] for name in order if name in found}


def part(analysis: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors that are stored under name/..."""
    return {key.removeprefix(f"{name}/"): value for key, value in analysis.items() if key.startswith(f"{name}/")}
