"""The course in order: one question per notebook, read from the notebooks themselves."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from quantlab.course import address

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"

# The map where the folder is not: an installed package, on Colab. Where it is, a notebook's own
# words come first; a test keeps these the same.
_PLAN = {
    "00_why_quantize": (
        "Why quantize?",
        "How does a model of 176 billion numbers fit into memory that you can pay for?",
    ),
    "01_whole_numbers": ("Whole numbers", "How do you write 2023 with nothing but zeros and ones?"),
    "02_fractions": ("Fractions", "Why do 16 bits never hold 20.23 exactly?"),
    "03_float_formats": ("Float formats", "What does bfloat16 give up for its range?"),
    "04_absmax_and_zero_point": (
        "Zero-point and absmax",
        "A model multiplies large matrices of fractions. Can it multiply small whole numbers "
        "instead, and how wrong does the answer get?",
    ),
    "05_outliers": ("Outliers", "One value is 200 times the others: how do you save the others?"),
    "06_gptq": ("GPTQ", "Can the next rounding repair the error of the last one?"),
    "07_comparison": ("Comparison", "Which method loses least for the bits that it takes?"),
    "08_four_bits": ("Four bits", "Four bits name sixteen values: which sixteen?"),
    "09_a_whole_model": ("A whole model", "At how many bits does a model forget what it learned?"),
    "10_load_in_4_bits": ("Load in 4 bits", "What does each flag of a 4-bit load change?"),
    "11_a_file_that_runs": (
        "A file that runs",
        "Can you write, byte by byte, the file from which a laptop runs your model?",
    ),
    "12_scale_turn_round": (
        "Scale it, turn it, then round it",
        "Can you change a layer so that it rounds well, and still computes the same?",
    ),
    "13_floats_with_a_shared_scale": (
        "Floats with a shared scale",
        "What does a block of 4-bit floats lose to the scale that it shares?",
    ),
    "14_what_fits": (
        "What fits",
        "Will it fit on your card, with your text, and how fast can it write?",
    ),
    "15_learn_the_bits_back": (
        "Learn the bits back",
        "Rounding broke the model: can training mend it, with the rounding left in?",
    ),
}


@dataclass(frozen=True)
class Entry:
    """One notebook of the course. here: whether its file is in the folder."""

    name: str
    title: str
    question: str
    here: bool

    @property
    def number(self):
        """The notebook's number, as it is spoken: 0 for ``00_why_quantize``."""
        return int(self.name.split("_")[0])


def entries(folder=None):
    """Return the `Entry` of every notebook, in order. folder: None is the course's own."""
    folder = FOLDER if folder is None else Path(folder)
    return [_entry(folder / f"{name}.ipynb", *planned) for name, planned in _PLAN.items()]


def header(notebook):
    """Return (title, question) from the first cell of a notebook.

    notebook: the parsed JSON. The cell starts with ``# 4 · Title``, and the next paragraph that
    ends in a question mark is the question. Raises ValueError if either is missing.
    """
    text = "".join(notebook["cells"][0]["source"])
    title = re.match(r"# \d+ · (.+)", text)
    paragraphs = [" ".join(p.split()).strip("*_ ") for p in text.split("\n\n")[1:]]
    questions = [p for p in paragraphs if p.endswith("?")]
    if not title or not questions:
        raise ValueError(f"the first cell needs '# 4 · Title' and a question, got {text[:80]!r}")
    return title[1].strip(), questions[0]


def table(folder=None, prefix=""):
    """Return the course map as a Markdown table; notebooks that are in the folder are links.

    prefix: what leads from the reader's page to the notebooks, "notebooks/" in the README.
    """
    return _table(entries(folder), prefix)


def _table(entries, prefix):
    rows = ["| no. | notebook | its question |", "|---|---|---|"]
    for entry in entries:
        title = f"[{entry.title}]({prefix}{entry.name}.ipynb)" if entry.here else entry.title
        rows.append(f"| {entry.number} | {title} | {entry.question} |")
    return "\n".join(rows)


class CourseMap:
    """The course map as a cell's value: a table with links, or its text.

    Without the folder of notebooks, as on Colab, the links open Colab.
    """

    def _repr_markdown_(self):
        if FOLDER.is_dir():
            return table()
        return _table([replace(entry, here=True) for entry in entries()], address.colab(""))

    def __repr__(self):
        return "\n".join(f"{e.number:>2}  {e.title}: {e.question}" for e in entries())


def _entry(path, title, question):
    here = path.is_file()
    if here:
        title, question = header(json.loads(path.read_text(encoding="utf-8")))
    return Entry(path.stem, title, question, here)
