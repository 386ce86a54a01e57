"""A study of memory as files: a page, the figure on it, and the numbers behind both."""

from pathlib import Path

from lsnn import figures, runs
from lsnn.experiments import Experiment
from lsnn.figures import Panel, Reference
from lsnn.memory import Study
from lsnn.memory.tampering import TAMPERINGS, Tampering
from lsnn.report.plates import Plate, gallery
from lsnn.report.words import table

CAPTION = (
    "Left: look for variables that tell the class long after others have forgotten it. Middle: look for how far back "
    "the input can still be read. Right: look for what the answer does not survive."
)


def write_memory(title: str, experiment: Experiment, studied: Study, out: Path) -> list[Path]:
    """Write memory.md, memory.json, and the figure as PNG and PDF into a folder.  Returns the files."""
    out.mkdir(parents=True, exist_ok=True)
    plate = Plate("memory", figures.draw_panels(_panels(experiment, studied)), CAPTION)
    paths = [out / f"memory.{suffix}" for suffix in ("md", "json", "png", "pdf")]
    runs.write_bytes(paths[0], _page(title, studied, plate).encode())
    runs.write_json(
        paths[1],
        {name: part._asdict() if hasattr(part, "_asdict") else part for name, part in studied._asdict().items()},
    )
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


def _percent(shares: dict[str, list[float | None]]) -> dict[str, list[float | None]]:
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
        + "\n".join(f"- {name}: {_what(tamper)}" for name, tamper in TAMPERINGS.items()),
        _table("changed at step", tampered.steps, tampered.right),
    ]
    return "\n\n".join(parts + gallery([plate])) + "\n"


def _what(tamper: Tampering) -> str:
    words = (tamper.__doc__ or "").split(".")[0]
    return words[:1].lower() + words[1:]


def _table(label: str, steps: list[int], shares: dict[str, list[float | None]]) -> str:
    """A row per variable, and a column for every fourth step, the last one among them."""
    chosen = range(len(steps))[::-4][::-1]
    cells = {
        name: ["" if (value := values[k]) is None else f"{value:.0f}" for k in chosen]
        for name, values in _percent(shares).items()
    }
    return table([label, *(str(steps[k]) for k in chosen)], [[name, *row] for name, row in cells.items()])
