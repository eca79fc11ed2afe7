"""Propose which cell begins a slide: `python tools/slide_cues.py [--again] [NOTEBOOK.ipynb ...]`.

Writes Jupyter's slide types and the tag `hide-input` into the notebooks, where a person can change
them; a cell that has a slide type keeps it, unless --again is given. The rules:

- A section begins a slide. A prediction ends one: its answer is on the next.
- One experiment a slide: what is run, what comes out, and the explanation on a click.
- A picture, a table or an explorer stands without the code that drew it; code that prints stays.
- An explorer has a slide of its own, with what to try beside it.
- A box about the article begins a slide. Exercises are slides, their solutions speaker's notes.
- Set-up, imports, references and what depends on the machine are left out.
- What does not fit begins the next slide. Heights are measured in Chromium.
"""

import argparse
import ast
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import nbformat
import run_notebooks
import slides
from web import assets, cells, chromium, notebooks

ROOM = 590  # px of a slide under its section's name
TOPIC = 40  # px that this name takes, where the slide has no heading of its own
WORDS = 390  # px of prose alone: more is a page to read, not a slide
GAP = 18
SMALLEST_PICTURE = 0.75  # of the height that it has in the notebook


def propose(made, heights):
    """Return {cell id: (slide type, hide the input)} for the rendered `made`.

    heights: px of each cell on a slide, by id, inputs that are to be hidden left out.
    """
    found, used, words, room, state = {}, 0, 0, ROOM, "start"
    for place, cell in enumerate(made):
        hidden = hides(cell)
        kind = _left_out(made, place)
        if kind is None:
            height = _height(cell, heights)
            with_next = height + (_height(made[place + 1], heights) if _leads(made, place) else 0)
            prose = height if cell.kind == "markdown" else 0
            full = used + GAP + with_next > room or words + prose > WORDS
            kind = _kind(made, place, state, full)
            if kind in ("slide", "subslide"):
                room = ROOM + TOPIC * (kind == "slide")
            used = height if kind in ("slide", "subslide") else used + GAP + height
            words = prose if kind in ("slide", "subslide") else words + prose
            state = _state(cell, kind)
        found[cell.id] = (kind, hidden)
    return found


def hides(cell):
    """Tell whether a cell's output says it all: a picture, a table, an explorer."""
    shown = "".join(cell.outputs)
    drawn = re.search(r'class="(output picture|output scroll|explorer)"', shown)
    return cell.kind == "code" and bool(drawn) and "<pre" not in shown


def _kind(made, place, state, full):
    """The slide type of a cell that is shown. state: what the slide so far ends with."""
    cell = made[place]
    if cell.kind == "markdown" and re.match(r"## |\*\*You will", cell.text):
        return "slide"
    if re.match(r"\*\*Next", cell.text):
        return "-"
    if state in ("start", "predict", "explained", "explorer", "tips"):
        beside = state == "explorer" and _state(cell, "") == "tips"
        return "-" if beside and made[place - 1].explorer != "Bit explorer" else "subslide"
    if cell.kind == "code":
        return "subslide" if full or cell.explorer else "-"
    own = r"\*\*Predict\.|\*\*The article says|^\*\*\d+\.\d+\*\*"
    leads_on = cell.text.rstrip().endswith(":") and _leads(made, place) and state != "prose"
    if full or leads_on or re.search(own, cell.text, re.MULTILINE):
        return "subslide"
    return "fragment" if state == "output" else "-"


def _state(cell, kind):
    if cell.kind == "code":
        return "explorer" if cell.explorer else ("output" if cell.outputs else "code")
    if "**Predict.**" in cell.text:
        return "predict"
    if re.search(r"\bto try\b", cell.text, re.I):
        return "tips"
    return "explained" if kind == "fragment" else "prose"


def _left_out(made, place):
    """Return "skip" or "notes" for a cell that is on no slide, else None."""
    cell = made[place]
    if place == 0:
        return "skip"  # the deck has a title of its own
    if cell.kind == "markdown":
        around = made[place - 1 : place] + made[place + 1 : place + 2]
        if re.match(r"<details>", cell.text):
            return "notes"
        beside_machine = any("hardware" in other.tags for other in around)
        if re.match(r"## (Set-up|References)", cell.text) or beside_machine:
            return "skip"
        return None
    code = cell.text
    if "course.setup(" in code or "course.check(" in code or "hardware" in cell.tags:
        return "skip"
    tree = ast.parse(re.sub(r"^[!%].*", "", code, flags=re.M)).body
    if not cell.outputs and tree and isinstance(tree[0], (ast.Import, ast.ImportFrom)):
        return "skip" if all(not isinstance(part, ast.FunctionDef) for part in tree) else None
    return None


def _leads(made, place):
    """Tell whether a cell of prose leads up to the code after it."""
    cell, after = made[place], made[place + 1 : place + 2]
    prose = cell.kind == "markdown" and "**Predict.**" not in cell.text
    return prose and bool(after) and after[0].kind == "code" and not after[0].explorer


def _height(cell, heights):
    drawn = re.findall(r'<img [^>]*height="(\d+)"', "".join(cell.outputs))
    return heights[cell.id] + SMALLEST_PICTURE * sum(map(int, drawn))


# ------------------------------------------------------------------------------------ measuring


def measure(made, page, folder):
    """Return the height in px of each cell as it is on a slide, pictures and explorers left out."""
    bare = []
    for cell in made:
        outputs = [o for o in cell.outputs if "<img" not in o and 'class="explorer"' not in o]
        bare.append(vars(replace(cell, outputs=outputs)) | {"hidden": hides(cell)})
    text = assets.TEMPLATES.get_template("measure.html").render(cells=bare)
    (folder / "measure.html").write_text(text, encoding="utf-8")
    page.goto((folder / "measure.html").as_uri())
    page.evaluate("document.fonts.ready")
    return page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('[data-id]')]"
        ".map((cell) => [cell.dataset.id, cell.getBoundingClientRect().height]))"
    )


def apply(path, proposed, again=False):
    """Write the proposed cues into the notebook at `path`; returns how many cells changed."""
    node = nbformat.read(path, as_version=4)
    changed = 0
    for cell in node.cells:
        if "slideshow" in cell.metadata and not again:
            continue
        kind, hidden = proposed[cell.id]
        tags = [tag for tag in cell.metadata.get("tags", ()) if tag != slides.HIDE]
        tags += [slides.HIDE] * hidden
        wanted = {**cell.metadata, "slideshow": {"slide_type": kind}, "tags": tags}
        changed += wanted != {"tags": [], **cell.metadata}
        cell.metadata.update(wanted)
    run_notebooks.replace_file(path, run_notebooks.text(node))
    return changed


def main(arguments=None):
    """Propose cues for the notebooks named on the command line, or for all."""
    parser = argparse.ArgumentParser(description="Propose which cell begins a slide.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all")
    parser.add_argument("--again", action="store_true", help="replace the cues that are there")
    options = parser.parse_args(arguments)
    names = [path.stem for path in options.notebooks] or None
    with tempfile.TemporaryDirectory() as temporary, chromium.browser() as browser:
        folder = Path(temporary)
        assets.write(folder)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        for book in notebooks.read(names):
            made, _ = cells.render(book)
            path = notebooks.FOLDER / f"{book.stem}.ipynb"
            changed = apply(path, propose(made, measure(made, page, folder)), options.again)
            print(f"{path.name}: {changed} cells changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
