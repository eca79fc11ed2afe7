"""The exercises of notebook 05: their tables of answers, and what the checks rest on."""

from fractions import Fraction

import numpy as np
import pytest

import quantlab as ql
from quantlab import article
from quantlab.course.exercises import ch05


def share(x, threshold):
    return len(ql.outlier_columns(x, threshold)) / x.shape[1]


def share_by_loop(x, threshold):
    apart = [max(abs(v) for v in column) >= threshold for column in x.T]
    return Fraction(sum(apart), len(apart))


def separated(x, w, axis=1, keepdims=True, largest=127, axis_w=0):
    apart = (np.abs(x) >= 6.0).any(axis=0)
    calm_x, calm_w = x[:, ~apart], w[~apart]
    step_x = np.abs(calm_x).max(axis=axis, keepdims=keepdims) / largest
    step_w = np.abs(calm_w).max(axis=axis_w, keepdims=keepdims) / largest
    codes = np.round(calm_x / step_x) @ np.round(calm_w / step_w)
    return codes * step_x * step_w + x[:, apart] @ w[apart]


def in_fp16(x, w):
    """All that is not codes in 16 bits, the result too; half-way codes go up."""
    x, w = x.astype(np.float16), w.astype(np.float16)
    apart = (np.abs(x) >= 6.0).any(axis=0)
    step_x = np.abs(x[:, ~apart]).max(axis=1, keepdims=True).astype(np.float32) / 127
    step_w = np.abs(w).max(axis=0).astype(np.float32) / 127
    x8 = np.floor(x[:, ~apart] / step_x + 0.5).astype(np.int32)
    w8 = np.floor(w[~apart] / step_w + 0.5).astype(np.int32)
    return (x8 @ w8 * step_x * step_w).astype(np.float16) + x[:, apart] @ w[apart]


def through_values(x, w):
    """Rounded values in a float product: the same as codes and steps."""
    apart = (np.abs(x) >= 6.0).any(axis=0)
    x8 = ql.quantize_absmax(x[:, ~apart], axis=1).dequantize()
    w8 = ql.quantize_absmax(w[~apart], axis=0).dequantize()
    return (x8 @ w8 + x[:, apart] @ w[apart]).tolist()


def with_steps(x, w, axis_x, axis_w, apart=None, code_x=True, code_w=True, bits=8):
    """Rounded values, whatever the axes, in a float product: nothing raises."""
    apart = (np.abs(x) >= 6.0).any(axis=0) if apart is None else apart
    calm_x, calm_w = x[:, ~apart], w[~apart]
    if code_x:
        calm_x = ql.quantize_absmax(calm_x, bits, axis=axis_x).dequantize()
    if code_w:
        calm_w = ql.quantize_absmax(calm_w, bits, axis=axis_w).dequantize()
    return calm_x @ calm_w + x[:, apart] @ w[apart]


def in_parts(x, w, codes=True, steps="xw", kind=np.int32, size=np.abs):
    apart = (np.abs(x) >= 6.0).any(axis=0)
    calm_x, calm_w = x[:, ~apart], w[~apart]
    step_x, step_w = size(calm_x).max(axis=1)[:, None] / 127, size(calm_w).max(axis=0) / 127
    sums = np.round(calm_x / step_x).astype(kind) @ np.round(calm_w / step_w).astype(kind)
    for name, step in (("x", step_x), ("w", step_w)):
        sums = sums * step if name in steps else sums
    return sums * codes + x[:, apart] @ w[apart]


def outliers_twice(x, w):
    apart = ql.outlier_columns(x)
    whole = ql.quantized_matmul(ql.quantize_absmax(x, axis=1), ql.quantize_absmax(w, axis=0))
    return whole + x[:, apart] @ w[apart]


def zero_point(x, w):
    apart = (np.abs(x) >= 6.0).any(axis=0)
    x8 = ql.quantize_zero_point(x[:, ~apart], axis=1)
    w8 = ql.quantize_zero_point(w[~apart], axis=0)
    return ql.quantized_matmul(x8, w8) + x[:, apart] @ w[apart]


def rows_apart(x, w):
    apart = (np.abs(x) >= 6.0).any(axis=1)
    result = ql.quantized_matmul(ql.quantize_absmax(x, axis=1), ql.quantize_absmax(w, axis=0))
    result[apart] = x[apart] @ w
    return result


def from_codes(x, w):
    return ql.llm_int8_matmul(x, ql.quantize_absmax(w, axis=0))


def cutting(x, w, cut_x, cut_w, peaks=None):
    apart = (np.abs(x) >= 6.0).any(axis=0)
    step_x = np.abs(x[:, ~apart] if peaks is None else peaks).max(axis=1, keepdims=True) / 127
    step_w = np.abs(w[~apart]).max(axis=0) / 127
    codes = cut_x(x[:, ~apart] / step_x) @ cut_w(w[~apart] / step_w)
    return codes * step_x * step_w + x[:, apart] @ w[apart]


def single_outliers(x, w):
    far = np.where(np.abs(x) >= 6.0, x, 0)
    calm = ql.quantize_absmax(x - far, axis=1), ql.quantize_absmax(w, axis=0)
    return ql.quantized_matmul(*calm) + far @ w


def outliers_in_codes(x, w):
    apart = (np.abs(x) >= 6.0).any(axis=0)
    parts = (
        ql.quantized_matmul(
            ql.quantize_absmax(x[:, some], axis=1), ql.quantize_absmax(w[some], axis=0)
        )
        for some in (apart, ~apart)
    )
    return sum(parts)


def truncated(x, w):
    apart = (np.abs(x) >= 6.0).any(axis=0)
    step_x = np.abs(x[:, ~apart]).max(axis=1, keepdims=True) / 127
    step_w = np.abs(w[~apart]).max(axis=0) / 127
    x8, w8 = (x[:, ~apart] / step_x).astype(int), (w[~apart] / step_w).astype(int)
    return x8 @ w8 * step_x * step_w + x[:, apart] @ w[apart]


RIGHT = {
    "5.1": [[16, 16, 8, 16], (16.0, 16.0, 8.0, 16.0), np.array([16, 16, 8, 16], np.uint8)],
    "5.2": [share, share_by_loop, lambda x, t: (np.abs(x).max(axis=0) >= t).mean(dtype=np.float32)],
    "5.3": [ch05._HALF, float(ch05._HALF), np.int64(ch05._HALF)],
    "5.4": [separated, in_parts, in_fp16, through_values, lambda x, w: ql.llm_int8_matmul(x, w)],
}

WRONG = [
    ("5.1", [16, 16, 8, 8], "magnitude 4.913"),
    ("5.1", [16, 16, 16, 8], "4.027 is below"),
    ("5.1", [8, 16, 8, 8], "7.408 reaches"),
    ("5.1", [8, 8, 16, 8], "do reach"),
    ("5.1", [16, 16, 16, 16], "4.027 is the largest"),
    ("5.1", [8, 16, 8, 16], "7.408 reaches"),
    ("5.1", [0, 1, 3], "these are the columns"),
    ("5.1", [2, 2, 1, 2], "these are bytes"),
    ("5.1", [16, 16], "the shape"),
    ("5.1", [16, 16, 16], "four columns"),
    ("5.1", [True, True, False, True], "bits are asked for"),
    ("5.1", "16, 16, 8, 16", "leave the quotes away"),
    ("5.1", ["16", "16", "8", "16"], "leave the quotes away"),
    ("5.2", lambda x, t: (np.abs(x) >= t).mean(), "not values"),
    ("5.2", lambda x, t: (np.abs(x) >= t).any(axis=1).mean(), "along the rows"),
    ("5.2", lambda x, t: (x >= t).any(axis=0).mean(), "the magnitude that counts"),
    ("5.2", lambda x, t: (np.abs(x) > t).any(axis=0).mean(), "equals the threshold"),
    ("5.2", lambda x, t: 1 - share(x, t), "the share in 8 bits"),
    ("5.2", lambda x, t: 100 * share(x, t), "not percent"),
    ("5.2", lambda x, t: len(ql.outlier_columns(x, t)), "how many columns"),
    ("5.2", lambda x, t: len(ql.outlier_columns(x, t)) / 4, "columns that x has"),
    ("5.2", ql.outlier_columns, "these are the columns"),
    ("5.2", lambda x, t: (np.abs(x) >= t).any(axis=0), "which columns go"),
    ("5.2", lambda x, t: len(ql.outlier_columns(x, t)) / len(x), "not of rows"),
    ("5.2", lambda x, t: share(x, 6.0), "handed in"),
    ("5.2", lambda x, t: (np.abs(x) >= t).sum() / x.shape[1], "a column counts once"),
    ("5.3", ch05._HALF + 1, "a little more than half"),
    ("5.3", 50, "not the largest"),
    ("5.3", 6, "far more than halve"),
    ("5.3", 1, "nearly all in 16 bits"),
    ("5.3", 45, "come from codes"),
    ("5.3", 10, "not the largest"),
    ("5.3", ch05._HALF - 1, "not the largest"),
    ("5.3", 100, "leaves more than half"),
    ("5.3", 119, "still set apart"),
    ("5.3", 200, "still set apart"),
    ("5.3", ch05._HALF + 0.5, "compare with half"),
    ("5.4", lambda x, w: x @ w, "is anything rounded"),
    ("5.4", lambda x, w: x.astype(np.float16) @ w.astype(np.float16), "is anything rounded"),
    ("5.4", lambda x, w: separated(x, w, axis=0, keepdims=False), "one step per row"),
    ("5.4", lambda x, w: separated(x, w, axis=None), "x has one step for all"),
    ("5.4", lambda x, w: separated(x, w, axis_w=1), "one step per row"),
    ("5.4", lambda x, w: with_steps(x, w, 1, 1), "w has steps that change along the sum"),
    ("5.4", lambda x, w: with_steps(x, w, 0, 0), "x has steps that change along the sum"),
    ("5.4", lambda x, w: with_steps(x, w, 1, None), "w has one step for all"),
    ("5.4", lambda x, w: with_steps(x, w, 1, 0, code_w=False), "only x is rounded"),
    ("5.4", lambda x, w: with_steps(x, w, 1, 0, code_x=False), "only w is rounded"),
    ("5.4", rows_apart, "columns of x stand apart, not rows"),
    ("5.4", lambda x, w: with_steps(x, w, 1, 0, bits=7), "your largest code is 63"),
    ("5.4", lambda x, w: with_steps(x, w, 1, 0, bits=9), "your largest code is 255"),
    ("5.4", lambda x, w: with_steps(x, w, 1, 0, bits=12), "your largest code is 2047"),
    ("5.4", lambda x, w: separated(x, w, largest=128), "your largest code is 128"),
    ("5.4", lambda x, w: with_steps(x, w, 1, 0, bits=4), "your largest code is 7."),
    ("5.4", lambda x, w: with_steps(x, w, 1, 0, (x >= 6).any(axis=0)), "may be negative"),
    ("5.4", lambda x, w: with_steps(x, w, 1, 0, (np.abs(x) > 6).any(axis=0)), "equal to the"),
    ("5.4", lambda x, w: with_steps(x, w, 1, 0, np.zeros(x.shape[1], bool)), "plain absmax"),
    ("5.4", lambda x, w: with_steps(x, w, 1, 0, (np.abs(x) >= 4.5).any(axis=0)), "5.875 does not"),
    ("5.4", lambda x, w: in_parts(x, w, codes=False), "Where are the calm columns"),
    ("5.4", lambda x, w: in_parts(x, w, steps=()), "multiply them by both steps"),
    ("5.4", lambda x, w: in_parts(x, w, steps="x"), "the steps of w are missing"),
    ("5.4", lambda x, w: in_parts(x, w, steps="w"), "the steps of x are missing"),
    ("5.4", lambda x, w: in_parts(x, w, kind=np.int8), "in a wider type"),
    ("5.4", lambda x, w: in_parts(x, w, size=lambda m: m), "np.abs first"),
    ("5.4", outliers_twice, "count twice"),
    ("5.4", zero_point, "absmax is asked for"),
    ("5.4", from_codes, "went through codes"),
    ("5.4", truncated, "don't cut"),
    ("5.4", lambda x, w: cutting(x, w, np.ceil, np.ceil), "don't cut"),
    ("5.4", lambda x, w: cutting(x, w, np.trunc, np.round), "don't cut. (w is right.)"),
    ("5.4", lambda x, w: cutting(x, w, np.round, np.floor), "don't cut. (x is right.)"),
    (
        "5.4",
        lambda x, w: with_steps(x, w, 1, 0, np.isin(range(x.shape[1]), (1, 3))),
        "only columns that reach 6.0",
    ),
    ("5.4", single_outliers, "as a whole"),
    ("5.4", lambda x, w: cutting(x, w, np.round, np.round, peaks=x), "sets the steps of its row"),
    ("5.4", outliers_in_codes, "multiplied as they are"),
    (
        "5.4",
        lambda x, w: separated(x, w) - x[:, (a := ql.outlier_columns(x))] @ w[a],
        "missing from the sum",
    ),
    ("5.4", lambda x, w: separated(x, w).T, "the shape"),
    ("5.4", lambda x, w: [[1, 2], [3]], "8-bit codes"),
    ("5.4", lambda x, w: print(separated(x, w)), "`return` it"),
]


@pytest.mark.parametrize("shape", [(3, 6, 4), (3, 9, 2), (5, 7, 6)], ids=str)
def test_the_numbers_of_the_product_are_exact_in_fp16_and_no_code_is_a_tie(shape):
    x, w, apart = ch05._numbers(*shape)
    assert all(np.array_equal(m.astype(np.float16), m) for m in (x, w))
    cleared = np.where(np.abs(x) >= 6, 0, x)
    for calm, axis, wholes in ((x[:, ~apart], 1, cleared), (w[~apart], 0, w)):
        for peaks in (calm, wholes):
            codes = calm / (np.abs(peaks).max(axis=axis, keepdims=True) / 127)
            assert np.abs(codes % 1 - 0.5).min() > 1e-2  # any rounding gives the same codes


def test_the_wrong_axis_raises_nothing_where_calm_columns_and_outputs_are_as_many():
    x, w, apart = ch05._numbers(3, 6, 4)
    assert (~apart).sum() == w.shape[1]
    assert separated(x, w, axis=0, keepdims=False).shape == (3, 4)


def test_the_halving_threshold_halves_and_the_next_one_does_not():
    x, w = ch05._X, ch05._W
    plain = ql.quantized_matmul(ql.quantize_absmax(x, axis=1), ql.quantize_absmax(w, axis=0))
    half = ql.errors.relative(plain, x @ w) / 2
    at, after = (
        ql.errors.relative(ql.llm_int8_matmul(x, w, t), x @ w) for t in (ch05._HALF, ch05._HALF + 1)
    )
    assert at <= half < after


def test_the_article_s_columns_are_those_of_exercise_1():
    assert ql.outlier_columns(article.X, 4.5).tolist() == [0, 1, 3]
