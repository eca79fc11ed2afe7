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
    error, size = np.linalg.norm(approx - exact), np.linalg.norm(exact)
    return float(error / size) if size else float("inf") if error else 0.0


def maximum(approx, exact):
    """The largest absolute difference, in the unit of the values. Raises as `relative` does.

    >>> maximum([3.0, 4.5], [3.0, 4.0])
    0.5
    """
    return float(np.abs(np.subtract(*_pair(approx, exact))).max())


def snr_db(approx, exact):
    """Signal-to-noise ratio in decibels: 10 log10(sum of exact^2 / sum of error^2).

    Every bit more of a width is worth about 6 dB; no error is infinity. Raises as `relative` does.

    >>> snr_db([3.0, 4.5], [3.0, 4.0])
    20.0
    """
    ratio = relative(approx, exact)
    return float(-20 * np.log10(ratio)) + 0.0 if ratio else float("inf")
