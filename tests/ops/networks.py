"""Small networks that spike, with everything switched on: delays, refractoriness, adaptation, both reset orders."""

from typing import Any

import torch
from torch import Tensor

import lsnn
from lsnn import ops
from lsnn.neuron import Constants, State
from lsnn.synapses import Wiring

N_IN, N, N_OUT, BATCH, STEPS, MAX_DELAY = 4, 6, 2, 3, 25, 4


def network(seed: int = 0, **cells: Any) -> lsnn.LSNN:
    """Heterogeneous constants and a gain high enough for spikes."""
    generator = torch.Generator().manual_seed(seed)

    def spread(low: float, high: float) -> tuple[float, ...]:
        return tuple((low + (high - low) * torch.rand(N, generator=generator, dtype=torch.float64)).tolist())

    constants = {
        "tau_m": spread(5, 20), "tau_a": spread(10, 60), "beta": spread(0.5, 2.0), "v_th": spread(0.05, 0.15),
        "noise_std": spread(0.0, 0.2), "n_ref": 2,
    }  # fmt: skip
    net = lsnn.LSNN(
        N_IN, lsnn.Cells(n_regular=2, n_adaptive=4, **constants | cells), N_OUT,
        connectivity=0.6, max_delay=MAX_DELAY, gain=2.0, tau_out=7.0, seed=seed,
    )  # fmt: skip
    return net.double()


def leaves(net: lsnn.LSNN, seed: int = 0, spikes_in: bool = False) -> dict[str, Tensor]:
    """Everything the kernel is differentiable in, as leaf tensors, the state in the middle of an activity."""
    generator = torch.Generator().manual_seed(100 + seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    constants = net.constants()
    state_z = (torch.rand(2, BATCH, N, generator=generator, dtype=torch.float64) < 0.3).double()
    values = {
        "weight": net.synapses.weight().detach(),
        **{name: getattr(constants, name) for name in ("tau_m", "tau_a", "beta", "v_th", "noise_std")},
        "inputs": 0.5 + normal(STEPS, BATCH, N_IN),
        "noise": normal(STEPS, BATCH, N),
        "v": 0.05 * normal(BATCH, N),
        "b": 0.1 * normal(BATCH, N).abs(),
        "z": state_z[0],
        "z_before": state_z[1],
        "pending": 0.1 * normal(MAX_DELAY, BATCH, N),
        "y": normal(BATCH, N_OUT),
    }
    if spikes_in:
        values["inputs"] = (values["inputs"] > 0.5).double()
    return {name: value.clone().requires_grad_() for name, value in values.items()}


def assemble(net: lsnn.LSNN, x: dict[str, Tensor]) -> tuple[Wiring, Constants, State]:
    """The kernel's arguments, made of the given leaves."""
    names = ("tau_m", "tau_a", "beta", "v_th", "noise_std")
    refractory = torch.arange(BATCH * N).reshape(BATCH, N) % 3  # some neurons start refractory
    return (
        net.synapses.wiring()._replace(weight=x["weight"]),
        net.constants()._replace(**{name: x[name] for name in names}),
        State(x["v"], x["b"], x["z"], x["z_before"], refractory, x["pending"], x["y"]),
    )


def activity(net: lsnn.LSNN, x: dict[str, Tensor], backend: ops.Backend = "reference") -> tuple[ops.Activity, State]:
    wiring, constants, state = assemble(net, x)
    record = ("spikes", "voltages", "thresholds")
    return ops.run(x["inputs"], wiring, constants, state, noise=x["noise"], record=record, backend=backend)


SCALES = {"rate": 1e-2, "voltages": 10.0, "thresholds": 10.0, "v": 10.0}
"""bring outputs of different units to the same size"""


def objective(result: ops.Activity, final: State) -> Tensor:
    """A smooth number that depends on every output, each entry with a weight of its own."""
    generator = torch.Generator().manual_seed(7)
    total = torch.zeros((), dtype=torch.float64)
    for name, output in {**result._asdict(), **final._asdict()}.items():
        if output is not None and output.is_floating_point():
            weights = torch.randn(output.shape, generator=generator, dtype=torch.float64)
            total = total + SCALES.get(name, 1.0) * (weights * output).sum() / output.numel() ** 0.5
    return total
