"""The course's public address, and the links made from it. It stands in pyproject.toml alone."""

import tomllib
from importlib import metadata
from pathlib import Path

BRANCH = "main"
_PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def repository():
    """Return the address of the repository, from pyproject.toml or the installed package."""
    if _PYPROJECT.exists():
        urls = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]["urls"]
        return urls["Repository"]
    lines = metadata.metadata("quantlab").get_all("Project-URL")
    return dict(line.split(", ", 1) for line in lines)["Repository"]


def colab(name):
    """Return the link that opens the notebook file `name` in Colab."""
    return f"https://colab.research.google.com/github/{_owner_and_name()}/blob/{BRANCH}/notebooks/{name}"


def binder(name):
    """Return the link that opens the notebook file `name` on Binder."""
    return f"https://mybinder.org/v2/gh/{_owner_and_name()}/{BRANCH}?labpath=notebooks/{name}"


def _owner_and_name():
    return repository().removeprefix("https://github.com/")
