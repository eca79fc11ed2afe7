"""Print the website's pages as handouts: `make pdf`, or `python tools/handout.py [NOTEBOOK ...]`.

Chromium prints; how a page looks on paper stands at the end of web/static/site.css: black on white,
legible in grey, no figure torn apart, the addresses of links at the end.
"""

import argparse
import tempfile
from pathlib import Path

import website
from web import chromium, notebooks
from whole import in_words, new_file

OUT = notebooks.ROOT / "build" / "pdf"


def build(out=OUT, names=None):
    """Write one PDF for each notebook to the folder `out`; return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    made = []
    with tempfile.TemporaryDirectory() as temporary, chromium.browser() as browser:
        site = website.build(Path(temporary) / "site", names, run=False)
        page = browser.new_page(viewport={"width": 824, "height": 1100}, color_scheme="light")
        for book in notebooks.read(names):
            page.goto((site / f"{book.stem}.html").as_uri())
            page.evaluate(_ALL_PICTURES)
            made.append(out / f"{book.stem}.pdf")
            with new_file(made[-1]) as draft:
                page.pdf(path=draft, prefer_css_page_size=True, outline=True, tagged=True)
    return made


# Pictures load when they come near the screen; paper has no screen.
_ALL_PICTURES = """async () => {
  const pictures = [...document.images];
  pictures.forEach((picture) => { picture.loading = "eager"; });
  await Promise.all([document.fonts.ready, ...pictures.map((picture) => picture.decode())]);
}"""


def main(arguments=None):
    """Print the handouts and say where they are."""
    parser = argparse.ArgumentParser(description="Print every notebook as a PDF.")
    parser.add_argument("notebooks", nargs="*", help="file names without .ipynb; default: all")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder to write to")
    options = parser.parse_args(arguments)
    made = build(options.out, options.notebooks or None)
    print(f"{len(made)} handouts are in {options.out}")
    return 0


if __name__ == "__main__":
    in_words(main)
