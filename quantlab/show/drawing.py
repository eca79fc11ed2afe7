"""One drawing, two renderers: marks as data, as SVG for a page and as a picture for a snapshot.

Coordinates are CSS pixels from the upper left corner. A colour is a role of `style.ROLES`, which
follows the theme of the page, or "#rrggbb".
"""

import textwrap
from dataclasses import dataclass, field, replace

import numpy as np
from matplotlib import patches
from matplotlib.ticker import MaxNLocator

from quantlab._checks import text as checked_text
from quantlab.show import html, style

#: Corners of the marks that are no circle, for a size of 1.
SHAPES = {
    "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "triangle": ((0, -1.1), (1.1, 0.9), (-1.1, 0.9)),
    "diamond": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    "down": ((0, 1.1), (1.1, -0.9), (-1.1, -0.9)),
}
POINTS = 72 / style.PIXELS_PER_INCH  # points in a CSS pixel
DASHES = (6, 4)


class _Placed:
    def moved(self, right, down):
        """Return the same mark elsewhere."""
        return replace(self, x=self.x + right, y=self.y + down)


@dataclass(frozen=True)
class Text(_Placed):
    """Text at (x, y), y its middle. anchor: start, middle or end. key: the number that it shows.

    size: CSS pixels. turned: read upwards. halo: the ground around it hides what lies below.
    """

    x: float
    y: float
    text: str
    anchor: str = "start"
    role: str = "ink"
    bold: bool = False
    key: str = ""
    size: float = 16
    mono: bool = False
    turned: bool = False
    halo: bool = False

    def svg(self):
        """Return the text as SVG."""
        turn = f"rotate(-90 {_short(self.x)} {_short(self.y)})" if self.turned else None
        halo = {"paint_order": "stroke", "stroke": html.GROUND, "stroke_width": 5}
        return _tag(
            "text", html.escape(self.text), x=self.x, y=self.y, dy="0.35em",
            text_anchor=self.anchor, fill=_themed(self.role),
            font_weight=600 if self.bold else None, font_size=_unless(self.size, 16),
            font_family="monospace" if self.mono else None, transform=turn,
            **(halo if self.halo else {}), data_key=self.key or None,
        )  # fmt: skip

    def put(self, axes):
        """Draw the text on matplotlib axes in pixels."""
        axes.text(
            self.x, self.y, self.text.replace("$", r"\$"), color=_fixed(self.role),
            ha={"start": "left", "middle": "center", "end": "right"}[self.anchor],
            va="center", rotation=90 * self.turned,
            fontsize=self.size * POINTS, fontweight="bold" if self.bold else "normal",
            family="DejaVu Sans Mono" if self.mono else "DejaVu Sans",
            bbox={"fc": "white", "ec": "none", "pad": 0} if self.halo else None,
        )  # fmt: skip


@dataclass(frozen=True)
class Box(_Placed):
    """A rectangle. shade: 0 to 1, how much of its fill covers the ground."""

    x: float
    y: float
    width: float
    height: float
    fill: str = "pale"
    edge: str = "none"
    shade: float = 1
    line: float = 2

    def svg(self):
        """Return the rectangle as SVG."""
        return _tag(
            "rect", x=self.x, y=self.y, width=self.width, height=self.height,
            fill=_themed(self.fill), fill_opacity=_unless(self.shade, 1), **_stroke(self),
        )  # fmt: skip

    def put(self, axes):
        """Draw the rectangle on matplotlib axes in pixels."""
        # The fill alone is transparent, as in SVG.
        fill = "none" if self.fill == "none" else (_fixed(self.fill), self.shade)
        look = {"fc": fill, "ec": _fixed(self.edge), "lw": self.line * POINTS}
        axes.add_patch(patches.Rectangle((self.x, self.y), self.width, self.height, **look))


@dataclass(frozen=True)
class Mark(_Placed):
    """A small shape around (x, y): "circle" or one of `SHAPES`. size: half its width.

    drag: the ``data-`` attributes of static/explorer.js, if it can be dragged.
    """

    x: float
    y: float
    shape: str = "circle"
    size: float = 5
    fill: str = "ink"
    edge: str = "none"
    line: float = 2
    drag: dict = field(default_factory=dict)

    def svg(self):
        """Return the shape as SVG."""
        look = {"fill": _themed(self.fill), **_stroke(self)}
        if self.drag:
            look |= {f"data-{name}": str(value) for name, value in self.drag.items()}
            look |= {"class": "ql-handle", "style": "cursor:ew-resize;touch-action:none"}
        if self.shape == "circle":
            return _tag("circle", cx=self.x, cy=self.y, r=self.size, **look)
        return _tag("polygon", points=_path(self._corners()), **look)

    def put(self, axes):
        """Draw the shape on matplotlib axes in pixels."""
        look = {"fc": _fixed(self.fill), "ec": _fixed(self.edge), "lw": self.line * POINTS}
        if self.shape == "circle":
            axes.add_patch(patches.Circle((self.x, self.y), self.size, **look))
        else:
            axes.add_patch(patches.Polygon(self._corners(), **look))

    def _corners(self):
        return [(self.x + self.size * a, self.y + self.size * b) for a, b in SHAPES[self.shape]]


@dataclass(frozen=True)
class Line:
    """A line through points. arrow: with a head at its end."""

    points: tuple
    role: str = "ink"
    dashed: bool = False
    width: float = 2
    arrow: bool = False

    def moved(self, right, down):
        """Return the same line elsewhere."""
        return replace(self, points=tuple((x + right, y + down) for x, y in self.points))

    def svg(self):
        """Return the line as SVG."""
        dashes = " ".join(map(str, DASHES)) if self.dashed else None
        line = _tag(
            "polyline", points=_path(self.points), fill="none", stroke=_themed(self.role),
            stroke_width=self.width, stroke_dasharray=dashes,
        )  # fmt: skip
        head = {"points": _path(self._head()), "fill": _themed(self.role)}
        return line + (_tag("polygon", **head) if self.arrow else "")

    def put(self, axes):
        """Draw the line on matplotlib axes in pixels."""
        dashes = (0, np.divide(DASHES, self.width)) if self.dashed else "-"
        look = {"color": _fixed(self.role), "ls": dashes, "lw": self.width * POINTS}
        axes.plot(*zip(*self.points, strict=True), **look, solid_capstyle="butt")
        if self.arrow:
            axes.add_patch(patches.Polygon(self._head(), fc=_fixed(self.role), ec="none"))

    def _head(self):
        before, end = map(np.array, self.points[-2:])
        along = (end - before) / (np.linalg.norm(end - before) or 1) * 5
        across = along[::-1] * (1, -1)
        return [end + along, end - along + across, end - along - across]


@dataclass(frozen=True)
class Drawing:
    """Marks on `width` x `height` CSS pixels. label: what they show, in words."""

    width: float
    height: float
    marks: tuple
    label: str

    def at(self, x, y):
        """Return the marks with the corner of the drawing at (x, y)."""
        return [mark.moved(x, y) for mark in self.marks]

    def svg(self):
        """Return the drawing as SVG text; it shrinks on a narrow page."""
        body = "".join(mark.svg() for mark in self.marks)
        return html.svg(_short(self.width), _short(self.height), body, self.label)

    def picture(self, title, alt):
        """Return the drawing under a title as a `show.picture`; it grows to the width of the title.

        Raises ValueError if it would be over 760 pixels wide.
        """
        width = max(self.width, min(12 * len(checked_text("title", title)) + 12, style.WIDEST))
        lines = textwrap.wrap(title, int(width / style.TITLE))
        top = 28 * len(lines) + 14
        fig, axes = style.figure(width, top + self.height)
        fig.set_layout_engine("none")
        axes.set(position=[0, 0, 1, 1], xlim=(0, width), ylim=(self.height, -top))
        axes.axis("off")
        for i, line in enumerate(lines):
            Text(8, 20 + 28 * i - top, line, bold=True, size=14 / POINTS).put(axes)
        for mark in self.marks:
            mark.put(axes)
        for artist in (*axes.texts, *axes.patches, *axes.lines):
            artist.set_zorder(1)  # what comes later lies above, as in SVG
        return style.picture(fig, alt)


def page(drawings):
    """Return drawings as SVG side by side; on a narrow page they wrap."""
    inside = "".join(one.svg() for one in drawings)
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px 16px">{inside}</div>'


def named(drawings):
    """Return drawings as HTML, each under its label, which keeps its size on a phone."""
    label = f'<div style="color:{html.INK};margin:6px 0 2px">'
    return "".join(f"{label}{html.escape(one.label)}</div>{one.svg()}" for one in drawings)


def piled(drawings):
    """Return drawings as one, each under its label."""
    marks, y = [], 8
    for one in drawings:
        marks += [Text(8, y, one.label), *one.at(8, y + 16)]
        y += one.height + 40
    return Drawing(style.WIDEST, y - 16, tuple(marks), "; ".join(one.label for one in drawings))


def flow(drawings, gap=16):
    """Return drawings side by side as one; they go on below where 760 pixels are full."""
    marks, x, y, line = [], 0, 0, 0
    for one in drawings:
        if x and x + one.width > style.WIDEST:
            x, y, line = 0, y + line + gap, 0
        marks += one.at(x, y)
        x, line = x + one.width + gap, max(line, one.height)
    label = "; ".join(one.label for one in drawings)
    return Drawing(style.WIDEST, y + line, tuple(marks), label)


# ------------------------------------------------------------------------------------- the axes


@dataclass(frozen=True)
class Scale:
    """Where numbers stand on an axis: `low` at the pixel `start`, `high` at the pixel `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value):
        low, high, value = np.log([self.low, self.high, value]) if self.log else (
            self.low, self.high, value
        )  # fmt: skip
        return float(self.start + (value - low) / (high - low) * (self.end - self.start))


def ticks(values):
    """Return numbers with their texts, for an axis.

    >>> ticks((-1, 0.5))
    {-1: '−1', 0.5: '0.5'}
    """
    return {value: f"{value:g}".replace("-", "−") for value in values}


def round_numbers(low, high):
    """Return round numbers from `low` to `high`, for an axis.

    >>> round_numbers(-0.5, 20)
    [0.0, 5.0, 10.0, 15.0, 20.0]
    """
    found = MaxNLocator(7, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [float(value) for value in found if low <= value <= high]


def across(scale, y, labels, name=""):
    """Yield a horizontal axis at height `y`. labels: texts by their numbers. name: below them."""
    yield Line(((scale.start, y), (scale.end, y)), width=1.5)
    for value, words in labels.items():
        yield Text(scale(value), y + 17, words, "middle")
    if name:
        yield Text((scale.start + scale.end) / 2, y + 39, name, "middle")


def dragged(setting, value, scale, y, highest, step, name):
    """A large dot to drag along a scale, and its name on the side where there is room.

    setting: what it changes, from 0 to `highest` in steps of `step`. value: where it is now.
    """
    side, anchor = (-16, "end") if value > highest / 2 else (16, "start")
    yield Text(scale(value) + side, y, name, anchor, halo=True)
    drag = {"drag": setting, "zero": f"{scale(0):.3f}", "unit": f"{scale(1) - scale(0):.3f}"}
    drag |= {"min": 0, "max": f"{highest:g}", "step": step}
    yield Mark(scale(value), y, size=10, edge="ground", drag=drag)


def upwards(scale, left, right, labels, name=""):
    """Yield a vertical axis: lines from `left` to `right`, texts on their left, a turned name."""
    for value, words in labels.items():
        yield Line(((left, scale(value)), (right, scale(value))), "grid", width=1)
        yield Text(left - 8, scale(value), words, "end")
    if name:
        yield Text(14, (scale.start + scale.end) / 2, name, "middle", turned=True)


def table(rows, edges, label):
    """Return rows of texts, titles first, as a drawing for a snapshot: a page has `html.table`.

    edges: (x, anchor) of each column. label: what the table shows.
    """
    marks = tuple(
        Text(edges[j][0], 12 + 25 * i, text, edges[j][1], bold=i == 0)
        for i, row in enumerate(rows)
        for j, text in enumerate(row)
    )
    return Drawing(style.WIDEST, 25 * len(rows), marks, label)


# ------------------------------------------------------------------------------------ the pieces


def _themed(role):
    return html.COLORS.get(role, role)


def _fixed(role):
    return style.ROLES.get(role, role)


def _stroke(mark):
    return {} if mark.edge == "none" else {"stroke": _themed(mark.edge), "stroke_width": mark.line}


def _unless(value, usual):
    return None if value == usual else value


def _short(number):
    return f"{round(float(number), 2):g}"


def _written(value):
    return html.escape(value) if isinstance(value, str) else _short(value)


def _path(points):
    return " ".join(f"{_short(x)},{_short(y)}" for x, y in points)


def _tag(name, text="", **attributes):
    """Return an SVG element; attributes that are None are left out."""
    written = "".join(
        f' {key.replace("_", "-")}="{_written(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{text}</{name}>" if text else f"<{name}{written}/>"
