"""Answers to the exercises of notebook 04: right in several forms, wrong as people are."""

from fractions import Fraction

import numpy as np

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


def bare_and_unclipped(x):
    """No widening, and a zero-point that no code holds: -1403 for 5 to 6."""
    step = (x.max() - x.min()) / 255
    zero = -128 - np.round(x.min() / step)
    return (np.clip(np.round(x / step) + zero, -128, 127) - zero) * step


def widened_upwards(x):
    step = (x.max() - min(x.min(), 0)) / 255
    zero = -128 - np.round(min(x.min(), 0) / step)
    return (np.clip(np.round(x / step) + zero, -128, 127) - zero) * step


def ties_up(x):
    q = ql.quantize_zero_point(x)
    step, zero = float(q.scale), int(q.zero_point)
    return (np.clip(np.floor(x / step + 0.5) + zero, -128, 127) - zero) * step


def affine(x, whole=np.round, whole_zero=np.round, steps=255):
    low, high = min(x.min(), 0), max(x.max(), 0)
    step = (high - low) / steps
    zero = whole_zero(-128 - low / step)
    return (np.clip(whole(x / step) + zero, -128, 127) - zero) * step


def zero_cut_off(x):
    """The published fault of the appendix, with the range widened."""
    low, high = min(x.min(), 0), max(x.max(), 0)
    step = (high - low) / 255
    zero = -128 - np.trunc(low / step)
    return (np.clip(np.round(x / step) + zero, -128, 127) - zero) * step


def unsigned(x):
    x = np.append(x, 0).astype(np.float32)
    step = (x.max() - x.min()) / np.float32(255)
    zero = np.round(-x.min() / step)
    return ((np.clip(np.round(x / step) + zero, 0, 255) - zero) * step)[:-1]


def one_by_one(x):
    low, high = min(0.0, *x.tolist()), max(0.0, *x.tolist())
    step = (high - low) / 255
    zero = round(-low / step)
    return [(min(max(round(v / step) + zero, 0), 255) - zero) * step for v in x.tolist()]


def overflowing(x):
    q = ql.quantize_zero_point(x)
    return (q.codes - q.zero_point.astype(np.int8)) * q.scale


def turned(codes, scale, zero_point):
    return ((codes.T - zero_point) * scale).T


def in_float32(codes, scale, zero_point):
    return (codes - zero_point[:, None]) * scale.astype(np.float32)[:, None]


def row_by_row(codes, scale, zero_point):
    rows = zip(codes.tolist(), scale.tolist(), zero_point.tolist(), strict=True)
    return [[(code - zero) * step for code in row] for row, step, zero in rows]


FOUR = ch04._product_errors(4)

RIGHT = {
    "4.1": [[1, -3, 7, 0], np.array([1, -3, 7, 0], np.int8), (1.0, -3.0, 7.0, -0.0)],
    "4.2": [right_zero_point, ties_up, unsigned, one_by_one, affine],
    "4.3": [FOUR, np.round(FOUR, 4), tuple(Fraction(e) for e in FOUR), [round(e, 5) for e in FOUR]],
    "4.4": [right_dequantize, turned, row_by_row, in_float32],
}

WRONG = [
    ("4.1", [1, -3, 8, 0], "absmax ends at 7"),
    ("4.1", [19, -51, 127, -6], "127 is the top code of 8 bits"),
    ("4.1", [1, -2, 7, 0], "2.8 steps"),
    ("4.1", [1, -3, 7, -1], "which mark is nearest"),
    ("4.1", [0.857, -2.571, 6.0, 0.0], "not the codes"),
    ("4.1", [0.86, -2.57, 6, 0], "not the codes"),
    ("4.1", [0.857, -2.57, 6, 0], "not the codes"),
    ("4.1", [1, 3, 7, 0], "the sign"),
    ("4.1", [2, -6, 15, -1], "the largest is 7"),
    ("4.1", ["1", "-3", "7", "0"], "leave the quotes away"),
    ("4.1", [1.05, -2.8, 7, -0.35], "round each"),
    ("4.1", ql.quantize_zero_point([0.9, -2.4, 6.0, -0.3], bits=4).codes, "not absmax"),
    ("4.1", [1, -3, 7], "the shape"),
    ("4.1", ql.quantize_absmax([0.9, -2.4, 6.0, -0.3], bits=4), "take .codes"),
    ("4.2", bare_range, "all-positive input"),
    ("4.2", bare_and_unclipped, "at most 44 different values"),
    ("4.2", bare_and_unclipped, "your range must hold zero"),
    ("4.2", widened_upwards, "from -6 to -5"),
    ("4.2", fractional_zero, "round the zero-point"),
    ("4.2", seven_bits, "7 bits have 127 steps"),
    ("4.2", lambda x: x, "256 codes"),
    ("4.2", lambda x: ql.quantize_zero_point(x).codes, "the round trip ends with values"),
    ("4.2", ql.quantize_zero_point, "this is a Quantized"),
    ("4.2", lambda x: ql.quantize_absmax(x).dequantize(), "that is absmax"),
    ("4.2", overflowing, "in a wider type"),
    ("4.2", lambda x: print(x), "return"),
    ("4.2", zero_cut_off, "cut off, a zero-point"),
    ("4.2", lambda x: affine(x, whole_zero=np.trunc), "cut off, a zero-point"),
    ("4.2", lambda x: affine(x, whole_zero=np.floor), "cut off, a zero-point"),
    ("4.2", lambda x: affine(x, steps=256), "255 steps between them"),
    ("4.2", lambda x: affine(x, steps=254), "255 steps between them"),
    ("4.2", lambda x: affine(x, steps=250), "255 steps between them"),
    ("4.2", lambda x: affine(x, whole=np.ceil), "round, don't cut"),
    ("4.2", lambda x: np.round(right_zero_point(x), 2), "1001 numbers from -3 to 5"),
    ("4.2", lambda x: affine(x, whole=np.trunc), "round, don't cut"),
    ("4.2", lambda x: affine(x, whole=np.floor), "round, don't cut"),
    ("4.3", FOUR[::-1], "absmax comes first"),
    ("4.3", ch04._product_errors(8), "the errors of 8"),
    ("4.3", [100 * e for e in FOUR], "these are percent"),
    ("4.3", [8.5, 12.43], "these are percent"),
    ("4.3", [12.43, 8.5], "absmax comes first"),
    ("4.3", ["0.0850", "0.1243"], "leave the quotes away"),
    ("4.3", [8.5, 12.4], "these are percent"),
    ("4.3", [0.085, 0.124], "give four decimals"),
    ("4.3", ch04._product_errors(4, (None, None)), "set axis"),
    ("4.3", ch04._one_side(0), "only X"),
    ("4.3", ch04._one_side(1), "only W"),
    ("4.4", wrong_axis, "subtract first"),
    ("4.4", scale_first, "subtract first"),
    ("4.4", lambda c, s, z: (c + z[:, None]) * s[:, None], "it is not added"),
    ("4.4", lambda c, s, z: c * s[:, None], "the zero-point is missing"),
    ("4.4", lambda c, s, z: c - z[:, None], "the scale is missing"),
    ("4.4", lambda c, s, z: (z[:, None] - c) * s[:, None], "not the reverse"),
    ("4.4", lambda c, s, z: (c - z[:, None]) / s[:, None], "multiply by it"),
    ("4.4", lambda c, s, z: (c - z.astype(np.int8)[:, None]) * s[:, None], "int8 ran over"),
]


def test_the_wrong_axis_is_caught_although_a_square_matrix_hides_it():
    square = ch04._per_row(3, 3)
    assert wrong_axis(*square.args).shape == square.expected.shape
    assert verdict("4.4", wrong_axis).state == "wrong"


def test_absmax_beats_zero_point_at_four_bits_as_the_solution_says():
    absmax, zero_point = ch04._product_errors(4)
    assert absmax < zero_point


def test_a_small_group_gains_by_a_zero_point_in_every_draw():
    """Notebook 04 prints the gains of one scale for all, and states this one in words."""
    for seed in range(8):
        x = np.random.default_rng(seed).normal(size=4096)
        both = (
            quantize(x, group_size=64) for quantize in (ql.quantize_absmax, ql.quantize_zero_point)
        )
        plain, zero = (ql.errors.snr_db(q.dequantize(), x) for q in both)
        assert 0.7 < zero - plain < 1.1
