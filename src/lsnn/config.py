"""An experiment as plain data for config.json, and back: parsed and checked, never evaluated."""

import dataclasses
from pathlib import Path
from typing import Any

import msgspec

from lsnn.experiments import NETWORKS, Experiment
from lsnn.tasks import TASKS


def encode(experiment: Experiment) -> dict[str, Any]:
    """Plain data for config.json; task and network carry their name."""
    data = _plain(dataclasses.asdict(experiment))
    kind = next(name for name, network in NETWORKS.items() if isinstance(experiment.network, network))
    data["task"] = {"name": experiment.task.name, **data["task"]}
    data["network"] = {"kind": kind, **data["network"]}
    return data


def decode(data: Any) -> Experiment:
    """The experiment that `encode` wrote, also with an earlier version's fewer fields: those it lacks have defaults,
    which keep what was before.  Raises ValueError, naming the field, on anything else.
    """
    fields = _object(data, "experiment")
    task, network = (_object(fields.pop(name, None), name) for name in ("task", "network"))
    task_type = _lookup("task", TASKS, task.pop("name", None))
    network_type = _lookup("network", NETWORKS, network.pop("kind", None))
    rest = {f.name: f.type for f in dataclasses.fields(Experiment) if f.name not in ("task", "network")}
    values = {}
    for name in rest.keys() & fields.keys():
        given = fields.pop(name)
        values[name] = _convert(given, rest[name], name)
        if isinstance(given, dict):
            _check_fields(given, _plain(dataclasses.asdict(values[name])), name)
    _refuse_unknown(fields, "experiment")
    return Experiment(_dataclass(task, task_type, "task"), _dataclass(network, network_type, "network"), **values)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _object(data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError(f"{where} is missing or no object")
    return dict(data)


def _lookup(what: str, table: dict[str, Any], name: Any) -> Any:
    if not isinstance(name, str) or name not in table:
        raise ValueError(
            f"unknown {what} {name!r}; known: {', '.join(table)}; if it is your own, name its file with --use"
        )
    return table[name]


def _dataclass(data: dict[str, Any], kind: type, where: str) -> Any:
    value = _convert(data, kind, where)
    _check_fields(data, _plain(dataclasses.asdict(value)), where)
    return value


def _convert(data: Any, kind: Any, where: str) -> Any:
    try:
        return msgspec.convert(data, kind, dec_hook=lambda target, item: target(item))
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise ValueError(f"{where}: {error}") from None


def _check_fields(given: Any, understood: Any, where: str) -> None:
    if isinstance(given, dict) and isinstance(understood, dict):
        _refuse_unknown(given.keys() - understood.keys(), where)
        for key in given:
            _check_fields(given[key], understood[key], f"{where}.{key}")


def _refuse_unknown(names: Any, where: str) -> None:
    if names:
        raise ValueError(f"{where} has unknown fields {sorted(names)}")
