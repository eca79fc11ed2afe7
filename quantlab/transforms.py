"""Change a layer so that it rounds better and still computes the same: scales and rotations.

X @ W is (X T) @ (T^-1 W) for every matrix T with an inverse, as T T^-1 in the middle is 1. Here T
is diagonal (each column of X divided, its row of W multiplied) or a rotation (T^-1 is its
transpose). What changes is how far the largest value of X and of W stands from the others.
"""

from collections import namedtuple

import numpy as np

from ._checks import finite_array, matrix, positive, same_inner, whole
from .affine import quantize_zero_point, working_copy

#: AWQ tries so many powers, 0, 1/20 ... 19/20, as its code does.
POWERS = 20
#: The widest matrix that is written out: 8.6 GB.
WIDEST = 2**15
#: AWQ's least scale, before all are divided by the geometric mean of the largest and the smallest.
LEAST = 1e-4
#: First rows of Williamson's four matrices: each next row is the one before, moved by one.
WILLIAMSON = {
    12: ("+++", "+--", "+--", "+--"),
    20: ("++--+", "+-++-", "+----", "+----"),
    28: ("+++--++", "+++--++", "++-++-+", "+-+--+-"),
}

AwqTry = namedtuple("AwqTry", "power scales error")
AwqTry.__doc__ = """One of the scales that AWQ tries.

power: of the mean magnitudes, 0 (all scales 1) to 0.95. scales: (in,). error: the mean square of
what the layer's outputs are off by once the scaled weight is rounded.
"""


def rescale(x, w, scales):
    """Return (x / scales, w * scales[:, None]): the inputs and the weight of the scaled layer.

    x: (tokens, in). w: (in, out). scales: (in,), above 0. The product stays: output t, o is the sum
    over j of (x[t, j] / s[j]) * (s[j] * w[j, o]), and s[j] drops out of each term; in every bit if
    the scales are powers of two, as dividing by them moves exponents alone.
    Raises ValueError for shapes that don't fit and scales that are not above 0.
    Source: Xiao et al. 2022, SmoothQuant, section 4, equation 3.

    >>> rescale([[8.0, 1.0]], [[0.5], [2.0]], [4.0, 1.0])
    (array([[2., 1.]]), array([[2.], [2.]]))
    """
    x, w = _pair(x, w)
    scales = finite_array("scales", scales)
    if scales.shape != (len(w),):
        raise ValueError(f"scales must have shape ({len(w)},), got {scales.shape}")
    if scales.min() <= 0:
        raise ValueError(f"scales must be above 0, got {scales.min()}")
    return x / scales, w * scales[:, None]


def smooth_scales(x, w, alpha=0.5):
    """Return SmoothQuant's scales: max|x[:, j]|^alpha / max|w[j]|^(1 - alpha) for each input j.

    x: (tokens, in). w: (in, out); of layers that read the same x, all their columns side by side.
    alpha: who carries the burden, 0 to 1. With 1 every column of x / scales reaches 1, with 0 every
    row of w * scales does; with 1/2 both reach the same. An input whose column or row is all zero
    has the scale 1: it adds nothing, whatever its scale is. Returns (in,). `rescale` applies them.
    Raises ValueError for shapes that don't fit, NaN, infinity or alpha outside 0 to 1.
    Source: Xiao et al. 2022, SmoothQuant, section 4, equation 4.

    >>> smooth_scales([[16.0, -1.0], [4.0, 0.5]], [[0.25], [-1.0]])
    array([8., 1.])
    """
    x, w = _pair(x, w)
    if positive("alpha", alpha, or_zero=True) > 1:
        raise ValueError(f"alpha must be 0 to 1, got {alpha!r}")
    columns, rows = np.abs(x).max(axis=0), np.abs(w).max(axis=1)
    used = (columns > 0) & (rows > 0)
    scales = np.ones(len(w), np.result_type(x, w))
    scales[used] = columns[used] ** alpha / rows[used] ** (1 - alpha)
    return scales


def awq_search(x, w, bits=4, group_size=None):
    """Yield an `AwqTry` for each power: a search for the scales that lose least in rounding w.

    The scales are the mean magnitudes of the columns of x to a power, divided by the geometric mean
    of the largest and the smallest. A row of w that meets large inputs is multiplied, so its
    weights are farther apart on the grid of its group, and what they are off by is divided again.
    The grid is that of `quantize_zero_point` with axis=0. Arguments, errors and source as for
    `awq_scales`.
    """
    x, w = _pair(x, w)
    kind = np.result_type(x, w)
    mean = np.abs(x).mean(axis=0, dtype=np.float64)
    x = x.astype(np.float64)
    squares = x.T @ x / len(x)  # of all outputs' errors: x itself is not needed again
    for power in np.arange(POWERS) / POWERS:
        scales = np.maximum(mean**power, LEAST)
        scales = (scales / np.sqrt(scales.max() * scales.min())).astype(kind)
        rounded = quantize_zero_point(w * scales[:, None], bits, 0, group_size).dequantize()
        off = rounded / scales[:, None] - w.astype(np.float64)
        yield AwqTry(float(power), scales, float(np.sum(off * (squares @ off)) / w.shape[1]))


def awq_scales(x, w, bits=4, group_size=None):
    """Return AWQ's scales: of 20 powers of the inputs' mean magnitudes, those that lose least.

    x: calibration inputs (tokens, in). w: (in, out); of layers that read the same x, all their
    columns side by side. bits, group_size: how w will be rounded, with zero-points, along its
    inputs. Loss is the mean squared error of x @ w; of equal losses the first counts, which is no
    scaling. Returns (in,). `rescale` applies them: x / scales is what the layer before has to give.
    Raises ValueError for shapes that don't fit, NaN, infinity, or as `quantize_zero_point` does.
    Source: Lin et al. 2023, AWQ, section 3.2, equations 4 and 5; grid and least scale are those of
    its code (`auto_scale.py`). That code measures the loss after attention and the feed-forward
    part as a whole, this one after the layers; its clip search, a step of its own, is left out.

    >>> x = np.array([[30.0, 1.0, 1.0, 1.0]])
    >>> awq_scales(x, [[0.4], [-0.9], [0.7], [0.2]], bits=2).round(2)
    array([2.15, 0.47, 0.47, 0.47])
    """
    return min(awq_search(x, w, bits, group_size), key=lambda tried: tried.error).scales


def hadamard(n, seed=None, block=None):
    """Return the n by n Hadamard rotation: every entry is 1 or -1, divided by the root of n.

    seed: None, or a seed of random signs, one for each row. block: None for the largest there is.
    Hadamard matrices are made here for 1, 12, 20 and 28 times a power of 2; of another n the
    largest of these that divides it is the size of equal blocks along the diagonal, with zeros
    beside them: what is mixed is `block` neighbours. Returns (n, n), float64.
    Columns are at right angles and of length 1, so that H @ H.T is 1 and lengths are kept.
    Raises ValueError for n outside 1 to `WIDEST`, a seed below 0 and a block that is no such size
    or does not divide n, TypeError for what is no whole number.
    Source: Sylvester 1867 (doubling), Williamson 1944 (12, 20, 28); random signs as in Ashkboos et
    al. 2024, QuaRot, section 3.

    >>> hadamard(4) * 2
    array([[ 1.,  1.,  1.,  1.],
           [ 1., -1.,  1., -1.],
           [ 1.,  1., -1., -1.],
           [ 1., -1., -1.,  1.]])
    """
    n = whole("n", n, 1, most=WIDEST)
    block, base = _sizes(n, block)
    full = _williamson(base)
    while len(full) < block:
        full = np.kron(full, [[1, 1], [1, -1]])
    return _signs(n, seed)[:, None] * np.kron(np.eye(n // block), full) / np.sqrt(block)


def hadamard_product(x, seed=None, block=None):
    """Return ``x @ hadamard(n, seed, block)`` by the fast walk: sums and differences of pairs.

    x: (..., n). A matrix product takes n multiplications for each value, the walk one addition for
    each doubling: 8 for n = 256. Returns the shape of x, float32, or float64 if x was.
    Raises as `hadamard` does, and ValueError for NaN or infinity.
    Source: Fino and Algazi 1976, Unified Matrix Treatment of the Fast Walsh-Hadamard Transform.

    >>> hadamard_product([2.0, 0.0, 0.0, 0.0])
    array([1., 1., 1., 1.])
    """
    x = working_copy(finite_array("x", x))
    n = x.shape[-1] if x.ndim else 1
    block, base = _sizes(n, block)
    y, half = x * _signs(n, seed).astype(x.dtype), 1
    while half < block // base:
        pairs = y.reshape(-1, 2, half)
        first, second = pairs[:, 0], pairs[:, 1]
        y, half = np.stack([first + second, first - second], axis=1), 2 * half
    y = _williamson(base).T.astype(x.dtype) @ y.reshape(-1, base, half)
    return y.reshape(x.shape) / np.sqrt(x.dtype.type(block))


def turn(x, w, seed=None, block=None):
    """Return (x @ H, H.T @ w), H = ``hadamard(n, seed, block)``: inputs and weight, turned.

    x: (tokens, in). w: (in, out). The product stays: (x H)(H^T w) = x (H H^T) w, and H H^T is 1, as
    the rows of H are at right angles and of length 1. A token's length stays too, but each of its
    values becomes a sum of all of them with signs, so one large value is shared out among all.
    Raises as `hadamard` does, and ValueError for shapes that don't fit, NaN or infinity.
    Source: Ashkboos et al. 2024, QuaRot, section 3.

    >>> turn([[8.0, 0.0, 0.0, 0.0]], [[1.0], [0.0], [0.0], [0.0]])[0]
    array([[4., 4., 4., 4.]])
    """
    x, w = _pair(x, w)
    turned = hadamard_product(w.T, seed, block).T
    return hadamard_product(x, seed, block), np.ascontiguousarray(turned)


def orthogonal(n, seed=0):
    """Return a rotation (or a mirrored one) drawn evenly from all that there are: (n, n), float64.

    It is Q of the QR of normal numbers, each column with the sign that makes the diagonal of R
    positive. Its product has no fast walk. Raises ValueError for n outside 1 to `WIDEST` or a seed
    below 0.
    Source: Stewart 1980, The efficient generation of random orthogonal matrices.
    """
    n = whole("n", n, 1, most=WIDEST)
    q, r = np.linalg.qr(np.random.default_rng(whole("seed", seed, 0)).standard_normal((n, n)))
    return q * np.sign(np.diag(r))


def block_size(n):
    """Return the largest size of a Hadamard matrix made here that divides n.

    >>> [block_size(n) for n in (256, 768, 11008, 100, 7)]
    [256, 768, 256, 20, 1]
    """
    n = whole("n", n, 1, most=2**62)
    doublings = [2**k for k in range(n.bit_length())]
    sizes = [base * doubling for base in (1, *WILLIAMSON) for doubling in doublings]
    return max(size for size in sizes if n % size == 0)


def _sizes(n, block):
    """Return the size of a block of n, and the size of the matrix that is doubled to get there."""
    largest = block_size(n)
    block = largest if block is None else whole("block", block, 1, most=n)
    odd = block // (block & -block)
    base = 1 if odd == 1 else 4 * odd
    if n % block or block % base or base not in (1, *WILLIAMSON):
        allowed = f"1, 12, 20 or 28 times a power of 2 and divide {n} (the largest is {largest})"
        raise ValueError(f"block must be {allowed}, got {block}")
    return block, base


def _williamson(n):
    """Return the Hadamard matrix of 1, 12, 20 or 28 rows, entries 1 and -1."""
    if n == 1:
        return np.ones((1, 1))
    shift = np.arange(n // 4)
    rows = [np.where([sign == "+" for sign in row], 1.0, -1.0) for row in WILLIAMSON[n]]
    a, b, c, d = (row[(shift - shift[:, None]) % len(row)] for row in rows)
    return np.block([[a, b, c, d], [-b, a, -d, c], [-c, d, a, -b], [-d, -c, b, a]])


def _signs(n, seed):
    if seed is None:
        return np.ones(n)
    return np.random.default_rng(whole("seed", seed, 0)).choice([-1.0, 1.0], n)


def _pair(x, w):
    """Return x (tokens, in) and w (in, out) as matrices that multiply, float32 or float64."""
    x, w = working_copy(matrix("x", x)), working_copy(matrix("w", w))
    same_inner(x, w)
    return x, w
