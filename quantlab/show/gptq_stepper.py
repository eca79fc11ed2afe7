"""The stepper: GPTQ goes through a small W row by row, beside plain rounding.

`walk` computes with the core, `draw` places what it found: SVG for the explorer, and a picture for
readers without a kernel.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product
from math import floor, log10

import ipywidgets as widgets
import numpy as np

from quantlab import article
from quantlab._checks import one_of, whole
from quantlab.affine import quantize_absmax
from quantlab.gptq import gptq_steps, hessian
from quantlab.show.drawing import Box, Drawing, Line, Mark, Scale, Text
from quantlab.show.explorer import Explorer, Stepper, control

#: Six weights for each of two outputs.
W = np.array(
    [[0.56, -0.28], [-0.04, -0.67], [0.10, 0.34], [0.32, 0.07], [0.69, 0.44], [0.68, 0.45]]
)
#: Eight tokens. Inputs 1 to 3 move together, 4 is their opposite, 5 and 6 are a pair apart.
X = np.array(
    [
        [1.3, 1.3, 1.3, -0.7, 1.3, 1.3],
        [-1.3, -0.7, -1.3, 1.3, 0.7, 1.3],
        [0.7, 1.3, 1.3, -1.3, -1.3, -0.7],
        [-0.7, -0.7, -1.3, 0.7, -0.7, -0.7],
        [1.3, 0.7, 0.7, -1.3, 0.7, 1.3],
        [-1.3, -1.3, -0.7, 0.7, 1.3, 1.3],
        [0.7, 0.7, 0.7, -0.7, -0.7, -0.7],
        [-0.7, -1.3, -0.7, 1.3, -1.3, -0.7],
    ]
)
#: All inputs 1, then all −1; and each combination of six signs once, so that none go together.
X_EQUAL = np.array([[1.0] * 6, [-1.0] * 6])
X_INDEPENDENT = np.array(list(product([-1.0, 1.0], repeat=6)))
#: What the stepper can go through: (inputs, weights) by name.
EXAMPLES = {
    "correlated inputs": (X, W),
    "equal inputs": (X_EQUAL, W),
    "independent inputs": (X_INDEPENDENT, W),
    "the article's X and W": (article.X, article.W),
}
DAMPINGS = (0.0001, 0.001, 0.01, 0.1, 1, 10)
WIDTH, HEIGHT = 760, 580  # CSS pixels, whatever the example
ROW, TOP = 29, 84  # the height of a row of cells, and where the first one begins
TABLE, CHART = 292, 440  # where the arithmetic and the chart begin
# (left edge, width of a cell) of the four panels
STANDS, CODES, INVERSE, ADDED = (66, 84), (250, 46), (358, 116), (490, 130)


@dataclass(frozen=True, eq=False)
class Walk:
    """GPTQ's way through one example, and plain rounding's beside it.

    w: (in, out). steps: a `GptqStep` for each row. scale: (out,), the step of each column. nearest:
    (in, out), the codes of plain rounding. before: W as each step finds it, (steps, in, out).
    gptq, rounded: (steps,), the layer error after each step: the squared difference of the
    outputs, summed over outputs, mean over tokens.
    """

    w: np.ndarray
    steps: tuple
    scale: np.ndarray
    nearest: np.ndarray
    before: np.ndarray
    gptq: np.ndarray
    rounded: np.ndarray


@cache
def walk(example, bits, damping):
    """Return the `Walk` through an example of `EXAMPLES`.

    Raises ValueError or TypeError, naming what is allowed, for an unknown example, bits outside
    2..16 or a damping that does not serve.
    """
    x, w = EXAMPLES[one_of("example", example, tuple(EXAMPLES))]
    steps = tuple(gptq_steps(w, hessian(x), bits=bits, damping=damping))
    nearest = quantize_absmax(w, bits, axis=0)
    below = np.arange(len(w))[:, None]
    so_far = [np.where(below > step.row, w, nearest.dequantize()) for step in steps]
    before = np.array([w, *(step.after for step in steps[:-1])])
    gptq = np.array([_layer_error(x, step.after - w) for step in steps])
    rounded = np.array([_layer_error(x, part - w) for part in so_far])
    return Walk(w, steps, nearest.scale.ravel(), nearest.codes, before, gptq, rounded)


def _layer_error(x, change):
    return float(np.sum((x @ change) ** 2) / len(x))


def decimals(values):
    """Return how many decimals show the largest magnitude of `values` with four digits.

    >>> decimals([0.5, -0.69]), decimals([12.5]), decimals([123456.0]), decimals([0.0])
    (4, 2, 0, 3)
    """
    top = float(np.abs(values).max())
    return max(3 - floor(log10(top)), 0) if top else 3


def fixed(value, places):
    """Return `value` with that many decimals, a minus sign if it has one, and no minus zero."""
    return f"{round(float(value), places) + 0.0:.{places}f}".replace("-", "−")


def four(value):
    """Return `value` with four digits.

    >>> four(0.0047824), four(17253.4), four(0)
    ('0.004782', '17253', '0.000')
    """
    return fixed(value, decimals([value]))


# ---------------------------------------------------------------------------- what stands where


def draw(found, number):
    """Return the `Drawing` of one step of a `Walk`. number: from 0."""
    number = whole("step", number, 0, len(found.steps) - 1)
    marks = (
        Text(8, 16, heading(found, number), bold=True, key="heading"),
        *_matrices(found, number),
        *_arithmetic(found, number),
        *_chart(found, number),
    )
    return Drawing(WIDTH, HEIGHT, marks, describe(found, number))


def heading(found, number):
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
    places = decimals(found.w)
    yield from _panel("stands", STANDS, found.before[number], places, rows, step.row)
    for done in found.steps[: number + 1]:
        codes = done.codes[None].astype(float)
        yield from _panel("code", CODES, codes, 0, [done.row], step.row)
        for j in np.flatnonzero(done.codes != found.nearest[done.row]):
            corner = (CODES[0] + CODES[1] * j + 1, TOP + ROW * done.row + 2)
            yield Box(*corner, CODES[1] - 5, ROW - 6, fill="none", edge="ink")
    left = range(step.row, len(found.w))
    inverse = step.inverse_row[:, None]
    yield from _panel("inverse", INVERSE, inverse, decimals(inverse), left)
    all_added = [s.compensation for s in found.steps]
    below = range(step.row + 1, len(found.w))
    heat = np.abs(step.compensation) / (np.abs(all_added).max() or 1)
    places = decimals(all_added)  # of all steps, as the heat is, so that a little looks little
    yield from _panel("added", ADDED, step.compensation, places, below, heat=heat)
    frame = (STANDS[0] - 1, TOP + ROW * step.row - 2, INVERSE[0] + INVERSE[1] - STANDS[0] + 2)
    yield Box(*frame, ROW + 2, fill="none", edge="ink")


def _name(panel, columns, *lines):
    """The name of a panel, in one or two lines, above the right edge of its numbers."""
    for y, line in zip((TOP - 14, TOP - 34), reversed(lines), strict=False):
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
            yield Text(x, y, fixed(value, places), "end", role, key=f"{name}-{i}-{j}")


def _middle(row):
    return TOP + ROW * row + (ROW - 2) / 2


def _arithmetic(found, number):
    """How the current row is rounded, one line for each column of W."""
    step = found.steps[number]
    lost = step.weights - step.quantized
    diagonal = step.inverse_row[step.row]
    edges = (222, 352, 446, 546, 732)
    names = ("stands at", "code × step", "back", "lost", f"error = lost ÷ {four(diagonal)}")
    for edge, name in zip(edges, names, strict=True):
        yield Text(edge, TABLE, name, "end", "quiet")
    places, error_places = decimals(found.w), decimals(step.error)
    for j in range(len(lost)):
        y = TABLE + 28 * (j + 1)
        yield Text(8, y, f"column {j + 1}", bold=True)
        cells = {
            "weight": fixed(step.weights[j], places),
            "times": f"{step.codes[j]} × {fixed(found.scale[j], places)}".replace("-", "−"),
            "back": fixed(step.quantized[j], places),
            "lost": fixed(lost[j], places),
            "error": fixed(step.error[j], error_places),
        }
        for edge, (key, text) in zip(edges, cells.items(), strict=True):
            role = "error" if key in ("lost", "error") else "ink"
            yield Text(edge, y, text, "end", role, bold=key == "error", key=f"{key}-{j}")
    last = step.row == len(found.w) - 1
    says = "Nothing is left below: what this row lost stays lost."
    if not last:
        says = "Each row below gets −error × its own number in this row of the factor."
    yield Text(8, TABLE + 86, says, role="quiet", key="says")
    done = found.steps[: number + 1]
    flips = sum(int((s.codes != found.nearest[s.row]).sum()) for s in done)
    says = f"Framed codes: not the nearest to the original weight. So far: {flips}."
    yield Text(8, TABLE + 110, says, role="quiet", key="flips")


def _chart(found, number):
    """The layer error so far, as numbers and as two lines that grow."""
    top = max(found.gptq.max(), found.rounded.max())
    high, low, rows = CHART + 12, CHART + 92, len(found.steps)
    done, height = Scale(0, rows, 420, 736), Scale(0, top or 1, low, high)
    yield Text(8, CHART, "layer error so far", bold=True)
    series = (
        ("rounded", "round to nearest", found.rounded, "quiet", True, "square"),
        ("gptq", "GPTQ", found.gptq, "ink", False, "circle"),
    )
    yield Line(((done.start, low), (done.end, low)), "grid")
    yield Text(done.start - 10, low, "0", "end", "quiet")
    yield Text(done.start - 10, high, four(top), "end", "quiet", key="top")
    for i in range(rows + 1):
        yield Text(done(i), low + 18, str(i), "middle", "quiet")
    yield Text(done.end, low + 38, "rows done", "end", "quiet")
    texts = _aligned([four(errors[number]) for _, _, errors, *_ in series])
    for line, (key, name, errors, role, dashed, mark) in enumerate(series):
        y = CHART + 34 + 30 * line
        yield from (Line(((10, y), (38, y)), role, dashed), Mark(38, y, mark, 5, role))
        yield Text(50, y, name)
        yield Text(304, y, texts[line], "end", bold=True, key=f"error-{key}")
        shown = enumerate((0, *errors[: number + 1]))
        points = [(done(i), height(error)) for i, error in shown]
        yield from (Line(tuple(points), role, dashed), Mark(*points[-1], mark, 5, role))


def _aligned(texts):
    """Pad texts that stand right, so that their decimal points stand under each other."""
    after = [len(text.partition(".")[2]) for text in texts]
    return [t + "\N{FIGURE SPACE}" * (max(after) - n) for t, n in zip(texts, after, strict=True)]


# ------------------------------------------------------------------------------ what is seen


def describe(found, number):
    """Return one step in words, with its two layer errors."""
    errors = (four(e[number]) for e in (found.gptq, found.rounded))
    return "{}. Layer error so far: GPTQ {}, round to nearest {}.".format(
        heading(found, number), *errors
    )


def render(step, example, bits, damping):
    """Return one step as SVG text. step: from 0. The others as for `walk`."""
    return draw(walk(example, bits, damping), step).svg()


def snapshot(step=2, example="correlated inputs", bits=3, damping=0.01):
    """Return one step as a picture. step: from 0. The others as for `walk`."""
    found = walk(example, bits, damping)
    title = f"{example}, {bits} bits, damping {damping}"
    return draw(found, step).picture(title, f"{title}. {_in_words(found, step)}")


def _in_words(found, number):
    step = found.steps[number]
    codes = ", ".join(map(str, step.codes))
    below = range(step.row + 1, len(found.w))
    places = decimals([s.compensation for s in found.steps])
    added = (
        f"row {i + 1} {', '.join(fixed(v, places) for v in step.compensation[i])}" for i in below
    )
    return f"{describe(found, number)} Its codes: {codes}. Added below: {'; '.join(added)}."


# ------------------------------------------------------------------------------------ the wiring


def explorer():
    """Return the explorer that goes through an example of `EXAMPLES` step by step."""
    example = control(widgets.Dropdown, "example", options=list(EXAMPLES))
    stepper = Stepper(len(W))
    stepper.slider.readout = False  # it counts from 0, and the drawing says which step it is

    def fit(change):
        # Before the explorer draws: an example with fewer rows has fewer steps.
        stepper.value = 0
        last = len(EXAMPLES[change["new"]][1]) - 1
        stepper.slider.max = stepper.play.max = last

    example.observe(fit, names="value")
    return Explorer(
        {
            "example": example,
            "bits": control(widgets.IntSlider, "bits", value=3, min=2, max=8),
            "damping": control(
                widgets.SelectionSlider,
                "damping",
                options=[(f"{d:g}", d) for d in DAMPINGS],
                value=0.01,
            ),
            "step": stepper,
        },
        render,
        title="GPTQ, row by row",
        static=snapshot(),
        height=HEIGHT,
    )


EXPLORERS = {"06_gptq/explorer": explorer}
