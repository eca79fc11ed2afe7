"""GPTQ's way through a small W, row by row, and plain rounding's beside it."""

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from .. import article
from .._checks import matrix, one_of
from ..affine import quantize_absmax
from ..gptq import gptq_steps, hessian

#: Six weights for each of two outputs.
W = np.array(
    [[0.56, -0.28], [-0.04, -0.67], [0.10, 0.34], [0.32, 0.07], [0.69, 0.44], [0.68, 0.45]]
)
#: Eight tokens. Inputs 1 to 3 move together, 4 is their opposite, 5 and 6 are a pair apart.
X = np.array(
    [
        [1.3, 1.3, 1.3, -0.7, 1.3, 1.3],
        [-1.3, -0.7, -1.3, 1.3, 0.7, 1.3],
        [0.7, 1.3, 1.3, -1.3, -1.3, -0.7],
        [-0.7, -0.7, -1.3, 0.7, -0.7, -0.7],
        [1.3, 0.7, 0.7, -1.3, 0.7, 1.3],
        [-1.3, -1.3, -0.7, 0.7, 1.3, 1.3],
        [0.7, 0.7, 0.7, -0.7, -0.7, -0.7],
        [-0.7, -1.3, -0.7, 1.3, -1.3, -0.7],
    ]
)
#: All inputs 1, then all −1; and each combination of six signs once, so that none go together.
X_EQUAL = np.array([[1.0] * 6, [-1.0] * 6])
X_INDEPENDENT = np.array(list(product([-1.0, 1.0], repeat=6)))
#: What the stepper can go through: (inputs, weights) by name.
EXAMPLES = {
    "correlated inputs": (X, W),
    "equal inputs": (X_EQUAL, W),
    "independent inputs": (X_INDEPENDENT, W),
    "the article's X and W": (article.X, article.W),
}
DAMPINGS = (0.0001, 0.001, 0.01, 0.1, 1, 10)


@dataclass(frozen=True, eq=False)
class Walk:
    """GPTQ's way through one example, and plain rounding's beside it.

    w: (in, out). steps: a `GptqStep` for each row. scale: (out,), the step of each column. moved:
    (in, out), where the code is not that of plain rounding. before: W as each step finds it,
    (steps, in, out). gptq, rounded: (steps,), the layer error after each step: the squared
    difference of the outputs, summed over outputs, mean over tokens.
    """

    w: np.ndarray
    steps: tuple
    scale: np.ndarray
    moved: np.ndarray
    before: np.ndarray
    gptq: np.ndarray
    rounded: np.ndarray


@cache
def walk(example, bits, damping):
    """Return the `Walk` through an example of `EXAMPLES`.

    Raises ValueError or TypeError, naming what is allowed, for an unknown example, bits outside
    2..16 or a damping that does not serve.
    """
    x, w = EXAMPLES[one_of("example", example, tuple(EXAMPLES))]
    steps = tuple(gptq_steps(w, hessian(x), bits=bits, damping=damping))
    nearest = quantize_absmax(w, bits, axis=0)
    below, back = np.arange(len(w))[:, None], nearest.dequantize()
    so_far = [np.where(below > step.row, w, back) for step in steps]
    gptq = np.array([_layer_error(x, step.after - w) for step in steps])
    rounded = np.array([_layer_error(x, part - w) for part in so_far])
    before = np.array([w, *(step.after for step in steps[:-1])])
    moved = np.array([step.codes for step in steps]) != nearest.codes
    return Walk(w, steps, nearest.scale.ravel(), moved, before, gptq, rounded)


def _layer_error(x, change):
    return float(np.sum((x @ change) ** 2) / len(x))


def best_answer(h, lost):
    """Return the change of weight 2 that makes up best for what weight 1 lost.

    h: (2, 2), the Hessian of two inputs. lost: what rounding took from weight 1.

    >>> best_answer([[2.0, 1.5], [1.5, 2.0]], 0.4)
    0.30000000000000004
    """
    h = _two_by_two(h)
    return float(lost * h[0, 1] / h[1, 1])


def pair_error(h, lost, answer):
    """Return the layer error of two weights: half the quadratic form of (lost, -answer).

    What weight 2 gains, answer, counts against what weight 1 lost. h, lost: as for `best_answer`.
    """
    h = _two_by_two(h)
    return (h[0, 0] * lost**2 - 2 * h[0, 1] * lost * answer + h[1, 1] * answer**2) / 2


def _two_by_two(h):
    h = matrix("h", h)
    if h.shape != (2, 2):
        raise ValueError(f"h must be the Hessian of two inputs, (2, 2), got {h.shape}")
    return h
