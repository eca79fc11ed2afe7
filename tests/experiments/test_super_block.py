"""256 weights in llama.cpp's formats: what the explorer of notebook 11 computes."""

import numpy as np
import pytest

from quantlab import gguf
from quantlab.experiments import super_block
from quantlab.experiments.super_block import PLACE, explore

WEIGHTS = np.random.default_rng(11).normal(size=(8, 512)).astype(np.float32) * np.float32(0.1)
every_type = pytest.mark.parametrize("type", gguf.TYPES)


@every_type
def test_the_bytes_are_those_of_the_weights_with_the_outlier(type):
    x = WEIGHTS.ravel()[:256].copy()
    x[PLACE] = 6 * float(WEIGHTS.std())
    assert explore(WEIGHTS, type, 6.0).blocks.tobytes() == gguf.encode(x, type).tobytes()


@every_type
def test_what_comes_back_is_one_of_the_levels(type):
    found = explore(WEIGHTS, type, 3.0)
    assert np.abs(found.levels - found.back).min(axis=0).max() == 0


@pytest.mark.parametrize(
    ("type", "count"), [("Q8_0", 256), ("Q6_K", 64), ("Q4_0", 16), ("Q4_K", 16), ("IQ4_NL", 16)]
)
def test_there_are_as_many_levels_as_codes(type, count):
    found = explore(WEIGHTS, type)
    assert {len(np.unique(column)) for column in found.levels.T} == {count}


def test_blocks_of_32_with_scales_of_their_own_do_not_feel_an_outlier_outside():
    for type in ("Q4_0", "Q8_0", "IQ4_NL", "MXFP4"):
        assert explore(WEIGHTS, type, 12).other_error == explore(WEIGHTS, type, 3).other_error


def test_in_a_super_block_the_others_pay_for_an_outlier():
    for type in ("Q4_K", "Q6_K"):
        assert explore(WEIGHTS, type, 12).other_error > explore(WEIGHTS, type, 1).other_error


def test_the_errors_leave_out_the_outlier():
    found = explore(WEIGHTS, "Q4_0", 9.0)
    inside = [i for i in range(96, 128) if i != PLACE]
    off, size = (found.back - found.values)[inside], found.values[inside]
    expected = np.linalg.norm(off) / np.linalg.norm(size)
    assert found.block_error == pytest.approx(expected, rel=1e-5)


def test_the_six_bits_are_what_the_decoder_multiplies_with():
    block = gguf.encode(WEIGHTS.ravel()[:256], "Q4_K")
    scales, lows = super_block.six_bits(block[4:16])
    d, dmin = block[:4].view("<f2").astype(np.float32)
    levels = super_block.levels(block, "Q4_K")[:, ::32]
    assert np.array_equal(levels[0], -dmin * np.float32(lows))
    assert np.allclose(levels[1] - levels[0], d * np.float32(scales), rtol=1e-5, atol=1e-6)


@every_type
def test_each_block_of_32_has_its_words(type):
    assert len(super_block.scale_words(explore(WEIGHTS, type).blocks, type)) == 8


def test_what_it_cannot_serve_is_refused_by_name():
    with pytest.raises(ValueError, match="Q5_K"):
        explore(WEIGHTS, "Q5_K")
    with pytest.raises(ValueError, match="256 values or more, got 100"):
        explore(WEIGHTS.ravel()[:100])
    with pytest.raises(ValueError, match="outlier"):
        explore(WEIGHTS, outlier=-1)
