"""What docs/teaching.md has for the speaker's notes: what to ask and to see, the wrong answers."""

import html
import re

from web import cells
from web.lectures import GUIDE

_ROW = re.compile(r"^\| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def add_notes(columns, number, text=None):
    """Put what the guide has for a notebook into the notes of its slides.

    columns: the slides of its deck. number: of the notebook. text: the guide; None reads it.
    What belongs to a section is on its first slide, a wrong answer where its exercise is.
    Raises ValueError for a section or an exercise that no slide of the deck has.
    """
    text = GUIDE.read_text(encoding="utf-8") if text is None else text
    slides = [slide for column in columns for slide in column]
    for section, ask, see in _rows(text, rf"### {number:02} · [^\n]*"):
        found = [slide for slide in slides if _words(slide.section) == section]
        _note(found, f"{number:02}: {section}", f"**Ask:** {ask}\n\n**See:** {see}")
    for exercise, answer, reply in _rows(text, "## Wrong answers that you will hear"):
        if exercise.split(".")[0] == str(number):
            found = [slide for slide in slides if _asks(slide, exercise)]
            _note(found, exercise, f"**A wrong answer:** {answer}\n\n**Ask back:** {reply}")


def _rows(text, heading):
    """The rows of the table below a heading, without its heads."""
    below = re.search(rf"^{heading}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    return _ROW.findall(below[1])[1:] if below else []


def _words(heading):
    """A section's name without its number, as the guide writes it."""
    return re.sub(r"^\d+ · ", "", html.unescape(re.sub(r"<[^>]+>", "", heading)))


def _asks(slide, exercise):
    return any(f"**{exercise}**" in cell.text for cell, _ in slide.cells)


def _note(slides, wanted, text):
    if not slides:
        raise ValueError(f"docs/teaching.md: no slide for {wanted}")
    slides[0].notes.append(cells.Cell("", "markdown", cells.markdown(text), text=text))
