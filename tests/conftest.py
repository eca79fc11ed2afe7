"""A figure style for each test, a worker that suits it, and a last line where no browser is."""

import os
import signal
import sys
from pathlib import Path

# One thread each, if several workers share the processor: set before NumPy and torch start theirs.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import matplotlib
import pytest

# Some tests press Ctrl-C or hang up. A shell that starts pytest in the background lets it ignore
# the one, nohup the other.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A property has no deadline: on a busy machine the first example alone may take a second.
hypothesis.settings.register_profile("course", deadline=None)
hypothesis.settings.load_profile("course")

TESTS = Path(__file__).resolve().parent
IN_A_BROWSER = [TESTS / "browser", TESTS / "benchmarks"]
#: What takes minutes comes first: started late, it would run on while another worker has nothing.
LONGEST = ("test_every_notebook.py", "test_pretended_gpu.py")
# Doctests would import this file once more, under a name that a folder's conftest has by then.
collect_ignore = ["conftest.py"]


def pytest_collection_modifyitems(items):
    """Put the longest files first, and keep the order of all others."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_terminal_summary(terminalreporter, config):
    """Say in one line that the browser tests were left out, and how to get them.

    Not in their own folder: with several workers its conftest.py is never loaded where this is
    written.
    """
    sys.path.append(str(IN_A_BROWSER[0]))
    import lab

    start = config.invocation_params.dir
    asked = [(start / argument.split("::")[0]).resolve() for argument in config.args]
    pairs = [(folder, path) for folder in IN_A_BROWSER for path in asked]
    among = any(one.is_relative_to(two) or two.is_relative_to(one) for one, two in pairs)
    if among and not lab.can_run():
        terminalreporter.write_line(lab.HOW_TO_GET_CHROMIUM)


@pytest.fixture(autouse=True)
def _style_stays_in_its_test():
    """A figure style that one test applies is gone in the next."""
    with matplotlib.rc_context():
        yield
