"""Lectures put together from the slides of several notebooks, as lectures.toml says."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from whole import replace_file

PLAN = Path(__file__).with_name("lectures.toml")
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "teaching.md"


@dataclass(frozen=True)
class Part:
    """What a lecture takes from one notebook: cells that begin slides, or whole sections."""

    after: int
    notebook: str
    show: str
    ask: str
    cells: tuple = ()
    sections: tuple = ()

    def choose(self, columns):
        """Return this part's slides out of the columns of its notebook's deck.

        Raises ValueError for a cell or a section that no slide of the deck begins with.
        """
        slides = [slide for column in columns for slide in column]
        wanted = [str(one) for one in self.sections] or list(self.cells)
        keys = [s.section.split(" ")[0] if self.sections else s.cells[0][0].id for s in slides]
        missing = set(wanted) - set(keys)
        if missing:
            raise ValueError(f"the deck of {self.notebook} has no {', '.join(sorted(missing))}")
        return [slide for slide, key in zip(slides, keys, strict=True) if key in wanted]


@dataclass(frozen=True)
class Lecture:
    """One lecture. after: what its parts are counted in, minutes or lessons."""

    name: str
    title: str
    question: str
    after: str
    parts: tuple


def read(path=PLAN):
    """Return the lectures of the plan."""
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["lecture"]
    return [Lecture(parts=tuple(Part(**p) for p in e.pop("part")), **e) for e in entries]


def table(lecture, decks):
    """Return a lecture as Markdown: when, which notebook, its slides, what to show and to ask.

    decks: the columns of each notebook's deck, by its stem.
    """
    rows = [f"| {lecture.after} | notebook | slides | what to show | the question that matters |"]
    rows.append("|---|---|---|---|---|")
    first = 2  # the title is slide 1
    for part in lecture.parts:
        last = first + len(part.choose(decks[part.notebook])) - 1
        slides = f"{first} to {last}" if last > first else str(first)
        number = part.notebook.split("_")[0]
        rows.append(f'| {part.after} | {number} | {slides} | {part.show} | "{part.ask}" |')
        first = last + 1
    return "\n".join(rows)


def in_guide(text, decks):
    """Return the teaching guide's `text` with the table of each lecture between its marks."""
    for lecture in read():
        marks = f"<!-- {lecture.name} -->", f"<!-- end of {lecture.name} -->"
        new = "\n".join([marks[0], table(lecture, decks), marks[1]])
        text, count = re.subn(f"{marks[0]}.*?{marks[1]}", lambda _, n=new: n, text, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"the guide needs the marks {' and '.join(marks)} once, found {count}")
    return text


def write_guide(decks, path=GUIDE):
    """Write the tables into docs/teaching.md."""
    text = in_guide(path.read_text(encoding="utf-8"), decks)
    replace_file(path, text)
