"""Quantization grids: codes on the number line, rounding errors, and the explorer of the matrix."""

from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np

from quantlab import article, errors
from quantlab.affine import quantize_absmax, quantize_zero_point, quantized_matmul
from quantlab.show import html, matrix, style
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
    fig, axes = style.figure(style.WIDEST, 270, title=title, flat=True)
    axes.set(xlim=(low, high), xlabel=unit)
    per_pixel = (high - low) / (style.WIDEST - 40)
    _draw_marks(axes, quantized, low, high, per_pixel)
    levels = _draw_moves(axes, values, quantized, low, high, per_pixel)
    axes.set_ylim(-1.25, 1.4 + 0.4 * levels)
    return style.picture(fig, alt or _moves_in_words(values, quantized, title))


def _moves_in_words(values, quantized, title):
    moves = zip(values, quantized.codes, quantized.dequantize(), strict=True)
    said = [f"{v:g} gets code {code} and comes back as {back:.4g}" for v, code, back in moves]
    return f"{title}. The step is {float(quantized.scale.item()):.4g}; {', '.join(said)}."


def _draw_marks(axes, quantized, low, high, per_pixel):
    """Draw each code as a mark, labelled with the code as far as there is room."""
    step, zero = float(quantized.scale.reshape(())), int(quantized.zero_point.reshape(()))
    lowest, highest = _code_range(quantized)
    codes = np.arange(lowest, highest + 1)
    places = (codes - zero) * step
    seen = (places >= low) & (places <= high)
    axes.plot([low, high], [0, 0], color=style.LINE, lw=1.5)
    axes.vlines(places[seen], -0.22, 0.22, color=style.INK, lw=2)
    every = max(1, int(np.ceil(LABEL_GAP * 0.7 * per_pixel / step)))
    labelled = seen & ((codes - zero) % every == 0)
    for code, place in zip(codes[labelled], places[labelled], strict=True):
        label = f"code\n{code}".replace("-", "−")
        axes.text(place, -0.42, label, ha="center", va="top", fontsize=12)


def _draw_moves(axes, values, quantized, low, high, per_pixel):
    """Draw each value as a dot with an arrow to its mark; return how many lines of labels."""
    back = quantized.dequantize()
    order = np.argsort(values, kind="stable")
    shown = [i for i in order if low <= values[i] <= high]
    last = {}  # level -> where its last label stands
    for i in shown:
        level = next(
            k for k in range(9) if values[i] - last.get(k, -np.inf) > LABEL_GAP * per_pixel
        )
        last[level] = values[i]
        height = 1 + 0.4 * level
        axes.plot([values[i]] * 2, [0.75, height], color=style.GRID, lw=1.5, zorder=1)
        axes.plot([values[i]], [0.75], "o", color=style.INK, ms=7)
        label = f"{values[i]:g}".replace("-", "−")
        ground = {
            "fc": "white",
            "ec": "none",
            "pad": 1,
        }  # hides a neighbour's line behind the number
        axes.text(values[i], height, label, ha="center", va="bottom", fontsize=12, bbox=ground)
        arrow = {"arrowstyle": "-|>", "color": style.ERROR, "lw": 2, "shrinkA": 5, "shrinkB": 0}
        axes.annotate("", (back[i], 0.24), (values[i], 0.75), arrowprops=arrow)
    beyond = [i for i in order if i not in shown]
    if beyond:
        notes = [f"{values[i]:g} → code {quantized.codes[i]}" for i in beyond]
        note = "off the picture:\n" + "\n".join(notes)
        axes.text(high, 0.6, note, ha="right", va="bottom", fontsize=12)
    return len(last)


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


def face(bits, axis, method):
    """Return one setting of the explorer as HTML."""
    found = explore(bits, axis, method)
    return (
        f'<div style="color:{html.INK};font-size:16px;line-height:1.4;">'
        f"{matrix.to_html(panels(found))}{html.facts(summary(found))}</div>"
    )


def still(bits=8, axis="per row of X, per column of W", method="absmax"):
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
        face,
        title="The article's product at any width, scale and method",
        static=still(),
        height=200,
    )


EXPLORERS = {"04_absmax_and_zero_point/explorer": explorer}
