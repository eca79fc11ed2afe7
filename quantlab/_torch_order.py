"""Two NumPy twins of torch functions that agree to the last bit.

A sum depends on the order of its additions; bitsandbytes has torch add, so the same bytes need it.
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
    """Return the mean of a flat float32 array as ``torch.mean`` on one thread: a cascade sum.

    Source: PyTorch, SumKernel.cpp; pairwise summation is in Higham 1993, section 3.
    """
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
    count = len(terms)
    power = max(4, (max(count, 1) - 1).bit_length() // LEVELS)
    step = 1 << power
    levels = np.zeros((LEVELS, *terms.shape[1:]), np.float32)
    done = 0
    while done + step <= count:
        for term in terms[done : done + step]:
            levels[0] += term
        done += step
        for level in range(1, LEVELS):
            levels[level] += levels[level - 1]
            levels[level - 1] = 0
            if done & ((step - 1) << (level * power)):
                break
    for term in terms[done:]:
        levels[0] += term
    for level in levels[1:]:
        levels[0] += level
    return levels[0]
