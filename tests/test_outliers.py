"""LLM.int8(): which columns count as outliers, and what keeping them in 16 bits gives back."""

import numpy as np
import pytest

import quantlab as ql
from quantlab import article


def layer(tokens=8, features=64, out=16, outliers=(), seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((tokens, features)).clip(-5, 5)
    x[:, list(outliers)] *= 50
    return x, rng.standard_normal((features, out)) / 8


def test_a_column_is_an_outlier_if_any_magnitude_reaches_the_threshold():
    x = [[1.0, -7.0, 2.0, 5.99], [0.5, 0.1, 6.0, -5.99]]
    assert ql.outlier_columns(x).tolist() == [1, 2]


def test_the_threshold_is_a_setting():
    x = [[1.0, -7.0, 2.0, 5.99]]
    assert ql.outlier_columns(x, threshold=2.0).tolist() == [1, 2, 3]
    assert ql.outlier_columns(x, threshold=100).tolist() == []


def test_the_articles_example_has_one_outlier_column():
    assert ql.outlier_columns(article.X, threshold=10).tolist() == [1]


def test_without_outliers_the_product_is_that_of_vector_wise_absmax():
    x, w = (part.astype(np.float16) for part in layer())
    qx, qw = ql.quantize_absmax(x, axis=1), ql.quantize_absmax(w, axis=0)
    ours, codes = ql.llm_int8_matmul(x.astype(np.float32), w), ql.quantized_matmul(qx, qw)
    # The same integer sums. bitsandbytes' 1/127^2 for CPUs lacks a digit (6.200124e-05 for
    # 6.2000124e-05: 1.8e-5 too much), and so does ours; float32 scales add some 2^-22.
    assert np.allclose(ours, codes, rtol=1.9e-5, atol=0)


def test_outliers_leave_the_codes_of_the_other_columns_alone():
    x, w = layer()
    x[:, [3, 40]] = np.where(x[:, [3, 40]] > 0, 50, -50)  # all beyond the threshold
    calm = x.copy()
    calm[:, [3, 40]] = 0
    rest = ql.llm_int8_matmul(x, w) - ql.llm_int8_matmul(calm, w)
    half = (a.astype(np.float16).astype(float) for a in (x[:, [3, 40]], w[[3, 40]]))
    part = np.matmul(*half)
    # The int8 parts are equal; two float32 sums (2^-24 each of at most the largest value).
    assert np.allclose(rest, part, rtol=0, atol=8 * 2.0**-24 * np.abs(part).max())


@pytest.mark.parametrize("quantized", [False, True], ids=["real_w", "quantized_w"])
def test_separation_brings_the_error_of_absmax_down_ten_times(quantized):
    x, w = layer(tokens=64, features=256, outliers=(3, 40, 77))
    exact = x @ w
    absmax = ql.quantized_matmul(ql.quantize_absmax(x, axis=1), ql.quantize_absmax(w, axis=0))
    ours = ql.llm_int8_matmul(x, ql.quantize_absmax(w, axis=0) if quantized else w)
    factor = 2 if quantized else 10  # codes decoded keep their int8 error in the large products
    assert ql.errors.relative(ours, exact) < ql.errors.relative(absmax, exact) / factor


def test_the_articles_big_row_comes_back_within_one():
    ours = ql.llm_int8_matmul(article.X, article.W)
    assert np.abs(ours[1] - (article.X @ article.W)[1]).max() < 1


def test_the_paper_s_form_is_the_closest_on_the_articles_example():
    exact = article.X @ article.W
    qx, qw = ql.quantize_absmax(article.X, axis=1), ql.quantize_absmax(article.W, axis=0)
    zx, zw = ql.quantize_zero_point(article.X, axis=1), ql.quantize_zero_point(article.W, axis=0)
    ours = ql.errors.relative(ql.llm_int8_matmul(article.X, article.W), exact)
    assert ours < ql.errors.relative(ql.quantized_matmul(qx, qw), exact)
    assert ours < ql.errors.relative(ql.quantized_matmul(zx, zw), exact)


def test_the_paper_s_form_rounds_the_outliers_part_only_to_fp16():
    x, w = layer(outliers=(3,))
    x[:, [i for i in range(64) if i != 3]] = 0  # nothing is left for int8
    exact = x @ w
    # x and w are rounded to FP16 (2^-11 each), the sum to float32.
    assert np.allclose(ql.llm_int8_matmul(x, w), exact, rtol=2 * 2.0**-11 + 2.0**-20, atol=1e-6)


def test_decoded_codes_keep_their_int8_error_in_the_outliers_part():
    x, w = layer(outliers=(3, 40))
    exact = x @ w
    real, codes = ql.llm_int8_matmul(x, w), ql.llm_int8_matmul(x, ql.quantize_absmax(w, axis=0))
    assert ql.errors.relative(real, exact) < ql.errors.relative(codes, exact)


def test_all_columns_may_be_outliers():
    x, w = layer()
    exact = x.astype(np.float16).astype(float) @ w.astype(np.float16).astype(float)
    bound = np.abs(x) @ np.abs(w)
    # A float32 sum of 64 products: at most 64 places of the sum of magnitudes.
    ours = ql.llm_int8_matmul(x, w, threshold=1e-6)
    assert np.all(np.abs(ours - exact) <= 65 * 2.0**-24 * bound)


def test_every_constant_row_of_fp16_keeps_its_size():
    # A grid may take a step as long as a constant, to give it back exactly; the product may not.
    x = np.arange(1, 0x7C00, dtype=np.uint16).view(np.float16)[:, None].repeat(2, axis=1)
    product = ql.llm_int8_matmul(x.astype(np.float32), np.eye(2), threshold=1e9)
    assert np.allclose(product, x.astype(np.float32), rtol=1e-4, atol=0)


def test_a_row_of_zeros_gives_zeros():
    x, w = layer()
    x[2] = 0
    assert not ql.llm_int8_matmul(x, w)[2].any()


@pytest.mark.parametrize(
    ("source", "result"),
    [(np.float16, np.float16), (np.float32, np.float32), (np.float64, np.float32)],
)
def test_the_product_is_float16_for_float16_and_float32_otherwise(source, result):
    x, w = layer(outliers=(3,))
    assert ql.llm_int8_matmul(x.astype(source), w).dtype == result


def test_the_arguments_are_left_alone():
    x, w = (part.astype(np.float16) for part in layer(outliers=(3,)))
    before = x.copy(), w.copy()
    ql.llm_int8_matmul(x, w)
    assert np.array_equal(x, before[0]) and np.array_equal(w, before[1])


def test_a_threshold_of_0_separates_nothing():
    x, w = np.array([[1.0, 700.0], [3.0, 4.0]], np.float32), np.ones((2, 3), np.float32)
    assert ql.outlier_columns(x, 0).size == 0
    whole = ql.llm_int8_matmul(x, w, threshold=0)
    assert np.array_equal(whole, ql.llm_int8_matmul(x, w, threshold=65504.0))
    assert not np.array_equal(whole, ql.llm_int8_matmul(x, w))
