"""One measurement in this process: training iterations over a batch, single steps, or whole training steps."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lsnn.bench.clock import Clock, peak_mb, repeat
from lsnn.bench.works import Training, Work
from lsnn.deep_r import DeepR
from lsnn.experiments import Spiking
from lsnn.network import LSNN
from lsnn.ops import Backend, Memory
from lsnn.trainer import Trainer

TAIL = 56
"""steps at the end over which the readout is averaged"""

Run = Callable[[], tuple[Tensor, Tensor]]
"""runs over a batch: mean readout over the last TAIL steps, (batch, n_out), and rates in Hz, (batch, n)"""


def measure(work: Work | Training, backend: Backend, memory: Memory, iterations: int, threads: int) -> dict[str, Any]:
    """Times in s, medians after a first call; memory in MB over what the process held before."""
    torch.set_num_threads(threads)
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # torch imports its compiler with the first optimizer
    before = peak_mb()
    if isinstance(work, Training):
        times = train(work, backend, memory, iterations)
    elif work.streams:
        times = stream(work, backend)
    else:
        net = work.network(backend, memory)
        times = repeat(training_step(whole_run(net, work.inputs()), net.parameters(), work.target()), iterations)
    return {**times, "peak_mb": peak_mb() - before}


def whole_run(net: LSNN, inputs: Tensor) -> Run:
    """A network over all its inputs."""

    def run() -> tuple[Tensor, Tensor]:
        activity, _ = net(inputs)
        return activity.readout[-TAIL:].mean(0), activity.rate

    return run


def training_step(run: Run, parameters: Iterable[Tensor], target: Tensor) -> Callable[[Clock], float]:
    """Forward, loss (cross-entropy and a rate regulariser), backward to all parameters, a step of Adam.

    The learning rate is zero: all the work of a step, at a firing rate that stays.  Returns a function for `repeat`.
    """
    optimizer = torch.optim.Adam(parameters, lr=0.0)

    def step(clock: Clock) -> float:
        clock.begin()
        readout, rate = run()
        clock.lap("forward_s")
        loss = torch.nn.functional.cross_entropy(readout, target) + 1e-4 * (rate - 20).square().mean()
        optimizer.zero_grad()
        clock.lap("loss_s")
        loss.backward()
        clock.lap("backward_s")
        optimizer.step()
        clock.lap("optimizer_s")
        clock.end()
        return rate.mean().item()

    return step


def stream(work: Work, backend: Backend) -> dict[str, Any]:
    """Seconds per step of a closed loop: `LSNN.stepper` where the kernel has one, else calls of one step."""
    net, inputs = work.network(backend), iter(work.inputs().float())
    stepper = None if backend == "reference" else net.stepper()
    state = net.initial_state(work.batch)

    def step(clock: Clock) -> float:
        nonlocal state
        x = next(inputs)
        clock.begin()
        if stepper is not None:
            fired = stepper(x)[1]
        else:
            activity, state = net(x[None], state, record=["spikes"])
            fired = activity.spikes
        clock.end()
        return 1000 * fired.mean().item()

    with torch.no_grad():
        return repeat(step, work.steps - 1)


def train(training: Training, backend: Backend, memory: Memory, iterations: int) -> dict[str, Any]:
    """Steps of a `lsnn.trainer.Trainer`; every backend is measured on the network that the compiled one settles at."""
    network = training.experiment.network
    assert isinstance(network, Spiking)
    settled = replace(network, memory=memory)
    trainer = Trainer.start(replace(training.experiment, network=settled))
    assert isinstance(trainer.network, LSNN)
    hooked: list[Clock] = []
    _mark_phases(trainer, lambda phase: hooked[-1].lap(phase))

    def step(clock: Clock) -> float:
        hooked.append(clock)
        clock.begin()
        metrics = trainer.step()
        clock.end()
        return metrics["rate_hz"]

    settling = Clock()
    for _ in range(training.settle):
        step(settling)
    trainer.network.backend = backend
    times = repeat(step, iterations)
    if settling.iterations and backend != "reference":
        times["first_s"] = settling.iterations[0]["iteration_s"]
    return times


def _mark_phases(trainer: Trainer, lap: Callable[[str], None]) -> None:
    """Call lap at the end of each phase of a training step; what follows the last is metrics."""
    trainer.network.register_forward_pre_hook(lambda *_: lap("encode_s"))
    trainer.network.register_forward_hook(lambda *_: lap("forward_s"))
    trainer.optimizer.register_step_pre_hook(lambda *_: lap("backward_s"))
    if isinstance(trainer.optimizer, DeepR):
        trainer.optimizer.base.register_step_post_hook(lambda *_: lap("optimizer_s"))
        trainer.optimizer.register_step_post_hook(lambda *_: lap("rewire_s"))
    else:
        trainer.optimizer.register_step_post_hook(lambda *_: lap("optimizer_s"))
