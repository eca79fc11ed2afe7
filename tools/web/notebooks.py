"""The committed notebooks as pages: which there are, their names, their neighbours."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat

from quantlab.course import outline

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"


@dataclass(frozen=True)
class Notebook:
    """One notebook: stem is its file name without the ending, node what is in the file."""

    stem: str
    title: str
    question: str
    node: object

    @property
    def number(self):
        """Its number in the course."""
        return int(self.stem.split("_")[0])

    @property
    def name(self):
        """Number and title, as in its heading."""
        return f"{self.number} · {self.title}"

    @property
    def measured_on(self):
        """The machine that made its outputs, in a few words, as the file says."""
        return self.node.metadata["quantlab"]["measured_on"]

    @property
    def minutes(self):
        """How long it takes, from the line under its question."""
        return int(re.search(r"(\d+) minutes", self.node.cells[0].source)[1])


def read(names=None):
    """Return the `Notebook`s in the folder, in order. names: stems to keep; None keeps all."""
    paths = sorted(FOLDER.glob("[0-9]*.ipynb"))
    if names is not None:
        unknown = set(names) - {path.stem for path in paths}
        if unknown:
            raise ValueError(f"no such notebook: {', '.join(sorted(unknown))}")
        paths = [path for path in paths if path.stem in names]
    return [_read(path) for path in paths]


def _read(path):
    title, question = outline.header(json.loads(path.read_text(encoding="utf-8")))
    return Notebook(path.stem, title, question, nbformat.read(path, as_version=4))
