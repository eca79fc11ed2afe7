"""Block-wise codes from a table of values: NF4, FP4 and double quantization.

One scale, the largest magnitude (absmax), serves each block of consecutive values; each value over
that scale becomes the number of the nearest table entry. The bytes are those of bitsandbytes on a
CPU, ties and rounding included. Sources: Dettmers et al. 2023, QLoRA, section 3; Dettmers et al.
2022, 8-bit Optimizers via Block-wise Quantization, section 2.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ._checks import finite_array, whole
from ._torch_order import linspace, mean
from .memory import bits_per_weight

NESTED_BLOCK = 256  # scales that share one scale of their own in double quantization
CHUNK = 2**16  # values worked on at a time: small enough to stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Codebook:
    """A table of values in [-1, 1], in the order of their codes: 16 values or 256.

    Raises ValueError for another length or values that are not finite or leave [-1, 1].
    """

    name: str
    values: np.ndarray

    def __post_init__(self):
        values = finite_array("values", self.values).astype(np.float32)
        if values.shape not in ((16,), (256,)):
            raise ValueError(f"a codebook has 16 or 256 values, got shape {values.shape}")
        if np.abs(values).max() > 1:
            raise ValueError(f"values must lie in -1 to 1, got {values[np.abs(values).argmax()]}")
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    @property
    def bits(self):
        """Bits of a code: 4 or 8."""
        return 4 if self.values.size == 16 else 8

    @cached_property
    def order(self):
        """The codes in ascending order of their values (equal values by code)."""
        return np.argsort(self.values, kind="stable").astype(np.uint8)

    @cached_property
    def boundaries(self):
        """The points half-way between neighbouring values, ascending, in float32."""
        ascending = self.values[self.order]
        return (ascending[:-1] + ascending[1:]) * np.float32(0.5)


@dataclass(frozen=True, eq=False)
class Blockwise:
    """Block-wise codes: value = codebook[code] * absmax of its block.

    codes: uint8, flat; 4-bit codes packed two to a byte, the first in the high half (an odd
    count is padded). absmax: (blocks,) float32, as decoding uses it. nested: with double
    quantization, the absmax less `offset`, quantized to 8 bits in blocks of 256; else None.
    """

    codes: np.ndarray
    absmax: np.ndarray
    codebook: Codebook
    block_size: int
    shape: tuple
    nested: "Blockwise | None" = None
    offset: float = 0.0

    def dequantize(self):
        """Return the values that the codes stand for, float32 in the original shape."""
        count = int(np.prod(self.shape))
        if self.codebook.bits == 8:
            values = self.codebook.values[self.codes]
        else:  # one look-up gives the two values of a byte
            pairs = np.empty((256, 2), np.float32)
            pairs[:, 0] = np.repeat(self.codebook.values, 16)
            pairs[:, 1] = np.tile(self.codebook.values, 16)
            values = pairs.view(np.uint64)[:, 0][self.codes].view(np.float32)[:count]
        full = count - count % self.block_size
        head = values[:full].reshape(-1, self.block_size)
        head *= self.absmax[: len(head), None]
        values[full:] *= self.absmax[-1]
        return values.reshape(self.shape)

    def unpack(self):
        """Return the codes one to an element, uint8 in the original shape."""
        if self.codebook.bits == 8:
            return self.codes.reshape(self.shape)
        codes = np.stack([self.codes >> 4, self.codes & 15], axis=1).ravel()
        return codes[: int(np.prod(self.shape))].reshape(self.shape)

    @property
    def bits_per_value(self):
        """Bits per value, the scales included (one partial block and the offset are not)."""
        return bits_per_weight(f"int{self.codebook.bits}", self.block_size, self.nested is not None)


def quantize_blockwise(x, codebook=None, block_size=64, double_quant=False):
    """Quantize x block by block with a table of values (a codebook), NF4 if none is named.

    x: real array of any shape, finite; blocks of `block_size` run along the flattened array, as it
    is stored, and the last one may be shorter. A tie takes the lower value. double_quant: store
    the absmax themselves in 8 bits, less their mean (QLoRA, section 3).
    Returns `Blockwise`. Raises TypeError for a codebook that is not a `Codebook`, ValueError for
    NaN, infinity, an empty array, a block size below 1, or double_quant with an 8-bit codebook.
    Source: Dettmers et al. 2023, QLoRA, section 3.

    >>> b = quantize_blockwise([0.0, -2.0, 1.0, 0.5], block_size=4)
    >>> b.unpack(), b.absmax, b.dequantize()
    (array([ 7,  0, 12, 10], dtype=uint8), array([2.], dtype=float32),
     array([ 0.        , -2.        ,  0.88141966,  0.4922246 ], dtype=float32))
    """
    codebook = NF4 if codebook is None else codebook
    if not isinstance(codebook, Codebook):
        raise TypeError(f"codebook must be a Codebook: NF4, FP4 or DYNAMIC8, got {codebook!r}")
    block_size = whole("block_size", block_size, 1)
    x = finite_array("x", x)
    if double_quant and codebook.bits == 8:
        raise ValueError("double_quant goes with 4-bit codebooks; an 8-bit one is what it uses")
    if np.abs(x).max() > np.finfo(np.float32).max:
        raise ValueError(f"x must fit float32, got {x.flat[np.abs(x).argmax()]}")
    flat = np.ascontiguousarray(x, dtype=np.float32).ravel()
    absmax = _block_absmax(flat, block_size)
    encode = _encode_4bit if codebook.bits == 4 else _encode_8bit
    codes = encode(flat, absmax, codebook, block_size)
    if not double_quant:
        return Blockwise(codes, absmax, codebook, block_size, x.shape)
    offset = mean(absmax)
    nested = quantize_blockwise(absmax - offset, DYNAMIC8, NESTED_BLOCK)
    return Blockwise(
        codes, nested.dequantize() + offset, codebook, block_size, x.shape, nested, offset
    )


def _block_absmax(flat, block_size):
    full = flat.size - flat.size % block_size
    blocks = flat[:full].reshape(-1, block_size)
    absmax = np.maximum(blocks.max(axis=1), -blocks.min(axis=1)) + np.float32(0)  # no minus zero
    if full == flat.size:
        return absmax
    return np.append(absmax, np.abs(flat[full:]).max())


def _encode_4bit(flat, absmax, codebook, block_size):
    """Count, for each scaled value, the boundaries below it; pack the codes two to a byte."""
    if flat.size % block_size:  # the library clamps, and keeps, a short last block's absmax
        absmax[-1] = max(absmax[-1], np.float32(1e-38))
    codes = np.empty((flat.size + 1) // 2, np.uint8)
    chunk = block_size * max(1, CHUNK // block_size)
    chunk *= 1 + chunk % 2  # an even number of values fills whole bytes
    for start in range(0, flat.size, chunk):
        scaled = _scale(flat[start : start + chunk], absmax, start, block_size)
        rank = np.zeros(scaled.size + scaled.size % 2, np.uint8)
        for boundary in codebook.boundaries:
            rank[: scaled.size] += boundary < scaled
        code = codebook.order[rank]
        if scaled.size % 2:
            code[-1] = codebook.order[np.count_nonzero(codebook.boundaries < 0)]
        codes[start // 2 : (start + chunk) // 2] = code[::2] << 4 | code[1::2]
    return codes


def _encode_8bit(flat, absmax, codebook, block_size):
    """Look each scaled value up in a table of 65,536 bins, as the library does: not the nearest."""
    ascending = codebook.values[codebook.order]
    middle = (ascending[:-1] + ascending[1:]) / np.float32(2)
    bins = np.float32(-1) + np.float32(2) * np.arange(65536, dtype=np.float32) / np.float32(65535)
    table = codebook.order[np.searchsorted(middle, bins, side="left")]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = np.repeat(np.float32(1) / absmax, block_size)[: flat.size]
        scaled = np.clip(flat * inverse, -1, 1)
    scaled[np.isnan(scaled)] = -1  # 0 times infinity: an all-zero block gets code 0
    half, top = np.float32(0.5), np.float32(65535)
    return table[((scaled + np.float32(1)) * half * top + half).astype(np.int32)]


def _scale(values, absmax, start, block_size):
    """Return values over the absmax of their blocks: times the reciprocal, as the library does.

    Only a short last block really divides; the last bit can differ.
    """
    first, count = start // block_size, -(-values.size // block_size)
    peak = absmax[first : first + count]
    full = values.size - values.size % block_size
    inverse = np.float32(1) / np.maximum(peak, np.float32(1e-38))
    scaled = np.empty_like(values)
    blocks = values[:full].reshape(-1, block_size)
    np.multiply(blocks, inverse[: len(blocks), None], out=scaled[:full].reshape(blocks.shape))
    if full < values.size:
        scaled[full:] = values[full:] / peak[-1]
    return np.clip(scaled, -1, 1, out=scaled)


def _dynamic_values():
    """The 256 values of the dynamic 8-bit map: for 7 decades, ever more points between .1 and 1.

    Source: Dettmers et al. 2022, 8-bit Optimizers via Block-wise Quantization, section 1.3.
    """
    values = [0.0, 1.0]
    for decade in range(7):
        edges = linspace(0.1, 1.0, 2**decade + 1)
        middles = (edges[:-1] + edges[1:]) / np.float32(2)
        scaled = np.float32(10.0 ** (decade - 6)) * middles
        values += [*scaled, *-scaled]
    return np.sort(np.array(values, np.float32))


#: NormalFloat4: quantiles of a normal distribution, scaled to [-1, 1], with an exact 0.
NF4 = Codebook("NF4", np.array([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
], np.float32))  # fmt: skip

_FP4_HALF = np.array([0, 0.0625, 8, 12, 4, 6, 2, 3], np.float32) / np.float32(12)

#: bitsandbytes' 4-bit float: eight magnitudes, and codes 8 to 15 the same with a minus sign.
FP4 = Codebook("FP4", np.concatenate([_FP4_HALF, -_FP4_HALF]))

#: The 8-bit map of the nested scales, dense near 0.
DYNAMIC8 = Codebook("DYNAMIC8", _dynamic_values())
