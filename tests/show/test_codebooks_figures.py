"""Notebook 08: its figures say what quantlab computes, its explorer shows it, one weight drags."""

import re

import numpy as np
import pytest

import quantlab as ql
from quantlab.experiments.four_bits import BLOCK_SIZES, CODEBOOKS, explore
from quantlab.show import codebooks_figures as figures
from quantlab.show import html

RNG = np.random.default_rng(8)
WEIGHTS = RNG.normal(size=(16, 1024)).astype(np.float32) * np.float32(0.1)


def shown_numbers(face):
    """The numbers of the face's table by the names of their rows."""
    rows = re.findall(r"<tr><th[^>]*>(.*?)</th><td[^>]*>(.*?)</td>", face)
    return {name: float(text.replace("\N{FIGURE SPACE}", "")) for name, text in rows}


# ---------------------------------------------------------------- the face


@pytest.mark.parametrize("settings", [{}, {"block_size": 4096, "codebook": "int4", "outlier": 12}])
def test_the_face_shows_the_numbers_to_four_digits(settings):
    found = explore(WEIGHTS, **settings)
    shown = list(shown_numbers(figures.render(found)).values())
    assert shown == [float(html.number(float(number))) for _, number, _ in figures.facts(found)]


def test_decimal_points_stand_in_line():
    texts = [figures._pointed(number) for number in (4.5, 13.95, 100.0, 0.0)]
    assert len({len(text.partition(".")[2]) for text in texts}) == 1


def test_each_drawn_neighbour_has_its_dot_and_its_error():
    found = explore(WEIGHTS)
    marks = list(figures._block_marks(found))
    places, ends = ([figures.SIZES(v) for v in of] for of in (found.neighbours, found.back))
    dots = [mark.x for mark in marks if getattr(mark, "size", 0) == 2.5]
    errors = [mark.points for mark in marks if getattr(mark, "role", "") == "error"]
    assert dots == places
    assert [(a[0], b[0]) for a, b in errors] == list(zip(places, ends, strict=True))


@pytest.mark.parametrize("name, levels", [("NF4", 16), ("FP4", 15), ("int4", 15)])
def test_every_level_of_the_table_is_drawn_over_the_histogram(name, levels):
    found = explore(WEIGHTS, codebook=name)
    lines = [m for m in figures._histogram_marks(found) if hasattr(m, "points")]
    places = {line.points[0][0] for line in lines if line.points[0][0] == line.points[1][0]}
    assert places == {figures.SHARES(v) for v in found.codebook.values}
    assert len(places) == levels


@pytest.mark.parametrize("size", [0, 6.0, figures.LARGEST])
@pytest.mark.parametrize("block_size", [32, 4096])
def test_nothing_is_drawn_outside_the_picture(size, block_size):
    for mark in figures.draw(explore(WEIGHTS, block_size, outlier=size)).marks:
        for x, y in getattr(mark, "points", None) or [(mark.x, mark.y)]:
            assert 0 <= x <= figures.WIDTH and 0 <= y <= figures.HEIGHT


def test_the_handle_says_where_zero_is_and_how_long_a_typical_weight():
    svg = figures.render(explore(WEIGHTS, outlier=6.0))
    data = {key: float(value) for key, value in re.findall(r'data-(\w+)="([-\d.]+)"', svg)}
    x = float(re.search(r'cx="([\d.]+)" cy="40"', svg)[1])
    assert (x - data["zero"]) / data["unit"] == pytest.approx(6.0, abs=1e-3)
    assert (data["min"], data["max"], data["step"]) == (0, figures.LARGEST, 0.1)


# ---------------------------------------------------------------- the explorer


@pytest.fixture(scope="module")
def explorer():
    return figures.explorer(WEIGHTS)


def test_the_explorer_shows_the_face_of_its_settings(explorer):
    settings = {"codebook": "int4", "block_size": 256, "double_quant": True, "outlier": 3.5}
    assert explorer.set(**settings) == figures.render(explore(WEIGHTS, **settings))


def test_a_drag_moves_the_slider_and_the_face(explorer):
    explorer.set(codebook="NF4", block_size=64, double_quant=False, outlier=2.0)
    explorer.hands.moved = {"outlier": 7.5}
    assert explorer.controls["outlier"].value == 7.5
    assert explorer.html.value == figures.render(explore(WEIGHTS, outlier=7.5))


def test_a_drag_back_to_where_the_last_one_ended_counts(explorer):
    for moved in ({"outlier": 7.5}, {}):
        explorer.hands.moved = moved
    explorer.set(outlier=3.0)
    explorer.hands.moved = {"outlier": 7.5}
    assert explorer.controls["outlier"].value == 7.5


def test_no_setting_of_the_controls_fails(explorer):
    for name in CODEBOOKS:
        for size in BLOCK_SIZES:
            assert 'role="alert"' not in explorer.set(codebook=name, block_size=size)


def test_the_still_is_of_the_first_settings():
    first = explore(WEIGHTS)
    assert figures.explorer(WEIGHTS).static.alt == figures.snapshot(first).alt


# ---------------------------------------------------------------- figures

CURVES = {
    "NF4": [(4096, 4.0078125, 0.12), (64, 4.5, 0.09)],
    "NF4, double quantization": [(4096, 4.002, 0.12), (64, 4.127, 0.09)],
}
SHARES = {"even": np.full(16, 1 / 16), "odd": np.repeat([0.0, 0.125], 8)}


@pytest.mark.parametrize(
    "draw, says",
    [
        (lambda: figures.histogram(WEIGHTS, "It is normal"), "within 1 typical size"),
        (
            lambda: figures.levels({"FP4": ql.FP4.values}, "Sixteen codes"),
            "15 values, the smallest above 0 is 0.00521",
        ),
        (lambda: figures.usage(SHARES, "Shares"), "odd: 0.0% to 12.5%"),
        (
            lambda: figures.block(WEIGHTS, ql.quantize_blockwise(WEIGHTS), "One block"),
            "largest error of the 32 weights",
        ),
        (lambda: figures.tradeoff(CURVES, "Bits"), "double quantization: 4.002 bits 12.0%"),
        (lambda: figures.snapshot(explore(WEIGHTS)), "bits per weight"),
    ],
)
def test_a_figure_says_its_numbers_and_is_the_same_bytes_each_time(draw, says):
    picture = draw()
    assert says in picture.alt and picture.data == draw().data


def test_the_block_figure_tells_the_largest_error():
    quantized = ql.quantize_blockwise(WEIGHTS)
    worst = np.abs(quantized.dequantize() - WEIGHTS).ravel()[:32].max()
    assert f"drawn is {worst:.3f}" in figures.block(WEIGHTS, quantized, "One block").alt


def test_a_long_title_is_broken_and_not_cut_off():
    title = "Double quantization: the error of small blocks, the bits of large ones"
    assert figures.tradeoff(CURVES, title).alt.startswith(title)
