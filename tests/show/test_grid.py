"""The explorer shows what the core computes, and the figures say what they draw."""

import re

import numpy as np
import pytest

import quantlab as ql
from quantlab.experiments.one_product import METHODS, SHARING, explore
from quantlab.show import grid, matrix

SETTINGS = [(b, a, m) for b in range(2, 9) for a in SHARING for m in METHODS]
X, W = ql.article.X, ql.article.W


@pytest.mark.parametrize("bits, axis, method", SETTINGS)
def test_the_face_shows_the_codes_and_the_product_that_the_ground_floor_computes(
    bits, axis, method
):
    quantize = {"absmax": ql.quantize_absmax, "zero-point": ql.quantize_zero_point}[method]
    x_axis, w_axis = SHARING[axis]
    x, w = quantize(X, bits, x_axis), quantize(W, bits, w_axis)
    shown = grid.render(bits, axis, method)
    product = x.dequantize() @ w.dequantize()
    for values, decimals in ((x.codes, None), (x.dequantize(), 3), (product, 2)):
        for text in np.ravel(matrix.texts(values, decimals)):
            assert f">{text}</text>" in shown


@pytest.mark.parametrize("bits, axis, method", SETTINGS)
def test_the_error_is_the_product_less_the_exact_one(bits, axis, method):
    found = explore(bits, axis, method)
    assert np.array_equal(found.error, found.product - X @ W)


def test_no_panel_moves_when_a_control_does():
    drawn = [matrix.to_html(grid.panels(explore(*setting))) for setting in SETTINGS]
    sizes = {tuple(re.findall(r'viewBox="([^"]*)"', one)) for one in drawn}
    assert len(sizes) == 1


def test_only_scales_along_the_sum_keep_the_product_off_the_codes():
    whole = {axis: explore(axis=axis).integer for axis in SHARING}
    assert list(whole.values()) == [True, True, False]


@pytest.mark.parametrize(
    "setting, says",
    [
        ({"axis": "rows"}, "axis must be one of one scale for all, .*got 'rows'"),
        ({"method": "nf4"}, "method must be one of absmax, zero-point, got 'nf4'"),
        ({"bits": 17}, "bits must be 2 to 16, got 17"),
    ],
)
def test_a_setting_that_is_not_served_is_named(setting, says):
    with pytest.raises(ValueError, match=says):
        explore(**setting)


def test_a_perfect_and_a_bad_product_both_have_a_summary_without_minus_zero():
    said = [dict(grid.summary(explore(*s)))["SNR"] for s in SETTINGS]
    assert all("−0.0" not in snr for snr in said)


def test_a_smaller_outlier_costs_less_and_relatively_more():
    # What notebook 04 says of 1000 and 20.
    said = [dict(grid.summary(explore(outlier=number))) for number in (1000, 20)]
    assert [s["largest error"] for s in said] == ["12.9", "0.233"]
    assert [s["relative error"] for s in said] == ["0.60 %", "0.89 %"]


def test_moving_each_control_changes_what_is_shown():
    explorer = grid.explorer()
    seen = [explorer.html.value]
    for change in ({"bits": 3}, {"axis": "one scale for all"}, {"method": "zero-point"}):
        seen.append(explorer.set(**change))
    assert len(set(seen)) == 4 and seen[-1] == grid.render(3, "one scale for all", "zero-point")


def test_no_setting_of_the_explorer_ends_in_an_error():
    explorer = grid.explorer()
    for bits, axis, method in SETTINGS:
        assert 'role="alert"' not in explorer.set(bits=bits, axis=axis, method=method)


def test_the_explorer_has_a_still_with_its_numbers_in_words():
    assert "SNR 44.4 dB" in grid.explorer().static.alt


def test_a_number_line_says_every_move_in_its_alt_text():
    row = ql.quantize_absmax(X[1])
    alt = grid.number_line(X[1], row, -3, 20, "One outlier leaves its row two codes").alt
    assert "3.582 gets code 0 and comes back as 0" in alt
    assert "1000 gets code 127 and comes back as 1000" in alt


@pytest.mark.parametrize("quantize", [ql.quantize_absmax, ql.quantize_zero_point])
def test_the_marks_of_a_number_line_are_the_values_of_the_codes(quantize):
    x = np.array([-1.0, 0.4, 3.0])
    q = quantize(x, bits=3)
    low, high = grid._code_range(q)
    assert (low, high) == ((-3, 3) if q.symmetric else (-4, 3))
    assert low <= q.codes.min() and q.codes.max() <= high


def test_a_number_line_gives_the_same_bytes_again():
    x = np.array([1.2, -0.5, -4.3, 5.0])
    q = ql.quantize_absmax(x, bits=3)
    first, second = (grid.number_line(x, q, -6, 6, "Three bits give seven codes") for _ in "ab")
    assert first.data == second.data


@pytest.mark.parametrize(
    "values, quantized",
    [(X, ql.quantize_absmax(X, axis=1)), (X[0], ql.quantize_absmax(X[0, :3]))],
)
def test_a_number_line_refuses_what_has_no_single_ruler(values, quantized):
    with pytest.raises(ValueError, match="needs a row of values and one scale"):
        grid.number_line(values, quantized, -1, 1, "no such line")


def test_the_picture_of_rounding_errors_says_the_largest():
    x = np.random.default_rng(0).normal(size=500)
    q = ql.quantize_absmax(x, bits=4)
    most = np.abs((q.dequantize() - x) / q.scale).max()
    assert f"reach {most:.3f} steps" in grid.rounding_errors(x, q, "Half a step at most").alt
