"""A layer in 4 bits with one weight dragged: its numbers are those of quantlab.codebooks."""

import numpy as np
import pytest

import quantlab as ql
from quantlab.experiments.four_bits import BLOCK_SIZES, CODEBOOKS, INT4, explore

RNG = np.random.default_rng(8)
WEIGHTS = RNG.normal(size=(16, 1024)).astype(np.float32) * np.float32(0.1)
PLACE = WEIGHTS.size // 2  # the weight that is dragged: a multiple of 32


def with_outlier(size):
    """The weights as the explorer changes them: one of them `size` standard deviations large."""
    flat = WEIGHTS.ravel().copy()
    flat[PLACE] = size * float(flat.std())
    return flat


def test_int4_is_the_absmax_of_notebook_04_but_for_ties():
    quantized = ql.quantize_absmax(WEIGHTS.reshape(-1, 64), bits=4, axis=1)
    same = ql.quantize_blockwise(WEIGHTS, INT4).dequantize().reshape(-1, 64)
    step = quantized.scale
    # Normal float32 numbers tie with probability 0 but for rounding: within one of 24 bits.
    assert np.all(np.abs(same - quantized.dequantize()) < 8 * step * 2.0**-23)


def test_the_unused_code_of_int4_is_never_given():
    codes = ql.quantize_blockwise(np.linspace(-1, 1, 4096), INT4).unpack()
    assert set(np.unique(codes)) == set(range(15))


@pytest.mark.parametrize("double_quant", [False, True])
@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_bits_are_those_of_quantlab_memory(block_size, double_quant):
    found = explore(WEIGHTS, block_size, double_quant=double_quant)
    assert found.bits == ql.memory.bits_per_weight("nf4", block_size, double_quant)


@pytest.mark.parametrize("name", CODEBOOKS)
@pytest.mark.parametrize("block_size", [32, 4096])
def test_the_error_is_that_of_all_weights_but_the_outlier(name, block_size):
    found = explore(WEIGHTS, block_size, name, outlier=9.0)
    flat = with_outlier(9.0)
    back = ql.quantize_blockwise(flat, CODEBOOKS[name], block_size).dequantize()
    flat, back = np.delete(flat, PLACE), np.delete(back, PLACE)
    # The order of a sum changes its last bits: 16,384 roundings of 2^-53 at most.
    assert found.error == pytest.approx(ql.errors.relative(back, flat), rel=2.0**-38)


@pytest.mark.parametrize("block_size", [32, 64, 1024])
def test_the_block_is_the_one_that_holds_the_outlier(block_size):
    found = explore(WEIGHTS, block_size, outlier=9.0)
    flat = with_outlier(9.0)
    start = PLACE // block_size * block_size
    block = flat[start : start + block_size]
    back = ql.quantize_blockwise(block, block_size=block_size).dequantize()
    others = np.arange(start, start + block_size) != PLACE
    assert found.block_error == pytest.approx(
        ql.errors.relative(back[others], block[others]), rel=2.0**-38
    )
    assert found.lost == np.mean(back[others] == 0)


def test_the_drawn_neighbours_are_weights_of_the_block_and_what_they_come_back_as():
    found = explore(WEIGHTS, 64, outlier=5.0)
    flat = with_outlier(5.0)
    back = ql.quantize_blockwise(flat).dequantize()
    typical = float(WEIGHTS.std())
    drawn = slice(PLACE + 1, PLACE + 32)
    assert np.array_equal(found.neighbours, flat[drawn] / typical)
    assert np.array_equal(found.back, back[drawn] / typical)


def test_what_comes_back_is_one_of_the_levels():
    found = explore(WEIGHTS, 64, outlier=5.0)
    gaps = np.abs(found.back[:, None] - found.places).min(axis=1)
    assert gaps.max() < 5 * 2.0**-22  # two roundings of float32 at the size of the largest


def test_a_large_outlier_is_the_absmax_of_its_block():
    assert explore(WEIGHTS, outlier=9.0).absmax == pytest.approx(9.0, rel=1e-6)


def test_a_larger_outlier_costs_its_neighbours_more():
    costs = [explore(WEIGHTS, outlier=size).block_error for size in (1, 6, 12)]
    assert costs == sorted(costs) and costs[-1] > 2 * costs[0]


def test_every_weight_is_counted_once_in_the_histogram():
    assert explore(WEIGHTS).counts.sum() == WEIGHTS.size


def test_each_block_puts_its_largest_weight_at_an_end_of_the_histogram():
    found = explore(WEIGHTS, 32)
    assert found.counts[[0, -1]].sum() >= WEIGHTS.size // 32


def test_the_weights_that_are_given_stay_as_they_are():
    before = WEIGHTS.copy()
    explore(WEIGHTS, outlier=12.0)
    assert np.array_equal(WEIGHTS, before)


@pytest.mark.parametrize(
    "settings, says",
    [
        ({"codebook": "nf5"}, "NF4, FP4, int4"),
        ({"block_size": 16}, "at least 32, got 16"),
        ({"outlier": -1.0}, "0 or more"),
        ({"weights": WEIGHTS[:1]}, "4096 values or more, got 1024"),
    ],
)
def test_a_bad_setting_is_named(settings, says):
    with pytest.raises(ValueError, match=says):
        explore(**({"weights": WEIGHTS} | settings))
