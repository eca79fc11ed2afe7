"""Notebook 07's explorer: a budget of bits per weight, and the method that loses least for it.

`choose` turns settings into a `Choice`, that becomes HTML (`render`) or a picture (`snapshot`), and
`explorer` wires both to controls. All points are measured before: nothing is quantized here.
"""

from dataclasses import dataclass

import ipywidgets as widgets

from quantlab._checks import one_of
from quantlab.show import comparison, drawing, html
from quantlab.show.drawing import Drawing, Line, Mark, Scale
from quantlab.show.explorer import Explorer, control
from quantlab.show.registry import RUN

#: What is allowed -> which settings that leaves.
RULES = {
    "everything": lambda setting: True,
    "no calibration text": lambda setting: not setting.calibrated,
    "one scale per output": lambda setting: not setting.group,
}
#: The marks of the plot as characters, for the table beside it, and as shapes.
MARKS = {"absmax": "●", "zero-point": "■", "GPTQ": "▲", "NF4": "◇", "FP4": "▽"}
SHAPES = dict(zip(MARKS, ("circle", "square", "triangle", "diamond", "down"), strict=True))
OTHER = "◆", "diamond"  # of a method that has no mark of its own
LEAST, MOST = 2.0, 8.7  # bits per weight that a budget can be
WIDTH, HEIGHT, LEFT, RIGHT, TOP, FLOOR = 720, 330, 62, 708, 12, 282  # px, of the plot
TITLES = ("method", "its best setting", "true bits", "error", "")


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


def render(choice):
    """Return a `Choice` as HTML: the best of each method, and all points with the budget."""
    # Fixed widths: nothing moves when a longer setting wins.
    table = html.table(rows(choice), TITLES, widths=(105, 420, 65, 75, 90))
    return (
        f'<div style="color:{html.INK};font-size:16px;line-height:1.4">'
        f'<div style="margin:6px 0">{html.span(f"At most {choice.budget:.2f} bits: ", html.QUIET)}'
        f"{html.span(_answer(choice), bold=True)}</div>"
        f'<div style="overflow-x:auto;white-space:nowrap">{table}</div>{draw(choice).svg()}</div>'
    )


def _answer(choice):
    if choice.best is None:
        least = min(p.bits for p in choice.allowed)
        return f"nothing fits into {choice.budget:.2f} bits: the least is {least:.2f}"
    return f"{choice.best.setting}: error {_percent(choice.best)}"


def _percent(point):
    return f"{100 * point.error:.3f} %"  # the same decimals in all rows: digits under digits


def options(setting):
    """Return a setting in words, without its method.

    >>> options(comparison.Setting("absmax", 4, 64))
    '4 bits, groups of 64'
    """
    return str(setting).partition(", ")[2]


def rows(choice):
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
            found.append((name, options(point.setting), bits, _percent(point), word))
    return found


def draw(choice):
    """Return the `Drawing` of a `Choice`: all points, the frontier of the allowed, the budget."""
    percents = [100 * p.error for p in choice.points]
    errors = Scale(0.8 * min(percents), 1.25 * max(percents), FLOOR, TOP, log=True)
    bits = Scale(1.9, max(MOST, *(p.bits for p in choice.points)) + 0.1, LEFT, RIGHT)

    def place(point):
        return bits(point.bits), errors(100 * point.error)

    steps = [s * 10.0**k for k in range(-4, 4) for s in (1, 2, 5)]
    numbers = drawing.ticks(t for t in steps if errors.low < t < errors.high)
    words = "true bits per weight (the dashed line is your budget)"
    x, best = bits(choice.budget), choice.best
    corners = comparison.stairs(comparison.frontier(choice.allowed), bits.high)
    marks = [
        *drawing.upwards(errors, LEFT, RIGHT, numbers, "output error, in %"),
        *drawing.across(bits, FLOOR, drawing.ticks(range(2, int(bits.high) + 1)), words),
        *(_mark(p, *place(p), "grid") for p in choice.points if p not in choice.allowed),
        Line(tuple((bits(b), errors(e)) for b, e in corners), "quiet", width=1.5),
        *(_mark(p, *place(p), "ink") for p in choice.allowed),
        Line(((x, TOP), (x, FLOOR)), "error", dashed=True, width=2.5),
        *([Mark(*place(best), size=11, fill="none", edge="error", line=2.5)] if best else ()),
    ]
    label = f"Error against bits; budget {choice.budget:.2f} bits: {_answer(choice)}"
    return Drawing(WIDTH, HEIGHT, tuple(marks), label)


def _mark(point, x, y, color):
    """The shape of a point's method: filled with one scale per output, else hollow."""
    fill = "ground" if point.setting.group else color
    return Mark(x, y, SHAPES.get(point.setting.method, OTHER[1]), 5.5, fill, color)


# ------------------------------------------------------------------------------- the explorer


def snapshot(points, budget, layer):
    """Return one setting of the explorer as a picture."""
    found = choose(points, budget)
    best = found.best
    title = (
        f"{layer}: {budget:.2f} bits buy an error of {_percent(best)} with {best.setting.method}"
    )
    edges = ((8, "start"), (126, "start"), (636, "end"), (728, "end"))
    lines = [row[:4] for row in (TITLES, *rows(found))]
    table = drawing.table(lines, edges, "the best setting of each method")
    said = "; ".join(", ".join(filter(None, row)) for row in rows(found))
    return drawing.flow([table, draw(found)]).picture(title, f"{title}. {said}.")


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
        static=snapshot(measured[layers[0]], budget, layers[0]),
        height=520,
    )


EXPLORERS = {"07_comparison/explorer": RUN}
