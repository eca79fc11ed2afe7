"""Make a reveal.js deck from each notebook: `make slides`, or `python tools/slides.py`.

Which cell begins a slide stands in the notebook, as Jupyter's own slide type (View > Property
inspector): slide, subslide, fragment, skip, notes. A figure that would be narrow beside what shares
its slide gets one of its own. Code is left out where the tag `hide-input` says so and where a
figure, a table or an explorer comes of it; an `assert` is for the notebook alone.
"""

import argparse
import ast
import html
import math
import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from web import assets, cells, explorers, guide, lectures, notebooks
from whole import in_words, new_folder

OUT = notebooks.ROOT / "build" / "slides"
HIDE = "hide-input"
MEASURED = {"hardware", "timing"}  # tags of what comes out differently on another machine
ROW = 100  # characters of a table that stand side by side
MOST_ROWS = 14  # of a table on a slide, and of a printed list
MOST_LINES = 7  # of code above a result: more of it leaves no room to read the result
# Pixels of a slide in deck.css: what its cells have, how far a picture is enlarged (deck.js), a
# line of prose, of code, of a table, a heading, and what is around each cell.
WIDE, HIGH, LARGEST = 1168, 600, 1.5
PROSE, CODE, TABLE, HEADING, GAP = 36, 34, 41, 66, 18
LETTERS = 84  # in a line of prose
FULL = (
    780  # pixels: cells that take more go on to a next slide; up to here the text is shown smaller
)
NARROW = 0.75  # a picture this much smaller than it could be needs a slide of its own


_PREDICT = re.compile(r'<blockquote class="predict">(.*?)</blockquote>', re.DOTALL)


@dataclass
class Slide:
    """One slide: a new topic or a step of one, its section's name, its cells in order.

    book: the notebook that it is from, named on the slides of a lecture.
    """

    new_topic: bool
    section: str
    cells: list = field(default_factory=list)  # (cell, comes on a click)
    notes: list = field(default_factory=list)
    book: str = ""

    @property
    def label(self):
        """What stands above the slide: its notebook in a lecture, and a section that goes on."""
        return " › ".join(filter(None, [self.book, "" if self.new_topic else self.section]))


def build(out=OUT, names=None, run=True):
    """Write a deck for each notebook to the folder `out`, which is made anew when all is well.

    run: whether notebooks are run for the explorers that need it (web/explorers.py).
    """
    books = notebooks.read(names)
    with new_folder(out) as made:
        (made / "pictures").mkdir()
        (made / "explorers").mkdir()
        assets.write(made)
        rendered = [(book, write_data(made, book, run)) for book in books]
        lectured = write_decks(made, rendered, names)
        page = assets.TEMPLATES.get_template("decks.html").render(books=books, lectures=lectured)
        (made / "index.html").write_text(page, encoding="utf-8")
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
    from_ = {book.stem: f"Notebook {html.escape(book.name)}" for book, _ in made}
    planned = lectures.read() if names is None else []
    for lecture in planned:
        chosen = []
        for part in lecture.parts:
            taken = part.choose(decks[part.notebook])
            chosen.append([replace(slide, book=from_[part.notebook]) for slide in taken])
        series = f"{1 + sum(map(len, chosen))} slides"  # with the title's
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
            if slide.cells and _is_full([shown for shown, _ in slide.cells] + [first]):
                more = [first, *more]
            else:
                slide.cells.append((first, bool(late)))
            topics[-1] += [Slide(False, section, [(part, False)]) for part in more]
    _give_context([slide for topic in topics for slide in topic])
    return topics


def _is_full(shown):
    """Say whether a slide can't hold these cells, or would show a picture among them narrow."""
    sizes = [tuple(map(int, size)) for cell in shown for size in _sizes(cell)]
    if not sizes:
        return sum(map(_height, shown)) > FULL
    widest, height = max(width for width, _ in sizes), sum(height for _, height in sizes)
    alone = min(LARGEST, WIDE / widest, HIGH / height)
    beside = (HIGH - sum(map(_height, shown))) / height
    return beside < NARROW * alone


def _sizes(cell):
    """The width and height of each picture of a cell, as texts."""
    return re.findall(r'class="output picture"><img [^>]*width="(\d+)" height="(\d+)"', _all(cell))


def _all(cell):
    return "".join([cell.source, *cell.outputs])


def _height(cell):
    """About how many pixels of a slide a cell takes, its pictures left aside."""
    blocks = re.findall(r"<(p|li|h[23]|tr)\b[^>]*>(.*?)</\1>", cell.source, re.DOTALL)
    lines = [math.ceil(len(re.sub(r"<[^>]+>", "", text)) / LETTERS) for _, text in blocks]
    high = {"p": PROSE, "li": PROSE, "tr": TABLE, "h2": HEADING, "h3": HEADING}
    prose = sum(high[tag] * count + GAP for (tag, _), count in zip(blocks, lines, strict=True))
    printed = re.findall(r"<pre\b.*?</pre>", _all(cell), re.DOTALL)
    code = sum(CODE * (text.count("\n") + 1) + GAP for text in printed)
    return prose + code + TABLE * "".join(cell.outputs).count("<tr") + GAP


def _give_context(slides):
    """Above a lone printed result puts the question that it answers, else the code it comes of."""
    asked = ""
    for slide in slides:
        for cell, _ in slide.cells:
            found = _PREDICT.search(cell.source)
            asked = found[1] if found else asked
        if not all(_is_lone(cell) for cell, _ in slide.cells):
            continue
        first, _ = slide.cells[0]
        if first.answers:
            words = asked.replace("<strong>Predict.</strong> ", "")
            question = f'<div class="asked">{words}</div>'
            above = replace(first, kind="markdown", source=question, outputs=[])
            slide.cells.insert(0, (above, False))
        elif HIDE not in first.tags:
            slide.cells = [
                (replace(c, source=_without_asserts(c)), late) for c, late in slide.cells
            ]


def _is_lone(cell):
    """Say whether nothing is seen of a cell but what it has printed."""
    return cell.kind == "code" and not cell.source and all("<pre" in o for o in cell.outputs)


def _in_parts(cell):
    """A cell once for each slide that it takes: the rows of a tall table go on, under its heads."""
    if len(cell.outputs) != 1:
        return [cell]
    if printed := re.fullmatch(r"(<pre [^>]*>)(.*)(</pre>)", cell.outputs[0], re.DOTALL):
        return _printed_in_parts(cell, *printed.groups())
    if cell.outputs[0].count("<tbody") != 1:
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


def _printed_in_parts(cell, before, text, after):
    """The same for a long printed list; its code stands above the first part."""
    lines = text.split("\n")
    count = max(1, math.ceil(len(lines) / MOST_ROWS))
    cuts = [len(lines) * part // count for part in range(count + 1)]
    parts = ["\n".join(lines[start:stop]) for start, stop in pairwise(cuts)]
    shown = [f"{before}{part}{after}" for part in parts]
    rest = [replace(cell, source="", text="", outputs=[one]) for one in shown[1:]]
    return [replace(cell, outputs=shown[:1]), *rest]


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
    code = _without_asserts(cell)
    return "" if cell.outputs and code.count("\n") > MOST_LINES else code


def _without_asserts(cell):
    """A cell's code as HTML without its asserts; nothing if nothing else is in it."""
    asserts = [node for node in ast.walk(ast.parse(cell.text)) if isinstance(node, ast.Assert)]
    gone = {line for node in asserts for line in range(node.lineno, node.end_lineno + 1)}
    lines = [line for n, line in enumerate(cell.text.splitlines(), 1) if n not in gone]
    return cells.python("\n".join(lines)) if "".join(lines).strip() else ""


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
    in_words(main)
