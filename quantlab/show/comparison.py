"""Notebook 07: methods side by side, on the article's product and on one layer of a model.

What is shown is measured in `quantlab.experiments.one_layer`.
"""

import matplotlib
import numpy as np
from IPython.display import HTML
from matplotlib.lines import Line2D

from quantlab import errors
from quantlab._checks import one_of
from quantlab.experiments.one_layer import (  # noqa: F401, what notebooks call
    GROUP,
    SETTINGS,
    Point,
    Setting,
    best,
    frontier,
    measure,
    quantize,
)
from quantlab.methods import WEIGHT_ONLY
from quantlab.show import html, labels, matrix, style
from quantlab.show.model import look

METHODS = tuple(method.label for method in WEIGHT_ONLY)


# --------------------------------------------------------------------- the article's product


def article_table(rows, exact, published):
    """Show all six results of each method, and under those that were published the difference.

    rows: (method, bits of X, bits of W, product); products are (3, 2), bits numbers or text.
    exact: (3, 2). published: {method: three rows of two numbers, or of the text that was printed,
    None for a row that is not known}; it stands under the first line of that method.
    """
    titles = ("method", "X", "W", "row 1", "", "row 2", "", "row 3", "", "error")
    lines, quiet, left = [], [], dict(published)
    for method, x_bits, w_bits, product in rows:
        error = f"{100 * errors.relative(product, exact):.4f} %"
        numbers = [f"{v:.2f}" for v in np.ravel(product)]
        lines.append([method, str(x_bits), str(w_bits), *numbers, error])
        if method in left:
            quiet += [len(lines), len(lines) + 1]
            lines += _printed_lines(left.pop(method), product)
    lines = [[text.replace("-", "−") for text in line] for line in lines]
    return HTML(html.table(lines, titles, row_names=True, quiet=quiet))


def _printed_lines(printed, product):
    said, apart = [], []
    for row, ours in zip(printed, product, strict=True):
        said += ["", ""] if row is None else map(str, row)
        gaps = [] if row is None else np.subtract(ours, np.asarray(row, dtype=np.float64))
        apart += [f"{np.round(gap, 2) + 0.0:+.2f}" for gap in gaps] or ["", ""]
    yield ["published", "", "", *said, ""]
    yield ["ours − published", "", "", *apart, ""]


@matplotlib.rc_context(style.RC)
def product_figure(rows, exact, title):
    """Return the picture of each method's error on the product, on a logarithmic scale.

    rows, exact: as in `article_table`; the exact row is left out. title: the message, a sentence.
    """
    found = [(name, x, w, errors.relative(p, exact)) for name, x, w, p in rows]
    found = [row for row in found if row[3] > 0]
    fig, axes = style.figure(style.WIDEST, 140 + 27 * len(found), title=title)
    for place, (_, _, w, error) in enumerate(found):
        low = str(w).startswith("4")
        ground = "white" if low else style.INK
        axes.plot(100 * error, place, "o", ms=9, mfc=ground, mec=style.INK, mew=1.8)
        axes.annotate(
            f"{percent(error)}", (100 * error, place), (11, 0),
            textcoords="offset points", va="center",
        )  # fmt: skip
    for ground, label in ((style.INK, "W in 8 or 16 bits"), ("white", "W in 4 bits, or 4+16")):
        axes.plot([], [], "o", ms=9, mfc=ground, mec=style.INK, mew=1.8, label=label)
    fig.legend(loc="outside lower center", ncols=2)
    axes.set_xscale("log")
    axes.set(ylim=(len(found) - 0.4, -0.6), xlabel="relative error of all six results, in %")
    style.plain(axes.xaxis)
    axes.margins(x=0.14)
    axes.set_yticks(range(len(found)), [f"{name}: X {x}, W {w}" for name, x, w, _ in found])
    axes.grid(axis="x", lw=0.8)
    said = "; ".join(f"{n}, X {x}, W {w}: {percent(e)}" for n, x, w, e in found)
    return style.picture(fig, alt=f"{title}. Relative errors: {said}.")


def percent(error, digits=2):
    """Return a share as percent with `digits` significant digits.

    >>> percent(0.00128), percent(0.0954), percent(0.5592, 3)
    ('0.13 %', '9.5 %', '55.9 %')
    """
    return f"{html.number(100 * error, digits)} %"


# --------------------------------------------------------------------------- the real layer


@matplotlib.rc_context(style.RC)
def pareto_figure(points, title, named=None, window=None, height=540):
    """Return the picture of output error against true bits per weight, with the frontier.

    points: `Point`s of one layer. title: the message, a sentence. named: settings whose points
    get a label, None: all in sight. window: (fewest bits, most bits) to show, None: all.
    """
    low, high = window or (1.3, max(p.bits for p in points) + 0.2)
    seen = [p for p in points if low <= p.bits <= high]
    best_ones = frontier(points)
    fig, axes = style.figure(style.WIDEST, height, title=title)
    for p in seen:
        axes.plot(p.bits, 100 * p.error, ls="", zorder=3, **_mark(p.setting))
    corners = stairs(best_ones, high)
    axes.plot(*zip(*corners, strict=True), color=style.LINE, lw=1.5, zorder=2)
    _pareto_axes(axes, (low, high), [100 * p.error for p in seen])
    fig.legend(handles=_key(), loc="outside lower center", ncols=4)
    chosen = [p for p in seen if named is None or p.setting in named]
    names = [_label(p.setting, with_bits=window is None) for p in chosen]
    places, others = ([(p.bits, 100 * p.error) for p in of] for of in (chosen, seen))
    labels.place(axes, places, names, others, [corners])
    said = "; ".join(f"{p.setting}: {p.bits:.2f} bits, {percent(p.error, 3)}" for p in seen)
    winners = "; ".join(str(p.setting) for p in best_ones if p in seen)
    return style.picture(fig, alt=f"{title}. Error of the output: {said}. Frontier: {winners}.")


def _label(setting, with_bits):
    if not with_bits or setting.row.bits:
        return setting.name
    return setting.name.replace(setting.method, f"{setting.method} {setting.bits}", 1)


def _mark(setting):
    marker, color = look(setting.method)
    ground = "white" if setting.group else color
    return {"marker": marker, "color": color, "mfc": ground, "ms": 8, "mew": 1.6}


def _key():
    """Return the handles of the legend: a mark for each method, what hollow is, the frontier."""
    names = {m.label: Setting(m.label, 4, GROUP if m.bits else None) for m in WEIGHT_ONLY}
    names[f"hollow: groups of {GROUP}"] = Setting("absmax", 4, GROUP)
    marks = [Line2D([], [], ls="", label=name, **_mark(s)) for name, s in names.items()]
    return [*marks, Line2D([], [], color=style.LINE, lw=1.5, label="frontier")]


def _pareto_axes(axes, limits, percents):
    low, high = 0.82 * min(percents), 1.2 * max(percents)
    axes.set_yscale("log")
    axes.set(xlim=limits, ylim=(low, high))
    axes.set(xlabel="true bits per weight, scales included", ylabel="output error, in %")
    steps = (1, 2, 5) if high / low > 10 else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    ticks = [s * 10.0**k for k in range(-3, 3) for s in steps if low < s * 10.0**k < high]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_axisbelow(True)
    axes.grid(axis="y", lw=0.8)


def stairs(best_ones, end):
    """Return the corners of the least error that a number of bits buys."""
    corners = []
    for point, after in zip(best_ones, [*best_ones[1:], None], strict=True):
        corners.append((point.bits, 100 * point.error))
        corners.append((after.bits if after else end, 100 * point.error))
    return corners


def point_table(points):
    """Show points by their bits; those on the frontier are marked with a word."""
    best_ones = set(frontier(points))
    rows = [
        [str(p.setting), f"{p.bits:.3f}", f"{100 * p.error:.2f} %",
         "yes" if p in best_ones else "no"]
        for p in sorted(points, key=lambda p: (p.bits, p.error))
    ]  # fmt: skip
    return matrix.table(rows, header=("setting", "true bits", "output error", "on the frontier"))


# ------------------------------------------------------------------------------------- tables

#: What each method needs: (method, calibration text, X at run time, what the kernel does).
NEEDS = (
    ("absmax, weights", "no", "as it is", "code × scale, then a 16-bit product"),
    ("zero-point, weights", "no", "as it is", "(code − zero-point) × scale, then a 16-bit product"),
    ("absmax, X and W", "no", "rounded, a scale per token", "8-bit product, then one rescale"),
    ("LLM.int8()", "no", "split, then rounded", "8-bit product and a 16-bit product, added"),
    ("GPTQ", "yes", "as it is", "as absmax or zero-point"),
    ("GPTQ, act-order and groups", "yes", "as it is", "the same, and looks up each row's group"),
    ("NF4, FP4", "no", "as it is", "looks the value up in a table × scale, then a 16-bit product"),
    ("NF4, double quantization", "no", "as it is", "the same, after it decodes the scales"),
)


def needs_table():
    """Show what each method needs."""
    titles = ("method", "calibration text", "X at run time", "what a kernel does")
    return matrix.table([list(row) for row in NEEDS], header=titles)


VERDICTS = ("true", "half right", "wrong", "cannot be checked")


class Claims:
    """What the article says, each with a verdict, the number and the notebook that showed it."""

    def __init__(self):
        self.rows = []

    def add(self, says, verdict, number, notebook):
        """Note a claim. Raises ValueError for a verdict that is not one of `VERDICTS`.

        says: the claim in words. number: what was computed, as text. notebook: its number.
        """
        one_of("verdict", verdict, VERDICTS)
        self.rows.append([says, verdict, number, f"{notebook:02d}"])

    def __repr__(self):
        return "\n".join(" | ".join(row) for row in self.rows)

    def _repr_html_(self):
        kinds = [row[1] for row in self.rows]
        counts = ", ".join(f"{kinds.count(v)} {v}" for v in VERDICTS if v in kinds)
        titles = ("the article says", "verdict", "the number", "notebook")
        caption = f"{len(self.rows)} claims: {counts}."
        return matrix.table(self.rows, header=titles, caption=caption).data
