"""Exercises of notebook 02."""

import math
from fractions import Fraction

import numpy as np

from quantlab.formats import FP16


def lowest(numerator, denominator):
    return Fraction(numerator, denominator).denominator


def ends(numerator, denominator):
    denominator = Fraction(numerator, denominator).denominator
    return denominator & (denominator - 1) == 0


def read_fp16(bits):
    sign, exponent, mantissa = bits.split()
    return (-1) ** int(sign) * 2.0 ** (int(exponent, 2) - 15) * (1 + int(mantissa, 2) / 1024)


def read_by_code(bits):
    return FP16.decode(int(bits.replace(" ", ""), 2))


def read_exactly(bits):
    sign, exponent, mantissa = (int(field, 2) for field in bits.split())
    return (-1) ** sign * Fraction(2) ** (exponent - 15) * (1 + Fraction(mantissa, 1024))


def halve_down(numerator, denominator):
    denominator //= math.gcd(numerator, denominator)
    while denominator % 2 == 0:
        denominator //= 2
    return denominator == 1


def without_one(bits):
    sign, exponent, mantissa = bits.split()
    return (-1) ** int(sign) * 2.0 ** (int(exponent, 2) - 15) * (int(mantissa, 2) / 1024)


def reduced_if_it_divides(numerator, denominator):
    return ends(1, denominator // numerator if denominator % numerator == 0 else denominator)


def reduced_once(numerator, denominator):
    for prime in (2, 3, 5, 7, 11, 13):
        if numerator % prime == denominator % prime == 0:
            numerator, denominator = numerator // prime, denominator // prime
    return denominator & (denominator - 1) == 0


def off_by(bias=15, parts=1024):
    def read(bits):
        sign, exponent, mantissa = bits.split()
        return (-1) ** int(sign) * 2.0 ** (int(exponent, 2) - bias) * (1 + int(mantissa, 2) / parts)

    return read


RIGHT = {
    "2.1": ["101.1101", " 0101.11010 ", "101.11010000"],
    "2.2": [ends, halve_down, lambda n, d: np.bool_(ends(n, d))],
    "2.3": [read_fp16, read_by_code, read_exactly],
    "2.4": [2048, 2**11, 2048.0],
}

WRONG = [
    ("2.1", "101.1011", "read downwards"),
    ("2.1", "1011101", "where does the point stand"),
    ("2.1", "101,1101", "not as a comma"),
    ("2.1", "0b101.1101", "without the 0b"),
    ("2.1", "5.8125", "base ten"),
    ("2.1", 5.8125, "between quotes"),
    ("2.1", 101.1101, "between quotes"),
    ("2.1", "101.111", "1/16"),
    ("2.2", lambda n, d: d & (d - 1) == 0, "lowest terms first"),
    ("2.2", lambda n, d: d % 2 == 0, "What is left?"),
    ("2.2", lambda n, d: bool(lowest(n, d) % 3 and lowest(n, d) % 5), "7 is neither"),
    ("2.2", lambda n, d: all(lowest(n, d) % p for p in (3, 5, 7)), "11 is odd"),
    ("2.2", lambda n, d: lowest(n, d) % 2 == 0 or lowest(n, d) == 1, "What is left?"),
    ("2.2", reduced_if_it_divides, "divided by 49"),
    ("2.2", reduced_once, "divided by 49"),
    ("2.2", lambda n, d: n / d * 2**45 % 1 == 0, "however many halvings"),
    ("2.2", lambda n, d: math.log2(lowest(n, d)).is_integer(), "a float can't tell"),
    ("2.2", lambda n, d: str(ends(n, d)), "True or False is asked for"),
    ("2.3", lambda bits: abs(read_fp16(bits)), "1 is minus"),
    ("2.3", lambda bits: read_fp16(bits) * 2**15, "15 added"),
    ("2.3", without_one, "is not stored: add it"),
    ("2.3", lambda bits: read_fp16(bits) + 1, "one job"),
    ("2.3", off_by(bias=16), "not 16"),
    ("2.3", off_by(parts=1023), "1024ths"),
    ("2.4", 1024, "the gap is 1"),
    ("2.4", 11, "the number itself"),
    ("2.4", 4096, "already 4"),
    ("2.4", 2049, "not there any more"),
    ("2.4", 3, "which power of two"),
]


def test_what_a_right_answer_teaches_is_true():
    assert [n for n in range(1, 100) if ends(n, 100)] == [25, 50, 75]
    assert [FP16.round(n) for n in (2047, 2048, 2049)] == [2047, 2048, 2048]
