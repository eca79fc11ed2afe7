"""How far an approximation is from the exact values."""

import numpy as np

from ._checks import finite_array


def _pair(approx, exact):
    approx, exact = finite_array("approx", approx), finite_array("exact", exact)
    if approx.shape != exact.shape:
        raise ValueError(
            f"approx has shape {approx.shape} and exact has {exact.shape}: they differ"
        )
    return approx.astype(np.float64), exact.astype(np.float64)


def relative(approx, exact):
    """The length of the error over the length of the exact values (Frobenius norms).

    Arrays of one shape. 0 is perfect, 1 is as wrong as answering all zeros; infinity if `exact` is
    all zero and `approx` is not. Raises ValueError for shapes that differ, empty arrays, NaN or
    infinity.

    >>> relative([3.0, 4.5], [3.0, 4.0])
    0.1
    """
    approx, exact = _pair(approx, exact)
    error, size = np.linalg.norm(approx - exact), np.linalg.norm(exact)
    if size == 0:
        return 0.0 if error == 0 else float("inf")
    return float(error / size)


def maximum(approx, exact):
    """The largest absolute difference, in the unit of the values. Raises as `relative` does.

    >>> maximum([3.0, 4.5], [3.0, 4.0])
    0.5
    """
    return float(np.abs(np.subtract(*_pair(approx, exact))).max())


def snr_db(approx, exact):
    """Signal-to-noise ratio in decibels: 10 log10(sum of exact^2 / sum of error^2).

    Every bit more of a width is worth about 6 dB. A perfect match is infinity.
    Raises as `relative` does.

    >>> snr_db([3.0, 4.5], [3.0, 4.0])
    20.0
    """
    ratio = relative(approx, exact)
    if ratio == 0:
        return float("inf")
    return float(-20 * np.log10(ratio)) + 0.0
