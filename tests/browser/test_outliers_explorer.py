"""The explorer of notebook 05 in JupyterLab: what a person sees is what quantlab computes."""

import numpy as np
import pytest

import quantlab as ql
from quantlab.experiments import separation
from quantlab.show import html
from quantlab.show import outliers_figures as figures

CELL = """
from quantlab import show

show.outliers_figures.explorer()
"""
ARTICLE, SAMPLE = separation.default_layers()


@pytest.fixture
def one(lab):
    made = lab(viewport={"width": 1280, "height": 1600})
    made.write(CELL)
    made.run_all()
    made.page.get_by_text("bytes of W").wait_for()
    return made


def shown(one):
    """The explorer's table for this threshold: the titles of its rows, and the numbers."""
    table = one.page.locator(".widget-html-content table").first
    rows = [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]
    place = [title.strip() for title in table.locator("thead").locator("th, td").all_inner_texts()]
    return {row[0].strip(): row[place.index("this threshold")].strip() for row in rows}


def wait_for(one, numbers):
    """Give the kernel up to ten seconds to show these numbers; return what is shown then."""
    cell = one.page.get_by_role("cell", name=numbers["relative error, %"], exact=True)
    cell.first.wait_for(timeout=10_000)
    return shown(one)


def expected(data, threshold, weights):
    """The same numbers, from the core."""
    x, w = separation.default_layers()[data]
    stored = w if weights == figures.PAPER else ql.quantize_absmax(w, axis=0)
    product = ql.llm_int8_matmul(x, stored, threshold)
    columns = len(ql.outlier_columns(np.float16(x), threshold))
    rows_in_16 = columns if weights == figures.PAPER else 0
    tokens, out = len(x), w.shape[1]
    return {
        "columns in 16 bits": html.number(columns),
        "16-bit multiplications, %": html.number(100 * columns / x.shape[1]),
        "relative error, %": html.number(100 * ql.errors.relative(product, x @ w)),
        "largest error": html.number(ql.errors.maximum(product, x @ w)),
        "bytes of X": html.number(x.size + tokens * columns + 2 * tokens),
        "bytes of W": html.number(w.size + out * rows_in_16 + 2 * out),
    }


def test_moved_by_hand_it_shows_the_numbers_of_quantlab(one):
    path = [
        (lambda: None, (ARTICLE, 6.0, figures.PAPER)),
        (lambda: one.move_slider("threshold", 1), (ARTICLE, 8.0, figures.PAPER)),
        (lambda: one.choose("data", SAMPLE), (SAMPLE, 8.0, figures.PAPER)),
        (
            lambda: one.choose("outliers' weights", figures.LIBRARY),
            (SAMPLE, 8.0, figures.LIBRARY),
        ),
        (lambda: one.move_slider("threshold", 3), (SAMPLE, 30.0, figures.LIBRARY)),
    ]
    for act, setting in path:
        act()
        numbers = expected(*setting)
        assert wait_for(one, numbers) == numbers


def test_nothing_below_it_moves_whatever_the_setting(one):
    face = one.page.locator(".widget-html", has=one.page.locator("svg")).first
    heights = {round(face.bounding_box()["height"])}
    for act in (
        lambda: one.move_slider("threshold", 9),
        lambda: one.choose("data", SAMPLE),
        lambda: one.move_slider("threshold", -9),
        lambda: one.choose("outliers' weights", figures.LIBRARY),
    ):
        before = face.inner_html()
        act()
        one.page.wait_for_function(
            "([node, before]) => node.innerHTML !== before", arg=[face.element_handle(), before]
        )
        heights.add(round(face.bounding_box()["height"]))
    assert len(heights) == 1
