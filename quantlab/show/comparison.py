"""Notebook 07: methods side by side, on the article's product and on one layer of a model.

What is shown is measured and chosen in `quantlab.experiments.one_layer`.
"""

from itertools import pairwise

import ipywidgets as widgets
import matplotlib
import numpy as np
from IPython.display import HTML

from quantlab import errors
from quantlab._checks import one_of, shown, text
from quantlab.experiments.one_layer import GROUP, RULES, Setting, choose, frontier
from quantlab.methods import WEIGHT_ONLY
from quantlab.show import drawing, given, html, matrix, style
from quantlab.show.drawing import Drawing, Line, Mark, Scale, Text
from quantlab.show.explorer import Explorer, control
from quantlab.show.model import look
from quantlab.show.registry import RUN

#: The marks of the plot as characters, for the table beside it, and as shapes.
MARKS = {"absmax": "●", "zero-point": "■", "GPTQ": "▲", "NF4": "◇", "FP4": "▽"}
SHAPES = dict(zip(MARKS, ("circle", "square", "triangle", "diamond", "down"), strict=True))
OTHER = "◆", "diamond"  # of a method that has no mark of its own

# --------------------------------------------------------------------- the article's product


def article_table(rows, exact, published):
    """Show all six results of each method, and under those that were published the difference.

    rows: (method, bits of X, bits of W, product); products are (3, 2), bits numbers or text.
    exact: (3, 2). published: {method: three rows of two numbers, or of the text that was printed,
    None for a row that is not known}; it stands under the first line of that method.
    """
    _check_rows(rows, exact)
    _check_published(published, exact)
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


def _check_rows(rows, exact):
    """Refuse what are no results of methods beside an exact one, a matrix."""
    exact = given.numbers("exact", exact, 2)
    fit = isinstance(rows, (list, tuple)) and rows
    if not fit or not all(isinstance(row, (list, tuple)) and len(row) == 4 for row in rows):
        raise TypeError(f"rows must be (method, bits of X, bits of W, product), got {shown(rows)}")
    for name, _, _, product in rows:
        product = given.numbers(f"the product in rows of {shown(name)}", product)
        if product.shape != exact.shape:
            raise ValueError(
                f"rows and exact need one shape: {shown(name)} has {product.shape}, the exact "
                f"product {exact.shape}"
            )


def _check_published(published, exact):
    if not isinstance(published, dict):
        raise TypeError(f"published must be a dict by methods, got {shown(published)}")
    for name, printed in published.items():
        fit = isinstance(printed, (list, tuple)) and len(printed) == len(exact)
        if not fit or not all(row is None or len(row) == 2 for row in printed):
            raise ValueError(f"published needs three rows of {shown(name)}, got {shown(printed)}")


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
    _check_rows(rows, exact)
    found = [(name, x, w, errors.relative(p, exact)) for name, x, w, p in rows]
    found = [row for row in found if row[3] > 0]
    if not found:
        raise ValueError("rows must hold a product that is not exact: nothing is left to draw")
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


def pareto_figure(points, title, named=None, window=None, height=540):
    """Return the picture of output error against true bits per weight, with the frontier.

    points: `Point`s of one layer. title: the message, a sentence. named: settings whose points
    get a label, None: all in sight. window: (fewest bits, most bits) to show, None: all.
    Raises ValueError for a label that finds no room.
    """
    given.results("points", points, "setting", "bits", "error")
    text("title", title)
    low, high = window or (1.2, max(p.bits for p in points) + 0.2)
    seen = [p for p in points if low <= p.bits <= high]
    best_ones, percents = frontier(points), [100 * p.error for p in seen]
    bits = Scale(low, high, 62, style.WIDEST - 8)
    scale = Scale(0.82 * min(percents), 1.2 * max(percents), height - 150, 8, log=True)
    before = [p for p in best_ones if p.bits < low][-1:]
    line = _stairs([*before, *(p for p in best_ones if p in seen)], bits, scale)
    marks = [*_axes(bits, scale, "true bits per weight, scales included"), line]
    places = {p: (bits(p.bits), scale(100 * p.error)) for p in seen}
    marks += [_mark(p.setting, *place, look(p.setting.method)[1]) for p, place in places.items()]
    chosen = [p for p in seen if named is None or p.setting in named]
    names = {places[p]: _label(p.setting, with_bits=window is None) for p in chosen}
    marks += [*_labels(names, places.values(), line.points, bits, scale), *_key(height - 70)]
    said = "; ".join(f"{p.setting}: {p.bits:.2f} bits, {percent(p.error, 3)}" for p in seen)
    winners = "; ".join(str(p.setting) for p in best_ones if p in seen)
    alt = f"{title}. Error of the output: {said}. Frontier: {winners}."
    return Drawing(style.WIDEST, height - 24, tuple(marks), alt).picture(title, alt)


def _axes(bits, scale, words):
    """Return the axes: bits in steps that suit their range, errors in %, on a logarithmic scale."""
    narrow = scale.high / scale.low <= 10
    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9) if narrow else (1, 2, 5)
    percents = (s * 10.0**k for k in range(-4, 4) for s in steps)
    percents = drawing.ticks(t for t in percents if scale.low < t < scale.high)
    numbers = np.round(np.arange(np.ceil(10 * bits.low), 10 * bits.high) / 10, 1)
    whole = [int(number) for number in numbers if number == int(number)]
    return [
        *drawing.upwards(scale, bits.start, bits.end, percents, "output error, in %"),
        *drawing.across(
            bits, scale.start, drawing.ticks(whole if len(whole) > 2 else numbers), words
        ),
    ]


def _stairs(best_ones, bits, scale):
    """Return the line of the least error that a number of bits buys."""
    corners = []
    for point, after in zip(best_ones, [*best_ones[1:], None], strict=True):
        level = scale(min(100 * point.error, scale.high))
        corners.append((bits(max(point.bits, bits.low)), level))
        corners.append((bits(after.bits if after else bits.high), level))
    return Line(tuple(corners), "quiet", width=1.5)


def _mark(setting, x, y, color, size=5.5):
    """The shape of a setting's method: filled with one scale per output, else hollow."""
    fill = "ground" if setting.group else color
    return Mark(x, y, SHAPES.get(setting.method, OTHER[1]), size, fill, color)


def _label(setting, with_bits):
    if not with_bits or setting.row.bits:
        return setting.name
    return setting.name.replace(setting.method, f"{setting.method} {setting.bits}", 1)


def _labels(names, dots, corners, bits, scale):
    """Yield names, by their places, beside these: where no dot, corner or other name stands."""
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in dots]
    for a, b in pairwise(corners):
        taken.append((*np.minimum(a, b), *np.maximum(a, b)))
    spots = [
        (side, down * sign) for down in range(0, 80, 5) for sign in (-1, 1) for side in (1, -1)
    ]
    for (x, y), name in names.items():
        width = 9.8 * len(name)  # px, a letter at 12 pt on average
        for side, down in spots:
            left, top = x + 12 * side - width * (side < 0), y + down - 9
            box = (left, top, left + width, top + 18)
            inside = bits.start < left and box[2] < bits.end and top > 0 and box[3] < scale.start
            if inside and not any(_overlap(box, other) for other in taken):
                break
        else:
            raise ValueError(f"no room for the label {name!r}: fewer labels or a larger figure")
        taken.append(box)
        yield Text(x + 12 * side, y + down, name, "start" if side > 0 else "end", halo=True)


def _overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _key(y):
    """Yield the legend: a mark for each method, what hollow is, the frontier."""
    names = {m.label: Setting(m.label, 4, GROUP if m.bits else None) for m in WEIGHT_ONLY}
    names[f"hollow: groups of {GROUP}"] = Setting("absmax", 4, GROUP)
    for i, (name, setting) in enumerate(names.items()):
        place = 80 + 150 * (i // 2), y + 24 * (i % 2)
        yield _mark(setting, *place, look(setting.method)[1])
        yield Text(place[0] + 18, place[1], name)
    x = 80 + 150 * (len(names) // 2) + 90
    yield Line(((x, y), (x + 30, y)), "quiet", width=1.5)
    yield Text(x + 38, y, "frontier")


def point_table(points):
    """Show points by their bits; those on the frontier are marked with a word."""
    given.results("points", points, "setting", "bits", "error")
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


# ------------------------------------------------------------------------------- the explorer

LEAST, MOST = 2.0, 8.7  # bits per weight that a budget can be
WIDTH, HEIGHT, LEFT, RIGHT, TOP, FLOOR = 720, 334, 62, 708, 12, 282  # px, of the plot
TITLES = ("method", "its best setting", "true bits", "error", "")


def render(choice):
    """Return a `Choice` as HTML: the best of each method, and all points with the budget."""
    # Fixed widths: nothing moves when a longer setting wins.
    table = html.table(_rows(choice), TITLES, widths=(105, 420, 65, 75, 90))
    budget = html.span(f"At most {choice.budget:.2f} bits: ", html.QUIET)
    return (
        f'<div style="color:{html.INK};font-size:16px;line-height:1.4">'
        f'<div data-said style="margin:6px 0">{budget}'
        f"{html.span(_answer(choice), bold=True)}</div>"
        '<div class="scroll" style="overflow-x:auto;white-space:nowrap">'
        f"{table}</div>{_draw(choice).svg()}</div>"
    )


def _answer(choice):
    if choice.best is None:
        least = min(p.bits for p in choice.allowed)
        return f"nothing fits into {choice.budget:.2f} bits: the least is {least:.2f}"
    return f"{choice.best.setting}: error {_percent(choice.best)}"


def _percent(point):
    return f"{100 * point.error:.3f} %"  # the same decimals in all rows: digits under digits


def _rows(choice):
    """Return the best point of each method as texts, under `TITLES`."""
    found = []
    for method, point in choice.by_method.items():
        name = f"{MARKS.get(method, OTHER[0])} {method}"
        if point is None:
            known = any(p.setting.method == method for p in choice.allowed)
            found.append((name, "nothing fits" if known else "not allowed", "–", "–", ""))
        else:
            word = "least error" if point == choice.best else ""
            bits = f"{point.bits:.3f}"
            found.append((name, str(point.setting).partition(", ")[2], bits, _percent(point), word))
    return found


def _draw(choice):
    """Return the `Drawing` of a `Choice`: all points, the frontier of the allowed, the budget."""
    percents = [100 * p.error for p in choice.points]
    scale = Scale(0.8 * min(percents), 1.25 * max(percents), FLOOR, TOP, log=True)
    bits = Scale(1.9, max(MOST, *(p.bits for p in choice.points)) + 0.1, LEFT, RIGHT)

    def marked(points, color):
        places = ((p.setting, bits(p.bits), scale(100 * p.error)) for p in points)
        return [_mark(*place, color) for place in places]

    x, best = bits(choice.budget), choice.best
    ring = {"size": 11, "fill": "none", "edge": "error", "line": 2.5}
    marks = [
        *_axes(bits, scale, "true bits per weight (the dashed line is your budget)"),
        *marked([p for p in choice.points if p not in choice.allowed], "grid"),
        _stairs(frontier(choice.allowed), bits, scale),
        *marked(choice.allowed, "ink"),
        Line(((x, TOP), (x, FLOOR)), "error", dashed=True, width=2.5),
        *([Mark(bits(best.bits), scale(100 * best.error), **ring)] if best else ()),
    ]
    label = f"Error against bits; budget {choice.budget:.2f} bits: {_answer(choice)}"
    return Drawing(WIDTH, HEIGHT, tuple(marks), label)


def _snapshot(points, budget, layer):
    """Return one setting of the explorer as a picture."""
    found = choose(points, budget)
    best = found.best
    title = (
        f"{layer}: {budget:.2f} bits buy an error of {_percent(best)} with {best.setting.method}"
    )
    edges = ((8, "start"), (126, "start"), (636, "end"), (728, "end"))
    lines = [row[:4] for row in (TITLES, *_rows(found))]
    table = drawing.table(lines, edges, "the best setting of each method")
    said = "; ".join(", ".join(filter(None, row)) for row in _rows(found))
    return drawing.flow([table, _draw(found)]).picture(title, f"{title}. {said}.")


def explorer(measured, budget=4.2):
    """Return the explorer of a budget. measured: {name of a layer: its `Point`s}.

    Raises ValueError for an empty dict.
    """
    if not measured:
        raise ValueError("measured must hold the points of at least one layer, got {}")
    layers = list(measured)

    def answer(layer, budget, allowed):
        return render(choose(measured[layer], budget, allowed))

    return Explorer(
        {
            "layer": control(widgets.Dropdown, "layer", options=layers),
            "budget": control(
                widgets.FloatSlider, "budget", value=budget, min=LEAST, max=MOST, step=0.05
            ),
            "allowed": control(widgets.Dropdown, "allowed", options=list(RULES)),
        },
        answer,
        title="What does your budget of bits per weight buy?",
        static=_snapshot(measured[layers[0]], budget, layers[0]),
        height=520,
    )


EXPLORERS = {"07_comparison/explorer": RUN}
