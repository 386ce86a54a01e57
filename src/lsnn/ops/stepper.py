"""A network step by step, without gradients: closed loops and streams."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lsnn.neuron import CONSTANTS, Constants, State
from lsnn.ops.checks import check_finite, check_network, check_noise, check_samples, check_state, check_tensor
from lsnn.ops.compiled import unsupported
from lsnn.ops.kernel import forward
from lsnn.ops.kernel.arrays import Block, Kept, Outputs
from lsnn.ops.kernel.job import Job, Tensors
from lsnn.surrogates import Surrogate
from lsnn.synapses import Wiring


class Stepper:
    """A network in a closed loop: prepared once, then stepped, its state inside.  No gradients.

    Takes weights and constants as they are now; make a new one after training on.
    """

    def __init__(
        self,
        wiring: Wiring,
        constants: Constants,
        state: State,
        bias: Float[Tensor, " n_out"] | None = None,
    ) -> None:
        batch = len(state.v) if isinstance(state, State) else 0  # which is refused
        check_network(wiring, constants)
        check_state(state, wiring, batch)
        if batch == 0:
            raise ValueError("a stepper needs at least one sample, got a state of none")
        inputs = torch.zeros(1, batch, wiring.n_in, dtype=wiring.weight.dtype)
        constants = constants._replace(surrogate=Surrogate())  # any will do where nothing is differentiated
        wiring = wiring._replace(weight=wiring.weight.detach())
        constants = constants._replace(**{name: getattr(constants, name).detach() for name in CONSTANTS})
        reason = unsupported(inputs, wiring, constants, state, None)
        if reason:
            raise ValueError(f"the compiled kernel cannot step this network: {reason}")
        alpha, rho, beta, v_th = (column[:, 0] for column in constants.coefficients()[:4])
        rest = (None, state.v, state.b, state.z, state.z_before, state.pending, state.y)
        tensors = Tensors(None, wiring.weight, alpha, rho, beta, v_th, constants.noise_std, *rest)
        job = Job(inputs, wiring, constants, state.refractory, (), "fast")
        job.silent_steps = max(job.silent_steps, constants.n_ref)
        self._wiring, self._noisy = wiring, bool((constants.noise_std > 0).any())
        self._job, self._net, self._cells = job, job.net(wiring.weight), job.cells(tensors, all_slots=False)
        self._dtype = wiring.weight.dtype
        self._bias = np.zeros(wiring.n_out, job.dtype) if bias is None else bias.detach().numpy().copy()
        self._none = np.empty((0, batch, wiring.n_in), job.dtype)
        self._no_noise = np.empty((0, batch, wiring.n), job.dtype)
        self._kept = Kept(np.empty((0, job.size), job.dtype), np.empty((0, 0), job.dtype))
        z = np.empty((job.n_blocks, 3, wiring.n), job.word.dtype)
        self._blocks = [job.block(number, z) for number in range(job.n_blocks)]
        self._decay = np.maximum(rho.detach().numpy(), np.finfo(job.dtype).tiny)[:, None]
        self._held: list[tuple[Block, np.ndarray, np.ndarray]] = []
        self.state = state

    def __call__(
        self, inputs: Float[Tensor, "batch n_in"], noise: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch n_out"], Float[Tensor, "batch n"]]:
        """One step.  Returns the readout and the spikes.

        noise: as in `lsnn.ops.run`; needed where noise_std is not zero.
        """
        job = self._job
        check_tensor("inputs", inputs)
        if inputs.shape != (job.batch, job.n_in):
            raise ValueError(f"inputs must have shape {(job.batch, job.n_in)} (batch, n_in), got {tuple(inputs.shape)}")
        values = inputs.detach().to(self._dtype)
        if inputs.is_floating_point():
            check_finite("inputs", values, "sample", "input")
        if noise is not None:
            check_noise(noise, (job.batch, job.n))
            noise = noise.detach().to(self._dtype)
            check_finite("noise", noise, "sample", "neuron")
        elif self._noisy:
            raise ValueError(
                "a network with noise_std > 0 needs noise at every step: net.draw_noise(1, batch, generator)[0]"
            )
        x = values.contiguous().numpy()[None]
        readout = np.empty((1, job.batch, job.n_out), job.dtype)
        spikes = np.empty((1, job.batch, job.n), job.dtype)
        outputs = Outputs(readout, spikes, self._no_noise, self._no_noise)
        current = self._no_noise if noise is None else noise.contiguous().numpy()[None]
        for held, where, kept in self._held:  # begin where the step's decay leads to what is kept
            np.copyto(held.b.reshape(kept.shape), kept / self._decay, where=where)
        for block in self._blocks:
            forward.stream(self._net, self._cells, block, x, self._none, current, self._kept, outputs, job.word)
        for held, where, kept in self._held:
            np.copyto(held.b.reshape(kept.shape), kept, where=where)
        return torch.from_numpy(readout[0] + self._bias), torch.from_numpy(spikes[0])

    def hold(self, samples: Bool[Tensor, " batch"]) -> None:
        """Keep the adaptation of these samples, and with it their thresholds, as it is from now on; others are free.

        Where there is no refractory period, a spike still raises the threshold of the next step.
        """
        check_samples(samples, self._job.batch)
        chosen = np.zeros((self._job.n_blocks, self._job.lanes), np.bool_)
        for number in range(self._job.n_blocks):
            first, size = self._job.span(number)
            chosen[number, :size] = samples[first : first + size].numpy()
        blocks = zip(self._blocks, chosen, strict=True)
        self._held = [(block, where, block.b.reshape(-1, len(where)).copy()) for block, where in blocks if where.any()]

    def rest(self, samples: Bool[Tensor, " batch"]) -> None:
        """Put these samples back to rest, where everything is zero; the others go on."""
        check_samples(samples, self._job.batch)
        self.state = State(*(part.masked_fill(samples[:, None], 0) for part in self.state))

    @property
    def state(self) -> State:
        """Where the network is; may be set, for instance to start an episode."""
        job, rows = self._job, lambda *shape: np.empty(shape, self._job.dtype)
        v, b, z, z_before, rate = (rows(job.batch, job.n) for _ in range(5))
        refractory = np.empty((job.batch, job.n), np.int64)
        pending, y = rows(job.depth, job.batch, job.n), rows(job.batch, job.n_out)
        for block in self._blocks:
            forward.count_silent(block, refractory)
            past = block._replace(z=block.z[:2])
            forward.leave(past, self._cells.n_ref, v, b, z, z_before, refractory, pending, y, rate, job.lanes)
        return State(*(torch.from_numpy(part) for part in (v, b, z, z_before, refractory, pending, y)))

    @state.setter
    def state(self, state: State) -> None:
        check_state(state, self._wiring, self._job.batch)
        parts = [part.detach().contiguous().numpy() for part in state]
        if int(state.refractory.max()) > self._job.silent_steps:
            raise ValueError(
                f"state is refractory for {int(state.refractory.max())} steps, neurons for {self._job.silent_steps}"
            )
        for block in self._blocks:
            if not forward.enter(block, *parts, self._job.lanes):
                raise ValueError("state.z and state.z_before must be 0 or 1")
