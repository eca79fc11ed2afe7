"""A number in the bits of any format, rounded once from its exact fraction.

``MiniFloat.encode`` starts from a float64, so 1/3 would be rounded twice.
"""

import math
import numbers
import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from quantlab import binary, formats
from quantlab._checks import whole

LONGEST = 1200  # characters of a number as text; minifloat.js has the same limit


@dataclass(frozen=True)
class Integer:
    """A whole-number format of `width` bits (2 to 64); signed is two's complement."""

    width: int
    signed: bool = True

    def __post_init__(self):
        whole("width", self.width, 2, 64)

    @property
    def name(self):
        """As NumPy writes it: int8, uint4."""
        return f"{'' if self.signed else 'u'}int{self.width}"

    def decode(self, code):
        """Return the number that the code (0 to 2^width - 1) stands for."""
        return binary.from_bits(format(int(code), f"0{self.width}b"), signed=self.signed)

    def encode(self, number):
        """Return the code of the nearest whole number, ties to even, ends held; NaN becomes 0."""
        low = -(2 ** (self.width - 1)) if self.signed else 0
        high = low + 2**self.width - 1
        if isinstance(number, float) and not math.isfinite(number):
            kept = 0 if math.isnan(number) else (high if number > 0 else low)
        else:
            kept = min(max(round(Fraction(number)), low), high)
        return kept % 2**self.width


def named(wanted):
    """Return a format by its name, FP16, int8 or uint4; a format comes back as it is.

    Raises ValueError or TypeError that says what is allowed.
    """
    if isinstance(wanted, (formats.MiniFloat, Integer)):
        return wanted
    allowed = f"{', '.join(formats.ALL)}, int2 to int64, uint2 to uint64, a MiniFloat or an Integer"
    if not isinstance(wanted, str):
        raise TypeError(f"format must be {allowed}, got {wanted!r}")
    found = re.fullmatch(r"(u?)int(\d{1,2})", wanted)
    if found and 2 <= int(found[2]) <= 64:
        return Integer(int(found[2]), signed=not found[1])
    if wanted not in formats.ALL:
        raise ValueError(f"format must be {allowed}, got {wanted!r}")
    return formats.ALL[wanted]


def read(number):
    """Return a number as (exact, text): a Fraction, or a float for -0.0, infinity and NaN.

    A float is taken as the decimal that it prints as: 20.23 is 2023/100. Raises TypeError for what
    is no number and no text, ValueError for a text that is none or a number over 1e2000.
    """
    if isinstance(number, (bool, np.bool_)) or not isinstance(number, (numbers.Real, str)):
        raise TypeError(f"value must be a number, or text such as '20.23' or '1/3', got {number!r}")
    text = number.strip() if isinstance(number, str) else _written(number)
    power = re.search(r"e([+-]?\d+)$", text.lower())
    if len(text) > LONGEST or (power and abs(int(power[1])) > 2000):
        raise ValueError(f"value must lie between -1e2000 and 1e2000, got {text[:40]}...")
    try:
        return exact(text), text
    except (ValueError, ZeroDivisionError):
        raise ValueError(
            f"value must be a number, or text such as '20.23', '1e-3' or '1/3', got {number!r}; "
            "for bits set .bits"
        ) from None


def _written(number):
    if isinstance(number, numbers.Rational):
        return str(Fraction(number)) if abs(number) < 10**LONGEST else "9" * (LONGEST + 1)
    return repr(float(number))


def exact(text):
    """Return the number that `text` says, as `read` does, however long it is."""
    if re.fullmatch(r"[+-]?(inf|infinity|nan)", text.lower()):
        return float(text)
    number = Fraction(text)
    return -0.0 if number == 0 and text.startswith("-") else number


def ratio(number):
    """Return an exact number as text that keeps the sign of zero and NaN; `exact` reads it."""
    if isinstance(number, Fraction):
        return str(number)
    return f"{'-' if math.copysign(1, number) < 0 else ''}{abs(number)}"


def nearest(chosen, number):
    """Return (code, text, exact) of what `number`, as `read` takes it, is in format `chosen`."""
    fraction, text = read(number)
    code = encode(chosen, fraction)
    if isinstance(number, (float, np.floating)) and code != int(chosen.encode(float(number))):
        # The float lies on the other side of a midpoint than the decimal that it prints as.
        fraction, text = Fraction(float(number)), f"{float(number):.1100g}"
        code = encode(chosen, fraction)
    return code, text, fraction


def encode(chosen, number):
    """Return the code of the nearest value to an exact number, ties to even."""
    if isinstance(chosen, Integer) or isinstance(number, float):
        return int(chosen.encode(number))
    magnitude = _magnitude_code(chosen, abs(number))
    if magnitude > int(chosen.encode(chosen.max)):
        magnitude = chosen.beyond_code
    return magnitude | (int(number < 0) << (chosen.width - 1))


def _magnitude_code(chosen, size):
    """Round as if exponents went on for ever: codes count the values upwards."""
    if size == 0:
        return 0
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= size < Fraction(2) ** exponent
    lowest = 1 - chosen.bias
    kept = max(exponent, lowest)
    steps = size / Fraction(2) ** (kept - chosen.mantissa_bits)
    return round(((kept - lowest) << chosen.mantissa_bits) + steps)  # ties to the even code


def decode(chosen, code):
    """Return the number of a code: an int for a whole-number format, else a float, exact."""
    if isinstance(chosen, Integer):
        return chosen.decode(code)
    sign = chosen.width - 1  # decoded apart: NumPy's int64 has no room for a code's 64th bit
    with np.errstate(over="ignore"):  # FP64's infinity is reached by overflow
        size = float(chosen.decode(code & (2**sign - 1)))
    return math.copysign(size, -1.0 if code >> sign else 1.0)


def fields(chosen, code):
    """Return the digits of a code by field, as a list of (field, digits); empty fields left out."""
    digits = f"{code:0{chosen.width}b}"
    if isinstance(chosen, Integer):
        return (
            [("sign", digits[0]), ("digits", digits[1:])] if chosen.signed else [("digits", digits)]
        )
    cut = 1 + chosen.exponent_bits
    parts = [("sign", digits[0]), ("exponent", digits[1:cut]), ("mantissa", digits[cut:])]
    return [(name, text) for name, text in parts if text]


def bits(chosen, code):
    """Return the bits of a code; a float's fields stand apart, as in ``MiniFloat.bits``."""
    between = "" if isinstance(chosen, Integer) else " "
    return between.join(digits for _, digits in fields(chosen, code))


def decimal(number):
    """Return a number as an exact decimal without an exponent."""
    if isinstance(number, int) or not math.isfinite(number):
        return str(number)
    text = f"{Decimal(number):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
