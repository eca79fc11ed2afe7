"""Quantization grids: codes on the number line, rounding errors, and the explorer of the matrix."""

from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np

from quantlab import article, errors
from quantlab.affine import quantize_absmax, quantize_zero_point, quantized_matmul
from quantlab.show import html, matrix, style
from quantlab.show.drawing import Drawing, Line, Mark, Scale, Text, across, round_numbers, ticks
from quantlab.show.explorer import Explorer, control

METHODS = {"absmax": quantize_absmax, "zero-point": quantize_zero_point}
#: What shares one scale in X -> the axes reduced in X and in W.
SHARING = {
    "one scale for all": (None, None),
    "per row of X, per column of W": (1, 0),
    "per column of X, per row of W": (0, 1),
}
LABEL_GAP = 66  # px that a number beside another needs


def number_line(values, quantized, low, high, title, alt=None, unit="value"):
    """Return a picture of the codes as marks on the number line and where each value goes.

    values: real numbers. quantized: their `Quantized`, with one scale. low, high: the stretch of
    the line that is drawn; values outside it are named at its end. title: the message, a
    sentence. alt: what a screen reader says; None is the title, the step and every move.
    Raises ValueError if `quantized` has several scales or another number of values.
    """
    values = np.asarray(values, dtype=np.float64)
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
    marks += across(scale, floor + 16, ticks(round_numbers(low, high)), unit)
    alt = alt or _moves_in_words(values, quantized, title)
    return Drawing(style.WIDEST, floor + 66, tuple(marks), alt).picture(title, alt)


def _moves_in_words(values, quantized, title):
    moves = zip(values, quantized.codes, quantized.dequantize(), strict=True)
    said = [f"{v:g} gets code {code} and comes back as {back:.4g}" for v, code, back in moves]
    return f"{title}. The step is {float(quantized.scale.item()):.4g}; {', '.join(said)}."


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
            level = next(k for k in range(99) if x - last.get(k, -np.inf) > LABEL_GAP)
            last[level] = x
            top = -58 - 22 * level
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


def rounding_errors(x, quantized, title, alt=None):
    """Return a picture of the error of each value, in steps, between the lines at half a step.

    x: real numbers, any shape. quantized: their `Quantized`, with one scale. title: the message, a
    sentence. alt: what a screen reader says; None is the title and the largest error.
    """
    step = float(quantized.scale.reshape(()))
    x = np.asarray(x, dtype=np.float64).ravel()
    miss = (quantized.dequantize().ravel() - x) / step
    fig, axes = style.figure(style.WIDEST, 300, title=title)
    axes.plot(x, miss, ".", color=style.ERROR, ms=4)
    for side, word in ((0.5, "half a step"), (-0.5, "minus half a step")):
        axes.axhline(side, color=style.LINE, lw=1.5, ls="--")
        place, va = (0.56, "bottom") if side > 0 else (-0.56, "top")
        axes.text(x.max(), place, word, ha="right", va=va, fontsize=12)
    axes.set(xlabel="value", ylabel="error, in steps", ylim=(-0.85, 0.85))
    axes.set_yticks([-0.5, 0, 0.5], ["−0.5", "0", "0.5"])
    most = np.abs(miss).max()
    shape = f"A sawtooth: the errors of {x.size} values reach {most:.3f} steps and no further."
    return style.picture(fig, alt or f"{title}. {shape}")


@dataclass(frozen=True, eq=False)
class Exploration:
    """The article's product at one setting: X and W as `Quantized`, their product and its errors.

    integer: True if the product was taken on the codes with one rescale. With scales that change
    along the summed dimension that cannot be done: the product is then taken on read-back values.
    """

    x: object
    w: object
    product: np.ndarray
    exact: np.ndarray
    integer: bool

    @property
    def error(self):
        """The product less the exact one, cell by cell."""
        return self.product - self.exact


def explore(bits=8, axis="per row of X, per column of W", method="absmax"):
    """Return the `Exploration` of the article's product.

    bits: 2 to 16. axis: a name in `SHARING`. method: a name in `METHODS`.
    Raises ValueError, naming what is allowed, for other names and widths.
    """
    for name, value, allowed in (("axis", axis, SHARING), ("method", method, METHODS)):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    quantize, (x_axis, w_axis) = METHODS[method], SHARING[axis]
    x = quantize(article.X, bits=bits, axis=x_axis)
    w = quantize(article.W, bits=bits, axis=w_axis)
    integer = x_axis in (None, 1)
    product = quantized_matmul(x, w) if integer else x.dequantize() @ w.dequantize()
    return Exploration(x, w, product, article.X @ article.W, integer)


def panels(found):
    """Return the matrices that an explorer of an `Exploration` shows."""
    back = found.x.dequantize()
    outlier = tuple(map(tuple, np.argwhere(np.abs(article.X) == np.abs(article.X).max())))
    return [
        matrix.Panel("codes of X", found.x.codes, outline=outlier),
        matrix.Panel("X read back", back, 3, outline=outlier),
        matrix.Panel("product", found.product, 2),
        matrix.Panel("error of the product", found.error, 2, heat=np.abs(found.error)),
    ]


def summary(found):
    """Return what is to be said of an `Exploration`, as a list of (name, text)."""
    zeros = int(((found.x.dequantize() == 0) & (article.X != 0)).sum())
    steps = ", ".join(html.number(s, 3) for s in found.x.scale.ravel())
    snr = errors.snr_db(found.product, found.exact)
    product = "on the codes, one rescale" if found.integer else "on the values read back"
    return [
        ("step of X", steps),
        ("numbers of X that became 0", f"{zeros} of {article.X.size}"),
        ("product taken", product),
        ("largest error", html.number(errors.maximum(found.product, found.exact), 3)),
        ("relative error", f"{100 * errors.relative(found.product, found.exact):.2f} %"),
        ("SNR", f"{matrix.texts([[snr]], 1)[0][0]} dB"),
        ("bits per value of X, scales included", f"{found.x.bits_per_value:.1f}"),
    ]


def render(bits, axis, method):
    """Return one setting of the explorer as HTML."""
    found = explore(bits, axis, method)
    return (
        f'<div style="color:{html.INK};font-size:16px;line-height:1.4;">'
        f"{matrix.to_html(panels(found))}{html.facts(summary(found))}</div>"
    )


def snapshot(bits=8, axis="per row of X, per column of W", method="absmax"):
    """Return one setting of the explorer as a picture."""
    found = explore(bits, axis, method)
    said = dict(summary(found))
    title = (
        f"{method} with {bits} bits, {axis}: relative error of the product "
        f"{said['relative error']}, SNR {said['SNR']}"
    )
    return matrix.draw(panels(found), title)


def explorer():
    """Return the explorer for width, axis and method on the article's matrix product."""
    return Explorer(
        {
            "bits": control(widgets.IntSlider, "bits", value=8, min=2, max=8),
            "axis": control(
                widgets.Dropdown, "scales", options=list(SHARING), value=list(SHARING)[1]
            ),
            "method": control(widgets.ToggleButtons, "method", options=list(METHODS)),
        },
        render,
        title="The article's product at any width, scale and method",
        static=snapshot(),
        height=200,
    )


EXPLORERS = {"04_absmax_and_zero_point/explorer": explorer}
