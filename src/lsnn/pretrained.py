"""Trained networks in the box: finished runs, reduced to what evaluation and report need, with a model card each."""

import difflib
from pathlib import Path

from torch import nn

from lsnn import runs, training
from lsnn.experiments import AnyTask

FOLDER = Path(__file__).parent / "data" / "pretrained"


def names() -> list[str]:
    """Every network in the box."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{runs.RESULTS}"))


def folder(name: str) -> Path:
    """The run folder of a network in the box.  ValueError where there is none of that name."""
    if name in names():
        return FOLDER / name
    if Path(name).exists():
        raise ValueError(f"{name} is no network of the box; lsnn.load takes run folders")
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


def load(run: str | Path) -> tuple[nn.Module, AnyTask]:
    """A trained network in evaluation mode, and the task that it was trained on.

    run: a run folder, finished or not, or the name of a network in the box.

    net, task = lsnn.load("smnist")
    batch = task.batch("test", 16, torch.Generator().manual_seed(0))
    activity, state = net(batch.inputs)                             # inputs: (time, batch, n_in)
    task.metrics(activity.readout, batch)["accuracy"]               # 1 for each image that is named right

    Networks with noise of their own, agents in arenas, take a generator for it besides.  ValueError where there is no
    such run or network.
    """
    experiment, network, _ = training.restore_network(locate(Path(run)))
    return network.eval(), experiment.task


def load_pretrained(name: str) -> nn.Module:
    """A trained network from the box, in evaluation mode; its card is README.md in `folder(name)`.

    `load` gives its task besides, and takes run folders, too.  ValueError for an unknown name.
    """
    _, network, _ = training.restore_network(folder(name))
    return network.eval()
