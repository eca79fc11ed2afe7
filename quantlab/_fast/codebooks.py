"""Block-wise codes, quickly: memory is read once and written once, on all cores."""

import numpy as np

from .pieces import CHUNK, each, slices


def encode(flat, codebook, block_size, least):
    """Return the codes, 4-bit ones packed, and the absmax of the blocks of a flat array."""
    absmax = np.empty(-(-flat.size // block_size), np.float32)
    codes = np.empty(-(-flat.size // 2), np.uint8)

    @np.errstate(all="ignore")  # what is not finite is refused once the absmax are there
    def one(part):
        values = flat[part].astype(np.float32, copy=False)
        # Magnitudes sort as their bits do, and integers need no care for NaN: twice as fast.
        bits = values.view(np.int32) & 0x7FFFFFFF
        peaks = np.maximum.reduceat(bits, np.arange(0, bits.size, block_size)).view(np.float32)
        own = slice(part.start // 2, -(-part.stop // 2))
        codes[own] = _codes(values, peaks, codebook, block_size, least)
        absmax[part.start // block_size : -(-part.stop // block_size)] = peaks

    each(one, slices(flat.size, _step(block_size)))
    return codes, absmax


def _step(block_size):
    """Return a number of values for a piece: whole blocks, and an even number for whole bytes."""
    step = block_size * max(1, CHUNK // 2 // block_size)  # half: each is compared 15 times at once
    return step * (1 + step % 2)


def _codes(values, peaks, codebook, block_size, least):
    """Count, for each scaled value, the boundaries below it, and pack: ``searchsorted`` in effect.

    Fast because 15 comparisons have no branch; a search for each value has four to mispredict.
    """
    rest = values.size % block_size
    if rest:  # the library clamps, and keeps, a short last block's absmax
        peaks[-1] = np.maximum(peaks[-1], least)
    scaled = values * np.repeat(np.float32(1) / np.maximum(peaks, least), block_size)[: values.size]
    if rest:  # and there it really divides: the last bit can differ
        scaled[-rest:] = values[-rest:] / peaks[-1]
    rank = (codebook.boundaries[:, None] < scaled).view(np.uint8).sum(axis=0, dtype=np.uint8)
    if rank.size % 2:  # padded with a zero
        rank = np.append(rank, np.uint8(np.count_nonzero(codebook.boundaries < 0)))
    if np.any(np.diff(codebook.order) != 1):
        rank = codebook.order.take(rank)
    pairs = rank.view("<u2")  # two codes, the first in the low half; only the low byte is kept
    return pairs << 4 | pairs >> 8


def decode(codes, absmax, codebook, block_size, count):
    """Return the first `count` values of packed codes: one look-up gives both values of a byte."""
    table = codebook.values
    pairs = np.stack([np.repeat(table, 16), np.tile(table, 16)], axis=1).view(np.uint64)[:, 0]
    entries = np.empty(codes.size, np.uint64)
    values = entries.view(np.float32)

    def one(part):
        own = slice(part.start // 2, -(-part.stop // 2))
        pairs.take(codes[own], out=entries[own], mode="clip")
        peaks = absmax[part.start // block_size : -(-part.stop // block_size)]
        values[part] *= np.repeat(peaks, block_size)[: part.stop - part.start]

    each(one, slices(count, _step(block_size)))
    return values[:count]
