"""GPTQ's row loop in matrix products, and the factor that it needs in half the memory."""

from itertools import combinations_with_replacement

import numpy as np

from .pieces import slices

#: Rows from which matrix products pay; within so many, a row's error goes to the others at once.
BLOCK = 32


def rows(plan, first=0, last=None):
    """Quantize row after row; yield (position, codes, values, error) of each.

    The error takes the row's place. Of two halves the second gets all errors of the first in one
    product, which is fast ("lazy batch updates", GPTQ, section 3). It begins with a group, unless
    all is one: its scale has to see every update.
    """
    w, factor, last = plan.w, plan.factor, len(plan.w) if last is None else last
    if last - first <= BLOCK:
        yield from _block(plan, first, last)
        return
    size = plan.group_size if last - first > plan.group_size else 1
    middle = first + -(-(last - first) // (2 * size)) * size
    yield from rows(plan, first, middle)
    own, rest = slice(first, middle), slice(middle, last)
    for part in slices(w.shape[1], 1024):  # a strip of columns takes little memory
        w[rest, part] -= factor[own, rest].T @ w[own, part]
    yield from rows(plan, middle, last)


def _block(plan, first, last):
    w, factor = plan.w, plan.factor
    for i in range(first, last):
        grid = plan.grid(i)
        codes = grid.encode(w[i : i + 1])
        values = grid.decode(codes)[0]
        error = w[i] = (w[i] - values) / factor[i, i]
        w[i + 1 : last] -= factor[i, i + 1 : last, None] * error
        yield i, codes[0], values, error


def is_symmetric(h, slack):
    """Say whether a square matrix equals its transpose within `slack`.

    Fast because two mirrored tiles fit the cache, which a transposed matrix does not.
    """
    tiles = slices(len(h), 256)
    return all(
        np.abs(h[own, other] - h[other, own].T).max() <= slack
        for own, other in combinations_with_replacement(tiles, 2)
    )


def inverse_factor(h, size=128, wide=512):
    """Turn H into U = R^-1, R upper triangular and H = R R^T (a Cholesky factor read backwards).

    From the last strip to the first: a column of R comes from the columns to its right, a row of U
    from the rows below it. Fast because nearly all of it is matrix products, in the same memory.
    """
    for j in reversed(slices(len(h), size)):
        above, right = slice(j.start), slice(j.stop, None)
        strip = h[: j.stop, j] - h[: j.stop, right] @ h[j, right].T
        h[j, j] = np.triu(np.linalg.inv(np.linalg.cholesky(strip[j][::-1, ::-1])[::-1, ::-1]))
        h[above, j], h[right, j] = strip[above] @ h[j, j].T, 0
        row, done, target = h[j, right].copy(), h[right, right], h[j, right]
        for part in slices(len(done), wide):  # below the diagonal U is 0
            target[:, part] = -h[j, j] @ (row[:, : part.stop] @ done[: part.stop, part])
    return h
