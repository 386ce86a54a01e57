"""Synapses, sparse from the start: one list of slots for the input, recurrent and readout connections together.

A slot holds a synapse: where it comes from (``pre``: an input, or n_in + a neuron), where it goes (``post``: a
neuron, or n + a readout), its delay in steps and its strength theta.  Storage and work are O(slots).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lsnn import initial
from lsnn.neuron import whole

BLOCKS: tuple[str, ...] = ("input", "recurrent", "readout")
Array = Tensor | np.ndarray | Sequence[int | float] | Sequence[Sequence[int | float]]


class Wiring(NamedTuple):
    """The synapses of a network as the kernel takes them: arrays of length nnz, weights differentiable."""

    pre: Int[Tensor, " nnz"]
    """source: 0 ... n_in-1 are inputs, n_in ... n_in+n-1 neurons"""
    post: Int[Tensor, " nnz"]
    """target: 0 ... n-1 are neurons, n ... n+n_out-1 readouts"""
    delay: Int[Tensor, " nnz"]
    """steps: 1 ... max_delay from a neuron, 0 ... max_delay-1 from an input, 0 to a readout"""
    weight: Float[Tensor, " nnz"]
    n_in: int
    n: int
    n_out: int
    max_delay: int


class Block(NamedTuple):
    """The ranges of sources and targets that one block of synapses joins."""

    first_pre: int
    n_pre: int
    first_post: int
    n_post: int


class Connections(NamedTuple):
    """Explicit synapses of one block, with indices that start at 0 in the block's own populations."""

    pre: Array
    post: Array
    weight: Array
    """in the unit of v_th"""
    delay: Array | int
    """steps: at least 0 from inputs, 1 between neurons; 0 to readouts"""

    @classmethod
    def from_dense(cls, weight: Array, delay: Array | int) -> "Connections":
        """The entries of a matrix [pre, post] that are not zero; delay is one number or a matrix of the same shape."""
        matrix = as_tensor(weight)
        if matrix.ndim != 2:
            raise ValueError(f"a dense weight matrix has two axes [pre, post], got shape {tuple(matrix.shape)}")
        pre, post = matrix.nonzero(as_tuple=True)
        if not isinstance(delay, int):
            delays = as_tensor(delay)
            if delays.ndim == 0:
                delays = delays.expand(matrix.shape)
            if delays.shape != matrix.shape:
                raise ValueError(
                    f"delays have shape {tuple(delays.shape)}, weights {tuple(matrix.shape)}; give both alike"
                )
            delay = delays[pre, post]
        return cls(pre, post, matrix[pre, post], delay)


class Synapses(nn.Module):
    """The synapses of a network with n_in inputs, n neurons and n_out readouts.

    Every slot is a synapse.  With signs (``fixed_signs``) the weight is  sign * max(theta, 0)  and a synapse whose
    theta has fallen to zero is dormant until DEEP R moves its slot; without, the weight is theta.  No neuron
    projects onto itself unless its autapse was given explicitly.

    Kernels sort the synapses once and see changes by torch's counters of them: change pre, post, delay and sign in
    place (``synapses.delay[:] = 1``), not through ``.data`` or a numpy view, which no counter sees.
    """

    pre: Tensor
    post: Tensor
    delay: Tensor
    sign: Tensor
    source_sign: Tensor

    def __init__(
        self,
        n_in: int,
        n: int,
        n_out: int,
        *,
        connectivity: float = 1.0,
        max_delay: int = 1,
        excitatory: float | None = None,
        fixed_signs: bool | None = None,
        gain: float = 1.0,
        generator: torch.Generator,
    ) -> None:
        """Draw a random network.

        connectivity: share of all possible synapses that exist, input, recurrent and readout together, in (0, 1].
            The number of slots is int(connectivity * (n_in n + n^2 + n n_out + n_out)), the paper's count: it has
            the n_out biases and the diagonal in it (80-220-10 at 12 %: 8,185 of 68,210), though neither holds a
            synapse.  At 1 every place off the diagonal has its slot.  At first the share is the same in each block.
        max_delay: steps; delays are drawn uniformly from 1 ... max_delay between neurons and 0 ... max_delay-1
            from inputs.
        excitatory: share of sources that excite (Dale's law); inhibitory neurons come first, inhibitory inputs are
            scattered.  None lets signs differ within a source.
        fixed_signs: keep each synapse's sign for life, as DEEP R needs; by default where ``excitatory`` is given.
        gain: factor on the initial input and recurrent weights.
        """
        super().__init__()
        if not 0 < connectivity <= 1:
            raise ValueError(f"connectivity must lie in (0, 1], got {connectivity}; 1 trains densely")
        n_in, n, n_out = whole("n_in", n_in), whole("n", n), whole("n_out", n_out)
        max_delay = whole("max_delay", max_delay)
        if max_delay < 1:
            raise ValueError(f"max_delay must be at least 1 step, got {max_delay}")
        if excitatory is not None and not 0 < excitatory <= 1:
            raise ValueError(f"excitatory must lie in (0, 1], got {excitatory}; None trains without Dale's law")
        if not 0 < gain < math.inf:
            raise ValueError(f"gain must be positive and finite, got {gain}; 1 draws the initial weights as they are")
        self.n_in, self.n, self.n_out, self.max_delay = n_in, n, n_out, max_delay
        self.fixed_signs = (excitatory is not None) if fixed_signs is None else fixed_signs
        if excitatory is not None and not self.fixed_signs:
            raise ValueError("excitatory needs fixed_signs; leave fixed_signs out or set excitatory to None")

        self.register_buffer("source_sign", initial.source_signs(n_in, n, excitatory, generator))
        position = self._draw_blocks(connectivity, generator)
        pre, post = self.endpoints(position)
        for name, values in (("pre", pre), ("post", post), ("delay", self.draw_delays(pre, post, generator))):
            self.register_buffer(name, values)
        self.register_buffer("sign", self.draw_signs(pre, generator))
        theta = self._draw_theta(connectivity, excitatory is not None, generator)
        self.theta = nn.Parameter(torch.where(post < n, gain * theta, theta))

    @classmethod
    def from_connections(
        cls,
        n_in: int,
        n: int,
        n_out: int,
        inputs: Connections,
        recurrent: Connections,
        readout: Connections,
        *,
        max_delay: int | None = None,
        fixed_signs: bool = False,
        dtype: torch.dtype | None = None,
    ) -> "Synapses":
        """Synapses given one by one; several may join the same pair, and autapses are taken as they are given.

        max_delay: the longest delay of the network, steps; by default the longest that occurs.
        fixed_signs: keep each synapse's sign for life, as DEEP R needs.  A source whose input or recurrent synapses
            agree in sign follows Dale's law: what is born from it later has that sign, too.
        """
        n_in, n, n_out = whole("n_in", n_in), whole("n", n), whole("n_out", n_out)
        dtype = dtype or torch.get_default_dtype()
        rows = []
        for block, given, n_pre, n_post, first in (
            ("input", inputs, n_in, n, 0),
            ("recurrent", recurrent, n, n, 1),
            ("readout", readout, n, n_out, 0),
        ):
            rows.append(_checked(block, given, n_pre, n_post, first, dtype))
        (pre_in, post_in, w_in, d_in), (pre_rec, post_rec, w_rec, d_rec), (pre_out, post_out, w_out, d_out) = rows
        if d_out.any():
            raise ValueError(f"readout synapses have no delay, got {int(d_out.max())}; leave it at 0")
        needed = max([1, *(d_in + 1).tolist(), *d_rec.tolist()])
        max_delay = needed if max_delay is None else whole("max_delay", max_delay)
        if max_delay < needed:
            raise ValueError(f"max_delay={max_delay} is too short: the given delays need max_delay={needed}")

        self = cls.__new__(cls)
        nn.Module.__init__(self)
        self.n_in, self.n, self.n_out, self.max_delay = n_in, n, n_out, max_delay
        self.fixed_signs = fixed_signs
        weight = torch.cat([w_in, w_rec, w_out])
        sign = torch.where(weight < 0, -1, 1).to(torch.int8)
        pre = torch.cat([pre_in, n_in + pre_rec, n_in + pre_out])
        inner = len(pre_in) + len(pre_rec) if fixed_signs else 0
        self.register_buffer("source_sign", _common_signs(n_in + n, pre[:inner], sign[:inner]))
        self.register_buffer("pre", pre)
        self.register_buffer("post", torch.cat([post_in, post_rec, n + post_out]))
        self.register_buffer("delay", torch.cat([d_in, d_rec, d_out]))
        self.register_buffer("sign", sign)
        self.theta = nn.Parameter(weight.abs() if fixed_signs else weight)
        return self

    # ---- loading -------------------------------------------------------------------------------------------------

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Refuse what does not fit before anything is taken over: kernels trust indices."""
        new = {}
        for name in ("pre", "post", "delay", "source_sign"):
            given, own = state_dict.get(prefix + name), getattr(self, name)
            fits = isinstance(given, Tensor) and given.shape == own.shape  # if not, torch keeps its own and says so
            new[name] = given if fits else own
        if not any(part.is_meta for part in new.values()):
            self._check_loaded(**new)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _check_loaded(self, pre: Tensor, post: Tensor, delay: Tensor, source_sign: Tensor) -> None:
        inner, first = post < self.n, (pre >= self.n_in).long()
        shortest = torch.where(inner, first, 0)
        longest = torch.where(inner, first + self.max_delay - 1, 0)
        sound = (0 <= pre) & (pre < self.n_in + self.n) & (0 <= post) & (post < self.n + self.n_out)
        sound &= (shortest <= delay) & (delay <= longest) & (inner | (first > 0))
        if not sound.all():
            sizes = ", ".join(f"{name}={getattr(self, name)}" for name in ("n_in", "n", "n_out", "max_delay"))
            raise ValueError(
                f"{int((~sound).sum())} synapses lead out of the network with {sizes}; build it with the sizes of the "
                "one that was saved"
            )
        if source_sign.any() and not self.fixed_signs:
            raise ValueError("the saved synapses have fixed signs, the network's are free; build it with excitatory")
        if not source_sign.any() and not self.source_sign.is_meta and self.source_sign.any():
            raise ValueError("the network follows Dale's law, the saved one did not; build it without excitatory")

    # ---- reading -------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.pre)

    def weight(self) -> Float[Tensor, " nnz"]:
        """Weight of every slot; differentiable."""
        return self.sign * torch.relu(self.theta) if self.fixed_signs else self.theta

    def active(self) -> Bool[Tensor, " nnz"]:
        """Slots that carry a synapse: with signs those with theta > 0, without all."""
        return self.theta.detach() > 0 if self.fixed_signs else torch.ones_like(self.pre, dtype=torch.bool)

    def wiring(self) -> Wiring:
        """What the kernel needs."""
        return Wiring(self.pre, self.post, self.delay, self.weight(), self.n_in, self.n, self.n_out, self.max_delay)

    def block(self) -> Int[Tensor, " nnz"]:
        """Index into BLOCKS of every slot."""
        return torch.where(self.post >= self.n, 2, (self.pre >= self.n_in).long())

    def layout(self) -> dict[str, Block]:
        """Where each block lies among sources and targets."""
        n_in, n, n_out = self.n_in, self.n, self.n_out
        parts = (Block(0, n_in, 0, n), Block(n_in, n, 0, n), Block(n_in, n, n, n_out))
        return dict(zip(BLOCKS, parts, strict=True))

    def sizes(self) -> dict[str, int]:
        """Positions per block; the diagonal of the recurrent matrix counts."""
        return {name: part.n_pre * part.n_post for name, part in self.layout().items()}

    def counts(self) -> dict[str, int]:
        """Active synapses per block."""
        counts = torch.bincount(self.block()[self.active()], minlength=len(BLOCKS))
        return dict(zip(BLOCKS, counts.tolist(), strict=True))

    def density(self) -> dict[str, float]:
        """Active synapses per position, by block."""
        sizes = self.sizes()
        return {block: count / max(sizes[block], 1) for block, count in self.counts().items()}

    def dense(self) -> dict[str, Float[Tensor, "pre post"]]:
        """The weights as one matrix [pre, post] per block, parallel synapses added up; detached."""
        weight, block, matrices = self.weight().detach(), self.block(), {}
        for index, (name, part) in enumerate(self.layout().items()):
            chosen = block == index
            place = (self.pre[chosen] - part.first_pre, self.post[chosen] - part.first_post)
            empty = weight.new_zeros(part.n_pre, part.n_post)
            matrices[name] = empty.index_put(place, weight[chosen], accumulate=True)
        return matrices

    # ---- positions: every place where a synapse may be, as one number --------------------------------------------

    @property
    def n_positions(self) -> int:
        """Places of all three matrices together, row after row; autapses count."""
        return (self.n_in + self.n + self.n_out) * self.n

    def position(self) -> Int[Tensor, " nnz"]:
        """The place of every slot."""
        readouts = (self.n_in + self.n) * self.n
        to_readout = readouts + (self.pre - self.n_in) * self.n_out + self.post - self.n
        return torch.where(self.post < self.n, self.pre * self.n + self.post, to_readout)

    def endpoints(self, position: Int[Tensor, " k"]) -> tuple[Int[Tensor, " k"], Int[Tensor, " k"]]:
        """Source and target of the given places."""
        readouts = (self.n_in + self.n) * self.n
        inner, outer = position < readouts, position - readouts
        n_out = max(self.n_out, 1)
        pre = torch.where(inner, position // self.n, self.n_in + outer // n_out)
        post = torch.where(inner, position % self.n, self.n + outer % n_out)
        return pre, post

    def draw_free(self, k: int, generator: torch.Generator) -> Int[Tensor, " k"]:
        """k places drawn uniformly, without replacement, from those that hold no active synapse and are no autapse.

        By rejection, so that the cost depends on the number of slots and not on the number of places.
        """
        taken = torch.unique(torch.cat([self.position()[self.active()], self._autapses()])).cpu()
        n_free = self.n_positions - len(taken)
        if k > n_free:
            raise ValueError(f"{k} synapses do not fit into {n_free} free places; lower the connectivity")
        found = torch.empty(0, dtype=torch.int64)
        while len(found) < k:
            tries = (k - len(found)) * self.n_positions // (n_free - len(found)) + 16
            drawn = torch.randint(self.n_positions, (tries,), generator=generator)
            drawn = drawn[~torch.isin(drawn, taken)]
            found = _unique_in_order(torch.cat([found, drawn]))
        return found[:k].to(self.pre.device)

    def draw_delays(self, pre: Tensor, post: Tensor, generator: torch.Generator) -> Int[Tensor, " k"]:
        """A fresh delay for each synapse, uniform over its range."""
        drawn = torch.randint(self.max_delay, (len(pre),), generator=generator).to(pre.device)
        return torch.where(post < self.n, drawn + (pre >= self.n_in), 0)

    def draw_signs(self, pre: Tensor, generator: torch.Generator) -> Int[Tensor, " k"]:
        """The sign of each synapse: its source's under Dale's law, else a fair coin's."""
        coin = 2 * torch.randint(2, (len(pre),), generator=generator, dtype=torch.int8).to(pre.device) - 1
        dale = self.source_sign[pre]
        return torch.where(dale == 0, coin, dale)

    def _autapses(self) -> Int[Tensor, " n"]:
        neuron = torch.arange(self.n, device=self.source_sign.device)
        return (self.n_in + neuron) * self.n + neuron

    def _draw_blocks(self, connectivity: float, generator: torch.Generator) -> Int[Tensor, " nnz"]:
        """Places of the first synapses: the same share of every block, exactly the budget in all."""
        sizes = list(self.sizes().values())
        counts = [int(connectivity * size) for size in sizes]
        counts[1] += int(connectivity * (sum(sizes) + self.n_out)) - sum(counts)
        positions, start = [], 0
        for index, (size, count) in enumerate(zip(sizes, counts, strict=True)):
            free = size - self.n if index == 1 else size
            place = torch.randperm(free, generator=generator)[: min(count, free)].sort().values
            if index == 1:  # places off the diagonal: every run of n after the first place skips one
                place = place + place // self.n + 1
            positions.append(start + place)
            start += size
        return torch.cat(positions)

    def _draw_theta(self, connectivity: float, dale: bool, generator: torch.Generator) -> Float[Tensor, " nnz"]:
        theta, block = torch.empty(len(self)), self.block()
        for index, (name, part) in enumerate(self.layout().items()):
            chosen = block == index
            if dale:
                pre, post = self.pre[chosen] - part.first_pre, self.post[chosen] - part.first_post
                sign = self.source_sign[part.first_pre :][: part.n_pre]
                theta[chosen] = initial.balanced_magnitudes(sign, part.n_post, pre, post, generator)
            else:
                draw = initial.glorot if name == "readout" else initial.normal
                theta[chosen] = draw(int(chosen.sum()), part.n_pre, part.n_post, connectivity, generator)
        return theta.abs() if self.fixed_signs else theta


def as_tensor(values: Array | int) -> Tensor:
    """A tensor of what was given, lists in double precision."""
    return values if isinstance(values, Tensor) else torch.from_numpy(np.asarray(values))


def _unique_in_order(values: Tensor) -> Tensor:
    _, first = np.unique(values.numpy(), return_index=True)
    return values[torch.from_numpy(np.sort(first))]


def _common_signs(n: int, pre: Int[Tensor, " nnz"], sign: Int[Tensor, " nnz"]) -> Int[Tensor, " n"]:
    """The sign that all synapses of a source have; 0 where it has none, or both."""
    positive, negative = torch.zeros(2, n, dtype=torch.int8)
    positive[pre[sign > 0]] = 1
    negative[pre[sign < 0]] = 1
    return positive - negative


def _checked(
    block: str, given: Connections, n_pre: int, n_post: int, first_delay: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    columns = {name: as_tensor(getattr(given, name)) for name in ("pre", "post", "delay")}
    for name, column in columns.items():
        if column.is_floating_point() and len(broken := column[column != column.round()]):
            raise ValueError(f"{block} synapses: {name} must be whole numbers, got {broken[0]}")
    pre, post, delay = (column.to(torch.int64) for column in columns.values())
    weight, delay = as_tensor(given.weight).to(dtype), delay.expand(pre.shape).clone()
    if not weight.isfinite().all():
        raise ValueError(f"{block} synapses: weights must be finite, got {weight[~weight.isfinite()][0]}")
    if not len(pre) == len(post) == len(weight) == len(delay):
        lengths = f"pre {len(pre)}, post {len(post)}, weight {len(weight)}, delay {len(delay)}"
        raise ValueError(f"{block} synapses need arrays of one length, got {lengths}")
    for name, index, size in (("pre", pre, n_pre), ("post", post, n_post)):
        if len(index) and not (0 <= int(index.min()) and int(index.max()) < size):
            raise ValueError(
                f"{block} synapses: {name} must lie in 0 ... {size - 1}, got {int(index.min())} ... {int(index.max())}"
            )
    if len(delay) and int(delay.min()) < first_delay:
        raise ValueError(f"{block} synapses need a delay of at least {first_delay} steps, got {int(delay.min())}")
    return pre, post, weight, delay
