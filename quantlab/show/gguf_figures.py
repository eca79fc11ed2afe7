"""Notebook 11: the bytes of a file, a super-block with one weight to drag, speed by bytes."""

import ipywidgets as widgets

from quantlab.experiments.gguf_bytes import PARTS, block_fields
from quantlab.experiments.super_block import BLOCK, PLACE, SIZE, explore, scale_words
from quantlab.gguf import TYPES
from quantlab.show import hexes, html
from quantlab.show.drawing import Box, Drawing, Line, Mark, Scale, Text, across, ticks
from quantlab.show.explorer import Explorer, control
from quantlab.show.registry import RUN

# ------------------------------------------------------------------------------- the explorer


def facts(found):
    """Return what is to be said of an `Exploration`: a list of (name, number, unit)."""
    return [
        ("bits per weight, scales included", found.bits, ""),
        ("the dragged weight comes back as", float(found.back[PLACE]), "× typical"),
        ("relative error of the 31 others of its block of 32", 100 * found.block_error, "%"),
        ("relative error of the 224 outside", 100 * found.other_error, "%"),
    ]


def render(found):
    """Return the HTML of an `Exploration`: its weights and levels, its numbers, its bytes."""
    rows = [(name, _rounded(number), unit) for name, number, unit in facts(found)]
    table = html.table(rows, row_names=True, widths=(420, 80, 80))
    return draw(found).svg() + table + _bytes(found)


def _rounded(number):
    return f"{number:.2f}".replace("-", "−")


def _bytes(found):
    """The bytes of the super-block; equal parts of all blocks share a name."""
    fields = block_fields(found.blocks, found.type)
    parts = PARTS[found.type]
    count = SIZE // TYPES[found.type].values
    rows = [(_times(count, length, name), words) for length, name, words in parts]
    groups = [number % len(parts) for number in range(len(fields))]
    return hexes.render(fields, groups, rows, ("bytes", "what they are"))


def _times(count, length, name):
    return f"{count} × {length}: {name}" if count > 1 else f"{length}: {name}"


# One drawing, in CSS pixels: eight blocks of 32 weights below each other.
WIDTH, LEFT, RIGHT, TOP, BAND, PITCH = 740, 170, 724, 30, 42, 1.25
FLOOR = TOP + 8 * BAND
HEIGHT = FLOOR + 52
LARGEST = 12.0  # how far the outlier goes
SIZES = Scale(-4, 12.4, LEFT, RIGHT)  # typical sizes
MOST = 64  # levels that are drawn one by one


def draw(found, handle="drag me"):
    """Return the `Drawing` of an `Exploration`. handle: what stands beside its outlier."""
    said = f"{found.type}, one weight at {found.outlier:g}"
    error = f"error of its block {found.block_error:.1%}, of the others {found.other_error:.1%}"
    words = "Dot: a weight. Red: how far off it comes back. Lines: the levels of its block"
    axis = across(SIZES, FLOOR, ticks(range(-4, 13, 2)), "weight, in typical sizes")
    marks = (Text(8, 12, words), *_levels(found), *_weights(found), *_handle(found, handle), *axis)
    return Drawing(WIDTH, HEIGHT, marks, f"{said}: {error}")


def _levels(found):
    """The levels of each block as lines; as a band where they are too many to tell apart."""
    words = scale_words(found.blocks, found.type)
    size = 16 if found.type == "Q6_K" else 32
    for block in range(8):
        top = TOP + BAND * block
        yield Text(8, top + BAND / 2, words[block])
        if block:
            yield Line(((LEFT, top - 1), (RIGHT, top - 1)), "grid", width=1)
        for first in range(32 * block, 32 * block + 32, size):
            y, tall = top + PITCH * (first % 32), PITCH * size
            places = sorted({SIZES(v) for v in found.levels[:, first] if SIZES.low <= v <= SIZES.high})
            if len(places) > 1 and (places[-1] - places[0]) / (len(places) - 1) < 3:
                wide = places[-1] - places[0]
                yield Box(places[0], y, wide, tall, "quiet", shade=0.3)
            else:
                for x in places:
                    yield Line(((x, y), (x, y + tall)), "quiet", width=1)


def _weights(found):
    for i, (value, back) in enumerate(zip(found.values, found.back, strict=True)):
        y = TOP + BAND * (i // 32) + PITCH * (i % 32 + 0.5)
        if abs(value - back) > 0.02:
            yield Line(((SIZES(value), y), (SIZES(back), y)), "error", width=1.2)
        yield Mark(SIZES(value), y, size=1.6)


def _handle(found, name):
    """The weight to drag: a large dot, and its name on the side where there is room."""
    x, y = SIZES(found.outlier), TOP + BAND * (PLACE // 32) + PITCH * (PLACE % 32 + 0.5)
    side, anchor = (-16, "end") if found.outlier > LARGEST / 2 else (16, "start")
    yield Text(x + side, y, name, anchor, halo=True)
    drag = {"drag": "outlier", "zero": f"{SIZES(0):.3f}", "unit": f"{SIZES(1) - SIZES(0):.3f}"}
    drag |= {"min": 0, "max": f"{LARGEST:g}", "step": 0.25}
    yield Mark(x, y, size=10, edge="ground", drag=drag)


def explorer(weights):
    """Return the explorer of a super-block in llama.cpp's formats, with one weight to drag.

    weights: as for `explore`.
    """
    size = {"value": 6.0, "max": LARGEST, "step": 0.25, "readout_format": ".2f"}
    return Explorer(
        {
            "type": control(widgets.Dropdown, "type", options=list(TYPES), value="Q4_K"),
            "outlier": control(widgets.FloatSlider, "the dragged weight", **size),
        },
        lambda **settings: render(explore(weights, **settings)),
        title="Drag one weight of a super-block",
        static=snapshot(explore(weights)),
        height=HEIGHT + 340,
    )


def snapshot(found):
    """Return an `Exploration` as a picture."""
    title = f"{found.type}: one weight of {found.outlier:g} typical sizes, and its neighbours"
    said = (f"{name} {_rounded(number)} {unit}".strip() for name, number, unit in facts(found))
    return draw(found, "this weight").picture(title, f"{title}. {'; '.join(said)}.")


EXPLORERS = {"11_a_file_that_runs/explorer": RUN}
