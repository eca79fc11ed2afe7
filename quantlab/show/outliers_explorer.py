"""Notebook 05's explorer: a threshold, the columns that go to 16 bits, the error and the bytes.

Settings become a `Separation` (`Layer.separate`), that becomes HTML (`render`) or a picture
(`snapshot`), and `explorer` wires both to controls.
"""

import ipywidgets as widgets
import numpy as np

from quantlab import article, errors
from quantlab.show import drawing, html, matrix
from quantlab.show import outliers_figures as figures
from quantlab.show.explorer import Explorer, control
from quantlab.show.registry import RUN

LABELLED = (1, 6, 20, 100, 1000)  # the thresholds that a small axis names
# Wider than any number below it, so that columns keep their places.
HEADER = ("", "no separation", "this threshold", "all in FP16")


def default_layers():
    """Return the two layers that need no model: the article's product, and a sample."""
    return {
        "the article's X and W": (article.X, article.W),
        "64 columns, 5 of them large": figures.sample(),
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


def render(found):
    """Return a `Separation` as HTML: bars, the error's curve, the table, and small matrices."""
    table = html.table(summary(found), header=HEADER)
    small = matrix.to_html(panels(found)) if found.layer.x.shape[1] <= figures.FEW else ""
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
    return figures.bars(layer.maxima, apart, found.threshold, words, below)


def _curve(found):
    """The relative error at each threshold, and where this one stands."""
    label = f"The relative error is {found.relative:.3%} at threshold {found.threshold:g}"
    here = ((found.threshold, found.relative),)
    sides = (found.weights,)
    return figures.curve(found.layer, sides, label=label, shown=LABELLED, marks=here)


def explorer(layers=None):
    """Return the explorer: which columns go to 16 bits at a threshold, error and bytes.

    layers: a dict of name -> (x, w), x (tokens, in) and w (in, out); None is `default_layers`.
    """
    known = {name: figures.Layer(*pair) for name, pair in (layers or default_layers()).items()}
    first = next(iter(known.values()))

    def show(data, threshold, weights):
        return render(known[data].separate(threshold, weights))

    return Explorer(
        {
            "data": control(widgets.Dropdown, "data", options=list(known)),
            "threshold": control(
                widgets.SelectionSlider,
                "threshold",
                options=[(str(t), float(t)) for t in figures.THRESHOLDS],
                value=6.0,
            ),
            "weights": control(
                widgets.Dropdown,
                "outliers' weights",
                options=[figures.PAPER, figures.LIBRARY],
            ),
        },
        show,
        title="Which columns go to 16 bits?",
        static=snapshot(first.separate()),
        height=660,
    )


EXPLORERS = {"05_outliers/explorer": RUN}
