"""Floating-point formats as data: one definition that encodes and decodes them all.

A value is (-1)^sign * 2^(exponent - bias) * (1 + mantissa / 2^mantissa_bits); where the stored
exponent is 0, it is (-1)^sign * 2^(1 - bias) * (mantissa / 2^mantissa_bits): a subnormal.
"""

from collections import namedtuple
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import numpy as np

from . import _fast
from ._checks import as_array, one_of, real_array, text, whole
from ._fast import formats as quick

#: What the largest codes mean. ieee: exponent all ones is infinity (mantissa 0) or NaN; finite
#: numbers beyond the largest become infinity. nan: only all ones is NaN, there is no infinity
#: and what is too large becomes NaN. none: every code is a number, what is too large saturates.
SPECIALS = ("ieee", "nan", "none")

KINDS = np.array(["zero", "subnormal", "normal", "infinity", "nan"])
Fields = namedtuple("Fields", "sign exponent mantissa kind")
Fields.__doc__ = "A code's parts as stored; kind: zero, subnormal, normal, infinity or nan."


@dataclass(frozen=True)
class MiniFloat:
    """A binary floating-point format: 1 sign bit, the exponent bits, the mantissa bits.

    exponent_bits: 1 to 10, mantissa_bits: 0 to 52 (with infinities 2 to 11 and 1 to 52; NaN alone
    needs 1 beside 1 bit of exponent), bias: at most 1023, and no value past float64's largest.
    specials: one of `SPECIALS`. Methods take a number or an array of any shape.
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
        exponent_bits = whole("exponent_bits", self.exponent_bits, 1 + ieee, 10 + ieee)
        # all ones is NaN or infinity: of 1 bit of exponent, mantissa bits have to leave a number
        least = int(ieee or (self.specials == "nan" and self.signed and exponent_bits == 1))
        mantissa_bits = whole("mantissa_bits", self.mantissa_bits, least, 52)
        bias = whole("bias", self.bias, 2**exponent_bits - 1024 - ieee, 1023)
        parts = text("name", self.name), exponent_bits, mantissa_bits, bias
        for field, value in zip(
            ("name", "exponent_bits", "mantissa_bits", "bias"), parts, strict=True
        ):
            object.__setattr__(self, field, value)  # NumPy's integers would overflow as codes

    signed = True  # not a field: only `Exponents` has no sign

    @property
    def width(self):
        """All bits of a code: sign, exponent and mantissa."""
        return self.signed + self.exponent_bits + self.mantissa_bits

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
    def beyond_code(self):
        """The code of what is too large: infinity, NaN or the largest number, as in `SPECIALS`."""
        return self._max_code + (self.specials != "none")

    @property
    def nan_code(self):
        """The code of NaN, or of minus zero where the format has none: as ml_dtypes answers."""
        if self.specials == "ieee":  # a quiet NaN: the top mantissa bit is set
            return self._max_code + 1 + (1 << (self.mantissa_bits - 1))
        return self._max_code + 1 if self.specials == "nan" else 1 << (self.width - 1)

    def encode(self, x):
        """Return the code of the nearest value of the format, ties to the even code.

        x: real numbers of any shape, infinity and NaN included. Returns unsigned integers of the
        same shape. Subnormals and the sign of zero are kept; overflow and NaN are as in `SPECIALS`.
        Raises TypeError for what is not a real number.

        >>> hex(FP16.encode(20.23)), FP8_E4M3.encode([448.0, 464.0, 464.1]).tolist()
        ('0x4d0f', [126, 126, 127])
        """
        x = _as_floats(self, x)
        # the quick form adds 2^52 times the smallest subnormal, and takes a sign
        if _fast.pays(x) and self.signed and self.smallest_subnormal < 2.0**971:
            return quick.encode(self, x)
        with np.errstate(invalid="ignore"):  # a signalling NaN says so when it is cast
            return self._encode(x.astype(np.float64))

    def _encode(self, x):
        """Find the power of two below x, count steps of its mantissa, and limit the count.

        A count that reaches the next power of two needs no care: its carry is the right exponent.
        """
        finite = np.isfinite(x)
        magnitude = np.where(finite, np.abs(x), 0)
        normal = magnitude >= self.smallest_normal
        exponent = np.where(normal, np.frexp(magnitude)[1] - 1, 1 - self.bias)
        base = (exponent + self.bias - 1).astype(np.int64) << self.mantissa_bits
        odd = base % 2  # without mantissa bits an odd base turns round which count is even
        steps = np.rint(np.ldexp(magnitude, self.mantissa_bits - exponent) - odd) + odd
        codes = np.minimum(base + steps.astype(np.int64), self.beyond_code)
        codes = np.where(finite, codes, self.beyond_code).astype(np.uint64)
        sign = np.signbit(x).astype(np.uint64) << np.uint64(self.width - 1)
        nan = sign ^ np.uint64(self.nan_code)
        return np.where(np.isnan(x), nan, sign | codes).astype(self.dtype)[()]

    def decode(self, codes):
        """Return the exact values of `codes` as float64, in the same shape.

        Raises TypeError for codes that are not integers, ValueError for one outside the format.

        >>> FP4_E2M1.decode([0, 1, 2, 3, 4, 5, 6, 7]).tolist()
        [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
        """
        codes = as_array("codes", codes)
        if codes.dtype.kind not in "iu":
            raise TypeError(f"codes must be integers, got an array of {codes.dtype}")
        for code in (int(codes.min(initial=0)), int(codes.max(initial=0))):
            if code < 0 or code >> self.width:
                raise ValueError(f"{self.name} codes are 0 to {2**self.width - 1}, got {code}")
        codes = codes.astype(np.int64)
        return self._table[codes] if self.width <= 16 else self._decode(codes)

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
        digits, cut = [f"{code:0{self.width}b}" for code in codes.flat], self.signed
        cuts = (
            slice(cut),
            slice(cut, cut + self.exponent_bits),
            slice(cut + self.exponent_bits, None),
        )
        texts = [" ".join(d[part] for part in cuts).strip() for d in digits]
        return texts[0] if codes.ndim == 0 else np.array(texts, dtype=str).reshape(codes.shape)

    def fields(self, x):
        """Return the `Fields` of the nearest code: the integers as stored, and what they mean.

        >>> FP16.fields(20.23)
        Fields(sign=0, exponent=19, mantissa=271, kind='normal')
        """
        *parts, kind = self._parts(np.asarray(self.encode(x)).astype(np.int64))
        return Fields(*(_plain(part) for part in (*parts, KINDS[kind])))

    def spacing(self, x):
        """Return the gap from the nearest value of the format to the next one away from zero.

        At the largest value it is the gap that would follow; for infinity and NaN it is NaN.

        >>> FP16.spacing(2023), BF16.spacing(2023), FP16.spacing(202.3), BF16.spacing(202.3)
        (1.0, 8.0, 0.125, 1.0)
        """
        fields = self.fields(x)
        gap = np.ldexp(self.smallest_subnormal, np.maximum(fields.exponent, 1) - 1)
        return _plain(np.where(np.isin(fields.kind, ("infinity", "nan")), np.nan, gap))

    def finite_values(self):
        """Return every finite value of a format of up to 16 bits, ascending, zero once."""
        if self.width > 16:
            raise ValueError(f"{self.name} has 2^{self.width} codes; only up to 2^16 are listed")
        return np.unique(self._table[np.isfinite(self._table)]) + 0.0

    @cached_property
    def _table(self):  # the values of all codes, up to 16 bits: reading a table beats arithmetic
        return self._decode(np.arange(2**self.width, dtype=np.int64))

    def _parts(self, codes):
        """Return sign, exponent and mantissa as stored, and the kind as an index into KINDS."""
        mantissa = codes & ((1 << self.mantissa_bits) - 1)
        exponent = (codes >> self.mantissa_bits) & ((1 << self.exponent_bits) - 1)
        beyond = (codes & ((1 << (self.width - 1)) - 1)) - self._max_code
        special = 3 + ((beyond > 1) | (self.specials != "ieee"))
        kind = np.where(beyond > 0, special, np.where(exponent > 0, 2, mantissa > 0))
        return (codes >> (self.width - 1)) & 1, exponent, mantissa, kind

    def _decode(self, codes):
        sign, exponent, mantissa, kind = self._parts(codes)
        hidden = (exponent > 0).astype(np.int64) << self.mantissa_bits
        power = np.maximum(exponent, 1) - self.bias - self.mantissa_bits
        with np.errstate(over="ignore"):  # the codes of FP64's infinity and NaN, set below
            values = np.ldexp((mantissa + hidden).astype(np.float64), power)
        values = np.where(kind < 3, values, np.where(kind == 3, np.inf, np.nan))
        return np.copysign(values, np.where(sign == 1, -1.0, 1.0))


def _as_floats(form, x):
    """Return x as floats that a format rounds as it would round x: float64 holds 53 bits."""
    array, wide = as_array("x", x), 2**53
    kind = array.dtype.kind
    if kind in "iu":
        far = max(int(array.max(initial=0)), -int(array.min(initial=0))) > wide
    else:  # NumPy makes floats of whole numbers beside others, and objects of those past 64 bits
        far = kind == "O" or (isinstance(x, (list, tuple)) and kind == "f")
        far = far and (kind == "O" or (np.abs(array) > wide).any())
    if not far:
        return real_array("x", array)
    exact = np.array(x, object)
    if not all(_is_held(one) for one in exact.flat):
        return real_array("x", array)  # which refuses it
    with np.errstate(over="ignore"):
        return np.array([_near(form, one) for one in exact.flat], float).reshape(exact.shape)


def _is_held(one):
    """Whether it is a number within float64's range."""
    whole_one = isinstance(one, Integral) and int(one).bit_length() <= 1024
    return whole_one or isinstance(one, (float, np.floating))


def _near(form, number):
    """Return a number as the float that a format rounds as it would round the number.

    What a whole number has below its first 53 bits leaves a 1 in the last of these, so that what is
    just above a tie stays above it: rounded to nearest twice, it would become the tie. A format of
    51 or 52 mantissa bits leaves no room for that 1: the number is rounded to the format's steps.
    """
    if not isinstance(number, Integral) or abs(int(number)) <= 2**53:
        return float(number)
    size = abs(int(number))
    if form.mantissa_bits <= 50:
        cut = size.bit_length() - 53
        kept = (size >> cut) | (size & ((1 << cut) - 1) > 0)
    else:
        cut = max(size.bit_length() - 1, 1 - form.bias) - form.mantissa_bits
        kept, rest = divmod(size, 1 << cut)
        kept += 2 * rest + kept % 2 > 1 << cut
    return np.copysign(np.ldexp(float(kept), cut), -1 if number < 0 else 1)


@dataclass(frozen=True)
class Exponents(MiniFloat):
    """A format of powers of two for scales: exponent bits alone. No sign, no zero; the top is NaN.

    Takes the name and the number of bits. Rounds half up; what is not above 0 and what is too large
    become NaN, what is too small becomes the smallest: as ml_dtypes does it.
    Source: OCP Microscaling Formats (MX) Specification v1.0, section 5.4.1.
    """

    mantissa_bits: int = 0
    bias: int = 127
    specials: str = "nan"
    signed = False

    @property
    def smallest_normal(self):
        """The smallest value."""
        return 2.0**-self.bias

    @property
    def smallest_subnormal(self):
        """The smallest value: there are no subnormals."""
        return self.smallest_normal

    @property
    def _max_code(self):
        return (1 << self.width) - 2

    def _encode(self, x):
        number = (x > 0) & np.isfinite(x)
        mantissa, exponent = np.frexp(np.where(number, x, 1))
        codes = np.maximum(exponent - 1 + self.bias + (mantissa >= 0.75), 0)
        return np.where(number, np.minimum(codes, self.nan_code), self.nan_code).astype(self.dtype)

    def _parts(self, codes):
        kind = np.where(codes > self._max_code, 4, 2)
        return np.zeros_like(codes), codes, np.zeros_like(codes), kind

    def _decode(self, codes):
        return np.where(codes > self._max_code, np.nan, np.ldexp(1.0, codes - self.bias))


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
E8M0 = Exponents("E8M0", 8)  # a scale, not a number of its own: not in ALL

#: Every format of the course, by name.
ALL = {
    f.name: f for f in (FP32, TF32, FP16, BF16, FP8_E4M3, FP8_E5M2, FP6_E3M2, FP6_E2M3, FP4_E2M1)
}
