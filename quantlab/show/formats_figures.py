"""Notebooks 02 and 03: floating-point formats as coloured strips, gaps, values and running sums.

Every figure is drawn from `quantlab.formats`; none holds a number of its own.
"""

import numpy as np

from quantlab._checks import positive, whole
from quantlab.show import given, style
from quantlab.show.drawing import Box, Drawing, Text

FIELDS = ("sign", "exponent", "mantissa")
NAME_WIDTH, CELL, LINE_HEIGHT = 118, 18, 62  # CSS pixels
#: How a name stands at the end of a line.
NAMED = {"textcoords": "offset points", "fontsize": 12, "annotation_clip": False}

# ------------------------------------------------------------------------------- strips


def strips_picture(formats, number=None, title=None):
    """Return the bits of each format as a strip: sign blue, exponent orange, mantissa green.

    formats: `MiniFloat`s of up to 32 bits. number: whose bits to write into the cells, with the
    value that they hold below; None writes how many bits each field has. title: None makes one.
    """
    widest = max(f.width for f in given.formats(formats))
    if number is not None:
        given.numbers("number", number, 0)
    cell = min(26, CELL * 32 // widest)
    title = title or _strip_title(formats, number)
    marks, said = [], []
    for row, f in enumerate(formats):
        y, size = 4 + LINE_HEIGHT * row, (1, f.exponent_bits, f.mantissa_bits)
        fields = f.bits(number).split() if number is not None else [" " * n for n in size]
        below = _held(f, number) if number is not None else _sizes_text(size)
        marks.append(Text(8, y + 15, f.name, bold=True))
        marks += _strip(y, fields, cell)
        marks.append(Text(NAME_WIDTH, y + 44, below))
        bits = "" if number is None else f" {' '.join(fields)}"
        said.append(f"{f.name}{bits}: {below.removeprefix('= ')}")
    alt = f"{title}. {'; '.join(said)}."
    size = (NAME_WIDTH + widest * cell + 30, LINE_HEIGHT * len(formats))
    return Drawing(*size, tuple(marks), alt).picture(title, alt)


def _strip(y, fields, cell):
    """Yield the marks of one strip: sign, gap, exponent, gap, mantissa, one cell a bit."""
    x = NAME_WIDTH
    for digits, role in zip(fields, FIELDS, strict=False):
        for digit in digits:
            yield Box(x, y, cell, 30, role, "ground", line=1.3)
            ink = style.contrast(style.ROLES[role])
            yield Text(x + cell / 2, y + 15, digit, "middle", ink, mono=True)
            x += cell
        x += 6


def _strip_title(formats, number):
    if number is not None:
        best = min(formats, key=lambda f: abs(f.round(number) - number))
        if len(formats) == 1:
            return f"{number} in {best.name} is {best.round(number):.9g}"
        return f"{number} in {len(formats)} formats: {best.name} comes closest"
    return "A sign, bits for the range, bits for the precision"


def _sizes_text(sizes):
    return f"1 sign bit, {sizes[1]} exponent bits, {_count(sizes[2], 'mantissa bit')}"


def _held(f, number):
    value = f.round(number)
    error = value - number
    if not np.isfinite(value):
        return str(value)
    return f"= {value:.9g}, off by {error:+.3g}".replace("-", "−")


# ------------------------------------------------------------------------------- the gaps


def spacing_picture(formats, title, fixed=None, low=1e-3, high=1e6):
    """Return the gap to the next value over the magnitude of a number, both axes logarithmic.

    formats: `MiniFloat`s; the line of one that goes on beyond `high` is named on the right.
    fixed: (whole bits, fraction bits) of a fixed-point format to draw beside them.
    """
    positive("high - low", positive("high", high) - positive("low", low))
    tall = len(given.formats(formats)) > 4 or low < 1e-4
    fig, axes = style.figure(740, 540 if tall else 380, title=title)
    axes.set(xscale="log", yscale="log", xlim=(low, high), xlabel="magnitude of the number")
    axes.set_ylabel("gap to the next value")
    axes.grid(True, linewidth=0.6)
    said = []
    for f in formats:
        x = np.geomspace(low, min(f.max, high), 4000)
        axes.plot(x, f.spacing(x), color=style.INK, linewidth=1.6)
        end = (x[-1], float(f.spacing(x[-1])))
        if f.max > high:
            up = {"BF16": 4, "TF32": -4}.get(f.name, 0)  # their lines end too close for two names
            words = f"{f.name}, to {f.max:.2g}".replace("e+", "e")
            axes.annotate(words, end, (6, up), va="center", **NAMED)
        else:
            # "FP8_" is left out: there is no room for it, and E4M3 says the same.
            _bar(axes, end, f.name.split("_")[-1], above=f.mantissa_bits < 3)
        said.append(f"{f.name} {float(f.spacing(1.0)):.3g} at 1, largest value {f.max:.3g}")
    if fixed is not None:
        given.numbers("fixed", fixed, 1)
        whole, fraction = fixed
        gap, top = 2.0**-fraction, 2.0**whole
        axes.plot([low, top], [gap, gap], color=style.QUIET, linestyle="--", linewidth=2)
        _bar(axes, (top, gap), f"fixed point, {whole} + {fraction} bits")
        said.append(f"fixed point {gap:.3g} everywhere, nothing from {top:.0f} on")
    return style.picture(fig, alt=f"{title}. Gap by format: {'; '.join(said)}.")


def _bar(axes, end, name, above=False):
    """Draw a bar where a format ends: beyond its largest number is nothing.

    above: its name stands there, where no format has longer steps, else below its right.
    """
    axes.plot(*end, marker="|", markersize=16, markeredgewidth=3, color=style.INK)
    aside = {"E2M1": -9}.get(name, 0)  # it ends too close to E3M2 for two names
    place, side = ((aside, 11), "right") if above else ((6, -4), "left")
    ground = {"fc": "white", "ec": "none", "pad": 0}  # hides the grid behind a name
    look = {"ha": side, "va": "bottom" if above else "top", "bbox": ground}
    axes.annotate(name, end, place, **look, **NAMED)


# ------------------------------------------------------------------------------- every value


def values_picture(formats, reach, title):
    """Return every value of each format from -reach to reach as a mark on a line of its own."""
    positive("reach", reach)
    fig, axes = style.figure(740, 70 + 62 * len(given.formats(formats)), title=title, flat=True)
    rows = {}
    for f in formats:
        values = f.finite_values()
        words = f"{f.name}: {len(values)} values from −{f.max:g} to {f.max:g}"
        rows[words] = values[np.abs(values) <= reach]
    style.marks(axes, rows, 1.1)
    axes.set_xlim(-reach * 1.02, reach * 1.02)
    drawn = f"drawn from −{reach:g} to {reach:g}"
    return style.picture(fig, alt=f"{title}. {'; '.join(rows)}; {drawn}.")


# ------------------------------------------------------------------------------- running sums


def sums_picture(totals, exact, title):
    """Return running totals beside the exact one, which is a dashed line.

    totals: dict of name -> array of totals after 1, 2, 3 ... terms. exact: the same, exact.
    """
    totals, exact = given.by_name("totals", totals, 1), given.numbers("exact", exact, 1)
    fig, axes = style.figure(720, 360, title=title)
    terms = np.arange(1, len(exact) + 1)
    axes.plot(terms, exact, color=style.QUIET, linestyle="--", linewidth=2)
    said = []
    for name, total in totals.items():
        off = abs(total[-1] - exact[-1]) > 0.01 * abs(exact[-1])
        color = style.ERROR if off else style.INK
        axes.plot(terms, total, color=color, zorder=2 if off else 3)  # shared parts stay dark
        words = f"{name}: {total[-1]:,.6g}"
        axes.annotate(words, (terms[-1], total[-1]), (6, 0), va="center", color=color, **NAMED)
        said.append(f"{words} after {len(total):,} terms")
    axes.set(
        xlim=(0, len(exact) * 1.24), ylim=(0, None), xlabel="terms added", ylabel="running total"
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xticks(np.linspace(0, len(exact), 5))
    return style.picture(fig, alt=f"{title}. Exact: {exact[-1]:,.6g}; {'; '.join(said)}.")


# ------------------------------------------------------------------------------- shared scales


def blocks_picture(values, scales, f, block_size, title):
    """Return numbers in blocks, each on the grid that its own scale stretches.

    values: (n,). scales: one number a block. f: the format whose values, times the scale, are the
    marks of a block's ruler. block_size: how many values share a scale.
    """
    values, scales = given.numbers("values", values, 1), given.numbers("scales", scales, 1)
    block_size = whole("block_size", block_size, 1)
    if len(values) != len(scales) * block_size:
        got = f"{len(values)} values, {len(scales)} scales and block_size={block_size}"
        raise ValueError(f"values must be block_size numbers for each scale, got {got}")
    fig, axes = style.figure(740, 380, title=title)
    grid = given.of_format("f", f).finite_values()
    for block, scale in enumerate(scales):
        left, right = block * block_size - 0.5, (block + 1) * block_size - 0.5
        axes.hlines(grid * scale, left, right, color=style.LIGHT, linewidth=1)
        mine = np.arange(block * block_size, (block + 1) * block_size)
        nearest = f.round(values[mine] / scale) * scale
        axes.vlines(mine, values[mine], nearest, color=style.ERROR, linewidth=3)
        axes.plot(mine, values[mine], "o", color=style.INK, markersize=4)
        if block:
            axes.axvline(left, color=style.LINE, linewidth=1)
    axes.set(xlim=(-0.5, len(scales) * block_size - 0.5), xlabel="which number", ylabel="value")
    style.plain(axes.yaxis)
    said = ", ".join(f"{scale:.3g}" for scale in scales)
    return style.picture(
        fig,
        alt=f"{title}. {len(scales)} blocks of {block_size} numbers; their scales are {said}. "
        "Coloured lines lead from each number to the nearest mark of its block's ruler.",
    )


def _count(number, thing):
    return f"{number} {thing}{'' if number == 1 else 's'}"
