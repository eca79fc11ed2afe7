"""Checks on arguments, each with an error that names the value and what is allowed."""

import numbers

import numpy as np


def whole(name, value, low=None, high=None):
    """Return `value` as an int from low to high. A bool or a float with a fraction is refused."""
    limits = f"at least {low}" if high is None else f"{low} to {high}"
    allowed = "a whole number" + (f", {limits}" if low is not None else "")
    if not -np.inf < _number(name, value, allowed) < np.inf or value != int(value):
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    if low is not None and (value < low or (high is not None and value > high)):
        raise ValueError(f"{name} must be {limits}, got {value!r}")
    return int(value)


def positive(name, value, or_zero=False):
    """Return `value`, a finite real number above 0 (0 too, if `or_zero`)."""
    allowed = f"a finite number, {'0 or more' if or_zero else 'above 0'}"
    if not (0 < _number(name, value, allowed) < np.inf or (or_zero and value == 0)):
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    return value


def _number(name, value, allowed):
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be {allowed}, got {value!r}")
    return value


def one_of(name, value, allowed):
    """Return `value` if it is one of the strings in `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        kind = ValueError if isinstance(value, str) else TypeError
        raise kind(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
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


def real_array(name, value):
    """Return `value` as a floating-point array; float16 and float32 keep their width."""
    array = np.asarray(plain(name, value))
    if array.dtype.kind not in "biuf":
        # ml_dtypes' formats (bfloat16, float8 ...) have kind "V" and a cast to float32.
        if array.dtype.kind != "V" or not np.can_cast(array.dtype, np.float32, "unsafe"):
            raise TypeError(f"{name} must hold real numbers, got an array of {array.dtype}")
        return array.astype(np.float32)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


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
