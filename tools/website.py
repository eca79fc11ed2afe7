"""Make the website: `make site`, or `python tools/website.py [--out FOLDER] [NOTEBOOK ...]`.

The pages show what the committed notebooks hold. Nothing is loaded from elsewhere when they are
read, and every link between them is relative: the folder works on any static host, below any
address, and opened as files.
"""

import argparse
import html
import json
import re
from pathlib import Path

import slides
from web import assets, cells, notebooks
from whole import in_words, new_folder

from quantlab.course import address, outline

OUT = notebooks.ROOT / "build" / "site"
HEADING = re.compile(r'<h([123]) id="([^"]*)">(.*?)</h\1>', re.DOTALL)
LINK = re.compile(r'<a href="(https?://[^"]+)"[^>]*>.*?</a>', re.DOTALL)
SOLUTION = re.compile(r"<details>\s*<summary>Solution (.*?)</summary>(.*?)</details>", re.DOTALL)
DESCRIPTION = "A course of interactive notebooks: how large language models fit in small memory."


def build(out=OUT, names=None, run=True):
    """Write the website to the folder `out`, which is made anew when all is well.

    names: stems of notebooks. run: whether they are run for the explorers that need it
    (web/explorers.py).
    """
    with new_folder(out) as made:
        _write_site(made, names, run)
    return out


def _write_site(out, names, run):
    books = notebooks.read(names)
    (out / "pictures").mkdir()
    (out / "explorers").mkdir()
    assets.write(out)
    gallery, sections = [], []
    rendered = [(book, slides.write_data(out, book, run)) for book in books]
    slides.write_decks(out, rendered, names)
    for place, (book, made) in enumerate(rendered):
        found = _sections(book, made)
        sections += found
        around = books[place - 1] if place else None, (books[place + 1 :] or [None])[0]
        _write_page(out, book, made, found, around, books)
        gallery += [_item(book, cell) for cell in made if cell.explorer]
    _write(out / "explorers.html", "explorers.html", explorers=gallery)
    bit_strips = [i for i in gallery if i["title"] == "Bit explorer" and "20.23" in i["cell"].text]
    first = bit_strips[0]["cell"] if bit_strips else None
    _write(
        out / "index.html",
        "home.html",
        entries=_entries(books),
        first=first,
        repository=address.repository(),
    )
    text = json.dumps(sections, ensure_ascii=False).replace("</", "<\\/")
    script = f"window.quantlab.sections = {text};\n"
    (out / "assets" / "sections.js").write_text(script, encoding="utf-8")
    (out / ".nojekyll").touch()  # GitHub Pages: take the files as they are


def _write(path, template, **values):
    page = assets.TEMPLATES.get_template(template).render(description=DESCRIPTION, **values)
    path.write_text(page, encoding="utf-8")


def _write_page(out, book, made, sections, around, books):
    addresses = _number_links(made)
    cells.tuck_in(made)
    answers = {}
    for cell in made:
        if cell.answers:
            answers.setdefault(cell.answers, []).append(cells.on_paper(cell))
    _write(
        out / f"{book.stem}.html",
        "notebook.html",
        notebook=book,
        cells=made,
        sections=sections,
        entries=_entries(books),
        before=around[0],
        after=around[1],
        addresses=addresses,
        answers=answers,
        solutions=[found for cell in made for found in SOLUTION.findall(cell.source)],
        has_math=any('class="katex' in cell.source for cell in made),
        colab=address.colab(f"{book.stem}.ipynb"),
        source=f"{address.repository()}/blob/{address.BRANCH}/notebooks/{book.stem}.ipynb",
    )


def _entries(books):
    """The course map; what has no page yet has no link."""
    pages = {book.stem: book for book in books}
    return [
        {
            "name": entry.name,
            "number": entry.number,
            "title": html.escape(entry.title),
            "question": html.escape(entry.question),
            "page": f"{entry.name}.html" if entry.name in pages else None,
            "slides": f"{entry.name}.slides.html",
            "minutes": pages[entry.name].minutes if entry.name in pages else None,
        }
        for entry in outline.entries()
    ]


def _item(book, cell):
    """An explorer as the page of all explorers shows it."""
    return {
        "cell": cell,
        "title": html.escape(cell.explorer),
        "anchor": f"{book.stem}-{cell.id}",
        "notebook": html.escape(book.name),
        "page": f"{book.stem}.html",
        "colab": address.colab(f"{book.stem}.ipynb"),
    }


def _sections(book, made):
    """Cut a notebook at its headings: what the search looks through, and what the map lists."""
    found = []
    for cell in made:
        if cell.kind != "markdown":
            continue
        parts = HEADING.split(cell.source)
        if found:
            found[-1]["text"] += " " + _plain(parts[0])
            found[-1]["defined"] += " " + _defined(parts[0])
        for level, id, title, text in zip(*(parts[n::4] for n in range(1, 5)), strict=True):
            found.append(
                {
                    "id": id,
                    "level": int(level),
                    "title": title,
                    "section": _plain(title),
                    "page": book.name,
                    "url": f"{book.stem}.html#{id}",
                    "text": _plain(text),
                    "defined": _defined(text),
                }
            )
    for number, section in enumerate(found):
        section["id"], section["anchor"] = f"{book.stem}-{number}", section["id"]
    return found


def _defined(text):
    """The words in bold: a term is in bold once, where it is defined."""
    return _plain(" ".join(re.findall(r"<strong>(.*?)</strong>", text, flags=re.S)))


def _plain(text):
    """HTML as words: no tags, no formulas, no code of solutions."""
    text = re.sub(r"<details>.*?</details>|<math.*?</math>|<pre.*?</pre>", " ", text, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


def _number_links(made):
    """Put a number after each link that leads elsewhere, for paper; return their addresses."""
    addresses = {}

    def numbered(match):
        target = match[1]
        number = addresses.setdefault(target, len(addresses) + 1)
        return f'{match[0]}<sup class="on-paper">[{number}]</sup>'

    for cell in made:
        cell.source = LINK.sub(numbered, cell.source)
    return list(addresses)


def main(arguments=None):
    """Make the website and say where it is."""
    parser = argparse.ArgumentParser(description="Make the course's website.")
    parser.add_argument("notebooks", nargs="*", help="file names without .ipynb; default: all")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder to make")
    options = parser.parse_args(arguments)
    out = build(options.out, options.notebooks or None)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"The website is in {out} ({size / 1e6:.1f} MB). Open {out / 'index.html'}")


if __name__ == "__main__":
    in_words(main)
