"""What a network would answer next, asked from one frozen state: its internal model."""

from typing import Any, TypeVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from lsnn.neuron import State

Part = TypeVar("Part", bound=Any)


@torch.no_grad()
def probe(
    network: nn.Module, state: Any, inputs: Shaped[Tensor, "time question n_in"], *, sample: int = 0, **run: Any
) -> Float[Tensor, "time question n_out"]:
    """The readout for many questions, each asked from the same frozen state: the state itself stays as it is.

        _, state = net(episode[:200])                     # ten examples have been seen
        answers = lsnn.probe(net, state, questions)       # questions: (time, question, n_in)

    Each question gets a copy of the state and runs on its own, as if it were what comes next: a question that is what
    did come next gets the answer that the network gave.  No gradients; ``run`` goes to the network.

    state: of an LSNN, or of a recurrent layer of torch, as the network returned it; of several samples, `sample` is
        the one that is asked.
    """
    if state is None:
        raise ValueError("there is no state to ask from, as of a bidirectional network; probe one that reads forwards")
    copies = inputs.shape[1]
    if isinstance(state, State):
        # the batch is the first axis of all but the currents on their way
        axes = {name: 1 if name == "pending" else 0 for name in State._fields}
        frozen: Any = State(**{name: _copied(getattr(state, name), axes[name], sample, copies) for name in axes})
    elif isinstance(state, Tensor):
        frozen = _copied(state, 1, sample, copies)
    else:
        frozen = tuple(_copied(part, 1, sample, copies) for part in state)
    return network(inputs, frozen, **run)[0].readout


def _copied(part: Tensor, axis: int, sample: int, copies: int) -> Tensor:
    if not 0 <= sample < part.shape[axis]:
        raise ValueError(f"the state holds {part.shape[axis]} samples, so there is no sample {sample}; count from 0")
    return part.narrow(axis, sample, 1).repeat_interleave(copies, dim=axis)
