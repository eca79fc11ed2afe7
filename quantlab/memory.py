"""How many bytes a model's weights take, and how many devices hold them."""

import math
from fractions import Fraction
from numbers import Rational

from ._checks import flag, one_of, positive, shown, whole

GB = 10**9  # what a disk or an article calls a gigabyte
GiB = 2**30  # what an operating system or a GPU tool often shows under the same name

#: Bits that one value takes, without any scale beside it.
VALUE_BITS = {
    "fp64": 64, "fp32": 32, "tf32": 32, "fp16": 16, "bf16": 16, "fp8": 8, "int8": 8,
    "fp6": 6, "int6": 6, "int5": 5, "fp4": 4, "nf4": 4, "int4": 4, "int3": 3, "int2": 2,
    "mxfp8": 8, "mxfp6": 6, "mxfp4": 4, "nvfp4": 4,
}  # fmt: skip

LONGEST_BLOCK = 2**31 - 1  # as many values as a block of the libraries can have

#: Formats that are defined together with their scale: (values per scale, bits of the scale).
BUILT_IN_SCALE = {"mxfp8": (32, 8), "mxfp6": (32, 8), "mxfp4": (32, 8), "nvfp4": (16, 8)}


def bits_per_weight(format, block_size=None, double_quant=False, scale_bits=32, nested_block=256):
    """Bits that one weight really takes in `format`, its share of the scales included.

    format: a key of `VALUE_BITS`. block_size: values that share one scale of `scale_bits` bits;
    None for no scale (or for the scale that the format has built in). double_quant: the scales
    are themselves 8-bit codes, with one 32-bit scale for every `nested_block` of them.
    The one 32-bit mean per tensor that double quantization keeps is not counted.
    Raises ValueError for an unknown format or a block size that is not a whole number above 0.
    Source: Dettmers et al. 2023, QLoRA, section 3 ("Double Quantization").

    >>> bits_per_weight("nf4", block_size=64), bits_per_weight("nf4", 64, double_quant=True)
    (4.5, 4.126953125)
    """
    bits, double_quant = (
        VALUE_BITS[one_of("format", format, VALUE_BITS)],
        flag("double_quant", double_quant),
    )
    if block_size is None:
        if double_quant:
            raise ValueError("double_quant needs a block_size: without blocks there are no scales")
        size, scale = BUILT_IN_SCALE.get(format, (1, 0))
        return bits + scale / size
    if format in BUILT_IN_SCALE:
        raise ValueError(f"{format} has its scale built in; block_size must be None")
    block_size = whole("block_size", block_size, 1, most=LONGEST_BLOCK)
    if double_quant:
        return (
            bits
            + (8 + 32 / whole("nested_block", nested_block, 1, most=LONGEST_BLOCK)) / block_size
        )
    return bits + positive("scale_bits", scale_bits) / block_size


def weight_bytes(parameters, format, block_size=None, double_quant=False):
    """Bytes that `parameters` weights take in `format`, with the arguments of `bits_per_weight`.

    >>> weight_bytes(176e9, "fp16")
    352000000000.0
    """
    parameters = positive("parameters", parameters, or_zero=True)
    return positive(
        "the size", parameters * bits_per_weight(format, block_size, double_quant) / 8, or_zero=True
    )


def devices_needed(weight_bytes, device_bytes, headroom=0.0):
    """The least number of devices of `device_bytes` that hold `weight_bytes`.

    headroom: the share of each device, 0 to below 1, kept free for activations and the KV cache.
    Numbers count as they are written, so 70% of 24e9 holds 16.8e9: a float of 0.3 is a little less.
    Raises ValueError for sizes below 0 and for a device of 0 bytes.

    >>> devices_needed(352e9, 32e9), devices_needed(352e9, 32e9, headroom=0.05)
    (11, 12)
    >>> devices_needed(16.8e9, 24e9, headroom=0.3)
    1
    """
    if positive("headroom", headroom, or_zero=True) >= 1:
        raise ValueError(f"headroom must be 0 or more and below 1, got {shown(headroom)}")
    usable = _as_written(positive("device_bytes", device_bytes)) * (1 - _as_written(headroom))
    return math.ceil(_as_written(positive("weight_bytes", weight_bytes, or_zero=True)) / usable)


def _as_written(number):
    """Return the shortest decimal that gives `number`, as a fraction: no float noise."""
    return Fraction(number) if isinstance(number, Rational) else Fraction(repr(float(number)))
