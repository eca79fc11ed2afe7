"""Whole-number grids for real numbers: absmax (symmetric) and zero-point (affine) quantization."""

from dataclasses import dataclass

import numpy as np

from ._checks import finite_array, same_inner, whole

#: Bits that one scale, or one zero-point, takes in a stored model: they are kept in FP16.
SCALE_BITS = 16


@dataclass(frozen=True, eq=False)
class Quantized:
    """Integer codes and what it takes to read them: value = (code - zero_point) * scale.

    codes: int8 (int16 above 8 bits), the shape of the original. scale, zero_point: one for all
    (shape ()), or along the reduced `axis` one per group of `group_size` values, that is
    shape (rows, groups) for axis=1 and (groups, columns) for axis=0, with groups = 1 if
    group_size is None; on a symmetric grid every zero_point is 0. group_index: for GPTQ's
    act-order with groups, the group of each row.
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
        codes = _split(self.codes, self.axis, self.group_size)
        scale, zero = (_spread(part, self.axis) for part in (self.scale, self.zero_point))
        values = np.subtract(codes, zero, dtype=scale.dtype)
        values *= scale
        return values.reshape(self.codes.shape)

    @property
    def bits_per_value(self):
        """Bits per value: 16 are counted for each scale, and 16 for a zero-point that is not 0."""
        overhead = self.scale.size * SCALE_BITS
        if not self.symmetric:
            overhead += self.zero_point.size * SCALE_BITS
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


def absmax_grid(x, bits, axis):
    """The symmetric grid for `x`: one per position that is left when `axis` is reduced to 1."""
    high = 2 ** (bits - 1) - 1
    low_value, high_value = x.min(axis=axis, keepdims=True), x.max(axis=axis, keepdims=True)
    peak = np.maximum(high_value, -low_value)
    scale, inverse = _step(peak, high, low_value == high_value)
    return Grid(-high, high, scale, inverse, np.zeros(scale.shape, np.int16))


def zero_point_grid(x, bits, axis):
    """The affine grid for `x`: its range, widened to hold 0, over all 2^bits codes."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    low_value, high_value = x.min(axis=axis, keepdims=True), x.max(axis=axis, keepdims=True)
    constant = low_value == high_value
    low_value, high_value = np.minimum(low_value, 0), np.maximum(high_value, 0)
    with np.errstate(over="ignore"):
        span = high_value - low_value
    if not np.isfinite(span).all():
        raise ValueError(f"x spans {low_value.min()} to {high_value.max()}: too wide for {x.dtype}")
    scale, inverse = _step(span, high - low, constant)
    zero_point = np.clip(low - _count(low_value, inverse), low, high)
    return Grid(low, high, scale, inverse, zero_point.astype(np.int16))


def quantize_absmax(x, bits=8, axis=None, group_size=None):
    """Quantize symmetrically: the largest magnitude maps to the largest code.

    x: real array of any shape, finite. axis: reduced as in ``np.max``; one scale per
    remaining position, or per `group_size` consecutive values along `axis`.
    Returns `Quantized` with integer codes in ±(2**(bits-1) - 1), rounded half to even. The code
    -2**(bits-1) stays unused: with it, +max would have no partner and the grid would lean.
    Raises ValueError for NaN, infinity, an empty array, bits outside 2..16, an axis that `x`
    does not have or a group size that does not divide it; TypeError for the wrong kind.
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
            raise ValueError(
                f"{name} needs axis=None or axis={axis} and no groups: its scale must not change "
                f"along the summed dimension; got axis={q.axis}, group_size={q.group_size}"
            )
    same_inner(qx.codes, qw.codes, "qx", "qw")
    x = qx.codes - qx.zero_point.astype(np.int32)
    w = qw.codes - qw.zero_point.astype(np.int32)
    return integer_matmul(x, w) * (qx.scale * qw.scale)


def integer_matmul(x, w):
    """Multiply codes exactly: float64 holds sums of two million 16-bit products, and is fast."""
    return x.astype(np.float64) @ w.astype(np.float64)


def working_copy(x):
    """Return `x` in the precision it is computed in: float64 stays, all else becomes float32."""
    return x if x.dtype == np.float64 else x.astype(np.float32, copy=False)


def _quantize(x, bits, axis, group_size, make_grid):
    bits = whole("bits", bits, 2, 16)
    x = working_copy(finite_array("x", x))
    axis, group_size = _check_axis(x, axis, group_size)
    parts = _split(x, axis, group_size)
    grid = make_grid(parts, bits, 1 if axis is None else axis + 1)
    codes = grid.encode(parts).reshape(x.shape)
    scale, zero = (_gather(part, axis, group_size) for part in (grid.scale, grid.zero_point))
    return Quantized(codes, scale, zero, bits, make_grid is absmax_grid, axis, group_size)


def _check_axis(x, axis, group_size):
    if axis is not None:
        if x.ndim == 0:
            raise ValueError(f"axis must be None for a single number, got {axis!r}")
        axis = whole("axis", axis, -x.ndim, x.ndim - 1) % x.ndim
    if group_size is not None:
        length = x.size if axis is None else x.shape[axis]
        group_size = whole("group_size", group_size, 1, length)
        if length % group_size:
            raise ValueError(f"group_size must divide the {length} values, got {group_size}")
    return axis, group_size


def _split(x, axis, group_size):
    """View `x` with `axis` as two: (groups, values of a group). axis=None runs along the flat x."""
    if axis is None:
        return x.reshape(-1, group_size or x.size)
    length = x.shape[axis]
    shape = (length // (group_size or length), group_size or length)
    return x.reshape(x.shape[:axis] + shape + x.shape[axis + 1 :])


def _gather(part, axis, group_size):
    """Drop the reduced dimension of a grid's scale; what is left is the shape that people see."""
    if axis is None:
        return part.reshape(() if group_size is None else -1)
    return part.squeeze(axis + 1)


def _spread(part, axis):
    """Undo `_gather`: the shape that multiplies what `_split` gives."""
    return part.reshape(-1, 1) if axis is None else np.expand_dims(part, axis + 1)


def _step(peak, levels, constant):
    """Return the step that puts `levels` of them on `peak`, and its inverse.

    An all-zero group gets step 1. A step is never below the smallest normal number, whose inverse
    would overflow. Where all values are one `constant`, it has to come back exactly, and
    levels * (peak / levels) may miss it by the last bit: then a step beside it, or else one step
    as long as the constant, hits it.
    """
    kind = peak.dtype.type
    tiny = np.finfo(kind).tiny
    scale = np.where(peak == 0, kind(1), np.maximum(peak / kind(levels), tiny))
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.where(peak > levels * tiny, (1 / peak) * kind(levels), 1 / scale)
        off = constant & (peak > 0) & (np.rint(peak * inverse) * scale != peak)
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
