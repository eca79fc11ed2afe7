"""The explorer of notebook 07 in JupyterLab: what a person sees is what was measured."""

import inspect

import budget_cell
import pytest

from quantlab.experiments.one_layer import choose
from quantlab.show.comparison import MARKS

CELL = f"{inspect.getsource(budget_cell)}\n\nexplorer()"


@pytest.fixture
def one(lab):
    made = lab(viewport={"width": 1280, "height": 1600})
    made.write(CELL)
    made.run_all()
    made.page.get_by_text("its best setting").wait_for()
    return made


@pytest.fixture(scope="module")
def measured():
    return budget_cell.measured()


def render_of(one):
    return one.page.locator(".widget-html", has=one.page.locator("svg")).first


def shown(one):
    """The table of the face: for each method its best setting, true bits and error."""
    rows = render_of(one).locator("table tr").all()[1:]
    return [[cell.strip() for cell in row.locator("td").all_inner_texts()] for row in rows]


def expected(points, budget, rule):
    choice = choose(points, budget, rule)
    rows = []
    for method, point in choice.by_method.items():
        name = f"{MARKS[method]} {method}"
        if point is None:
            rows.append([name, "not allowed", "–", "–", ""])
        else:
            numbers = f"{point.bits:.3f}", f"{100 * point.error:.3f} %"
            word = "least error" if point == choice.best else ""
            options = str(point.setting).partition(", ")[2]
            rows.append([name, options, *numbers, word])
    return rows


def change(one, act):
    """Do something and wait until the face answers."""
    face = render_of(one)
    before = face.inner_html()
    act()
    one.page.wait_for_function(
        "([node, before]) => node.innerHTML !== before", arg=[face.element_handle(), before]
    )


def test_moved_by_hand_it_shows_what_was_measured_and_nothing_below_it_moves(one, measured):
    text = "no calibration text"
    path = [
        (lambda: one.choose("layer", "wide"), ("wide", 4.2, "everything")),
        (lambda: one.choose("allowed", text), ("wide", 4.2, text)),
        (lambda: one.move_slider("budget", 3), ("wide", 4.35, text)),
        (lambda: one.choose("layer", "narrow"), ("narrow", 4.35, text)),
    ]
    assert shown(one) == expected(measured["narrow"], 4.2, "everything")
    heights = {round(render_of(one).bounding_box()["height"])}
    for act, (layer, budget, rule) in path:
        change(one, act)
        one.page.get_by_text(f"At most {budget:.2f} bits").wait_for()
        assert shown(one) == expected(measured[layer], budget, rule)
        heights.add(round(render_of(one).bounding_box()["height"]))
    assert len(heights) == 1, heights
