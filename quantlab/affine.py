"""Whole-number grids for real numbers: absmax (symmetric) and zero-point (affine) quantization."""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np

from . import _fast
from ._checks import as_array, finite_array, real_array, same_inner, whole
from ._fast import affine as quick

#: Bits that one scale takes in a stored model: GPTQ's and AWQ's files keep it in FP16.
SCALE_BITS = 16


@dataclass(frozen=True, eq=False)
class Quantized:
    """Integer codes and what it takes to read them: value = (code - zero_point) * scale.

    codes: int8 (int16 above 8 bits), the shape of the original. scale, zero_point: one for all
    (shape ()), or along the reduced `axis` one per group of `group_size` values, that is
    shape (rows, groups) for axis=1 and (groups, columns) for axis=0; groups = 1 if group_size is
    None. zero_point: 0 if symmetric. group_index: for GPTQ's act-order, the group of each row.
    """

    codes: np.ndarray
    scale: np.ndarray
    zero_point: np.ndarray
    bits: int
    symmetric: bool
    axis: int | None = None
    group_size: int | None = None
    group_index: np.ndarray | None = None

    def dequantize(self):
        """Return the values that the codes stand for: float32, or float64 if the input was."""
        if self.group_index is not None:
            scale, zero = self.scale[self.group_index], self.zero_point[self.group_index]
            return (self.codes - zero.astype(scale.dtype)) * scale
        codes, along = _split(self.codes, self.axis, self.group_size)
        scale, zero = self.scale, self.zero_point
        if self.group_size is not None:
            scale, zero = np.expand_dims(scale, along), np.expand_dims(zero, along)
        return ((codes - zero.astype(scale.dtype)) * scale).reshape(self.codes.shape)

    @property
    def bits_per_value(self):
        """Bits per value as files store them: 16 for a scale, and for a zero-point those of a code.

        A zero-point is itself a code, so GPTQ's and AWQ's files pack it as they pack the codes.
        """
        overhead = self.scale.size * (SCALE_BITS + (0 if self.symmetric else self.bits))
        if self.group_index is not None:
            overhead += 32 * self.group_index.size
        return self.bits + overhead / self.codes.size


class Grid(namedtuple("Grid", "low high scale inverse zero_point")):
    """Codes `low` to `high`, the step (`scale`), its inverse, and the code of 0 (`zero_point`)."""

    def encode(self, x):
        """Return the nearest code of each value, ties to the even multiple of the step."""
        codes = np.clip(_count(x, self.inverse) + self.zero_point, self.low, self.high)
        return codes.astype(np.int8 if self.high < 128 else np.int16)

    def decode(self, codes):
        """Return the value of each code."""
        return (codes - self.zero_point.astype(self.scale.dtype)) * self.scale


def absmax_grid(low_value, high_value, bits):
    """The symmetric grid for values from `low_value` to `high_value`, arrays of one shape."""
    high = 2 ** (bits - 1) - 1
    peak = np.maximum(high_value, -low_value)
    scale, inverse = _step(peak, high, low_value == high_value)
    return Grid(-high, high, scale, inverse, np.zeros(scale.shape, np.int16))


def zero_point_grid(low_value, high_value, bits):
    """The affine grid: the same range, widened to hold 0, over all 2^bits codes."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    constant = low_value == high_value
    low_value, high_value = np.minimum(low_value, 0), np.maximum(high_value, 0)
    with np.errstate(over="ignore"):
        span = high_value - low_value
    if not np.isfinite(span).all():
        raise ValueError(f"x spans {low_value.min()} to {high_value.max()}: beyond {span.dtype}")
    scale, inverse = _step(span, high - low, constant)
    zero_point = np.clip(low - _count(low_value, inverse), low, high)
    return Grid(low, high, scale, inverse, zero_point.astype(np.int16))


def quantize_absmax(x, bits=8, axis=None, group_size=None):
    """Quantize symmetrically: the largest magnitude maps to the largest code.

    x: real array of any shape, finite. axis: reduced as in ``np.max``; one scale per
    remaining position, or per `group_size` consecutive values along `axis`.
    Returns `Quantized` with integer codes in ±(2**(bits-1) - 1), rounded half to even. The code
    -2**(bits-1) stays unused: with it, +max would have no partner and the grid would lean.
    Raises ValueError for NaN, infinity, an empty array, bits outside 2..16, an axis or a group size
    that do not fit; TypeError for the wrong kind.
    Source: Dettmers et al. 2022, LLM.int8(), section 2.1 for one scale, 3.1 for one per row.

    >>> quantize_absmax([1.2, -0.5, -4.3, 5.0]).codes
    array([  30,  -13, -109,  127], dtype=int8)
    """
    return _quantize(x, bits, axis, group_size, absmax_grid)


def quantize_zero_point(x, bits=8, axis=None, group_size=None):
    """Quantize affinely: the range of x, widened to hold 0, maps to all 2**bits codes.

    Arguments, rounding (half to even) and errors as for `quantize_absmax`. Returns `Quantized` with
    codes in -2**(bits-1) ... 2**(bits-1) - 1. The zero-point is the code of 0, so 0 comes back
    exactly. The trap: without the widening an all-positive `x` would need one outside the codes.
    Source: the scheme is that of Jacob et al. 2018, Quantization and Training of Neural Networks
    for Efficient Integer-Arithmetic-Only Inference, section 2.1; range and rounding are those of
    ONNX's operator DynamicQuantizeLinear (version 11), whose codes are these plus 128. Dettmers et
    al. 2022, section 2.1, differ: 254 steps, -127 to 127, over a range that is not widened.

    >>> q = quantize_zero_point([-1.0, 0.0, 4.0], bits=4)
    >>> q.codes, int(q.zero_point), q.dequantize()
    (array([-8, -5,  7], dtype=int8), -5, array([-1.,  0.,  4.]))
    """
    return _quantize(x, bits, axis, group_size, zero_point_grid)


def quantized_matmul(qx, qw):
    """Multiply two quantized matrices: integer sums without rounding, then one multiplication.

    qx: `Quantized` (tokens, in), one scale or one per row (axis=1). qw: `Quantized` (in, out), one
    scale or one per column (axis=0). Returns (tokens, out). Raises ValueError for shapes that do
    not multiply and for scales that change along the summed dimension, TypeError for other kinds.
    Source: Dettmers et al. 2022, LLM.int8(), section 2.1 for one scale, 3.1 for one per row and
    column; with zero-points Jacob et al. 2018, section 2.2.

    >>> quantized_matmul(quantize_absmax([[1.0, 2.0]]), quantize_absmax([[3.0], [4.0]])).round(2)
    array([[11.02]])
    """
    for name, q, axis in (("qx", qx, 1), ("qw", qw, 0)):
        if not isinstance(q, Quantized):
            raise TypeError(f"{name} must be Quantized (from quantize_absmax ...), got {type(q)}")
        if q.codes.ndim != 2:
            raise ValueError(f"{name} must be a matrix (2 dimensions), got shape {q.codes.shape}")
        if q.axis not in (None, axis) or q.group_size is not None:
            got = f"axis={q.axis}, group_size={q.group_size}: its scale changes along the sum"
            raise ValueError(f"{name} needs axis=None or axis={axis} and no groups; got {got}")
    same_inner(qx.codes, qw.codes, "qx", "qw")
    x, w = (q.codes - q.zero_point.astype(np.int32) for q in (qx, qw))
    return quick.integer_matmul(x, w) * (qx.scale * qw.scale)


def working_copy(x):
    """Return `x` in the precision it is computed in: float64 stays, all else becomes float32."""
    return x if x.dtype == np.float64 else x.astype(np.float32, copy=False)


def _quantize(x, bits, axis, group_size, make_grid):
    bits, x = whole("bits", bits, 2, 16), as_array("x", x)
    many = _fast.pays(x)
    x = real_array("x", x) if many else finite_array("x", x)  # many: checked as it is read
    axis, group_size = _check_axis(x, axis, group_size)
    parts, along = _split(x, axis, group_size)
    if many:
        codes, scale, zero = quick.encode(x, parts, along, make_grid, bits, working_copy)
    else:
        parts = working_copy(parts)
        ends = parts.min(along, keepdims=True), parts.max(along, keepdims=True)
        grid = make_grid(*ends, bits)
        codes, scale, zero = grid.encode(parts), grid.scale, grid.zero_point
    gone = () if group_size is None and axis is not None else along
    codes, scale, zero = codes.reshape(x.shape), scale.squeeze(gone), zero.squeeze(gone)
    return Quantized(codes, scale, zero, bits, make_grid is absmax_grid, axis, group_size)


def _check_axis(x, axis, group_size):
    if axis is not None and x.ndim == 0:
        raise ValueError(f"axis must be None for a single number, got {axis!r}")
    axis = None if axis is None else whole("axis", axis, -x.ndim, x.ndim - 1) % x.ndim
    if group_size is not None:
        length = x.size if axis is None else x.shape[axis]
        group_size = whole("group_size", group_size, 1, length)
        if length % group_size:
            raise ValueError(f"group_size must divide the {length} values, got {group_size}")
    return axis, group_size


def _split(x, axis, group_size):
    """View `x` so that one axis is a group's values; return it and that axis. None: the flat x."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    if group_size is None:
        return x, axis
    shape = (x.shape[axis] // group_size, group_size)
    return x.reshape(x.shape[:axis] + shape + x.shape[axis + 1 :]), axis + 1


def _step(peak, levels, constant):
    """Return the step that puts `levels` of them on `peak`, and its inverse.

    A group of zeros gets step 1. No step is below the smallest normal number: its inverse would
    overflow. levels * (peak / levels) may miss the last bit of a `constant`, which has to come back
    exactly: then a step beside that one is taken, or else one as long as the constant. And it may
    miss the largest number of all, upwards: then the step below is taken.
    """
    kind, tiny = peak.dtype.type, np.finfo(peak.dtype).tiny
    scale = np.where(peak == 0, kind(1), np.maximum(peak / kind(levels), tiny))
    with np.errstate(divide="ignore", over="ignore"):
        scale = np.where(np.isinf(scale * kind(levels)), np.nextafter(scale, kind(0)), scale)
        for other in (np.nextafter(scale, kind(0)), np.nextafter(scale, kind(np.inf)), peak):
            scale = np.where(constant & (peak > 0) & (scale * levels != peak), other, scale)
        regular = (scale != peak) & (peak > levels * tiny)
        return scale, np.where(regular, (1 / peak) * kind(levels), 1 / scale)


def _count(x, inverse):
    """Return x in steps, rounded half to even. A step without an inverse is as long as x itself."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(inverse), np.sign(x), np.rint(x * inverse))
