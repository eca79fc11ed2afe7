"""What a figure is given, checked before anything is drawn: each error names the argument."""

import numpy as np

from quantlab._checks import finite_array, matrix, plain, same_inner, shown, text
from quantlab.formats import MiniFloat


def numbers(name, value, ndim=None):
    """Return `value` as a finite array; ndim: its number of dimensions, None for any."""
    array = finite_array(name, value)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {array.shape}")
    return array


def pair(x, w):
    """Return two matrices, as they are, whose product x @ w exists."""
    same_inner(matrix("x", x), matrix("w", w))
    return np.asarray(plain("x", x)), np.asarray(plain("w", w))


def by_name(name, value, ndim=None):
    """Return a dict from names to finite arrays, at least one; ndim: of each of them."""
    if not isinstance(value, dict) or not value:
        raise TypeError(f"{name} must be a dict from names to numbers, got {shown(value)}")
    for key in value:
        text(f"a key of {name}", key)
    return {key: numbers(f"{name}[{key!r}]", one, ndim) for key, one in value.items()}


def formats(value):
    """Return a list of one `MiniFloat` or more."""
    if not isinstance(value, (list, tuple)) or not value:
        raise TypeError(f"formats must be a list of formats, got {shown(value)}")
    for one in value:
        of_format("one of formats", one)
    return value


def of_format(name, value):
    """Return `value`, a `MiniFloat`."""
    if not isinstance(value, MiniFloat):
        raise TypeError(f"{name} must be a MiniFloat, such as ql.formats.FP16, got {shown(value)}")
    return value


def quantized(value, kind):
    """Return `value`, of the class `kind`: `Quantized` or `Blockwise`."""
    if not isinstance(value, kind):
        raise TypeError(f"quantized must be a {kind.__name__}, got {shown(value)}")
    return value


def result(name, value, *fields):
    """Return `value`, something measured that has all of `fields`."""
    missing = [field for field in fields if not hasattr(value, field)]
    if missing:
        raise TypeError(f"{name} must be a result with {', '.join(missing)}, got {shown(value)}")
    return value


def results(name, value, *fields):
    """Return a list of one thing measured or more, each with all of `fields`."""
    if not isinstance(value, (list, tuple)) or not value:
        raise TypeError(f"{name} must be a list of results, one at least, got {shown(value)}")
    return [result(f"each of {name}", one, *fields) for one in value]


def curves(value, most=4):
    """Check a dict from up to `most` names to lists of (block size, bits, error), and return it."""
    for name, points in by_name("curves", value, 2).items():
        if points.shape[1] != 3:
            raise ValueError(
                f"curves[{name!r}] must hold (block size, bits, error), got shape {points.shape}"
            )
    if len(value) > most:
        raise ValueError(f"curves must be at most {most}, got {len(value)}")
    return value


def results_by_name(name, value, *fields):
    """Return a dict from names to things measured, one at least, each with all of `fields`."""
    if not isinstance(value, dict) or not value:
        raise TypeError(f"{name} must be a dict from names to results, got {shown(value)}")
    for key, one in value.items():
        result(f"{name}[{text(f'a key of {name}', key)!r}]", one, *fields)
    return value
