"""Floats with a shared scale on one layer, with one weight to move, and on a whole model."""

from dataclasses import dataclass

import numpy as np

from .. import errors, lm
from .._checks import one_of, positive, whole
from ..formats import E8M0, FP4_E2M1, FP6_E2M3, FP8_E4M3, FP32
from ..scaled import RULES, Scaled, ScaledFormat, quantize
from .whole_model import apart, reader

ELEMENTS = {"FP4": FP4_E2M1, "FP6": FP6_E2M3, "FP8": FP8_E4M3}
SCALES = {"E8M0": E8M0, "E4M3": FP8_E4M3, "FP32": FP32}
BLOCKS = (8, 16, 32, 64, 128)
DRAWN = 24  # weights of a block that are drawn, if it has as many


@dataclass(frozen=True, eq=False)
class Exploration:
    """A layer in floats with a shared scale, in which one weight was given another size.

    Sizes are in typical sizes: the standard deviation of the layer.

    format: what it was quantized to. note: which rule was taken in place of the one asked for, or
    empty. largest: the weight that was moved, and moved_to: what it comes back as. neighbours:
    weights of its block, and back: what they come back as. levels: the values that the block has.
    scale: of the block; stored: its code. fill: the block's largest magnitude over the scale, in
    units of the element. counts: of the layer's weights by the code of their magnitude. bits: per
    weight, scales included. error: relative, of the layer; block_error: of its neighbours.
    """

    format: ScaledFormat
    note: str
    largest: float
    moved_to: float
    neighbours: np.ndarray
    back: np.ndarray
    levels: np.ndarray
    scale: float
    stored: int
    fill: float
    counts: np.ndarray
    bits: float
    error: float
    block_error: float

    @property
    def magnitudes(self):
        """The values of the element format from 0 up, by their codes."""
        values = self.format.element.finite_values()
        return values[values >= 0]


def fitting_rule(element, scale, rule):
    """Return (rule, note): the rule, or the usual one where it does not go with these, and why."""
    one_of("rule", rule, RULES)
    powers = rule in RULES[:4]
    if scale == "E8M0":
        return (rule, "") if powers else ("floor", f"{rule} needs scales with a mantissa: floor")
    if powers:
        return "amax", f"{rule} is for powers of two: amax"
    if rule == "four_over_six" and (element, scale) != ("FP4", "E4M3"):
        return "amax", "four over six is for FP4 with E4M3 scales: amax"
    return rule, ""


def explore(weights, element="FP4", block=32, scale="E8M0", rule="floor", largest=4.0):
    """Return the `Exploration` of a layer whose middle weight is made `largest` typical sizes.

    weights: real array of at least 4096 values, a multiple of 128. element, scale: names in
    `ELEMENTS` and `SCALES`. block: 2 values or more. rule: one of `scaled.RULES`; where it does not
    go with the scale, the usual one is taken and the note says so.
    Raises ValueError for other names, smaller blocks or arrays, or a size that is negative.
    """
    rule, note = fitting_rule(one_of("element", element, ELEMENTS), scale, rule)
    one_of("scale", scale, SCALES)
    whole("block", block, 2)
    positive("largest", largest, or_zero=True)
    flat = np.array(weights, dtype=np.float32).ravel()
    if flat.size < 4096 or flat.size % max(BLOCKS):
        raise ValueError(f"weights must hold 4096 values or more, 128 at a time, got {flat.size}")
    typical = float(flat.std())
    place = flat.size // 2 // max(BLOCKS) * max(BLOCKS)
    flat[place] = largest * typical
    form = ScaledFormat(f"{element}, {scale}", ELEMENTS[element], block, SCALES[scale], rule)
    q = quantize(flat, form)
    back, first = q.dequantize(), place // block
    step = float(q.scales[first] * q.tensor_scale)
    peak = float(np.abs(flat[place : place + block]).max())
    counts = np.bincount(q.codes & (2 ** (form.element.width - 1) - 1))
    moved_to = float(back[place])
    flat[place] = back[place] = 0  # a zero that comes back as zero adds to no error
    others = slice(place + 1, place + block)
    drawn = slice(place + 1, place + min(block, DRAWN))
    return Exploration(
        format=form,
        note=note,
        largest=largest,
        moved_to=moved_to / typical,
        neighbours=flat[drawn] / typical,
        back=back[drawn] / typical,
        levels=form.element.finite_values() * step / typical,
        scale=step,
        stored=int(q.scale_codes[first]),
        fill=peak / step,
        counts=counts,
        bits=q.bits_per_value,
        error=errors.relative(back, flat),
        block_error=errors.relative(back[others], flat[others]),
    )


# ------------------------------------------------------------------------------ a whole model


@dataclass(frozen=True)
class Setting:
    """How a model is brought into a format.

    format: a name in `scaled.FORMATS`. activations: in the same format too. turned: by `lm.rotate`
    first. gptq: rounded by GPTQ.
    """

    format: str
    activations: bool = False
    turned: bool = False
    gptq: bool = False

    @property
    def words(self):
        """What is done, without the format."""
        done = ["turned"] * self.turned + ["GPTQ"] * self.gptq or ["plain"]
        return f"{'W and A' if self.activations else 'W'}, {', '.join(done)}"


@dataclass(frozen=True)
class Result:
    """What a setting costs. facts: right, of 256. windows: (divergence in nats, tokens) of each.

    bits: per weight, scales included. divergence: from the model itself, in nats per token, and
    error: the standard error of that.
    """

    setting: Setting
    bits: float
    perplexity: float
    facts: int
    divergence: float
    error: float
    windows: tuple


#: What the table of notebook 13 has: by format, then from plain to most.
SETTINGS = tuple(
    Setting(name, activations, turned, gptq)
    for name in ("MXFP8", "MXFP6", "MXFP4", "NVFP4")
    for activations, turned, gptq in (
        (False, False, False), (True, False, False), (True, True, False), (True, False, True),
        (True, True, True),
    )
    if name.endswith("4") or not gptq
)  # fmt: skip


def measure(model, settings, text):
    """Return the `Result` of each of `settings` on `model`, a `lm.Model` in fp32, and a text."""
    sources, reference, results = {}, reader(model), []
    stride = model.window - 1
    for setting in settings:
        if setting.turned not in sources:
            sources[setting.turned] = lm.rotate(model) if setting.turned else model
        method = ("gptq_" * setting.gptq) + setting.format.lower()
        small = lm.quantize(
            sources[setting.turned],
            method,
            progress=_quietly,
            activation_bits=setting.format if setting.activations else None,
        )
        read = reader(small)
        pieces = lm.measure.window_divergences(read, reference, text, stride=stride)
        none = [(0.0, tokens) for _, tokens in pieces]
        far, error = apart(pieces, none)
        perplexity = read.perplexity(text, stride=stride)
        facts = small.facts().right
        bits = small.bits_per_weight
        results.append(Result(setting, bits, perplexity, facts, far, error, tuple(pieces)))
    return results


def _quietly(done, total, name):
    """Report nothing: in a terminal `lm.quantize` would draw a bar of its own."""


def share_of_error(x, q, edges):
    """Return [(share of the values, share of the square error)] by size over the block's scale.

    x: the array of which `q`, a `Scaled` along the last axis, was made. edges: of the bins, in
    units of the element, ascending; the last bin has no end.
    """
    _check_made_of(x, q)
    step = np.repeat(q.scales * q.tensor_scale, x.shape[-1] // q.scales.shape[-1], axis=-1)
    place = np.digitize(np.abs(x) / step, edges[1:])
    error = np.square(q.dequantize() - x, dtype=np.float64)
    return [(float(np.mean(place == i)), float(error[place == i].sum() / error.sum()))
            for i in range(len(edges))]  # fmt: skip


def _check_made_of(x, q):
    if not isinstance(q, Scaled) or q.codes.shape != np.shape(x):
        raise ValueError(f"q must be made of x, {np.shape(x)}, got {q!r:.60}")
