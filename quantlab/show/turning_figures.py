"""Notebook 12: turned points and curves as figures, and an explorer with an outlier to drag.

Settings become a `Turned` (`experiments.turning`), that becomes HTML (`render`) or a picture
(`snapshot`), and `explorer` wires them to controls.
"""

import ipywidgets as widgets
import matplotlib
import numpy as np

from quantlab._checks import shown, whole
from quantlab.experiments.turning import HADAMARD, KINDS, WIDTHS, explore
from quantlab.show import given, html, style
from quantlab.show.drawing import Box, Drawing, Line, Scale, Text, across, dragged, ticks
from quantlab.show.explorer import Explorer, control

#: One look per line, in the order in which lines are named: greys, dashes and marks differ.
LOOKS = (
    {"color": style.INK, "ls": "-", "marker": "o"},
    {"color": style.QUIET, "ls": "--", "marker": "s"},
    {"color": style.MIDDLE, "ls": ":", "marker": "^"},
)

# ------------------------------------------------------------------------------- figures


@matplotlib.rc_context(style.RC)
def squares(points, names, title, bits=3):
    """Return the picture of points in the plane, each set in the square that holds it, with marks.

    points: two or three arrays (many, 2); the first of each is drawn large. names: what stands
    above each. title: the message, a sentence. bits: the marks are those of absmax for one scale.
    """
    if not isinstance(points, (list, tuple)) or not points:
        raise TypeError(f"points must be a list of arrays, got {shown(points)}")
    points = [given.numbers("points", set_, 2) for set_ in points]
    if len(names) != len(points) or any(set_.shape[1] != 2 for set_ in points):
        raise ValueError("points must be arrays (many, 2), and names one for each of them")
    top = 2 ** (whole("bits", bits, 2, 8) - 1) - 1
    widest = max(np.abs(set_).max() for set_ in points)
    fig, panels = style.figure(style.WIDEST, 400, title=title, columns=len(points), sharey=True)
    said = []
    for axes, set_, name in zip(np.ravel(panels), points, names, strict=True):
        side = float(np.abs(set_).max())
        marks = np.arange(-top, top + 1) * side / top
        axes.plot(*(one.ravel() for one in np.meshgrid(marks, marks)), ".", color=style.LIGHT, ms=5)
        corners = side * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
        axes.plot(*corners.T, color=style.INK, lw=1.5)
        axes.plot(*set_[1:].T, "o", color=style.QUIET, ms=5)
        axes.plot(*set_[0], "D", color=style.INK, ms=9)
        axes.set_title(f"{name}\nside {2 * side:.2f}, step {side / top:.2f}", fontsize=12,
                       fontweight="normal")  # fmt: skip
        axes.set(xlim=(-1.1 * widest, 1.1 * widest), ylim=(-1.1 * widest, 1.1 * widest))
        axes.set_aspect("equal")
        axes.set_xlabel("first value")
        style.plain(axes.xaxis, axes.yaxis)
        said.append(f"{name}: side {2 * side:.2f}, step {side / top:.2f}")
    np.ravel(panels)[0].set_ylabel("second value")
    return style.picture(fig, f"{title}. {'; '.join(said)}.")


@matplotlib.rc_context(style.RC)
def curves(x, lines, title, xlabel, ylabel, log=False, best=True):
    """Return a picture of up to three lines over `x`; the least of each is said.

    lines: a dict of name -> one number for each of x. title: the message, a sentence. log: the
    vertical axis is logarithmic. best: mark the least of each line.
    """
    x = given.numbers("x", x, 1)
    lines, said = given.by_name("lines", lines, 1), []
    if any(len(values) != len(x) for values in lines.values()) or len(lines) > len(LOOKS):
        raise ValueError(f"lines must be up to {len(LOOKS)} with {len(x)} numbers each, as x has")
    fig, axes = style.figure(style.WIDEST, 380, title=title)
    for look, (name, values) in zip(LOOKS, lines.items(), strict=False):
        values = np.asarray(values, np.float64)
        axes.plot(x, values, label=name, ms=5, **look)
        i = int(values.argmin())
        if best:
            axes.plot(x[i], values[i], "o", ms=13, mfc="none", mec=style.INK, mew=2)
        said.append(f"{name}: least at {x[i]:g}, {values[i]:.4g}; at {x[0]:g} {values[0]:.4g}")
    if log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    style.plain(axes.xaxis, axes.yaxis)
    axes.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.set(xlabel=xlabel, ylabel=ylabel)
    fig.legend(loc="outside lower center", ncols=len(lines))
    return style.picture(fig, f"{title}. {ylabel}. {'; '.join(said)}.")


# ------------------------------------------------------------------------------- the explorer

# One drawing, in CSS pixels: the token as it is above, turned below.
WIDTH, HEIGHT, LEFT, RIGHT = 740, 344, 20, 720
LARGEST = 30  # how far the outlier goes
SIZES = Scale(-32, 32, LEFT, RIGHT)
BIN = 0.5
TALLEST = 14  # values in a bin, at the top of a histogram
FLOORS = (112, 268)
COMB = 9


def facts(found):
    """Return what is to be said of a `Turned`: a list of (name, before, after)."""
    before, after = found.before, found.after
    return [
        ("largest value of the token", before.largest, after.largest),
        ("step of its codes", before.step, after.step),
        ("values that get code 0, %", 100 * before.lost, 100 * after.lost),
        ("kurtosis", before.kurtosis, after.kurtosis),
        (f"error of the product, {found.bits} bits on both sides, %", 100 * before.error,
         100 * after.error),
    ]  # fmt: skip


def render(outlier, share, kind, bits):
    """Return the HTML of a setting, which is as for `explore`: two histograms and a table."""
    found = explore(outlier, share, kind, bits)
    rows = [[name, _short(before), _short(after)] for name, before, after in facts(found)]
    header = ("", "as it is", "turned")
    table = html.table(rows, header=header, row_names=True, widths=(380, 90, 90))
    return draw(found).svg() + table


def _short(number):
    return f"{number:.2f}"


def draw(found, handle="drag me"):
    """Return the `Drawing` of a `Turned`. handle: what stands beside the outlier."""
    after, before = found.after, found.before
    said = f"Largest value {before.largest:.1f}, turned {after.largest:.1f}"
    said += f". Error of the product {before.error:.1%}, turned {after.error:.1%}"
    whole = f"turned: {found.kind}, {found.share:.0%} of the way"
    marks = (
        Text(LEFT, 12, "One token of 64 values as it is; below it the marks of its codes"),
        *_histogram(before, FLOORS[0], found.bits),
        *_handle(found, handle),
        Text(LEFT, FLOORS[0] + 48, f"The same token, {whole}"),
        *_histogram(after, FLOORS[1], found.bits),
        *across(SIZES, FLOORS[1] + COMB + 6, ticks(range(-30, 31, 10)), "typical sizes"),
    )
    return Drawing(WIDTH, HEIGHT, marks, said)


def _histogram(side, floor, bits):
    """Yield a token's values as bars, and the marks of its codes as a comb below."""
    bins = np.floor(side.values / BIN + 0.5).astype(int)
    for place, count in zip(*np.unique(bins, return_counts=True), strict=True):
        high = 5.5 * min(count, TALLEST)
        left = SIZES((place - 0.5) * BIN)
        yield Box(left, floor - high, SIZES(BIN) - SIZES(0) - 0.6, high, "quiet")
    yield Line(((LEFT, floor), (RIGHT, floor)), width=1)
    top = 2 ** (bits - 1) - 1
    teeth = SIZES(0) + (SIZES(1) - SIZES(0)) * side.step * np.arange(-top, top + 1)
    points = [point for x in teeth for point in ((x, floor), (x, floor + COMB), (x, floor))]
    yield Line(tuple(points), width=1.5)


def _handle(found, name):
    """The outlier to drag: a large dot, and its name on the side where there is room."""
    x, y = SIZES(found.outlier), FLOORS[0] - 46
    yield Line(((x, y), (x, FLOORS[0])), width=1.5)
    yield from dragged("outlier", found.outlier, SIZES, y, LARGEST, 1, name)


def snapshot():
    """Return the first settings as a picture."""
    found = explore()
    title = f"An outlier of {found.outlier:g}, and the same token turned"
    said = "; ".join(f"{name}: {a:.2f}, turned {b:.2f}" for name, a, b in facts(found))
    return draw(found, "this value").picture(title, f"{title}. {said}.")


def explorer():
    """Return the explorer of a layer with one large input, and a dial from no turn to a whole."""
    shares = [(f"{part} %", part / 100) for part in range(0, 101, 10)]
    bits = control(widgets.ToggleButtons, "bits", options=WIDTHS, value=4)
    bits.style.button_width = "4em"
    return Explorer(
        {
            "outlier": control(widgets.IntSlider, "the outlier", value=20, min=0, max=LARGEST),
            "share": control(widgets.SelectionSlider, "how far turned", options=shares, value=1.0),
            "kind": control(widgets.Dropdown, "which turn", options=KINDS, value=HADAMARD),
            "bits": bits,
        },
        render,
        title="Turn a token with an outlier",
        static=snapshot(),
        height=HEIGHT + 180,
    )


EXPLORERS = {"12_scale_turn_round/turn-explorer": explorer}
