"""The course's public address, and the links made from it. It stands in pyproject.toml alone."""

import re
import tomllib
from importlib import metadata
from pathlib import Path
from urllib.parse import urlencode

BRANCH = "main"
NOBODY = "YOUR_ACCOUNT"  # stands for the owner until there is one; no GitHub name has an underscore
_PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def repository():
    """Return the address of the repository, from pyproject.toml or the installed package."""
    if _PYPROJECT.exists():
        urls = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]["urls"]
        return urls["Repository"]
    lines = metadata.metadata("quantlab").get_all("Project-URL")
    return dict(line.split(", ", 1) for line in lines)["Repository"]


def is_set():
    """Say whether the course has a public address: until then nothing may be installed from it."""
    return f"/{NOBODY}/" not in repository()


def colab(name):
    """Return the link that opens the notebook file `name` in Colab."""
    return f"https://colab.research.google.com/github/{owner_and_name()}/blob/{BRANCH}/notebooks/{name}"


def binder(name):
    """Return the link that opens the notebook file `name` on Binder."""
    return f"https://mybinder.org/v2/gh/{owner_and_name()}/{BRANCH}?labpath=notebooks/{name}"


def nbgitpuller(name):
    """Return the page that makes links for a JupyterHub, filled in to open the notebook `name`.

    A link from there copies the course into a student's folder, and again whenever it changes.
    The page asks for the hub's own address: only the lecturer knows it.
    """
    repo = f"https://github.com/{owner_and_name()}"
    path = f"lab/tree/{repo.split('/')[-1]}/notebooks/{name}"
    asked = urlencode({"repo": repo, "branch": BRANCH, "urlpath": path}, safe="/:")
    return f"https://nbgitpuller.readthedocs.io/en/latest/link.html?{asked}"


def owner_and_name():
    """Return "owner/name" of the repository. Raises ValueError if Colab can't open it."""
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?", repository())
    if not found:
        raise ValueError(
            "Colab and Binder open https://github.com/OWNER/NAME; Repository in [project.urls] of "
            f"pyproject.toml is {repository()!r}"
        )
    return found[1]
