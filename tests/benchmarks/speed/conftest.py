"""Collects what is measured; a complete run prints the table and writes docs/benchmarks.md."""

import logging

import pytest
import report
import work

logging.getLogger("bitsandbytes").setLevel("ERROR")
MEASURED = pytest.StashKey()


def pytest_configure(config):
    config.stash[MEASURED] = []


@pytest.fixture
def measured(request):
    """The list that every row goes into."""
    return request.config.stash[MEASURED]


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    rows = config.stash[MEASURED]
    largest = [m for m in rows if m.size == work.LARGEST]
    if largest:
        terminalreporter.write_line("\n" + report.table(largest))
    if exitstatus == 0 and len(rows) == sum(len(w.sizes) for w in work.ALL):
        report.write(rows)
        terminalreporter.write_line(f"\nwritten to {report.DOCS.name}/benchmarks.md")
    else:
        terminalreporter.write_line("\nNot all rows were run: docs/benchmarks.md stays as it is.")
