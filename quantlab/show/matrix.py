"""Matrices drawn as cells, in figures and in HTML, and published numbers in a table."""

import re
from dataclasses import dataclass

import matplotlib
import numpy as np
from IPython.display import HTML

from quantlab._checks import finite_array, whole
from quantlab._checks import text as checked_text
from quantlab.experiments.in_print import beside
from quantlab.show import given, html, style
from quantlab.show.drawing import Box, Drawing, Text, page

CELL_HEIGHT, ROW_GAP, PANEL_GAP, PADDING = 32, 22, 28, 8  # CSS pixels
DIGIT, POINT, MINUS = 10.2, 5.1, 13.4  # widths at 12 pt in DejaVu Sans, CSS pixels
_NUMBER = re.compile(r"[-−]?\d+(\.\d+)?( ?%| dB)?$")
HOTTEST = 0.85  # of the way from white to the error colour: dark text keeps 4.5 to 1 on it


@dataclass(frozen=True, eq=False)
class Panel:
    """One matrix of a drawing.

    name: stands above it. values: (rows, columns). decimals: the same in all cells; None takes 0
    for whole numbers and 3 for others. heat: magnitudes of the same shape that colour the cells,
    or None. outline: (row, column) of the cells to frame. before: a sign between this panel and
    the one on its left, such as "=". block: (row, column) of a block to frame in ink; None in the
    place of one of them takes all: (0, None) is the first row. () frames nothing. room: a text
    that every column has room for, or one for each of them: none moves when the values change.
    """

    name: str
    values: np.ndarray
    decimals: int | None = None
    heat: np.ndarray | None = None
    outline: tuple = ()
    before: str = ""
    block: tuple = ()
    room: str | tuple = ""

    def __post_init__(self):
        checked_text("name", self.name)
        values = np.asarray(self.values)
        if values.ndim != 2 or values.size == 0:
            raise ValueError(f"values must be a matrix with cells, got shape {values.shape}")
        finite_array("values", self.values)
        if self.heat is not None and np.shape(self.heat) != values.shape:
            raise ValueError(f"heat has shape {np.shape(self.heat)}, the values {values.shape}")
        object.__setattr__(self, "values", values)


def texts(values, decimals=None):
    """Return the cells of a matrix as text with `decimals` decimals each, so that points align.

    >>> texts(np.array([[1.5, -20.25]]), 1), texts(np.array([[127, -3]]))
    ([['1.5', '−20.2']], [['127', '−3']])
    """
    values = np.asarray(values)
    if decimals is None:
        decimals = 0 if values.dtype.kind in "biu" else 3
    # Adding 0.0 turns a rounded -0.0 into 0.0: no "−0.000" in a cell.
    rows = [[f"{np.round(float(v), decimals) + 0.0:.{decimals}f}" for v in row] for row in values]
    return [[text.replace("-", "−") for text in row] for row in rows]


def shade(magnitude, top):
    """Return the colour of a magnitude from 0 (white) to `top` (the error colour, a little paler).

    >>> shade(0, 2.0), shade(2.0, 2.0), shade(0, 0)
    ('#ffffff', '#db7626', '#ffffff')
    """
    part = HOTTEST * min(abs(magnitude) / top, 1) if top else 0
    white, hot = (np.array(matplotlib.colors.to_rgb(c)) for c in ("#FFFFFF", style.ERROR))
    return matplotlib.colors.to_hex(white + part * (hot - white))


def draw(panels, title, alt=None):
    """Return matrices side by side as a picture; they go on to a next line when 760 px are full.

    panels: `Panel`s. title: the message, a sentence. alt: what a screen reader says; None is the
    title and all numbers. All panels share one scale of heat.
    """
    places, height = _layout(panels)
    marks, hottest, before = [], _hottest(panels), None
    for panel, (x, y) in zip(panels, places, strict=True):
        marks += _draw(panel, hottest).at(x, y)
        if panel.before:
            # Beside the lower of two neighbours, a sign has numbers on both of its sides.
            rows = min(len(p.values) for p in (before or panel, panel))
            middle = y + CELL_HEIGHT * (1 + rows / 2)
            marks.append(Text(x - _sign_width(panel) / 2, middle, panel.before, "middle", size=21))
        before = panel
    alt = alt or describe(panels, title)
    return Drawing(style.WIDEST, height, tuple(marks), alt).picture(title, alt)


def describe(panels, title):
    """Return the title and the numbers of all panels as one line of text.

    >>> describe([Panel("codes", np.array([[1, -2], [0, 3]]))], "Two rows")
    'Two rows. codes: 1 −2; 0 3.'
    """
    parts = []
    for panel in panels:
        rows = "; ".join(" ".join(row) for row in texts(panel.values, panel.decimals))
        parts.append(f" {panel.before} ".lstrip() + f"{panel.name}: {rows}.")
    return f"{title}. " + " ".join(parts)


def heat_map(errors, title, alt=None, decimals=2):
    """Return errors as a picture: one panel for each name, coloured by magnitude on one scale.

    errors: a dict of name -> matrix of signed errors. title, alt: as for `draw`.
    """
    errors = given.by_name("errors", errors, 2)
    panels = [Panel(name, e, decimals, heat=np.abs(e)) for name, e in errors.items()]
    return draw(panels, title, alt)


def product(x, w, title, alt=None):
    """Return x @ w = result as a picture, the largest magnitude of `x` framed."""
    x, w = given.pair(x, w)
    outlier = np.unravel_index(np.abs(x).argmax(), x.shape)
    panels = [
        Panel("X: activations", x, outline=(outlier,)),
        Panel("W: weights", w, before="@"),
        Panel("X @ W", x @ w, 2, before="="),
    ]
    return draw(panels, title, alt)


def entry(x, w, row, column, title, alt=None):
    """Return x @ w = result as a picture, with one entry and the row and column it is made from.

    row, column: the place of the entry, from 0. title, alt: as for `draw`; None adds the sum.
    """
    x, w = given.pair(x, w)
    row, column = whole("row", row, 0, len(x) - 1), whole("column", column, 0, w.shape[1] - 1)
    panels = [
        Panel("X", x, block=(row, None)),
        Panel("W", w, before="@", block=(None, column)),
        Panel("X @ W", x @ w, before="=", block=(row, column)),
    ]
    terms = [f"{one} × {other}" for one, other in zip(x[row], w[:, column], strict=True)]
    place, added = f"Row {row + 1} times column {column + 1}", " + ".join(terms)
    total = f" {place}: {added} = {x[row] @ w[:, column]}."
    return draw(panels, title, alt or (describe(panels, title) + total).replace("-", "−"))


def table(rows, header=(), caption=""):
    """Return rows as a table that a notebook shows.

    rows: lists of strings and numbers. A column of strings that all start like numbers, such as
    "−1579.00" or "0.60 %", is padded so that its digits stand under each other.
    """
    columns = [_pad(column) for column in zip(*rows, strict=True)]
    return HTML(html.table(list(zip(*columns, strict=True)), header, caption))


def _pad(column):
    if not all(isinstance(text, str) and _NUMBER.match(text) for text in column):
        return column
    width = max(map(len, column))
    return [text.replace("-", "−").rjust(width, "\N{FIGURE SPACE}") for text in column]


def to_html(panels):
    """Return matrices as SVG side by side; in a narrow page they wrap."""
    hottest = _hottest(panels)
    return page([_draw(panel, hottest) for panel in panels])


def beside_table(ours):
    """Show `beside` as one line for each row of a matrix, and count the verdicts."""
    rows = beside(ours)
    lines = {}
    for name, i, _, text, value, says in rows:
        lines.setdefault((name, i), []).append((text, f"{value:.4f}", says))
    header = ("matrix", "row", "printed", "ours", "the printed digits are ours")
    body = [[name, str(i), *_line(cells)] for (name, i), cells in lines.items()]
    kinds = [row[-1] for row in rows]
    counts = [kinds.count(kind) for kind in ("rounded", "cut off", "differs")]
    caption = "{} published numbers: {} are ours rounded, {} ours cut off, {} differ."
    return table(body, header, caption.format(len(rows), *counts))


def _line(cells):
    odd = [f"{t}: {s}" for t, _, s in cells if s != "rounded"]
    texts_, values, _ = (", ".join(part).replace("-", "−") for part in zip(*cells, strict=True))
    return texts_, values, "; ".join(odd).replace("-", "−") or "rounded"


def _hottest(panels):
    return max((np.abs(p.heat).max() for p in panels if p.heat is not None), default=0)


def _widths(panel):
    """Return the width of each column in CSS pixels: as wide as its longest text."""
    columns = list(zip(*texts(panel.values, panel.decimals), strict=True))
    rooms = [panel.room] * len(columns) if isinstance(panel.room, str) else panel.room
    filled = [(*column, room) for column, room in zip(columns, rooms, strict=True)]
    widths = [max(map(_text_width, column)) + 2 * PADDING for column in filled]
    short_by = DIGIT * 1.05 * len(panel.name) - sum(widths)
    return [w + max(short_by, 0) / len(widths) for w in widths]


def _text_width(text):
    digits = len(text) - text.count(".") - text.count("−")
    return DIGIT * digits + POINT * text.count(".") + MINUS * text.count("−")


def _sign_width(panel):
    return 20 + 12 * len(panel.before)


def _layout(panels):
    """Return the left upper corner of each panel and the height of all, in CSS pixels."""
    places, x, y, line = [], 8, 0, 0
    for panel in panels:
        width, height = sum(_widths(panel)), CELL_HEIGHT * (len(panel.values) + 1)
        indent = 24 if panel.before else 0
        gap = max(PANEL_GAP, _sign_width(panel)) if places else indent
        if places and x + gap + width > style.WIDEST - 8:
            x, gap, y, line = 8, indent, y + line + ROW_GAP, 0
        places.append((x + gap, y))
        x, line = x + gap + width, max(line, height)
        if x > style.WIDEST:
            raise ValueError(f"{panel.name} is {width:.0f} px wide, at most {style.WIDEST} fit")
    return places, y + line + 10


def _draw(panel, hottest):
    """Return the `Drawing` of one matrix: its name, its cells, its frames."""
    widths = _widths(panel)
    lefts, height = np.cumsum([0, *widths]), CELL_HEIGHT
    marks = [Text(1, height - 13, panel.name)]
    for i, row in enumerate(texts(panel.values, panel.decimals), 1):
        for j, text in enumerate(row):
            fill, edge, ink = "pale", "ground", "ink"
            if panel.heat is not None:
                fill, edge = shade(panel.heat[i - 1][j], hottest), "grid"
                ink = style.contrast(fill)
            marks.append(Box(lefts[j], height * i, widths[j], height, fill, edge, line=1.5))
            marks.append(Text(lefts[j + 1] - PADDING, height * (i + 0.5), text, "end", ink))
    if panel.block:
        (top, rows), (left, columns) = (
            (at or 0, n if at is None else 1)
            for at, n in zip(panel.block, panel.values.shape, strict=True)
        )
        wide = lefts[left + columns] - lefts[left]
        place = (lefts[left], height * (top + 1), wide, height * rows)
        marks.append(Box(*place, "none", "ink", line=3.5))
    for i, j in panel.outline:
        place = (lefts[j] + 1, height * (i + 1) + 1, widths[j] - 2, height - 2)
        marks.append(Box(*place, "none", "error", line=3.5))
    size = (lefts[-1] + 1, height * len(panel.values) + height + 1)
    return Drawing(*size, tuple(marks), describe([panel], "A matrix"))
