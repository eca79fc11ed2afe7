"""Block-wise codes from a table of values: NF4, FP4 and double quantization.

One scale, the largest magnitude (absmax), serves each block of consecutive values; each value over
that scale becomes the number of the nearest table entry. The bytes are those of bitsandbytes 0.50
on a CPU, ties and rounding included. Its CUDA kernels have other last places in FP4's boundaries
and look for the nearest of the 8-bit codes, so bytes may differ there. Sources: Dettmers et al.
2023, QLoRA, section 3; Dettmers et al. 2022, 8-bit Optimizers via Block-wise Quantization,
section 2.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import _fast
from ._checks import finite_array, flag, real_array, shown, text, whole
from ._fast import codebooks as quick
from ._fast.torch_order import linspace, mean
from .memory import LONGEST_BLOCK, bits_per_weight

LEAST = np.float32(1e-38)  # the library divides by no smaller absmax
NESTED_BLOCK = 256  # scales that share one scale of their own in double quantization


@dataclass(frozen=True, eq=False)
class Codebook:
    """A table of values in [-1, 1], in the order of their codes: 16 values or 256.

    Raises ValueError for another length or values that are not finite or leave [-1, 1].
    """

    name: str
    values: np.ndarray

    def __post_init__(self):
        text("name", self.name)
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

    @cached_property
    def bins(self):
        """The codes of 65,536 even steps from -1 to 1: the library's 8-bit rule on a CPU."""
        steps = np.float32(-1) + np.float32(2) * np.arange(65536, dtype=np.float32) / 65535
        return self.order[np.searchsorted(self.boundaries, steps, side="left")]


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
        codebook, size, count = self.codebook, self.block_size, int(np.prod(self.shape))
        if codebook.bits == 4 and count >= _fast.MANY:
            values = quick.decode(self.codes, self.absmax, codebook, size, count)
        else:
            values = codebook.values[self.unpack().ravel()] * np.repeat(self.absmax, size)[:count]
        return values.reshape(self.shape)

    def unpack(self):
        """Return the codes one to an element, uint8 in the original shape."""
        codes = self.codes
        if self.codebook.bits == 4:
            codes = np.stack([codes >> 4, codes & 15], axis=1).ravel()[: int(np.prod(self.shape))]
        return codes.reshape(self.shape)

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
    codebook, x = NF4 if codebook is None else codebook, real_array("x", x)
    if not isinstance(codebook, Codebook):
        raise TypeError(f"codebook must be a Codebook: NF4, FP4 or DYNAMIC8, got {shown(codebook)}")
    block_size = whole("block_size", block_size, 1, most=LONGEST_BLOCK)
    if flag("double_quant", double_quant) and codebook.bits == 8:
        raise ValueError("double_quant goes with 4-bit codebooks; an 8-bit one is what it uses")
    if not _fast.pays(x) or codebook.bits == 8:
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            codes, absmax = _encode(finite_array("x", x).ravel(), codebook, block_size)
    else:
        codes, absmax = quick.encode(x.ravel(), codebook, block_size, LEAST)
    if not np.isfinite(absmax).all():  # a maximum lets NaN and infinity through
        x = finite_array("x", x)
        raise ValueError(f"x must fit float32, got {x.flat[np.abs(x).argmax()]}")
    if not double_quant:
        return Blockwise(codes, absmax, codebook, block_size, x.shape)
    with np.errstate(over="ignore"):  # refused
        offset = finite_array("x too large for double_quant: the sum of its absmax", mean(absmax))
    nested = quantize_blockwise(absmax - offset, DYNAMIC8, NESTED_BLOCK)
    absmax = nested.dequantize() + offset
    return Blockwise(codes, absmax, codebook, block_size, x.shape, nested, offset)


def _encode(flat, codebook, block_size):
    """Return the codes, 4-bit ones packed, and the absmax of the blocks."""
    values = flat.astype(np.float32, copy=False)
    absmax = np.maximum.reduceat(np.abs(values), np.arange(0, values.size, block_size))
    if codebook.bits == 8:
        return _bins(values, absmax, codebook, block_size), absmax
    scaled = _scale(values, absmax, block_size)
    codes = codebook.order[np.searchsorted(codebook.boundaries, scaled, side="left")]
    if codes.size % 2:  # padded with a zero
        codes = np.append(codes, codebook.order[np.searchsorted(codebook.boundaries, 0)])
    return codes[::2] << 4 | codes[1::2], absmax


def _scale(values, absmax, block_size):
    """Return each value over its block's absmax, times 1/absmax as the library computes it."""
    inverse = np.float32(1) / np.maximum(absmax, LEAST)
    scaled = values * np.repeat(inverse, block_size)[: values.size]
    rest = values.size % block_size
    if rest:  # a short last block's absmax is clamped and kept, and there the library divides
        absmax[-1] = max(absmax[-1], LEAST)
        scaled[-rest:] = values[-rest:] / absmax[-1]
    return scaled


def _bins(values, absmax, codebook, block_size):
    """Look values up in a table of 65,536 bins, as the library does on a CPU: not the nearest."""
    half, top = np.float32(0.5), np.float32(65535)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = values * np.repeat(np.float32(1) / absmax, block_size)[: values.size]
    # 0 times infinity is NaN, which fmax turns into -1: an all-zero block gets code 0.
    scaled = np.minimum(np.fmax(scaled, np.float32(-1)), np.float32(1))
    return codebook.bins.take(((scaled + np.float32(1)) * half * top + half).astype(np.uint16))


def _dynamic_values():
    """The dynamic map: for 7 decades, ever more points from .1 to 1 (8-bit Optimizers, 1.3)."""
    values = [0.0, 1.0]
    for decade in range(7):
        edges = linspace(0.1, 1.0, 2**decade + 1)
        scaled = np.float32(10.0 ** (decade - 6)) * ((edges[:-1] + edges[1:]) / np.float32(2))
        values += [*scaled, *-scaled]
    return np.sort(np.array(values, np.float32))


#: NormalFloat4: quantiles of a normal distribution, scaled to [-1, 1], with an exact 0.
NF4 = Codebook("NF4", np.array([
    -1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.091050036, 0.0,
    0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0,
], np.float32))  # fmt: skip

_FP4_HALF = np.array([0, 0.0625, 8, 12, 4, 6, 2, 3], np.float32) / np.float32(12)

#: bitsandbytes' 4-bit float: eight magnitudes, and codes 8 to 15 the same with a minus sign.
FP4 = Codebook("FP4", np.concatenate([_FP4_HALF, -_FP4_HALF]))

#: The 8-bit map of the nested scales, dense near 0.
DYNAMIC8 = Codebook("DYNAMIC8", _dynamic_values())
