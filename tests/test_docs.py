"""What the documentation says runs."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import torch

import lsnn
from lsnn import presets, tasks, training

ROOT = Path(__file__).parents[1]


def code_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)


def test_the_new_task_of_extending_md_trains(tmp_path, monkeypatch):
    block, *_ = code_blocks("docs/extending.md")
    for table in (tasks.TASKS, presets.PRESETS):  # what the block enters is taken out again
        monkeypatch.setitem(table, "which-first", None)
    module = type(sys)("which_first")
    monkeypatch.setitem(sys.modules, "which_first", module)
    exec(compile(block, "extending.md", "exec"), vars(module))
    training.start(tmp_path / "run", presets.PRESETS["which-first"].experiment)
    results = training.proceed(tmp_path / "run")
    assert results["test"]["accuracy"] > 0.8
    assert results["test"]["rate_hz"] > 1


def test_the_family_of_functions_of_extending_md_trains(tmp_path, monkeypatch):
    _, block, *_ = code_blocks("docs/extending.md")
    for table, name in ((tasks.TASKS, "bells"), (presets.PRESETS, "l2l-bells")):
        monkeypatch.setitem(table, name, None)
    module = type(sys)("bells")
    monkeypatch.setitem(sys.modules, "bells", module)
    exec(compile(block, "extending.md", "exec"), vars(module))
    experiment = presets.PRESETS["l2l-bells"].experiment
    task = replace(experiment.task, n_examples=20, example_ms=2, n_validation=2, n_test=2)
    training.start(tmp_path / "run", replace(experiment, task=task, iterations=1, batch_size=2))
    assert training.proceed(tmp_path / "run")["test"]["mse"] > 0
    x, y = task.unseen("test")[1]
    assert 0 <= y.min() < y.max() <= 1 and y.shape == (20, 2) and x.shape == (20, 2, 1)


def test_the_world_of_extending_md_is_played_and_trains(tmp_path, monkeypatch):
    _, _, block, _ = code_blocks("docs/extending.md")
    for table in (tasks.TASKS, presets.PRESETS):
        monkeypatch.setitem(table, "bandit", None)
    module = type(sys)("bandit")
    monkeypatch.setitem(sys.modules, "bandit", module)
    exec(compile(block, "extending.md", "exec"), vars(module))
    bandit, chance = module.Bandit(), torch.Generator().manual_seed(0)
    assert isinstance(bandit, tasks.Environment)
    known = bandit.begin(50, chance)
    for _ in range(bandit.steps):
        known.act(known.better)
    assert 43 < bandit.metrics(known.record())["rewards"].mean() < 47  # of 50 pulls: 0.9
    experiment = presets.PRESETS["bandit"].experiment
    training.start(tmp_path / "run", replace(experiment, task=replace(bandit, steps=100), iterations=1, batch_size=4))
    assert 4 < training.proceed(tmp_path / "run")["test"]["rewards"] < 6  # of 10 pulls, hardly trained: 0.5


def test_the_gymnasium_code_of_extending_md_runs():
    *_, block = code_blocks("docs/extending.md")
    found: dict = {}
    exec(compile(block, "extending.md", "exec"), found)
    assert found["picture"].shape == (320, 320, 3) and found["observations"].shape == (64, 160)


def test_the_python_of_the_readme_runs(capsys):
    found: dict = {}
    for block in code_blocks("README.md"):
        torch.manual_seed(0)
        exec(compile(block, "README.md", "exec"), found)
    out = capsys.readouterr().out
    assert "synapses" in out and "torch.Size([840, 16, 220])" in out


def test_every_function_that_equations_md_names_exists():
    page = (ROOT / "docs/equations.md").read_text()
    names = set(re.findall(r"\| `(lsnn\.[\w.]+)` \|", page))
    assert len(names) > 8
    for name in names:
        found: object = lsnn
        for part in name.split(".")[1:]:
            __import__("importlib").import_module(f"lsnn.{part}") if not hasattr(found, part) else None
            found = getattr(found, part)


def test_links_and_pictures_of_the_pages_are_there():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    assert len(pages) > 10
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            assert "://" in target or (page.parent / target).exists(), f"{page.name} links to {target}"


def test_version_is_the_changelogs_newest():
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert newest is not None and newest.group(1) == lsnn.__version__
