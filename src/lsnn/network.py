"""LSNN: a recurrent network of spiking cells behind the interface of an `nn.Module`."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from lsnn import ops
from lsnn.neuron import CONSTANTS, Cells, Constants, State, exponential, whole
from lsnn.ops import Activity, Backend, Memory, Record
from lsnn.ops.checks import check_finite, check_inputs, check_lengths, check_noise, check_state
from lsnn.seeding import generator_for
from lsnn.surrogates import Surrogate
from lsnn.synapses import Array, Connections, Synapses, as_tensor

Given = ParamSpec("Given")
Result = TypeVar("Result")


def _untraced(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """The same where torch.compile is at work, which cannot trace loops that are compiled already.

    `torch.compiler.disable` alone would say so, but imports the whole compiler at once.
    """

    @wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*args, **kwargs)  # pyright: ignore[reportCallIssue]  # it is untyped
        return function(*args, **kwargs)

    return call


class LSNN(nn.Module):
    """Inputs, one recurrent layer of regular and adaptive neurons, leaky linear readouts (Bellec et al. 2018).

        net = lsnn.LSNN(80, lsnn.Cells(n_regular=120, n_adaptive=100), 10, connectivity=0.12, max_delay=10)
        activity, state = net(spikes)               # spikes: (time, batch, 80)
        activity.readout                            # (time, batch, 10), logits at every step

    The equations are those of `lsnn.neuron.step` and `lsnn.ops.run`.  No activity is kept on the module: state goes
    in and comes out.
    """

    synapses: Synapses
    noise_std: Tensor

    def __init__(
        self,
        n_in: int,
        cells: Cells,
        n_out: int,
        *,
        connectivity: float = 1.0,
        max_delay: int = 1,
        excitatory: float | None = None,
        fixed_signs: bool | None = None,
        gain: float = 1.0,
        tau_out: float = 20.0,
        seed: int = 0,
        backend: Backend = "auto",
        memory: Memory = "fast",
    ) -> None:
        """Draw a random network from ``seed``; `lsnn.synapses.Synapses` explains what it is drawn from.

        connectivity: share of synapses that exist, in (0, 1].
        max_delay: longest synaptic delay, steps of dt.
        excitatory: share of excitatory sources (Dale's law; the authors use 0.75); None: signs are free.
        fixed_signs: keep each synapse's sign, as DEEP R needs; default where ``excitatory`` is given.
        gain: factor on the initial input and recurrent weights.
        tau_out: time constant of the readout, ms; 0 leaves it unfiltered.
        backend: which kernel runs it, see `lsnn.ops.run`.
        memory: "low" for long runs and large batches, see `lsnn.ops.run`.
        """
        super().__init__()
        for name, size in (("n_in", n_in), ("n_out", n_out)):
            if whole(name, size) < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        synapses = Synapses(
            n_in,
            cells.n,
            n_out,
            connectivity=connectivity,
            max_delay=max_delay,
            excitatory=excitatory,
            fixed_signs=fixed_signs,
            gain=gain,
            generator=generator_for(seed, "synapses"),
        )
        self._assemble(cells, synapses, tau_out, seed, backend, memory)

    @classmethod
    def from_arrays(
        cls,
        inputs: Array | Connections,
        recurrent: Array | Connections,
        readout: Array | Connections,
        cells: Cells,
        *,
        n_in: int | None = None,
        n_out: int | None = None,
        delay_in: Array | int = 0,
        delay_rec: Array | int = 1,
        bias: Array | None = None,
        tau_out: float = 20.0,
        max_delay: int | None = None,
        fixed_signs: bool = False,
        backend: Backend = "auto",
        memory: Memory = "fast",
        dtype: torch.dtype | None = None,
    ) -> "LSNN":
        """Build a network from explicit synapses, for instance those of another simulator.

        inputs, recurrent, readout: each a dense matrix [pre, post], where zero means no synapse, or `Connections`,
            lists of pre, post, weight and delay with indices that start at 0 in their own population.
        n_in, n_out: sizes, needed only where lists leave them open.
        delay_in, delay_rec: steps, one number or a matrix, for weights given densely; at least 0 and 1.
        cells: the neurons; every constant may be one number or a tuple with one per neuron.
        bias: one number per readout; zero if not given.
        max_delay: steps; not given: the longest of the delays.
        fixed_signs: keep each synapse's sign, as DEEP R needs, and Dale's law where sources follow it.
        dtype: of the weights; not given: theirs.

        ValueError where shapes, indices or delays do not fit.
        """
        n_in = n_in if n_in is not None or isinstance(inputs, Connections) else as_tensor(inputs).shape[0]
        n_out = n_out if n_out is not None or isinstance(readout, Connections) else as_tensor(readout).shape[-1]
        for size, given, name in ((n_in, "inputs", "n_in"), (n_out, "readout", "n_out")):
            if size is None:
                raise ValueError(f"{given} given as lists do not tell their size; pass {name}")
        assert n_in is not None and n_out is not None
        blocks = []
        for name, given, delay, shape in (
            ("inputs", inputs, delay_in, (n_in, cells.n)),
            ("recurrent", recurrent, delay_rec, (cells.n, cells.n)),
            ("readout", readout, 0, (cells.n, n_out)),
        ):
            if not isinstance(given, Connections):
                if (found := as_tensor(given).shape) != shape:
                    raise ValueError(f"{name} must have shape {shape} [pre, post], got {tuple(found)}")
                given = Connections.from_dense(given, delay)
            blocks.append(given)
        synapses = Synapses.from_connections(
            n_in,
            cells.n,
            n_out,
            *blocks,
            max_delay=max_delay,
            fixed_signs=fixed_signs,
            dtype=dtype,
        )
        self = cls.__new__(cls)
        nn.Module.__init__(self)
        self._assemble(cells, synapses, tau_out, 0, backend, memory)
        if bias is not None:
            given_bias = as_tensor(bias)
            if given_bias.shape != (synapses.n_out,):
                raise ValueError(
                    f"bias needs one value per readout, {synapses.n_out}, got shape {tuple(given_bias.shape)}"
                )
            check_finite("bias", given_bias.to(self.bias.dtype), "readout")
            self.bias.data.copy_(given_bias)
        return self

    def _assemble(
        self, cells: Cells, synapses: Synapses, tau_out: float, seed: int, backend: Backend, memory: Memory
    ) -> None:
        if not tau_out >= 0:
            raise ValueError(f"tau_out must not be negative, got {tau_out} ms; 0 leaves the readout unfiltered")
        ops.check_backend(backend, memory)
        self.cells, self.tau_out = cells, tau_out
        self.backend: Backend = backend
        self.memory: Memory = memory
        self.synapses = synapses
        self.bias = nn.Parameter(torch.zeros(synapses.n_out, dtype=synapses.theta.dtype))
        for name, values in cells.draw(generator_for(seed, "cells")).items():
            self.register_buffer(name, values.to(synapses.theta.dtype))
        zero = torch.zeros(cells.n, dtype=self.bias.dtype)
        self.log_factor = nn.ParameterDict({name: zero.clone() for name in cells.trainable})

    @property
    def n_in(self) -> int:
        return self.synapses.n_in

    @property
    def n_out(self) -> int:
        return self.synapses.n_out

    def extra_repr(self) -> str:
        c, s = self.cells, self.synapses
        cells = f"{c.n_regular} regular + {c.n_adaptive} adaptive"
        return f"{s.n_in} -> {cells} -> {s.n_out}, {len(s)} synapses, max_delay={s.max_delay}, backend={self.backend!r}"

    def constants(self) -> Constants:
        """The cell's constants as they stand, trained factors included; differentiable."""
        values = {}
        for name in CONSTANTS:
            base = getattr(self, name)
            values[name] = base * exponential(self.log_factor[name]) if name in self.log_factor else base
        c = self.cells
        surrogate = Surrogate(c.surrogate, c.dampening, c.surrogate_width)
        fixed = {"n_ref": c.n_ref, "reset_delay": c.reset_delay, "dt": c.dt, "detach": c.detach}
        return Constants(**values, **fixed, tau_out=self.tau_out, surrogate=surrogate)

    def initial_state(self, batch: int) -> State:
        """The network at rest."""
        return ops.initial_state(self.synapses.wiring(), batch)

    @_untraced
    def forward(
        self,
        inputs: Shaped[Tensor, "time batch n_in"],
        state: State | None = None,
        *,
        record: Record | Sequence[Record] = (),
        generator: torch.Generator | None = None,
        noise: Float[Tensor, "time batch n"] | None = None,
        lengths: Int64[Tensor, " batch"] | None = None,
    ) -> tuple[Activity, State]:
        """Run over ``inputs``, from rest or from ``state``.

        inputs: spikes (integer or boolean) or currents (floating point).
        record: one or more of "spikes", "voltages", "thresholds".
        generator: source of the current noise; needed where noise_std is not zero.
        noise: instead of a generator, the noise itself, of `draw_noise`.
        lengths: steps of each sequence, where shorter ones begin later, after inputs of zero.  A network at rest stays
            there (unless there is noise), so that nothing else changes: firing rates are per these steps.

        Returns the activity, whose readout includes the bias, and the state after the last step: running T steps
        equals running them in two calls with the state handed over, bit for bit.
        """
        check_inputs(inputs, self.n_in)
        if lengths is not None:
            check_lengths(lengths, *inputs.shape[:2])
        wiring, constants = self.synapses.wiring(), self.constants()
        if state is None:
            state = ops.initial_state(wiring, inputs.shape[1])
        elif lengths is not None:
            raise ValueError("sequences with lengths begin at rest; give a state, or lengths")
        if noise is None and self.noisy:
            if generator is None:
                raise ValueError(
                    "a network with noise_std > 0 needs a generator: net(inputs, generator=torch.Generator())"
                )
            noise = self.draw_noise(len(inputs), inputs.shape[1], generator)
        elif noise is not None:
            check_noise(noise, (*inputs.shape[:2], self.cells.n))
            check_finite("noise", noise, "time", "sample", "neuron")
        activity, state = ops.run(
            inputs, wiring, constants, state, noise=noise, record=record, backend=self.backend, memory=self.memory
        )
        if lengths is not None and activity.rate is not None:
            activity = activity._replace(rate=activity.rate * (len(inputs) / lengths.to(activity.rate))[:, None])
        return activity._replace(readout=activity.readout.add_(self.bias)), state

    @property
    def noisy(self) -> bool:
        """Whether there is current noise."""
        return bool((self.noise_std > 0).any())

    def draw_noise(self, steps: int, batch: int, generator: torch.Generator) -> Float[Tensor, "time batch n"] | None:
        """Standard normal noise for so many steps, None if noise_std is zero.

        Drawn step by step: the stream does not depend on how time is split into calls.
        """
        if not self.noisy:
            return None
        noise = torch.empty(steps, batch, self.cells.n, dtype=self.noise_std.dtype, device=generator.device)
        for now in noise:
            now.normal_(generator=generator)
        return noise.to(self.noise_std.device)

    @torch.no_grad()
    def operations(
        self,
        inputs: Shaped[Tensor, "time batch n_in"],
        activity: Activity,
        lengths: Int64[Tensor, " batch"] | None = None,
        decisions: Int64[Tensor, " batch"] | None = None,
    ) -> dict[str, Float[Tensor, " batch"]]:
        """What the run cost, per example: spikes that neurons emitted, and synaptic operations.

        A synaptic operation is one event at one active synapse, where an event is a spike of a neuron or any input
        that is not zero; real-valued inputs are events at every step.  A readout integrates its events, however many
        decisions are asked for.
        """
        assert activity.rate is not None
        steps = torch.full(inputs.shape[1:2], len(inputs)) if lengths is None else lengths
        spikes = activity.rate.double() * (steps[:, None] * self.cells.dt / 1000)
        events = torch.cat([(inputs != 0).sum(0), spikes], dim=1)
        fan_out = torch.bincount(self.synapses.pre[self.synapses.active()], minlength=events.shape[1])
        return {"spikes": spikes.sum(1), "synaptic_operations": events @ fan_out.double()}

    def stepper(self, batch: int | None = None, state: State | None = None) -> ops.Stepper:
        """The network as it is now, to be stepped by a closed loop: no gradients, little overhead, on the CPU.

        batch: samples side by side; by default those of ``state``, or one from rest.

        step = net.stepper()
        readout, spikes = step(inputs)              # inputs: (batch, n_in), one step of dt
        """
        wiring = self.synapses.wiring()
        if state is None:
            state = ops.initial_state(wiring, 1 if batch is None else batch)
        elif batch is not None:
            check_state(state, wiring, batch)
        return ops.Stepper(wiring, self.constants(), state, self.bias)
