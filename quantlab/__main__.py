"""The course's functions where a terminal is at hand: ``python -m quantlab --help``."""

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main())
