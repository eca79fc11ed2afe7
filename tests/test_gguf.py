"""llama.cpp's block formats: sizes, layout, bounds of the error, the way there and back."""

import numpy as np
import pytest

import quantlab as ql
from quantlab import gguf

TYPES = list(gguf.TYPES)
every_type = pytest.mark.parametrize("name", TYPES)
HALF = 2.0**-11  # FP16 rounds a scale by no more than this share of it


def normal(rows=16, columns=512, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def round_trip(x, name, importance=None):
    return gguf.decode(gguf.encode(x, name, importance), name)


def steps(x, name):
    """The step and the lowest value of every value's block, read from the bytes of x by hand."""
    blocks = gguf.encode(x, name).reshape(-1, gguf.TYPES[name].bytes)
    if name == "Q6_K":
        d = blocks[:, 208:].copy().view("<f2").astype(np.float32)
        step = np.repeat(d * blocks[:, 192:208].view(np.int8), 16, axis=1)
        return step, -32 * np.abs(step)
    d = blocks[:, :4].copy().view("<f2").astype(np.float32)
    step, low = np.empty((2, len(blocks), 256), np.float32)
    for row, block in enumerate(blocks.astype(int)):
        for i in range(8):
            a, b = block[4 + i % 4], block[8 + i % 4]
            if i < 4:
                scale, minimum = a % 64, b % 64
            else:
                last = block[12 + i % 4]
                scale, minimum = last % 16 + a // 64 * 16, last // 16 + b // 64 * 16
            step[row, 32 * i : 32 * i + 32] = d[row, 0] * scale
            low[row, 32 * i : 32 * i + 32] = -d[row, 1] * minimum
    return step, low


def test_the_bits_per_value_count_the_scales():
    bits = {name: kind.bits_per_value for name, kind in gguf.TYPES.items()}
    assert bits == {
        "Q4_0": 4.5, "Q8_0": 8.5, "Q4_K": 4.5, "Q6_K": 6.5625, "MXFP4": 4.25, "IQ4_NL": 4.5,
    }  # fmt: skip


@every_type
def test_the_last_axis_becomes_the_bytes_of_its_blocks(name):
    kind, x = gguf.TYPES[name], normal().reshape(2, 8, 512)
    blocks = gguf.encode(x, name)
    assert blocks.dtype == np.uint8 and blocks.shape == (2, 8, 512 // kind.values * kind.bytes)
    values = gguf.decode(blocks, name)
    assert values.dtype == np.float32 and values.shape == x.shape
    assert gguf.decode(blocks.reshape(-1, kind.bytes), name, x.shape).tobytes() == values.tobytes()


def test_a_block_of_q4_0_by_hand():
    x = np.zeros(32)
    x[[0, 1, 16, 31]] = [-4.0, 3.5, 1.0, 0.26]  # the step is 4/8: codes -8, 7, 2 and 1, plus 8
    expected = np.array([0x00, 0x38, 0xA0, 0x8F, *[0x88] * 13, 0x98], np.uint8)  # FP16 0.5: 0x3800
    assert gguf.encode(x, "Q4_0").tolist() == expected.tolist()


def test_q8_0_rounds_halves_away_from_zero():
    x = np.zeros(32)
    x[:4] = [127.0, 0.5, -0.5, -2.5]
    assert gguf.encode(x, "Q8_0")[2:6].view(np.int8).tolist() == [127, 1, -1, -3]


def test_q8_0_errs_by_half_a_step_and_what_fp16_rounds_off_the_scale():
    x = normal()
    d = np.abs(x.reshape(-1, 32)).max(axis=1, keepdims=True) / 127
    error = np.abs(round_trip(x, "Q8_0") - x).reshape(-1, 32)
    assert np.all(error <= d * (0.5 + 127 * HALF))


def test_q4_0_errs_by_half_a_step_but_for_the_end_that_has_seven_of_them():
    x = normal()
    blocks = x.reshape(-1, 32)
    peak = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1, keepdims=True), axis=1)
    error = np.abs(round_trip(x, "Q4_0").reshape(-1, 32) - blocks)
    d = np.abs(peak) / 8
    beyond = -blocks * np.sign(peak) > 7.5 * d
    assert beyond.any() and np.all(error[beyond] <= (d * (1 + 7 * HALF) + 0 * error)[beyond])
    assert np.all(error[~beyond] <= (d * (0.5 + 8 * HALF) + 0 * error)[~beyond])


@pytest.mark.parametrize(("name", "levels"), [("Q4_K", 15), ("Q6_K", 63)])
def test_k_quants_err_by_half_a_step_within_the_range_of_a_block(name, levels):
    x = normal()
    step, low = steps(x, name)
    blocks, error = x.reshape(-1, 256), np.abs(round_trip(x, name) - x).reshape(-1, 256)
    size = np.abs(step)
    inside = (blocks >= low - size / 2) & (blocks <= low + (levels + 0.5) * size)
    assert inside.mean() > 0.97
    # float32 rounds x + minimum, the quotient and the product: no more than 4 times 2^-24 of each
    assert np.all(error[inside] <= (size / 2 + 2.0**-22 * np.abs(blocks).max())[inside])


def test_mxfp4_takes_the_nearest_of_its_values():
    x = normal()
    blocks = x.reshape(-1, 32)
    power = 2.0 ** (np.floor(np.log2(np.abs(blocks).max(axis=1))) - 2)
    grid = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    grid = power[:, None, None] * np.concatenate([grid, -grid])
    nearest = np.abs(grid - blocks[..., None]).min(axis=2)
    assert np.array_equal(np.abs(round_trip(x, "MXFP4").reshape(-1, 32) - blocks), nearest)


@pytest.mark.parametrize("name", ["Q4_0", "Q8_0", "MXFP4"])
def test_decoded_values_encode_to_the_same_bytes(name):
    blocks = gguf.encode(normal(64), name)
    assert np.array_equal(gguf.encode(gguf.decode(blocks, name), name), blocks)


@every_type
def test_zeros_come_back_as_zeros(name):
    for importance in (None, np.ones(256), np.zeros(256)):
        assert np.all(round_trip(np.zeros((2, 256)), name, importance) == 0)


@every_type
def test_each_row_is_encoded_by_itself(name):
    x, importance = normal(300), normal(1, seed=1)[0] ** 2
    blocks = gguf.encode(x, name, importance)
    assert np.array_equal(blocks[[0, 299]], gguf.encode(x[[0, 299]], name, importance))


@pytest.mark.parametrize("name", ["Q4_0", "Q4_K", "Q6_K", "IQ4_NL"])
def test_importance_moves_the_error_to_where_it_matters_less(name):
    x, importance = normal(64), np.where(np.arange(512) % 4, 0.01, 1.0)
    plain, weighed = (
        ((round_trip(x, name, kind) - x) ** 2 * importance).sum() for kind in (None, importance)
    )
    assert weighed < 0.95 * plain


@pytest.mark.parametrize("name", ["Q8_0", "MXFP4"])
def test_types_without_a_search_leave_importance_unused(name):
    x = normal()
    assert np.array_equal(gguf.encode(x, name, np.arange(512)), gguf.encode(x, name))


def test_the_k_quant_errs_less_than_q4_0_with_the_same_bits():
    x = normal(64)
    errors = {name: ql.errors.relative(round_trip(x, name), x) for name in TYPES}
    assert errors["Q8_0"] < errors["Q6_K"] < errors["Q4_K"] < errors["Q4_0"]
    assert errors["IQ4_NL"] < errors["Q4_0"] < errors["MXFP4"]


def test_any_array_of_real_numbers_is_taken_as_float32():
    x = normal()
    for kind in (np.float16, np.float64, np.int8):
        as_float32 = x.astype(kind).astype(np.float32)
        assert np.array_equal(gguf.encode(x.astype(kind), "Q4_0"), gguf.encode(as_float32, "Q4_0"))
    assert np.array_equal(gguf.encode(np.asfortranarray(x), "Q4_K"), gguf.encode(x, "Q4_K"))
