"""A study of memory as files: a page, the figure on it, and the numbers behind both."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsnn import figures, runs
from lsnn.experiments import Experiment
from lsnn.figures import Panel, Reference
from lsnn.memory import Returns, Study
from lsnn.memory.returns import EXCHANGES
from lsnn.memory.tampering import TAMPERINGS, Tampering
from lsnn.report.plates import Plate, gallery
from lsnn.words import table

CAPTION = (
    "Left: look for variables that tell the class long after others have forgotten it. Middle: look for how far back "
    "the input can still be read. Right: look for what the answer does not survive."
)
RETURNS_CAPTION = (
    "Left: look for exchanges after which an agent no longer finds back to its own goal. Right: look for those after "
    "which it goes to the other's: what was exchanged is where the place was kept."
)


def write_memory(title: str, experiment: Experiment, studied: Study, out: Path) -> list[Path]:
    """Write memory.md, memory.json, and the figure as PNG and PDF into a folder.  Returns the files."""
    plate = Plate("memory", figures.draw_panels(_panels(experiment, studied)), CAPTION)
    numbers = {name: part._asdict() if hasattr(part, "_asdict") else part for name, part in studied._asdict().items()}
    return _write(_page(title, studied, plate), numbers, plate, out)


def write_returns(title: str, found: Returns, out: Path) -> list[Path]:
    """The same of an agent in an arena."""
    own, other = _percent(found.own), _percent(found.other)
    panels = [
        Panel("at its own goal", found.after, "steps after the exchange", own, "agents (%)"),
        Panel("at the other's goal first", found.after, "steps after the exchange", other, "agents (%)"),
    ]
    plate = Plate("memory", figures.draw_panels(panels), RETURNS_CAPTION)
    parts = [
        f"# Where {title} keeps the place of its goal",
        f"At step {found.at} of each episode, agents exchange parts of their state, not their places; counted are "
        f"{found.n:,} pairs that have both found their goals, which do not overlap.\n\n"
        + "\n".join(f"- {name}: {_what(exchange, agents=True)}" for name, exchange in EXCHANGES.items()),
        "Agents that have reached their own goal, %.",
        _table("steps after", found.after, found.own),
        "Agents that have been where the other's goal was, and not at their own before, %.",
        _table("steps after", found.after, found.other),
    ]
    return _write("\n\n".join(parts + gallery([plate])) + "\n", found._asdict(), plate, out)


def _write(page: str, numbers: dict[str, Any], plate: Plate, out: Path) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"memory.{suffix}" for suffix in ("md", "json", "png", "pdf")]
    runs.write_bytes(paths[0], page.encode())
    runs.write_json(paths[1], numbers)
    for path in paths[2:]:
        runs.write_bytes(path, figures.render(plate.figure, "png" if path.suffix == ".png" else "pdf"))
    return paths


def _panels(experiment: Experiment, studied: Study) -> list[Panel]:
    decoded, tampered = studied.decoded, studied.tampered
    chance, intact = Reference(100 / experiment.task.n_out, "chance"), Reference(100 * tampered.intact, "left alone")
    right, explained, after = (_percent(shares) for shares in (decoded.right, decoded.explained, tampered.right))
    past = f"past input, at step {decoded.recalled_at}"
    return [
        Panel("class, read out linearly", decoded.steps, "step", right, "right (%)", [chance]),
        Panel(past, decoded.back, "steps back", explained, "variance explained (%)"),
        Panel("answers after tampering", tampered.steps, "step of tampering", after, "right (%)", [intact]),
    ]


def _percent(shares: Mapping[str, Sequence[float | None]]) -> dict[str, list[float | None]]:
    return {name: [None if value is None else 100 * value for value in values] for name, values in shares.items()}


def _page(title: str, studied: Study, plate: Plate) -> str:
    decoded, tampered = studied.decoded, studied.tampered
    parts = [
        f"# What {title} remembers, and where",
        f"Class read out of each variable by ridge regression, right answers in % of {studied.n_decoded:,} validation "
        "examples; the decoders are fitted on as many training examples.",
        _table("step", decoded.steps, decoded.right),
        f"Input of past stretches read out at step {decoded.recalled_at}, % of its variance explained.",
        _table("steps back", decoded.back, decoded.explained),
        f"Answers after tampering in mid-trial, right ones in % of {studied.n_tampered:,} validation examples; "
        f"{100 * tampered.intact:.1f} % if left alone.\n\n"
        + "\n".join(f"- {name}: {_what(TAMPERINGS[name])}" for name in tampered.right),
        _table("changed at step", tampered.steps, tampered.right),
    ]
    return "\n\n".join(parts + gallery([plate])) + "\n"


def _what(tamper: Tampering, agents: bool = False) -> str:
    words = (tamper.__doc__ or "").split(".")[0]
    words = words.replace("example", "agent") if agents else words
    return words[:1].lower() + words[1:]


def _table(label: str, steps: list[int], shares: Mapping[str, Sequence[float | None]]) -> str:
    """A row per variable, and a column for every fourth step, the last one among them."""
    chosen = range(len(steps))[::-4][::-1]
    cells = {
        name: ["" if (value := values[k]) is None else f"{value:.0f}" for k in chosen]
        for name, values in _percent(shares).items()
    }
    return table([label, *(str(steps[k]) for k in chosen)], [[name, *row] for name, row in cells.items()])
