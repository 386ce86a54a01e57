from dataclasses import replace
from pathlib import Path

import pytest

from lsnn.figures import style
from lsnn.presets import PRESETS
from tests.report.folders import small, write_run


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer pixels, to save time."""
    monkeypatch.setattr(style, "DPI", 20)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", small("smnist", iterations=20))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the preset itself, short of nothing but time: its log has every 3,000th iteration only."""
    experiment = replace(PRESETS["smnist-paper"].experiment, log_every=3000)
    return write_run(tmp_path_factory.mktemp("runs") / "smnist-0", experiment, "smnist-paper")
