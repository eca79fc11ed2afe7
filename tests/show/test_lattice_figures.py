"""Notebook 12's lattice: the face says what the experiment found, and its arrow can be dragged."""

import re

import numpy as np
import pytest

from quantlab.experiments.lattice import FIRST, lattice
from quantlab.show import lattice_figures as figures


@pytest.fixture(scope="module")
def explorer():
    return figures.explorer()


def test_the_table_has_the_codes_and_errors_of_all_three(explorer):
    face = explorer.set(lean=0.8, weight_1=0.4, weight_2=0.4, first=FIRST[0])
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr>(.*?)</tr>", face)]
    assert [row[-4:] for row in rows[1:]] == [
        ["0", "0", "0.74", "0.92"], ["0", "1", "0.32", "0.54"], ["1", "0", "0.25", "–"],
    ]  # fmt: skip


@pytest.mark.parametrize("lean", [-1.0, -0.3, 0.0, 1.0])
@pytest.mark.parametrize("weights", [(0, 0), (1, 1), (0, 1), (1, 0), (0.5, 0.5)])
@pytest.mark.parametrize("first", FIRST)
def test_nothing_is_drawn_outside_the_picture(lean, weights, first):
    for mark in figures.draw(lattice(lean, weights, first)).marks:
        for x, y in getattr(mark, "points", None) or [(mark.x, mark.y)]:
            assert 0 <= x <= figures.WIDTH and 0 <= y <= figures.HEIGHT


def test_there_is_a_dot_for_each_point_in_the_picture():
    found = lattice(0.8, (0.4, 0.4))
    dots = {(round(m.x, 3), round(m.y, 3)) for m in figures._points(found)}
    for choice in (found.rounded, found.gptq, found.best):
        assert tuple(np.round(figures._at(choice.point), 3)) in dots


def test_a_drag_leans_the_arrow(explorer):
    explorer.set(lean=0.0, weight_1=0.4, weight_2=0.4, first=FIRST[0])
    explorer.hands.moved = {"lean": -0.6}
    assert explorer.controls["lean"].value == -0.6
    assert explorer.html.value == figures.render(-0.6, 0.4, 0.4, FIRST[0])


def test_the_handle_is_at_the_tip_of_the_first_arrow():
    face = figures.render(0.8, 0.4, 0.4, FIRST[0])
    data = {key: float(value) for key, value in re.findall(r'data-(\w+)="([-\d.]+)"', face)}
    assert (figures.ACROSS(0.8) - data["zero"]) / data["unit"] == pytest.approx(0.8, abs=1e-3)


def test_the_still_is_of_the_first_settings(explorer):
    settings = figures.explorer().settings
    found = lattice(settings["lean"], (settings["weight_1"], settings["weight_2"]))
    assert f"GPTQ: codes {' and '.join(map(str, found.gptq.codes))}" in explorer.static.alt
