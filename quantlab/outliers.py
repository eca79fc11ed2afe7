"""Outlier separation (LLM.int8()): a few columns in 16 bits, all the others in 8."""

import numpy as np

from ._checks import matrix, plain, positive, real_array, same_inner
from ._fast.affine import extremes, integer_matmul
from ._fast.pieces import slices
from .affine import Quantized, working_copy

#: 1/127^2 as bitsandbytes 0.50 writes it in its code for CPUs (`backends/default`), so that
#: results are that code's. 6.2000124e-05 is right: a digit was lost there. Its CUDA kernel has
#: 6.200012e-05, and one FP16 result in forty then differs in its last place.
PER_SQUARE = np.float32(6.200124e-05)


def outlier_columns(x, threshold=6.0):
    """Return the indices of the columns of `x` that hold an outlier: any |value| >= threshold.

    x: matrix (tokens, features). threshold: 0 for none, as in bitsandbytes. Raises ValueError for a
    threshold below 0 and for what is not a finite matrix.
    Source: Dettmers et al. 2022, LLM.int8(), section 3.2.

    >>> outlier_columns([[1.0, -7.0, 2.0], [0.5, 0.1, 6.0]])
    array([1, 2])
    """
    threshold = positive("threshold", threshold, or_zero=True) or np.inf
    return np.flatnonzero((np.abs(matrix("x", x)) >= threshold).any(axis=0))


def llm_int8_matmul(x, w, threshold=6.0):
    """Multiply x by w with vector-wise int8, but the columns of x with outliers in 16 bits.

    x: (tokens, in), rounded to FP16 first. w: (in, out), either real weights, whose rows that meet
    outliers are used in FP16, as in the paper; or `Quantized` to 8 bits with axis=0, and then those
    rows are decoded from their codes, as in bitsandbytes 0.50: then the result is the library's on
    a CPU, in every bit if no value reaches the threshold, else but for last places. Returns
    (tokens, out): float16 if x is float16, else float32. Raises ValueError for shapes that do not
    multiply, values not finite or beyond FP16's 65504, a threshold below 0 (0: no
    column is separated), or codes of another
    width or axis.
    Source: Dettmers et al. 2022, LLM.int8(), section 3.2 and equation 8.

    >>> x, w = [[1.0, 2.0], [1000.0, 2.0]], [[0.5], [-1.0]]
    >>> llm_int8_matmul(x, w).round(3)
    array([[ -1.5], [498. ]], dtype=float32)
    """
    x = plain("x", x)
    x, kind = _half("x", x), np.asarray(x).dtype
    codes, peak, sixteen = _weights(w)
    same_inner(x, codes)
    with np.errstate(over="ignore"):  # a threshold beyond FP16 is infinite there: no outliers
        outliers = np.abs(x) >= (positive("threshold", threshold, or_zero=True) or np.inf)
    columns = np.flatnonzero(outliers.any(axis=0))
    # Only the outliers themselves are left out of a row's absmax, not their whole columns:
    # the library clears values first, then codes, and the scale is taken in between.
    x_codes, x_peak = _int8(np.where(outliers, np.float16(0), x), axis=1)
    x_codes[:, columns] = 0
    product = np.empty((len(x), codes.shape[1]), np.float16 if kind == np.float16 else np.float32)
    for part in slices(codes.shape[1], 512):  # a strip at a time takes little memory
        sums = integer_matmul(x_codes, codes[:, part]).astype(np.float32)
        sums *= x_peak * peak[:, part]
        sums *= PER_SQUARE
        product[:, part] = sums
    if columns.size:  # FP16 values, FP32 sums: what a 16-bit matrix unit does
        product += x[:, columns].astype(np.float32) @ sixteen(columns).astype(np.float32)
    return product


def _weights(w):
    """Return the int8 codes, the largest magnitude of each column, and rows in 16 bits by index."""
    if not isinstance(w, Quantized):
        w16 = _half("w", w)
        return *_int8(w16, axis=0), lambda rows: w16[rows]
    if w.codes.ndim != 2 or w.bits != 8 or w.axis != 0 or w.group_size or not w.symmetric:
        got = f"bits={w.bits}, axis={w.axis}, group_size={w.group_size}, symmetric={w.symmetric}"
        raise ValueError(f"w must be what quantize_absmax(w, bits=8, axis=0) returns, got {got}")
    peak = (w.scale * 127).astype(np.float32)
    return w.codes, peak, lambda rows: (w.codes[rows] * w.scale).astype(np.float16)


def _int8(x, axis):
    """Return the int8 absmax codes along `axis` and the largest magnitudes they are relative to."""
    x = working_copy(x)  # FP16 becomes a float32 copy, which is then overwritten: memory
    peak = np.abs(extremes(x, axis)).max(axis=0)
    x *= np.float32(127) * (1 / np.where(peak == 0, np.float32(1), peak))
    return np.rint(x, out=x).astype(np.int8), peak


def _half(name, value):
    array = matrix(name, working_copy(real_array(name, value)))  # FP16 minima take long
    if (largest := max(-array.min(), array.max())) > 65504:
        raise ValueError(f"{name} must fit FP16, whose largest value is 65504, got {largest}")
    return array.astype(np.float16)
