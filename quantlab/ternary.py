"""Ternary weights: every weight is -1, 0 or 1 times one scale, the mean magnitude.

Source: Ma et al. 2024, The Era of 1-bit LLMs (BitNet b1.58), arXiv 2402.17764, section 2. The least
scale is that of the code its authors publish (The-Era-of-1-bit-LLMs: Training Tips, Code and FAQ).
"""

import numpy as np

from ._checks import finite_array
from .affine import Grid, Quantized, _check_axis, _split, working_copy

LEAST = 1e-5  # no scale is smaller: a matrix of zeros would have none


def ternary_grid(mean):
    """The grid -mean, 0, mean. mean: float32 or float64 means of magnitudes, an array."""
    scale = np.maximum(mean, mean.dtype.type(LEAST))
    return Grid(-1, 1, scale, 1 / scale, np.zeros(scale.shape, np.int16))


def quantize_ternary(x, axis=None, group_size=None):
    """Round each value to -1, 0 or 1 times the mean magnitude: what is below half of it becomes 0.

    x: real array of any shape, finite. axis, group_size: as for `quantize_absmax`; BitNet has one
    scale for a whole matrix, which is axis=None. The mean is taken in float64.
    Returns `Quantized` with codes -1, 0, 1, counted with 2 bits each, as transformers packs them;
    they hold log2(3) = 1.58. Raises as `quantize_absmax` does.
    Source: Ma et al. 2024, BitNet b1.58, equations 1 to 3.

    >>> q = quantize_ternary([0.9, -0.4, 0.2, -2.5])
    >>> q.codes, float(q.scale)
    (array([ 1,  0,  0, -1], dtype=int8), 1.0)
    """
    x = finite_array("x", x)
    axis, group_size = _check_axis(x, axis, group_size)
    parts, along = _split(working_copy(x), axis, group_size)
    mean = np.abs(parts).mean(along, keepdims=True, dtype=np.float64).astype(parts.dtype)
    grid = ternary_grid(mean)
    codes = grid.encode(parts).reshape(x.shape)
    gone = () if group_size is None and axis is not None else along
    scale, zero = grid.scale.squeeze(gone), grid.zero_point.squeeze(gone)
    return Quantized(codes, scale, zero, 2, True, axis, group_size)
