"""Quantization grids: codes on the number line, rounding errors, and the explorer of the matrix."""

import ipywidgets as widgets
import numpy as np

from quantlab import article, errors
from quantlab._checks import positive
from quantlab.affine import Quantized
from quantlab.experiments.one_product import METHODS, OUTLIER, SHARING, explore
from quantlab.show import given, html, matrix, style
from quantlab.show.drawing import Drawing, Line, Mark, Scale, Text, across, round_numbers, ticks
from quantlab.show.explorer import Entry, Explorer, control

#: The widest that the explorer reads each column of the article's X back as.
READ_BACK = ("−7.890", "1000.000", "−7.890", "−7.890")


def number_line(values, quantized, low, high, title):
    """Return a picture of the codes as marks on the number line and where each value goes.

    values: real numbers. quantized: their `Quantized`, with one scale. low, high: the stretch of
    the line that is drawn; values outside it are named at its end. title: the message, a sentence.
    Raises ValueError if `quantized` has several scales or another number of values.
    """
    values = given.numbers("values", values).astype(np.float64)
    given.quantized(quantized, Quantized)
    low, high = (float(given.numbers(n, v, 0)) for n, v in (("low", low), ("high", high)))
    positive("high - low", high - low)
    if quantized.scale.size != 1 or quantized.codes.shape != values.shape or values.ndim != 1:
        raise ValueError(
            "a number line needs a row of values and one scale for it, got values of shape "
            f"{values.shape}, codes of {quantized.codes.shape}, {quantized.scale.size} scales"
        )
    scale = Scale(low, high, 20, 740)
    marks, floor = lowered(ruler(values, quantized, scale), 14)
    beyond = [i for i in np.argsort(values, kind="stable") if not low <= values[i] <= high]
    notes = [f"{values[i]:g} → code {quantized.codes[i]}" for i in beyond]
    for i, note in enumerate(["off the picture:", *notes] if notes else []):
        marks.append(Text(740, 14 + 22 * i, note.replace("-", "−"), "end"))
    marks += across(scale, floor + 16, ticks(round_numbers(low, high)), "value")
    moves = zip(values, quantized.codes, quantized.dequantize(), strict=True)
    said = [f"{v:g} gets code {code} and comes back as {back:.4g}" for v, code, back in moves]
    alt = f"{title}. The step is {quantized.scale.item():.4g}; {', '.join(said)}."
    return Drawing(style.WIDEST, floor + 66, tuple(marks), alt).picture(title, alt)


def ruler(values, quantized, scale, named=True):
    """Yield the marks of a number line at height 0: each code, and where each value goes.

    values, quantized: as in `number_line`. named: whether codes are written, as far as there is
    room. Numbers that would touch stand above each other.
    """
    step, zero = float(quantized.scale.item()), int(quantized.zero_point.item())
    lowest, highest = _code_range(quantized)
    pixels = scale(step) - scale(0)
    every = max(1, int(np.ceil(46 / pixels)))
    yield Line(((scale.start, 0), (scale.end, 0)), "line")
    for code in range(lowest, highest + 1):
        place = (code - zero) * step
        if scale.low <= place <= scale.high:
            x = scale(place)
            yield Line(((x, -9), (x, 9)), width=2.7 if pixels > 6 else 1)
            if named and (code - zero) % every == 0:
                yield Text(x, 24, "code", "middle")
                yield Text(x, 44, str(code).replace("-", "−"), "middle")
    last, numbers = {}, []  # level -> where its last number stands
    for value, back in sorted(zip(values, quantized.dequantize(), strict=True)):
        if scale.low <= value <= scale.high:
            x = scale(value)
            level = next(k for k in range(99) if x - last.get(k, -np.inf) > 66)  # px of a number
            last[level], top = x, -58 - 22 * level
            yield Line(((x, -38), (x, top)), "grid")
            yield Mark(x, -38, size=4.5)
            yield Line(((x, -38), (scale(back), -13)), "error", width=2.7, arrow=True)
            numbers.append(Text(x, top, f"{value:g}".replace("-", "−"), "middle", halo=True))
    yield from numbers  # above the lines of their neighbours


def lowered(marks, top):
    """Return (marks with their highest at `top`, how far down they reach)."""
    marks = list(marks)
    heights = [y for m in marks for _, y in getattr(m, "points", None) or [(m.x, m.y)]]
    down = top - min(heights)
    return [mark.moved(0, down) for mark in marks], max(heights) + down


def _code_range(quantized):
    top = 2 ** (quantized.bits - 1) - 1
    return (-top if quantized.symmetric else -top - 1), top


def rounding_errors(x, quantized, title):
    """Return a picture of the error of each value, in steps, between the lines at half a step.

    x: real numbers, any shape. quantized: their `Quantized`, with one scale. title: the message, a
    sentence.
    """
    x = given.numbers("x", x).astype(np.float64).ravel()
    if given.quantized(quantized, Quantized).scale.size != 1 or quantized.codes.size != x.size:
        got = f"{quantized.scale.size} scales, {quantized.codes.size} codes for {x.size} values"
        raise ValueError(f"quantized must have one scale, and a code for each of x, got {got}")
    miss = (quantized.dequantize().ravel() - x) / quantized.scale.item()
    fig, axes = style.figure(style.WIDEST, 300, title=title)
    axes.plot(x, miss, ".", color=style.ERROR, ms=4)
    for side, word, va in ((1, "half a step", "bottom"), (-1, "minus half a step", "top")):
        axes.axhline(side * 0.5, color=style.LINE, lw=1.5, ls="--")
        axes.text(x.max(), side * 0.56, word, ha="right", va=va, fontsize=12)
    axes.set(xlabel="value", ylabel="error, in steps", ylim=(-0.85, 0.85))
    axes.set_yticks([-0.5, 0, 0.5], ["−0.5", "0", "0.5"])
    reach = f"the errors of {x.size} values reach {np.abs(miss).max():.3f} steps and no further"
    return style.picture(fig, f"{title}. A sawtooth: {reach}.")


def panels(found):
    """Return the matrices that an explorer of an `Exploration` shows."""
    outlier, heat = (OUTLIER,), np.abs(found.error)
    return [
        matrix.Panel("codes of X", found.x.codes, outline=outlier, room="−128"),
        matrix.Panel("X read back", found.x.dequantize(), 3, outline=outlier, room=READ_BACK),
        matrix.Panel("product", found.product, 2, room="−1785.92"),
        matrix.Panel("error of the product", found.error, 2, heat=heat, room="−1785.92"),
    ]


def summary(found):
    """Return what is to be said of an `Exploration`, as a list of (name, text)."""
    zeros = int(((found.x.dequantize() == 0) & (found.original != 0)).sum())
    steps = ", ".join(html.number(s, 3) for s in found.x.scale.ravel())
    snr = errors.snr_db(found.product, found.exact)
    way = "on the codes, one rescale" if found.integer else "on the values read back"
    return [
        ("step of X", steps),
        ("numbers of X that became 0", f"{zeros} of {article.X.size}"),
        ("product taken", way),
        ("largest error", html.number(errors.maximum(found.product, found.exact), 3)),
        ("relative error", f"{100 * errors.relative(found.product, found.exact):.2f} %"),
        ("SNR", f"{matrix.texts([[snr]], 1)[0][0]} dB"),
        ("bits per value of X, scales included", f"{found.x.bits_per_value:.1f}"),
    ]


def render(bits, axis, method, outlier=1000):
    """Return one setting of the explorer as HTML."""
    found = explore(bits, axis, method, outlier)
    return (
        f'<div style="color:{html.INK};font-size:16px;line-height:1.4;">'
        f"{matrix.to_html(panels(found))}{html.facts(summary(found))}</div>"
    )


def snapshot(bits=8, axis="per row of X, per column of W", method="absmax"):
    """Return one setting of the explorer as a picture."""
    found = explore(bits, axis, method)
    said = dict(summary(found))
    error = f"relative error of the product {said['relative error']}, SNR {said['SNR']}"
    return matrix.draw(panels(found), f"{method} with {bits} bits, {axis}: {error}")


def explorer():
    """Return the explorer for width, axis, method and outlier of the article's matrix product."""
    names = list(SHARING)
    given = {"X": article.X.tolist(), "W": article.W.tolist(), "outlier": OUTLIER}
    given |= {"shares": SHARING, "read_back": READ_BACK, "hot": style.ERROR, "dark": style.INK}
    return Explorer(
        {
            "bits": control(widgets.IntSlider, "bits", value=8, min=2, max=8),
            "axis": control(widgets.Dropdown, "scales", options=names, value=names[1]),
            "method": control(widgets.ToggleButtons, "method", options=list(METHODS)),
            "outlier": Entry("outlier of X", int(article.X[OUTLIER]), "outlier", -(10**6), 10**6),
        },
        render,
        title="The article's product at any width, scale and method",
        static=snapshot(),
        height=200,
        twin=("product", given),
    )


EXPLORERS = {"04_absmax_and_zero_point/explorer": explorer}
