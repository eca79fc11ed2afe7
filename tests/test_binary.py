"""Whole numbers and fractions in base two, against Python's own integers and fractions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab import binary

WIDTHS = st.integers(1, 80)


@given(st.integers(-(2**70), 2**70))
def test_a_signed_number_fits_the_bits_it_needs_and_no_fewer(number):
    bits = binary.bits_needed(number)
    assert -(2 ** (bits - 1)) <= number < 2 ** (bits - 1)
    assert bits == 1 or not -(2 ** (bits - 2)) <= number < 2 ** (bits - 2)


@given(st.integers(0, 2**70))
def test_an_unsigned_number_fits_the_bits_it_needs_and_no_fewer(number):
    bits = binary.bits_needed(number, signed=False)
    assert number < 2**bits and (bits == 1 or number >= 2 ** (bits - 1))


def test_2023_needs_12_bits_with_a_sign_and_11_without():
    assert binary.bits_needed(2023) == 12
    assert binary.bits_needed(2023, signed=False) == 11


def test_zero_needs_one_bit():
    assert binary.bits_needed(0) == binary.bits_needed(0, signed=False) == 1


def test_a_power_of_two_needs_one_bit_more_than_its_negative():
    assert (binary.bits_needed(128), binary.bits_needed(-128)) == (9, 8)


def test_2023_is_written_as_the_article_writes_it():
    assert binary.to_bits(2023, 16) == "0000011111100111"
    assert binary.from_bits("0000011111100111") == 2023


@given(st.data(), WIDTHS, st.booleans())
def test_every_number_that_fits_comes_back_from_its_bits(data, width, signed):
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    number = data.draw(st.integers(low, high))
    bits = binary.to_bits(number, width, signed=signed)
    assert len(bits) == width
    assert binary.from_bits(bits, signed=signed) == number


@given(st.integers(-(2**15), 2**15 - 1))
def test_two_complement_is_the_number_modulo_a_power_of_two(number):
    assert int(binary.to_bits(number, 16), 2) == number % 65536


@given(st.integers(-(2**31), 2**31 - 1), st.integers(33, 64))
def test_widening_repeats_the_sign_bit(number, width):
    narrow = binary.to_bits(number, 32)
    assert binary.to_bits(number, width) == narrow[0] * (width - 32) + narrow


@pytest.mark.parametrize(
    ("number", "width", "signed"),
    [(2023, 11, True), (2023, 10, False), (128, 8, True), (-129, 8, True), (256, 8, False)],
)
def test_a_number_that_does_not_fit_is_refused_with_the_bits_it_needs(number, width, signed):
    needed = binary.bits_needed(number, signed=signed)
    with pytest.raises(ValueError, match=rf"{number} needs {needed} bits .*got width {width}"):
        binary.to_bits(number, width, signed=signed)


def test_spaces_and_underscores_between_digits_are_read_over():
    assert binary.from_bits("0000_0111 1110_0111") == 2023


@given(st.integers(1, 2**70))
def test_the_remainders_of_halving_read_upwards_are_the_digits(number):
    remainders = "".join(str(step[2]) for step in reversed(binary.halve(number)))
    assert remainders == f"{number:b}"


@given(st.integers(0, 2**40))
def test_each_halving_step_is_a_division_with_remainder(number):
    steps = binary.halve(number)
    assert all(n == 2 * quotient + remainder for n, quotient, remainder in steps)
    assert [step[0] for step in steps[1:]] == [step[1] for step in steps[:-1]]
    assert steps[-1][1] == 0


def test_zero_halves_in_one_step():
    assert binary.halve(0) == [(0, 0, 0)]


def test_the_doubling_of_0_23_gives_the_digits_of_the_article():
    assert "".join(str(step[2]) for step in binary.double(0.23, 10)) == "0011101011"


@given(st.integers(0, 10**9 - 1), st.integers(1, 60))
def test_doubling_gives_the_digits_of_the_decimal_as_written(millionths, steps):
    exact = Fraction(millionths, 10**9)
    bits = "".join(str(row[2]) for row in binary.double(float(f"0.{millionths:09d}"), steps))
    assert int(bits, 2) == int(exact * 2**steps)


def test_doubling_0_1_repeats_0011_for_ever_because_the_decimal_is_taken_at_its_word():
    # The float nearest to 0.1 ends after 55 digits; one tenth never does.
    bits = "".join(str(row[2]) for row in binary.double(0.1, 81))
    assert bits == "0" + "0011" * 20


def test_20_23_in_5_and_10_bits_is_what_the_article_draws():
    number = binary.fixed_point(20.23, whole_bits=5, fraction_bits=10)
    assert number.bits == "10100.0011101011"
    assert number.value == 20.2294921875


@given(
    st.integers(0, 2**20 * 1000 - 1).map(lambda n: Fraction(n, 1000)),
    st.integers(20, 24),
    st.integers(0, 20),
)
def test_fixed_point_cuts_off_less_than_one_unit_and_never_rounds_up(exact, whole, fraction):
    result = binary.fixed_point(float(exact), whole_bits=whole, fraction_bits=fraction)
    assert 0 <= exact - Fraction(result.value) < Fraction(1, 2**fraction)


@given(st.integers(0, 2**20 - 1), st.integers(1, 10))
def test_the_digits_of_a_fixed_point_number_say_its_value(units, fraction):
    result = binary.fixed_point(units / 2**fraction, whole_bits=20, fraction_bits=fraction)
    whole, _, rest = result.bits.partition(".")
    assert (len(whole), len(rest)) == (20, fraction)
    assert int(whole + rest, 2) == units == result.value * 2**fraction


def test_without_fraction_bits_there_is_no_point():
    assert binary.fixed_point(20.23, whole_bits=5, fraction_bits=0).bits == "10100"


def test_a_whole_part_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"5 whole bits hold 0 to below 32, got 202\.3"):
        binary.fixed_point(202.3, whole_bits=5, fraction_bits=10)
