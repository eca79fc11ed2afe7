"""Outliers: the ruler they stretch, columns in 8 and in 16 bits, and what that costs.

The explorer of notebook 05 shows a `Separation`, which `quantlab.experiments.separation` computes.
"""

import ipywidgets as widgets
import numpy as np

from quantlab import errors
from quantlab._checks import positive, whole
from quantlab.affine import quantize_absmax
from quantlab.experiments.separation import LIBRARY, PAPER, THRESHOLDS, Layer, default_layers
from quantlab.outliers import outlier_columns
from quantlab.show import drawing, given, grid, html, matrix, style
from quantlab.show.drawing import Box, Drawing, Line, Mark, Scale, Text, round_numbers
from quantlab.show.explorer import Explorer, control
from quantlab.show.registry import RUN

DECADES = (1, 10, 100, 1000)
LOWEST, HIGHEST = 0.5, 3000  # the axis of magnitudes, the same in every picture
FEW = 8  # columns up to which each is named


# Figures.


def rulers(rows, high, title, alt=None):
    """Return a picture of one ruler below the other: the marks from 0 to `high`, and who is where.

    rows: a dict of name -> values that share a scale; those up to `high` are drawn. title: the
    message. alt: what a screen reader says; None is the title and every code.
    """
    marks, said, floor, scale = [], [], 0, Scale(0, positive("high", high), 40, 735)
    for name, values in given.by_name("rows", rows, 1).items():
        q = quantize_absmax(values)
        said.append(_said_of_a_ruler(name, q))
        step = float(q.scale.item())
        drawn = 1 + min(int(high / step + 1e-9), 2 ** (q.bits - 1) - 1)  # the mark at 0 is one
        many = f"{drawn} mark{'' if drawn == 1 else 's'}"
        words = f"{name}: step {step:.3g}, {many} from 0 to {high:g}"
        marks.append(Text(8, floor + 12, words))
        row, floor = grid.lowered(grid.ruler(values, q, scale, named=False), floor + 38)
        marks += row
        floor += 14
    marks += drawing.across(scale, floor + 8, drawing.ticks(round_numbers(0, high)), "value")
    alt = alt or f"{title}. {' '.join(said)}"
    return Drawing(style.WIDEST, floor + 60, tuple(marks), alt).picture(title, alt)


def _said_of_a_ruler(name, q):
    codes = ", ".join(str(code) for code in q.codes)
    return f"{name}: step {float(q.scale):.3g}, codes {codes}."


def split(x, w, threshold, title, alt=None):
    """Return x @ w = small part + outlier part as a picture, the outlier columns framed.

    x: (tokens, in). w: (in, out). Only for matrices that fit on a page.
    """
    x, w = given.pair(x, w)
    apart = outlier_columns(x, threshold)
    calm = np.setdiff1d(np.arange(x.shape[1]), apart)
    frame = tuple((i, j) for i in range(len(x)) for j in apart)
    rows = tuple((i, j) for i in apart for j in range(w.shape[1]))
    panels = [
        matrix.Panel("X", x, outline=frame),
        matrix.Panel("W", w, before="@", outline=rows),
        matrix.Panel("X, calm columns: 8 bits", x[:, calm], before="="),
        matrix.Panel("their rows of W", w[calm], before="@"),
        matrix.Panel("outlier columns: 16 bits", x[:, apart], before="+"),
        matrix.Panel("their rows of W", w[apart], before="@"),
    ]
    return matrix.draw(panels, title, alt)


def columns(cases, threshold, title, alt=None):
    """Return the largest magnitude of each column as bars, one panel for each matrix.

    cases: a dict of name -> x (tokens, features). threshold: drawn as a line. title: the message.
    alt: what a screen reader says; None is the title and how many columns reach the threshold.
    """
    panels, said, threshold = [], [], positive("threshold", threshold)
    for name, x in given.by_name("cases", cases, 2).items():
        maxima = np.abs(x).max(axis=0)
        count = int((maxima >= threshold).sum())
        reached = f"{count} of {maxima.size} reach {threshold:g}"
        said.append(f"{name}: {reached}, at most {maxima.max():.4g}.")
        words = f"{name}, the largest magnitude in each column: {reached}"
        panels.append(bars(maxima, maxima >= threshold, threshold, words, width=style.WIDEST))
    return drawing.flow(panels).picture(title, alt or f"{title}. {' '.join(said)}")


LEFT, FLOOR, TOP = 58, 204, 30  # of bars and of a curve, CSS pixels
MAXIMA = Scale(LOWEST, HIGHEST, FLOOR, TOP, log=True)


def bars(maxima, apart, threshold, words, below="column of X (feature)", width=372):
    """Return the largest magnitude of each column as a `Drawing`; red where `apart` is True.

    words: stand above it, and are its label. below: stands below it.
    """
    pitch = (width - LEFT - 8) / maxima.size
    low = FLOOR - 13  # of the numbers in the bars; higher where the threshold would strike them out
    low -= 18 if abs(MAXIMA(threshold) - low) < 10 else 0
    marks = [Text(8, 11, words)]
    marks += [Text(LEFT - 8, MAXIMA(d), str(d), "end") for d in DECADES]
    for j, value in enumerate(np.clip(maxima, LOWEST, HIGHEST)):
        x, color = LEFT + j * pitch, "error" if apart[j] else "quiet"
        marks.append(Box(x, MAXIMA(value), max(pitch * 0.85, 1), FLOOR - MAXIMA(value), color))
        if maxima.size <= FEW:
            middle, number = x + pitch * 0.425, html.number(maxima[j])
            marks.append(Text(middle, low, number, "middle", "ground"))
            marks.append(Text(middle, FLOOR + 14, "16 bits" if apart[j] else "8 bits", "middle"))
        elif apart[j] and pitch < 8:  # a thin bar is easily missed
            marks.append(Mark(x + pitch / 2, MAXIMA(value), size=4, fill=color))
    marks += (_level(MAXIMA(threshold), width, dashed=True), _level(FLOOR, width))
    marks.append(Text(width / 2, FLOOR + 36, below, "middle"))
    return Drawing(width, FLOOR + 46, tuple(marks), words)


def _level(y, width, dashed=False):
    return Line(((LEFT - 4, y), (width - 4, y)), dashed=dashed, width=1.5)


def tradeoff(x, w, title, alt=None):
    """Return what each threshold costs and buys: columns in 16 bits, and the error of the product.

    x: (tokens, in). w: (in, out). title: the message. alt: what a screen reader says; None is the
    title and the numbers at threshold 6 and without separation.
    """
    x, w = given.pair(x, w)
    layer, here = Layer(x, w), Layer(x, w).separate()
    said = (
        f"At threshold 6, {len(here.columns)} of {layer.maxima.size} columns are in 16 bits and "
        f"the relative error is {here.relative:.3%}; without separation it is "
        f"{layer.absmax.relative:.3%}."
    )
    places = _places(style.WIDEST)
    counts = [int((layer.maxima >= t).sum()) for t in THRESHOLDS]
    marks = [Text(8, 11, "columns in 16 bits")]
    for i, count in enumerate(counts):
        height = 60 * count / max(counts)
        marks.append(Box(places(i) - 15, 110 - height, 30, height, "quiet", shade=0.55))
        marks.append(Text(places(i), 98 - height, str(count), "middle"))
    above = Drawing(style.WIDEST, 110, (*marks, _level(110, style.WIDEST)), said)
    shown = set(THRESHOLDS) - {1000}  # four digits beside four digits would touch
    below = curve(layer, (PAPER, LIBRARY), style.WIDEST, shown=shown)
    both = drawing.flow([above, below])
    return both.picture(title, alt or f"{title}. {said}")


def _places(width):
    return Scale(0, len(THRESHOLDS) - 1, LEFT + 10, width - 26)


def curve(layer, sides, width=372, label="", shown=THRESHOLDS, marks=()):
    """Return the error of a `Layer` at each threshold as a `Drawing`.

    sides: PAPER, LIBRARY or both. shown: the thresholds that the axis names. marks: (threshold,
    share) to mark by dots.
    """
    low, high = limits(layer)
    places, percent = _places(width), Scale(low, high, FLOOR, TOP, log=True)
    level = percent(100 * layer.absmax.relative)
    drawn = [Text(8, 11, "relative error of the product, %"), _level(level, width, dashed=True)]
    drawn += [Text(LEFT - 8, percent(p), f"{p:g}", "end") for p in powers(low, high)]
    for side, shape in zip(sides, ("circle", "square"), strict=False):
        points = [(places(i), percent(100 * e)) for i, e in enumerate(layer.sweep[side])]
        drawn.append(Line(tuple(points), "quiet"))
        if len(sides) > 1:
            drawn += [Mark(*point, shape, 4, "quiet") for point in points]
            y = FLOOR - 16 - 24 * (shape == "circle")
            drawn.append(Mark(width - 430, y, shape, 5, "quiet"))
            drawn.append(Text(width - 416, y, f"outliers' weights: {side}"))
    above = points[0][1] > level  # the curve is below the line: the word stands above it
    drawn.append(Text(LEFT + 4, level + (-12 if above else 13), "no separation"))
    for threshold, share in marks:
        x = places(np.interp(threshold, THRESHOLDS, range(len(THRESHOLDS))))
        drawn.append(Mark(x, percent(100 * share), size=7, fill="error"))
    drawn.append(_level(FLOOR, width))
    for i, threshold in enumerate(THRESHOLDS):
        if threshold in shown:
            drawn.append(Text(places(i), FLOOR + 14, str(threshold), "middle"))
    drawn.append(Text(width / 2, FLOOR + 36, "threshold", "middle"))
    return Drawing(width, FLOOR + 46, tuple(drawn), label or "error by threshold")


def limits(layer):
    """Return the least and the largest error of both sides, in %, with room around them."""
    values = [100 * e for side in layer.sweep.values() for e in side] + [
        100 * layer.absmax.relative
    ]
    return min(values) / 1.6, max(values) * 1.9


def powers(low, high):
    """Return the powers of ten between two numbers."""
    first, last = int(np.ceil(np.log10(low))), int(np.floor(np.log10(high)))
    return [10.0**p for p in range(first, last + 1)]


def compare(products, exact, row=None):
    """Show the relative errors of products of one kind as a table, least words first.

    products: a dict of name -> matrix. exact: what they should be. row: also show the numbers and
    the errors of this row, counted from 0; None is for matrices too large for that.
    """
    exact, products = given.numbers("exact", exact, 2), given.by_name("products", products, 2)
    lines = []
    if row is not None:
        row = whole("row", row, 0, len(exact) - 1)
    for name, product in {"exact": exact, **products}.items():
        error = f"{100 * errors.relative(product, exact):.3f} %"
        shown = [] if row is None else [*product[row], *(product - exact)[row]]
        if name != "exact" or row is not None:
            lines.append([name, *(f"{value:.2f}" for value in shown), error])
    blank = [] if row is None else [""] * (exact.shape[1] - 1)
    titles = [] if row is None else [f"row {row + 1}", *blank, "its errors", *blank]
    return matrix.table(lines, header=("", *titles, "relative error of all"))


# The explorer.

LABELLED = (1, 6, 20, 100, 1000)  # the thresholds that a small axis names
# Wider than any number below it, so that columns keep their places.
HEADER = ("", "no separation", "this threshold", "all in FP16")


def summary(found):
    """Return the rows of the explorer's table: no separation, this threshold, all in FP16."""
    three = (found.layer.absmax, found, found.layer.fp16)
    exact = found.layer.exact
    return [
        ["columns in 16 bits", *(len(s.columns) for s in three)],
        ["16-bit multiplications, %", *(100 * s.share for s in three)],
        ["relative error, %", *(100 * s.relative for s in three)],
        ["largest error", *(errors.maximum(s.product, exact) for s in three)],
        ["bytes of X", *(s.x_bytes for s in three)],
        ["bytes of W", *(s.w_bytes for s in three)],
    ]


def panels(found):
    """Return the matrices of a small `Separation`: X with its outlier columns framed, the rest."""
    x = found.layer.x
    frame = tuple((i, j) for i in range(len(x)) for j in found.columns)
    error = found.product - found.layer.exact
    return [
        matrix.Panel("X, framed: 16 bits", x, outline=frame),
        matrix.Panel("product", found.product, 2),
        matrix.Panel("error of the product", error, 2, heat=np.abs(error)),
    ]


def render(found):
    """Return a `Separation` as HTML: bars, the error's curve, the table, and small matrices."""
    table = html.table(summary(found), header=HEADER)
    small = matrix.to_html(panels(found)) if found.layer.x.shape[1] <= FEW else ""
    return (
        f'<div style="color:{html.INK};font-size:16px;line-height:1.4">'
        f"{drawing.page([_bars(found), _curve(found)])}"
        f'<div style="margin:8px 0">{table}</div>{small}</div>'
    )


def snapshot(found):
    """Return a `Separation` as a picture: bars, curve and the table."""
    name = f"Threshold {found.threshold:g}, outliers' weights: {found.weights}"
    lines = [[row[0], *map(html.number, row[1:])] for row in summary(found)]
    edges = ((8, "start"), *((x, "end") for x in (400, 570, 720)))
    table = drawing.table([HEADER, *lines], edges, "what each threshold takes")
    said = "; ".join(f"{line[0]}: {', '.join(line[1:])}" for line in lines)
    ends = "each without separation, at this threshold, all in FP16"
    whole = drawing.flow([_bars(found), _curve(found), table])
    return whole.picture(name, f"Still of the explorer. {name}; {ends}. {said}.")


def _bars(found):
    """The largest magnitude of each column; those in 16 bits are red."""
    layer, words = found.layer, "largest |x| of each column"
    apart = np.isin(range(layer.maxima.size), found.columns)
    below = f"{len(found.columns)} of {layer.maxima.size} columns in 16 bits"
    return bars(layer.maxima, apart, found.threshold, words, below)


def _curve(found):
    """The relative error at each threshold, and where this one stands."""
    label = f"The relative error is {found.relative:.3%} at threshold {found.threshold:g}"
    here = ((found.threshold, found.relative),)
    sides = (found.weights,)
    return curve(found.layer, sides, label=label, shown=LABELLED, marks=here)


def explorer(layers=None):
    """Return the explorer: which columns go to 16 bits at a threshold, error and bytes.

    layers: a dict of name -> (x, w), x (tokens, in) and w (in, out); None is `default_layers`.
    """
    known = {name: Layer(*pair) for name, pair in (layers or default_layers()).items()}
    first = next(iter(known.values()))

    def show(data, threshold, weights):
        return render(known[data].separate(threshold, weights))

    return Explorer(
        {
            "data": control(widgets.Dropdown, "data", options=list(known)),
            "threshold": control(
                widgets.SelectionSlider,
                "threshold",
                options=[(str(t), float(t)) for t in THRESHOLDS],
                value=6.0,
            ),
            "weights": control(
                widgets.Dropdown,
                "outliers' weights",
                options=[PAPER, LIBRARY],
            ),
        },
        show,
        title="Which columns go to 16 bits?",
        static=snapshot(first.separate()),
        height=660,
    )


EXPLORERS = {"05_outliers/explorer": RUN}
