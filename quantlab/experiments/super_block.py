"""256 weights in a block format of llama.cpp, and what one large weight does to the others."""

from dataclasses import dataclass

import numpy as np

from .. import errors, gguf
from .._checks import one_of, positive

SIZE = 256  # a super-block; eight blocks where a format has blocks of 32
PLACE = 112  # of the weight that is dragged: in the fourth block of 32
BLOCK = slice(96, 128)


@dataclass(frozen=True, eq=False)
class Exploration:
    """256 weights of which one was given another size, encoded in a block format.

    Sizes are in typical sizes: the standard deviation of the layer.

    type: of the format. outlier: the size of that weight. values, back: the weights before and
    after. levels: (levels, 256), the values that the codes of each weight stand for. blocks: the
    bytes. Without the outlier: block_error is the relative error of the 31 others of its block of
    32, other_error that of the 224 outside.
    """

    type: str
    outlier: float
    values: np.ndarray
    back: np.ndarray
    levels: np.ndarray
    blocks: np.ndarray
    block_error: float
    other_error: float

    @property
    def bits(self):
        """Bits per weight, scales included."""
        return gguf.TYPES[self.type].bits_per_value


def explore(weights, type="Q4_K", outlier=6.0):
    """Return the `Exploration` of the first 256 weights, one of them made `outlier` typical sizes.

    weights: real array of at least 256 values. type: a name in `gguf.TYPES`.
    Raises ValueError for another name, a smaller array, or a size that is negative.
    """
    one_of("type", type, gguf.TYPES)
    positive("outlier", outlier, or_zero=True)
    flat = np.asarray(weights, dtype=np.float32).ravel()
    if flat.size < SIZE:
        raise ValueError(f"weights must hold {SIZE} values or more, got {flat.size}")
    typical = float(flat.std())
    x = flat[:SIZE].copy()
    x[PLACE] = outlier * typical
    blocks = gguf.encode(x, type)
    back = gguf.decode(blocks, type)
    inside = np.zeros(SIZE, bool)
    inside[BLOCK] = True
    outside, inside[PLACE] = ~inside, False
    return Exploration(
        type=type,
        outlier=outlier,
        values=x / typical,
        back=back / typical,
        levels=levels(blocks, type) / typical,
        blocks=blocks,
        block_error=errors.relative(back[inside], x[inside]),
        other_error=errors.relative(back[outside], x[outside]),
    )


def levels(blocks, type):
    """Return the values that each code of each weight of some blocks stands for: (codes, weights).

    The codes in the blocks are replaced by one code after another, and decoded.
    """
    kind = gguf.TYPES[type]
    count = {"Q8_0": 256, "Q6_K": 64}.get(type, 16)
    code = np.arange(count, dtype=np.uint8)[:, None, None]
    every = np.tile(np.reshape(blocks, (1, -1, kind.bytes)), (count, 1, 1))
    if type == "Q6_K":  # the lower 4 bits of two codes to a byte, the upper 2 bits of four
        every[..., :128], every[..., 128:192] = (code & 15) * 17, (code >> 4) * 85
    else:
        first = {"MXFP4": 1, "Q4_K": 16}.get(type, 2)
        every[..., first:] = code if type == "Q8_0" else code * 17
    return gguf.decode(every.reshape(count, -1), type)


def scale_words(blocks, type, typical=1.0):
    """Return what is said of each block of 32 of a super-block: its scales, in a few words.

    blocks: the bytes of 256 weights. typical: what a step is measured in.
    """
    raw = np.reshape(blocks, (-1, gguf.TYPES[type].bytes))
    if type == "Q4_K":
        scales, lows = six_bits(raw[0, 4:16])
        return [f"scale {s}, min {m}" for s, m in zip(scales, lows, strict=True)]
    if type == "Q6_K":
        pairs = raw[0, 192:208].view(np.int8).reshape(8, 2)
        return [f"scales {a}, {b}".replace("-", "−") for a, b in pairs]
    if type == "MXFP4":
        return [f"2 to the {exponent - 127}".replace("-", "−") for exponent in raw[:, 0].tolist()]
    scales = raw[:, :2].copy().view("<f2")[:, 0].astype(np.float64) / typical
    return [f"scale {scale:.3g}".replace("-", "−") for scale in scales]


def six_bits(twelve):
    """Return the eight scales and eight minimums, 0 to 63, of the 12 bytes of a Q4_K block."""
    s, m, last = np.split(np.asarray(twelve, np.uint8), 3)
    scales = np.concatenate([s & 63, last & 15 | s >> 6 << 4])
    return scales.tolist(), np.concatenate([m & 63, last >> 4 | m >> 6 << 4]).tolist()
