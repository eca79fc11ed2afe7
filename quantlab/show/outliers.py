"""Outliers: the ruler they stretch, columns in 8 and in 16 bits, and what that costs."""

import textwrap

import matplotlib
import numpy as np

from quantlab import errors
from quantlab.affine import quantize_absmax
from quantlab.experiments.separation import (  # noqa: F401, what notebooks call
    LIBRARY,
    PAPER,
    THRESHOLDS,
    Layer,
    Separation,
    sample,
)
from quantlab.outliers import outlier_columns
from quantlab.show import matrix, style

DECADES = (1, 10, 100, 1000)
LOWEST, HIGHEST = 0.5, 3000  # the axis of magnitudes, the same in every picture
FEW = 8  # columns up to which each is named


# Figures.


@matplotlib.rc_context(style.RC)
def rulers(rows, high, title, alt=None):
    """Return a picture of one ruler below the other: the marks from 0 to `high`, and who is where.

    rows: a dict of name -> values that share a scale; those up to `high` are drawn. title: the
    message. alt: what a screen reader says; None is the title and every code.
    """
    lines = textwrap.wrap(title, 62)
    fig, axes = style.figure(style.WIDEST, 30 * len(lines) + 45 + 115 * len(rows))
    axes.set(xlim=(-0.06 * high, high), ylim=(-0.35, len(rows) - 0.1), xlabel="value")
    axes.set_title("\n".join(lines), fontsize=14, fontweight="bold", loc="left")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    said = []
    for level, (name, values) in enumerate(reversed(rows.items())):
        q = quantize_absmax(values)
        said.insert(0, _said_of_a_ruler(name, q))
        _ruler(axes, level, name, np.asarray(values, float), q, high)
    return style.picture(fig, alt or f"{title}. {' '.join(said)}")


def _said_of_a_ruler(name, q):
    codes = ", ".join(str(code) for code in q.codes)
    return f"{name}: step {float(q.scale):.3g}, codes {codes}."


def _ruler(axes, level, name, values, q, high):
    step = float(q.scale)
    marks = np.arange(0, high + 1e-9, step)
    axes.plot([0, high], [level, level], color=style.LINE, lw=1.5)
    axes.vlines(marks, level - 0.1, level + 0.1, color=style.INK, lw=1 if step < 0.3 else 2)
    many = f"{len(marks)} mark{'' if len(marks) == 1 else 's'}"
    words = f"{name}: step {step:.3g}, {many} from 0 to {high:g}"
    axes.text(-0.05 * high, level + 0.76, words, va="center", fontsize=12)
    seen = np.argsort(values)[: (values <= high).sum()]
    places = values[seen]
    for value, landed, following in zip(
        places, q.dequantize()[seen], [*places[1:], np.inf], strict=True
    ):
        axes.plot([value], [level + 0.42], "o", color=style.INK, ms=7)
        left = following - value < 0.08 * high  # no room for its number on the right
        side = {"ha": "right" if left else "left", "va": "center", "fontsize": 12}
        shift = -0.012 * high if left else 0.012 * high
        axes.text(value + shift, level + 0.52, f"{value:g}", **side)
        arrow = {"arrowstyle": "-|>", "color": style.ERROR, "lw": 2, "shrinkA": 4, "shrinkB": 0}
        axes.annotate("", (landed, level + 0.1), (value, level + 0.42), arrowprops=arrow)


def split(x, w, threshold, title, alt=None):
    """Return x @ w = small part + outlier part as a picture, the outlier columns framed.

    x: (tokens, in). w: (in, out). Only for matrices that fit on a page.
    """
    x, w = np.asarray(x), np.asarray(w)
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


@matplotlib.rc_context(style.RC)
def columns(cases, threshold, title, alt=None):
    """Return the largest magnitude of each column as bars, one panel for each matrix.

    cases: a dict of name -> x (tokens, features). threshold: drawn as a line. title: the message.
    alt: what a screen reader says; None is the title and how many columns reach the threshold.
    """
    fig, panels = style.figure(
        style.WIDEST, 60 + 190 * len(cases), rows=len(cases), sharey=True, squeeze=False
    )
    fig.suptitle(textwrap.fill(title, 62), fontsize=14, fontweight="bold", x=0.01, ha="left")
    said = []
    for axes, (name, x) in zip(panels[:, 0], cases.items(), strict=True):
        maxima = np.abs(x).max(axis=0)
        count = int((maxima >= threshold).sum())
        said.append(
            f"{name}: {count} of {maxima.size} reach {threshold:g}, at most {maxima.max():.4g}."
        )
        bars(axes, maxima, threshold)
        axes.set_title(f"{name}: {count} of {maxima.size} reach {threshold:g}",
                       fontsize=12, fontweight="normal")  # fmt: skip
    panels[-1, 0].set_xlabel("column of X (feature)")
    return style.picture(fig, alt or f"{title}. {' '.join(said)}")


def bars(axes, maxima, threshold):
    """Draw the largest magnitude of each column on `axes`; orange from the threshold on."""
    places = np.arange(maxima.size)
    apart = maxima >= threshold
    width = 0.9 if maxima.size < 200 else 1
    for some, color in ((~apart, "#A8A8A8"), (apart, style.ERROR)):
        axes.bar(places[some], maxima[some], width, color=color, linewidth=0)
    if maxima.size > 100:  # a bar of one pixel is easily missed
        axes.plot(places[apart], maxima[apart], "o", color=style.ERROR, ms=6)
    axes.axhline(threshold, color=style.INK, lw=1.5, ls="--")
    axes.set(yscale="log", ylim=(LOWEST, HIGHEST), ylabel="largest |x|")
    axes.set_yticks(DECADES, [str(d) for d in DECADES])
    axes.minorticks_off()
    axes.margins(x=0.01)
    if maxima.size <= FEW:
        axes.set_xticks(places)


@matplotlib.rc_context(style.RC)
def tradeoff(x, w, title, alt=None):
    """Return what each threshold costs and buys: columns in 16 bits, and the error of the product.

    x: (tokens, in). w: (in, out). title: the message. alt: what a screen reader says; None is the
    title and the numbers at threshold 6 and without separation.
    """
    layer = Layer(x, w)
    fig, (above, below) = style.figure(style.WIDEST, 460, rows=2, sharex=True, height_ratios=(1, 2))
    fig.suptitle(textwrap.fill(title, 62), fontsize=14, fontweight="bold", x=0.01, ha="left")
    places = np.arange(len(THRESHOLDS))
    counts = [int((layer.maxima >= t).sum()) for t in THRESHOLDS]
    above.bar(places, counts, color="#A8A8A8")
    above.bar_label(above.containers[0], fontsize=12)
    above.set(ylabel="columns\nin 16 bits", ylim=(0, 1.3 * max(counts)))
    curve(below, layer, (PAPER, LIBRARY))
    here = layer.separate()
    said = (
        f"At threshold 6, {len(here.columns)} of {layer.maxima.size} columns are in 16 bits and "
        f"the relative error is {here.relative:.3%}; without separation it is "
        f"{layer.absmax.relative:.3%}."
    )
    return style.picture(fig, alt or f"{title}. {said}")


def curve(axes, layer, sides):
    """Draw the error of a `Layer` at each threshold on `axes`, for PAPER, LIBRARY or both."""
    places = np.arange(len(THRESHOLDS))
    for weights, look in ((PAPER, "-"), (LIBRARY, "--")):
        if weights in sides:
            errors_ = 100 * np.array(layer.sweep[weights])
            axes.plot(places, errors_, look, color=style.ERROR, marker="o", ms=5, label=weights)
    axes.axhline(100 * layer.absmax.relative, color=style.LINE, lw=1.5, ls=":")
    axes.text(0, 106 * layer.absmax.relative, "no separation", va="bottom", fontsize=12)
    axes.set(yscale="log", ylabel="relative error, %", xlabel="threshold")
    axes.set_ylim(*limits(layer))
    axes.set_yticks(powers(*limits(layer)), [f"{p:g}" for p in powers(*limits(layer))])
    axes.minorticks_off()
    # Four digits beside four digits would touch.
    axes.set_xticks(places, ["" if t == 1000 else str(t) for t in THRESHOLDS])
    axes.set_xlim(-0.6, len(THRESHOLDS) - 0.4)
    if len(sides) > 1:
        axes.legend(title="outliers' weights", title_fontsize=12, loc="lower right")


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
    lines = []
    for name, product in {"exact": exact, **products}.items():
        error = f"{100 * errors.relative(product, exact):.3f} %"
        shown = [] if row is None else [*product[row], *(product - exact)[row]]
        if name != "exact" or row is not None:
            lines.append([name, *(f"{value:.2f}" for value in shown), error])
    blank = [] if row is None else [""] * (exact.shape[1] - 1)
    titles = [] if row is None else [f"row {row + 1}", *blank, "its errors", *blank]
    return matrix.table(lines, header=("", *titles, "relative error of all"))
