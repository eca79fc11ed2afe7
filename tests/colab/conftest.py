"""These tests install the course into the Python that runs them, in place of what is there.

So only the one that `make test-colab` makes for them runs them; elsewhere they are left out.
"""

import sys
from pathlib import Path

MADE_FOR_THEM = (Path(sys.prefix) / ".installed").is_file()  # written by tools/install_colab.py

collect_ignore_glob = [] if MADE_FOR_THEM else ["test_*.py"]
