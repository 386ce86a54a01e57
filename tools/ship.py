"""Put the network of a finished run into the box: its files for `lsnn.load_pretrained`, and a model card.

    python tools/ship.py RUN NAME

Nothing but the run folder is read; the accuracy on the card is measured again by `lsnn evaluate NAME`, and by a test.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lsnn import pretrained, runs
from lsnn.presets import PRESETS
from lsnn.presets.command import Origin, reproduce
from lsnn.report.run import Run, read_run
from lsnn.trainer import PLACES

LICENCES = {
    "sequential-mnist": "; trained on MNIST (CC BY-SA 3.0)",
    "omniglot": "; trained on Omniglot (MIT licence)",
    "timit": "; trained on speech that espeak-ng synthesised (lsnn data speech), not on TIMIT",
}
"""of the data that a network was trained on, by task"""
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64)
LINES = 200
"""most records of the learning curves that go with a network"""


def ship(run: Path, name: str) -> Path:
    """Write the box's folder of that name.  Returns it."""
    found = read_run(run)
    if found.results is None:
        raise ValueError(f"{run} is not finished; go on with: lsnn resume {run}")
    if found.preset not in PRESETS:
        raise ValueError(f"{run} was trained without a preset, so its card could not say how; train it with lsnn train")
    folder = pretrained.FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    runs.write_json(folder / runs.CONFIG, _without_places(runs.read_json(run / runs.CONFIG)))
    weights = runs.read_tensors(run / runs.WEIGHTS)
    runs.write_tensors(folder / runs.WEIGHTS, {name: _narrowed(tensor) for name, tensor in weights.items()})
    example = runs.read_tensors(run / runs.EXAMPLE)
    if "relative_thresholds" in example:
        example["relative_thresholds"] = example["relative_thresholds"].half()  # most of its bytes, and only drawn
    runs.write_tensors(folder / runs.EXAMPLE, example)
    runs.write_bytes(folder / runs.RESULTS, (run / runs.RESULTS).read_bytes())
    if (run / runs.ANALYSIS).exists():
        runs.write_bytes(folder / runs.ANALYSIS, (run / runs.ANALYSIS).read_bytes())
    runs.write_metrics(
        folder, [record for event in ("train", "validation", "test") for record in _thinned(found, event)]
    )
    runs.write_bytes(folder / "README.md", card(found, name).encode())
    return folder


def _narrowed(tensor: Tensor) -> Tensor:
    """Whole numbers in as few bytes as hold them: loading widens them again."""
    if tensor.is_floating_point() or tensor.dtype is torch.bool or not tensor.numel():
        return tensor
    largest = int(tensor.abs().max())
    return tensor.to(next(kind for kind in INTEGERS if largest <= torch.iinfo(kind).max))


def _without_places(config: dict[str, Any]) -> dict[str, Any]:
    """The config of a run without the names of folders on this machine."""
    task = {name: None if name in PLACES else value for name, value in config["experiment"]["task"].items()}
    return {**config, "experiment": {**config["experiment"], "task": task}}


def _anywhere(run: Origin) -> Origin:
    """The same with data in a folder of the same name, wherever that is."""
    task = run.experiment.task
    places = {name: getattr(task, name) for name in PLACES if getattr(task, name, None) is not None}
    folders = {name: Path(place.name) for name, place in places.items() if place.is_absolute()}
    return run._replace(experiment=replace(run.experiment, task=replace(task, **folders)))


def _thinned(run: Run, event: str) -> list[dict]:
    records = [dict(record) for record in run.metrics if record["event"] == event]
    step = -(-len(records) // LINES) or 1
    return records[::-step][::-1]


def card(run: Run, name: str) -> str:
    """What the network is, how it was trained, how good it is."""
    assert run.results is not None and run.preset is not None
    results, machine = run.results, run.results["machine"]
    rows = {f"test {metric}": f"{value:.4f}" for metric, value in results["test"].items()}
    rows["parameters"] = f"{results['parameters']:,}"
    if "active" in results:
        rows["synapses"] = ", ".join(f"{n:,} {block}" for block, n in results["active"].items())
    rows |= {
        "seed": str(run.experiment.seed),
        "training": f"{results['iterations']:,} iterations, {results['seconds']:,.0f} s, {machine['threads']} threads",
        "machine": f"{machine['cpu']}, torch {machine['torch']}",
        "test set": "used once, after training; no choice was made on it",
        "licence": "BSD-3-Clause" + LICENCES.get(run.experiment.task.name, ""),
    }
    data = " --data DIR" if getattr(run.experiment.task, "data", None) else ""
    paper = [f"- {row.spelled}, {row.label} ({row.source})" for row in PRESETS[run.preset].paper]
    parts = [
        f"# {name}",
        reproduce(_anywhere(run.origin)),
        "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())]),
        "\n".join(["The paper's:", "", *paper]) if paper else "",
        f"```sh\nlsnn evaluate {name}{data}\n```",
        f'```python\nnet = lsnn.load_pretrained("{name}")\n```',
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a finished run folder")
    parser.add_argument("name", help="what evaluate and load_pretrained call it")
    options = parser.parse_args()
    try:
        print(ship(options.run, options.name))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
