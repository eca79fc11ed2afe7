"""How far an approximation is from the exact values."""

import numpy as np

from ._checks import finite_array


def _pair(approx, exact):
    approx, exact = finite_array("approx", approx), finite_array("exact", exact)
    if approx.shape != exact.shape:
        raise ValueError(f"approx has shape {approx.shape}, exact has {exact.shape}: they differ")
    return approx.astype(np.float64), exact.astype(np.float64)


def relative(approx, exact):
    """The length of the error over the length of the exact values (Frobenius norms).

    0 is perfect, 1 is as wrong as all zeros; infinity if only `exact` is all zero. Raises
    ValueError for shapes that differ, empty arrays, NaN or infinity.

    >>> relative([3.0, 4.5], [3.0, 4.0])
    0.1
    """
    approx, exact = _pair(approx, exact)
    unit = _power(max(np.abs(approx).max(), np.abs(exact).max()))
    approx, exact = np.ldexp(approx, -unit), np.ldexp(exact, -unit)  # else a difference overflows
    (error, error_unit), (size, size_unit) = _length(approx - exact), _length(exact)
    if not size:
        return float("inf") if error else 0.0
    with np.errstate(over="ignore"):
        return float(np.ldexp(error / size, error_unit - size_unit))


def _length(x):
    """Return the Frobenius norm as a number and a power of two: no square overflows or vanishes."""
    unit = _power(np.abs(x).max())
    return np.linalg.norm(np.ldexp(x, -unit)), unit


def _power(peak):
    """Return the least power of two above `peak`: over it no value loses a bit."""
    return int(np.frexp(peak)[1])


def maximum(approx, exact):
    """The largest absolute difference, in the unit of the values; infinity past float64's largest.

    Raises as `relative` does.

    >>> maximum([3.0, 4.5], [3.0, 4.0])
    0.5
    """
    with np.errstate(over="ignore"):
        return float(np.abs(np.subtract(*_pair(approx, exact))).max())


def snr_db(approx, exact):
    """Signal-to-noise ratio in decibels: 10 log10(sum of exact^2 / sum of error^2).

    Every bit more of a width is worth about 6 dB; no error is infinity. Raises as `relative` does.

    >>> snr_db([3.0, 4.5], [3.0, 4.0])
    20.0
    """
    ratio = relative(approx, exact)
    return float(-20 * np.log10(ratio)) + 0.0 if ratio else float("inf")
