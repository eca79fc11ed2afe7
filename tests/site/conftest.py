"""The tests of the website's and the slides' making; what they look like is in tests/browser."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
