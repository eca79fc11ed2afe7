"""What every test gets: the figure style that one test applies is gone in the next."""

import matplotlib
import pytest


@pytest.fixture(autouse=True)
def _style_stays_in_its_test():
    with matplotlib.rc_context():
        yield
