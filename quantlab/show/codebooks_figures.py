"""Notebook 08: sixteen values as figures, and an explorer with one weight to drag.

Settings become an `Exploration` (`experiments.four_bits`), that becomes HTML (`render`) or a
picture (`snapshot`), and `explorer` wires them to controls.
"""

from statistics import NormalDist

import ipywidgets as widgets
import numpy as np

from quantlab._checks import positive
from quantlab.codebooks import Blockwise
from quantlab.experiments.four_bits import BINS, BLOCK_SIZES, CODEBOOKS, DRAWN, explore
from quantlab.show import given, html, style
from quantlab.show.drawing import Box, Drawing, Line, Mark, Scale, Text, across, dragged, ticks
from quantlab.show.explorer import Explorer, control
from quantlab.show.registry import RUN

WORDS = {"textcoords": "offset points", "fontsize": 12, "annotation_clip": False}

# ------------------------------------------------------------------------------- figures


def histogram(weights, title):
    """Return a picture of how often each weight occurs, with the normal curve of the same width.

    weights: real array of any shape. title: the message, a sentence.
    """
    weights = given.numbers("weights", weights).astype(np.float64).ravel()
    typical = positive("the spread of weights", float(weights.std()))
    counts, edges = np.histogram(weights / typical, bins=90, range=(-4.5, 4.5))
    density = counts / weights.size / np.diff(edges)
    fig, axes = style.figure(740, 320, title=title, flat=True)
    axes.bar((edges[:-1] + edges[1:]) / 2, density, np.diff(edges), color=style.LIGHT)
    line = np.linspace(-4.5, 4.5, 400)
    axes.plot(line, [NormalDist().pdf(x) for x in line], color=style.INK, lw=2, ls="--")
    axes.annotate("normal curve", (0.85, NormalDist().pdf(0.85)), (10, 6), **WORDS)
    axes.annotate("weights", (0, 0.12), (0, 0), ha="center", **WORDS)
    axes.set(xlabel=f"weight, in typical sizes (1 is {typical:.4g})", xlim=(-4.5, 4.5))
    inside = [float(np.mean(np.abs(weights) < k * typical)) for k in (1, 2)]
    said = f"{inside[0]:.1%} of the weights are within 1 typical size, {inside[1]:.1%} within 2"
    return style.picture(fig, alt=f"{title}. {said}; of a normal distribution 68.3% and 95.4%.")


def levels(tables, title, unit="weight / absmax of its block"):
    """Return a picture of the values of each table as marks between -1 and 1.

    tables: dict of name -> values in -1 to 1. title: the message, a sentence. unit: of the values.
    """
    tables = given.by_name("tables", tables)
    fig, axes = style.figure(740, 76 + 62 * len(tables), title=title, flat=True)
    rows = {}
    for name, values in tables.items():
        values = np.unique(values.astype(np.float64))
        if not values[-1] > 0:
            raise ValueError(f"tables[{name!r}] must have a value above 0, got {values}")
        inner = values[values > 0].min()
        rows[f"{name}: {len(values)} values, the smallest above 0 is {inner:.3g}"] = values
    style.marks(axes, rows, 2 if max(map(len, rows.values())) <= 16 else 0.8)
    axes.set(xlim=(-1.02, 1.02), xlabel=unit)
    return style.picture(fig, alt=f"{title}. {'; '.join(rows)}.")


def usage(shares, title):
    """Return a picture of what share of the weights has each of the sixteen codes.

    shares: dict of name -> 16 shares, codes in ascending order of their values. title: the message.
    """
    shares = given.by_name("shares", shares, 1)
    for name, share in shares.items():
        if share.size != 16:
            raise ValueError(f"shares[{name!r}] must be 16 numbers, got {share.size}")
    fig, panels = style.figure(740, 270, title=title, columns=len(shares), sharey=True)
    panels = np.ravel(panels)
    top = max(100 * float(np.max(share)) for share in shares.values())
    said = []
    for axes, (name, share) in zip(panels, shares.items(), strict=True):
        percent = 100 * np.asarray(share, dtype=np.float64)
        axes.bar(range(16), percent, color=style.MIDDLE, width=0.75)
        axes.axhline(100 / 16, color=style.INK, lw=1.5, ls="--")
        axes.set_title(name, fontsize=12, fontweight="normal")
        axes.set(xlabel="code", xticks=(0, 5, 10, 15), ylim=(0, top * 1.06))
        said.append(f"{name}: {percent.min():.1f}% to {percent.max():.1f}%")
    panels[0].set_ylabel("% of the weights")
    panels[0].text(15.4, 100 / 16, "6.25", va="bottom", ha="right", fontsize=12)
    return style.picture(fig, alt=f"{title}. {'; '.join(said)}; equal shares are 6.25%.")


def block(weights, quantized, title):
    """Return a picture of the first weights of an array, one a line, and the levels of their block.

    weights: real array, whose first `DRAWN` values lie in one block. quantized: its `Blockwise`.
    title: the message, a sentence.
    """
    values = given.numbers("weights", weights).astype(np.float64).ravel()[:DRAWN]
    back = given.quantized(quantized, Blockwise).dequantize().ravel()[:DRAWN]
    places = np.sort(quantized.codebook.values) * quantized.absmax[0]
    fig, axes = style.figure(740, 330, title=title, flat=True)
    rows = np.arange(DRAWN)
    axes.vlines(places, -1, DRAWN, color=style.GRID, lw=1.5)
    axes.hlines(rows, np.minimum(values, back), np.maximum(values, back), color=style.ERROR, lw=3)
    axes.plot(values, rows, "o", color=style.INK, ms=4)
    axes.set_ylim(DRAWN, -1)
    style.plain(axes.xaxis)
    axes.set_xlabel("weight (dot: as it was; stroke: the way to what comes back; lines: levels)")
    worst = np.abs(back - values).max()
    said = f"The levels reach from {places[0]:.3f} to {places[-1]:.3f}; the largest error of "
    return style.picture(fig, alt=f"{title}. {said}the {DRAWN} weights drawn is {worst:.3f}.")


def tradeoff(curves, title):
    """Return a picture of relative error against bits per weight.

    curves: dict of name -> list of (block size, bits per weight, relative error), largest block
    first; up to four. The points of the first are named by their block size. title: the message.
    """
    curves = given.curves(curves)
    fig, axes = style.figure(740, 400, title=title)
    colors = (style.INK, style.MIDDLE, style.MIDDLE, style.INK)
    looks = zip(curves.items(), colors, "os^D", ("-", "-", "-", "--"), strict=False)
    said = []
    for (name, points), color, marker, dash in looks:
        sizes, bits, error = (np.array(column) for column in zip(*points, strict=True))
        axes.plot(bits, 100 * error, color=color, marker=marker, ms=7, ls=dash)
        axes.annotate(name, (bits[-1], 100 * error[-1]), (12, 0), va="center", **WORDS)
        for place in zip(sizes, bits, 100 * error, strict=True) if marker == "o" else ():
            axes.annotate(str(place[0]), place[1:], (0, 9), **WORDS)
        ends = (f"{bits[i]:.3f} bits {error[i]:.1%}" for i in (0, -1))
        said.append(f"{name}: {', '.join(ends)}")
    every = [point for points in curves.values() for point in points]
    axes.set(xlim=(3.97, max(p[1] for p in every) + 0.16), ylabel="relative error, %")
    axes.set_xlabel("bits per weight, scales included")
    axes.set_ylim(bottom=100 * min(p[2] for p in every) - 0.6)
    return style.picture(fig, alt=f"{title}. {'; '.join(said)}.")


# ------------------------------------------------------------------------------- the explorer


def facts(found):
    """Return what is to be said of an `Exploration`: a list of (name, number, unit)."""
    rest = f"its other {found.block_size - 1} weights"
    return [
        ("bits per weight, scales included", found.bits, ""),
        ("relative error of the layer", 100 * found.error, "%"),
        ("absmax of the block above", found.absmax, "× typical"),
        (f"relative error of {rest}", 100 * found.block_error, "%"),
        (f"share of {rest} that become 0", 100 * found.lost, "%"),
    ]


def render(found):
    """Return the HTML of an `Exploration`: its block, its histogram, its numbers."""
    rows = [(name, _pointed(number), unit) for name, number, unit in facts(found)]
    return draw(found).svg() + html.table(rows, row_names=True, widths=(400, 80, 80))


# One drawing, in CSS pixels: the block above, the histogram below.
WIDTH, HEIGHT, LEFT, RIGHT = 740, 424, 24, 716
LARGEST = 12.0  # how far the outlier goes
SIZES = Scale(-4, 12.4, LEFT, RIGHT)  # typical weights that the block's picture spans
SHARES = Scale(-1, 1, LEFT, RIGHT)
DENSITY = Scale(0, 2.4, 386, 292)
BLOCK_TOP, BLOCK_FLOOR, ROW = 28, 202, 4.6
MANY = 80  # levels that are closer than pixels are


def draw(found, handle="drag me"):
    """Return the `Drawing` of an `Exploration`. handle: what stands beside its outlier."""
    said = f"Block of {found.block_size}, {found.codebook.name}, one weight at {found.outlier:g}"
    error = f"error of its neighbours {found.block_error:.1%}, of the layer {found.error:.1%}"
    marks = (*_block_marks(found), *_handle(found, handle), *_histogram_marks(found))
    return Drawing(WIDTH, HEIGHT, marks, f"{said}: {error}")


def _block_marks(found):
    words = f"{DRAWN} weights of one block. Dot: the weight, stroke: its error, lines: the levels"
    yield Text(LEFT, 11, words)
    rows = [BLOCK_TOP + 30 + ROW * row for row in range(len(found.neighbours))]
    yield from block_marks(found, found.places, SIZES, (BLOCK_TOP, BLOCK_FLOOR), rows)


def block_marks(found, levels, scale, ends, rows):
    """Yield the marks of a block: a line at each level, each weight with its error, an axis.

    found: has `neighbours`, the weights, and `back`, what comes of each. scale: of typical sizes.
    ends: where the lines begin and the axis stands; rows: the heights of the weights, in pixels.
    """
    top, floor = ends
    places = [scale(level) for level in levels if scale.low <= level <= scale.high]
    many = len(places) > MANY
    for x in np.unique(np.round(places) if many else places):  # one line for each pixel
        yield Line(((x, top), (x, floor)), "quiet", width=0.4 if many else 1)
    for y, value, back in zip(rows, found.neighbours, found.back, strict=True):
        yield Line(((scale(value), y), (scale(back), y)), "error", width=3)
        yield Mark(scale(value), y, size=2.5)
    numbers = ticks(range(-4, 13, 2))
    yield from across(scale, floor, numbers, "size of the weight, in typical sizes")


def _handle(found, name):
    """The weight to drag: a large dot, and its name on the side where there is room."""
    y = BLOCK_TOP + 12
    yield from dragged("outlier", found.outlier, SIZES, y, LARGEST, 0.1, name)


def _histogram_marks(found):
    name, wide = found.codebook.name, (RIGHT - LEFT) / BINS
    words = f"All weights, each over the absmax of its block, and the levels of {name}"
    yield Text(LEFT, 271, words)
    for i, density in enumerate(found.counts / found.counts.sum() * BINS / 2):
        if density:
            top = DENSITY(min(density, DENSITY.high))
            bar = (LEFT + i * wide, top, wide - 0.6, DENSITY.start - top)
            yield Box(*bar, "quiet", shade=0.55)
    for x in map(SHARES, np.unique(found.codebook.values)):
        yield Line(((x, DENSITY.end - 6), (x, DENSITY.start)), width=1.5)
    yield from across(SHARES, DENSITY.start, ticks((-1, -0.5, 0, 0.5, 1)))


def _pointed(number):
    """Four significant digits, padded on the right so that decimal points stand in line."""
    text = html.number(float(number))
    return text + "\N{FIGURE SPACE}" * (3 - len(text.partition(".")[2]))


def explorer(weights):
    """Return the explorer of a layer in 4 bits, with one weight to drag out of its block.

    weights: as for `explore`.
    """
    codebook = control(widgets.ToggleButtons, "codebook", options=list(CODEBOOKS))
    codebook.style.button_width = "5em"
    size = {"value": 6.0, "max": LARGEST, "readout_format": ".1f"}
    return Explorer(
        {
            "codebook": codebook,
            "block_size": control(
                widgets.SelectionSlider, "block size", options=BLOCK_SIZES, value=64
            ),
            "double_quant": widgets.Checkbox(description="double quantization", indent=False),
            "outlier": control(widgets.FloatSlider, "the dragged weight", **size),
        },
        lambda **settings: render(explore(weights, **settings)),
        title="Drag one weight and watch its block",
        static=snapshot(explore(weights)),
        height=HEIGHT + 140,
    )


def snapshot(found):
    """Return an `Exploration` as a picture."""
    title = f"One weight of {found.outlier:g} typical sizes: its {found.block_size - 1} "
    title += f"neighbours err by {found.block_error:.0%}"
    said = (f"{name} {html.number(number)} {unit}".strip() for name, number, unit in facts(found))
    return draw(found, "this weight").picture(title, f"{title}. {'; '.join(said)}.")


EXPLORERS = {"08_four_bits/explorer": RUN}
