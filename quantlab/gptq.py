"""GPTQ: quantize a layer row by row, and let the rows not yet done make up for each error.

In this layout (X @ W, with W of shape (in, out)) one input feature is one row of W.
Source: Frantar et al. 2022, GPTQ, sections 3 and 4 and algorithm 1.
"""

from dataclasses import dataclass

import numpy as np

from ._checks import matrix, positive, whole
from .affine import Quantized, absmax_grid, working_copy, zero_point_grid

BLOCK = 128  # rows updated at once; the rows below a block get its sum of updates in one product


@dataclass(frozen=True, eq=False)
class GptqStep:
    """What happens while one row of W is quantized.

    row: its index in W. weights: the row as it stands, earlier compensations included. codes,
    quantized: its codes and their values. error: (weights - quantized) / inverse_row[row].
    inverse_row: its row of the upper Cholesky factor of the inverse Hessian (in,), 0 for rows
    done. compensation: (in, out), what is added to the rows not yet done. after: W (in, out) with
    this row quantized and the others compensated. loss: the sum of error^2, what this row adds
    to the layer error.
    """

    row: int
    weights: np.ndarray
    codes: np.ndarray
    quantized: np.ndarray
    error: np.ndarray
    inverse_row: np.ndarray
    compensation: np.ndarray
    after: np.ndarray
    loss: float


def hessian(x):
    """Return the Hessian of the layer error with respect to one column of W: 2/n X^T X.

    x: the layer's inputs on calibration data, (tokens, in). Returns (in, in), float64.
    Raises ValueError for what is not a finite matrix. Source: GPTQ, section 3, equation 1 ff.

    >>> hessian([[1.0, 2.0], [3.0, 4.0]])
    array([[10., 14.], [14., 20.]])
    """
    x = matrix("x", x).astype(np.float64)
    return (x.T @ x) * (2 / len(x))


def quantize_gptq(
    w, hessian, bits=4, group_size=None, damping=0.01, act_order=False, symmetric=True
):
    """Quantize w row by row so that the layer's output, not each weight, stays close.

    w: (in, out). hessian: (in, in), from `hessian`. group_size: rows that share one scale per
    column, None for all; the scale is taken when the group's first row is reached. damping: the
    share of the mean diagonal that is added to the diagonal. act_order: rows with the
    largest inputs first. symmetric: the grid of `quantize_absmax`; False: that of
    `quantize_zero_point`. Rounds half to even. Inputs that are always 0 get weight 0.
    Returns `Quantized` with axis=0. Raises ValueError for shapes that don't fit, NaN, infinity, a
    Hessian that is not symmetric and (once damped) positive definite, bits outside 2..16 or a
    group size that does not divide the rows.
    Source: Frantar et al. 2022, GPTQ, algorithm 1; its code for groups and act-order.

    >>> x = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])  # the first two inputs always agree
    >>> w = np.array([[0.4], [0.4], [1.0]])  # the step is 1: rounding would lose 0.4 twice
    >>> quantize_gptq(w, hessian(x), bits=2).codes.ravel()
    array([0, 1, 1], dtype=int8)
    """
    plan = _Plan(w, hessian, bits, group_size, damping, act_order, symmetric)
    codes = np.empty(plan.w.shape, np.int8 if plan.bits <= 8 else np.int16)
    for position, row_codes, _, _ in plan.rows(BLOCK):
        codes[plan.order[position]] = row_codes
    scale = np.concatenate([grid.scale for grid in plan.grids])
    zero_point = np.concatenate([grid.zero_point for grid in plan.grids])
    index = None
    if act_order and group_size is not None:
        index = np.empty(len(codes), np.int32)
        index[plan.order] = np.arange(len(codes)) // group_size
    return Quantized(codes, scale, zero_point, plan.bits, symmetric, 0, group_size, index)


def gptq_steps(w, hessian, bits=4, group_size=None, damping=0.01, act_order=False, symmetric=True):
    """Yield a `GptqStep` for each row, in the order in which `quantize_gptq` takes them.

    The same code with the same arguments and errors; it keeps a copy of W per row, so it is for
    small cases.
    """
    plan = _Plan(w, hessian, bits, group_size, damping, act_order, symmetric)
    back = np.argsort(plan.order)
    before = plan.w.copy()
    for position, codes, quantized, error in plan.rows(len(plan.w)):
        after = plan.w.copy()
        change = after - before
        change[position] = 0
        yield GptqStep(
            row=int(plan.order[position]),
            weights=before[position],
            codes=codes,
            quantized=quantized,
            error=error,
            inverse_row=plan.factor[position][back],
            compensation=change[back],
            after=after[back],
            loss=float(np.sum(error**2)),
        )
        before = after


def error_diffusion(w, bits=4):
    """Quantize row by row and carry each row's rounding error, whole, into the next row.

    The article's idea: the total error of a column stays near zero (below half a step, where no
    code is clipped), whatever the inputs are. w: (in, out). Returns `Quantized` on the grid of
    ``quantize_absmax(w, bits, axis=0)``. Raises as that does, and for what is not a matrix.
    Source: Floyd and Steinberg 1976 diffuse errors so in images; Reznikov 2023 for weights.

    >>> error_diffusion([[0.4], [0.4], [0.4], [1.0]], bits=2).codes.ravel()
    array([0, 1, 0, 1], dtype=int8)
    """
    w = working_copy(matrix("w", w))
    grid = absmax_grid(w, whole("bits", bits, 2, 16), 0)
    codes = np.empty(w.shape, np.int8 if bits <= 8 else np.int16)
    carried = np.zeros((1, w.shape[1]), w.dtype)
    for row in range(len(w)):
        target = w[row] + carried
        codes[row] = grid.encode(target)
        carried = target - grid.decode(codes[row])
    return Quantized(codes, grid.scale, grid.zero_point, int(bits), True, axis=0)


class _Plan:
    """The checked arguments of one run, with rows already in the order they are quantized in."""

    def __init__(self, w, hessian, bits, group_size, damping, act_order, symmetric):
        w, hessian = matrix("w", w), matrix("hessian", hessian)
        self.bits = whole("bits", bits, 2, 16)
        self.w = np.array(working_copy(w))
        rows = len(w)
        self.group_size = rows if group_size is None else whole("group_size", group_size, 1, rows)
        if rows % self.group_size:
            raise ValueError(f"group_size must divide the {rows} rows of w, got {group_size}")
        hessian = _check_hessian(hessian, rows).astype(self.w.dtype)
        dead = np.diag(hessian) == 0
        hessian[dead, dead] = 1
        self.w[dead] = 0
        descending = np.argsort(-np.diag(hessian), kind="stable")
        self.order = descending if act_order else np.arange(len(w))
        self.w = self.w[self.order]
        self.factor = _inverse_factor(hessian[np.ix_(self.order, self.order)], damping)
        self.make_grid = absmax_grid if symmetric else zero_point_grid
        self.grids = []

    def rows(self, block):
        """Quantize row after row; yield (position, codes, values, error) of each.

        Within a block each error goes to the block's other rows at once, and to the rows below the
        block in one matrix product at its end: the same sums, but fast ("lazy batch updates").
        """
        for start, stop in _blocks(len(self.w), self.group_size, block):
            errors = np.empty((stop - start, self.w.shape[1]), self.w.dtype)
            for i in range(start, stop):
                if i % self.group_size == 0:
                    group = self.w[i : i + self.group_size]
                    self.grids.append(self.make_grid(group, self.bits, 0))
                grid = self.grids[-1]
                codes = grid.encode(self.w[i : i + 1])
                values = grid.decode(codes)[0]
                error = (self.w[i] - values) / self.factor[i, i]
                self.w[i] = values
                self.w[i + 1 : stop] -= self.factor[i, i + 1 : stop, None] * error
                errors[i - start] = error
                yield i, codes[0], values, error
            self.w[stop:] -= self.factor[start:stop, stop:].T @ errors


def _blocks(rows, group_size, block):
    """Split the rows so that a group begins with a block: its scale sees every update."""
    span = group_size if group_size >= block else group_size * (block // group_size)
    for first in range(0, rows, span):
        last = min(first + span, rows)
        for start in range(first, last, block):
            yield start, min(start + block, last)


def _check_hessian(hessian, rows):
    if hessian.shape != (rows, rows):
        raise ValueError(
            f"hessian must have shape ({rows}, {rows}), a row and a column for each row of w, "
            f"got {hessian.shape}"
        )
    if not np.allclose(hessian, hessian.T, rtol=1e-4, atol=1e-6 * np.abs(hessian).max()):
        raise ValueError("hessian must be symmetric; is it 2/n X^T X?")
    return hessian


def _inverse_factor(hessian, damping):
    """Return the upper Cholesky factor U of the inverse of the damped Hessian: U^T U = H^-1.

    With R upper triangular and H = R R^T (a Cholesky factor read backwards), U is R^-1: one
    factorization and one triangular inverse in place of two factorizations and a full inverse.
    """
    diagonal = np.diag(hessian)
    added = positive("damping", damping, or_zero=True) * diagonal.mean()
    damped = hessian + np.diag(np.full_like(diagonal, added))
    try:
        backwards = np.linalg.cholesky(damped[::-1, ::-1])
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"hessian is not positive definite with damping={damping}: use more damping (0.01 is "
            "usual) or more calibration rows than features"
        ) from error
    return _invert_upper(backwards[::-1, ::-1])


def _invert_upper(r):
    """Invert an upper triangular matrix by halves: most of the work is in matrix products."""
    if len(r) <= 64:
        return np.triu(np.linalg.inv(r))
    half = len(r) // 2
    a, d = _invert_upper(r[:half, :half]), _invert_upper(r[half:, half:])
    upper = np.zeros_like(r)
    upper[:half, :half], upper[half:, half:] = a, d
    upper[:half, half:] = -a @ r[:half, half:] @ d
    return upper
