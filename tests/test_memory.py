"""Bytes of weights, bits of scales, and how many devices hold them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab import memory


def test_bloom_in_fp16_takes_352_gigabytes():
    assert memory.weight_bytes(176e9, "fp16") == 352e9


def test_352_gigabytes_are_327_8_gibibytes():
    assert round(352e9 / memory.GiB, 1) == 327.8 and 352e9 / memory.GB == 352


def test_352_gigabytes_need_11_devices_of_32():
    assert memory.devices_needed(352e9, 32e9) == 11


def test_the_exact_bloom_needs_12_machines_of_32_gb_and_11_of_32_gib():
    exact = memory.weight_bytes(176_247_271_424, "fp16")
    assert memory.devices_needed(exact, 32 * memory.GB) == 12
    assert memory.devices_needed(exact, 32 * memory.GiB) == 11


def test_five_percent_kept_free_takes_a_twelfth_machine():
    assert memory.devices_needed(352e9, 32e9, headroom=0.05) == 12


@pytest.mark.parametrize(
    ("format", "bits"),
    [("fp32", 32), ("fp16", 16), ("bf16", 16), ("fp8", 8), ("int8", 8), ("fp6", 6),
     ("nf4", 4), ("fp4", 4), ("int4", 4), ("int3", 3), ("int2", 2)],
)  # fmt: skip
def test_a_value_takes_the_bits_in_its_name(format, bits):
    assert memory.bits_per_weight(format) == bits


def test_nf4_takes_half_a_bit_more_for_its_scales():
    assert memory.bits_per_weight("nf4", block_size=64) == 4 + 32 / 64


def test_double_quantization_leaves_0_127_bits_of_scale():
    assert memory.bits_per_weight("nf4", block_size=64, double_quant=True) == 4.126953125
    assert memory.bits_per_weight("nf4", 64, double_quant=True) == 4 + 8 / 64 + 32 / (64 * 256)


def test_scales_of_16_bits_cost_half_as_much():
    assert memory.bits_per_weight("int4", block_size=64, scale_bits=16) == 4.25


@pytest.mark.parametrize(("format", "bits"), [("mxfp4", 4.25), ("mxfp8", 8.25), ("nvfp4", 4.5)])
def test_formats_with_a_scale_of_their_own_count_it(format, bits):
    assert memory.bits_per_weight(format) == bits


def test_bytes_count_the_scales():
    assert memory.weight_bytes(64e9, "nf4", block_size=64) == 36e9


def test_devices_that_fit_exactly_are_enough():
    assert memory.devices_needed(64e9, 32e9) == 2
    assert memory.devices_needed(64e9 + 1, 32e9) == 3


@given(st.integers(0, 10**18), st.integers(1, 10**12))
def test_the_devices_hold_the_weights_and_one_fewer_would_not(size, device):
    count = memory.devices_needed(size, device)
    assert count * device >= size > (count - 1) * device or count == size == 0


def test_a_share_counts_as_it_is_written():
    assert memory.devices_needed(16.8e9, 24e9, 0.3) == 1  # 24e9 * (1 - 0.3) is 16799999999.999998
    assert memory.devices_needed(16.8e9 + 1, 24e9, 0.3) == 2


@given(st.integers(1, 99), st.integers(1, 64))
def test_weights_that_fill_a_share_of_one_device_fit_on_one(percent, gigabytes):
    weights = percent * gigabytes * 10**7  # exact, a percentage of so many GB
    assert memory.devices_needed(float(weights), gigabytes * 1e9, (100 - percent) / 100) == 1


def test_no_weights_take_no_bytes_and_no_device():
    assert memory.weight_bytes(0, "nf4", 64) == 0
    assert memory.devices_needed(0, 24e9) == 0


@given(st.floats(1, 1e13), st.sampled_from(sorted(memory.VALUE_BITS)))
def test_bytes_are_parameters_times_bits_over_8(parameters, format):
    bits = memory.bits_per_weight(format)
    assert memory.weight_bytes(parameters, format) == parameters * bits / 8
