"""Settings of the whole test session."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small networks are fastest on one thread, and results do not depend on the machine's cores."""
    torch.set_num_threads(1)
