"""Two NumPy twins of torch functions that agree to the last bit.

A sum depends on the order of its additions; bitsandbytes has torch add, so the same bytes need it.
Source: PyTorch, SumKernel.cpp; pairwise summation is in Higham 1993, section 3.
"""

import numpy as np

LANES, ROWS, LEVELS = 8, 4, 4  # torch adds with 8-wide registers, 4 at a time, in 4 levels


def linspace(start, stop, count):
    """Return `count` evenly spaced float32 values as ``torch.linspace``: from both ends inwards.

    torch multiplies and adds in one step, with one rounding; float64 in between does the same.
    """
    start, stop = np.float32(start), np.float32(stop)
    step = ((stop - start) / np.float32(count - 1)).astype(np.float64)
    index = np.arange(count)
    values = np.where(index < count // 2, start + step * index, stop - step * index[::-1])
    return values.astype(np.float32)


def mean(values):
    """Return the mean of a flat float32 array as ``torch.mean`` on one thread: a cascade sum."""
    lanes = LANES if values.size >= LANES else 1
    vectors = values[: values.size // lanes * lanes].reshape(-1, lanes)
    quarter = len(vectors) // ROWS
    partial = _cascade(vectors[: quarter * ROWS].reshape(quarter, ROWS, lanes))
    for vector in [*vectors[quarter * ROWS :], *partial[1:]]:
        partial[0] += vector
    total = np.float32(0)
    for value in [*values[vectors.size :], *partial[0]]:
        total += value
    return total / np.float32(values.size)


def _cascade(terms):
    """Add terms (n, ...) along the first axis: short runs, then runs of runs, on four levels."""
    step = 1 << max(4, (max(len(terms), 1) - 1).bit_length() // LEVELS)
    total = np.zeros(terms.shape[1:], np.float32)
    for level in range(LEVELS):  # what fills no run stays on its level, and on the last one all
        full = len(terms) // step * step if level < LEVELS - 1 else 0
        total += terms[full:].sum(axis=0)
        terms = terms[:full].reshape(full // step, step, *total.shape).sum(axis=1)
    return total
