"""Write the course's own links into the notebooks, README.md and docs/, from its public address.

    python tools/badges.py            rewrite what differs, and name it
    python tools/badges.py --check    change nothing, name what differs
    python tools/badges.py --url https://github.com/me/quantlab    set the address first

The address stands in one place, [project.urls] of pyproject.toml. Until it is set it names an owner
that nobody can be, and the README says so. A notebook's links to Colab and
Binder open that notebook: in a new one, write `[open in Colab]() · [open in Binder]()`. Its set-up
cell, which installs from the address, is written too. Nothing else in a notebook is touched.
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat
from whole import in_words, replace_file

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from quantlab.course import address  # noqa: E402
from quantlab.course.setup_cell import cell_text  # noqa: E402

# (what a link to the course looks like, whatever its address was; the link that it becomes).
# Each pattern's groups are: owner/name, and the file that is opened.
_GITHUB = r"([\w.-]+/[\w.-]+)"
_FILE = r"notebooks/([\w.-]+\.ipynb)"
LINKS = (
    (rf"https://colab\.research\.google\.com/github/{_GITHUB}/blob/[\w.-]+/{_FILE}", address.colab),
    (rf"https://mybinder\.org/v2/gh/{_GITHUB}/[\w.-]+\?labpath={_FILE}", address.binder),
    (
        rf"https://nbgitpuller\.readthedocs\.io/en/latest/link\.html\?repo=https://github\.com/"
        rf"{_GITHUB}&branch=[\w.-]+&urlpath=lab/tree/[\w.-]+/{_FILE}",
        address.nbgitpuller,
    ),
)
_NOTICE = re.compile(r"(<!-- address -->\n).*?(<!-- end of address -->)", re.DOTALL)
UNSET = (
    "This copy of the course has no public address yet: links that name YOUR_ACCOUNT work once\n"
    "you set yours with `make badges URL=https://github.com/me/quantlab`.\n"
)
_PLACEHOLDER = re.compile(r"\[([^\]]*\b(Colab|Binder))\]\(\)")


def former(texts, names):
    """Return the set of "owner/name" that the links of `texts` to the notebooks `names` have."""
    found = (m for text in texts for pattern, _ in LINKS for m in re.finditer(pattern, text))
    return {m[1] for m in found if m[2] in names}


def rewritten(text, names, formers=(), own=None):
    """Return Markdown `text` with each link to the course made from its address.

    names: the course's notebook files; a link to another file is somebody else's. formers: each
    "owner/name" that the address had; https://github.com/ with one of them is replaced. own: the
    file that `text` is the first cell of; its links open that file, whatever they opened before.
    """
    for pattern, link in LINKS:
        text = re.sub(pattern, lambda m, link=link: _link(m, link, names, own), text)
    if own:
        places = {"Colab": address.colab(own), "Binder": address.binder(own)}
        text = _PLACEHOLDER.sub(lambda m: f"[{m[1]}]({places[m[2]]})", text)
    for name in formers:  # links to the repository itself, and the address for pip
        here = rf"https://github\.com/{re.escape(name)}(?![\w-])"
        text = re.sub(here, lambda _: address.repository(), text)
    notice = "" if address.is_set() else UNSET
    return _NOTICE.sub(lambda m: m[1] + notice + m[2], text)


def set_address(url, pyproject=ROOT / "pyproject.toml"):
    """Write the repository's public address into pyproject.toml.

    Raises ValueError for one that is not https://github.com/OWNER/NAME as GitHub allows names.
    """
    found = re.fullmatch(r"https://github\.com/([A-Za-z0-9-]+)/([\w.-]+?)(\.git)?/?", url)
    if not found:
        raise ValueError(f"URL must be https://github.com/OWNER/NAME, got {url!r}")
    text = pyproject.read_text(encoding="utf-8")
    line = f'Repository = "https://github.com/{found[1]}/{found[2]}"'
    new, count = re.subn(r'^Repository = ".*"$', line, text, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"{pyproject} needs one line 'Repository = ...', found {count}")
    replace_file(pyproject, new)


def _link(found, link, names, own):
    return link(own or found[2]) if found[2] in names or own else found[0]


def rewrite_notebook(path, names, formers=()):
    """Return what the notebook file at `path` should hold."""
    notebook = nbformat.read(path, as_version=4)
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            own = path.name if place == 0 else None
            cell.source = rewritten(cell.source, names, formers, own)
        elif cell.cell_type == "code" and "course.setup(" in cell.source:
            cell.source = cell_text()
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"


def changes(root=ROOT):
    """Return {path: text to be} of the files under `root` whose links are not what they should."""
    notebooks = sorted((root / "notebooks").glob("*.ipynb"))
    names = {path.name for path in notebooks}
    pages = [*sorted(root.glob("*.md")), *root.glob("CITATION.cff"), *(root / "docs").glob("*.md")]
    held = {path: path.read_text(encoding="utf-8") for path in (*notebooks, *pages)}
    formers = former(held.values(), names)
    wanted = {path: rewrite_notebook(path, names, formers) for path in notebooks}
    wanted |= {path: rewritten(held[path], names, formers) for path in pages}
    return {path: text for path, text in wanted.items() if text != held[path]}


def main(arguments=None):
    """Rewrite, or only check; return the exit status."""
    parser = argparse.ArgumentParser(description="Write the course's own links.")
    parser.add_argument("--check", action="store_true", help="change nothing, name what differs")
    parser.add_argument("--url", help="the public address, https://github.com/OWNER/NAME")
    options = parser.parse_args(arguments)
    check = options.check
    if options.url:
        try:
            set_address(options.url)
        except ValueError as error:
            parser.error(str(error))
    found = changes()
    for path, text in found.items():
        print(f"{path.relative_to(ROOT)}: {'differs' if check else 'written'}")
        if not check:
            replace_file(path, text)
    if not found:
        print(f"Every link is made from {address.repository()}.")
    return 1 if found and check else 0


if __name__ == "__main__":
    in_words(main)
