"""Whole numbers and fractions in base two, the way they are worked out with a pencil."""

import numbers
from collections import namedtuple

from ._checks import flag, shown, whole

MOST = 10_000  # digits: more is a slip of the keyboard, and would take hours


def bits_needed(number, signed=True):
    """The least number of bits that hold `number`, the sign bit included if `signed`.

    Signed numbers are two's complement: n bits hold -2^(n-1) ... 2^(n-1) - 1.
    Raises ValueError for a number that is not whole, or a negative one with signed=False.

    >>> bits_needed(2023), bits_needed(2023, signed=False), bits_needed(-128)
    (12, 11, 8)
    """
    number = whole("number", number, None if flag("signed", signed) else 0)
    if not signed:
        return max(1, number.bit_length())
    return (number if number >= 0 else ~number).bit_length() + 1


def to_bits(number, width, signed=True):
    """Write `number` in base two with `width` digits; two's complement if `signed`.

    Raises ValueError if it does not fit, naming the bits that it needs, and past `MOST` digits.

    >>> to_bits(2023, 16), to_bits(-1, 8)
    ('0000011111100111', '11111111')
    """
    width = whole("width", width, 1, most=MOST)
    number = whole("number", number, None if flag("signed", signed) else 0)
    needed, kind = bits_needed(number, signed), "signed" if signed else "unsigned"
    if needed > width:
        raise ValueError(
            f"{shown(number)} needs {needed} bits as a {kind} number, got width {width}"
        )
    return format(number % 2**width, f"0{width}b")


def from_bits(bits, signed=True):
    """Read a string of 0s and 1s; two's complement if `signed`, so a leading 1 means negative.

    Spaces and underscores between digits are allowed. Raises ValueError for any other character.

    >>> from_bits("0000011111100111"), from_bits("1111 1111"), from_bits("11111111", signed=False)
    (2023, -1, 255)
    """
    if not isinstance(bits, str):
        raise TypeError(f"bits must be a string of 0s and 1s, got {shown(bits)}")
    digits = bits.replace(" ", "").replace("_", "")
    if not digits or set(digits) - set("01"):
        raise ValueError(f"bits must be one or more 0s and 1s, got {shown(bits)}")
    value = int(digits, 2)
    return value - 2 ** len(digits) if flag("signed", signed) and digits[0] == "1" else value


def halve(number):
    """The steps of repeated division by two, as a list of (number, quotient, remainder).

    Read upwards, the remainders are the digits. Raises ValueError for a negative number and
    for one of more than `MOST` digits.

    >>> halve(6)
    [(6, 3, 0), (3, 1, 1), (1, 0, 1)]
    """
    number = whole("number", number, 0)
    if number >> MOST:
        raise ValueError(f"number must have at most {MOST} digits, got {shown(number)}")
    steps = [(number, *divmod(number, 2))]
    while steps[-1][1]:
        steps.append((steps[-1][1], *divmod(steps[-1][1], 2)))
    return steps


def double(fraction, steps):
    """The steps of repeated doubling, as a list of (fraction, doubled, bit).

    Read downwards, the bits are the digits after the point. The decimal that you write is
    taken at its word (0.23 is 23/100, not the float nearest to it): no digit is a rounding error.
    Raises ValueError unless 0 <= fraction < 1 and steps is 1 to `MOST`.

    >>> double(0.23, 3)
    [(0.23, 0.46, 0), (0.46, 0.92, 0), (0.92, 1.84, 1)]
    """
    rest = _as_written("fraction", fraction)
    if not 0 <= rest < 1:
        raise ValueError(f"fraction must be at least 0 and below 1, got {shown(fraction)}")
    rows = []
    for _ in range(whole("steps", steps, 1, most=MOST)):
        bit = int(2 * rest >= 1)
        rows.append((float(rest), float(2 * rest), bit))
        rest = 2 * rest - bit
    return rows


FixedPoint = namedtuple("FixedPoint", "bits value")
FixedPoint.__doc__ = "A fixed-point number: its digits with their point, and their value."


def fixed_point(number, whole_bits, fraction_bits):
    """Write `number` with a fixed count of binary digits before and after the point.

    Digits beyond the last are cut off, as they are with a pencil, not rounded: the error is below
    2^-fraction_bits. Raises ValueError for a negative number or a whole part that does not fit.

    >>> fixed_point(20.23, whole_bits=5, fraction_bits=10)
    FixedPoint(bits='10100.0011101011', value=20.2294921875)
    """
    whole_bits = whole("whole_bits", whole_bits, 1, most=1000)
    fraction_bits = whole("fraction_bits", fraction_bits, 0, most=MOST)
    exact = _as_written("number", number)
    if not 0 <= exact < 2**whole_bits:
        raise ValueError(
            f"{whole_bits} whole bits hold 0 to below {2**whole_bits}, got {shown(number)}"
        )
    units = int(exact * 2**fraction_bits)
    digits = format(units, f"0{whole_bits + fraction_bits}b")
    bits = f"{digits[:whole_bits]}.{digits[whole_bits:]}".rstrip(".")
    return FixedPoint(bits, units / 2**fraction_bits)


def _as_written(name, value):
    """Return the exact value of the decimal that a person sees: Fraction(23, 100) for 0.23."""
    from fractions import Fraction  # not at the top: it would be a tenth of `import quantlab`

    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    try:
        return Fraction(value if isinstance(value, numbers.Rational) else str(value))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be finite, got {shown(value)}") from error
