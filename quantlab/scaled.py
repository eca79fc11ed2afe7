"""Floats with a shared scale: MXFP8, MXFP6, MXFP4, NVFP4, and FP8 in tiles, groups and rows.

A block of values shares one scale, itself a small float; each value over the scale is rounded to
the element format. Arithmetic is in float32, in the order of torchao's `prototype.mx_formats`
0.18, whose codes and scales these are. Sources: OCP Microscaling Formats (MX) Specification v1.0,
2023; NVIDIA 2025, Pretraining Large Language Models with NVFP4, arXiv 2509.25149; Cook et al.
2025, Four Over Six, arXiv 2512.02010; DeepSeek-V3 Technical Report, arXiv 2412.19437, section 3.3.
"""

from dataclasses import dataclass, replace  # noqa: I001 - one line of names
from functools import partial

import numpy as np

from . import _fast
from ._checks import (
    as_array, finite_array, matrix, one_of, positive, real_array, same_inner, shown, text, whole,
)  # fmt: skip
from ._fast import gptq as row_loop
from ._fast import scaled as quick
from .affine import working_copy
from .formats import E8M0, FP4_E2M1, FP6_E2M3, FP6_E3M2, FP8_E4M3, FP8_E5M2, FP32, MiniFloat
from .gptq import checked_hessian, inverse_factor

#: How a scale follows from a block's largest magnitude, amax. The first four give powers of two and
#: have torchao's names. floor: amax keeps its exponent and takes the element format's largest one;
#: what lies above the format's largest number saturates. ceil: the next power of two above. even:
#: floor of the amax rounded to as many mantissa bits as an element has. rceil: the least power of
#: two with which nothing saturates. amax: amax becomes the largest number. four_over_six: amax
#: becomes 6 or 4, whichever has the smaller square error in that block.
RULES = ("floor", "ceil", "even", "rceil", "amax", "four_over_six")
LEAST_SCALE = np.float32(2.0**-6)  # the smallest normal E4M3: torchao takes no smaller one
LEAST_TENSOR_SCALE = np.float32(2.0**-121)  # below it float32 could not hold its inverse


@dataclass(frozen=True)
class ScaledFormat:
    """A format of elements with shared scales.

    element: the `MiniFloat` of the values. block: how many values along the axis share a scale,
    or (rows, columns) of a tile, or None for all along the axis. scale: the `MiniFloat` of the
    scales. rule: one of `RULES`. With scales in E4M3 the whole tensor has one more, in FP32.
    """

    name: str
    element: MiniFloat
    block: int | tuple | None
    scale: MiniFloat
    rule: str = "floor"

    def __post_init__(self):
        for name in ("element", "scale"):
            if not isinstance(getattr(self, name), MiniFloat):
                got = shown(getattr(self, name))
                raise TypeError(f"{name} must be a MiniFloat, such as formats.FP4_E2M1, got {got}")
        text("name", self.name)
        powers = RULES.index(one_of("rule", self.rule, RULES)) < 4
        if powers != (self.scale is E8M0):
            has = "floor, ceil, even or rceil" if self.scale is E8M0 else "amax or four_over_six"
            raise ValueError(f"scales in {self.scale.name} take the rule {has}, got {self.rule!r}")
        if self.rule == "four_over_six" and (self.element, self.scale) != (FP4_E2M1, FP8_E4M3):
            raise ValueError(f"four_over_six is for FP4 with E4M3 scales, got {self.element.name}")
        sizes = self.block if isinstance(self.block, tuple) else (self.block,)
        if len(sizes) > 2:
            raise ValueError(f"block must be a length or (rows, columns), got {shown(self.block)}")
        if self.block is not None:  # what was checked is kept: 32.0 would be no length of an array
            sizes = tuple(whole("block", size, 1, 2**31) for size in sizes)
            object.__setattr__(self, "block", sizes if len(sizes) > 1 else sizes[0])

    def tile(self, shape):
        """Return the (rows, columns) of a block in a matrix of `shape`."""
        return self.block if isinstance(self.block, tuple) else (1, self.block or shape[1])


#: The formats by name.
FORMATS = {
    form.name: form
    for form in (
        ScaledFormat("MXFP8", FP8_E4M3, 32, E8M0), ScaledFormat("MXFP8_E5M2", FP8_E5M2, 32, E8M0),
        ScaledFormat("MXFP6", FP6_E2M3, 32, E8M0), ScaledFormat("MXFP6_E3M2", FP6_E3M2, 32, E8M0),
        ScaledFormat("MXFP4", FP4_E2M1, 32, E8M0),
        ScaledFormat("NVFP4", FP4_E2M1, 16, FP8_E4M3, "amax"),
        ScaledFormat("FP8_BLOCK128", FP8_E4M3, (128, 128), FP32, "amax"),
        ScaledFormat("FP8_GROUP128", FP8_E4M3, 128, FP32, "amax"),
        ScaledFormat("FP8_ROW", FP8_E4M3, None, FP32, "amax"),
    )
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scaled:
    """Codes with shared scales: value = element(code) * scale of its block * tensor_scale.

    codes: unsigned, one to an element, in the shape of the values. scale_codes: the scales as a
    file stores them, in that shape too, with blocks for values along the axis (and tiles for rows).
    tensor_scale: float32, 1 without one. format: the `ScaledFormat`. axis: along which blocks run.
    """

    codes: np.ndarray
    scale_codes: np.ndarray
    tensor_scale: np.float32
    format: ScaledFormat
    axis: int = -1

    @property
    def scales(self):
        """The scales of the blocks as float32, without the tensor's."""
        return _scale_values(self.format.scale, self.scale_codes)

    @property
    def bits_per_value(self):
        """Bits per value, the scales of the blocks included (the one of the tensor is not)."""
        scales = self.format.scale.width * self.scale_codes.size
        return self.format.element.width + scales / self.codes.size

    @np.errstate(over="ignore", invalid="ignore")  # 6 * 2**126 is infinite; a scale can be NaN
    def dequantize(self):
        """Return the values that the codes stand for, float32."""
        codes, scales = _rows(self.codes, self.axis), _rows(self.scale_codes, self.axis)
        tile, values = self.format.tile(codes.shape), _table(self.format.element)
        decoded = partial(_scale_values, self.format.scale, tensor_scale=self.tensor_scale)
        if _fast.pays(codes) and tile[0] == 1:
            values = quick.decode(codes, tile[1], scales, decoded, values)
        else:
            values = values[codes] * _spread(decoded(scales), tile, codes.shape)
        return _unrows(values, self.codes.shape, self.axis)

    def packed(self):
        """Return the codes as bytes without gaps, the first of the axis in the lowest bits.

        uint8, bytes on the last axis: two FP4 to a byte, four FP6 to three, as torchao (FP4),
        compressed-tensors and the files of gpt-oss have them.
        """
        codes, width = np.moveaxis(self.codes, self.axis, -1), self.format.element.width
        if _fast.pays(codes) and width == 4 and codes.shape[-1] % 2 == 0:
            return quick.pack(np.ascontiguousarray(codes))
        bits = np.unpackbits(codes[..., None], axis=-1, count=width, bitorder="little")
        return np.packbits(bits.reshape(*codes.shape[:-1], -1), axis=-1, bitorder="little")


def from_bytes(packed, scale_codes, format, tensor_scale=1):
    """Return the `Scaled` of bytes as `Scaled.packed` gives them: blocks run along the last axis.

    packed: whole numbers of 0 to 255; scale_codes: codes of the format's scales. format: a name in
    `FORMATS` or a `ScaledFormat`. Raises TypeError and ValueError for what is no such number, and
    ValueError where bytes and scales do not fit each other.

    >>> from_bytes([0x21, 0xF7] + 14 * [0], [128], "MXFP4").dequantize()[:4]
    array([  1.,   2.,  12., -12.], dtype=float32)
    """
    form, width = _format(format), _format(format).element.width
    packed = _stored("packed", packed, 8).astype(np.uint8)
    scale_codes = _stored("scale_codes", scale_codes, form.scale.width).astype(form.scale.dtype)
    bits = np.unpackbits(packed, axis=-1, bitorder="little")
    codes = np.packbits(bits.reshape(*packed.shape[:-1], -1, width), axis=-1, bitorder="little")
    tile = form.tile(_rows(codes[..., 0], -1).shape)
    if codes.shape[-2] != scale_codes.shape[-1] * tile[1]:
        raise ValueError(
            f"{form.name} has a scale for {tile[1]} values; packed holds {codes.shape[-2]} a row, "
            f"scale_codes {scale_codes.shape[-1]}"
        )
    tensor_scale = _narrow_scale(tensor_scale, np.finfo(np.float32).tiny)
    return Scaled(codes[..., 0], scale_codes, tensor_scale, form)


def quantize(x, format="NVFP4", axis=-1, rule=None, tensor_scale=None):
    """Quantize x to floats with shared scales.

    x: real array, rounded to float32. format: a name in `FORMATS` or a `ScaledFormat`. axis: along
    which blocks run; it is made of whole blocks (a tile may be cut off at an edge). rule: one of
    `RULES`; None: the format's. tensor_scale: with scales in E4M3; None: the one that makes the
    largest block's scale 448, or 256 with four_over_six, which may need 1.5 times it.
    With powers of two as scales a NaN makes its block NaN, and what is infinite saturates.
    Returns `Scaled`. Raises ValueError for another format or rule, a shape that is not made of
    blocks, a tensor_scale where there is none, and NaN or infinity with other scales.
    Sources: OCP MX Specification v1.0, section 6.3, and those of this module.

    >>> q = quantize([4.5, 1.0, -0.3, 0.0] * 8, "MXFP4")
    >>> q.scales, q.dequantize()[:4], q.bits_per_value
    (array([1.], dtype=float32), array([ 4. ,  1. , -0.5,  0. ], dtype=float32), 4.25)
    """
    form, x = _format(format, rule), real_array("x", x)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and treated so
        rows = _rows(_fitting(x, form, axis).astype(np.float32, copy=False), axis)
    tile = form.tile(rows.shape)
    amax = _amax(rows, tile)
    if form.scale is not E8M0 and not np.isfinite(amax).all():
        finite_array("x", x)
        raise ValueError(f"x must fit float32, got {np.abs(x).max()}")
    tensor_scale = _tensor_scale(amax, form, tensor_scale)
    scale_codes = _scale_codes(amax, form, form.element.max, tensor_scale)
    if form.rule == "four_over_six":
        other = _scale_codes(amax, form, 4, tensor_scale)
        errors = [_errors(rows, form, codes, tensor_scale) for codes in (scale_codes, other)]
        scale_codes = np.where(errors[1] < errors[0], other, scale_codes)
    codes = _elements(rows, form, scale_codes, tensor_scale)
    shape = list(x.shape)
    shape[axis] = scale_codes.shape[1]
    if tile[0] > 1:
        shape[1 - axis % 2] = scale_codes.shape[0]
    codes, scale_codes = _unrows(codes, x.shape, axis), _unrows(scale_codes, shape, axis)
    return Scaled(codes, scale_codes, tensor_scale, form, axis)


def quantize_gptq(w, hessian, format="NVFP4", rule=None, damping=0.01):
    """Quantize w row by row, as `quantlab.quantize_gptq` does, to floats with shared scales.

    w: (in, out), blocks run down its columns; their scales are those of `quantize`, taken from w as
    it came in. hessian: (in, in). format: with blocks of one row of w.T (no tiles). damping: as
    there. Returns `Scaled` with axis=0. Raises as the two do.
    Source: Frantar et al. 2022, GPTQ, algorithm 1, with static groups; Egiazarian et al. 2025,
    Bridging the Gap Between Promise and Performance for Microscaling FP4 Quantization,
    arXiv 2509.23202, which does so for MXFP4 and NVFP4.
    """
    start = quantize(matrix("w", w), format, 0, rule)
    if isinstance(start.format.block, tuple):
        raise ValueError(f"format must have blocks along one axis, got {start.format.name}")
    w = np.array(working_copy(matrix("w", w)))
    hessian = checked_hessian(hessian, len(w)).astype(w.dtype)
    plan = _Plan(w, inverse_factor(hessian, damping), start)
    codes = np.empty_like(start.codes)
    for i, row_codes, _, _ in row_loop.rows(plan):
        codes[i] = row_codes
    return replace(start, codes=codes)


@dataclass(frozen=True, eq=False)
class _Plan:
    """What the row loop of GPTQ works on: weights, the factor of the Hessian, a grid for each row.

    The grid of a row is the plan itself with that row's scales.
    """

    w: np.ndarray
    factor: np.ndarray
    start: Scaled
    scales: np.ndarray | None = None

    @property
    def group_size(self):
        return len(self.w) // len(self.start.scale_codes)

    def grid(self, i):
        scales = self.start.scales[i // self.group_size] * self.start.tensor_scale
        return replace(self, scales=scales)

    def encode(self, rows):
        top = self.start.format.element.max
        return self.start.format.element.encode(np.clip(rows / self.scales, -top, top))

    def decode(self, codes):
        return _table(self.start.format.element)[codes] * self.scales


def scaled_matmul(a, b):
    """Return a @ b, (rows, columns) float32, from the codes, as the specification defines it.

    a: `Scaled` matrix with blocks along its rows (axis=-1), b: one with blocks down its columns
    (axis=0), both of as many values. In each block the elements are multiplied and summed in
    float32, then multiplied by the two scales, and added to the sum of the blocks.
    Raises ValueError for shapes or blocks that do not fit. Source: OCP MX Specification v1.0,
    section 6.2.

    >>> a = quantize(np.ones((2, 32)), "MXFP4"), quantize(np.full((32, 1), 3.0), "MXFP8", axis=0)
    >>> scaled_matmul(*a).tolist()
    [[96.0], [96.0]]
    """
    for name, part in (("a", a), ("b", b)):
        if not isinstance(part, Scaled):
            raise TypeError(f"{name} must be a Scaled, what quantize returns, got {shown(part)}")
    if a.codes.ndim != 2 or b.codes.ndim != 2:
        raise ValueError(f"a and b must be matrices, got {a.codes.shape} and {b.codes.shape}")
    same_inner(a.codes, b.codes, "a", "b")
    rows_a, rows_b = _rows(a.codes, -1), _rows(b.codes, 0)
    tiles = a.format.tile(rows_a.shape), b.format.tile(rows_b.shape)
    if (a.axis % 2, b.axis % 2) != (1, 0) or tiles[0][1] != tiles[1][1]:
        got = f"axis {a.axis} and {b.axis}, blocks of {tiles[0][1]} and {tiles[1][1]}"
        raise ValueError(f"a needs axis -1, b axis 0, and both blocks of one length; got {got}")
    a_values, b_values = _table(a.format.element)[rows_a], _table(b.format.element)[rows_b]
    a_scales = np.repeat(a.scales, tiles[0][0], axis=0)[: len(rows_a)]
    b_scales = np.repeat(_rows(b.scales, 0), tiles[1][0], axis=0)[: len(rows_b)]
    result, size = np.zeros((len(rows_a), len(rows_b)), np.float32), tiles[0][1]
    for block in range(a_scales.shape[1]):
        inner = slice(block * size, (block + 1) * size)
        sums = a_values[:, inner] @ b_values[:, inner].T
        result += sums * a_scales[:, block, None] * b_scales[:, block]
    return result * (a.tensor_scale * b.tensor_scale)


def _format(format, rule=None):
    if not isinstance(format, ScaledFormat):
        format = FORMATS[one_of("format", format, FORMATS)]
    return format if rule is None else replace(format, rule=rule)


def _stored(name, codes, width):
    """Return an array of codes of so many bits."""
    codes = as_array(name, codes)
    if codes.dtype.kind not in "iu" or codes.ndim == 0:
        raise TypeError(f"{name} must be an array of whole numbers, got {shown(codes)}")
    for code in (int(codes.min(initial=0)), int(codes.max(initial=0))):
        if code < 0 or code >> width:
            raise ValueError(f"{name} must be 0 to {2**width - 1}, got {code}")
    return codes


def _fitting(x, form, axis):
    """Return x if it is made of the format's blocks."""
    dimensions = 2 if isinstance(form.block, tuple) else 1
    if x.ndim < dimensions or (x.ndim > 2 and dimensions == 2) or x.size == 0:
        needs = "a matrix" if dimensions == 2 else "at least one axis"
        raise ValueError(f"x must have {needs} and a value for {form.name}, got shape {x.shape}")
    whole("axis", axis, -x.ndim, x.ndim - 1)
    if dimensions == 1 and form.block and x.shape[axis] % form.block:
        needs = f"axis {axis} must be made of whole blocks of {form.block} for {form.name}"
        raise ValueError(f"{needs}, got shape {x.shape}")
    return x


def _rows(array, axis):
    """Return an array as a matrix whose rows run along `axis`."""
    return np.ascontiguousarray(np.moveaxis(array, axis, -1)).reshape(-1, array.shape[axis])


def _unrows(rows, shape, axis):
    """Return such a matrix in the `shape` it had: the way back from `_rows`."""
    moved = [n for i, n in enumerate(shape) if i != axis % len(shape)] + [shape[axis]]
    return np.moveaxis(rows.reshape(moved), -1, axis)


def _amax(rows, tile):
    """Return the largest magnitude of each block; NaN where it has one."""
    if _fast.pays(rows) and tile[0] == 1:
        return quick.amax(rows, tile[1])
    padding = [(0, -size % step) for size, step in zip(rows.shape, tile, strict=True)]
    padded = np.pad(np.abs(rows), padding)
    counts = [size // step for size, step in zip(padded.shape, tile, strict=True)]
    return padded.reshape(counts[0], tile[0], counts[1], tile[1]).max(axis=(1, 3))


def _tensor_scale(amax, form, given):
    """Return the tensor's scale: the given one, or that which makes the largest scale the top."""
    if form.scale is not FP8_E4M3:
        if given is not None:
            raise ValueError(f"{form.name} has no tensor_scale: its scales are {form.scale.name}")
        return np.float32(1)
    if given is not None:
        return _narrow_scale(given, LEAST_TENSOR_SCALE)
    top = 256 if form.rule == "four_over_six" else form.scale.max
    scale = amax.max() / np.float32(top * form.element.max)
    return np.maximum(scale, LEAST_TENSOR_SCALE) if scale else np.float32(1)


def _narrow_scale(given, least):
    """Return a scale of a tensor that was given, as float32."""
    if not float(least) <= positive("tensor_scale", given) <= FP32.max:
        raise ValueError(f"tensor_scale must be {least:.3g} to 3.4e38 (FP32), got {given}")
    return np.float32(given)


def _scale_codes(amax, form, top, tensor_scale):
    """Return the codes of the scales that bring `amax` to about `top`."""
    if form.scale is E8M0:
        return _power_codes(amax, form)
    with np.errstate(over="ignore", under="ignore"):
        scale = amax / np.float32(top) / tensor_scale
    if form.scale is FP8_E4M3:
        scale = np.clip(scale, LEAST_SCALE, np.float32(form.scale.max))
    return form.scale.encode(np.where(scale == 0, np.float32(1), scale))


def _power_codes(amax, form):
    """Return the E8M0 codes of powers of two by the format's rule; of NaN for NaN."""
    largest = np.frexp(form.element.max)[1] - 1  # the exponent of the element format's top
    if form.rule == "rceil":
        amax, largest = amax / np.float32(form.element.max), 0
    mantissa, exponent = np.frexp(amax)  # amax = mantissa * 2**exponent, 0.5 <= mantissa < 1
    exponent = exponent - 1
    if form.rule in ("ceil", "rceil"):
        exponent += mantissa > 0.5
    elif form.rule == "even":
        exponent += mantissa >= 1 - 2.0 ** (-form.element.mantissa_bits - 2)
    exponent = np.where(np.isinf(amax), 128, np.where(amax == 0, -127, exponent))
    codes = np.clip(exponent - largest + E8M0.bias, 0, E8M0.nan_code - 1)
    return np.where(np.isnan(amax), E8M0.nan_code, codes).astype(np.uint8)


def _elements(rows, form, scale_codes, tensor_scale):
    """Return the codes of the values over their scales; what is too large saturates."""
    scales = form.scale.decode(scale_codes).astype(np.float32)
    divide, tile = np.divide, form.tile(rows.shape)
    if form.scale is FP8_E4M3:  # as torchao: times an inverse that was rounded twice
        divide, scales = np.multiply, np.float32(1) / tensor_scale / scales
    if _fast.pays(rows) and tile[0] == 1:
        return quick.encode(rows, tile[1], divide, scales, form.element)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        scaled = divide(rows, _spread(scales, tile, rows.shape))
    return form.element.encode(np.clip(scaled, -form.element.max, form.element.max))


def _errors(rows, form, scale_codes, tensor_scale):
    """Return each block's sum of squared errors with these scales."""
    codes = _elements(rows, form, scale_codes, tensor_scale)
    error = Scaled(codes, scale_codes, tensor_scale, form).dequantize() - rows
    return np.square(error).reshape(len(rows), -1, form.block).sum(axis=2)


def _scale_values(scale, codes, tensor_scale=1):
    """Return the values of scales' codes times the tensor's scale, float32."""
    return scale.decode(codes).astype(np.float32) * tensor_scale


def _spread(scales, tile, shape):
    """Return scales repeated over their tiles."""
    spread = np.repeat(np.repeat(scales, tile[0], axis=0), tile[1], axis=1)
    return spread[: shape[0], : shape[1]]


def _table(element):
    """Return the values of all codes, float32."""
    return element.decode(np.arange(2**element.width)).astype(np.float32)
