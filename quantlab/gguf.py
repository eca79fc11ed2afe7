"""The block formats of llama.cpp, byte for byte: what the tensors of a .gguf file are made of.

A block is 32 values with one FP16 scale (Q4_0, Q8_0), a power of two (MXFP4) or a table of 16
values (IQ4_NL); or 256 values whose smaller blocks have whole numbers for scales, which share a
scale in turn (Q4_K, Q6_K). The K-quants have no paper. Source: llama.cpp, ggml/src/ggml-quants.c.

Sums run in float32, one value after the other as in C: float32 rounds after each, and a last bit
can decide which of two trial scales wins. `_columns` puts a block's first values into a row, its
second ones into the next: each NumPy operation serves all blocks at once and keeps that order.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from ._checks import finite_array, one_of
from ._fast.pieces import each, slices

PIECE = 2**16  # values at a time: few enough for the cache, where trials come back to them
LEAST = np.float32(1e-15)  # blocks below this are stored as zeros
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


TYPES = {
    kind.name: kind
    for kind in (
        BlockType("Q4_0", 32, 18), BlockType("Q8_0", 32, 34), BlockType("Q4_K", 256, 144),
        BlockType("Q6_K", 256, 210), BlockType("MXFP4", 32, 17), BlockType("IQ4_NL", 32, 18),
    )
}  # fmt: skip


def encode(x, type, importance=None):
    """Return the bytes of x in llama.cpp's block format `type`: Q4_0, Q8_0, Q4_K, Q6_K ...

    x: real array, finite, computed in float32; its last axis, the inputs of a torch weight, is cut
    into blocks. importance: one number per position of that axis, 0 or more (the mean square of
    the layer's inputs, say): errors are weighed by it where a scale is chosen. Q8_0 and MXFP4 have
    no such choice and leave it unused, as llama.cpp does.
    Returns uint8 of the shape of x, but for the last axis, which holds the bytes of its blocks.
    Raises ValueError for another type or importance, a last axis that is not made of whole blocks,
    NaN, infinity, or values that need a scale past FP16's largest, 65504.
    Source: llama.cpp, ggml-quants.c.

    >>> encode([[-8.0, 7.0] + 30 * [1.0]], "Q4_0")[0, :4]  # FP16 1.0, codes + 8: 9|0, 9|15, 9|9
    array([  0,  60, 144, 159], dtype=uint8)
    """
    kind, x = TYPES[one_of("type", type, ENCODERS)], finite_array("x", x)
    if x.ndim == 0 or x.shape[-1] % kind.values:
        needs = f"{type} needs a last axis of whole blocks of {kind.values} values"
        raise ValueError(f"{needs}, got shape {x.shape}")
    with np.errstate(over="ignore"):
        rows = finite_array("x in float32", x.astype(np.float32)).reshape(-1, x.shape[-1])
    if importance is not None:
        importance = finite_array("importance", importance).astype(np.float32)
        if importance.shape != x.shape[-1:] or importance.min() < 0:
            got = f"shape {importance.shape} and a smallest value of {importance.min()}"
            raise ValueError(f"importance must be {x.shape[-1]} numbers of 0 or more, got {got}")
    pieces = slices(len(rows), max(1, PIECE // rows.shape[1]))
    blocks = each(partial(_encode, ENCODERS[type], rows, importance), pieces)
    return np.concatenate(blocks).reshape(*x.shape[:-1], -1)


def decode(blocks, type, shape=None):
    """Return the values of blocks in float32: the inverse of `encode`, as llama.cpp computes them.

    blocks: uint8 array whose last axis holds whole blocks. shape: of the result; the shape of
    blocks with the values of its last axis, if None.
    Raises ValueError for another type, other bytes, or a shape with another number of values.
    Source: llama.cpp, ggml-quants.c.

    >>> decode(encode([[-8.0, 7.0] + 30 * [1.0]], "Q4_0"), "Q4_0")[0, :3]
    array([-8.,  7.,  1.], dtype=float32)
    """
    kind, blocks = TYPES[one_of("type", type, DECODERS)], np.asarray(blocks)
    if blocks.dtype != np.uint8 or blocks.ndim == 0 or blocks.shape[-1] % kind.bytes:
        needs = f"{type} needs uint8 with a last axis of whole blocks of {kind.bytes} bytes"
        raise ValueError(f"{needs}, got {blocks.dtype} of shape {blocks.shape}")
    count = blocks.size // kind.bytes * kind.values
    shape = (*blocks.shape[:-1], -1) if shape is None else shape
    if -1 not in shape and np.prod(shape) != count:
        raise ValueError(f"shape must hold the {count} values of these blocks, got {shape}")
    raw = np.ascontiguousarray(blocks).reshape(-1, kind.bytes)
    return DECODERS[type](raw).reshape(shape)


@np.errstate(all="ignore")  # 1/0 and the like are met below, or refused by _half
def _encode(encoder, rows, importance, part):
    return encoder(rows[part], importance)


def _columns(rows, size):
    """Return (size, blocks): value i of every block in row i."""
    return np.ascontiguousarray(rows.reshape(-1, size).T)


def _sum(a):
    """Add along the first axis, one after the other, in float32."""
    total = a[0].copy()
    for row in a[1:]:
        total += row
    return total


def _peak(x):
    """Return the value of the largest magnitude of each column, the first of equals; no -0."""
    return np.take_along_axis(x, np.abs(x).argmax(axis=0)[None], axis=0)[0] + np.float32(0)


def _half(d):
    """Return FP16 scales as two bytes each."""
    half = d.astype("<f2")
    if not np.isfinite(half).all():
        raise ValueError("x is too large for this type: a scale passes FP16's largest, 65504")
    return half.view(np.uint8).reshape(-1, 2)


def _unhalf(raw):
    """Return FP16 scales as float32, shape (blocks, 1)."""
    return np.ascontiguousarray(raw).view("<f2").astype(np.float32)


def _nibbles(codes):
    """Pack the last axis: its first half into the low 4 bits of bytes, the second into the high."""
    low, high = np.split(codes.astype(np.uint8), 2, axis=-1)
    return low | high << 4


def _unnibbles(raw):
    return np.concatenate([raw & 15, raw >> 4], axis=-1)


def _q8_0(rows, importance):
    """Codes of 8 bits: absmax over 127; halves round away from zero, as C's roundf does."""
    x = rows.reshape(-1, 32)
    d = np.abs(x).max(axis=1, keepdims=True) / 127
    scaled = x * np.where(d == 0, 0, 1 / d)
    whole = np.trunc(scaled)
    codes = whole + np.sign(scaled) * (np.abs(scaled - whole) >= 0.5)
    codes = np.where(np.isfinite(scaled), codes, 0).astype(np.int8)
    return np.hstack([_half(d), codes.view(np.uint8)])


def _q4_0(rows, importance):
    """Codes of 4 bits: the largest magnitude, with its sign, becomes -8."""
    x = _columns(rows, 32)
    d = _peak(x) / -8
    inverse = np.where(d == 0, 0, 1 / d)
    codes = np.where(np.isfinite(inverse), np.minimum(np.trunc(x * inverse + 8.5), 15), 0)
    return np.hstack([_half(d), _nibbles(codes.T)])


ENCODERS = {"Q4_0": _q4_0, "Q8_0": _q8_0}
DECODERS = {
    "Q4_0": lambda raw: _unhalf(raw[:, :2]) * (_unnibbles(raw[:, 2:]).astype(np.int8) - 8),
    "Q8_0": lambda raw: _unhalf(raw[:, :2]) * raw[:, 2:].view(np.int8),
}
