"""Settings of the whole test session."""

import pytest
import torch
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)  # the same examples in every run; look further with
settings.register_profile("searching")  # pytest --hypothesis-profile=searching
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small networks are fastest on one thread, and results do not depend on the machine's cores."""
    torch.set_num_threads(1)
