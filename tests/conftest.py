"""What every test gets: a figure style of its own, and a worker that suits it."""

import os

# One thread each, if several workers share the processor: set before NumPy and torch start theirs.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib
import pytest

# Doctests would import this file once more, under a name that a folder's conftest has by then.
collect_ignore = ["conftest.py"]


@pytest.fixture(autouse=True)
def _style_stays_in_its_test():
    """A figure style that one test applies is gone in the next."""
    with matplotlib.rc_context():
        yield
