"""Notebook 07's explorer: a budget of bits per weight, and the method that loses least for it.

`choose` turns settings into a `Choice`, that becomes HTML (`face`) or a picture (`still`), and
`explorer` wires both to controls. All points are measured before: nothing is quantized here.
"""

from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np

from quantlab._checks import one_of
from quantlab.show import comparison, html
from quantlab.show.explorer import Explorer

#: What is allowed -> which settings that leaves.
RULES = {
    "everything": lambda setting: True,
    "no calibration text": lambda setting: not setting.calibrated,
    "one scale per output": lambda setting: not setting.group,
}
#: The marks of the plot as characters, for the table beside it.
MARKS = {"absmax": "●", "zero-point": "■", "GPTQ": "▲", "NF4": "◇", "FP4": "▽"}
LEAST, MOST = 2.0, 8.7  # bits per weight that a budget can be
WIDTH, HEIGHT = 720, 330
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 12, 48  # px around the plot


@dataclass(frozen=True)
class Choice:
    """What a budget buys on one layer.

    points: of the layer, all of them. allowed: those that the rule leaves. by_method: the best
    point of each method within the budget, None where none fits. best: the best of all, or None.
    """

    points: tuple
    allowed: tuple
    budget: float
    by_method: dict
    best: object


def choose(points, budget, allowed="everything"):
    """Return the `Choice` among `points` for a budget in bits per weight.

    Raises ValueError for an `allowed` that is no key of `RULES`.
    """
    rule = RULES[one_of("allowed", allowed, RULES)]
    left = tuple(p for p in points if rule(p.setting))
    by_method = {
        method: comparison.best([p for p in left if p.setting.method == method], budget)
        for method in comparison.METHODS
    }
    return Choice(tuple(points), left, budget, by_method, comparison.best(left, budget))


def face(choice):
    """Return a `Choice` as HTML: the best of each method, and all points with the budget."""
    if choice.best is None:
        said = f"nothing fits into {choice.budget:.2f} bits: the least is {_least(choice):.2f}"
    else:
        said = f"{choice.best.setting}: error {_percent(choice.best)}"
    return (
        f'<div style="color:{html.INK};font-size:16px;line-height:1.4">'
        f'<div style="margin:6px 0">{html.span(f"At most {choice.budget:.2f} bits: ", html.QUIET)}'
        f"{html.span(said, bold=True)}</div>{_table(choice)}{_plot(choice)}</div>"
    )


def _percent(point):
    return f"{100 * point.error:.3f} %"  # the same decimals in all rows: digits under digits


def _least(choice):
    return min(p.bits for p in choice.allowed)


def options(setting):
    """Return a setting in words, without its method.

    >>> options(comparison.Setting("absmax", 4, 64))
    '4 bits, groups of 64'
    """
    return str(setting).partition(", ")[2]


def _table(choice):
    rows = []
    for method, point in choice.by_method.items():
        name = f"{MARKS[method]} {method}"
        if point is None:
            known = any(p.setting.method == method for p in choice.allowed)
            rows.append((name, "nothing fits" if known else "not allowed", "–", "–", ""))
        else:
            word = "least error" if point == choice.best else ""
            rows.append((name, options(point.setting), f"{point.bits:.3f}", _percent(point), word))
    widths = (125, 440, 85, 95, 110)
    titles = ("method", "its best setting", "true bits", "error", "")
    head = "".join(_cell("th", *pair, i) for i, pair in enumerate(zip(titles, widths, strict=True)))
    body = "".join(
        "<tr>"
        + "".join(_cell("td", *pair, i) for i, pair in enumerate(zip(row, widths, strict=True)))
        + "</tr>"
        for row in rows
    )
    # Fixed widths: nothing moves when a longer setting wins.
    return (
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;table-layout:fixed;'
        f'width:{sum(widths)}px;font-size:16px;font-variant-numeric:tabular-nums">'
        f"<tr>{head}</tr>{body}</table></div>"
    )


def _cell(tag, text, width, column):
    side = "right" if column in (2, 3) else "left"
    bold = "font-weight:600;" if tag == "th" or column == 4 else ""
    return (
        f'<{tag} style="width:{width}px;text-align:{side};{bold}padding:2px 8px;color:{html.INK};'
        f'white-space:nowrap;border-bottom:1px solid {html.GRID}">{html.escape(text)}</{tag}>'
    )


# ---------------------------------------------------------------------------------- the plot


def _plot(choice):
    place = _Scale(choice.points)
    allowed = set(choice.allowed)
    parts = [_axes(place)]
    parts += [_mark(place, p, html.GRID) for p in choice.points if p not in allowed]
    parts.append(_staircase(place, comparison.frontier(choice.allowed)))
    parts += [_mark(place, p, html.INK) for p in choice.allowed]
    x, _ = place(choice.budget, 1)
    red = f'style="fill:none;stroke:{html.RED};stroke-width:2.5"'
    parts.append(
        f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke-dasharray="7 5" {red}/>'
    )
    label = f"Error against bits; budget {choice.budget:.2f} bits: nothing fits"
    if choice.best is not None:
        x, y = place(choice.best.bits, 100 * choice.best.error)
        parts.append(f'<circle cx="{x}" cy="{y}" r="11" {red}/>')
        label = label.replace("nothing fits", f"{choice.best.setting}, {_percent(choice.best)}")
    return html.svg(WIDTH, HEIGHT, "".join(parts), label)


class _Scale:
    """Where bits and an error in percent stand, in pixels; errors on a logarithmic scale."""

    def __init__(self, points):
        percents = [100 * p.error for p in points]
        self.low, self.high = 0.8 * min(percents), 1.25 * max(percents)
        self.most = max(MOST, *(p.bits for p in points)) + 0.1

    def __call__(self, bits, percent):
        x = LEFT + (bits - 1.9) / (self.most - 1.9) * (WIDTH - LEFT - RIGHT)
        part = np.log(self.high / percent) / np.log(self.high / self.low)
        return round(float(x), 1), round(float(TOP + part * (HEIGHT - TOP - BOTTOM)), 1)

    def ticks(self):
        steps = (s * 10.0**k for k in range(-4, 4) for s in (1, 2, 5))
        return [t for t in steps if self.low < t < self.high]


def _axes(place):
    floor, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for tick in place.ticks():
        _, y = place(2, tick)
        parts.append(
            f'<line x1="{LEFT}" x2="{end}" y1="{y}" y2="{y}" style="stroke:{html.GRID}"/>'
            f'<text x="{LEFT - 8}" y="{y + 5}" text-anchor="end">{tick:g}</text>'
        )
    for bits in range(2, int(place.most) + 1):
        x, _ = place(bits, 1)
        parts.append(f'<text x="{x}" y="{floor + 20}" text-anchor="middle">{bits}</text>')
    middle = (TOP + floor) / 2
    parts.append(
        f'<line x1="{LEFT}" x2="{end}" y1="{floor}" y2="{floor}" style="stroke:{html.INK}"/>'
        f'<text x="{(LEFT + end) / 2}" y="{HEIGHT - 6}" text-anchor="middle">'
        "true bits per weight (the dashed line is your budget)</text>"
        f'<text x="16" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 16 {middle})">output error, in %</text>'
    )
    return "".join(parts)


def _staircase(place, best_ones):
    points = [*best_ones, comparison.Point(None, place.most, best_ones[-1].error)]
    steps, above = [], None
    for point in points:
        x, y = place(point.bits, 100 * point.error)
        steps += [f"{x},{above}"] * (above is not None) + [f"{x},{y}"]
        above = y
    path = " ".join(steps)
    return f'<polyline points="{path}" style="fill:none;stroke:{html.QUIET};stroke-width:1.5"/>'


def _mark(place, point, color):
    """Draw a point in the shape of its method: filled with one scale per output, else hollow."""
    x, y = place(point.bits, 100 * point.error)
    ground = html.GROUND if point.setting.group else color
    look = f'style="fill:{ground};stroke:{color};stroke-width:1.8"'
    if point.setting.method == "absmax":
        return f'<circle cx="{x}" cy="{y}" r="5" {look}/>'
    corners = {
        "zero-point": ((-5, -5), (5, -5), (5, 5), (-5, 5)),
        "GPTQ": ((0, -6), (6, 5), (-6, 5)),
        "NF4": ((0, -6.5), (6.5, 0), (0, 6.5), (-6.5, 0)),
        "FP4": ((0, 6), (6, -5), (-6, -5)),
    }[point.setting.method]
    path = " ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners)
    return f'<polygon points="{path}" {look}/>'


# ------------------------------------------------------------------------------- the explorer


def still(points, budget, layer):
    """Return one setting of the explorer as a picture."""
    found = choose(points, budget)
    title = f"{layer}: {budget:.2f} bits buy an error of {_percent(found.best)}"
    return comparison.pareto_figure(points, title, [found.best.setting], budget=budget, height=460)


def explorer(measured, budget=4.2):
    """Return the explorer of a budget. measured: {name of a layer: its `Point`s}.

    Raises ValueError for an empty dict.
    """
    if not measured:
        raise ValueError("measured must hold the points of at least one layer, got {}")
    layers = list(measured)
    wide = {"style": {"description_width": "70px"}}
    wider = {**wide, "layout": widgets.Layout(width="420px", max_width="98%")}

    def answer(layer, budget, allowed):
        return face(choose(measured[layer], budget, allowed))

    return Explorer(
        {
            "layer": widgets.Dropdown(options=layers, description="layer", **wider),
            "budget": widgets.FloatSlider(
                value=budget, min=LEAST, max=MOST, step=0.05, description="budget",
                readout_format=".2f", **wider,
            ),
            "allowed": widgets.Dropdown(options=list(RULES), description="allowed", **wider),
        },
        answer,
        title="What does your budget of bits per weight buy?",
        static=still(measured[layers[0]], budget, layers[0]),
        height=520,
    )  # fmt: skip
