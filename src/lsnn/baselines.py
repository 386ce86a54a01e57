"""Recurrent networks that do not spike, behind the interface of LSNN, to compare it with."""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from lsnn.ops import Activity
from lsnn.ops.checks import check_inputs, check_lengths, check_samples
from lsnn.seeding import generator_for

RecurrentKind = Literal["lstm", "gru", "rnn"]
RecurrentState = Tensor | tuple[Tensor, Tensor]
LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Recurrent(nn.Module):
    """One layer of torch's LSTM, GRU or tanh RNN and a linear readout at every step.

    Initialised as the paper's baselines (script dsalaj/sMNIST, TensorFlow): Glorot uniform weights, biases zero but
    the LSTM's forget gate 1, readout weights and biases N(0, 1).  ``readout_std`` scales the latter, ``input_gain`` the
    input weights, which the Glorot limit of a wide layer leaves small where there are few inputs.  With
    ``longest_memory`` the biases of an LSTM's forget gates are log(u), u uniform between 1 and so many steps, and those
    of its input gates the negative (chrono initialisation, Tallec & Ollivier, ICLR 2018).
    With ``truncate_after`` gradients stay within stretches of so many steps (truncated backpropagation through time).
    Parameters of 128 units on one input with ten classes: LSTM 67,850, RNN 17,930, counting one bias per unit.
    """

    def __init__(
        self,
        kind: RecurrentKind,
        n_in: int,
        n_hidden: int,
        n_out: int,
        *,
        readout_std: float = 1.0,
        input_gain: float = 1.0,
        longest_memory: float | None = None,
        truncate_after: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if kind not in LAYERS:
            raise ValueError(f"unknown kind of network {kind!r}; known: {', '.join(LAYERS)}")
        if n_hidden < 1:
            raise ValueError(f"n_hidden must be at least 1, got {n_hidden}")
        if longest_memory is not None and (kind != "lstm" or not longest_memory > 1):
            raise ValueError(f"longest_memory is for an lstm and more than one step, got {longest_memory} for {kind}")
        if truncate_after is not None and truncate_after < 1:
            raise ValueError(f"truncate_after must be at least 1 step, or None to cut nothing, got {truncate_after}")
        self.kind, self.n_in, self.n_out, self.truncate_after = kind, n_in, n_out, truncate_after
        self.layer: nn.RNNBase = LAYERS[kind](n_in, n_hidden)
        self.readout = nn.Linear(n_hidden, n_out)
        generator = generator_for(seed, "baseline")
        self._initialise(readout_std, input_gain, generator)
        if longest_memory is not None:
            self._spread_memory(longest_memory, generator)

    @torch.no_grad()
    def _initialise(self, readout_std: float, input_gain: float, generator: torch.Generator) -> None:
        n_hidden = self.layer.hidden_size
        w_in, w_hidden, b_in, b_hidden = self.layer.parameters()
        # TensorFlow's cells hold one Glorot matrix [input and hidden, gates]
        limit = math.sqrt(6 / (self.n_in + n_hidden + len(w_hidden)))
        for weight in (w_in, w_hidden):
            weight.uniform_(-limit, limit, generator=generator)
        w_in.mul_(input_gain)
        for bias in (b_in, b_hidden):
            bias.zero_()
        b_hidden.requires_grad_(self.kind == "gru")  # a second bias that only the GRU's reset gate needs
        if self.kind == "lstm":
            b_in[n_hidden : 2 * n_hidden] = 1  # torch's gate order: input, forget, cell, output
        self.readout.weight.normal_(0, readout_std, generator=generator)
        self.readout.bias.normal_(0, readout_std, generator=generator)

    @torch.no_grad()
    def _spread_memory(self, longest: float, generator: torch.Generator) -> None:
        n_hidden, bias = self.layer.hidden_size, list(self.layer.parameters())[2]
        forget = (1 + (longest - 1) * torch.rand(n_hidden, generator=generator)).log()
        bias[:n_hidden], bias[n_hidden : 2 * n_hidden] = -forget, forget

    def forward(
        self,
        inputs: Shaped[Tensor, "time batch n_in"],
        state: RecurrentState | None = None,
        *,
        lengths: Int64[Tensor, " batch"] | None = None,
    ) -> tuple[Activity, RecurrentState]:
        """Run over ``inputs`` from zero or from ``state``; returns the activity (readout only) and the state.

        lengths: steps of each sequence, where shorter ones begin later; what is before has no effect.  The state
            returned is of no use then.
        """
        check_inputs(inputs, self.n_in)
        if lengths is not None:
            check_lengths(lengths, *inputs.shape[:2])
            inputs = rolled(inputs, lengths)  # all begin together: what comes after the end of one is not looked at
        hidden, end = self._run(inputs.to(self.readout.weight.dtype), state)
        if lengths is not None:
            hidden = rolled(hidden, len(hidden) - lengths)
        return Activity(self.readout(hidden), rate=None), end

    def _run(
        self, inputs: Float[Tensor, "time batch n_in"], state: RecurrentState | None
    ) -> tuple[Float[Tensor, "time batch n_hidden"], RecurrentState]:
        if self.truncate_after is None:
            return self.layer(inputs, state)
        hidden = []
        for stretch in inputs.split(self.truncate_after):
            activity, state = self.layer(stretch, state if state is None else detached(state))
            hidden.append(activity)
        assert state is not None
        return torch.cat(hidden), state

    def stepper(self, batch: int = 1) -> "RecurrentStepper":
        """The network as it is now, to be stepped by a closed loop from rest; no gradients."""
        return RecurrentStepper(self, batch)

    def operations(
        self,
        inputs: Shaped[Tensor, "time batch n_in"],
        activity: Activity,
        lengths: Int64[Tensor, " batch"] | None = None,
        decisions: Int64[Tensor, " batch"] | None = None,
    ) -> dict[str, Float[Tensor, " batch"]]:
        """What a run costs, per example: multiply-accumulates of the layer at every step, of the readout per decision.

        decisions: how often the readout is asked for; by default at every step.
        """
        w_in, w_hidden, *_ = self.layer.parameters()
        steps = torch.full(inputs.shape[1:2], len(inputs)) if lengths is None else lengths
        layer, times = w_in.numel() + w_hidden.numel(), steps if decisions is None else decisions
        return {"multiply_accumulates": (steps * layer + times * self.readout.weight.numel()).double()}


class RecurrentStepper:
    """A recurrent network in a closed loop, with its state inside; called as `lsnn.ops.Stepper` is."""

    def __init__(self, network: Recurrent, batch: int) -> None:
        self._network, self._batch = network, batch
        self._state: RecurrentState | None = None

    @torch.no_grad()
    def __call__(
        self, inputs: Shaped[Tensor, "batch n_in"], noise: None = None
    ) -> tuple[Float[Tensor, "batch n_out"], None]:
        """One step.  Returns the readout; there are no spikes."""
        if inputs.shape != (self._batch, self._network.n_in):
            shape = (self._batch, self._network.n_in)
            raise ValueError(f"inputs must have shape {shape} (batch, n_in), got {tuple(inputs.shape)}")
        activity, self._state = self._network(inputs[None], self._state)
        return activity.readout[0], None

    def rest(self, samples: Bool[Tensor, " batch"]) -> None:
        """Put these samples back to rest; the others go on."""
        check_samples(samples, self._batch)
        if self._state is not None:
            for part in self._state if isinstance(self._state, tuple) else (self._state,):
                part[:, samples] = 0


def detached(state: RecurrentState) -> RecurrentState:
    """The same state, through which no gradient goes back."""
    return state.detach() if isinstance(state, Tensor) else (state[0].detach(), state[1].detach())


def rolled(values: Shaped[Tensor, "time batch n"], steps: Int64[Tensor, " batch"]) -> Shaped[Tensor, "time batch n"]:
    """Each sequence turned around the clock, by so many steps towards later."""
    time = (torch.arange(len(values))[:, None] - steps) % len(values)
    return values.gather(0, time[:, :, None].expand(values.shape))
