"""DEEP R: training under a fixed budget of synapses (Bellec et al. 2018, ICLR and NeurIPS).

A synapse whose strength theta falls to zero dies, and one is born elsewhere, so that the number of active synapses
equals the budget after every step.  Wraps any torch optimizer.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from lsnn.seeding import generator_for
from lsnn.synapses import BLOCKS, Synapses

THETA_BORN = 1e-12
"""strength of a newborn synapse (authors' code)"""


class Turnover(NamedTuple):
    """What rewiring did since the statistics were last taken."""

    died: dict[str, int]
    """synapses lost, by block"""
    regrown: dict[str, int]
    """synapses gained, by block"""


class _Rewiring(Optimizer):
    """What DEEP R and its soft form share: the base optimizer's groups and state, the random walk, statistics."""

    def __init__(self, base: Optimizer, synapses: Synapses, *, l1: float, temperature: float, seed: int) -> None:
        if not synapses.fixed_signs:
            raise ValueError(
                "rewiring needs synapses that keep their sign: build the network with excitatory or fixed_signs=True"
            )
        if isinstance(base, torch.optim.LBFGS):
            raise ValueError("LBFGS needs several losses of one wiring a step; rewire around another optimizer")
        if not (0 <= l1 < math.inf and 0 <= temperature < math.inf):
            raise ValueError(
                f"l1 and temperature must be finite and not negative, got l1={l1}, temperature={temperature}"
            )
        groups = [g for g in base.param_groups if any(p is synapses.theta for p in g["params"])]
        if not groups:
            raise ValueError("the base optimizer does not train synapses.theta; pass it net.parameters()")
        super().__init__(base.param_groups, base.defaults)
        self.base, self.synapses = base, synapses
        self.l1, self.temperature, self.seed = l1, temperature, seed
        self.n_steps = 0
        self._reset_turnover()
        self._share()

    def _share(self) -> None:
        """Groups and state are the base's own, so that schedulers act on it."""
        self.param_groups, self.state = self.base.param_groups, self.base.state

    @property
    def lr(self) -> float:
        """Learning rate of the synapses now."""
        theta = self.synapses.theta
        group = next(g for g in self.param_groups if any(p is theta for p in g["params"]))
        return float(group["lr"])

    def take_turnover(self) -> Turnover:
        """Deaths and births since the last call."""
        died, regrown = (dict(zip(BLOCKS, counts.tolist(), strict=True)) for counts in (self._died, self._regrown))
        self._reset_turnover()
        return Turnover(died, regrown)

    def _reset_turnover(self) -> None:
        self._died = torch.zeros(len(BLOCKS), dtype=torch.int64)
        self._regrown = torch.zeros(len(BLOCKS), dtype=torch.int64)

    def _count(self, total: Tensor, changed: Tensor) -> None:
        total += torch.bincount(self.synapses.block()[changed], minlength=len(BLOCKS)).cpu()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of the base optimizer, then rewiring.  FloatingPointError where a gradient is not finite."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._update(self.synapses.theta, generator_for(self.seed, "deep_r", self.n_steps))
        self.n_steps += 1
        return loss

    def _update(self, theta: Tensor, generator: torch.Generator) -> None:
        raise NotImplementedError

    def _base_step(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
                    raise FloatingPointError(
                        f"a gradient of shape {tuple(parameter.shape)} is not finite at step {self.n_steps}"
                    )
        self.base.step()

    def _noise(self, generator: torch.Generator) -> Tensor:
        theta = self.synapses.theta
        return torch.randn(theta.shape, generator=generator, dtype=theta.dtype).to(theta.device)

    def state_dict(self) -> dict[str, Any]:
        """The base's state and the counters; the synapses themselves are in the network's state_dict."""
        counters = {"n_steps": self.n_steps, "died": self._died, "regrown": self._regrown}
        return {"base": self.base.state_dict(), "rewiring": counters}

    def __getstate__(self) -> dict[str, Any]:
        settings = ("base", "synapses", "l1", "temperature", "seed", "theta_min")
        kept = (*settings, "n_steps", "_died", "_regrown")
        return super().__getstate__() | {name: value for name, value in vars(self).items() if name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if "rewiring" not in state_dict:
            raise ValueError("the state has no counters of rewiring; load that of an optimizer alone into .base")
        self.base.load_state_dict(state_dict["base"])
        counters = state_dict["rewiring"]
        self.n_steps = counters["n_steps"]
        self._died, self._regrown = counters["died"].clone(), counters["regrown"].clone()
        self._share()


class DeepR(_Rewiring):
    """DEEP R around a base optimizer: ``DeepR(torch.optim.Adam(net.parameters(), lr=0.01), net.synapses)``.

    One budget, the number of slots, is shared by input, recurrent and readout synapses.  A dead synapse's slot is
    given a place drawn uniformly from all free ones, the sign of its new source, a fresh delay, theta = 1e-12 and
    fresh optimizer moments.  Order of a step as in the authors' code; docs/experiments.md lists the deviations.

    l1: pull towards zero, per unit of learning rate (authors: 0.01).
    temperature: of the random walk; its step is sqrt(2 lr temperature) N(0, 1) (authors: 0).
    """

    def __init__(
        self, base: Optimizer, synapses: Synapses, *, l1: float = 0.01, temperature: float = 0.0, seed: int = 0
    ) -> None:
        super().__init__(base, synapses, l1=l1, temperature=temperature, seed=seed)
        places = synapses.n_positions - synapses.n
        if len(synapses) > places:
            raise ValueError(
                f"{len(synapses)} synapses have {places} places to be reborn at, of which autapses are none; leave out "
                f"{len(synapses) - places} autapses or parallel synapses"
            )

    def _update(self, theta: Tensor, generator: torch.Generator) -> None:
        alive = theta > 0

        self._base_step()
        theta.mul_(alive)  # the base step moves dormant theta too; only rewiring may revive a synapse
        walk = -self.lr * self.l1
        if self.temperature > 0:
            walk = walk + math.sqrt(2 * self.lr * self.temperature) * self._noise(generator)
        theta.add_(torch.where(theta > 0, walk, 0.0))
        self._count(self._died, alive & (theta <= 0))

        dead = (theta <= 0).nonzero()[:, 0]
        if len(dead):
            self._regrow(dead, generator)
            self._count(self._regrown, dead)

    def _regrow(self, slots: Tensor, generator: torch.Generator) -> None:
        synapses = self.synapses
        pre, post = synapses.endpoints(synapses.draw_free(len(slots), generator))
        synapses.pre[slots], synapses.post[slots] = pre, post
        synapses.delay[slots] = synapses.draw_delays(pre, post, generator)
        synapses.sign[slots] = synapses.draw_signs(pre, generator)
        synapses.theta[slots] = THETA_BORN
        for moment in self.state.get(synapses.theta, {}).values():
            if isinstance(moment, Tensor) and moment.shape == synapses.theta.shape:
                moment[slots] = 0


class SoftDeepR(_Rewiring):
    """soft-DEEP R (Bellec et al. 2018, ICLR, section 3): dormant synapses walk at random until they wake again.

    No birth is forced, so the number of active synapses varies around the wanted share.  Every slot is kept, so build
    the network with connectivity=1; at construction all but the share ``connectivity`` of its synapses fall dormant.

        theta += base step - lr l1 + sqrt(2 lr temperature) N(0, 1)       active synapses
        theta += sqrt(2 lr temperature) N(0, 1), kept above theta_min     dormant ones
        theta_min = -(1 - connectivity) / connectivity * temperature / l1
    """

    def __init__(
        self,
        base: Optimizer,
        synapses: Synapses,
        *,
        connectivity: float,
        l1: float = 0.01,
        temperature: float = 1e-5,
        seed: int = 0,
    ) -> None:
        super().__init__(base, synapses, l1=l1, temperature=temperature, seed=seed)
        if not 0 < connectivity < 1:
            raise ValueError(f"connectivity must lie in (0, 1), got {connectivity}; at 1 nothing rewires")
        if not (l1 > 0 and temperature > 0):
            raise ValueError(f"soft-DEEP R needs l1 and temperature above 0, got l1={l1}, temperature={temperature}")
        self.theta_min = -(1 - connectivity) / connectivity * temperature / l1
        generator = generator_for(seed, "soft_deep_r")
        order = torch.randperm(len(synapses), generator=generator)
        dormant = order[int(connectivity * len(synapses)) :].to(synapses.theta.device)
        depth = torch.rand(len(dormant), generator=generator, dtype=synapses.theta.dtype).to(dormant.device)
        with torch.no_grad():
            synapses.theta[dormant] = self.theta_min * depth

    def _update(self, theta: Tensor, generator: torch.Generator) -> None:
        alive, before = theta > 0, theta.clone()

        self._base_step()
        theta.copy_(torch.where(alive, theta, before))  # momentum must not move dormant synapses
        theta.add_(math.sqrt(2 * self.lr * self.temperature) * self._noise(generator))
        theta.sub_(torch.where(alive, self.lr * self.l1, 0.0)).clamp_(min=self.theta_min)
        self._count(self._died, alive & (theta <= 0))
        self._count(self._regrown, ~alive & (theta > 0))
