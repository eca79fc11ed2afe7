"""Checks on arguments, each with an error that names the value and what is allowed."""

import numbers
import sys

import numpy as np


def whole(name, value, low=None, high=None, most=None):
    """Return `value` as an int from low to high. A bool or a float with a fraction is refused.

    most: what nobody means to pass: more would take hours, or all memory.
    """
    limits = f"at least {low}" if high is None else f"{low} to {high}"
    allowed = "a whole number" + (f", {limits}" if low is not None else "")
    if not -np.inf < _number(name, value, allowed) < np.inf or value != int(value):
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")
    if low is not None and (value < low or (high is not None and value > high)):
        raise ValueError(f"{name} must be {limits}, got {shown(value)}")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most}, got {shown(value)}")
    return int(value)


def positive(name, value, or_zero=False):
    """Return `value`, a number above 0 (0 too, if `or_zero`) that a float holds, as Python's own.

    NumPy's narrow floats would go on computing in their own width: 60000 in FP16, twice, is inf.
    """
    allowed = f"a finite number, {'0 or more' if or_zero else 'above 0'}"
    number = _number(name, value, allowed)
    if isinstance(number, np.floating):  # beside a float16 or float32 the limit would overflow
        number = float(number)
    if not (0 < number <= sys.float_info.max or (or_zero and number == 0)):
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")
    if isinstance(value, numbers.Rational):
        return int(value) if isinstance(value, numbers.Integral) else value
    return float(value)


def _number(name, value, allowed):
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be {allowed}, got {shown(value)}")
    return value


def flag(name, value):
    """Return `value` as a bool. Nothing else is one: the string "False" would count as true."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def shown(value):
    """Return `value` as an error shows it: in one line, and not longer than a sentence."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    text = " ".join(repr(value).split())
    return text if len(text) <= 120 else f"{text[:80]} ... ({type(value).__name__})"


def one_of(name, value, allowed):
    """Return `value` if it is one of the strings in `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        kind = ValueError if isinstance(value, str) else TypeError
        raise kind(f"{name} must be one of {', '.join(allowed)}, got {shown(value)}")
    return value


def text(name, value):
    """Return `value` if it is a string."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {type(value).__name__}: {shown(value)}")
    return value


def plain(name, value):
    """Return a tensor of torch as an array, without its gradient; all else as it is.

    bfloat16 and narrower kinds become float32, which holds all of their values. torch itself is
    not needed: a tensor brings the methods along.
    """
    if not hasattr(value, "detach"):
        return value
    if value.device.type == "meta":
        why = "is on torch's meta device: it has a shape, but no numbers. Load its weights first"
    elif "strided" not in str(value.layout):
        why = f"is a {value.layout} tensor: pass {name}.to_dense()"
    elif getattr(value, "quant_state", None) is not None:
        why = "holds packed codes of bitsandbytes: pass what its dequantize_4bit returns"
    else:
        unknown = value.is_floating_point() and value.dtype.itemsize < 4
        unknown = unknown and str(value.dtype) != "torch.float16"  # to NumPy
        return (value.float() if unknown else value).numpy(force=True)
    raise TypeError(f"{name} {why}")


def as_array(name, value):
    """Return what NumPy makes of `value`. A mask would be lost, so a masked array is refused."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: pass {name}.filled(...) or {name}.compressed()")
    try:
        return np.asarray(plain(name, value))
    except ValueError as error:
        raise ValueError(f"{name} needs rows of equal length, got {shown(value)}") from error


def real_array(name, value):
    """Return `value` as a floating-point array; float16 and float32 keep their width."""
    array = as_array(name, value)
    kind = array.dtype.kind
    # ml_dtypes' formats (bfloat16, float8 ...) have kind "V" too, but a type of their own.
    if kind not in "biufV" or array.dtype.type is np.void:
        got = f"{shown(array.flat[0])}, " if kind == "O" and array.size else ""
        raise TypeError(f"{name} must hold real numbers, got {got}an array of {array.dtype}")
    if kind == "f" and array.dtype.itemsize > 8:
        raise TypeError(f"{name} must be float64 or narrower, got {array.dtype}")
    wide = {"f": array.dtype.newbyteorder("="), "V": np.dtype(np.float32)}.get(
        kind, np.dtype(np.float64)
    )
    return array.astype(wide, copy=False)


def finite_array(name, value):
    """Return `value` as a real array that is not empty and holds no NaN or infinity."""
    array = real_array(name, value)
    if array.size == 0:
        raise ValueError(f"{name} is empty (shape {array.shape}); at least one value is needed")
    # A minimum and a maximum see every NaN and infinity and need no array of flags.
    if not (np.isfinite(array.min()) and np.isfinite(array.max())):
        where = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        spot = ", ".join(map(str, where))
        raise ValueError(f"{name} must be finite, got {array[where]} at index ({spot})")
    return array


def matrix(name, value):
    """Return `value` as a finite matrix."""
    array = finite_array(name, value)
    if array.ndim != 2:
        raise ValueError(f"{name} must be a matrix (2 dimensions), got shape {array.shape}")
    return array


def same_inner(x, w, x_name="x", w_name="w"):
    """Check that the product of matrices `x` and `w` exists."""
    if x.shape[1] != w.shape[0]:
        needed = (
            f"{x_name} needs as many columns as {w_name} has rows: {x.shape[1]} != {w.shape[0]}"
        )
        raise ValueError(f"{needed} (shapes {x.shape} and {w.shape})")
