"""What `make test` says at its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
OTHERS = [
    f"--ignore={path}" for path in TESTS.iterdir() if path.name not in ("browser", "conftest.py")
]


@pytest.mark.parametrize("workers", [[], ["--numprocesses=2"]], ids=["one process", "two workers"])
def test_without_chromium_one_line_says_that_browser_tests_were_left_out(workers):
    command = [sys.executable, "-m", "pytest", *workers, "tests", *OTHERS]
    environment = {**os.environ, "QUANTLAB_CHROMIUM": "/nowhere/chromium"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    run = subprocess.run(
        command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, run.stdout + run.stderr
    (line,) = [line for line in run.stdout.splitlines() if "browser tests skipped" in line]
    assert "apt install chromium" in line


def test_who_asks_for_other_tests_hears_nothing_of_browsers():
    command = [sys.executable, "-m", "pytest", "tests/test_layers.py", "--collect-only"]
    environment = {**os.environ, "QUANTLAB_CHROMIUM": "/nowhere/chromium"}
    run = subprocess.run(
        command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, check=True
    )
    assert "browser" not in run.stdout
