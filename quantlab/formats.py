"""Floating-point formats as data: one definition that encodes and decodes them all.

A value is (-1)^sign * 2^(exponent - bias) * (1 + mantissa / 2^mantissa_bits); where the stored
exponent is 0, it is (-1)^sign * 2^(1 - bias) * (mantissa / 2^mantissa_bits): a subnormal.
"""

from collections import namedtuple
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ._checks import one_of, real_array, whole

#: What the largest codes mean. ieee: exponent all ones is infinity (mantissa 0) or NaN; finite
#: numbers beyond the largest become infinity. nan: only all ones is NaN, there is no infinity
#: and what is too large becomes NaN. none: every code is a number, what is too large saturates.
SPECIALS = ("ieee", "nan", "none")


Fields = namedtuple("Fields", "sign exponent mantissa kind")
Fields.__doc__ = "A code's parts as stored; kind: zero, subnormal, normal, infinity or nan."


@dataclass(frozen=True)
class MiniFloat:
    """A binary floating-point format: 1 sign bit, the exponent bits, the mantissa bits.

    exponent_bits: 1 to 11, mantissa_bits: 0 to 52 (2 and 1 at least with infinities), bias: at
    most 1023. specials: one of `SPECIALS`. Methods take a number or an array of any shape.
    Sources: IEEE 754-2019, section 3.4; Micikevicius et al. 2022, FP8 Formats for Deep Learning;
    OCP Microscaling Formats (MX) Specification v1.0, section 5.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    bias: int
    specials: str = "ieee"

    def __post_init__(self):
        ieee = one_of("specials", self.specials, SPECIALS) == "ieee"
        whole("exponent_bits", self.exponent_bits, 2 if ieee else 1, 11)
        whole("mantissa_bits", self.mantissa_bits, 1 if ieee else 0, 52)
        whole("bias", self.bias, 2**self.exponent_bits - 1025, 1023)

    @property
    def width(self):
        """All bits of a code: sign, exponent and mantissa."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def dtype(self):
        """The smallest unsigned NumPy type that holds a code."""
        return np.dtype(f"u{next(n for n in (1, 2, 4, 8) if self.width <= 8 * n)}")

    @property
    def max(self):
        """The largest finite value."""
        return float(self.decode(self._max_code))

    @property
    def smallest_normal(self):
        """The smallest value above 0 with a leading 1: below it precision fades."""
        return 2.0 ** (1 - self.bias)

    @property
    def smallest_subnormal(self):
        """The smallest value above 0 (in a format without mantissa bits, the smallest normal)."""
        return 2.0 ** (1 - self.bias - self.mantissa_bits)

    @property
    def epsilon(self):
        """The gap between 1 and the next larger value."""
        return 2.0**-self.mantissa_bits

    @property
    def _max_code(self):
        top = (1 << (self.width - 1)) - 1
        reserved = {"ieee": 1 << self.mantissa_bits, "nan": 1, "none": 0}
        return top - reserved[self.specials]

    @property
    def _nan_code(self):
        if self.specials == "ieee":  # a quiet NaN: the top mantissa bit is set
            return self._max_code + 1 + (1 << (self.mantissa_bits - 1))
        # A format without NaN has nothing to say for it; ml_dtypes answers with minus zero.
        return self._max_code + 1 if self.specials == "nan" else 1 << (self.width - 1)

    def encode(self, x):
        """Return the code of the nearest value of the format, ties to the even code.

        x: real numbers of any shape, infinity and NaN included. Returns unsigned integers of the
        same shape. Subnormals and the sign of zero are kept; overflow and NaN are as in `SPECIALS`.
        Raises TypeError for what is not a real number.

        >>> hex(FP16.encode(20.23)), FP8_E4M3.encode([448.0, 464.0, 464.1]).tolist()
        ('0x4d0f', [126, 126, 127])
        """
        x, kind = self._source(real_array("x", x))
        size, mantissa = 8 * kind.itemsize, np.finfo(kind).nmant
        source = x.view(f"u{kind.itemsize}")
        unsigned = source.dtype.type
        magnitude = source & unsigned(2 ** (size - 1) - 1)
        shift = mantissa - self.mantissa_bits
        rebias = (np.finfo(kind).maxexp - 1 - self.bias) << self.mantissa_bits
        codes = np.array(magnitude)
        if shift:  # half to even: add just under half, and 1 more if the code would be odd
            odd = ((magnitude >> unsigned(shift)) ^ unsigned(rebias & 1)) & unsigned(1)
            codes += odd + unsigned(2 ** (shift - 1) - 1)
            codes >>= unsigned(shift)
        small = magnitude < kind.type(self.smallest_normal).view(source.dtype)
        codes -= unsigned(rebias)  # wraps around where `small`, which is overwritten next
        if shift or rebias:
            # A number so large that its last place is the smallest subnormal does the rounding.
            anchor = kind.type(self.smallest_subnormal * 2.0**mantissa)
            counted = (magnitude[small].view(kind) + anchor).view(source.dtype)
            codes[small] = counted - anchor.view(source.dtype)
        else:
            codes[small] = magnitude[small]
        infinity = unsigned((2 ** (size - 1 - mantissa) - 1) << mantissa)
        too_large = (magnitude >= infinity) | (codes > self._max_code)
        beyond = {"ieee": self._max_code + 1, "nan": self._nan_code, "none": self._max_code}
        codes[too_large] = beyond[self.specials]
        codes |= (source >> unsigned(size - 1)) << unsigned(self.width - 1)
        nan = magnitude > infinity
        if nan.any():
            codes[nan] = (codes[nan] & unsigned(1 << (self.width - 1))) ^ unsigned(self._nan_code)
        return codes.astype(self.dtype)[()]

    def decode(self, codes):
        """Return the exact values of `codes` as float64, in the same shape.

        Raises TypeError for codes that are not integers, ValueError for one outside the format.

        >>> FP4_E2M1.decode([0, 1, 2, 3, 4, 5, 6, 7]).tolist()
        [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
        """
        codes = self._check_codes(codes)
        if self.width <= 16:
            return _decode_table(self)[codes]
        return self._decode(codes)

    def round(self, x):
        """Return the nearest values of the format, as float64: ``decode(encode(x))``.

        >>> FP16.round(202.3), BF16.round(202.3), FP32.round(202.3)
        (202.25, 202.0, 202.3000030517578)
        """
        return _plain(self.decode(self.encode(x)))

    def bits(self, x):
        """Return the bits of the nearest code as text, "sign exponent mantissa".

        A number gives a string, an array gives an array of strings.

        >>> FP16.bits(20.23)
        '0 10011 0100001111'
        """
        codes = np.asarray(self.encode(x))
        texts = [self._text(int(code)) for code in codes.ravel()]
        return texts[0] if codes.ndim == 0 else np.array(texts, dtype=str).reshape(codes.shape)

    def fields(self, x):
        """Return the `Fields` of the nearest code: the integers as stored, and what they mean.

        >>> FP16.fields(20.23)
        Fields(sign=0, exponent=19, mantissa=271, kind='normal')
        """
        codes = np.asarray(self.encode(x)).astype(np.int64)
        sign, exponent, mantissa = self._parts(codes)
        magnitude = codes & ((1 << (self.width - 1)) - 1)
        kind = np.where(exponent > 0, "normal", np.where(mantissa > 0, "subnormal", "zero"))
        kind = np.where(magnitude > self._max_code, "nan", kind)
        if self.specials == "ieee":
            kind = np.where(magnitude == self._max_code + 1, "infinity", kind)
        return Fields(*(_plain(part) for part in (sign, exponent, mantissa, kind)))

    def spacing(self, x):
        """Return the gap from the nearest value of the format to the next one away from zero.

        At the largest value it is the gap that would follow; for infinity and NaN it is NaN.

        >>> FP16.spacing(2023), BF16.spacing(2023), FP16.spacing(202.3), BF16.spacing(202.3)
        (1.0, 8.0, 0.125, 1.0)
        """
        fields = self.fields(x)
        exponent = np.maximum(fields.exponent, 1)
        gap = np.ldexp(1.0, exponent - self.bias - self.mantissa_bits)
        return _plain(np.where(np.isin(fields.kind, ("infinity", "nan")), np.nan, gap))

    def finite_values(self):
        """Return every finite value of a format of up to 16 bits, ascending, zero once."""
        if self.width > 16:
            raise ValueError(f"{self.name} has 2^{self.width} codes; only up to 2^16 are listed")
        table = _decode_table(self)
        return np.unique(table[np.isfinite(table)]) + 0.0

    def _source(self, x):
        """Return x and the type whose bits are rounded: float32 where it holds the format."""
        narrow = x.dtype.itemsize <= 4 and self.exponent_bits <= 8 and -100 <= self.bias <= 127
        if x.dtype.itemsize > 8:
            raise TypeError(f"x must be float64 or narrower, got {x.dtype}")
        exact = self.mantissa_bits < 23 or (self.mantissa_bits, self.bias) == (23, 127)
        kind = np.dtype(np.float32 if narrow and exact else np.float64)
        return np.ascontiguousarray(x, dtype=kind).reshape(x.shape), kind

    def _parts(self, codes):
        mantissa = codes & ((1 << self.mantissa_bits) - 1)
        exponent = (codes >> self.mantissa_bits) & ((1 << self.exponent_bits) - 1)
        return (codes >> (self.width - 1)) & 1, exponent, mantissa

    def _decode(self, codes):
        sign, exponent, mantissa = self._parts(codes)
        hidden = (exponent > 0).astype(np.int64) << self.mantissa_bits
        power = np.maximum(exponent, 1) - self.bias - self.mantissa_bits
        with np.errstate(over="ignore"):  # the codes of FP64's infinity and NaN, set below
            values = np.ldexp((mantissa + hidden).astype(np.float64), power)
        magnitude = codes & ((1 << (self.width - 1)) - 1)
        values = np.where(magnitude > self._max_code, np.nan, values)
        if self.specials == "ieee":
            values = np.where(magnitude == self._max_code + 1, np.inf, values)
        return np.copysign(values, np.where(sign == 1, -1.0, 1.0))

    def _check_codes(self, codes):
        array = np.asarray(codes)
        if array.dtype.kind not in "iu":
            raise TypeError(f"codes must be integers, got an array of {array.dtype}")
        for code in (array.min(initial=0), array.max(initial=0)):
            if int(code) < 0 or int(code) >> self.width:
                raise ValueError(f"{self.name} codes are 0 to {2**self.width - 1}, got {code}")
        return array.astype(np.int64)

    def _text(self, code):
        digits = format(code, f"0{self.width}b")
        cut = 1 + self.exponent_bits
        return f"{digits[0]} {digits[1:cut]} {digits[cut:]}".rstrip()


@lru_cache(maxsize=32)
def _decode_table(f):
    """The values of all codes of a format of up to 16 bits: reading a table beats arithmetic."""
    table = f._decode(np.arange(2**f.width, dtype=np.int64))
    table.setflags(write=False)
    return table


def _plain(value):
    """Return a Python number or string for a single value, the array otherwise."""
    value = np.asarray(value)
    return value.item() if value.ndim == 0 else value


FP32 = MiniFloat("FP32", 8, 23, 127)
TF32 = MiniFloat("TF32", 8, 10, 127)
FP16 = MiniFloat("FP16", 5, 10, 15)
BF16 = MiniFloat("BF16", 8, 7, 127)
FP8_E4M3 = MiniFloat("FP8_E4M3", 4, 3, 7, "nan")
FP8_E5M2 = MiniFloat("FP8_E5M2", 5, 2, 15)
FP6_E3M2 = MiniFloat("FP6_E3M2", 3, 2, 3, "none")
FP6_E2M3 = MiniFloat("FP6_E2M3", 2, 3, 1, "none")
FP4_E2M1 = MiniFloat("FP4_E2M1", 2, 1, 1, "none")

#: Every format of the course, by name.
ALL = {
    f.name: f for f in (FP32, TF32, FP16, BF16, FP8_E4M3, FP8_E5M2, FP6_E3M2, FP6_E2M3, FP4_E2M1)
}
