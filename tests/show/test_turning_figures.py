"""Notebook 12's turned token: the face says what the experiment found, and its dot drags."""

import re

import numpy as np
import pytest

from quantlab.experiments.turning import KINDS, WIDTHS, explore
from quantlab.show import turning_figures as figures


@pytest.fixture(scope="module")
def explorer():
    return figures.explorer()


def shown(face):
    cells = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", face)]
    return [float(cell.replace("−", "-")) for cell in cells if cell.strip()]


def test_the_table_has_the_numbers_of_both_sides(explorer):
    face = explorer.set(outlier=12, share=0.5, kind=KINDS[1], bits=4)
    found = explore(12, 0.5, KINDS[1], 4)
    wanted = [value for _, *pair in figures.facts(found) for value in pair]
    assert shown(face) == [round(value, 2) for value in wanted]


@pytest.mark.parametrize("outlier", [0, 30])
@pytest.mark.parametrize("bits", WIDTHS)
def test_nothing_is_drawn_outside_the_picture(outlier, bits):
    for mark in figures.draw(explore(outlier, 0.4, KINDS[0], bits)).marks:
        for x, y in getattr(mark, "points", None) or [(mark.x, mark.y)]:
            assert 0 <= x <= figures.WIDTH and 0 <= y <= figures.HEIGHT


def test_every_value_of_a_token_is_in_a_bar():
    found = explore(20, 1.0)
    bars = [m for m in figures._histogram(found.after, 100, 4) if hasattr(m, "height")]
    assert sum(round(bar.height / 5.5) for bar in bars) == 64


def test_the_comb_has_a_tooth_for_each_code():
    found = explore(20, 1.0)
    *_, comb = figures._histogram(found.before, 100, 4)
    teeth = sorted({x for x, _ in comb.points})
    assert len(teeth) == 15
    assert np.allclose(teeth[-1], figures.SIZES(20.0))


def test_a_drag_moves_the_slider_and_the_face(explorer):
    explorer.set(outlier=5, share=1.0, kind=KINDS[0], bits=4)
    explorer.hands.moved = {"outlier": 17}
    assert explorer.controls["outlier"].value == 17
    assert explorer.html.value == figures.render(17, 1.0, KINDS[0], 4)


def test_the_handle_says_where_zero_is_and_how_long_one_is():
    face = figures.render(20, 1.0, KINDS[0], 4)
    data = {key: float(value) for key, value in re.findall(r'data-(\w+)="([-\d.]+)"', face)}
    assert (figures.SIZES(20) - data["zero"]) / data["unit"] == pytest.approx(20, abs=1e-2)
    assert (data["min"], data["max"], data["step"]) == (0, 30, 1)


def test_the_still_is_of_the_first_settings(explorer):
    found = explore(**figures.explorer().settings)
    assert f"turned {found.after.largest:.2f}" in explorer.static.alt


def test_the_two_squares_say_their_sides_and_steps():
    points = np.array([[4.0, 0.3], [1.0, -0.2]])
    picture = figures.squares([points, points / 2], ("one", "other"), "Half the size")
    assert "one: side 8.00, step 1.33; other: side 4.00, step 0.67" in picture.alt


def test_curves_say_where_each_is_least():
    lines = {"up": [1.0, 2.0, 3.0], "valley": [3.0, 0.5, 2.0]}
    picture = figures.curves([0, 0.5, 1], lines, "Two lines", "α", "error")
    assert "up: least at 0, 1;" in picture.alt and "valley: least at 0.5, 0.5;" in picture.alt
