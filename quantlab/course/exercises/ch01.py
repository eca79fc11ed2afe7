"""Exercises of notebook 01: base two by hand, two's complement, wrap-around, int4 in a byte."""

from quantlab import binary
from quantlab.course.checking import Case, function, value
from quantlab.course.exercise import Exercise

_NO_SIGN = "does a first bit of 1 count negative? Read without a sign, it counts positive."


def _read(bits):
    return Case((bits,), binary.from_bits(bits), mistakes=((int(bits, 2), _NO_SIGN),))


def _halves(byte):
    bits = binary.to_bits(byte, 8, signed=False)
    swapped = (binary.from_bits(bits[4:]), binary.from_bits(bits[:4]))
    return Case(
        (byte,),
        (binary.from_bits(bits[:4]), binary.from_bits(bits[4:])),
        about=f"unpack({byte}), the bits {bits[:4]} {bits[4:]}",
        mistakes=(
            (swapped, "the high half, the first four bits, comes first."),
            ((byte // 16, byte % 16), "each half has a sign of its own: from 8 on it is negative."),
        ),
    )


EXERCISES = {
    "1.1": Exercise(
        hint="halve 100 until nothing is left, and read the remainders upwards.",
        check=value(
            "1100100",
            about="100 in base two",
            look_at="the places 64, 32, 16, 8, 4, 2, 1: which of them add up to 100?",
            mistakes=(
                ("0010011", "the first remainder is the last digit: read upwards."),
                ("01100100", "that is 100 with its sign bit; here without a sign: seven digits."),
                ("0b1100100", "the digits alone, without the 0b."),
            ),
        ),
        learned="64 + 32 + 4. With a sign it takes 8 bits, and so 100 fits into int8.",
    ),
    "1.2": Exercise(
        hint='int(bits, 2) reads without a sign. What has to come off if the first bit is "1"?',
        check=function(
            _read("00010100"),
            _read("11111111"),
            _read("1000"),
            _read("0111"),
            _read("1111100000011001"),
            look_at="the first place counts −2**(len(bits) − 1), all others count positive.",
        ),
        learned="one rule reads int4, int8 and int64 alike: the first place counts negative.",
    ),
    "1.3": Exercise(
        hint="120 + 10 is past 127. How far round is the wheel of int8?",
        check=value(
            -126,
            about="120 + 10 in int8",
            look_at="the wheel has 256 numbers: take 256 off what lies past 127.",
            mistakes=(
                (130, "130 is no number of int8: its largest is 127."),
                (127, "that would be saturation, stopping at the end; NumPy wraps around."),
                (-125, "one step past 127 lies −128, not −127."),
                (2, "the step past 127 leads to −128, not to 0."),
            ),
        ),
        learned="130 − 256. A sum of two int8 numbers is wrong by exactly 256, or not at all.",
    ),
    "1.4": Exercise(
        hint="byte // 16 and byte % 16 are the halves, 0 to 15. Which of them are negative?",
        check=function(
            _halves(0b01010011),
            _halves(93),
            _halves(0b10000111),
            _halves(0b01111000),
            _halves(255),
            look_at="a half of 8 to 15 has a first bit of 1: take 16 off.",
        ),
        learned="4-bit weights are stored like this, two to a byte. Which half comes first, and "
        "whether it has a sign, is up to the format.",
    ),
}
