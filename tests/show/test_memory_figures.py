"""The calculator of notebook 00 has quantlab.memory's numbers, and its words and boxes fit."""

import pytest

from quantlab import memory
from quantlab.show import memory_figures as figures
from quantlab.show.memory_figures import FORMATS, calculator, footprint, render, sentence

BLOOM = 176


def _filled(drawing):
    """The filled boxes of a drawing, in order."""
    return [box for box in drawing.marks if box.fill != "none"]


def _frames(drawing):
    return len(drawing.marks) - len(_filled(drawing))


@pytest.mark.parametrize("name", FORMATS)
def test_bytes_are_those_of_quantlab_memory(name):
    answer = footprint(BLOOM, name)
    assert answer.bytes == memory.weight_bytes(BLOOM * 1e9, FORMATS[name])


@pytest.mark.parametrize("double_quant", [False, True])
@pytest.mark.parametrize("block_size", [32, 64, 4096])
def test_bits_include_the_scales(block_size, double_quant):
    answer = footprint(BLOOM, "NF4", block_size, double_quant)
    assert answer.bits == memory.bits_per_weight("nf4", block_size, double_quant)


def test_every_format_of_the_calculator_is_one_of_quantlab_memory():
    assert set(FORMATS.values()) <= set(memory.VALUE_BITS)


def test_bloom_in_fp16_fills_eleven_devices_to_the_last_byte():
    answer = footprint(BLOOM, "FP16", device=32)
    assert (answer.devices, answer.last_bytes) == (11, 32e9)


def test_headroom_takes_a_twelfth_device():
    assert footprint(BLOOM, "FP16", device=32, headroom=5).devices == 12


def test_devices_hold_all_bytes_together():
    answer = footprint(405, "NF4", 64, True, device=24, headroom=10)
    assert (answer.devices - 1) * answer.usable_bytes + answer.last_bytes == answer.bytes
    assert 0 < answer.last_bytes <= answer.usable_bytes


@pytest.mark.parametrize("name", ["FP32", "FP16", "BF16"])
def test_a_block_size_without_effect_is_said_and_not_counted(name):
    answer = footprint(BLOOM, name, block_size=64, double_quant=True)
    assert answer.bits == answer.code_bits
    assert "changes nothing" in answer.note


@pytest.mark.parametrize(("name", "bits"), [("MXFP4", 4.25), ("NVFP4", 4.5)])
def test_formats_with_scales_of_their_own_keep_them(name, bits):
    answer = footprint(BLOOM, name, block_size=128)
    assert answer.bits == bits
    assert "brings its own scales" in answer.note


def test_double_quantization_without_blocks_is_said():
    assert "none to shrink" in footprint(BLOOM, "NF4", None, True).note


def test_settings_that_all_count_need_no_note():
    assert footprint(BLOOM, "NF4", 64, True).note == ""


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


def test_every_device_of_the_menu_has_the_memory_that_its_label_says():
    for label, size in figures.DEVICES.items():
        assert label.startswith(f"{size:g} GB (")


def test_the_exact_model_takes_the_twelfth_machine():
    exact = 250_880 * 14_336 + 70 * (12 * 14_336 + 13) * 14_336 + 4 * 14_336
    assert round(figures.BLOOM * 1e9) == exact
    assert footprint(figures.BLOOM, "FP16", device=32).devices == 12


# From each model's config.json: width, layers, width of the queries, width of the keys, parameters
# of one feed-forward part, tokens, and what a layer has besides its two norms.
_SHAPES = {
    "TinyLlama": (2048, 22, 2048, 256, 3 * 2048 * 5632, 32_000, 0),
    "Llama 2 7B": (4096, 32, 4096, 4096, 3 * 4096 * 11_008, 32_000, 0),
    "Llama 2 13B": (5120, 40, 5120, 5120, 3 * 5120 * 13_824, 32_000, 0),
    "Llama 2 70B": (8192, 80, 8192, 1024, 3 * 8192 * 28_672, 32_000, 0),
    "Llama 3.1 8B": (4096, 32, 4096, 1024, 3 * 4096 * 14_336, 128_256, 0),
    "Llama 3.1 405B": (16_384, 126, 16_384, 1024, 3 * 16_384 * 53_248, 128_256, 0),
    "Qwen3-8B": (4096, 36, 4096, 1024, 3 * 4096 * 12_288, 151_936, 2 * 128),
    # 128 experts, and a router that scores them
    "Qwen3-235B-A22B": (4096, 94, 8192, 512, 128 * (3 * 1536 + 1) * 4096, 151_936, 2 * 128),
    # experts of 3 matrices with biases, and the router; attention's biases, and 64 sinks
    "gpt-oss-20b": (2880, 24, 4096, 512, 32 * (4 * 2880 + 3 * 2880**2 + 1), 201_088, 8064),
    "gpt-oss-120b": (2880, 36, 4096, 512, 128 * (4 * 2880 + 3 * 2880**2 + 1), 201_088, 8064),
}


@pytest.mark.parametrize("name", _SHAPES)
def test_a_models_size_is_counted_from_its_shapes(name):
    width, layers, queries, keys, feed_forward, tokens, besides = _SHAPES[name]
    attention = 2 * width * (queries + keys)
    layer = attention + feed_forward + besides + 2 * width
    count = layers * layer + width + 2 * tokens * width
    assert round(dict(figures.MODELS)[name] * 1e9) == count


def test_deepseek_v3_is_counted_from_its_shapes():
    width, heads = 7168, 128
    queries = width * 1536 + 1536 + 1536 * heads * 192
    keys = width * (512 + 64) + 512 + 512 * heads * 256
    attention = queries + keys + heads * 128 * width + 2 * width
    mixture = 257 * 3 * width * 2048 + 256 * width + 256  # one expert is shared
    count = 61 * attention + 3 * 3 * width * 18_432 + 58 * mixture + width + 2 * 129_280 * width
    assert round(dict(figures.MODELS)["DeepSeek-V3"] * 1e9) == count


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
    size = calculator(billions=671).controls["billions"]
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
