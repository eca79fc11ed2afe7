"""Whole-number grids for real numbers: absmax (symmetric) and zero-point (affine) quantization."""

from dataclasses import dataclass

import numpy as np

from ._checks import finite_array, real_array, same_inner, whole
from ._chunks import each, slabs, stretches

#: Bits that one scale, or one zero-point, takes in a stored model: they are kept in FP16.
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
        values = np.subtract(codes, zero, dtype=scale.dtype)
        values *= scale
        return values.reshape(self.codes.shape)

    @property
    def bits_per_value(self):
        """Bits per value: 16 are counted for each scale, and 16 for a zero-point that is not 0."""
        overhead = self.scale.size * SCALE_BITS * (1 if self.symmetric else 2)
        if self.group_index is not None:
            overhead += 32 * self.group_index.size
        return self.bits + overhead / self.codes.size


@dataclass(frozen=True, eq=False)
class Grid:
    """Codes `low` to `high`, the step (`scale`), its inverse, and the code of 0 (`zero_point`)."""

    low: int
    high: int
    scale: np.ndarray
    inverse: np.ndarray
    zero_point: np.ndarray

    def encode(self, x):
        """Return the nearest code of each value, ties to the even multiple of the step."""
        codes = _count(x, self.inverse)
        codes += self.zero_point.astype(codes.dtype)
        np.clip(codes, self.low, self.high, out=codes)
        return codes.astype(np.int8 if self.high < 128 else np.int16)

    def decode(self, codes):
        """Return the value of each code."""
        return (codes - self.zero_point.astype(self.scale.dtype)) * self.scale


def extent(x, axis):
    """Return the least and the largest values of `x` along `axis`, which is kept as 1."""
    outer, pieces = slabs(x)

    def ends(piece):
        part = working_copy(x[piece])
        if axis < x.ndim - 1 or not part.flags.c_contiguous:
            return part.min(axis=axis, keepdims=True), part.max(axis=axis, keepdims=True)
        # Several times as fast: one walk along flat memory, where `min` starts anew in each row.
        starts, shape = np.arange(0, part.size, part.shape[axis]), (*part.shape[:axis], 1)
        return [f.reduceat(part.ravel(), starts).reshape(shape) for f in (np.minimum, np.maximum)]

    found = each(ends, pieces)
    low, high = (np.concatenate([pair[i] for pair in found], axis=outer) for i in (0, 1))
    if axis == outer:
        return low.min(axis=axis, keepdims=True), high.max(axis=axis, keepdims=True)
    return low, high


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
    Raises ValueError for NaN, infinity, an empty array, bits outside 2..16, an axis or a group
    size that do not fit; TypeError for the wrong kind.
    Source: Dettmers et al. 2022, LLM.int8(), section 2.1.

    >>> quantize_absmax([1.2, -0.5, -4.3, 5.0]).codes
    array([  30,  -13, -109,  127], dtype=int8)
    """
    return _quantize(x, bits, axis, group_size, absmax_grid)


def quantize_zero_point(x, bits=8, axis=None, group_size=None):
    """Quantize affinely: the range of x, widened to hold 0, maps to all 2**bits codes.

    Arguments, rounding (half to even) and errors as for `quantize_absmax`.
    Returns `Quantized` with codes in -2**(bits-1) ... 2**(bits-1) - 1. The zero-point is the
    code of 0, so 0 comes back exactly. The trap: without the widening an all-positive `x`
    would need a zero-point outside the codes.
    Source: Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference, section 2.1; Dettmers et al. 2022, section 2.1.

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
    Source: Dettmers et al. 2022, LLM.int8(), section 2.1 and equation 5.

    >>> quantized_matmul(quantize_absmax([[1.0, 2.0]]), quantize_absmax([[3.0], [4.0]])).round(2)
    array([[11.02]])
    """
    for name, q, axis in (("qx", qx, 1), ("qw", qw, 0)):
        if not isinstance(q, Quantized):
            raise TypeError(f"{name} must be Quantized (from quantize_absmax ...), got {type(q)}")
        if q.codes.ndim != 2:
            raise ValueError(f"{name} must be a matrix (2 dimensions), got shape {q.codes.shape}")
        if q.axis not in (None, axis) or q.group_size is not None:
            allowed = f"axis=None or axis={axis} and no groups: one scale along the summed axis"
            got = f"axis={q.axis}, group_size={q.group_size}"
            raise ValueError(f"{name} needs {allowed}; got {got}")
    same_inner(qx.codes, qw.codes, "qx", "qw")
    x, w = (q.codes - q.zero_point.astype(np.int32) for q in (qx, qw))
    return integer_matmul(x, w) * (qx.scale * qw.scale)


def integer_matmul(x, w):
    """Multiply codes exactly: float64 holds sums of two million products of 16-bit codes.

    Fast because float32 does the same up to 2^24, that is for 1,040 columns of 8-bit codes at once.
    """
    peaks = [max(-int(codes.min()), int(codes.max()), 1) for codes in (x, w)]
    columns = 2**24 // (peaks[0] * peaks[1])
    if columns < 128:
        return x.astype(np.float64) @ w.astype(np.float64)
    total = np.zeros((len(x), w.shape[1]))
    for part in stretches(x.shape[1], columns):
        total += x[:, part].astype(np.float32) @ w[part].astype(np.float32)
    return total


def working_copy(x):
    """Return `x` in the precision it is computed in: float64 stays, all else becomes float32."""
    return x if x.dtype == np.float64 else x.astype(np.float32, copy=False)


def _quantize(x, bits, axis, group_size, make_grid):
    bits = whole("bits", bits, 2, 16)
    x = real_array("x", x) if np.size(x) else finite_array("x", x)
    axis, group_size = _check_axis(x, axis, group_size)
    parts, along = _split(x, axis, group_size)
    low, high = extent(parts, along)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        finite_array("x", x)  # says where: NaN and infinity come through a minimum and a maximum
    grid, affine = make_grid(low, high, bits), make_grid is zero_point_grid
    codes = np.empty_like(parts, np.int8 if bits <= 8 else np.int16)
    outer, pieces = slabs(parts)

    def encode(piece):  # a piece stays in the cache from the multiplication to the last rounding
        own = () if along == outer else piece
        steps = _count(working_copy(parts[piece]), grid.inverse[own])
        if affine:  # absmax codes need no clip; here half a step at both ends can add up to one
            steps += grid.zero_point[own].astype(steps.dtype)
            np.clip(steps, grid.low, grid.high, out=steps)
        codes[piece] = steps

    each(encode, pieces)
    gone = () if group_size is None and axis is not None else along
    scale, zero, absmax = grid.scale.squeeze(gone), grid.zero_point.squeeze(gone), not affine
    return Quantized(codes.reshape(x.shape), scale, zero, bits, absmax, axis, group_size)


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

    An all-zero group gets step 1. No step is below the smallest normal number: its inverse would
    overflow. A `constant` has to come back exactly, and levels * (peak / levels) may miss its last
    bit: then a step beside that one, or else one step as long as the constant, hits it.
    """
    kind, tiny = peak.dtype.type, np.finfo(peak.dtype).tiny
    scale = np.where(peak == 0, kind(1), np.maximum(peak / kind(levels), tiny))
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.where(peak > levels * tiny, (1 / peak) * kind(levels), 1 / scale)
        off = constant & (peak > 0) & (np.rint(peak * inverse) * scale != peak)
        if not off.any():
            return scale, inverse
        for beside in (np.nextafter(scale, kind(0)), np.nextafter(scale, kind(np.inf))):
            hit = off & (beside * levels == peak) & (peak > levels * tiny)
            scale, off = np.where(hit, beside, scale), off & ~hit
        return np.where(off, peak, scale), np.where(off, 1 / peak, inverse)


def _count(x, inverse):
    """Return x in steps, rounded half to even. A step without an inverse is as long as x itself."""
    if np.isfinite(inverse).all():
        steps = np.multiply(x, inverse)
        return np.rint(steps, out=steps)
    steps = np.rint(x * np.where(np.isfinite(inverse), inverse, 0))
    return np.where(np.isfinite(inverse), steps, np.sign(x))
