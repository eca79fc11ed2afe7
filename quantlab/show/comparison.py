"""Notebook 07: methods side by side, on the article's product and on one layer of a model.

A `Setting` says how weights are quantized, `measure` gives a `Point` for each (true bits per weight
and the error of the layer's output), `frontier` keeps those that no other beats; the rest shows
them.
"""

from dataclasses import dataclass

import matplotlib
import numpy as np
from IPython.display import HTML
from matplotlib.lines import Line2D

from quantlab import errors
from quantlab._checks import one_of
from quantlab.affine import quantize_absmax, quantize_zero_point
from quantlab.codebooks import FP4, NF4, quantize_blockwise
from quantlab.gptq import quantize_gptq
from quantlab.show import html, labels, matrix, style
from quantlab.show.model import LOOKS

CODEBOOKS = {"NF4": NF4, "FP4": FP4}
METHODS = ("absmax", "zero-point", "GPTQ", *CODEBOOKS)
GRIDS = ("absmax", "zero-point")
WIDTHS = (8, 6, 5, 4, 3, 2)
GROUP = 64


@dataclass(frozen=True)
class Setting:
    """How the weights of a layer are quantized.

    method: one of `METHODS`. group: inputs that share a scale, None: all inputs of an output.
    grid: GPTQ's, one of `GRIDS`. act_order: GPTQ's. double_quant: NF4's and FP4's.
    """

    method: str
    bits: int
    group: int | None = None
    grid: str = "zero-point"
    act_order: bool = False
    double_quant: bool = False

    def __post_init__(self):
        one_of("method", self.method, METHODS)
        one_of("grid", self.grid, GRIDS)

    @property
    def calibrated(self):
        """Whether it needs text to run through the model first."""
        return self.method == "GPTQ"

    @property
    def name(self):
        """The method and its options in few words, without the width."""
        words = [self.method]
        if self.method == "GPTQ":
            words += ["absmax grid"] * (self.grid == "absmax") + ["act-order"] * self.act_order
        if self.method in CODEBOOKS:
            return ", ".join(words + ["double quantized"] * self.double_quant)
        return ", ".join(words + ["groups"] * bool(self.group))

    def __str__(self):
        words = [self.method]
        if self.method in CODEBOOKS:
            words.append(f"blocks of {self.group}")
            return ", ".join([*words, "double quantization"] if self.double_quant else words)
        words.append(f"{self.bits} bits")
        if self.method == "GPTQ":
            words += [f"{self.grid} grid"] + ["act-order"] * self.act_order
        words.append(f"groups of {self.group}" if self.group else "one scale per output")
        return ", ".join(words)


@dataclass(frozen=True)
class Point:
    """What a setting costs on one layer: true bits per weight, relative error of the output."""

    setting: Setting
    bits: float
    error: float


def _settings():
    for bits in WIDTHS:
        for group in (None, GROUP):
            yield Setting("absmax", bits, group)
            yield Setting("zero-point", bits, group)
            for act_order in (False, True):
                yield Setting("GPTQ", bits, group, act_order=act_order)
        yield Setting("GPTQ", bits, None, "absmax")
        if bits == 4:
            for name in CODEBOOKS:
                for nested in (False, True):
                    yield Setting(name, 4, GROUP, double_quant=nested)


#: The settings of the notebook, widest first.
SETTINGS = tuple(_settings())


# ------------------------------------------------------------------------------------ measuring


def quantize(setting, w, hessian=None):
    """Return the weights quantized as `setting` says: `Quantized`, or `Blockwise` of w.T.

    w: (in, out). hessian: of the calibration inputs, for GPTQ. Blocks of NF4 and FP4 run along the
    inputs of one output, as a library stores them. Raises ValueError if GPTQ gets no Hessian, and
    whatever the quantizers raise.
    """
    method, bits, group = setting.method, setting.bits, setting.group
    if method in CODEBOOKS:
        return quantize_blockwise(w.T, CODEBOOKS[method], group, setting.double_quant)
    if method == "GPTQ":
        if hessian is None:
            raise ValueError(f"{setting} needs the hessian of its calibration inputs, got None")
        symmetric = setting.grid == "absmax"
        return quantize_gptq(
            w, hessian, bits, group, act_order=setting.act_order, symmetric=symmetric
        )
    plain = quantize_absmax if method == "absmax" else quantize_zero_point
    return plain(w, bits, axis=0, group_size=group)


def read_back(setting, quantized):
    """Return the values of `quantize`'s result in the layout of w, (in, out)."""
    values = quantized.dequantize()
    return values.T if setting.method in CODEBOOKS else values


def measure(w, hessian, x, settings=SETTINGS):
    """Return a `Point` for each setting.

    w: (in, out). hessian: of the inputs that GPTQ is calibrated on. x: (tokens, in), inputs that
    the error is measured on: others than those.
    """
    exact = x @ w
    points = []
    for setting in settings:
        quantized = quantize(setting, w, hessian)
        error = errors.relative(x @ read_back(setting, quantized), exact)
        points.append(Point(setting, quantized.bits_per_value, error))
    return points


def frontier(points):
    """Return the points that no other beats, by bits: none has both fewer bits and less error.

    Of points that are equal in both, the first stays.
    """
    kept = []
    for point in sorted(points, key=lambda p: (p.bits, p.error)):
        if not kept or point.error < kept[-1].error:
            kept.append(point)
    return kept


def best(points, budget):
    """Return the point with the least error among those of at most `budget` bits, or None."""
    affordable = [p for p in points if p.bits <= budget]
    return min(affordable, key=lambda p: (p.error, p.bits), default=None)


# --------------------------------------------------------------------- the article's product


def article_table(rows, exact, published):
    """Show all six results of each method, and under those that were published the difference.

    rows: (method, bits of X, bits of W, product); products are (3, 2), bits numbers or text.
    exact: (3, 2). published: {method: three rows of two numbers, or of the text that was printed,
    None for a row that is not known}; it stands under the first line of that method.
    """
    titles = ("method", "X", "W", "row 1", "", "row 2", "", "row 3", "", "error")
    lines, quiet, left = [], [], dict(published)
    for method, x_bits, w_bits, product in rows:
        error = f"{100 * errors.relative(product, exact):.4f} %"
        numbers = [f"{v:.2f}" for v in np.ravel(product)]
        lines.append([method, str(x_bits), str(w_bits), *numbers, error])
        if method in left:
            quiet += [len(lines), len(lines) + 1]
            lines += _printed_lines(left.pop(method), product)
    lines = [[text.replace("-", "−") for text in line] for line in lines]
    return HTML(html.table(lines, titles, row_names=True, quiet=quiet))


def _printed_lines(printed, product):
    said, apart = [], []
    for row, ours in zip(printed, product, strict=True):
        said += ["", ""] if row is None else map(str, row)
        gaps = [] if row is None else np.subtract(ours, np.asarray(row, dtype=np.float64))
        apart += [f"{np.round(gap, 2) + 0.0:+.2f}" for gap in gaps] or ["", ""]
    yield ["published", "", "", *said, ""]
    yield ["ours − published", "", "", *apart, ""]


@matplotlib.rc_context(style.RC)
def product_figure(rows, exact, title):
    """Return the picture of each method's error on the product, on a logarithmic scale.

    rows, exact: as in `article_table`; the exact row is left out. title: the message, a sentence.
    """
    found = [(name, x, w, errors.relative(p, exact)) for name, x, w, p in rows]
    found = [row for row in found if row[3] > 0]
    fig, axes = style.figure(style.WIDEST, 140 + 27 * len(found), title=title)
    for place, (_, _, w, error) in enumerate(found):
        low = str(w).startswith("4")
        ground = "white" if low else style.INK
        axes.plot(100 * error, place, "o", ms=9, mfc=ground, mec=style.INK, mew=1.8)
        axes.annotate(
            f"{percent(error)}", (100 * error, place), (11, 0),
            textcoords="offset points", va="center",
        )  # fmt: skip
    for ground, label in ((style.INK, "W in 8 or 16 bits"), ("white", "W in 4 bits")):
        axes.plot([], [], "o", ms=9, mfc=ground, mec=style.INK, mew=1.8, label=label)
    fig.legend(loc="outside lower center", ncols=2)
    axes.set_xscale("log")
    axes.set(ylim=(len(found) - 0.4, -0.6), xlabel="relative error of all six results, in %")
    style.plain(axes.xaxis)
    axes.margins(x=0.14)
    axes.set_yticks(range(len(found)), [f"{name}: X {x}, W {w}" for name, x, w, _ in found])
    axes.grid(axis="x", lw=0.8)
    said = "; ".join(f"{n}, X {x}, W {w}: {percent(e)}" for n, x, w, e in found)
    return style.picture(fig, alt=f"{title}. Relative errors: {said}.")


def percent(error, digits=2):
    """Return a share as percent with `digits` significant digits.

    >>> percent(0.00128), percent(0.0954), percent(0.5592, 3)
    ('0.13 %', '9.5 %', '55.9 %')
    """
    return f"{html.number(100 * error, digits)} %"


# --------------------------------------------------------------------------- the real layer


@matplotlib.rc_context(style.RC)
def pareto_figure(points, title, named=None, window=None, height=540):
    """Return the picture of output error against true bits per weight, with the frontier.

    points: `Point`s of one layer. title: the message, a sentence. named: settings whose points
    get a label, None: all in sight. window: (fewest bits, most bits) to show, None: all.
    """
    low, high = window or (1.3, max(p.bits for p in points) + 0.2)
    seen = [p for p in points if low <= p.bits <= high]
    best_ones = frontier(points)
    fig, axes = style.figure(style.WIDEST, height, title=title)
    for p in seen:
        axes.plot(p.bits, 100 * p.error, ls="", zorder=3, **_mark(p.setting))
    corners = stairs(best_ones, high)
    axes.plot(*zip(*corners, strict=True), color=style.LINE, lw=1.5, zorder=2)
    _pareto_axes(axes, (low, high), [100 * p.error for p in seen])
    fig.legend(handles=_key(), loc="outside lower center", ncols=4)
    chosen = [p for p in seen if named is None or p.setting in named]
    names = [_label(p.setting, with_bits=window is None) for p in chosen]
    places, others = ([(p.bits, 100 * p.error) for p in of] for of in (chosen, seen))
    labels.place(axes, places, names, others, [corners])
    said = "; ".join(f"{p.setting}: {p.bits:.2f} bits, {percent(p.error, 3)}" for p in seen)
    winners = "; ".join(str(p.setting) for p in best_ones if p in seen)
    return style.picture(fig, alt=f"{title}. Error of the output: {said}. Frontier: {winners}.")


def _label(setting, with_bits):
    if not with_bits or setting.method in CODEBOOKS:
        return setting.name
    return setting.name.replace(setting.method, f"{setting.method} {setting.bits}", 1)


def _mark(setting):
    marker, color = LOOKS[setting.method]
    ground = "white" if setting.group else color
    return {"marker": marker, "color": color, "mfc": ground, "ms": 8, "mew": 1.6}


def _key():
    """Return the handles of the legend: a mark for each method, what hollow is, the frontier."""
    names = {m: Setting(m, 4, GROUP if m in CODEBOOKS else None) for m in METHODS}
    names[f"hollow: groups of {GROUP}"] = Setting("absmax", 4, GROUP)
    marks = [Line2D([], [], ls="", label=name, **_mark(s)) for name, s in names.items()]
    return [*marks, Line2D([], [], color=style.LINE, lw=1.5, label="frontier")]


def _pareto_axes(axes, limits, percents):
    low, high = 0.82 * min(percents), 1.2 * max(percents)
    axes.set_yscale("log")
    axes.set(xlim=limits, ylim=(low, high))
    axes.set(xlabel="true bits per weight, scales included", ylabel="output error, in %")
    steps = (1, 2, 5) if high / low > 10 else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    ticks = [s * 10.0**k for k in range(-3, 3) for s in steps if low < s * 10.0**k < high]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_axisbelow(True)
    axes.grid(axis="y", lw=0.8)


def stairs(best_ones, end):
    """Return the corners of the least error that a number of bits buys."""
    corners = []
    for point, after in zip(best_ones, [*best_ones[1:], None], strict=True):
        corners.append((point.bits, 100 * point.error))
        corners.append((after.bits if after else end, 100 * point.error))
    return corners


def point_table(points):
    """Show points by their bits; those on the frontier are marked with a word."""
    best_ones = set(frontier(points))
    rows = [
        [str(p.setting), f"{p.bits:.3f}", f"{100 * p.error:.2f} %",
         "yes" if p in best_ones else "no"]
        for p in sorted(points, key=lambda p: (p.bits, p.error))
    ]  # fmt: skip
    return matrix.table(rows, header=("setting", "true bits", "output error", "on the frontier"))


# ------------------------------------------------------------------------------------- tables

#: What each method needs: (method, calibration text, X at run time, what the kernel does).
NEEDS = (
    ("absmax, weights", "no", "as it is", "code × scale, then a 16-bit product"),
    ("zero-point, weights", "no", "as it is", "(code − zero-point) × scale, then a 16-bit product"),
    ("absmax, X and W", "no", "rounded, a scale per token", "8-bit product, then one rescale"),
    ("LLM.int8()", "no", "split, then rounded", "8-bit product and a 16-bit product, added"),
    ("GPTQ", "yes", "as it is", "as absmax or zero-point"),
    ("GPTQ, act-order and groups", "yes", "as it is", "the same, and looks up each row's group"),
    ("NF4, FP4", "no", "as it is", "looks the value up in a table × scale, then a 16-bit product"),
    ("NF4, double quantization", "no", "as it is", "the same, after it decodes the scales"),
)


def needs_table():
    """Show what each method needs."""
    titles = ("method", "calibration text", "X at run time", "what a kernel does")
    return matrix.table([list(row) for row in NEEDS], header=titles)


VERDICTS = ("true", "half right", "wrong", "cannot be checked")


class Claims:
    """What the article says, each with a verdict, the number and the notebook that showed it."""

    def __init__(self):
        self.rows = []

    def add(self, says, verdict, number, notebook):
        """Note a claim. Raises ValueError for a verdict that is not one of `VERDICTS`.

        says: the claim in words. number: what was computed, as text. notebook: its number.
        """
        one_of("verdict", verdict, VERDICTS)
        self.rows.append([says, verdict, number, f"{notebook:02d}"])

    def __repr__(self):
        return "\n".join(" | ".join(row) for row in self.rows)

    def _repr_html_(self):
        kinds = [row[1] for row in self.rows]
        counts = ", ".join(f"{kinds.count(v)} {v}" for v in VERDICTS if v in kinds)
        titles = ("the article says", "verdict", "the number", "notebook")
        caption = f"{len(self.rows)} claims: {counts}."
        return matrix.table(self.rows, header=titles, caption=caption).data
