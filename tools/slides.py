"""Make a reveal.js deck from each notebook: `make slides`, or `python tools/slides.py`.

Which cell begins a slide stands in the notebook, as Jupyter's own slide type (View > Property
inspector): slide, subslide, fragment, skip, notes. The tag `hide-input` leaves a cell's code out.
tools/slide_cues.py proposes both.
"""

import argparse
import html
import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from web import assets, cells, explorers, notebooks

OUT = notebooks.ROOT / "build" / "slides"
HIDE = "hide-input"


@dataclass
class Slide:
    """One slide: a new topic or a step of one, its section's name, its cells in order."""

    new_topic: bool
    section: str
    cells: list = field(default_factory=list)  # (cell, comes on a click)
    notes: list = field(default_factory=list)

    @property
    def kind(self):
        """How it is laid out: what to try stands beside an explorer."""
        beside = len(self.cells) > 1 and any(cell.explorer for cell, _ in self.cells)
        return "slide beside" if beside else "slide"


def build(out=OUT, names=None, run=True):
    """Write a deck for each notebook to the folder `out`, which is made anew.

    run: whether notebooks are run for the explorers that need it (web/explorers.py).
    """
    books = notebooks.read(names)
    if out.exists():
        shutil.rmtree(out)
    (out / "pictures").mkdir(parents=True)
    (out / "explorers").mkdir()
    assets.write(out)
    for book in books:
        made, live = write_data(out, book, run)
        write_deck(out, book, made, live)
    page = assets.TEMPLATES.get_template("decks.html").render(books=books)
    (out / "index.html").write_text(page, encoding="utf-8")
    return out


def write_data(out, book, run):
    """Write a notebook's pictures and live explorers; return its cells, and the latter by cell."""
    made, pictures = cells.render(book)
    for picture in pictures:
        (out / "pictures" / picture.name).write_bytes(picture.png)
    live = {}
    for one in explorers.live(book, run):
        (out / "explorers" / f"{one.id}.js").write_text(one.script, encoding="utf-8")
        live[one.cell] = one
    for cell in made:
        if cell.id in live:
            cell.outputs = [_alive(output) for output in cell.outputs]
    return made, live


def write_deck(out, book, made, live):
    """Write the deck of one notebook, from its rendered cells."""
    page = assets.TEMPLATES.get_template("deck.html").render(
        notebook=book,
        title=html.escape(book.title),
        question=html.escape(book.question),
        goals=_goals(made[0]),
        columns=columns(made[1:]),
        live=live,
        hide=HIDE,
        has_math=any('class="katex' in cell.source for cell in made),
    )
    (out / f"{book.stem}.slides.html").write_text(page, encoding="utf-8")


def _alive(output):
    """Mark an explorer as one that has data."""
    return output.replace('<div class="explorer" ', '<div class="explorer" data-live ', 1)


def _goals(first):
    """The list under "You will be able to", if the notebook's first cell has it, else None."""
    found = re.search(r"You will be able to.*?(<ul>.*?</ul>)", first.source, re.DOTALL)
    return found and found[1]


def columns(made):
    """Return the slides of a deck by topic: a list of lists of `Slide`."""
    topics, section = [], ""
    for cell in made:
        if cell.slide == "skip":
            continue
        heading = re.match(r'<h2 id="[^"]*">(.*?)</h2>', cell.source)
        section = heading[1] if heading and cell.kind == "markdown" else section
        if cell.slide == "slide" or not topics:
            topics.append([Slide(True, section)])
        elif cell.slide == "subslide":
            topics[-1].append(Slide(False, section))
        slide = topics[-1][-1]
        if cell.slide == "notes":
            slide.notes.append(cell)
        else:
            # What answers a prediction comes on a click, if it does not have a slide of its own.
            late = cell.slide == "fragment" or (cell.answers and slide.cells)
            slide.cells.append((_for_a_slide(cell), bool(late)))
    return topics


def _for_a_slide(cell):
    """A cell's prose as a slide has it: no references, links to decks, a heading for the goals."""
    prose = re.sub(r'<h2 id="references">.*?</ul>', "", cell.source, flags=re.DOTALL)
    prose = re.sub(r'href="(\d\d_\w+)\.html', r'href="\1.slides.html', prose)
    goals = "You will be able to"
    return replace(
        cell, source=prose.replace(f"<p><strong>{goals}</strong></p>", f"<h2>{goals}</h2>")
    )


def main(arguments=None):
    """Make the decks and say where they are."""
    parser = argparse.ArgumentParser(description="Make a slide deck from every notebook.")
    parser.add_argument("notebooks", nargs="*", help="file names without .ipynb; default: all")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder to make")
    options = parser.parse_args(arguments)
    out = build(options.out, options.notebooks or None)
    print(f"The slides are in {out}. Open {out / 'index.html'}; S shows the speaker's view.")


if __name__ == "__main__":
    main()
