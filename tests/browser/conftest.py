"""The browser tests run where Chromium and Playwright are; tests/conftest.py says where not."""

from lab import (  # noqa: F401
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
