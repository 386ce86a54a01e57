"""Settings of the whole test session."""

from pathlib import Path

import pytest
import torch
from hypothesis import settings

from tests.timit_files import write_timit

settings.register_profile("repeatable", derandomize=True)  # the same examples in every run; look further with
settings.register_profile("searching")  # pytest --hypothesis-profile=searching
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small networks are fastest on one thread, and results do not depend on the machine's cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def timit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny corpus in TIMIT's layout; read, don't write."""
    return write_timit(tmp_path_factory.mktemp("corpora") / "TIMIT")
