"""Two weights, two tokens: the outputs that codes can reach, and who picks which of them.

The outputs of a layer for all codes are the points of a lattice: so many times one arrow, so many
times another. Rounding, GPTQ and the best choice of all pick a point each.
"""

from dataclasses import dataclass

import numpy as np

from .._checks import finite_array, one_of

HEIGHT = 0.4  # of the arrow of weight 1 over that of weight 2, which lies flat and is 1 long
FIRST = ("weight 1", "weight 2")


@dataclass(frozen=True, eq=False)
class Choice:
    """A pair of codes. codes: (2,). point: what they give. error: how far that is from the target.

    cell: the corners of the targets for which this pair is chosen, in order; None for the best.
    reach: the largest error there can be.
    """

    codes: np.ndarray
    point: np.ndarray
    error: float
    cell: np.ndarray | None = None
    reach: float = np.nan


@dataclass(frozen=True, eq=False)
class Lattice:
    """A target among the points of a lattice.

    arrows: (2, 2), row i is what one step of weight i adds to the two outputs. target: (2,). foot:
    where GPTQ stands when its first code is fixed. rounded, gptq, best: a `Choice` each.
    """

    arrows: np.ndarray
    target: np.ndarray
    foot: np.ndarray
    rounded: Choice
    gptq: Choice
    best: Choice


def lattice(lean, weights, first=FIRST[0]):
    """Return the `Lattice` of two weights, in steps, and the arrows (lean, HEIGHT) and (1, 0).

    lean: how far input 1 goes along with input 2; 0 is a right angle. weights: (2,). first: the
    weight that GPTQ rounds first, one of `FIRST`. Raises ValueError for another or what is no pair.
    """
    arrows = np.array([[float(lean), HEIGHT], [1.0, 0.0]])
    weights = finite_array("weights", weights)
    if weights.shape != (2,):
        raise ValueError(f"weights must be two numbers, got shape {weights.shape}")
    order = (0, 1) if one_of("first", first, FIRST) == FIRST[0] else (1, 0)
    target = weights @ arrows
    nearest = np.round(weights)
    codes, foot = _walk(arrows, target, order)
    across, up = _brick(arrows, order)
    cells = [np.array(_corners(*arrows)), np.array(_corners(across, up))]
    rounded, gptq = (
        _choice(codes, arrows, target, cell)
        for codes, cell in zip((nearest, codes), cells, strict=True)
    )
    return Lattice(arrows, target, foot, rounded, gptq, _best(arrows, target, nearest))


def _walk(arrows, target, order):
    """GPTQ's way: fix one code by the nearest line of points, go there, take the nearest on it."""
    one, other = arrows[list(order)]
    _, up = _brick(arrows, order)
    first = np.round(target @ up / (up @ up))  # up is at a right angle to the lines
    foot = target - (target - first * one) @ up / (up @ up) * up
    second = np.round((foot - first * one) @ other / (other @ other))
    codes = np.empty(2)
    codes[list(order)] = first, second
    return codes, foot


def _brick(arrows, order):
    """The sides of GPTQ's cell: along the lines of points, and from one line to the next."""
    one, other = arrows[list(order)]
    return other, one - (one @ other) / (other @ other) * other


def _corners(one, other):
    return [(-one - other) / 2, (one - other) / 2, (one + other) / 2, (other - one) / 2]


def _choice(codes, arrows, target, cell=None):
    point = codes @ arrows
    error = float(np.linalg.norm(target - point))
    if cell is None:
        return Choice(codes.astype(int), point, error)
    reach = float(np.linalg.norm(cell, axis=1).max())
    return Choice(codes.astype(int), point, error, point + cell, reach)


def _best(arrows, target, near):
    """The nearest point of all: of those around `near`, wide enough for every setting here."""
    around = np.array([(i, j) for i in range(-4, 5) for j in range(-8, 9)]) + near
    off = np.linalg.norm(around @ arrows - target, axis=1)
    return _choice(around[off.argmin()], arrows, target)
