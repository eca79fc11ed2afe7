"""A footprint has quantlab.memory's numbers; sizes of models are counted from their shapes."""

import math
from fractions import Fraction

import pytest

from quantlab import memory
from quantlab.experiments import footprint as footprints
from quantlab.experiments.footprint import FORMATS, footprint

BLOOM = 176


@pytest.mark.parametrize("name", FORMATS)
def test_bytes_are_those_of_quantlab_memory(name):
    answer = footprint(BLOOM, name)
    assert answer.bytes == memory.weight_bytes(BLOOM * 1e9, FORMATS[name])


@pytest.mark.parametrize("double_quant", [False, True])
@pytest.mark.parametrize("block_size", [32, 64, 4096])
def test_bits_include_the_scales(block_size, double_quant):
    answer = footprint(BLOOM, "NF4", block_size, double_quant)
    assert answer.bits == memory.bits_per_weight("nf4", block_size, double_quant)


def test_every_format_is_one_of_quantlab_memory():
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


def test_every_device_has_the_memory_that_its_label_says():
    for label, size in footprints.DEVICES.items():
        assert label.startswith(f"{size:g} GB (")


def test_the_exact_model_takes_the_twelfth_machine():
    exact = 250_880 * 14_336 + 70 * (12 * 14_336 + 13) * 14_336 + 4 * 14_336
    assert round(footprints.BLOOM * 1e9) == exact
    assert footprint(footprints.BLOOM, "FP16", device=32).devices == 12


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
    assert round(dict(footprints.MODELS)[name] * 1e9) == count


def test_deepseek_v3_is_counted_from_its_shapes():
    width, heads = 7168, 128
    queries = width * 1536 + 1536 + 1536 * heads * 192
    keys = width * (512 + 64) + 512 + 512 * heads * 256
    attention = queries + keys + heads * 128 * width + 2 * width
    mixture = 257 * 3 * width * 2048 + 256 * width + 256  # one expert is shared
    count = 61 * attention + 3 * 3 * width * 18_432 + 58 * mixture + width + 2 * 129_280 * width
    assert round(dict(footprints.MODELS)["DeepSeek-V3"] * 1e9) == count


def test_no_setting_of_the_calculator_needs_a_device_more_than_exact_arithmetic_says():
    for tenths in range(1, 2000, 7):
        for device in (8, 8.6, 16, 24, 25.8, 80):
            for headroom in (0, 5, 30):
                found = footprint(tenths / 10, "FP16", device=device, headroom=headroom)
                usable = Fraction(str(device)) * (100 - headroom) / 100
                assert found.devices == math.ceil(Fraction(tenths, 5) / usable)
    assert footprint(17.1, "FP32", device=24, headroom=5).devices == 3  # 68.4 GB, 22.8 GB each
