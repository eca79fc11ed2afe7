"""What the comparisons with torch need: quiet libraries and one order of additions."""

import logging

import pytest


@pytest.fixture(autouse=True, scope="session")
def quiet_bitsandbytes():
    """bitsandbytes logs a warning per call for float32 inputs; the level has to stand first."""
    logging.getLogger("bitsandbytes").setLevel("ERROR")


@pytest.fixture
def one_thread():
    """torch.mean of more than 32,768 values is split by threads, which changes its last bit."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
