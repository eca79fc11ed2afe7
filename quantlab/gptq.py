"""GPTQ: quantize a layer row by row, and let the rows not yet done make up for each error.

In this layout (X @ W, with W of shape (in, out)) one input feature is one row of W.
Source: Frantar et al. 2022, GPTQ, sections 3 and 4 and algorithm 1.
"""

from collections import namedtuple

import numpy as np

from ._checks import finite_array, flag, matrix, positive, whole
from ._fast import gptq as quick
from .affine import Quantized, absmax_grid, working_copy, zero_point_grid

GptqStep = namedtuple(
    "GptqStep", "row weights codes quantized error inverse_row compensation after loss"
)
GptqStep.__doc__ = """What happens while one row of W is quantized.

row: its index in W. weights: the row as it stands, earlier compensations included. codes,
quantized: its codes and their values. error: (weights - quantized) / inverse_row[row]. inverse_row:
its row of the upper Cholesky factor of the inverse Hessian (in,), 0 for rows done. compensation:
(in, out), what is added to the rows not yet done. after: W (in, out) with this row quantized and
the others compensated. loss: the sum of error^2, its part of the error.
"""


def hessian(x):
    """Return the Hessian of the layer error with respect to one column of W: 2/n X^T X.

    x: the layer's inputs on calibration data, (tokens, in). Returns (in, in), float64.
    Raises ValueError for what is not a finite matrix. Source: GPTQ, section 3, equation 1 ff.

    >>> hessian([[1.0, 2.0], [3.0, 4.0]])
    array([[10., 14.], [14., 20.]])
    """
    x = matrix("x", x).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # refused
        return finite_array("2/n X^T X", (x.T @ x) * (2 / len(x)))


def quantize_gptq(
    w,
    hessian,
    bits=4,
    group_size=None,
    damping=0.01,
    act_order=False,
    symmetric=True,
    static_groups=False,
):
    """Quantize w row by row so that the layer's output, not each weight, stays close.

    w: (in, out). hessian: (in, in), from `hessian`. group_size: rows that share one scale per
    column, None for all; the scale is taken when the group's first row is reached. static_groups:
    it is taken from w as it came in; a group is then `group_size` neighbours in w in any order of
    the rows, where with act_order each row's group has to be stored. damping: the share of the mean
    diagonal, over the inputs that are not always 0, that is added to the diagonal. act_order: rows
    with the largest inputs first. symmetric: the grid of `quantize_absmax`; False: that of
    `quantize_zero_point`. Rounds half to even. The row of an input that is always 0 is rounded to
    nearest: nothing is known of it. Returns `Quantized` with axis=0.
    Raises ValueError for shapes that don't fit, NaN, infinity, a Hessian that is not symmetric and
    (once damped) positive definite, bits outside 2..16 or a group size that cuts the rows unevenly.
    Source: Frantar et al. 2022, GPTQ, algorithm 1; its code for act-order and the two kinds of
    groups. Two things differ. Its code takes a scale from weights that still miss the updates of
    the block of 128 rows that is in work, this one from weights that have had every update. And for
    an input that is always 0 it sets the weights to 0 and the diagonal to 1, which the mean then
    counts, so that codes depend on the unit of the inputs.

    >>> x = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])  # the first two inputs always agree
    >>> w = np.array([[0.4], [0.4], [1.0]])  # the step is 1: rounding would lose 0.4 twice
    >>> quantize_gptq(w, hessian(x), bits=2).codes.ravel()
    array([0, 1, 1], dtype=int8)
    """
    plan = _Plan(w, hessian, bits, group_size, damping, act_order, symmetric, static_groups)
    codes = np.empty(plan.w.shape, np.int8 if plan.bits <= 8 else np.int16)
    walk = quick.rows(plan) if len(codes) > quick.BLOCK else _rows(plan)
    for position, row_codes, _, _ in walk:
        codes[plan.order[position]] = row_codes
    scale, zero_point = (np.concatenate([g[part] for g in plan.grids]) for part in (2, 4))
    size, index = None if group_size is None else plan.group_size, None
    if size and act_order and not static_groups:
        index = np.argsort(plan.order).astype(np.int32) // np.int32(size)
    return Quantized(codes, scale, zero_point, plan.bits, bool(symmetric), 0, size, index)


def _rows(plan):
    """Quantize row after row; yield (position, codes, values, error) of each: the method itself."""
    w, factor = plan.w, plan.factor
    for i in range(len(w)):
        grid = plan.grid(i)
        codes = grid.encode(w[i : i + 1])
        values = grid.decode(codes)
        error = (w[i] - values[0]) / factor[i, i]
        w[i + 1 :] -= np.outer(factor[i, i + 1 :], error)
        yield i, codes[0], values[0], error


def gptq_steps(
    w,
    hessian,
    bits=4,
    group_size=None,
    damping=0.01,
    act_order=False,
    symmetric=True,
    static_groups=False,
):
    """Yield a `GptqStep` for each row, in the order in which `quantize_gptq` takes them.

    The same code, arguments and errors; for small cases, as each step keeps copies of W.
    """
    plan = _Plan(w, hessian, bits, group_size, damping, act_order, symmetric, static_groups)
    back = np.argsort(plan.order)
    before = plan.w.copy()
    for position, codes, quantized, error in _rows(plan):
        after = np.concatenate([before[:position], quantized[None], plan.w[position + 1 :]])
        change = after - before
        change[position] = 0
        row, inverse_row, loss = plan.order[position], plan.factor[position][back], np.sum(error**2)
        done = (int(row), before[position], codes, quantized, error * plan.unit)
        rest = change[back], after[back], float(loss) * plan.unit**2
        yield GptqStep(*done, inverse_row / plan.unit, *rest)
        before = after


def error_diffusion(w, bits=4):
    """Quantize row by row and carry each row's rounding error, whole, into the next row.

    The article's idea: the total error of a column stays below half a step, where no code is
    clipped, whatever the inputs are. w: (in, out). Returns `Quantized` on the grid of
    ``quantize_absmax(w, bits, axis=0)``. Raises as that does, and for what is not a matrix.
    Source: Floyd and Steinberg 1976 diffuse errors so in images; Reznikov 2023 for weights.

    >>> error_diffusion([[0.4], [0.4], [0.4], [1.0]], bits=2).codes.ravel()
    array([0, 1, 0, 1], dtype=int8)
    """
    w, bits = working_copy(matrix("w", w)), whole("bits", bits, 2, 16)
    grid = absmax_grid(w.min(0, keepdims=True), w.max(0, keepdims=True), bits)
    codes = np.empty(w.shape, np.int8 if bits <= 8 else np.int16)
    carried = np.zeros((1, w.shape[1]), w.dtype)
    for row in range(len(w)):
        target = w[row] + carried
        codes[row] = grid.encode(target)
        carried = target - grid.decode(codes[row])
    return Quantized(codes, grid.scale, grid.zero_point, bits, True, axis=0)


class _Plan:
    """The checked arguments of one run: rows in the order they are quantized in, grids, factor."""

    def __init__(self, w, hessian, bits, group_size, damping, act_order, symmetric, static_groups):
        self.w = np.array(working_copy(matrix("w", w)))
        hessian, self.unit = checked_hessian(hessian, len(self.w)), 1.0
        power = int(np.frexp(max(hessian.max(), -hessian.min()))[1])
        if abs(power) > 60:  # float32 may not hold it, or its squares. Codes depend on no unit
            self.unit = 2.0 ** (power // 2)  # a power of two, so that no bit changes
            hessian = hessian / self.unit / self.unit
        hessian = hessian.astype(self.w.dtype)
        self.bits, rows = whole("bits", bits, 2, 16), len(self.w)
        self.group_size = rows if group_size is None else whole("group_size", group_size, 1, rows)
        if rows % self.group_size:
            raise ValueError(f"group_size must divide the {rows} rows of w, got {group_size}")
        self.make_grid = absmax_grid if flag("symmetric", symmetric) else zero_point_grid
        self.order = np.arange(rows)
        self.group, self.grids = self.order // self.group_size, []  # the group of each position
        if flag("static_groups", static_groups):
            self.grids = [self._new_grid(first) for first in range(0, rows, self.group_size)]
        if flag("act_order", act_order):
            self.order = np.argsort(-np.diag(hessian), kind="stable")
            self.w, hessian = self.w[self.order], hessian[np.ix_(self.order, self.order)]
            self.group = self.group[self.order] if static_groups else self.group
        self.factor = inverse_factor(hessian, damping)

    def grid(self, i):
        """The grid of row `i`: taken when its group's first row comes up, unless it is static."""
        if self.group[i] == len(self.grids):
            self.grids.append(self._new_grid(i))
        return self.grids[self.group[i]]

    def _new_grid(self, first):
        rows = self.w[first : first + self.group_size]
        return self.make_grid(rows.min(0, keepdims=True), rows.max(0, keepdims=True), self.bits)


def checked_hessian(hessian, rows):
    """Return a Hessian if it is symmetric and has as many rows as the weight."""
    hessian = matrix("hessian", hessian)
    if hessian.shape != (rows, rows):
        raise ValueError(f"hessian must have shape ({rows}, {rows}), got {hessian.shape}")
    if not quick.is_symmetric(hessian, 1e-5 * max(hessian.max(), -hessian.min())):
        raise ValueError("hessian must be symmetric; is it 2/n X^T X?")
    return hessian


def inverse_factor(hessian, damping):
    """Return the upper Cholesky factor U of the inverse of the damped Hessian: U^T U = H^-1.

    hessian: (in, in), symmetric; it is overwritten. Raises ValueError where there is no inverse.
    """
    dead = np.diag(hessian) == 0  # always 0 in calibration: bound to no other input
    mean = 0 if dead.all() else np.diag(hessian)[~dead].mean()
    damp = positive("damping", damping, or_zero=True) * mean
    hessian.flat[:: len(hessian) + 1] += damp
    hessian[dead, dead] = damp or 1  # what stands there moves no code, but an inverse needs it
    try:
        if len(hessian) > quick.BLOCK:
            return quick.inverse_factor(hessian)
        np.linalg.cholesky(hessian)  # refuses what has no inverse; `inv` may let it through
        return np.linalg.cholesky(np.linalg.inv(hessian)).T
    except np.linalg.LinAlgError as error:
        why = f"not positive definite with damping={damping}: more damping or calibration rows"
        raise ValueError(f"hessian is {why} are needed") from error
