"""Exercises of notebook 02: fractions in base two, which of them end, FP16 by hand, its gap."""

from fractions import Fraction

from quantlab.course.checking import Case, function, value
from quantlab.course.exercise import Exercise
from quantlab.formats import FP16


def _ends(numerator, denominator, look_at=""):
    lowest = Fraction(numerator, denominator).denominator
    return Case((numerator, denominator), lowest.bit_count() == 1, look_at=look_at)


def _read(number):
    bits, exact = FP16.bits(number), FP16.round(number)
    fields = FP16.fields(number)
    fraction = fields.mantissa / 2**FP16.mantissa_bits
    mistakes = (
        (-exact, "the sign: 1 is minus, 0 is plus."),
        (exact * 2**FP16.bias, "the stored exponent has 15 added: take it off."),
        (exact * fraction / (1 + fraction), "the 1 before the point is not stored: add it."),
        (exact * 2.0**-1, "the exponent has 15 added, not 16."),
        (
            exact * (1 + fields.mantissa / 1023) / (1 + fraction),
            "a mantissa of 10 bits counts 1024ths, not 1023rds.",
        ),
    )
    return Case((bits,), exact, mistakes=mistakes)


_IN_BASE_TWO = value(
    "101.1101",
    about="5.8125 in base two",
    look_at="5 is 4 + 1, and 0.8125 is a sum of 1/2, 1/4, 1/8 and 1/16.",
    mistakes=(
        ("101.1011", "the digits after the point are read downwards, in the order they came."),
        ("1011101", "the digits are right; where does the point stand?"),
        ("101,1101", "the digits are right; write the point as a point, not as a comma."),
        ("0b101.1101", "the digits alone, without the 0b."),
        ("5.8125", "that is the number in base ten; its digits in base two are asked for."),
        (5.8125, "that is the number; its digits in base two are asked for, between quotes."),
        (101.1101, "these are the digits of a number in base ten: put them between quotes."),
    ),
)


def _in_base_two(answer):
    """Zeros in front and behind the last digit change nothing: 0101.11010 is right too."""
    text = answer.strip() if isinstance(answer, str) else answer
    plain = isinstance(text, str) and "." in text and set(text) <= set("01.")
    return _IN_BASE_TWO(text.strip("0") if plain else text)


EXERCISES = {
    "2.1": Exercise(
        hint="halve the 5 and double the 0.8125; the point stands between.",
        check=_in_base_two,
        learned="5.8125 is 93/16, over a power of two, so its digits end.",
    ),
    "2.2": Exercise(
        hint="bring it to lowest terms first. When is the denominator a power of two?",
        check=function(
            _ends(5, 8),
            _ends(23, 100),
            _ends(1, 3),
            _ends(3, 12, look_at="3/12 is 1/4: bring it to lowest terms first."),
            _ends(7, 1, look_at="a whole number ends: 1 is a power of two, 2**0."),
            _ends(1, 2**40),
            _ends(10, 50),
            _ends(1, 7, look_at="7 is neither 2 nor 3 nor 5: ask for a power of two."),
            _ends(3, 11, look_at="11 is odd and above 1: no other prime may be left over either."),
            _ends(5, 14),
            _ends(1, 48, look_at="48 is 16 × 3: even, and still no power of two."),
            _ends(147, 392, look_at="147/392 is 3/8: both can be divided by 49."),
            _ends(1, 2**60, look_at="2**60 is a power of two, however many halvings it takes."),
            _ends(1, 2**60 + 1, look_at="2**60 + 1 is odd; a float can't tell it from 2**60."),
            look_at="divide the lowest terms' denominator by 2 as long as you can. What is left?",
        ),
        learned="only powers of two end. Of 1/100, 2/100 ... 99/100, three do: 25, 50 and 75.",
    ),
    "2.3": Exercise(
        hint="(−1) to the sign, times 2 to the exponent − 15, times 1 + mantissa/1024.",
        check=function(
            _read(1.0),
            _read(20.23),
            _read(-2.5),
            _read(0.23),
            _read(65504.0),
            look_at='int("10011", 2) is 19. Each of the three parts has one job.',
        ),
        learned="you can read any normal FP16 number. All zeros and all ones: notebook 3.",
    ),
    "2.4": Exercise(
        hint="between 2**k and 2**(k + 1) the gap is 2**k / 1024.",
        check=value(
            2048,
            about="where FP16's gap becomes 2",
            look_at="2**k / 1024 = 2: which power of two is 2**k?",
            mistakes=(
                (1024, "from 1024 to 2048 the gap is 1: every whole number is there."),
                (11, "that is the exponent; the number itself is asked for."),
                (4096, "at 4096 the gap is already 4."),
                (2049, "2049 is not there any more; the gap changes at a power of two."),
            ),
        ),
        learned="2047 and 2048 are there, 2049 is not: FP16 counts without gaps up to 2048 alone.",
    ),
}
