"""Metrics, durations and tables in words."""

from collections.abc import Sequence

from lsnn.tasks import is_share


def scale(metric: str) -> float:
    """100 for shares, which are shown in per cent."""
    return 100.0 if is_share(metric) else 1.0


def spell(metric: str) -> str:
    """A metric's name in prose."""
    return metric.replace("_", " ")


def axis_label(metric: str) -> str:
    """A metric's name with the unit it is drawn in."""
    return f"{spell(metric)} (%)" if scale(metric) == 100 else spell(metric)


def show(metric: str, value: float) -> str:
    """A metric's value with its unit."""
    return f"{100 * value:.1f} %" if scale(metric) == 100 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """In the unit one would say it in: hours and minutes, minutes, or seconds."""
    minutes = seconds / 60
    if minutes >= 59.5:
        return "{} h {} min".format(*divmod(round(minutes), 60))
    return f"{minutes:.0f} min" if minutes >= 2 else f"{seconds:.0f} s"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
