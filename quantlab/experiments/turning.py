"""A layer with one large input, turned a little or all the way, and rounded on both sides."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from .. import errors
from .._checks import one_of, positive, whole
from ..affine import quantize_absmax, quantized_matmul
from ..transforms import orthogonal

FEATURES, TOKENS, OUTPUTS = 64, 64, 64
OUTLIER_COLUMN = 20
HADAMARD, RANDOM = "Hadamard", "random rotation"
KINDS = (HADAMARD, RANDOM)
WIDTHS = (3, 4, 6)


@dataclass(frozen=True, eq=False)
class Side:
    """One token of a layer, its rounding, and what rounding inputs and weights costs the layer.

    values: (features,), in typical sizes. step: of the token's codes. error: the relative error of
    the product of all tokens.
    """

    values: np.ndarray
    step: float
    error: float

    @property
    def largest(self):
        """The largest magnitude of the token."""
        return float(np.abs(self.values).max())

    @property
    def lost(self):
        """The share of the token's values that get the code 0."""
        return float(np.mean(np.round(self.values / self.step) == 0))

    @property
    def kurtosis(self):
        """The kurtosis of the token."""
        return kurtosis(self.values)


@dataclass(frozen=True, eq=False)
class Turned:
    """A layer before and after a turn. outlier: of the token drawn. share: of the turn, 0 to 1."""

    outlier: float
    share: float
    kind: str
    bits: int
    before: Side
    after: Side


def explore(outlier=20.0, share=1.0, kind=HADAMARD, bits=4):
    """Return the `Turned` of a layer of 64 inputs, one of which is `outlier` in the first token.

    outlier: in typical sizes, 0 or more. share: how much of the turn, 0 to 1. kind: one of `KINDS`.
    bits: of inputs and weights, absmax, a scale for each token and each output.
    Raises ValueError or TypeError, naming what is allowed, for anything else.
    """
    one_of("kind", kind, KINDS)
    positive("outlier", outlier, or_zero=True)
    if positive("share", share, or_zero=True) > 1:
        raise ValueError(f"share must be 0 to 1, got {share}")
    bits = whole("bits", bits, 2, 16)
    x, w = layer(outlier)
    turn = part_of_a_turn(share, kind)
    sides = [_side(x, w, bits), _side(x @ turn, turn.T @ w, bits)]
    return Turned(outlier, share, kind, bits, *sides)


def kurtosis(x, axis=None):
    """Return the mean fourth power over the squared mean square: how far the largest stand out.

    1 if all magnitudes are equal, 3 for normal numbers, n for n numbers of which one is not 0.

    >>> kurtosis([1.0, -1.0, 1.0, 1.0]), kurtosis([4.0, 0.0, 0.0, 0.0])
    (1.0, 4.0)
    """
    squares = np.square(np.asarray(x, np.float64))
    found = np.mean(squares**2, axis=axis) / np.mean(squares, axis=axis) ** 2
    return float(found) if axis is None else found


@cache
def _calm_layer():
    rng = np.random.default_rng(12)
    x, w = rng.standard_normal((TOKENS, FEATURES)), rng.standard_normal((FEATURES, OUTPUTS))
    sizes = rng.uniform(0.6, 1.4, TOKENS) * rng.choice([-1, 1], TOKENS)
    sizes[0] = 1
    return x, w, sizes


def layer(outlier):
    """Return (x, w): normal numbers, but for one column of x, about `outlier` in every token."""
    x, w, sizes = _calm_layer()
    x = x.copy()
    x[:, OUTLIER_COLUMN] = outlier * sizes
    return x, w


def part_of_a_turn(share, kind=HADAMARD, n=FEATURES):
    """Return a rotation (n, n) that goes `share` of the way from none to a whole one.

    HADAMARD: all pairs that differ in one binary digit of their places are turned by `share` times
    45 degrees, one digit after the other; at 1 every entry is 1 or -1 over the root of n. n is a
    power of 2. RANDOM: the power `share` of one that is drawn at random.
    """
    if kind == RANDOM:
        return _power(n, share)
    angle = share * np.pi / 4
    pair = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turn = np.ones((1, 1))
    while len(turn) < n:
        turn = np.kron(turn, pair)
    return turn


def _power(n, share):
    values, vectors = _random_turn(n)
    return (vectors * values**share @ vectors.conj().T).real


@cache
def _random_turn(n):
    """Eigenvalues and eigenvectors of a random rotation: its powers turn part of the way."""
    turn = orthogonal(n, seed=12)
    turn[:, 0] *= np.linalg.det(turn)  # a mirrored one has no real powers
    values, vectors = np.linalg.eig(turn)
    return values, vectors


def _side(x, w, bits):
    codes = quantize_absmax(x, bits, axis=1), quantize_absmax(w, bits, axis=0)
    error = errors.relative(quantized_matmul(*codes), x @ w)
    return Side(x[0], float(codes[0].scale[0, 0]), error)
