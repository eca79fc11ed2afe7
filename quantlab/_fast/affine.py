"""Grids of whole numbers, quickly: each piece of memory is read once."""

import numpy as np

from .._checks import finite_array
from .pieces import each, slabs, slices


def extremes(x, axis):
    """Return the least and the largest values of `x` along `axis`, which is kept as 1.

    Several times as fast along the last axis: one walk along flat memory, where `min` starts anew
    in each row.
    """
    if axis < x.ndim - 1 or not x.flags.c_contiguous:
        return x.min(axis=axis, keepdims=True), x.max(axis=axis, keepdims=True)
    starts, shape = np.arange(0, x.size, x.shape[axis]), (*x.shape[:axis], 1)
    return [f.reduceat(x.ravel(), starts).reshape(shape) for f in (np.minimum, np.maximum)]


def encode(original, x, axis, make_grid, bits, precise):
    """Return the codes, the scales and the zero-points of groups along `axis` of `x`, a view.

    Fast because a piece that holds whole groups stays in the cache from its least and largest
    values to the last rounding; only groups that are cut are read twice. make_grid: from these
    values and `bits` to a grid. precise: from a piece to the type that it is computed in.
    """
    outer, pieces = slabs(x)
    kind = np.int8 if bits <= 8 else np.int16
    common, codes, groups = None, np.empty_like(x, kind), x.take([0], axis)
    scale, zero = np.empty_like(precise(groups)), np.empty_like(groups, np.int16)

    def make(low, high):
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            finite_array("x", original)  # says where: NaN and infinity come through to the two ends
        return make_grid(low, high, bits)

    if axis == outer:
        found = each(lambda piece: extremes(precise(x[piece]), axis), pieces)
        lows, highs = zip(*found, strict=True)
        common = make(np.minimum.reduce(lows), np.maximum.reduce(highs))

    def one(piece):
        part = precise(x[piece])
        grid, spot = (common, ()) if common else (make(*extremes(part, axis)), piece)
        codes[piece], scale[spot], zero[spot] = _on_grid(grid, part), grid.scale, grid.zero_point

    each(one, pieces)
    return codes, scale, zero


def _on_grid(grid, x):
    if not np.isfinite(grid.inverse).all():
        return grid.encode(x)
    steps = np.multiply(x, grid.inverse)
    np.rint(steps, out=steps)
    if grid.low != -grid.high:  # absmax codes need no clip; half a step at both ends adds up
        steps += grid.zero_point.astype(steps.dtype)
        np.clip(steps, grid.low, grid.high, out=steps)
    return steps


def integer_matmul(x, w):
    """Multiply codes exactly in float32, which is exact up to 2^24: 1,040 columns of int8 at once.

    Sums of those go on in float64, which is exact for two million products of 16-bit codes.
    """
    peaks = [max(-int(codes.min()), int(codes.max()), 1) for codes in (x, w)]
    columns = 2**24 // (peaks[0] * peaks[1])
    if columns < 128:
        return x.astype(np.float64) @ w.astype(np.float64)
    total = np.zeros((len(x), w.shape[1]))
    for part in slices(x.shape[1], columns):
        total += x[:, part].astype(np.float32) @ w[part].astype(np.float32)
    return total
