"""Notebook 05's explorer: a threshold, the columns that go to 16 bits, the error and the bytes.

Settings become a `Separation` (`outliers.Layer.separate`), that becomes HTML (`face`) or a picture
(`still`), and `explorer` wires both to controls.
"""

import ipywidgets as widgets
import matplotlib
import numpy as np

from quantlab import article, errors
from quantlab.show import html, matrix, outliers, style
from quantlab.show.explorer import Explorer

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
        f'<div style="display:flex;flex-wrap:wrap;gap:4px 16px">'
        f"{_bars_svg(found)}{_curve_svg(found)}</div>"
        f'<div style="margin:8px 0">{table}</div>{small}</div>'
    )


WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 360, 250, 58, 46, 30  # of one drawing, CSS pixels


def _bars_svg(found):
    maxima, many = found.layer.maxima, found.layer.maxima.size
    low, high = np.log10(outliers.LOWEST), np.log10(outliers.HIGHEST)

    def y(value):
        part = (np.log10(min(max(value, outliers.LOWEST), outliers.HIGHEST)) - low) / (high - low)
        return round(HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP), 1)

    pitch = (WIDTH - LEFT - 8) / many
    parts = [_text(0, 16, "largest |x| of each column")]
    parts += [_text(LEFT - 8, y(d) + 5, str(d), "end") for d in outliers.DECADES]
    for j, value in enumerate(maxima):
        apart = j in found.columns
        x, top = LEFT + j * pitch, y(value)
        look = html.RED if apart else html.QUIET
        bar = f'width="{max(pitch * 0.85, 1):.2f}" height="{HEIGHT - BOTTOM - top:.1f}"'
        parts.append(f'<rect x="{x:.2f}" y="{top}" {bar} style="fill:{look}"/>')
        if many <= outliers.FEW:
            middle, floor = x + pitch * 0.425, HEIGHT - BOTTOM
            parts.append(_text(middle, floor - 8, html.number(value), "middle", html.GROUND))
            parts.append(_text(middle, floor + 19, "16 bits" if apart else "8 bits", "middle"))
        elif apart:
            parts.append(
                f'<circle cx="{x + pitch / 2:.2f}" cy="{top}" r="4" style="fill:{html.RED}"/>'
            )
    parts.append(_line(LEFT - 4, y(found.threshold), WIDTH - 4, y(found.threshold), "6 4"))
    parts.append(_line(LEFT - 4, HEIGHT - BOTTOM, WIDTH - 4, HEIGHT - BOTTOM))
    count = len(found.columns)
    parts.append(_text(WIDTH / 2, HEIGHT - 8, f"{count} of {many} columns in 16 bits", "middle"))
    label = f"{count} of {many} columns reach the threshold {found.threshold:g}"
    return html.svg(WIDTH, HEIGHT, "".join(parts), label)


def _curve_svg(found):
    layer = found.layer
    low, high = (np.log10(v) for v in outliers.limits(layer))

    def place(index, value):
        x = LEFT + 10 + index * (WIDTH - LEFT - 24) / (len(outliers.THRESHOLDS) - 1)
        part = (np.log10(100 * value) - low) / (high - low)
        return round(float(x), 1), round(float(HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP)), 1)

    points = [place(i, e) for i, e in enumerate(layer.sweep[found.weights])]
    drawn = " ".join(f"{x},{y}" for x, y in points)
    _, level = place(0, layer.absmax.relative)
    parts = [_text(0, 16, "relative error of the product, %")]
    parts += [
        _text(LEFT - 8, place(0, p / 100)[1] + 5, f"{p:g}", "end")
        for p in outliers.powers(*outliers.limits(layer))
    ]
    parts.append(_line(LEFT - 4, level, WIDTH - 4, level, "2 4"))
    above = points[0][1] > level  # the curve is below the line: the word stands above it
    parts.append(_text(LEFT + 4, level + (-6 if above else 18), "no separation"))
    parts.append(
        f'<polyline points="{drawn}" style="fill:none;stroke:{html.QUIET};stroke-width:2"/>'
    )
    x, y = place(*_here(found))
    parts.append(f'<circle cx="{x}" cy="{y}" r="7" style="fill:{html.RED}"/>')
    parts.append(_line(LEFT - 4, HEIGHT - BOTTOM, WIDTH - 4, HEIGHT - BOTTOM))
    for i, t in enumerate(outliers.THRESHOLDS):
        if t in LABELLED:
            parts.append(_text(place(i, 1)[0], HEIGHT - BOTTOM + 19, str(t), "middle"))
    parts.append(_text(WIDTH / 2, HEIGHT - 8, "threshold", "middle"))
    label = f"The relative error is {found.relative:.3%} at threshold {found.threshold:g}"
    return html.svg(WIDTH, HEIGHT, "".join(parts), label)


def _here(found):
    """Return where a `Separation` stands on the curve: the threshold's place, and the error."""
    places = range(len(outliers.THRESHOLDS))
    return float(np.interp(found.threshold, outliers.THRESHOLDS, places)), found.relative


def _text(x, y, words, anchor="start", color=html.INK):
    look = f'text-anchor="{anchor}" style="fill:{color}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{html.escape(words)}</text>'


def _line(x1, y1, x2, y2, dashes=""):
    return (
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke-dasharray="{dashes}" '
        f'style="stroke:{html.INK};stroke-width:1.5"/>'
    )


@matplotlib.rc_context(style.RC)
def still(found):
    """Return a `Separation` as a picture: bars, curve and the numbers of the table."""
    name = f"Threshold {found.threshold:g}, outliers' weights: {found.weights}"
    fig, axes = style.figure(style.WIDEST, 500, columns=3)
    fig.set_layout_engine("none")
    fig.suptitle(name, fontsize=14, fontweight="bold", x=0.01, y=0.98, ha="left")
    left, right, below = axes
    left.set_position([0.07, 0.46, 0.4, 0.4])
    right.set_position([0.58, 0.46, 0.4, 0.4])
    below.set_position([0.01, 0, 0.98, 0.34])
    outliers.bars(left, found.layer.maxima, found.threshold)
    left.set(ylabel="", xlabel="column of X")
    left.set_title("largest |x| of each column", fontsize=12, fontweight="normal")
    outliers.curve(right, found.layer, (found.weights,))
    right.plot(*_percent(_here(found)), "o", color=style.INK, ms=12)
    right.set_title("relative error of the product, %", fontsize=12, fontweight="normal")
    right.set_ylabel("")
    ticks = [i for i, t in enumerate(outliers.THRESHOLDS) if t in LABELLED]
    right.set_xticks(ticks, [str(outliers.THRESHOLDS[i]) for i in ticks])
    below.axis("off")
    lines = [HEADER, *([row[0], *map(html.number, row[1:])] for row in summary(found))]
    for i, line in enumerate(lines):
        for text, x in zip(line, (0, 0.55, 0.75, 0.95), strict=True):
            look = {"ha": "right" if x else "left", "va": "top", "fontsize": 12}
            below.text(x, 1.0 - 0.145 * i, text, transform=below.transAxes, **look)
    said = "; ".join(f"{line[0]}: {', '.join(line[1:])}" for line in lines[1:])
    ends = "each without separation, at this threshold, all in FP16"
    return style.picture(fig, f"Still of the explorer. {name}; {ends}. {said}.")


def _percent(point):
    return point[0], 100 * point[1]


def explorer(layers=None):
    """Return the explorer: which columns go to 16 bits at a threshold, error and bytes.

    layers: a dict of name -> (x, w), x (tokens, in) and w (in, out); None is `default_layers`.
    """
    known = {name: outliers.Layer(*pair) for name, pair in (layers or default_layers()).items()}
    first = next(iter(known.values()))
    wide = {"style": {"description_width": "120px"}}
    room = {"layout": widgets.Layout(width="480px", max_width="98%"), **wide}

    def show(data, threshold, weights):
        return face(known[data].separate(threshold, weights))

    return Explorer(
        {
            "data": widgets.Dropdown(options=list(known), description="data", **room),
            "threshold": widgets.SelectionSlider(
                options=[(str(t), float(t)) for t in outliers.THRESHOLDS],
                value=6.0, description="threshold", **room,
            ),
            "weights": widgets.Dropdown(
                options=[outliers.PAPER, outliers.LIBRARY], description="outliers' weights", **room
            ),
        },
        show,
        title="Which columns go to 16 bits?",
        static=still(first.separate()),
        height=660,
    )  # fmt: skip
