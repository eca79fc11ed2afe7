"""Blocks of floats with a shared scale, quickly: piece by piece on all cores."""

import numpy as np

from . import formats
from .pieces import CHUNK, each, slices


def _pieces(rows, size):
    """Return the rows as blocks, (blocks, size), and slices of them that fit the cache."""
    return rows.reshape(-1, size), slices(rows.size // size, max(1, CHUNK // 4 // size))


def amax(rows, size):
    """Return the largest magnitude of each block, in the shape of the rows' blocks."""
    blocks, pieces = _pieces(rows, size)
    peaks = np.empty(len(blocks), np.float32)

    def one(part):
        # Magnitudes sort as their bits do, and integers need no care for NaN, the largest of all.
        bits = (blocks[part].view(np.int32) & 0x7FFFFFFF).ravel()
        peaks[part] = np.maximum.reduceat(bits, np.arange(0, bits.size, size)).view(np.float32)

    each(one, pieces)
    return peaks.reshape(len(rows), -1)


def encode(rows, size, divide, scales, element):
    """Return the codes of the rows: `divide`, a ufunc, takes each block and its scale."""
    blocks, pieces = _pieces(rows, size)
    scales, codes = scales.reshape(-1, 1), np.empty(blocks.shape, element.dtype)
    top, saturates = np.float32(element.max), element.specials == "none"

    @np.errstate(all="ignore")
    def one(part):
        values = divide(blocks[part], scales[part])
        if not saturates:
            np.clip(values, -top, top, out=values)
        codes[part] = formats.encode_flat(element, values.ravel()).reshape(values.shape)

    each(one, pieces)
    return codes.reshape(rows.shape)


def decode(codes, size, scale_codes, decoded, table):
    """Return the values of codes, (rows, columns): looked up, times the scale of their block.

    decoded: from codes of scales to their values; a piece at a time, they take little memory.
    """
    blocks, pieces = _pieces(codes, size)
    scale_codes, values = scale_codes.reshape(-1, 1), np.empty(blocks.shape, np.float32)

    @np.errstate(all="ignore")
    def one(part):
        table.take(blocks[part], out=values[part], mode="clip")
        values[part] *= decoded(scale_codes[part])

    each(one, pieces)
    return values.reshape(codes.shape)


def pack(codes):
    """Return codes of 4 bits two to a byte: both lie in one 16-bit number, whose halves fold."""
    pairs = codes.view("<u2").ravel()
    packed = np.empty(pairs.size, np.uint8)

    def one(part):
        packed[part] = pairs[part] | pairs[part] >> 4

    each(one, slices(pairs.size, CHUNK // 4))
    return packed.reshape(*codes.shape[:-1], -1)
