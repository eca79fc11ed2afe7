"""Figures and explorer of notebook 05: what they show is what the core computes."""

import re

import numpy as np
import pytest

import quantlab as ql
from quantlab.experiments import separation
from quantlab.experiments.separation import LIBRARY, PAPER, THRESHOLDS, Layer
from quantlab.show import html
from quantlab.show import outliers_figures as figures
from quantlab.show.drawing import Box, Mark

X, W = ql.article.X, ql.article.W
LAYERS = {name: Layer(*pair) for name, pair in separation.default_layers().items()}
SETTINGS = [
    (name, t, weights) for name in LAYERS for t in THRESHOLDS for weights in (PAPER, LIBRARY)
]
every_setting = pytest.mark.parametrize(("name", "threshold", "weights"), SETTINGS)


def text_of(page):
    """The words of a face, tags gone."""
    return re.sub(r"<[^>]+>", " ", page)


def row_of(page, title):
    """The numbers of one row of a face's table, as they are shown."""
    body = page.partition(f">{title}</td>")[2].partition("</tr>")[0]
    return re.findall(r">([^<]+)</td>", body)


# A product with its outliers apart.


@every_setting
def test_the_product_is_that_of_llm_int8_matmul(name, threshold, weights):
    layer = LAYERS[name]
    w = layer.w if weights == PAPER else ql.quantize_absmax(layer.w, axis=0)
    found = layer.separate(threshold, weights)
    assert np.array_equal(found.product, ql.llm_int8_matmul(layer.x, w, threshold))


def test_a_value_that_fp16_rounds_up_to_the_threshold_is_an_outlier_as_in_the_product():
    x = np.array([[5.9999, 1.0]])
    found = Layer(x, np.eye(2)).separate(6.0)
    assert found.columns.tolist() == [0]
    assert found.product[0, 0] == 6.0  # in 16 bits, not a code


def test_the_share_of_16_bit_work_is_that_of_the_columns():
    assert Layer(X, W).separate(6.0).share == 0.5


@pytest.mark.parametrize("name", LAYERS)
def test_without_outliers_the_bytes_are_codes_and_scales(name):
    layer = LAYERS[name]
    (tokens, features), out = layer.x.shape, layer.w.shape[1]
    found = layer.separate(2000.0)
    assert found.x_bytes == tokens * features + 2 * tokens
    assert found.w_bytes == features * out + 2 * out


def test_a_column_in_16_bits_takes_a_second_byte_per_value_and_so_does_its_row_of_w():
    apart, calm = (Layer(X, W).separate(t) for t in (6.0, 2000.0))
    assert apart.x_bytes - calm.x_bytes == 2 * len(X)
    assert apart.w_bytes - calm.w_bytes == 2 * W.shape[1]


def test_weights_from_codes_take_no_second_byte():
    layer = Layer(X, W)
    assert layer.separate(6.0, LIBRARY).w_bytes == layer.absmax.w_bytes


def test_all_in_fp16_takes_two_bytes_per_value_and_no_scales():
    layer = Layer(X, W)
    assert (layer.fp16.x_bytes, layer.fp16.w_bytes) == (2 * X.size, 2 * W.size)


def test_no_separation_is_vector_wise_absmax():
    codes = ql.quantize_absmax(X, axis=1), ql.quantize_absmax(W, axis=0)
    assert np.array_equal(Layer(X, W).absmax.product, ql.quantized_matmul(*codes))


def test_an_unknown_source_of_the_weights_says_what_there_is():
    with pytest.raises(ValueError, match=r"weights must be '16 bits \(paper\)' or .*got 'FP8'"):
        Layer(X, W).separate(6.0, "FP8")


def test_a_threshold_below_zero_is_named_and_zero_separates_nothing():
    with pytest.raises(ValueError, match=r"threshold must be .*0 or more, got -1"):
        Layer(X, W).separate(-1)
    assert Layer(X, W).separate(0).columns.size == 0


# The sample.


def test_the_sample_is_the_same_each_time():
    assert all(
        np.array_equal(a, b) for a, b in zip(separation.sample(), separation.sample(), strict=True)
    )


def test_the_sample_has_five_large_columns_of_different_sizes():
    x, _ = separation.sample()
    largest = np.sort(np.abs(x).max(axis=0))
    assert largest[-6] <= 3 < largest[-5]
    assert len(set(largest[-5:])) == 5


# Figures.


def test_rulers_say_the_step_and_every_code():
    alt = figures.rulers({"outlier 1000": X[1]}, 9, "One outlier leaves two marks").alt
    assert alt == "One outlier leaves two marks. outlier 1000: step 7.87, codes 1, 127, 1, 0."


def test_the_split_shows_two_products_whose_sum_is_the_whole():
    alt = figures.split(X, W, 6.0, "A sum is cut in two").alt
    panels = [re.findall(r"−?\d+\.\d+", part) for part in alt.split("@")]
    assert len(panels) == 4
    shapes = {"= X, calm columns: 8 bits": 6, "+ outlier columns: 16 bits": 6}
    for name, cells in shapes.items():
        found = alt.partition(name)[2].partition(".  @")[0].partition(" @")[0]
        assert len(re.findall(r"−?\d+\.\d{3}", found)) == cells


def test_columns_say_how_many_reach_the_threshold():
    alt = figures.columns({"article": X}, 6.0, "Two columns stand out").alt
    assert alt == "Two columns stand out. article: 2 of 4 reach 6, at most 1000."


def test_the_tradeoff_says_columns_and_errors_at_six_and_without_separation():
    x, w = separation.sample()
    layer = Layer(x, w)
    alt = figures.tradeoff(x, w, "A few columns buy nearly all").alt
    here = layer.separate()
    assert f"{len(here.columns)} of 64 columns" in alt
    assert f"{here.relative:.3%}" in alt and f"{layer.absmax.relative:.3%}" in alt


@pytest.mark.parametrize(
    "make",
    [
        lambda: figures.rulers({"one": X[1]}, 9, "The same ruler twice"),
        lambda: figures.columns({"article": X}, 6.0, "The same columns twice"),
        lambda: figures.snapshot(Layer(X, W).separate()),
    ],
    ids=["rulers", "columns", "still"],
)
def test_the_same_figure_gives_the_same_bytes(make):
    assert make().data == make().data


def test_compare_shows_the_row_its_errors_and_the_relative_error():
    product = Layer(X, W).separate().product
    shown = figures.compare({"ours": product}, X @ W, row=1).data
    error = (product - X @ W)[1]
    expected = [*product[1], *error]
    for text in (*(f"{v:.2f}".replace("-", "−") for v in expected), "0.013 %", "−1578.54"):
        assert text in shown


def test_compare_of_a_large_product_shows_relative_errors_alone():
    shown = text_of(figures.compare({"ours": X @ W}, X @ W).data)
    assert "exact" not in shown and "0.000 %" in shown and "−1578.54" not in shown


# The explorer.


@every_setting
def test_the_face_shows_columns_error_and_bytes(name, threshold, weights):
    layer = LAYERS[name]
    found = layer.separate(threshold, weights)
    page = figures.render(found)
    error = 100 * ql.errors.relative(found.product, layer.x @ layer.w)
    columns = ql.outlier_columns(layer.x.astype(np.float16), threshold)
    assert row_of(page, "columns in 16 bits")[1] == str(len(columns))
    assert row_of(page, "relative error, %")[1] == html.number(error)
    assert row_of(page, "bytes of X")[1] == html.number(found.x_bytes)
    assert row_of(page, "bytes of W")[1] == html.number(found.w_bytes)


@every_setting
def test_as_many_bars_are_red_as_columns_go(name, threshold, weights):
    found = LAYERS[name].separate(threshold, weights)
    marks = figures._bars(found).marks
    bars = [mark.fill for mark in marks if isinstance(mark, Box)]
    assert len(bars) == found.layer.x.shape[1]
    assert bars.count("error") == len(found.columns)


def test_few_columns_are_named_by_their_bits():
    words = text_of(figures.render(Layer(X, W).separate(6.0)))
    assert words.count("16 bits ") >= 2 and words.count(" 8 bits ") == 2


def test_only_small_matrices_are_shown_in_full():
    small, large = (figures.render(layer.separate()) for layer in LAYERS.values())
    assert "X, framed: 16 bits" in small and "X, framed: 16 bits" not in large


def test_the_point_stands_on_the_curve():
    found = LAYERS["the article's X and W"].separate(8.0)
    marks = figures._curve(found).marks
    [here] = [mark for mark in marks if isinstance(mark, Mark)]
    [curve] = [mark for mark in marks if len(getattr(mark, "points", ())) > 2]
    assert min(abs(here.x - x) + abs(here.y - y) for x, y in curve.points) < 1e-9


def test_moving_each_control_changes_what_is_shown():
    explorer = figures.explorer()
    seen = [explorer.html.value]
    for change in ({"threshold": 8.0}, {"weights": LIBRARY}, {"data": list(LAYERS)[1]}):
        seen.append(explorer.set(**change))
    assert len(set(seen)) == 4
    assert seen[-1] == figures.render(LAYERS[list(LAYERS)[1]].separate(8.0, LIBRARY))


def test_no_setting_of_the_explorer_ends_in_an_error():
    explorer = figures.explorer()
    for data, threshold, weights in SETTINGS:
        shown = explorer.set(data=data, threshold=threshold, weights=weights)
        assert 'role="alert"' not in shown


def test_other_layers_can_be_explored():
    rng = np.random.default_rng(1)
    mine = rng.normal(size=(5, 300)), rng.normal(size=(300, 7))
    explorer = figures.explorer({"mine": mine})
    assert "of 300 columns in 16 bits" in explorer.html.value


def test_the_still_has_the_numbers_of_the_table_in_words():
    alt = figures.explorer().static.alt
    assert "relative error, %: 0.6028, 0.01283, 0.01273" in alt
    assert "columns in 16 bits: 0, 2, 4" in alt
