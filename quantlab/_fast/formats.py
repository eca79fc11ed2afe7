"""Casts to narrow floating-point formats, quickly: a value's bits, rounded as whole numbers."""

import numpy as np

from .pieces import CHUNK, each, slices


def encode(form, x):
    """Return the codes of `x` in a `MiniFloat`, piece by piece on all cores."""
    source, flat, codes = _source(form, x), x.ravel(), np.empty(x.size, form.dtype)

    def one(part):
        codes[part] = encode_flat(form, flat[part].astype(source, copy=False))

    each(one, slices(x.size, CHUNK))
    return codes.reshape(x.shape)


def _source(form, x):
    """Return the type whose bits are rounded: float32 where it holds x and the format."""
    narrow = x.dtype.itemsize <= 4 and form.exponent_bits <= 8 and -100 <= form.bias <= 127
    exact = form.mantissa_bits < 23 or (form.mantissa_bits, form.bias) == (23, 127)
    return np.float32 if narrow and exact else np.float64


def encode_flat(form, x):
    """Return the codes of a flat float array.

    Fast because every value takes the same steps in the same memory, without a branch: it is
    rounded both as a normal number and as a subnormal one, and the larger result is right.
    """
    digits, bits = np.finfo(x.dtype).nmant, x.view(f"i{x.itemsize}")
    code, other, small = np.empty((3, x.size), bits.dtype)
    shift = digits - form.mantissa_bits
    rebias = (np.finfo(x.dtype).maxexp - 1 - form.bias) << digits
    np.bitwise_and(bits, np.iinfo(bits.dtype).max, out=code)
    limit = (form.beyond_code << shift) + rebias
    infinity = x.dtype.type(np.inf).view(bits.dtype)
    special = code.max() > min(limit, infinity - 1)
    if special:
        np.clip(code, 0, min(limit, infinity), out=code)
    if rebias:
        _round_subnormals(form, code.view(x.dtype), small.view(x.dtype))
        code -= rebias
    if shift:  # half to even: add just under half, and 1 more if the code would be odd
        np.right_shift(code, shift, out=other)
        other &= 1
        code += other
        code += 2 ** (shift - 1) - 1
        code >>= shift
    if rebias:
        np.maximum(code, small, out=code)
    return _with_sign(form, x, code, other, special)


def _round_subnormals(form, magnitude, out):
    """Count smallest subnormals: beside a number whose last place is one, a sum is rounded."""
    anchor = np.array(form.smallest_subnormal * 2.0 ** np.finfo(out.dtype).nmant, out.dtype)
    np.clip(magnitude, 0, out.dtype.type(form.smallest_normal), out=out)
    out += anchor
    bits = out.view(f"i{out.itemsize}")
    bits -= anchor.view(bits.dtype)


def _with_sign(form, x, code, other, special):
    code, sign, source = (array.view(f"u{x.itemsize}") for array in (code, other, x))
    np.right_shift(source, 8 * x.itemsize - 1, out=sign)
    sign <<= form.width - 1
    code |= sign
    if special:
        infinite, nan = np.isinf(x), np.isnan(x)
        code[infinite] = sign[infinite] | form.beyond_code
        code[nan] = sign[nan] ^ form.nan_code
    return code
