"""A notebook's cells as HTML: prose, code, outputs. The site, the slides and the paper use this.

What a reader sees is what the committed notebook holds; nothing is executed here.
"""

import base64
import html
import re
import struct
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import urlsplit

import predictions
from nbconvert.filters import strip_ansi
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from quantlab.course import address
from web import maths

EXPLORER = re.compile(r"(?:Explorer: (?P<title>.*) \(run this|(?P<bits>Bit explorer): )")

PHONE = 40  # characters of printed text that a phone's screen is wide
# Two spaces between words keep columns apart: such text is scrolled, other text wraps. After the
# mark of an exercise they are none.
_COLUMNS = re.compile(r"^(?![○✓✗]).*\S {2,}\S", re.MULTILINE)


@dataclass
class Cell:
    """One cell: its source and outputs as HTML, and what the layout asks about it."""

    id: str
    kind: str  # "markdown" or "code"
    source: str  # HTML
    outputs: list = field(default_factory=list)  # HTML, one text each
    text: str = ""  # the source as it was written
    tags: frozenset = frozenset()
    slide: str = ""  # the slide type, as Jupyter names them
    explorer: str = ""  # the title of the explorer that it shows
    answers: int = 0  # the number of the prediction that its outputs answer; 0 if they answer none
    explained: str = ""  # HTML: what is said about that answer, shown with it
    live: object = None  # the data of an explorer that needs no kernel
    measured_on: str = ""  # the machine, where the outputs depend on it


@dataclass(frozen=True)
class Picture:
    """A PNG to be written beside the page. name: its file name."""

    name: str
    png: bytes


def render(notebook):
    """Return (cells, pictures) of one `Notebook`."""
    pictures = []
    cells = [_cell(notebook, node, pictures) for node in notebook.node.cells]
    number = 0
    for place in predictions.answers_of(notebook.node):
        number += cells[place - 1].kind == "markdown"
        cells[place].answers = number
    maths.typeset(cells)
    return cells, pictures


def tuck_in(cells):
    """Move what is said about an answer into the cell that gives it, so that both can be folded.

    That is the prose right after it, up to the next heading or prediction. cells: from `render`;
    they are changed in place.
    """
    for answer, after in pairwise(cells):
        if answer.answers and after.kind == "markdown":
            said, rest = before_the_next_topic(after.source)
            answer.explained, after.source = said, rest


def before_the_next_topic(source):
    """Cut HTML in two: what is said about the answer before it, and the topic that begins next."""
    found = re.search(r'<h[1-6][ >]|<blockquote class="predict"', source)
    at = found.start() if found else len(source)
    leads_on = re.search(r"<p>(?:(?!<p>).)*:</p>\s*$", source[:at], re.DOTALL)
    at = leads_on.start() if leads_on else at  # "The same in quantlab:" belongs to the next cell
    return source[:at], source[at:]


def on_paper(cell):
    """Return a cell's outputs, and what is said about them, as they are printed: no explorer."""
    outputs = (re.sub(r"data-(live|explorer=\"[^\"]*\") ?", "", output) for output in cell.outputs)
    return "".join(outputs) + cell.explained


def slug(text):
    """Return a heading's text as a link target: "1 · Bits & bytes" gives "1-bits-bytes"."""
    plain = html.unescape(re.sub(r"<[^>]+>", "", text)).lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _cell(notebook, node, pictures):
    cell = Cell(
        id=node.id,
        kind=node.cell_type,
        source="",
        text=node.source,
        tags=frozenset(node.metadata.get("tags", ())),
        slide=node.metadata.get("slideshow", {}).get("slide_type", "-"),
    )
    if node.cell_type == "markdown":
        cell.source = markdown(node.source)
        return cell
    cell.source = python(node.source)
    for place, output in enumerate(node.outputs):
        name = f"{notebook.stem}-{node.id}" + (f"-{place}" if place else "")
        shown = _output(output, name, pictures)
        found = EXPLORER.match(output.get("data", {}).get("text/plain", ""))
        if found:
            cell.explorer = found["title"] or found["bits"]
            shown = (
                f'<div class="explorer" data-explorer="{notebook.stem}-{node.id}">'
                f'<div class="still">{shown}</div></div>'
            )
        cell.outputs.append(shown)
    return cell


# ------------------------------------------------------------------------------------- outputs


def _output(output, name, pictures):
    """Return one output as HTML: the richest form that it has."""
    if output.output_type == "stream":
        return _printed(output.text)
    if output.output_type == "error":
        return _printed(f"{output.ename}: {output.evalue}")
    data = output.data
    if "image/png" in data:
        picture = Picture(f"{name}.png", base64.b64decode(data["image/png"]))
        pictures.append(picture)
        return _image(picture, output.metadata["image/png"])
    if "text/html" in data:
        return f'<div class="output scroll">{data["text/html"]}</div>'
    if "text/markdown" in data:
        return f'<div class="output scroll">{markdown(data["text/markdown"])}</div>'
    return _printed(data["text/plain"])


def _printed(text):
    text = strip_ansi(text).rstrip()
    wide = max(map(len, text.split("\n"))) > PHONE
    kind = " prose" if wide and not _COLUMNS.search(text) else ""
    return f'<pre class="output scroll{kind}">{html.escape(text)}</pre>'


def _image(picture, about):
    """The picture in the size that the notebook gives it; height set, so that nothing jumps."""
    across, down = struct.unpack(">II", picture.png[16:24])
    width = about["width"]
    alt = html.escape(about["alt"], quote=True)
    return (
        f'<p class="output picture"><img src="pictures/{picture.name}" alt="{alt}" '
        f'width="{width}" height="{round(width * down / across)}" loading="lazy"></p>'
    )


# -------------------------------------------------------------------------------- prose and code


class _Renderer(IPythonRenderer):
    """Markdown as the notebooks use it: named boxes, headings to link to, links inside the site."""

    def __init__(self):
        super().__init__(escape=False, exclude_anchor_links=True)

    def heading(self, text, level, **attributes):
        return f'<h{level} id="{slug(text)}">{text}</h{level}>\n'

    def block_quote(self, text):
        kind = ""
        if "<strong>Predict.</strong>" in text:
            kind = ' class="predict"'
        elif "<strong>The article says</strong>" in text:
            kind = ' class="article"'
        return f"<blockquote{kind}>\n{text}</blockquote>\n"

    def link(self, text, url, title=None):
        return super().link(text, local(url), title)

    def image(self, text, url, title=None):
        """A picture from elsewhere (a badge) becomes its words: a page loads nothing from there."""
        return (
            text if urlsplit(url).scheme in ("http", "https") else super().image(text, url, title)
        )

    def block_math(self, body):
        return maths.placeholder(body, display=True)

    def inline_math(self, body):
        return maths.placeholder(body, display=False)

    def block_code(self, code, info=None):
        if info and info.strip() == "python":
            return python(code)
        return f'<pre class="code scroll"><code>{html.escape(code)}</code></pre>\n'


def local(url):
    """Return the address that a notebook's link has on the site.

    Another notebook becomes its page; a file of the repository is shown where the repository is.
    """
    parts = urlsplit(url)
    if parts.scheme or not parts.path:
        return url
    if parts.path.endswith(".ipynb") and "/" not in parts.path:
        return url.replace(".ipynb", ".html", 1)
    path = re.sub(r"^(\.\./)+", "", parts.path)
    return f"{address.repository()}/blob/{address.BRANCH}/{path}"


def markdown(text):
    """Return Markdown as HTML; tables can be scrolled sideways on a narrow screen."""
    made = MarkdownWithMath(renderer=_Renderer()).render(text)
    made = re.sub(r"<th(?=[ >])", '<th scope="col"', made)
    return re.sub(r"(<table>.*?</table>)", r'<div class="scroll">\1</div>', made, flags=re.DOTALL)


def python(code):
    """Return Python code as HTML with its words coloured, without what is said to a formatter."""
    code = re.sub(r"[ \t]*# fmt: (?:skip|on|off)$", "", code, flags=re.MULTILINE)
    made = highlight(code.strip("\n"), PythonLexer(), HtmlFormatter(nowrap=True))
    return f'<pre class="code scroll"><code>{made.rstrip()}</code></pre>\n'
