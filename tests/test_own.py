"""Tasks and presets in a file of one's own: every command knows them, and what is wrong with one is one line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lsnn import cli, presets, tasks
from tests.helpers import ROOT

SHORT = ("--iterations", "2", "--batch-size", "4")


@pytest.fixture
def which_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first task of docs/extending.md in a file, in a folder of its own; what is entered is taken out again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LSNN_USE", "")
    for table in (tasks.TASKS, presets.PRESETS):
        monkeypatch.setitem(table, "which-first", None)
        del table["which-first"]
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "which_first", raising=False)
    block = re.findall(r"```python\n(.*?)```", (ROOT / "docs/extending.md").read_text(), flags=re.DOTALL)[0]
    file = tmp_path / "which_first.py"
    file.write_text(block)
    return file


@pytest.mark.parametrize("named", [["--use", "which_first.py"], ["--use=which_first.py"], ["--use", "which_first"]])
def test_own_tasks_are_trained_with_their_flags(which_first, named, monkeypatch):
    monkeypatch.syspath_prepend(str(which_first.parent))  # as a module, it has to be where Python looks
    assert cli.main([*named, "train", "which-first", "--task.pause-ms", "5", *SHORT]) == 0
    assert cli.main(["evaluate", "runs/which-first-0", *named, "--json"]) == 0
    assert tasks.TASKS["which-first"].__module__ == "which_first"


def test_the_processes_of_a_sweep_know_them_and_the_environment_is_enough(which_first, capsys):
    sweep = ["sweep", "which-first", "--set", "iterations=2 batch-size=4", "--seeds", "0", "1"]
    assert cli.main(["--use", "which_first.py", *sweep]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"which-first_(\d): test accuracy 0\.\d+", out) == ["0", "1"]
    environment = {**os.environ, "LSNN_USE": "which_first.py"}
    command = [sys.executable, "-m", "lsnn", "evaluate", "runs/sweep/which-first_0", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert '"accuracy"' in done.stdout


def test_the_environment_names_files_from_here_and_each_is_run_once(which_first, capsys, monkeypatch):
    which_first.write_text(which_first.read_text() + 'print("it runs")\n')
    monkeypatch.setenv("LSNN_USE", "which_first.py")
    for _ in range(2):
        assert cli.main(["--use", "which_first.py", "list", "which"]) == 0
    assert capsys.readouterr().out.count("it runs") == 1 and os.environ["LSNN_USE"] == str(which_first)


def test_a_run_whose_task_is_not_known_says_how_to_name_it(which_first, capsys, monkeypatch):
    assert cli.main(["--use", "which_first.py", "train", "which-first", *SHORT]) == 0
    capsys.readouterr()
    monkeypatch.setenv("LSNN_USE", "")
    monkeypatch.delitem(tasks.TASKS, "which-first")
    assert cli.main(["evaluate", "runs/which-first-0"]) == 1
    assert "unknown task 'which-first'" in (said := capsys.readouterr().err) and "name its file with --use" in said


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("import lsnn\n\nx = unheard_of\n", r"NameError: name 'unheard_of' is not defined \(line 3\)"),
        ("x = (\n", r"SyntaxError: '\(' was never closed \(broken\.py, line 1\)"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(which_first, capsys, text, complaint):
    Path("broken.py").write_text(text)
    assert cli.main(["list", "--use", "broken.py"]) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(rf"lsnn: error: \S+/broken\.py cannot be used: {complaint}\n", said), said
    assert "broken" not in sys.modules


def test_names_that_lead_nowhere_or_are_taken_are_refused(which_first, capsys):
    Path("json.py").write_text("")
    assert cli.main(["list", "--use", "json.py"]) == 2
    assert "another module called json; give the file another name" in capsys.readouterr().err
    assert cli.main(["list", "--use", "which_frst.py"]) == 2
    assert f"there is no file {which_first.parent}/which_frst.py, which --use or " in capsys.readouterr().err
    assert cli.main(["list", "--use"]) == 2
    assert "--use needs a file or a module, as in: lsnn --use which_first.py" in capsys.readouterr().err
    assert cli.main(["list", "--use", "no_such_module"]) == 2
    assert "no_such_module cannot be used: ModuleNotFoundError: " in capsys.readouterr().err
