"""Matrices as cells: aligned text, legible colours, and published digits compared by a rule."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

import quantlab as ql
from quantlab.experiments import in_print
from quantlab.show import matrix, style

MAGNITUDES = st.floats(0, 1e9)


def ours():
    x, w = ql.quantize_absmax(ql.article.X, axis=1), ql.quantize_absmax(ql.article.W, axis=0)
    return {
        "exact product": ql.article.X @ ql.article.W,
        "absmax: X read back": x.dequantize(),
        "absmax: W read back": w.dequantize(),
        "absmax: product": ql.quantized_matmul(x, w),
    }


def contrast_ratio(one, other):
    lights = sorted(style._luminance(color) + 0.05 for color in (one, other))
    return lights[1] / lights[0]


def test_all_cells_have_the_same_number_of_decimals():
    cells = matrix.texts([[1, -20.25], [1000, 0.0004]], 2)
    assert [len(t.partition(".")[2]) for row in cells for t in row] == [2] * 4


def test_whole_numbers_have_no_decimals():
    assert matrix.texts(np.array([[127, -3]])) == [["127", "−3"]]


def test_a_small_negative_number_is_not_shown_as_minus_zero():
    assert matrix.texts([[-0.0001]], 2) == [["0.00"]]


@given(MAGNITUDES, MAGNITUDES)
def test_text_on_every_shade_has_a_contrast_of_four_and_a_half_or_more(magnitude, top):
    ground = matrix.shade(magnitude, top)
    # WCAG 2.2, success criterion 1.4.3.
    assert contrast_ratio(ground, style.contrast(ground)) >= 4.5


def test_larger_errors_are_never_paler():
    lights = [style._luminance(matrix.shade(m, 10)) for m in np.linspace(0, 10, 50)]
    assert lights == sorted(lights, reverse=True)


def test_a_drawing_is_as_wide_as_it_says_and_twice_as_fine():
    picture = matrix.product(ql.article.X, ql.article.W, "One activation is an outlier")
    height, width = imread(io.BytesIO(picture.data)).shape[:2]
    assert (width, picture.width) == (2 * style.WIDEST, style.WIDEST) and height > 200


def test_the_same_matrices_give_the_same_bytes():
    first, second = (
        matrix.heat_map({"errors": np.eye(3)}, "Errors lie on the diagonal") for _ in "ab"
    )
    assert first.data == second.data


def test_the_alt_text_of_a_drawing_holds_its_title_and_all_numbers():
    alt = matrix.heat_map({"absmax": np.array([[1.5, -2.25]])}, "Two errors", decimals=2).alt
    assert alt == "Two errors. absmax: 1.50 −2.25."


def test_panels_that_do_not_fit_in_a_line_go_on_to_the_next():
    panels = [matrix.Panel("wide", np.full((2, 5), 1000.0)) for _ in range(2)]
    (first_x, first_y), (second_x, second_y) = matrix._layout(panels)[0]
    assert (first_x, first_y < second_y) == (second_x, True)


def test_a_panel_wider_than_the_page_is_refused():
    panel = matrix.Panel("weights", np.full((1, 20), 1000.0))
    with pytest.raises(ValueError, match=r"weights is \d+ px wide, at most 760 fit"):
        matrix.draw([panel], "Twenty columns do not fit")


@pytest.mark.parametrize(
    "values, heat, says",
    [
        ([1.0, 2.0], None, r"matrix with cells, got shape \(2,\)"),
        (np.ones((0, 2)), None, r"got shape \(0, 2\)"),
        (np.ones((2, 2)), np.ones(2), r"heat has shape \(2,\), the values \(2, 2\)"),
    ],
)
def test_a_panel_refuses_what_is_no_matrix(values, heat, says):
    with pytest.raises(ValueError, match=says):
        matrix.Panel("x", values, heat=heat)


def test_html_cells_hold_the_same_text_as_the_figure():
    panel = matrix.Panel("X", ql.article.X)
    found = matrix.to_html([panel])
    assert all(f">{text}</text>" in found for row in matrix.texts(ql.article.X) for text in row)


def test_html_escapes_the_name():
    assert "&lt;b&gt;" in matrix.to_html([matrix.Panel("<b>", np.eye(2))])


def test_an_entry_of_a_product_says_what_it_is_the_sum_of():
    made = matrix.entry([[1, 2, 3], [0, 4, 1]], [[2, -1], [0, 5], [4, 3]], 0, 1, "One entry")
    assert made.alt.endswith("Row 1 times column 2: 1 × −1 + 2 × 5 + 3 × 3 = 18.")
    assert "= X @ W: 14 18; 4 23." in made.alt


@pytest.mark.parametrize(
    "block, size", [((0, None), (3, 1)), ((None, 1), (1, 2)), ((1, 1), (1, 1))]
)
def test_a_block_frames_a_row_a_column_or_a_cell(block, size):
    panel = matrix.Panel("X", np.ones((2, 3)), block=block)
    frame = matrix._draw(panel, 0).marks[-1]
    widths = matrix._widths(panel)
    assert (round(frame.width / widths[0]), frame.height / matrix.CELL_HEIGHT) == size


def test_heat_is_shared_by_all_panels():
    panels = [
        matrix.Panel(n, np.eye(1) * v, heat=np.eye(1) * v) for n, v in (("a", 1.0), ("b", 8.0))
    ]
    found = matrix.to_html(panels)
    assert matrix.shade(1, 8) in found and matrix.shade(8, 8) in found


@pytest.mark.parametrize(
    "value, printed, says",
    [
        (-15.8984, "-15.90", "rounded"),
        (2.6517, "2.651", "cut off"),
        (-1565.66, "-1565", "cut off"),
        (-1565.66, "-1566", "rounded"),
        (-1587.05, "-1579", "differs"),
        (0.0, "0", "rounded"),
        (2.651, "2.651", "rounded"),
    ],
)
def test_verdict_on_printed_digits(value, printed, says):
    assert in_print.verdict(value, printed) == says


@given(st.floats(-1e6, 1e6), st.integers(0, 6))
def test_a_number_printed_by_rounding_is_found_to_be_rounded(value, decimals):
    assert in_print.verdict(value, f"{value:.{decimals}f}") == "rounded"


def test_printed_numbers_keep_their_last_zero():
    assert in_print.printed()["exact product"][0] == ["2.651", "-15.90"]


def test_all_published_numbers_but_two_are_ours_rounded():
    odd = [
        (name, text, says)
        for name, _, _, text, _, says in in_print.beside(ours())
        if says != "rounded"
    ]
    assert odd == [("exact product", "2.651", "cut off"), ("absmax: product", "-1565", "cut off")]


def test_the_table_counts_its_verdicts():
    found = matrix.beside_table(ours()).data
    assert "32 published numbers: 30 are ours rounded, 2 ours cut off, 0 differ." in found


def test_numbers_as_text_stand_digit_under_digit():
    found = matrix.table([["a", "9.3"], ["b", "-112.0"]], ("name", "bits")).data
    assert ">\N{FIGURE SPACE}\N{FIGURE SPACE}\N{FIGURE SPACE}9.3<" in found and ">−112.0<" in found
