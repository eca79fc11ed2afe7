"""The browser tests run where Chromium and Playwright are, and say so where they are not."""

from lab import (  # noqa: F401
    HOW_TO_GET_CHROMIUM,
    can_run,
    chromium,
    jupyter,
    lab,
    no_console_errors,
    notebook,
    open_page,
)

collect_ignore_glob = [] if can_run() else ["test_*.py"]


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker("browser")


def pytest_terminal_summary(terminalreporter):
    if not can_run():
        terminalreporter.write_line(HOW_TO_GET_CHROMIUM)
