"""A number in the bits of any format, rounded once from its exact fraction.

``MiniFloat.encode`` starts from a float64, so 1/3 would be rounded twice.
"""

import dataclasses
import math
import numbers
import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from quantlab import binary, formats
from quantlab._checks import shown, whole

LONGEST, LARGEST_POWER = 1200, 2000  # of a number as text; minifloat.js has the same limits

#: The double of most computers: no format of the course, but one to compare with.
FP64 = formats.MiniFloat("FP64", 11, 52, 1023)
FLOATS = {"FP64": FP64} | formats.ALL


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
    allowed = f"{', '.join(FLOATS)}, int2 to int64, uint2 to uint64, a MiniFloat or an Integer"
    if not isinstance(wanted, str):
        raise TypeError(f"format must be {allowed}, got {shown(wanted)}")
    found = re.fullmatch(r"(u?)int(\d{1,2})", wanted)
    if found and 2 <= int(found[2]) <= 64:
        return Integer(int(found[2]), signed=not found[1])
    if wanted not in FLOATS:
        raise ValueError(f"format must be {allowed}, got {shown(wanted)}")
    return FLOATS[wanted]


def nearest(chosen, number):
    """Return (code, text, exact) of what `number` is in format `chosen`, rounded once.

    number: a number, or text as the explorer's page reads it: a decimal, a fraction, a power 2^n,
    inf, nan, or the bits as 0x..., 0b... or as many digits 0 and 1 as the format has. A float is
    taken as the decimal that it prints as: 20.23 is 2023/100. exact: a Fraction, or a float for
    -0.0, infinity and NaN. Raises TypeError for what is no number and no text, ValueError for a
    text that is none, for bits that do not fit and for a number over 1e2000.
    """
    if isinstance(number, (bool, np.bool_)) or not isinstance(number, (numbers.Real, str)):
        raise TypeError(
            f"value must be a number, or text such as '20.23' or '1/3', got {shown(number)}"
        )
    text = number.strip() if isinstance(number, str) else _written(number)
    if len(text) > LONGEST:
        raise ValueError(f"value must lie between -1e2000 and 1e2000, got {text[:40]}...")
    plain = re.sub("[\u2212\u2013]", "-", text).replace("\u221e", "inf").lower()
    code = _written_code(plain, chosen) if isinstance(number, str) else None
    if code is not None:
        return code, *of_code(chosen, code)
    fraction = exact(plain.replace("_", ""))
    code = encode(chosen, fraction)
    if isinstance(number, (float, np.floating)) and code != int(chosen.encode(float(number))):
        # The float lies on the other side of a midpoint than the decimal that it prints as.
        fraction, text = Fraction(float(number)), f"{float(number):.1100g}"
        code = encode(chosen, fraction)
    return code, text, fraction


def of_code(chosen, code):
    """Return (text, exact) of the number that a code stands for."""
    value = decode(chosen, code)
    signed_zero = value == 0 and math.copysign(1, value) < 0
    return decimal(value), value if signed_zero or not math.isfinite(value) else Fraction(value)


def _written(number):
    if isinstance(number, numbers.Rational):
        return str(Fraction(number)) if abs(number) < 10**LONGEST else "9" * (LONGEST + 1)
    return ratio(float(number))


def _written_code(plain, chosen):
    """Return the code that a text spells in bits, None if it spells none."""
    digits = re.sub("[_ ]", "", plain)
    if re.fullmatch("[01]+([ _][01]+)*", plain) and len(digits) == chosen.width:
        return int(digits, 2)
    if not re.fullmatch("0x[0-9a-f]+|0b[01]+", digits):
        return None
    code = int(digits, 0)
    if code >> chosen.width:
        needed = f"{chosen.name} has {chosen.width} bits, {plain} needs {code.bit_length()}"
        raise ValueError(f"value must fit the format: {needed}")
    return code


def exact(text):
    """Return the number that a text of no bits says, as `nearest` does, however long it is."""
    if re.fullmatch("[+-]?(inf|infinity|nan)", text):
        return float(text)
    terms = [_term(part.strip(), text) for part in text.split("/")]
    if len(terms) > 2 or (len(terms) == 2 and terms[1][1] == 0):
        raise ValueError(_HOW_TO_WRITE.format(shown(text)))
    (negative, size), *below = terms
    for sign, part in below:
        negative, size = negative != sign, size / part
    return (-size if size else -0.0) if negative else size


def _term(text, whole_text):
    """Return (is negative, size) of a decimal or a power of two."""
    power = re.fullmatch(r"([+-]?)2(?:\^|\*\*)([+-]?[0-9]+)", text)
    if power:
        return power[1] == "-", Fraction(2) ** _power(power[2], whole_text)
    found = re.fullmatch(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:e([+-]?[0-9]+))?", text)
    if not found or not (found[2] or found[3]):
        hint = " with a point, not a comma" if "," in text else ""
        raise ValueError(_HOW_TO_WRITE.format(shown(whole_text)) + hint)
    places = _power(found[4] or "0", whole_text) - len(found[3] or "")
    return found[1] == "-", int(found[2] + (found[3] or "")) * Fraction(10) ** places


def _power(text, whole_text):
    if abs(int(text)) > LARGEST_POWER:
        raise ValueError(f"value must lie between -1e2000 and 1e2000, got {whole_text[:40]!r}")
    return int(text)


_HOW_TO_WRITE = (
    "value must be a number, or text such as '20.23', '1e-3', '1/3', '2^-14' or '0x4d0f', got {}"
)


def ratio(number):
    """Return an exact number as text that keeps the sign of zero and NaN; `exact` reads it."""
    if isinstance(number, Fraction):
        return str(number)
    return f"{'-' if math.copysign(1, number) < 0 else ''}{abs(number)}"


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


# ------------------------------------------------------------ what the page and Python share


def as_data(chosen):
    """Return the format as the page reads it."""
    kind = "integer" if isinstance(chosen, Integer) else "float"
    return {"kind": kind, "name": chosen.name} | dataclasses.asdict(chosen)


def from_data(data):
    """Return the format that `as_data` wrote: a known one as itself."""
    made = Integer if data["kind"] == "integer" else formats.MiniFloat
    chosen = made(**{field.name: data[field.name] for field in dataclasses.fields(made)})
    return next((known for known in FLOATS.values() if known == chosen), chosen)


def state(chosen, code, text, exact):
    """Return what is shown: format, bits, and the number that was asked for, as text and exact."""
    bits = f"{code:0{chosen.width}b}"
    return {"format": as_data(chosen), "bits": bits, "number": text, "ratio": ratio(exact)}


def state_of(chosen, number):
    """Return the state that shows `number`, rounded once to the nearest code."""
    return state(chosen, *nearest(chosen, number))


def state_of_bits(chosen, bits):
    """Return the state that shows a code, given as text of 0s and 1s. Raises ValueError."""
    digits = bits.replace(" ", "").replace("_", "")
    if len(digits) != chosen.width or set(digits) - set("01"):
        raise ValueError(
            f"bits must be {chosen.width} digits 0 or 1 for {chosen.name}, got {shown(bits)}"
        )
    code = int(digits, 2)
    return state(chosen, code, *of_code(chosen, code))
