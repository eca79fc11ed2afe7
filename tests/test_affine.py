"""Absmax and zero-point: the bound of rounding, exact zeros and constants, exact sums."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import quantlab as ql
from quantlab import article

METHODS = [ql.quantize_absmax, ql.quantize_zero_point]
both_methods = pytest.mark.parametrize("quantize", METHODS, ids=["absmax", "zero_point"])
both_widths = pytest.mark.parametrize("kind", [np.float32, np.float64])


def arrays(kind, largest=None):
    """Arrays of 1 to 60 finite values, down to the subnormals and up to a quarter of the largest.

    The quarter leaves room for max - min, which a zero-point grid needs.
    """
    largest = float(largest or np.finfo(kind).max / 4)
    values = st.floats(-largest, largest, width=8 * np.dtype(kind).itemsize)
    shapes = hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)
    return hnp.arrays(kind, shapes, elements=values)


def steps_off(x, q):
    """The distance of each value from the one its code stands for, in steps, and the slack.

    Extended precision holds codes, scales and differences of float32 exactly, of float64 to
    2^-64. Computing x / scale with u = eps/2 rounds 1/peak (u; up to 4u where the reciprocal of
    a huge peak is subnormal), times levels, times x and the scale itself (u each): 7u of the
    quotient, which is at most 2^bits in magnitude. 1u more is for float64's own 2^-64.
    """
    wide = np.longdouble
    off = np.abs(x.astype(wide) - (q.codes.astype(wide) - q.zero_point) * wide(q.scale)) / q.scale
    return float(off.max()), 8 * np.finfo(x.dtype).eps / 2 * 2**q.bits


@both_methods
@both_widths
def test_error_is_at_most_half_a_step(quantize, kind):
    @given(arrays(kind), st.integers(2, 16))
    def check(x, bits):
        off, slack = steps_off(x, quantize(x, bits=bits))
        assert off <= 0.5 + slack

    check()


@both_methods
def test_error_stays_at_most_half_a_step_next_to_the_largest_float(quantize):
    x = np.array([1.0, 0.3, -0.49, 0.5], np.float32) * np.finfo(np.float32).max / 2
    off, slack = steps_off(x, quantize(x))
    assert off <= 0.5 + slack


@both_methods
@pytest.mark.parametrize("size", [1e-30, 1e-36, 1e-38, 1e-42, 1e-45])
def test_error_is_at_most_half_a_step_for_tiny_values(quantize, size):
    x = np.array([1.0, 0.3, -0.49, 0.5], np.float32) * np.float32(size)
    off, slack = steps_off(x, quantize(x))
    assert off <= 0.5 + slack


@both_methods
@pytest.mark.parametrize("bits", range(2, 17))
def test_codes_use_the_range_of_their_width_and_nothing_beyond(quantize, bits):
    x = np.random.default_rng(bits).uniform(-1, 1, 1000)
    codes = quantize(x, bits=bits).codes.astype(int)
    high = 2 ** (bits - 1) - 1
    assert codes.dtype == int and np.abs(codes).max() >= high
    assert codes.min() >= (-high if quantize is ql.quantize_absmax else -high - 1)
    assert codes.max() <= high


def test_absmax_gives_the_largest_magnitude_the_largest_code_on_either_side():
    assert ql.quantize_absmax([5.0, -1.0]).codes.tolist() == [127, -25]
    assert ql.quantize_absmax([-5.0, 1.0]).codes.tolist() == [-127, 25]


def test_zero_point_spans_all_codes_from_minimum_to_maximum():
    q = ql.quantize_zero_point([-1.0, 0.0, 4.0], bits=4)
    assert q.codes.tolist() == [-8, -5, 7]


@both_methods
@pytest.mark.parametrize(("bits", "kind"), [(2, np.int8), (8, np.int8), (9, np.int16)])
def test_codes_are_int8_up_to_8_bits_and_int16_above(quantize, bits, kind):
    assert quantize([1.0, 2.0], bits=bits).codes.dtype == kind


@given(st.integers(2, 16))
def test_absmax_rounds_ties_to_the_even_code(bits):
    high = 2 ** (bits - 1) - 1
    ties = np.arange(-high, high) + 0.5  # with a largest value of `high` the step is exactly 1
    codes = ql.quantize_absmax(np.append(ties, high), bits=bits).codes[:-1]
    assert np.array_equal(codes % 2, np.zeros(len(ties)))


def test_zero_point_rounds_ties_to_the_even_multiple_of_the_step():
    x = np.array([-8.0, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 7.0])  # bits=4: step 1, zero-point 0
    assert ql.quantize_zero_point(x, bits=4).codes.tolist() == [-8, -2, -2, 0, 0, 2, 2, 7]


@both_methods
@both_widths
def test_zero_comes_back_as_exactly_zero(quantize, kind):
    @given(arrays(kind), st.integers(2, 16))
    def check(x, bits):
        x.flat[0] = 0
        assert quantize(x, bits=bits).dequantize().flat[0] == 0

    check()


@given(arrays(np.float32), st.integers(2, 16))
def test_the_zero_point_is_itself_a_code(x, bits):
    zero = int(ql.quantize_zero_point(x, bits=bits).zero_point)
    assert -(2 ** (bits - 1)) <= zero < 2 ** (bits - 1)


@both_methods
def test_all_positive_values_keep_half_a_step(quantize):
    # The bug of many published versions: without 0 in the range the offset is no code.
    x = np.array([5.0, 5.5, 6.0])
    q = quantize(x)
    assert np.abs(q.dequantize() - x).max() <= q.scale / 2


@both_methods
@both_widths
def test_a_constant_array_comes_back_exactly(quantize, kind):
    values = st.floats(allow_nan=False, allow_infinity=False, width=8 * np.dtype(kind).itemsize)

    @given(values, st.integers(2, 16), st.integers(1, 5))
    def check(value, bits, count):
        x = np.full(count, value, kind)
        assert np.array_equal(quantize(x, bits=bits).dequantize(), x)

    check()


@both_methods
@pytest.mark.parametrize("value", [1e-30, 1e-37, 1.2e-38, 1e-40, 1e-45, 3.4e38])
def test_a_constant_of_extreme_size_comes_back_exactly(quantize, value):
    x = np.full(3, value, np.float32)
    assert np.array_equal(quantize(x).dequantize(), x)


@both_methods
def test_a_constant_group_beside_others_comes_back_exactly(quantize):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 8)).astype(np.float32)
    x[::2] = rng.standard_normal((250, 1)).astype(np.float32)
    for bits in (2, 3, 4, 8):
        assert np.array_equal(quantize(x, bits=bits, axis=1).dequantize()[::2], x[::2])


@both_methods
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_all_zeros_come_back_with_finite_scales(quantize, axis):
    q = quantize(np.zeros((3, 4)), axis=axis)
    assert not q.codes.any() or quantize is ql.quantize_zero_point
    assert np.array_equal(q.dequantize(), np.zeros((3, 4)))
    assert np.isfinite(q.scale).all() and (q.scale > 0).all()


# Axes and groups.


@both_methods
@pytest.mark.parametrize(
    ("axis", "group_size", "shape"),
    [
        (None, None, ()), (None, 4, (18,)),
        (1, None, (6, 1)), (1, 4, (6, 3)), (-1, 4, (6, 3)),
        (0, None, (1, 12)), (0, 2, (3, 12)), (-2, 2, (3, 12)),
    ],
)  # fmt: skip
def test_there_is_one_scale_for_each_group_along_the_reduced_axis(
    quantize, axis, group_size, shape
):
    x = np.random.default_rng(1).standard_normal((6, 12))
    q = quantize(x, axis=axis, group_size=group_size)
    assert q.scale.shape == q.zero_point.shape == shape
    assert q.codes.shape == q.dequantize().shape == x.shape


@both_methods
@pytest.mark.parametrize("group_size", [None, 1, 2, 3, 6])
def test_each_group_is_quantized_as_if_it_were_alone(quantize, group_size):
    x = np.random.default_rng(2).standard_normal((4, 6, 3))
    for axis in (0, 1, 2):
        length = x.shape[axis]
        size = group_size or length
        if length % size:
            continue
        q = quantize(x, bits=5, axis=axis, group_size=group_size)
        rows, values = np.moveaxis(q.codes, axis, -1), np.moveaxis(q.dequantize(), axis, -1)
        for index in np.ndindex(rows.shape[:-1]):
            for start in range(0, length, size):
                part = np.moveaxis(x, axis, -1)[index][start : start + size]
                alone = quantize(part, bits=5)
                assert np.array_equal(rows[index][start : start + size], alone.codes)
                assert np.array_equal(values[index][start : start + size], alone.dequantize())


@both_methods
def test_groups_without_an_axis_run_along_the_flat_array(quantize):
    x = np.random.default_rng(3).standard_normal((6, 12))
    flat, square = quantize(x.ravel(), group_size=8), quantize(x, group_size=8)
    assert np.array_equal(square.codes, flat.codes.reshape(x.shape))
    assert np.array_equal(square.dequantize(), flat.dequantize().reshape(x.shape))


@both_methods
def test_a_transposed_array_gives_transposed_codes(quantize):
    x = np.random.default_rng(4).standard_normal((6, 12))
    q, t = quantize(x, axis=1, group_size=4), quantize(x.T, axis=0, group_size=4)
    assert np.array_equal(q.codes.T, t.codes) and np.array_equal(q.scale.T, t.scale)


@both_methods
def test_quantizing_leaves_its_input_alone(quantize):
    x = np.random.default_rng(5).standard_normal((6, 12)).astype(np.float32)
    before = x.copy()
    quantize(x, axis=1).dequantize()
    assert np.array_equal(x, before)


@both_methods
@pytest.mark.parametrize(
    ("source", "result"),
    [(np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64)],
)
def test_dequantized_values_are_float32_unless_the_input_was_float64(quantize, source, result):
    assert quantize(np.array([1, 2.5], source)).dequantize().dtype == result


@both_methods
def test_a_single_number_is_quantized(quantize):
    q = quantize(-3.5)
    assert q.codes.shape == () and q.dequantize() == -3.5


def test_bits_per_value_counts_the_scales_and_the_zero_points():
    x = np.random.default_rng(6).standard_normal((8, 64))
    # 8 bits and 16 bits of scale for 32 values; a zero-point is itself a code: 8 bits more.
    assert ql.quantize_absmax(x, axis=1, group_size=32).bits_per_value == 8.5
    assert ql.quantize_zero_point(x, axis=1, group_size=32).bits_per_value == 8.75
    grouped = ql.quantize_zero_point(x, bits=4, axis=1, group_size=64)
    assert grouped.bits_per_value == 4 + (16 + 4) / 64
    assert ql.quantize_absmax(x, bits=4).bits_per_value == 4 + 16 / 512


# Products of codes.


def by_python_integers(qx, qw):
    """The sums of products of (code - zero-point), in integers without limit."""
    x = (qx.codes.astype(object) - qx.zero_point.astype(object)).tolist()
    w = (qw.codes.astype(object) - qw.zero_point.astype(object)).tolist()
    return [
        [sum(a * b for a, b in zip(r, c, strict=True)) for c in zip(*w, strict=True)] for r in x
    ]


@both_methods
@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("axes", [(None, None), (1, 0), (1, None), (None, 0)])
def test_a_quantized_product_sums_integers_exactly(quantize, bits, axes):
    rng = np.random.default_rng(bits)
    qx = quantize(rng.uniform(-1, 2, (3, 300)), bits=bits, axis=axes[0])
    qw = quantize(rng.uniform(-2, 1, (300, 5)), bits=bits, axis=axes[1])
    sums = np.array(by_python_integers(qx, qw), dtype=np.float64)
    assert np.array_equal(ql.quantized_matmul(qx, qw), sums * (qx.scale * qw.scale))


def test_the_largest_codes_do_not_overflow_the_sum():
    qx = ql.quantize_absmax(np.ones((1, 70_000)), bits=16)
    qx = ql.Quantized(np.full((1, 70_000), 32767, np.int16), qx.scale, qx.zero_point, 16, True)
    qw = ql.Quantized(qx.codes.T, qx.scale, qx.zero_point, 16, True)
    expected = 70_000 * 32767**2  # 7.5e13: past int32, and exact in float64
    assert ql.quantized_matmul(qx, qw)[0, 0] == expected * float(qx.scale * qw.scale)


@both_methods
def test_a_quantized_product_is_that_of_the_dequantized_matrices(quantize):
    rng = np.random.default_rng(7)
    qx = quantize(rng.standard_normal((4, 64)), axis=1)
    qw = quantize(rng.standard_normal((64, 3)), axis=0)
    x, w = qx.dequantize(), qw.dequantize()
    # A float64 sum of n products is off by at most (n + 2) eps of the sum of magnitudes.
    slack = (64 + 2) * np.finfo(float).eps * (np.abs(x) @ np.abs(w))
    assert np.all(np.abs(ql.quantized_matmul(qx, qw) - x @ w) <= slack)


# The article's digits.


def as_printed(value):
    """Round to the article's digits: four significant ones, three decimals at the most."""
    whole_digits = len(str(int(abs(value))))
    return round(float(value), max(0, min(3, 4 - whole_digits)))


def test_the_exact_product_has_the_articles_digits_but_one_that_it_cut_off():
    ours = [[as_printed(v) for v in row] for row in article.X @ article.W]
    printed = [list(row) for row in article.published["exact"]]
    assert ours[0].pop(0) == 2.652 and printed[0].pop(0) == 2.651  # 2.6517, cut off
    assert ours == printed


@pytest.mark.parametrize(("name", "x", "axis"), [("X", article.X, 1), ("W", article.W, 0)])
def test_the_dequantized_matrices_have_the_articles_digits(name, x, axis):
    ours = [[as_printed(v) for v in row] for row in ql.quantize_absmax(x, axis=axis).dequantize()]
    assert ours == article.published["absmax"][f"{name}_dequantized"]


def test_the_absmax_product_has_the_articles_digits_but_one_that_it_cut_off():
    qx, qw = ql.quantize_absmax(article.X, axis=1), ql.quantize_absmax(article.W, axis=0)
    ours = [[as_printed(v) for v in row] for row in ql.quantized_matmul(qx, qw)]
    printed = [list(row) for row in article.published["absmax"]["product"]]
    assert ours[1].pop(0) == -1566 and printed[1].pop(0) == -1565  # -1565.66, cut off
    assert ours == printed


def test_the_zero_point_big_row_is_what_the_standard_definition_gives():
    qx, qw = ql.quantize_zero_point(article.X, axis=1), ql.quantize_zero_point(article.W, axis=0)
    assert ql.quantized_matmul(qx, qw)[1].round(2).tolist() == [-1587.05, -1786.29]


@given(arrays(np.float64, largest=1e6), st.integers(2, 8))
def test_absmax_of_the_negated_array_has_negated_codes(x, bits):
    assume(x.size)
    codes, mirrored = (ql.quantize_absmax(v, bits=bits).codes for v in (x, -x))
    assert np.array_equal(codes, -mirrored)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("quantize", [ql.quantize_absmax, ql.quantize_zero_point])
@pytest.mark.parametrize("bits", range(2, 17))
def test_the_largest_number_of_all_comes_back_finite(quantize, bits, kind):
    x = np.array([np.finfo(kind).max, 1], kind)
    for values in (x, np.resize(x, 2**14)):  # by the definition and by the quick form
        back = quantize(values, bits).dequantize()
        assert np.isfinite(back).all()
        assert back.dtype == kind
