"""The browser benchmarks use the fixtures of the browser tests, and need what those need."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "browser"))

from lab import (  # noqa: F401
    can_run,
    chromium,
    jupyter,
    lab,
    no_console_errors,
    open_page,
)

collect_ignore_glob = [] if can_run() else ["test_*_latency.py"]
