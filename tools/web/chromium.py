"""Chromium, for what is measured or printed: how it is found, and how to get it."""

import os
import shutil
import sys
from contextlib import contextmanager

HOW_TO_GET_IT = (
    "Chromium or Chrome is missing. Debian, Ubuntu: apt install chromium; elsewhere set "
    "QUANTLAB_CHROMIUM to Chrome's program file."
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find():
    """Return the path of a Chromium or Chrome, or None."""
    named = os.environ.get("QUANTLAB_CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    return next((path for path in map(shutil.which, names) if path), None)


@contextmanager
def browser():
    """A running Chromium without a window; stops with one sentence if there is none."""
    from playwright.sync_api import sync_playwright

    path = find()
    if path is None:
        sys.exit(HOW_TO_GET_IT)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()
