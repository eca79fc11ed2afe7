"""Notebook 05's explorer: a threshold, the columns that go to 16 bits, the error and the bytes.

Settings become a `Separation` (`outliers.Layer.separate`), that becomes HTML (`face`) or a picture
(`still`), and `explorer` wires both to controls.
"""

import ipywidgets as widgets
import numpy as np

from quantlab import article, errors
from quantlab.show import drawing, html, matrix, outliers
from quantlab.show.drawing import Box, Drawing, Line, Mark, Scale, Text
from quantlab.show.explorer import Explorer, control

LABELLED = (1, 6, 20, 100, 1000)  # the thresholds that a small axis names
# Wider than any number below it, so that columns keep their places.
HEADER = ("", "no separation", "this threshold", "all in FP16")


def default_layers():
    """Return the two layers that need no model: the article's product, and `outliers.sample`."""
    return {
        "the article's X and W": (article.X, article.W),
        "64 columns, 5 of them large": outliers.sample(),
    }


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


def face(found):
    """Return a `Separation` as HTML: bars, the error's curve, the table, and small matrices."""
    table = html.table(summary(found), header=HEADER)
    small = matrix.to_html(panels(found)) if found.layer.x.shape[1] <= outliers.FEW else ""
    return (
        f'<div style="color:{html.INK};font-size:16px;line-height:1.4">'
        f"{drawing.page([_bars(found), _curve(found)])}"
        f'<div style="margin:8px 0">{table}</div>{small}</div>'
    )


def still(found):
    """Return a `Separation` as a picture: bars, curve and the table."""
    name = f"Threshold {found.threshold:g}, outliers' weights: {found.weights}"
    lines = [[row[0], *map(html.number, row[1:])] for row in summary(found)]
    edges = ((8, "start"), *((x, "end") for x in (400, 570, 720)))
    table = drawing.table([HEADER, *lines], edges, "what each threshold takes")
    said = "; ".join(f"{line[0]}: {', '.join(line[1:])}" for line in lines)
    ends = "each without separation, at this threshold, all in FP16"
    whole = drawing.flow([_bars(found), _curve(found), table])
    return whole.picture(name, f"Still of the explorer. {name}; {ends}. {said}.")


WIDTH, HEIGHT, LEFT, FLOOR, TOP = 372, 250, 58, 204, 30  # of one drawing, CSS pixels
MAXIMA = Scale(outliers.LOWEST, outliers.HIGHEST, FLOOR, TOP, log=True)
PLACES = Scale(0, len(outliers.THRESHOLDS) - 1, LEFT + 10, WIDTH - 26)


def _bars(found):
    """The largest magnitude of each column; those in 16 bits are red."""
    maxima, count = found.layer.maxima, len(found.columns)
    pitch, few = (WIDTH - LEFT - 8) / maxima.size, maxima.size <= outliers.FEW
    marks = [Text(8, 11, "largest |x| of each column")]
    marks += [Text(LEFT - 8, MAXIMA(d), str(d), "end") for d in outliers.DECADES]
    for j, value in enumerate(maxima):
        apart = j in found.columns
        x, top = LEFT + j * pitch, MAXIMA(np.clip(value, MAXIMA.low, MAXIMA.high))
        color = "error" if apart else "quiet"
        marks.append(Box(x, top, max(pitch * 0.85, 1), FLOOR - top, color))
        if few:
            middle = x + pitch * 0.425
            marks.append(Text(middle, FLOOR - 13, html.number(value), "middle", "ground"))
            marks.append(Text(middle, FLOOR + 14, "16 bits" if apart else "8 bits", "middle"))
        elif apart:  # a bar of one pixel is easily missed
            marks.append(Mark(x + pitch / 2, top, size=4, fill=color))
    marks.append(_level(MAXIMA(found.threshold), dashed=True))
    marks.append(_level(FLOOR))
    said = f"{count} of {maxima.size} columns in 16 bits"
    marks.append(Text(WIDTH / 2, HEIGHT - 10, said, "middle"))
    return Drawing(WIDTH, HEIGHT, tuple(marks), f"{said} at the threshold {found.threshold:g}")


def _curve(found):
    """The relative error at each threshold, and where this one stands."""
    layer, (low, high) = found.layer, outliers.limits(found.layer)
    percent = Scale(low, high, FLOOR, TOP, log=True)
    points = [(PLACES(i), percent(100 * e)) for i, e in enumerate(layer.sweep[found.weights])]
    level = percent(100 * layer.absmax.relative)
    above = points[0][1] > level  # the curve is below the line: the word stands above it
    here = np.interp(found.threshold, outliers.THRESHOLDS, range(len(outliers.THRESHOLDS)))
    labels = {i: str(t) for i, t in enumerate(outliers.THRESHOLDS) if t in LABELLED}
    marks = (
        Text(8, 11, "relative error of the product, %"),
        *(Text(LEFT - 8, percent(p), f"{p:g}", "end") for p in outliers.powers(low, high)),
        _level(level, dashed=True),
        Text(LEFT + 4, level + (-12 if above else 13), "no separation"),
        Line(tuple(points), "quiet"),
        Mark(PLACES(here), percent(100 * found.relative), size=7, fill="error"),
        _level(FLOOR),
        *(Text(PLACES(i), FLOOR + 14, words, "middle") for i, words in labels.items()),
        Text(WIDTH / 2, HEIGHT - 10, "threshold", "middle"),
    )
    label = f"The relative error is {found.relative:.3%} at threshold {found.threshold:g}"
    return Drawing(WIDTH, HEIGHT, marks, label)


def _level(y, dashed=False):
    return Line(((LEFT - 4, y), (WIDTH - 4, y)), dashed=dashed, width=1.5)


def explorer(layers=None):
    """Return the explorer: which columns go to 16 bits at a threshold, error and bytes.

    layers: a dict of name -> (x, w), x (tokens, in) and w (in, out); None is `default_layers`.
    """
    known = {name: outliers.Layer(*pair) for name, pair in (layers or default_layers()).items()}
    first = next(iter(known.values()))

    def show(data, threshold, weights):
        return face(known[data].separate(threshold, weights))

    return Explorer(
        {
            "data": control(widgets.Dropdown, "data", options=list(known)),
            "threshold": control(
                widgets.SelectionSlider,
                "threshold",
                options=[(str(t), float(t)) for t in outliers.THRESHOLDS],
                value=6.0,
            ),
            "weights": control(
                widgets.Dropdown, "outliers' weights", options=[outliers.PAPER, outliers.LIBRARY]
            ),
        },
        show,
        title="Which columns go to 16 bits?",
        static=still(first.separate()),
        height=660,
    )
