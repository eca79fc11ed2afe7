"""The calculator of notebook 00 shows its footprint, and its words and boxes fit."""

import pytest

from quantlab.experiments.footprint import footprint
from quantlab.show import memory_figures as figures
from quantlab.show.memory_figures import calculator, render, sentence

BLOOM = 176


def _filled(drawing):
    """The filled boxes of a drawing, in order."""
    return [box for box in drawing.marks if box.fill != "none"]


def _frames(drawing):
    return len(drawing.marks) - len(_filled(drawing))


def test_the_sentence_has_size_format_and_devices():
    expected = "176 billion weights in NF4 take 99.0 GB: 4 devices of 32 GB."
    assert sentence(footprint(BLOOM, "NF4", 64)) == expected


def test_one_device_is_singular():
    assert "1 device of 80 GB." in sentence(footprint(7, "int8", device=80))


def test_a_small_model_is_told_in_millions_and_megabytes():
    assert sentence(footprint(0.124, "FP16")).startswith("124 million weights in FP16 take 248 MB")


def test_the_face_shows_bytes_gb_gib_and_bits():
    html = render(footprint(BLOOM, "FP16"))
    for text in ("352,000,000,000", "352.00", "327.83", ">16<", "100.0%"):
        assert text in html


def test_a_box_is_drawn_for_each_device_and_filled_as_far_as_it_is():
    drawing = figures._boxes(footprint(BLOOM, "NF4", 64, device=32))
    assert _frames(drawing) == 4
    heights = [box.height for box in _filled(drawing)]
    assert heights == [100, 100, 100, pytest.approx(100 * 3 / 32, abs=0.05)]


def test_headroom_stays_empty_in_the_picture():
    drawing = figures._boxes(footprint(BLOOM, "FP16", device=80, headroom=25))
    assert max(box.height for box in _filled(drawing)) == 75


def test_more_than_96_devices_are_cut_off_and_that_is_said():
    answer = footprint(405, "FP32", device=8)
    assert _frames(figures._boxes(answer)) == 96
    for seen in (render(answer), figures.snapshot(answer).alt):
        assert "203 devices" in seen and "96 are drawn" in seen


@pytest.mark.parametrize("billions", [0.1, 7, 40, 176, 405, 1000])
def test_boxes_stay_inside_the_picture(billions):
    drawing = figures._boxes(footprint(billions, "FP32", device=8, headroom=50))
    for box in drawing.marks:
        assert box.x >= 0 and box.x + box.width <= drawing.width
        assert box.y >= 0 and box.y + box.height <= drawing.height


def test_a_weight_is_drawn_with_one_square_for_each_bit():
    assert len(_filled(figures._bits(footprint(BLOOM, "FP16")))) == 16


def test_a_share_of_a_scale_is_drawn_as_that_share_of_a_square():
    filled = _filled(figures._bits(footprint(BLOOM, "NF4", 64)))
    assert [box.width for box in filled] == [18, 18, 18, 18, 9]


def test_the_explorer_shows_the_face_of_its_settings():
    explorer = calculator()
    html = explorer.set(billions=70, format="NF4", block_size=64, double_quant=True, device=51.5)
    assert html == render(footprint(70, "NF4", 64, True, 51.5))


def test_no_setting_of_the_menus_fails():
    explorer = calculator()
    for name in ("format", "block_size", "device"):
        for _, value in _options(explorer.controls[name]):
            assert "Error" not in explorer.set(**{name: value})


def _options(menu):
    return [o if isinstance(o, tuple) else (o, o) for o in menu.options]


def test_a_model_of_the_menu_fills_the_box():
    size = calculator().controls["billions"]
    size.menu.label = "Qwen3-8B (8.191 billion)"
    assert size.value == 8.19073536


def test_a_size_of_your_own_leaves_the_menu():
    size = calculator().controls["billions"]
    size.value = 33.3
    assert size.menu.label == "a size of your own"
    assert size.value == 33.3


def test_a_known_size_in_the_box_is_named_in_the_menu():
    size = calculator().controls["billions"]
    size.value = 671
    size.value = 744
    assert size.menu.label == "GLM-5 (744 billion)"


def test_the_still_says_what_it_shows():
    picture = figures.snapshot(footprint(BLOOM, "NF4", 64))
    assert "99.0 GB: 4 devices of 32 GB" in picture.alt


@pytest.mark.parametrize(
    "draw",
    [
        figures.formats_figure,
        lambda: figures.cache_figure(352e9, 4_014_080, 32e9),
        lambda: figures.snapshot(footprint(1000, "FP32", device=8)),
        lambda: figures.snapshot(footprint(0.1, "MXFP4")),
    ],
)
def test_a_figure_is_the_same_bytes_each_time(draw):
    assert draw().data == draw().data


def test_the_formats_figure_tells_each_bar_in_its_alt_text():
    alt = figures.formats_figure().alt
    for bar in ("FP32 705 GB · 32 bits · 23 machines", "4.127 bits · 3 machines"):
        assert bar in alt


def test_the_cache_figure_counts_the_tokens_of_each_machine():
    alt = figures.cache_figure(352e9, 4_014_080, 32e9).alt
    assert "11 machines: room for 0 tokens" in alt
    assert f"12 machines: room for {int(32e9 // 4_014_080):,} tokens" in alt
