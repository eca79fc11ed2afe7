"""Exercises of notebook 02."""

from fractions import Fraction

import pytest

from quantlab.course import verdict
from quantlab.formats import FP16


def ends(numerator, denominator):
    denominator = Fraction(numerator, denominator).denominator
    return denominator & (denominator - 1) == 0


def read_fp16(bits):
    sign, exponent, mantissa = bits.split()
    return (-1) ** int(sign) * 2.0 ** (int(exponent, 2) - 15) * (1 + int(mantissa, 2) / 1024)


def read_by_code(bits):
    return FP16.decode(int(bits.replace(" ", ""), 2))


@pytest.mark.parametrize(
    ("id", "answer"),
    [
        ("2.1", "101.1101"),
        ("2.1", " 0101.11010 "),
        ("2.2", ends),
        ("2.3", read_fp16),
        ("2.3", read_by_code),
        ("2.4", 2048),
        ("2.4", 2**11),
    ],
)
def test_a_right_answer_is_right(id, answer):
    assert verdict(id, answer).state == "right"


@pytest.mark.parametrize("id", ["2.1", "2.2", "2.3", "2.4"])
def test_the_dots_are_unanswered(id):
    assert verdict(id, ...).state == "unanswered"
    if id in ("2.2", "2.3"):
        assert verdict(id, lambda *inputs: ...).state == "unanswered"


@pytest.mark.parametrize(
    ("id", "answer", "advice"),
    [
        ("2.1", "101.1011", "read downwards"),
        ("2.1", "1011101", "where does the point stand"),
        ("2.1", 5.8125, "between quotes"),
        ("2.2", lambda n, d: d & (d - 1) == 0, "lowest terms first"),
        ("2.2", lambda n, d: d % 2 == 0, "What is left?"),
        ("2.3", lambda bits: abs(read_fp16(bits)), "1 is minus"),
        ("2.3", lambda bits: read_fp16(bits) * 2**15, "15 added"),
        ("2.3", lambda bits: read_fp16(bits) + 1, "one job"),
        ("2.4", 1024, "the gap is 1"),
        ("2.4", 11, "the number itself"),
        ("2.4", 3, "which power of two"),
    ],
)
def test_a_wrong_answer_says_what_to_look_at(id, answer, advice):
    said = verdict(id, answer)
    assert said.state == "wrong"
    assert advice in " ".join(said.text.split())


def test_forgetting_the_one_before_the_point_is_recognised():
    def without_one(bits):
        sign, exponent, mantissa = bits.split()
        return (-1) ** int(sign) * 2.0 ** (int(exponent, 2) - 15) * (int(mantissa, 2) / 1024)

    assert "is not stored: add it" in verdict("2.3", without_one).text


def test_what_a_right_answer_teaches_is_true():
    assert [n for n in range(1, 100) if ends(n, 100)] == [25, 50, 75]
    assert [FP16.round(n) for n in (2047, 2048, 2049)] == [2047, 2048, 2048]
