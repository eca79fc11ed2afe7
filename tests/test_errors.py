"""Measures of error, on numbers that can be checked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import quantlab as ql
from quantlab import errors


def test_relative_is_the_length_of_the_error_over_that_of_the_exact_values():
    assert errors.relative([3.0, 4.5], [3.0, 4.0]) == 0.1


def test_all_zeros_are_as_wrong_as_1():
    assert errors.relative(np.zeros((2, 3)), np.arange(6.0).reshape(2, 3)) == 1.0


def test_a_perfect_match_is_0_and_infinitely_clear():
    x = np.random.default_rng(0).standard_normal((3, 4))
    assert (errors.relative(x, x), errors.maximum(x, x)) == (0.0, 0.0)
    assert errors.snr_db(x, x) == math.inf


def test_against_all_zeros_only_zeros_are_right():
    assert errors.relative([0.0], [0.0]) == 0.0 and errors.relative([1.0], [0.0]) == math.inf
    assert errors.snr_db([0.0], [0.0]) == math.inf and errors.snr_db([1.0], [0.0]) == -math.inf


def test_maximum_is_the_largest_difference_of_either_sign():
    assert errors.maximum([1.0, -5.0, 2.0], [1.5, -3.0, 3.0]) == 2.0


def test_a_tenth_of_the_length_is_20_decibels_and_as_much_as_the_signal_is_0():
    assert errors.snr_db([3.0, 4.5], [3.0, 4.0]) == 20.0
    assert errors.snr_db([0.0, 0.0], [3.0, 4.0]) == 0.0


@given(st.floats(1e-6, 1e6), st.floats(1e-3, 1e3))
def test_relative_does_not_depend_on_the_unit(size, error):
    exact = np.array([size, -2 * size])
    approx = exact * (1 + error)
    # Rounding of approx: half a place (2^-53) of it, against a difference of `error` times it.
    slack = 4 * 2.3e-16 * (1 + error) / error
    assert errors.relative(approx, exact) == pytest.approx(error, rel=slack)


def test_small_inputs_are_compared_in_float64():
    approx, exact = np.float16([60000.0, 60000.0]), np.float16([-60000.0, 60000.0])
    assert errors.maximum(approx, exact) == 120000.0  # beyond float16's 65504


def test_every_bit_more_is_worth_about_6_decibels():
    x = np.random.default_rng(1).uniform(-1, 1, 100_000)
    snr = [errors.snr_db(ql.quantize_absmax(x, bits=b).dequantize(), x) for b in range(6, 13)]
    # Half the step is 6.02 dB; the levels are 2^(b-1) - 1, so a little more at few bits
    # (31 to 63 is 6.16), and 100,000 samples tell a variance to 0.02 dB.
    assert np.all(np.abs(np.diff(snr) - 6.09) < 0.1)


@pytest.mark.parametrize("power", [-1070, -660, -500, 500, 660, 1020])
def test_the_unit_may_be_the_smallest_or_the_largest_that_float64_has(power):
    exact, approx = np.array([1.0, -2.0, 0.0]), np.array([1.25, -2.0, 1.0])
    unit = 2.0**power
    assert errors.relative(approx * unit, exact * unit) == errors.relative(approx, exact)
    assert errors.snr_db(approx * unit, exact * unit) == errors.snr_db(approx, exact)


def test_an_error_far_below_the_values_does_not_vanish():
    assert errors.relative([1.0, 2.0**-600], [1.0, 0.0]) == 2.0**-600
    assert errors.snr_db([1.0, 1e-200], [1.0, 0.0]) == pytest.approx(4000.0)


def test_the_largest_numbers_of_opposite_sign_are_twice_as_far_apart_as_one_is_large():
    assert errors.relative([1.7e308], [-1.7e308]) == 2.0
    assert errors.maximum([1.7e308], [-1.7e308]) == math.inf  # 3.4e308 is no float64


def test_scaling_by_a_power_of_two_leaves_the_bits_of_plain_norms():
    rng = np.random.default_rng(2)
    exact, approx = rng.standard_normal((2, 50, 7)) * 10.0 ** rng.uniform(-5, 5, (2, 50, 1))
    assert errors.relative(approx, exact) == np.linalg.norm(approx - exact) / np.linalg.norm(exact)
