"""The stepper: GPTQ goes through a small W row by row, beside plain rounding.

`experiments.walk` computes, `draw` places what it found: SVG for the explorer, and a picture for
readers without a kernel.
"""

from math import floor, log10

import ipywidgets as widgets
import numpy as np

from quantlab._checks import whole
from quantlab.experiments.walk import DAMPINGS, EXAMPLES, W, walk
from quantlab.show.drawing import Box, Drawing, Line, Mark, Scale, Text
from quantlab.show.explorer import Explorer, Stepper, control

WIDTH, HEIGHT = 760, 520  # CSS pixels, whatever the example; higher ones would leave a slide
ROW, TOP = 26, 74  # the height of a row of cells, and where the first one begins
TABLE, CHART = 254, 384  # where the arithmetic and the chart begin
# (left edge, width of a cell) of the four panels
STANDS, CODES, INVERSE, ADDED = (66, 84), (250, 46), (358, 116), (490, 130)


def _decimals(values):
    """Return how many decimals show the largest magnitude of `values` with four digits.

    >>> [_decimals(some) for some in ([0.5, -0.69], [12.5], [123456.0], [0.0])]
    [4, 2, 0, 3]
    """
    top = float(np.abs(values).max())
    return max(3 - floor(log10(top)), 0) if top else 3


def _fixed(value, places):
    """Return `value` with that many decimals, a minus sign if it has one, and no minus zero."""
    return f"{round(float(value), places) + 0.0:.{places}f}".replace("-", "−")


def _four(value):
    """Return `value` with four digits; below 1e-9 it is written 0, as there is no room for more.

    >>> _four(0.0047824), _four(17253.4), _four(1.2e-16)
    ('0.004782', '17253', '0.000')
    """
    value = value if abs(value) >= 1e-9 else 0
    return _fixed(value, _decimals([value]))


# ---------------------------------------------------------------------------- what stands where


def draw(found, number):
    """Return the `Drawing` of one step of a `Walk`. number: from 0."""
    number = whole("step", number, 0, len(found.steps) - 1)
    marks = (
        Text(8, 16, _heading(found, number), bold=True, key="heading"),
        *_matrices(found, number),
        *_arithmetic(found, number),
        *_chart(found, number),
    )
    return Drawing(WIDTH, HEIGHT, marks, _describe(found, number))


def _heading(found, number):
    """Return which step this is, in words."""
    return f"Step {number + 1} of {len(found.steps)}: row {found.steps[number].row + 1} is rounded"


def _matrices(found, number):
    step, rows = found.steps[number], range(len(found.w))
    yield from _name(STANDS, 2, "W as it stands")
    yield from _name(CODES, 2, "codes")
    yield from _name(INVERSE, 1, "row of", "the factor")
    yield from _name(ADDED, 2, "added to the", "rows below")
    for i in rows:
        yield Text(8, _middle(i), f"row {i + 1}", bold=i == step.row)
    places = _decimals(found.w)
    yield from _panel("stands", STANDS, found.before[number], places, rows, step.row)
    for done in found.steps[: number + 1]:
        yield from _panel("code", CODES, done.codes[None], 0, [done.row], step.row)
        for j in np.flatnonzero(found.moved[done.row]):
            corner = (CODES[0] + CODES[1] * j + 1, TOP + ROW * done.row + 2)
            yield Box(*corner, CODES[1] - 5, ROW - 6, fill="none", edge="ink")
    inverse = step.inverse_row[:, None]
    yield from _panel("inverse", INVERSE, inverse, _decimals(inverse), rows[step.row :])
    added = [s.compensation for s in found.steps]
    heat = np.abs(step.compensation) / (np.abs(added).max() or 1)
    places = _decimals(added)  # of all steps, as the heat is, so that a little looks little
    below = rows[step.row + 1 :]
    yield from _panel("added", ADDED, step.compensation, places, below, heat=heat)
    frame = (STANDS[0] - 1, TOP + ROW * step.row - 2, INVERSE[0] + INVERSE[1] - STANDS[0] + 2)
    yield Box(*frame, ROW + 2, fill="none", edge="ink")


def _name(panel, columns, *lines):
    """The name of a panel, in one or two lines, above the right edge of its numbers."""
    for y, line in zip((TOP - 13, TOP - 33), reversed(lines), strict=False):
        yield Text(panel[0] + panel[1] * columns - 8, y, line, "end", "quiet")


def _panel(name, place, values, places, rows, current=None, heat=None):
    """The cells of `rows`; those above the current row are done and stand in quiet text."""
    left, width = place
    for i in rows:
        line = values[0] if len(values) == 1 else values[i]
        for j, value in enumerate(line):
            corner = (left + j * width, TOP + ROW * i)
            yield Box(*corner, width - 2, ROW - 2)
            if heat is not None:  # the ground shows through: legible on both themes
                yield Box(*corner, width - 2, ROW - 2, "error", shade=heat[i, j] / 2)
            role = "quiet" if current is not None and i < current else "ink"
            x, y = corner[0] + width - 10, _middle(i)
            yield Text(x, y, _fixed(value, places), "end", role, key=f"{name}-{i}-{j}")


def _middle(row):
    return TOP + ROW * row + (ROW - 2) / 2


def _arithmetic(found, number):
    """How the current row is rounded, one line for each column of W."""
    step = found.steps[number]
    lost = step.weights - step.quantized
    columns = (
        (216, "weight", "stands at"), (346, "times", "code × step"), (432, "back", "back"),
        (520, "lost", "lost"),
        (742, "error", f"error = lost ÷ {_four(step.inverse_row[step.row])}"),
    )  # fmt: skip
    for edge, _, name in columns:
        yield Text(edge, TABLE, name, "end", "quiet")
    places = _decimals(found.w)
    for j, code in enumerate(step.codes):
        y = TABLE + 26 * (j + 1)
        yield Text(8, y, f"column {j + 1}", bold=True)
        texts = (
            _fixed(step.weights[j], places),
            f"{code} × {_fixed(found.scale[j], places)}".replace("-", "−"),
            _fixed(step.quantized[j], places),
            _fixed(lost[j], places),
            _fixed(step.error[j], _decimals(step.error)),
        )
        for (edge, key, _), text in zip(columns, texts, strict=True):
            role = "error" if key in ("lost", "error") else "ink"
            yield Text(edge, y, text, "end", role, bold=key == "error", key=f"{key}-{j}")
    says = "Each row below gets −error × its own number in this row of the factor."
    if step.row == len(found.w) - 1:
        says = "Nothing is left below: what this row lost stays lost."
    yield Text(8, TABLE + 80, says, role="quiet", key="says")
    moved = found.moved[: number + 1].sum()
    says = f"Framed codes: not the nearest to the original weight. So far: {moved}."
    yield Text(8, TABLE + 103, says, role="quiet", key="flips")


def _chart(found, number):
    """The layer error so far, as numbers and as two lines that grow."""
    top = max(found.gptq.max(), found.rounded.max())
    high, low, rows = CHART + 12, CHART + 86, len(found.steps)
    done, height = Scale(0, rows, 420, 736), Scale(0, top or 1, low, high)
    yield Text(8, CHART, "layer error so far", bold=True)
    series = (
        ("rounded", "round to nearest", found.rounded, "quiet", True, "square"),
        ("gptq", "GPTQ", found.gptq, "ink", False, "circle"),
    )
    yield Line(((done.start, low), (done.end, low)), "grid")
    yield Text(done.start - 10, low, "0", "end", "quiet")
    yield Text(done.start - 10, high, _four(top), "end", "quiet", key="top")
    for i in range(rows + 1):
        yield Text(done(i), low + 18, str(i), "middle", "quiet")
    yield Text(done.end, low + 38, "rows done", "end", "quiet")
    texts = [_four(errors[number]) for _, _, errors, *_ in series]
    after = [len(text.partition(".")[2]) for text in texts]
    for line, (key, name, errors, role, dashed, mark) in enumerate(series):
        y = CHART + 32 + 28 * line
        yield from (Line(((10, y), (38, y)), role, dashed), Mark(38, y, mark, 5, role))
        yield Text(50, y, name)
        # Padded, so that the decimal points stand under each other.
        text = texts[line] + "\N{FIGURE SPACE}" * (max(after) - after[line])
        yield Text(326, y, text, "end", bold=True, key=f"error-{key}")
        shown = enumerate((0, *errors[: number + 1]))
        points = [(done(i), height(error)) for i, error in shown]
        yield from (Line(tuple(points), role, dashed), Mark(*points[-1], mark, 5, role))


# ------------------------------------------------------------------------------ what is seen


def _describe(found, number):
    """Return one step in words, with its two layer errors."""
    errors = f"GPTQ {_four(found.gptq[number])}, round to nearest {_four(found.rounded[number])}"
    return f"{_heading(found, number)}. Layer error so far: {errors}."


def render(step, example, bits, damping):
    """Return one step as SVG text. step: from 0. The others as for `walk`."""
    return draw(walk(example, bits, damping), step).svg()


def snapshot(number=2, example="correlated inputs", bits=3, damping=0.01):
    """Return one step as a picture. number: from 0. The others as for `walk`."""
    found = walk(example, bits, damping)
    step, places = found.steps[number], _decimals([s.compensation for s in found.steps])
    added = "; ".join(
        f"row {i + 1} {', '.join(_fixed(v, places) for v in step.compensation[i])}"
        for i in range(step.row + 1, len(found.w))
    )
    words = f"Its codes: {', '.join(map(str, step.codes))}. Added below: {added}."
    title = f"{example}, {bits} bits, damping {damping}"
    return draw(found, number).picture(title, f"{title}. {_describe(found, number)} {words}")


# ------------------------------------------------------------------------------------ the wiring


def explorer():
    """Return the explorer that goes through an example of `EXAMPLES` step by step."""
    example = control(widgets.Dropdown, "example", options=list(EXAMPLES))
    stepper = Stepper(len(W), first=1)  # "step 1 of 6", as the drawing says

    def fit(change):
        # Before the explorer draws: an example with fewer rows has fewer steps.
        stepper.value = 0
        stepper.slider.max = stepper.play.max = len(EXAMPLES[change["new"]][1])

    example.observe(fit, names="value")
    dampings = [(f"{d:g}", d) for d in DAMPINGS]
    return Explorer(
        {
            "example": example,
            "bits": control(widgets.IntSlider, "bits", value=3, min=2, max=8),
            "damping": control(widgets.SelectionSlider, "damping", options=dampings, value=0.01),
            "step": stepper,
        },
        render,
        title="GPTQ, row by row",
        static=snapshot(),
        height=HEIGHT,
    )


EXPLORERS = {"06_gptq/explorer": explorer}
