"""The npm packages of the website and the slides, and what to do where they are missing."""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
HOW_TO_GET_THEM = (
    "The site and the slides need the npm packages of tools/web: run `make site`, or "
    "`npm ci` in tools/web. Node.js 18 or newer has npm: apt install nodejs npm, or nodejs.org"
)


def can_run():
    """Tell whether Node.js and the packages are here."""
    return shutil.which("node") is not None and (MODULES / ".package-lock.json").exists()


def node():
    """Return the path of Node.js; stop with one sentence if it or the packages are missing."""
    if not can_run():
        sys.exit(HOW_TO_GET_THEM)
    return shutil.which("node")


def package(name):
    """Return the folder of an installed npm package; stop with one sentence if it is missing."""
    node()
    return MODULES / name
