"""How far back the phone of a frame is told: a feedforward network hears the frame and so many before it.

    python tools/reach.py CORPUS [--past 0 2 5 10 20 40]

What such networks gain from more of the past is what any memory can gain on a corpus.  Prints the share of frames named
wrong: in training, on the development set after the best epoch, and on the test set after the same.
"""

import argparse
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from lsnn.speech import frames
from lsnn.speech.features import FRAME_MS, Features
from lsnn.speech.frames import Frames
from lsnn.speech.labels import NO_LABEL
from lsnn.speech.phones import PHONES


def with_past(spoken: Frames, past: int) -> Float[Tensor, "frame n"]:
    """Features of each frame and of those before it, newest first; zero before an utterance begins."""
    start = spoken.first.repeat_interleave(spoken.count)
    place = torch.arange(len(spoken.features))
    columns = []
    for back in range(past + 1):
        known = place - back >= start
        columns.append(torch.where(known[:, None], spoken.features[(place - back).clamp(min=0)], 0))
    return torch.cat(columns, dim=1)


def errors(spoken: frames.Spoken, past: int, hidden: int, epochs: int, batch: int = 1024) -> tuple[float, float, float]:
    """Train, development and test error of one network, at its best epoch."""
    torch.manual_seed(0)
    heard = {name: _labelled(getattr(spoken, name), past) for name in frames.SPLITS}
    x, y = heard["train"]
    network = nn.Sequential(nn.Linear(x.shape[1], hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, len(PHONES)))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    found = []
    for _ in range(epochs):
        network.train()
        for chosen in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            F.cross_entropy(network(x[chosen]), y[chosen]).backward()
            optimizer.step()
        network.eval()
        found.append({name: _error(network, *pair) for name, pair in heard.items()})
    best = min(found, key=lambda errors: errors["validation"])
    return best["train"], best["validation"], best["test"]


def _labelled(spoken: Frames, past: int) -> tuple[Float[Tensor, "frame n"], Int64[Tensor, " frame"]]:
    named = spoken.labels != NO_LABEL
    return with_past(spoken, past)[named], spoken.labels[named]


@torch.no_grad()
def _error(network: nn.Module, x: Tensor, y: Tensor) -> float:
    wrong = sum(int((network(a).argmax(1) != b).sum()) for a, b in zip(x.split(8192), y.split(8192), strict=True))
    return wrong / len(y)


def main() -> None:
    """Print a row per past."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--past", type=int, nargs="+", default=[0, 2, 5, 10, 20, 40], help="frames before")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    spoken = frames.load(options.corpus, Features(), Path("runs/features"))
    print("past, ms  train  development  test")
    for past in options.past:
        row = errors(spoken, past, options.hidden, options.epochs)
        print(f"{past * FRAME_MS:8.0f} " + "  ".join(f"{100 * error:5.1f}" for error in row), flush=True)


if __name__ == "__main__":
    main()
