"""Make a reveal.js deck from each notebook: `make slides`, or `python tools/slides.py`.

Which cell begins a slide stands in the notebook, as Jupyter's own slide type (View > Property
inspector): slide, subslide, fragment, skip, notes. Code is left out where the tag `hide-input` says
so and where a figure, a table or an explorer comes of it; an `assert` is for the notebook alone.
"""

import argparse
import ast
import html
import math
import re
import shutil
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from web import assets, cells, explorers, guide, lectures, notebooks

OUT = notebooks.ROOT / "build" / "slides"
HIDE = "hide-input"
MEASURED = {"hardware", "timing"}  # tags of what comes out differently on another machine
ROW = 100  # characters of a table that stand side by side
MOST_ROWS = 14  # of a table on a slide
MOST_LINES = 7  # of code above a result: more of it leaves no room to read the result


@dataclass
class Slide:
    """One slide: a new topic or a step of one, its section's name, its cells in order."""

    new_topic: bool
    section: str
    cells: list = field(default_factory=list)  # (cell, comes on a click)
    notes: list = field(default_factory=list)


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
    lectured = write_decks(out, [(book, write_data(out, book, run)) for book in books], names)
    page = assets.TEMPLATES.get_template("decks.html").render(books=books, lectures=lectured)
    (out / "index.html").write_text(page, encoding="utf-8")
    return out


def write_data(out, book, run):
    """Write a notebook's pictures and live explorers; return its cells, which know if they live."""
    made, pictures = cells.render(book)
    for picture in pictures:
        (out / "pictures" / picture.name).write_bytes(picture.png)
    live = {one.cell: one for one in explorers.live(book, run)}
    for one in live.values():
        (out / "explorers" / f"{one.id}.js").write_text(one.script, encoding="utf-8")
    for cell in made:
        cell.measured_on = book.measured_on if MEASURED & cell.tags else ""
        if cell.id in live:
            cell.live, cell.outputs = live[cell.id], [_alive(output) for output in cell.outputs]
    return made


def write_decks(out, made, names=None):
    """Write the deck of each notebook and, of all of them, the lectures, which are returned.

    made: each `Notebook` with its rendered cells. names: what was asked for; None is the course.
    """
    decks = {book.stem: columns(rendered[1:]) for book, rendered in made}
    for book, rendered in made:
        guide.add_notes(decks[book.stem], book.number)
        heads = {"series": book.number, "title": book.title, "question": book.question}
        _write(out, book.stem, heads, decks[book.stem], _goals(rendered[0]))
    planned = lectures.read() if names is None else []
    for lecture in planned:
        chosen = [part.choose(decks[part.notebook]) for part in lecture.parts]
        series = f"{sum(map(len, chosen))} slides"
        heads = {"series": series, "title": lecture.title, "question": lecture.question}
        _write(out, lecture.name, heads, chosen)
    return planned


def _write(out, name, heads, deck, goals=None):
    shown = [cell for column in deck for slide in column for cell, _ in slide.cells]
    page = assets.TEMPLATES.get_template("deck.html").render(
        **{key: html.escape(str(text)) for key, text in heads.items()},
        goals=goals,
        columns=deck,
        has_math=any('class="katex' in cell.source for cell in shown),
    )
    (out / f"{name}.slides.html").write_text(page, encoding="utf-8")


def _alive(output):
    """Mark an explorer as one that has data."""
    return output.replace('<div class="explorer" ', '<div class="explorer" data-live ', 1)


def _goals(first):
    """The list under "You will be able to", if the notebook's first cell has it, else None."""
    found = re.search(r"You will be able to.*?(<ul>.*?</ul>)", first.source, re.DOTALL)
    return found and found[1]


def columns(made):
    """Return the slides of a deck by topic: a list of lists of `Slide`."""
    topics, section, before = [], "", None
    for cell in made:
        heading = re.search(r'<h2 id="[^"]*">(.*?)</h2>', cell.source)
        section = heading[1] if heading and cell.kind == "markdown" else section
        if cell.slide == "skip":
            continue
        if before and cell.kind == "markdown" and cell.slide in ("slide", "subslide"):
            cell = _leave_to_the_speaker(cell, topics[-1][-1])
        before = cell.kind == "code"
        if cell.slide == "slide" or not topics:
            topics.append([Slide(True, section)])
        elif cell.slide == "subslide":
            topics[-1].append(Slide(False, section))
        slide = topics[-1][-1]
        tips = cell.kind == "markdown" and any(shown.explorer for shown, _ in slide.cells)
        if cell.slide == "notes" or tips:
            slide.notes.append(cell)
        else:
            # What answers a prediction comes on a click, if it does not have a slide of its own.
            late = cell.slide == "fragment" or (cell.answers and slide.cells)
            first, *more = _in_parts(_for_a_slide(cell))
            slide.cells.append((first, bool(late)))
            topics[-1] += [Slide(False, section, [(part, False)]) for part in more]
    return topics


def _in_parts(cell):
    """A cell once for each slide that it takes: the rows of a tall table go on, under its heads."""
    if not (len(cell.outputs) == 1 and cell.outputs[0].count("<tbody") == 1):
        return [cell]
    before, body, after = re.split("(?<=<tbody>)|(?=</tbody>)", cell.outputs[0])
    rows = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    lines = [max(1, round(len(re.sub(r"<[^>]+>", "", row)) / ROW)) for row in rows]
    slides = max(1, math.ceil(sum(lines) / MOST_ROWS))
    cuts = [len(rows) * part // slides for part in range(slides + 1)]
    return [
        replace(cell, outputs=["".join([before, *rows[start:stop], after])])
        for start, stop in pairwise(cuts)
    ]


def _leave_to_the_speaker(cell, last):
    """Cut off what a cell says about the result before it; the notes of that slide keep it."""
    said, rest = cells.before_the_next_topic(cell.source)
    if not (said.strip() and rest.strip()):
        return cell
    last.notes.append(replace(cell, source=said))
    return replace(cell, source=rest)


def _for_a_slide(cell):
    """A cell as a slide has it: without asserts and references, links to decks, one result."""
    if cell.kind == "code":
        code = _code(cell)
        return replace(cell, source=code, outputs=[o for o in cell.outputs if code or not _bare(o)])
    prose = re.sub(r'<h2 id="references">.*?</ul>', "", cell.source, flags=re.DOTALL)
    prose = re.sub(r'href="(\d\d_\w+)\.html', r'href="\1.slides.html', prose)
    goals = "You will be able to"
    return replace(
        cell, source=prose.replace(f"<p><strong>{goals}</strong></p>", f"<h2>{goals}</h2>")
    )


def _code(cell):
    """A cell's code as a slide shows it: nothing where something is drawn, and no assert."""
    drawn = ('class="output picture"', "<table", 'class="explorer"')
    if HIDE in cell.tags or any(mark in output for output in cell.outputs for mark in drawn):
        return ""
    asserts = [node for node in ast.walk(ast.parse(cell.text)) if isinstance(node, ast.Assert)]
    gone = {line for node in asserts for line in range(node.lineno, node.end_lineno + 1)}
    lines = [line for n, line in enumerate(cell.text.splitlines(), 1) if n not in gone]
    if not "".join(lines).strip() or (cell.outputs and len(lines) > MOST_LINES):
        return ""
    return cells.python("\n".join(lines))


def _bare(output):
    """Say whether an output is a lone pair of numbers, which says nothing without its code."""
    return bool(re.fullmatch(r'<pre class="output scroll">\([\d., -]+\)</pre>', output))


def main(arguments=None):
    """Make the decks and say where they are."""
    parser = argparse.ArgumentParser(description="Make a slide deck from every notebook.")
    parser.add_argument("notebooks", nargs="*", help="file names without .ipynb; default: all")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder to make")
    parser.add_argument("--guide", action="store_true", help="write the plans of docs/teaching.md")
    options = parser.parse_args(arguments)
    if options.guide:
        lectures.write_guide({b.stem: columns(cells.render(b)[0][1:]) for b in notebooks.read()})
        return
    out = build(options.out, options.notebooks or None)
    print(f"The slides are in {out}. Open {out / 'index.html'}; S shows the speaker's view.")


if __name__ == "__main__":
    main()
