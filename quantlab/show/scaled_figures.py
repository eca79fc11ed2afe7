"""Notebook 13: what a float of 4 bits can be, whole models in floats with a shared scale, and an
explorer with one weight to drag out of its block.

Settings become an `Exploration` (`experiments.shared_scales`), that becomes HTML (`render`) or a
picture (`snapshot`), and `explorer` wires them to controls.
"""

import ipywidgets as widgets
import numpy as np

from quantlab._checks import shown
from quantlab.experiments.shared_scales import BLOCKS, ELEMENTS, explore
from quantlab.show import given, html, matrix, style
from quantlab.show.codebooks_figures import block_marks
from quantlab.show.drawing import Box, Drawing, Line, Scale, Text, dragged
from quantlab.show.explorer import Explorer, control
from quantlab.show.registry import RUN

WORDS = {"textcoords": "offset points", "fontsize": 12, "annotation_clip": False}

# ------------------------------------------------------------------------------- figures


def hole(element, title):
    """Return a picture of how far each number is from the nearest value of a small float format.

    element: a `MiniFloat` that saturates. title: the message, a sentence.
    """
    values = given.of_format("element", element).finite_values()
    values = values[values >= 0]
    numbers = np.linspace(0, values[-1] * 4 / 3, 2001)
    off = np.abs(element.round(numbers) - numbers)
    fig, axes = style.figure(740, 300, title=title)
    axes.fill_between(numbers, off, color=style.ERROR, alpha=0.35, lw=0)
    axes.plot(numbers, off, color=style.ERROR, lw=2)
    axes.plot(values, 0 * values, "|", color=style.INK, ms=16, mew=2)
    axes.set(xlabel="number over the scale (marks: the values)", ylabel="error of its rounding")
    axes.set(xlim=(0, numbers[-1]), ylim=(-0.06 * off.max(), 1.1 * off.max()))
    gaps = ", ".join(f"{gap:g}" for gap in np.unique(np.diff(values)))
    said = f"Values {', '.join(f'{v:g}' for v in values)}; gaps of {gaps}"
    worst = off[numbers <= values[-1]].max()
    return style.picture(fig, alt=f"{title}. {said}; the largest error between them is {worst:g}.")


def tradeoff(curves, title):
    """Return a picture of relative error against bits per weight, a curve for each kind of scale.

    curves: dict of name -> list of (block size, bits per weight, relative error), largest block
    first; up to four. title: the message, a sentence.
    """
    curves = given.curves(curves)
    fig, axes = style.figure(740, 380, title=title)
    looks = zip(curves.items(), "osD^", ("-", "--", "-.", ":"), strict=False)
    said, least = [], np.floor(min(point[1] for points in curves.values() for point in points))
    for (name, points), marker, dash in looks:
        sizes, bits, error = (np.array(column) for column in zip(*points, strict=True))
        axes.plot(bits - least, 100 * error, color=style.INK, marker=marker, ms=6, ls=dash)
        axes.annotate(name, (bits[-1] - least, 100 * error[-1]), (10, 0), va="center", **WORDS)
        beside = (0, 9) if marker == "o" else (-9, -19)  # the later curves fall: left below them
        for place in zip(sizes, bits - least, 100 * error, strict=True):
            axes.annotate(str(place[0]), place[1:], beside, ha="center", **WORDS)
        ends = (f"blocks of {sizes[i]} {error[i]:.1%}" for i in (0, -1))
        said.append(f"{name}: {', '.join(ends)}")
    every = sorted({point[1] for points in curves.values() for point in points})
    axes.set_xscale("log", base=2)
    axes.set_xticks([bits - least for bits in every], [f"{bits:.4g}" for bits in every])
    axes.minorticks_off()
    axes.margins(0.08, 0.13)
    axes.set_xlim(right=2.6 * (every[-1] - least))
    axes.set(ylabel="relative error, %")
    axes.set_xlabel("bits per weight, scales included (numbers at the marks: block size)")
    return style.picture(fig, alt=f"{title}. {'; '.join(said)}.")


def whole_model(results, title):
    """Return a picture of the divergence of each `Result`, with two standard errors, by format.

    results: as `shared_scales.measure` returns them. title: the message, a sentence.
    """
    given.results("results", results, "setting", "divergence", "error")
    fig, axes = style.figure(740, 96 + 27 * len(results), title=title)
    names, said = [], []
    for row, found in enumerate(results):
        far, slack = found.divergence, 2 * found.error
        shape = "s" if found.setting.format.startswith("NV") else "o"
        filled = style.INK if found.setting.activations else "white"
        axes.plot([far - slack, far + slack], [row, row], color=style.MIDDLE, lw=2)
        axes.plot(far, row, shape, ms=8, mfc=filled, mec=style.INK, mew=1.8)
        axes.annotate(f"{far:.4f}", (far + slack, row), (9, 0), va="center", **WORDS)
        names.append(f"{found.setting.format}: {found.setting.words}")
        said.append(f"{names[-1]} {far:.4f}")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.set_xlim(right=2.3 * max(found.divergence for found in results))
    style.plain(axes.xaxis)
    axes.set_xlabel("divergence, nats per token (line: ± two standard errors)")
    return style.picture(fig, alt=f"{title}. {'; '.join(said)}.")


def model_table(results, reference):
    """Show each `Result` as a row: bits, perplexity, divergence with its standard error, facts.

    reference: (perplexity, facts) of the model itself, the first row.
    """
    given.results("results", results, "setting", "bits", "perplexity", "divergence", "facts")
    reference = given.numbers("reference", reference, 1)
    if len(reference) != 2:
        raise ValueError(f"reference must be (perplexity, facts), got {shown(reference)}")
    titles = ("format", "what is in it", "bits", "perplexity", "divergence", "±", "facts")
    rows = [["as trained", "–", "16.00", f"{reference[0]:.2f}", "0", "", f"{reference[1]:.0f}"]]
    for found in results:
        numbers = [f"{found.bits:.2f}", f"{found.perplexity:.2f}", f"{found.divergence:.4f}"]
        setting = found.setting
        rows.append(
            [setting.format, setting.words, *numbers, f"{found.error:.4f}", str(found.facts)]
        )
    return matrix.table(rows, header=titles)


# ------------------------------------------------------------------------------- the explorer

#: What the scale is and by which rule it is chosen, as a control offers it.
KINDS = {
    "E8M0, floor": ("E8M0", "floor"), "E8M0, ceil": ("E8M0", "ceil"),
    "E8M0, even": ("E8M0", "even"), "E8M0, rceil": ("E8M0", "rceil"),
    "E4M3, amax": ("E4M3", "amax"), "E4M3, four over six": ("E4M3", "four_over_six"),
    "FP32, amax": ("FP32", "amax"),
}  # fmt: skip

# One drawing, in CSS pixels: the block above, the codes of the layer below.
WIDTH, HEIGHT, LEFT, RIGHT = 740, 414, 24, 716
LARGEST = 12.0  # how far the weight goes
SIZES = Scale(-4, 12.4, LEFT, RIGHT)  # typical weights that the block's picture spans
BLOCK_TOP, BLOCK_FLOOR = 28, 194
BAR_FLOOR, BAR_TOP = 364, 286


def facts(found):
    """Return what is to be said of an `Exploration`: a list of (name, text)."""
    name, code = found.format.scale.name.replace("FP8_", ""), found.stored
    top = found.format.element.max
    over = "saturates" if found.fill > top * (1 + 2**-20) else "fits"
    byte = f" (byte {code})" if found.format.scale.width == 8 else ""
    return [
        ("bits per weight, scales included", f"{found.bits:.3f}"),
        ("relative error of the layer", f"{found.error:.2%}"),
        (f"the block's scale, {name}", f"{html.number(found.scale)}{byte}"),
        (
            "its largest weight over the scale",
            f"{found.fill:.2f}, the top is {top:g}: it {over}",
        ),
        ("your weight comes back as", f"{found.moved_to:.2f} typical sizes"),
        ("relative error of its neighbours", f"{found.block_error:.1%}"),
    ]


def render(found):
    """Return the HTML of an `Exploration`: its drawing and its numbers."""
    note = f'<div style="color:{html.QUIET}">{html.escape(found.note or " ")}</div>'
    rows = [list(row) for row in facts(found)]
    table = html.table(rows, row_names=True, widths=(330, 300))
    return f'{note}{draw(found).svg()}<div style="margin-top:10px">{table}</div>'


def draw(found, handle="drag me"):
    """Return the `Drawing` of an `Exploration`. handle: what stands beside its weight."""
    said = f"{found.format.name}, blocks of {found.format.block}, {found.format.rule}"
    error = f"error of the layer {found.error:.2%}, of the neighbours {found.block_error:.1%}"
    marks = (*_block_marks(found), *_handle(found, handle), *_code_marks(found))
    return Drawing(WIDTH, HEIGHT, marks, f"{said}, one weight at {found.largest:g}: {error}")


def _block_marks(found):
    words = "Dot: the weight, stroke: its error, lines: the values"
    yield Text(LEFT, 11, f"{len(found.neighbours) + 1} weights of one block. {words}")
    row = (BLOCK_FLOOR - BLOCK_TOP - 34) / max(len(found.neighbours), 1)
    rows = [BLOCK_TOP + 32 + row * i for i in range(len(found.neighbours))]
    yield from block_marks(found, found.levels, SIZES, (BLOCK_TOP, BLOCK_FLOOR), rows)


def _handle(found, name):
    """The weight to drag: a large dot, the stroke to what it comes back as, and its name."""
    x, y = SIZES(found.largest), BLOCK_TOP + 12
    yield Line(((x, y), (SIZES(min(found.moved_to, SIZES.high)), y)), "error", width=4)
    yield from dragged("largest", found.largest, SIZES, y, LARGEST, 0.1, name)


def _code_marks(found):
    """The code table: a bar for each magnitude, as high as its share of the layer's weights."""
    values = found.magnitudes
    counts = np.resize(np.append(found.counts, np.zeros(len(values))), len(values))
    name = found.format.element.name
    words = f"All {len(values)} magnitudes of {name}, and how many of the layer's weights have each"
    yield Text(LEFT, 262, words)
    wide = (RIGHT - LEFT - 60) / len(values)
    start = LEFT + 60
    shares = counts / counts.max()
    for i in np.flatnonzero(shares):
        share = shares[i]
        height = (BAR_FLOOR - BAR_TOP) * share
        bar = (start + i * wide, BAR_FLOOR - height, max(wide - 2, wide * 0.7), height)
        yield Box(*bar, "quiet", shade=0.55)
    yield Line(((start, BAR_FLOOR), (RIGHT, BAR_FLOOR)), width=1.5)
    yield Text(LEFT, BAR_FLOOR + 17, "value")
    yield Text(LEFT, BAR_FLOOR + 39, "× scale")
    step = {8: 1, 32: 4}.get(len(values), 16)
    for i in range(0, len(values), step):
        middle = start + (i + 0.5) * wide
        yield Text(middle, BAR_FLOOR + 17, f"{values[i]:.3g}", "middle")
        yield Text(middle, BAR_FLOOR + 39, f"{values[i] * found.scale:.2g}", "middle")


def explorer(weights):
    """Return the explorer of a layer in floats with a shared scale, with one weight to drag.

    weights: as for `shared_scales.explore`.
    """
    element = control(widgets.ToggleButtons, "element", options=list(ELEMENTS))
    element.style.button_width = "5em"
    size = {"value": 4.0, "max": LARGEST, "readout_format": ".1f"}

    def answer(element, block, scale, largest):
        return render(explore(weights, element, block, *KINDS[scale], largest))

    return Explorer(
        {
            "element": element,
            "block": control(widgets.SelectionSlider, "block size", options=BLOCKS, value=32),
            "scale": control(widgets.Dropdown, "scale and rule", options=list(KINDS)),
            "largest": control(widgets.FloatSlider, "the dragged weight", **size),
        },
        answer,
        title="Drag one weight and watch the scale of its block",
        static=snapshot(explore(weights)),
        height=HEIGHT + 190,
    )


def snapshot(found):
    """Return an `Exploration` as a picture."""
    title = f"{found.format.name}: a weight of {found.largest:g} typical sizes sets the scale, "
    title += f"and its neighbours err by {found.block_error:.0%}"
    said = (f"{name} {text}" for name, text in facts(found))
    return draw(found, "this weight").picture(title, f"{title}. {'; '.join(said)}.")


EXPLORERS = {"13_floats_with_a_shared_scale/explorer": RUN}
