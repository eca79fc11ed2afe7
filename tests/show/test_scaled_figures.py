"""Notebook 13: its figures say what quantlab computes, its explorer shows it, one weight drags."""

import re
from html import escape

import numpy as np
import pytest

from quantlab.experiments.shared_scales import BLOCKS, ELEMENTS, Result, Setting, explore
from quantlab.formats import FP4_E2M1
from quantlab.show import scaled_figures as figures

WEIGHTS = np.random.default_rng(13).normal(size=(64, 128)).astype(np.float32) * np.float32(0.1)
RESULTS = [
    Result(Setting("MXFP4"), 4.25, 33.2, 256, 0.038, 0.001, ()),
    Result(Setting("NVFP4", True), 4.5, 32.8, 254, 0.053, 0.001, ()),
]


def test_the_face_says_all_facts():
    found = explore(WEIGHTS)
    face = figures.render(found)
    facts = [word for fact in figures.facts(found) for word in fact]
    assert [word for word in facts if escape(word) not in face] == []


def test_a_weight_past_the_top_is_said_to_saturate():
    saturates = [dict(figures.facts(explore(WEIGHTS, rule=rule, largest=7.5)))
                 ["its largest weight over the scale"] for rule in ("floor", "rceil")]  # fmt: skip
    assert saturates[0].endswith("saturates") and saturates[1].endswith("fits")


@pytest.mark.parametrize("element", ELEMENTS)
def test_the_code_table_has_a_bar_for_each_magnitude_that_a_weight_has(element):
    found = explore(WEIGHTS, element)
    bars = [mark for mark in figures._code_marks(found) if hasattr(mark, "shade")]
    assert len(bars) == np.count_nonzero(found.counts)
    assert len(found.magnitudes) == {"FP4": 8, "FP6": 32, "FP8": 127}[element]


def test_each_value_of_fp4_stands_below_its_bar_with_the_scale():
    found = explore(WEIGHTS)
    texts = [mark.text for mark in figures._code_marks(found) if hasattr(mark, "text")]
    assert [f"{v:g}" for v in FP4_E2M1.decode(np.arange(8))] == texts[3::2]
    assert f"{6 * found.scale:.2g}" in texts


@pytest.mark.parametrize("largest", [0, 4.0, figures.LARGEST])
@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("block", BLOCKS)
def test_nothing_is_drawn_outside_the_picture(largest, element, block):
    for mark in figures.draw(explore(WEIGHTS, element, block, largest=largest)).marks:
        for x, y in getattr(mark, "points", None) or [(mark.x, mark.y)]:
            assert 0 <= x <= figures.WIDTH and 0 <= y <= figures.HEIGHT


def test_the_handle_says_where_zero_is_and_how_long_a_typical_weight():
    svg = figures.render(explore(WEIGHTS, largest=6.0))
    data = {key: float(value) for key, value in re.findall(r'data-(\w+)="([-\d.]+)"', svg)}
    x = float(re.search(r'cx="([\d.]+)" cy="40"', svg)[1])
    assert (x - data["zero"]) / data["unit"] == pytest.approx(6.0, abs=1e-3)
    assert (data["min"], data["max"], data["step"]) == (0, figures.LARGEST, 0.1)


@pytest.fixture(scope="module")
def explorer():
    return figures.explorer(WEIGHTS)


def test_no_setting_of_the_controls_fails(explorer):
    for element in ELEMENTS:
        for scale in figures.KINDS:
            assert 'role="alert"' not in explorer.set(element=element, scale=scale)


def test_the_explorer_shows_the_face_of_its_settings(explorer):
    face = explorer.set(element="FP6", block=16, scale="E4M3, amax", largest=3.5)
    assert face == figures.render(explore(WEIGHTS, "FP6", 16, "E4M3", "amax", 3.5))


def test_a_drag_moves_the_slider_and_the_face(explorer):
    explorer.set(element="FP4", block=32, scale="E8M0, floor", largest=2.0)
    explorer.hands.moved = {"largest": 7.5}
    assert explorer.controls["largest"].value == 7.5
    assert explorer.html.value == figures.render(explore(WEIGHTS, largest=7.5))


def test_a_rule_that_does_not_fit_is_said(explorer):
    face = explorer.set(element="FP8", scale="E4M3, four over six", largest=4.0)
    assert "four over six is for FP4" in face


CURVES = {
    "E8M0": [(128, 4.06, 0.117), (8, 5.0, 0.108)],
    "E4M3": [(128, 4.06, 0.11), (8, 5.0, 0.085)],
}


@pytest.mark.parametrize(
    ("draw", "says"),
    [
        (lambda: figures.hole(FP4_E2M1, "A hole from 4 to 6"), "gaps of 0.5, 1, 2"),
        (lambda: figures.tradeoff(CURVES, "Bits and error"), "E4M3: blocks of 128 11.0%"),
        (lambda: figures.whole_model(RESULTS, "A whole model"), "NVFP4: W and A, plain 0.0530"),
        (lambda: figures.snapshot(explore(WEIGHTS)), "bits per weight"),
    ],
)
def test_a_figure_says_its_numbers_and_is_the_same_bytes_each_time(draw, says):
    picture = draw()
    assert says in picture.alt and picture.data == draw().data


def test_the_table_has_a_row_for_the_model_itself_and_for_each_result():
    text = figures.model_table(RESULTS, (31.98, 256)).data
    assert text.count("<tr>") == 4 and "as trained" in text and "0.0530" in text
