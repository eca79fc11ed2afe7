"""Notebook 12: GPTQ as a walk in a lattice. A `Lattice` becomes a drawing, with a tip to drag."""

import ipywidgets as widgets
import numpy as np

from quantlab.experiments.lattice import FIRST, lattice
from quantlab.show import html
from quantlab.show.drawing import Drawing, Line, Mark, Scale, Text
from quantlab.show.explorer import Explorer, control

# One drawing, in CSS pixels; 1 is one step of weight 2.
WIDTH, HEIGHT, UNIT = 740, 380, 146
LEAN = 1.0  # how far the tip of the arrow goes to either side
ACROSS = Scale(-2.02, 3.02, 2, 2 + 5.04 * UNIT)
UP = Scale(-1.0, 1.4, 365, 365 - 2.4 * UNIT)


def facts(found):
    """Return the rows of the explorer's table: (who, code 1, code 2, error, the largest there is).

    The error is how far the outputs are off: the root of the sum of the two squares.
    """
    names = {"round to nearest": found.rounded, "GPTQ": found.gptq, "the best of all": found.best}
    return [
        (name, *map(int, choice.codes), choice.error, choice.reach)
        for name, choice in names.items()
    ]


def render(lean, weight_1, weight_2, first):
    """Return the HTML of a setting, which is as for `lattice`: the drawing and a table."""
    found = lattice(lean, (weight_1, weight_2), first)
    rows = [[*map(_text, row)] for row in facts(found)]
    header = ("", "code 1", "code 2", "error", "never above")
    table = html.table(rows, header=header, row_names=True, widths=(170, 70, 70, 80, 110))
    return draw(found).svg() + table


def _text(value):
    if isinstance(value, float):
        return "–" if np.isnan(value) else f"{value:.2f}"
    return str(value).replace("-", "−")


def draw(found, handle="drag me"):
    """Return the `Drawing` of a `Lattice`. handle: what stands beside the tip of its arrow."""
    errors = ", ".join(f"{name} {error:.2f}" for name, *_, error, _ in facts(found))
    marks = (
        *_points(found),
        _outline(found.rounded.cell, "quiet", dashed=True),
        _outline(found.gptq.cell, "ink"),
        *_arrows(found, handle),
        *_walks(found),
        *_key(),
    )
    return Drawing(WIDTH, HEIGHT, marks, f"Distance from the target: {errors}")


def _at(point):
    return ACROSS(point[0]), UP(point[1])


def _inside(point, margin=0.0):
    return (
        ACROSS.low + margin <= point[0] <= ACROSS.high - margin
        and UP.low + margin / 3 <= point[1] <= UP.high - margin / 3
    )


def _points(found):
    """The lattice: a dot for each pair of codes that is in the picture."""
    for i in range(-3, 5):
        for j in range(-8, 9):
            point = np.array([i, j]) @ found.arrows
            if _inside(point, 0.04):
                yield Mark(*_at(point), size=4, fill="quiet")


def _outline(cell, role, dashed=False):
    return Line(tuple(map(_at, [*cell, cell[0]])), role, dashed, width=1.5)


def _arrows(found, handle):
    """What one step of each weight adds to the outputs; the tip of the first can be dragged."""
    for number, arrow in enumerate(found.arrows, 1):
        end = arrow * (1 - 0.09 / np.linalg.norm(arrow))
        yield Line((_at((0, 0)), _at(end)), "quiet", width=3, arrow=True)
        below = 44 if number == 2 else -26
        yield Text(_at(arrow)[0], _at(arrow)[1] + below, f"weight {number}: +1", "middle",
                   "quiet", halo=True)  # fmt: skip
    x, y = _at(found.arrows[0])
    zero, unit = ACROSS(0), UNIT
    drag = {"drag": "lean", "zero": f"{zero:.3f}", "unit": f"{unit:.3f}"}
    drag |= {"min": -LEAN, "max": LEAN, "step": 0.1}
    yield Text(x + 16, y + 4, handle, halo=True)
    yield Mark(x, y, size=9, fill="ground", edge="ink", line=2.5, drag=drag)


def _walks(found):
    """The target, rounding's choice, and GPTQ's two moves: to the line, and along it."""
    target, foot = _at(found.target), _at(found.foot)
    yield Line((target, _at(found.rounded.point)), "error", dashed=True)
    yield Line((target, foot), "error", width=2.5)
    yield Line((foot, _at(found.gptq.point)), "error", width=2.5)
    yield Mark(*_at(found.best.point), size=13, fill="none", edge="ink", line=1.5)
    yield Mark(*_at(found.rounded.point), "square", 8, "quiet")
    yield Mark(*_at(found.gptq.point), size=7, fill="ink")
    yield Mark(*target, "diamond", 8, "ground", edge="ink")


def _key():
    """What the marks are, in one line above."""
    for x, shape, fill, edge, words in (
        (16, "diamond", "ground", "ink", "target"),
        (108, "square", "quiet", "none", "round to nearest, its cell dashed"),
        (398, "circle", "ink", "none", "GPTQ, its cell solid"),
        (596, "circle", "none", "ink", "best of all"),
    ):
        yield Mark(x, 14, shape, 7, fill, edge)
        yield Text(x + 14, 14, words, halo=True)


def snapshot(lean=0.8, weights=(0.4, 0.4), first=FIRST[0]):
    """Return one setting as a picture."""
    found = lattice(lean, weights, first)
    title = "What two codes can reach, and who picks which point"
    return draw(found, "drag this tip").picture(title, _said(title, found))


def _said(title, found):
    rows = (
        f"{name}: codes {_text(a)} and {_text(b)}, error {error:.2f}"
        for name, a, b, error, _ in facts(found)
    )
    return f"{title}. {'; '.join(rows)}."


def explorer():
    """Return the explorer of a lattice: lean its arrow, move the target, change the order."""
    lean = {"value": 0.8, "min": -LEAN, "max": LEAN, "step": 0.1, "readout_format": ".1f"}
    # Steps of a fifth: no weight lies halfway, and all settings fit on a page without a kernel.
    part = {"value": 0.4, "min": 0, "max": 1, "step": 0.2, "readout_format": ".1f"}
    first = control(widgets.ToggleButtons, "rounded first", options=FIRST)
    first.style.button_width = "6em"
    return Explorer(
        {
            "lean": control(widgets.FloatSlider, "lean", **lean),
            "weight_1": control(widgets.FloatSlider, "weight 1", **part),
            "weight_2": control(widgets.FloatSlider, "weight 2", **part),
            "first": first,
        },
        render,
        title="GPTQ walks through a lattice",
        static=snapshot(),
        height=HEIGHT + 130,
    )


EXPLORERS = {"12_scale_turn_round/lattice-explorer": explorer}
