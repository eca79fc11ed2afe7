"""A layer in sixteen values of any table, and what one large weight does to its block."""

from dataclasses import dataclass

import numpy as np

from .. import errors
from .._checks import one_of, positive, whole
from ..codebooks import FP4, NF4, Codebook, quantize_blockwise

#: Notebook 04's absmax with 4 bits as a table: -7/7 ... 7/7, and one code that is never used.
INT4 = Codebook("int4", np.append(np.arange(-7, 8), 7) / 7)
CODEBOOKS = {"NF4": NF4, "FP4": FP4, "int4": INT4}
BLOCK_SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096)  # those that bitsandbytes serves
DRAWN = 32  # weights of a block that are drawn; the smallest block has as many
BINS = 80


@dataclass(frozen=True, eq=False)
class Exploration:
    """A layer in 4 bits in which one weight was given another size.

    Sizes are in typical sizes: the standard deviation of the layer.

    outlier: that weight. neighbours: 31 weights of its block, and back: what they come back as.
    places: the levels of the block. counts: of all weights over the absmax of their block, in
    `BINS` bins from -1 to 1. bits: per weight, scales included. The outlier itself aside, error
    is the relative error of the layer, block_error that of its block, lost the share of its block
    that comes back as 0 and was not.
    """

    codebook: Codebook
    block_size: int
    outlier: float
    neighbours: np.ndarray
    back: np.ndarray
    places: np.ndarray
    counts: np.ndarray
    bits: float
    error: float
    block_error: float
    lost: float

    @property
    def absmax(self):
        """The largest magnitude in the block of the outlier, in typical weights."""
        return float(np.abs(self.places).max())


def explore(weights, block_size=64, codebook="NF4", outlier=6.0, double_quant=False):
    """Return the `Exploration` of a layer whose middle weight is made `outlier` typical weights.

    weights: real array of at least 4096 values; its standard deviation is the typical weight.
    codebook: a name in `CODEBOOKS`. block_size: 32 or more, so that a block holds what is drawn.
    Raises ValueError for other names, smaller blocks or arrays, or a size that is negative.
    """
    table = CODEBOOKS[one_of("codebook", codebook, CODEBOOKS)]
    whole("block_size", block_size, DRAWN)
    positive("outlier", outlier, or_zero=True)
    flat = np.array(weights, dtype=np.float32).ravel()
    if flat.size < max(BLOCK_SIZES):
        raise ValueError(f"weights must hold {max(BLOCK_SIZES)} values or more, got {flat.size}")
    typical = float(flat.std())
    place = flat.size // 2 // DRAWN * DRAWN
    flat[place] = outlier * typical
    q = quantize_blockwise(flat, table, block_size, double_quant)
    back, first = q.dequantize(), place // block_size
    peak = np.repeat(np.maximum(q.absmax, np.float32(1e-38)), block_size)[: flat.size]
    bins = ((flat / peak + 1) * (BINS / 2)).astype(np.int64)
    flat[place] = back[place] = 0  # a zero that comes back as zero adds to no error
    mine = slice(first * block_size, (first + 1) * block_size)
    drawn = slice(place + 1, place + DRAWN)
    return Exploration(
        codebook=table,
        block_size=block_size,
        outlier=outlier,
        neighbours=flat[drawn] / typical,
        back=back[drawn] / typical,
        places=np.unique(table.values) * float(q.absmax[first]) / typical,
        counts=np.bincount(bins.clip(0, BINS - 1), minlength=BINS),
        bits=q.bits_per_value,
        error=errors.relative(back, flat),
        block_error=errors.relative(back[mine], flat[mine]),
        lost=np.count_nonzero((back[mine] == 0) & (flat[mine] != 0)) / (block_size - 1),
    )
