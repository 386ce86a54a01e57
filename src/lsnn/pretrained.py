"""Trained networks in the box: finished runs, reduced to what evaluation and report need, with a model card each."""

import difflib
from pathlib import Path

from torch import nn

from lsnn import runs, training

FOLDER = Path(__file__).parent / "data" / "pretrained"


def names() -> list[str]:
    """Every network in the box."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{runs.RESULTS}"))


def folder(name: str) -> Path:
    """The run folder of a network in the box.  ValueError where there is none of that name."""
    if name in names():
        return FOLDER / name
    close = difflib.get_close_matches(name, names(), 1)
    hint = f"did you mean {close[0]}?" if close else f"in the box are {', '.join(names()) or 'none'}"
    raise ValueError(f"there is no trained network {name!r}; {hint}")


def locate(run: Path) -> Path:
    """A run folder as named, or that of a network in the box.  ValueError for a name that is neither."""
    if run.exists() or len(run.parts) > 1:
        return run
    if str(run) not in names():
        box = f"the box has {', '.join(names()) or 'none'}"
        raise ValueError(f"there is no run folder {run}, and no trained network of that name; {box}")
    return folder(str(run))


def load_pretrained(name: str) -> nn.Module:
    """A trained network from the box, in evaluation mode; its card is README.md in `folder(name)`.

    net = lsnn.load_pretrained("smnist")
    activity, state = net(spikes)                   # spikes: (time, batch, n_in), as its task encodes them

    Networks with noise of their own, agents in arenas, take a generator for it besides.  ValueError for an unknown
    name.
    """
    _, network, _ = training.restore_network(folder(name))
    return network.eval()
