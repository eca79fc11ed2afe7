"""The exercises of notebook 04 accept what is right and name the usual mistakes."""

import numpy as np
import pytest

import quantlab as ql
from quantlab.course import verdict
from quantlab.course.exercises import ch04


def right_zero_point(x):
    return ql.quantize_zero_point(x).dequantize()


def bare_range(x):
    """The published fault: no widening, and a zero-point clipped to what int8 holds."""
    step = (x.max() - x.min()) / 255
    zero = np.clip(np.round(-128 - x.min() / step), -128, 127)
    return (np.clip(np.round(x / step) + zero, -128, 127) - zero) * step


def fractional_zero(x):
    low, high = min(x.min(), 0), max(x.max(), 0)
    step = (high - low) / 255
    return np.round((x - low) / step) * step + low


def seven_bits(x):
    return ql.quantize_zero_point(x, bits=7).dequantize()


def right_dequantize(codes, scale, zero_point):
    return (codes - zero_point[:, None]) * scale[:, None]


def wrong_axis(codes, scale, zero_point):
    return (codes - zero_point) * scale


def scale_first(codes, scale, zero_point):
    return codes * scale[:, None] - zero_point[:, None]


RIGHT = {
    "4.1": [1, -3, 7, 0],
    "4.2": right_zero_point,
    "4.3": ch04._product_errors(4),
    "4.4": right_dequantize,
}


@pytest.mark.parametrize("id", ch04.EXERCISES)
def test_the_right_answer_is_right(id):
    assert verdict(id, RIGHT[id]).state == "right"


def test_rounding_ties_up_is_as_right_as_rounding_them_to_even():
    def ties_up(x):
        q = ql.quantize_zero_point(x)
        step, zero = float(q.scale), int(q.zero_point)
        return (np.clip(np.floor(x / step + 0.5) + zero, -128, 127) - zero) * step

    assert verdict("4.2", ties_up).state == "right"


def test_rounded_errors_are_right_too():
    assert verdict("4.3", [round(e, 4) for e in RIGHT["4.3"]]).state == "right"


@pytest.mark.parametrize("id", ch04.EXERCISES)
def test_no_answer_gets_the_hint(id):
    for nothing in (..., lambda *args: ...) if callable(RIGHT[id]) else (..., [..., ...]):
        found = verdict(id, nothing)
        assert found.state == "unanswered" and "Hint:" in found.text


@pytest.mark.parametrize(
    "id, answer, says",
    [
        ("4.1", [1, -3, 8, 0], "absmax ends at 7"),
        ("4.1", [19, -51, 127, -6], "127 is the top code of 8 bits"),
        ("4.1", [1, -2, 7, 0], "2.8 steps"),
        ("4.1", [0.857, -2.571, 6.0, 0.0], "not the codes"),
        ("4.1", [1, -3, 7], "the shape"),
        ("4.2", bare_range, "all-positive input"),
        ("4.2", fractional_zero, "round the zero-point"),
        ("4.2", seven_bits, "half a step"),
        ("4.2", lambda x: x, "256 codes"),
        ("4.3", ch04._product_errors(4)[::-1], "absmax comes first"),
        ("4.3", ch04._product_errors(8), "the errors of 8"),
        ("4.4", wrong_axis, "subtract first"),
        ("4.4", scale_first, "subtract first"),
    ],
)
def test_a_usual_mistake_is_wrong_and_named(id, answer, says):
    found = verdict(id, answer)
    assert found.state == "wrong" and says in " ".join(found.text.split())


def test_the_wrong_axis_is_caught_although_a_square_matrix_hides_it():
    square = ch04._per_row(3, 3)
    assert wrong_axis(*square.args).shape == square.expected.shape
    assert verdict("4.4", wrong_axis).state == "wrong"


def test_absmax_beats_zero_point_at_four_bits_as_the_solution_says():
    absmax, zero_point = ch04._product_errors(4)
    assert absmax < zero_point
