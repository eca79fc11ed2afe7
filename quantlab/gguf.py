"""The block formats of llama.cpp, byte for byte: what the tensors of a .gguf file are made of.

A block is 32 values with one FP16 scale (Q4_0, Q8_0), a power of two (MXFP4) or a table of 16
values (IQ4_NL); or 256 values whose smaller blocks have whole numbers for scales, which share a
scale in turn (Q4_K, Q6_K). The K-quants have no paper. Source: llama.cpp, ggml/src/ggml-quants.c.

All is computed in float32, in C's order: it rounds after each operation, and a last bit can decide
which of two trial scales wins. `_columns` puts the first values of all blocks into one row, their
second ones into the next, so that each NumPy operation serves all blocks and keeps that order.
The bytes are those of libgguf 0.2.2 on x86-64; a build of llama.cpp whose compiler fuses
multiplications and additions may round elsewhere.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from ._checks import as_array, finite_array, one_of, whole
from ._fast.pieces import CHUNK, each, slices

PIECE = 2**17  # values to encode at a time: fewer than elsewhere, since each trial takes its own
SHIFTS = np.array([[0], [2], [4], [6]], np.uint8)  # Q6_K: the upper 2 bits of 4 codes in a byte
LEAST = np.float32(1e-15)  # where scales are looked for, blocks below this become zeros
MXFP4_VALUES = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.float32)
IQ4_NL_VALUES = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32
)


@dataclass(frozen=True)
class BlockType:
    """A block format: its name, the values that share a block, and the bytes of that block."""

    name: str
    values: int
    bytes: int

    @property
    def bits_per_value(self):
        """Bits per value, the scales included."""
        return 8 * self.bytes / self.values


#: The block formats by name.
TYPES = {
    kind.name: kind
    for kind in (
        BlockType("Q4_0", 32, 18), BlockType("Q8_0", 32, 34), BlockType("Q4_K", 256, 144),
        BlockType("Q6_K", 256, 210), BlockType("MXFP4", 32, 17), BlockType("IQ4_NL", 32, 18),
    )
}  # fmt: skip


def encode(x, type, importance=None):
    """Return the bytes of x in llama.cpp's block format `type`: Q4_0, Q8_0, Q4_K, Q6_K ...

    x: real array, finite, rounded to float32; its last axis, the inputs of a torch weight, is cut
    into blocks. importance: a number for each position of that axis, 0 or more, such as the mean
    square of the layer's inputs: errors are weighed by it where scales are looked for. Q8_0 and
    MXFP4 look for none and leave it unused, as llama.cpp does.
    Returns uint8 in the shape of x, but for the last axis: it holds the bytes of its blocks.
    Raises ValueError for another type or importance, a last axis that is not made of whole blocks,
    NaN, infinity, or values that need a scale past FP16's largest, 65504.
    Source: llama.cpp, ggml-quants.c; its importance matrix holds such means.

    >>> encode([[-8.0, 7.0] + 30 * [1.0]], "Q4_0")[0, :4]  # FP16 1.0, then codes less 8: 0|9 ...
    array([  0,  60, 144, 159], dtype=uint8)
    """
    kind, x = TYPES[one_of("type", type, TYPES)], finite_array("x", x)
    if x.ndim == 0 or x.shape[-1] % kind.values:
        needs = f"{type} needs a last axis of whole blocks of {kind.values} values"
        raise ValueError(f"{needs}, got shape {x.shape}")
    with np.errstate(over="ignore"):  # refused here
        rows = finite_array("x in float32", x.astype(np.float32)).reshape(-1, x.shape[-1])
    if importance is not None:
        importance = finite_array("importance", importance).astype(np.float32)
        if importance.shape != x.shape[-1:] or importance.min() < 0:
            got = f"shape {importance.shape}, the smallest {importance.min()}"
            raise ValueError(f"importance must be {x.shape[-1]} numbers, 0 or more; got {got}")
    pieces = slices(len(rows), max(1, PIECE // rows.shape[1]))
    blocks = each(partial(_encode, ENCODERS[type], rows, importance), pieces)
    return np.concatenate(blocks).reshape(*x.shape[:-1], -1)


def decode(blocks, type, shape=None):
    """Return the values of blocks, float32: the way back from `encode`, as llama.cpp computes it.

    blocks: uint8 array whose last axis holds whole blocks. shape: of the result; None: that of
    blocks, with values on the last axis.
    Raises ValueError for another type, other blocks, or a shape with another number of values.
    Source: llama.cpp, ggml-quants.c.

    >>> decode(encode([[-8.0, 7.0] + 30 * [1.0]], "Q4_0"), "Q4_0")[0, :3]
    array([-8.,  7.,  1.], dtype=float32)
    """
    kind, blocks = TYPES[one_of("type", type, TYPES)], np.atleast_1d(as_array("blocks", blocks))
    if blocks.dtype != np.uint8 or blocks.shape[-1] % kind.bytes:
        needs = f"{type} needs uint8 with a last axis of whole blocks of {kind.bytes} bytes"
        raise ValueError(f"{needs}, got {blocks.dtype} of shape {blocks.shape}")
    if shape is None:
        shape = (*blocks.shape[:-1], blocks.shape[-1] // kind.bytes * kind.values)
    raw = np.ascontiguousarray(blocks).reshape(-1, kind.bytes)
    shape = tuple(whole("shape", length, 0) for length in np.atleast_1d(as_array("shape", shape)))
    if math.prod(shape) != len(raw) * kind.values:
        raise ValueError(f"shape must hold {len(raw) * kind.values} values, got {shape}")
    values = np.empty((len(raw), kind.values), np.float32)
    pieces = slices(len(raw), CHUNK // kind.values)
    each(partial(_decode, DECODERS[type], raw, values), pieces)
    return values.reshape(shape)


@np.errstate(over="ignore", invalid="ignore")  # foreign bytes may hold an infinite scale
def _decode(decoder, raw, values, part):
    values[part] = decoder(raw[part]).reshape(-1, values.shape[1])


@np.errstate(all="ignore")  # 1/0 and the like are met where they arise, or refused by _half
def _encode(encoder, rows, importance, part):
    return encoder(rows[part], importance)


def _columns(rows, size):
    """Return (size, blocks): value i of every block in row i."""
    return np.ascontiguousarray(rows.reshape(-1, size).T)


def _sum(a):
    """Add along the first axis, one after the other."""
    total = a[0].copy()
    for row in a[1:]:
        total += row
    return total


def _peak(x):
    """Return the value of largest magnitude in each column, the first of equals; 0, never -0."""
    return np.take_along_axis(x, np.abs(x).argmax(axis=0)[None], axis=0)[0] + np.float32(0)


def _rounded(x, low, high):
    """Round half to even, into low to high."""
    return np.clip(np.rint(x), low, high)


def _half(d):
    """Return numbers as FP16, two bytes each."""
    half = d.astype("<f2")
    if not np.isfinite(half).all():
        got = d.flat[np.argmin(np.isfinite(half))]
        raise ValueError(f"x is too large for this type: a scale of {got}, and FP16 ends at 65504")
    return half.view(np.uint8).reshape(-1, 2)


def _unhalf(raw):
    """Return FP16 numbers of two bytes as float32, one to a row."""
    return np.ascontiguousarray(raw).view("<f2").astype(np.float32)


def _nibbles(codes):
    """Pack the last axis: its first half into the lower 4 bits of bytes, the second above."""
    low, high = np.split(codes.astype(np.uint8), 2, axis=-1)
    return low | high << 4


def _unnibbles(raw):
    """Return the lower 4 bits of the bytes, then the upper ones, on the last axis."""
    return np.concatenate([raw & 15, raw >> 4], axis=-1)


def _q8_0(rows, importance):
    """Codes of 8 bits, the largest magnitude 127; halves are rounded away from 0, by C's roundf."""
    x = rows.reshape(-1, 32)
    d = np.abs(x).max(axis=1, keepdims=True) / 127
    scaled = x * np.where(d == 0, 0, 1 / d)
    codes = np.trunc(scaled)
    codes += np.sign(scaled) * (np.abs(scaled - codes) >= 0.5)
    codes = np.where(np.isfinite(scaled), codes, 0)  # 1/d can be infinite: FP16 holds no such d
    return np.hstack([_half(d), codes.astype(np.int8).view(np.uint8)])


def _q4_0(rows, importance):
    """Codes of 4 bits: the largest magnitude, with its sign, is -8; or the scale is looked for."""
    x = _columns(rows, 32)
    if importance is None:
        d = _peak(x) / -8
        inverse = np.where(d == 0, 0, 1 / d)
        codes = np.where(np.isfinite(inverse), np.minimum(np.trunc(x * inverse + 8.5), 15), 0)
    else:
        d, codes = _symmetric_scale(x, _columns(_weigh(rows, importance, 1), 32), 8)
    return np.hstack([_half(d), _nibbles(codes.T)])


def _mxfp4(rows, importance):
    """The nearest of 16 values times a power of two, which brings the largest to 8 or above."""
    x = _columns(rows, 32)
    least, codes = np.abs(x), np.zeros(x.shape, np.uint8)
    peak = least.max(axis=0)
    # The logarithm is rounded to float32, which may lift it to the next whole number, as in C.
    exponent = np.floor(np.log2(peak.astype(np.float64)).astype(np.float32)) + 125
    exponent = np.where(peak > 0, exponent, 0).astype(np.int32).astype(np.uint8)  # wraps, as in C
    for code, value in enumerate(MXFP4_VALUES):
        error = np.abs(value * _power(exponent) - x)
        codes[error < least] = code
        least = np.minimum(error, least)
    return np.hstack([exponent[:, None], _nibbles(codes.T)])


def _power(exponent):
    """Return half of the power of two that a byte of MXFP4 stands for: its values are doubled."""
    return np.ldexp(np.float32(1), exponent.astype(np.int32) - 128)


def _iq4_nl(rows, importance):
    """The nearest of 16 uneven values times a scale, the best of 16 trials."""
    x = _columns(rows, 32)
    weights = x * x
    if importance is not None:
        weights = _columns(_weigh(rows.reshape(-1, 32), importance, 2), 32)
    peak = _peak(x)
    trials = [1 / (peak / 127), *((np.float32(i) - 127) / peak for i in range(-7, 8))]
    d, _ = _best_scale(x, weights, trials, _iq4_nl_values)
    d = np.where(np.abs(peak) < LEAST, 0, d)
    codes = _iq4_nl_codes(x * np.where(d == 0, 0, 1 / d))
    return np.hstack([_half(d), _nibbles(codes.T)])


def _iq4_nl_codes(scaled):
    """Return the codes of the nearest values, a tie to the upper one.

    The points half-way between them are whole or half numbers: floor(2 x) says which were passed.
    """
    middle = (IQ4_NL_VALUES[1:] + IQ4_NL_VALUES[:-1]) / 2
    table = np.searchsorted(middle, np.arange(-256, 256) / 2, side="right").astype(np.uint8)
    return table.take(np.clip(np.floor(2 * scaled), -256, 255).astype(int) + 256, mode="clip")


def _iq4_nl_values(scaled):
    return IQ4_NL_VALUES[_iq4_nl_codes(scaled)]


def _weigh(x, importance, factor):
    """Return importance, over and over, * sqrt(factor * mean square of the row + x squared)."""
    mean = factor * _sum((x * x).T) / np.float32(x.shape[1])
    return np.resize(importance, x.shape) * np.sqrt(mean[:, None] + x * x)


def _best_scale(x, weights, inverses, grid):
    """Return, for each column, the scale of least weighted square error, and the trial it is from.

    With the grid values q that a trial rounds to, least squares gives sum(w x q) / sum(w q q) as
    the scale, which takes (sum(w x q))**2 / sum(w q q) off the error. The first trial is the one
    to beat.
    """
    best, scale, inverse = np.float32(0), np.float32(0), inverses[0]
    for trial, candidate in enumerate(inverses):
        q = grid(x * candidate)
        # C multiplies in one order here and in another there, and each product is rounded.
        along = _sum(weights * q * x if grid is _iq4_nl_values else weights * x * q)
        square = _sum(weights * q * q)
        better = (square > 0) & ((trial == 0) | (along * along > best * square))
        scale = np.where(better, along / square, scale)
        best = np.where(better, scale * along, best)
        inverse = np.where(better, candidate, inverse)
    return scale, inverse


def _symmetric_scale(x, weights, top):
    """Return the scale of each column for codes from -top to top - 1, and its codes plus top."""
    peak, grid = _peak(x), partial(_rounded, low=-top, high=top - 1)
    trials = [0, *(np.float32(0.1) * i for i in range(-9, 10) if i)]
    scale, inverse = _best_scale(x, weights, [-(top + i) / peak for i in trials], grid)
    tiny = np.abs(peak) < LEAST
    return np.where(tiny, 0, scale), np.where(tiny, 0, grid(x * inverse) + top)


def _q6_k(rows, importance):
    """Codes of 6 bits in blocks of 16, whose scales are steps of 8 bits of one FP16 number.

    Bytes: the lower 4 bits of the codes (128), the upper 2 bits (64), scales (16), FP16 d (2).
    """
    x = _columns(rows, 16)
    weights = x * x if importance is None else _columns(np.resize(importance, rows.shape), 16)
    scale, codes = _symmetric_scale(x, weights, 32)
    scale = _columns(scale, 16)
    peak = _peak(scale)
    d = np.where(np.abs(peak) < LEAST, 0, 1 / (-128 / peak))
    whole = np.where(d == 0, 0, np.minimum(np.rint(-128 / peak * scale), 127))
    halves = _half(d)
    step = (_unhalf(halves) * whole.T).ravel()
    codes = np.where(step == 0, codes, _rounded(x / step, -32, 31) + 32)
    codes = codes.T.reshape(-1, 2, 128).astype(np.uint8)
    codes[d == 0] = 0
    high = codes.reshape(-1, 2, 4, 32) >> 4 << SHIFTS
    parts = [_nibbles(codes & 15), np.bitwise_or.reduce(high, axis=2), whole.T.astype(np.int8)]
    parts = [part.reshape(len(halves), -1).view(np.uint8) for part in parts]
    return np.hstack([*parts, halves])


def _q4_k(rows, importance):
    """Codes of 4 bits in blocks of 32, scale and minimum as steps of 6 bits of two FP16 numbers.

    Bytes: FP16 d and dmin (2 and 2); eight scales and eight minimums (12): four scales, then four
    minimums, each with the upper 2 bits of the fourth next one on top, and four bytes of the rest,
    a scale's lower 4 bits below a minimum's; the codes (128).
    """
    x = _columns(rows, 32)
    if importance is None:
        weights = np.sqrt(_sum(x * x) / 32) + np.abs(x)
        trials = [np.float32(0.1) * i + np.float32(-1) for i in range(21)]
    else:
        weights = _columns(_weigh(rows.reshape(-1, 256), importance, 2), 32)
        trials = [np.float32(0.05) * i + np.float32(-0.9) for i in range(37)]
    *pair, codes = _scale_and_minimum(x, weights, trials)
    share = _share_by_largest if importance is None else _share_by_search
    shared = [share(_columns(part, 8), _columns(_sum(weights), 8)) for part in pair]
    halves = [_half(d) for d, _ in shared]
    whole = [q.T.astype(np.uint8) for _, q in shared]
    step, low = ((_unhalf(d) * q).ravel() for d, q in zip(halves, whole, strict=True))
    codes = np.where(step == 0, codes, _rounded((x + low) / step, 0, 15))
    (s, s_high), (m, m_high) = (np.split(q, 2, axis=1) for q in whole)
    scales = [s | s_high >> 4 << 6, m | m_high >> 4 << 6, s_high & 15 | m_high << 4]
    return np.hstack([*halves, *scales, _nibbles(codes.T.reshape(-1, 64)).reshape(-1, 128)])


def _scale_and_minimum(x, weights, trials):
    """Return scale and -minimum of each column by weighted least squares, and codes of 0 to 15."""
    low, high = np.minimum(x.min(axis=0), 0), x.max(axis=0)
    flat = high == low
    sum_w, sum_x = _sum(weights), _sum(weights * x)
    scale, codes = 1 / (15 / (high - low)), _codes_from(x, low, 15 / (high - low))
    least = _sum(weights * (scale * codes + low - x) ** 2)
    for trial in trials:
        q = _codes_from(x, low, (trial + 15) / (high - low))  # from the best minimum so far
        wq = weights * q
        sum_q, sum_qq, sum_qx = _sum(wq), _sum(wq * q), _sum(wq * x)
        determinant = sum_w * sum_qq - sum_q * sum_q
        a = (sum_w * sum_qx - sum_x * sum_q) / determinant
        b = (sum_qq * sum_x - sum_q * sum_qx) / determinant
        a, b = np.where(b > 0, sum_qx / sum_qq, a), np.minimum(b, 0)
        error = _sum(weights * (a * q + b - x) ** 2)
        better = (determinant > 0) & (error < least)
        new = (error, least), (a, scale), (b, low), (q, codes)
        least, scale, low, codes = (np.where(better, *both) for both in new)
    return np.where(flat, 0, scale), -low, np.where(flat, 0, codes)


def _codes_from(x, low, inverse):
    """Return codes of 0 to 15 above `low`; 0 where 1/step is infinite, as C has it."""
    return _rounded(np.where(np.isfinite(inverse), inverse, 0) * (x - low), 0, 15)


def _share_by_largest(x, weights):
    """Return the step with which the largest of 8 numbers is 63, and each number in steps."""
    top = x.max(axis=0)
    fits = (top > 0) & np.isfinite(63 / top)
    return np.maximum(top, 0) / 63, np.where(fits, np.minimum(np.rint(63 / top * x), 63), 0)


def _share_by_search(x, weights):
    """The same by weighted least squares: the best of 9 steps, then five rounds of mending."""
    top, least, inverse = x.max(axis=0), np.float32(np.inf), np.float32(0)
    for trial in (0, -4, -3, -2, -1, 1, 2, 3, 4):
        candidate = (np.float32(0.1) * trial + 63) / top
        difference = x - 1 / candidate * np.minimum(np.rint(candidate * x), 63)
        error = _sum(weights * difference * difference)
        inverse = np.where(error < least, candidate, inverse)
        least = np.minimum(error, least)
    q = np.minimum(np.rint(inverse * x), 63)
    along, square = _sum(weights * x * q), _sum(weights * q * q)
    for i in [*range(8)] * 5:
        w, wx = weights[i], weights[i] * x[i]
        others, square_others = along - wx * q[i], square - w * q[i] * q[i]
        new = np.minimum(np.rint(x[i] * square_others / others), 63)
        a, b = others + wx * new, square_others + w * new * new
        better = (others > 0) & (square_others > 0) & (new != q[i])
        better &= a * a * square > along * along * b
        q[i] = np.where(better, new, q[i])
        along, square = np.where(better, a, along), np.where(better, b, square)
    none = (top < LEAST) | ~(square > 0)
    return np.where(none, 0, along / square), np.where(top < LEAST, 0, q)


def _from_q4_k(raw):
    s, m, last = np.split(raw[:, 4:16], 3, axis=1)
    scales = np.hstack([s & 63, last & 15 | s >> 6 << 4])
    lows = np.hstack([m & 63, last >> 4 | m >> 6 << 4])
    codes = _unnibbles(raw[:, 16:].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    d, low = _unhalf(raw[:, :2]) * scales, _unhalf(raw[:, 2:4]) * lows
    values = d[..., None] * codes
    return np.subtract(values, low[..., None], out=values)


def _from_q6_k(raw):
    low = _unnibbles(raw[:, :128].reshape(-1, 2, 64)).reshape(-1, 2, 4, 32)
    high = raw[:, 128:192].reshape(-1, 2, 1, 32) >> SHIFTS & 3
    codes = (low | high << 4).reshape(-1, 16, 16).view(np.int8) - np.int8(32)
    return (_unhalf(raw[:, 208:]) * raw[:, 192:208].view(np.int8))[..., None] * codes


ENCODERS = {"Q4_0": _q4_0, "Q8_0": _q8_0, "Q4_K": _q4_k, "Q6_K": _q6_k, "MXFP4": _mxfp4,
            "IQ4_NL": _iq4_nl}  # fmt: skip
DECODERS = {
    "Q4_0": lambda raw: _unhalf(raw[:, :2]) * (_unnibbles(raw[:, 2:]).view(np.int8) - np.int8(8)),
    "Q8_0": lambda raw: _unhalf(raw[:, :2]) * raw[:, 2:].view(np.int8),
    "Q4_K": _from_q4_k,
    "Q6_K": _from_q6_k,
    "MXFP4": lambda raw: _power(raw[:, :1]) * MXFP4_VALUES[_unnibbles(raw[:, 1:])],
    "IQ4_NL": lambda raw: _unhalf(raw[:, :2]) * IQ4_NL_VALUES[_unnibbles(raw[:, 2:])],
}
