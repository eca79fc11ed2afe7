"""Block-wise codes from a table: packing, blocks, ties and double quantization."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import quantlab as ql
from quantlab.codebooks import DYNAMIC8, Codebook

both_books = pytest.mark.parametrize("book", [ql.NF4, ql.FP4], ids=lambda book: book.name)


def normal(count, seed=0):
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32)


def test_the_nf4_table_has_16_ascending_values_with_an_exact_zero_and_both_ends():
    values = ql.NF4.values
    assert values.size == 16 and np.all(np.diff(values) > 0)
    assert (values[0], values[7], values[15]) == (-1, 0, 1)


def test_the_fp4_table_is_sign_and_magnitude_over_twelfths():
    magnitudes = np.array([0, 0.0625, 8, 12, 4, 6, 2, 3]) / 12
    assert np.allclose(ql.FP4.values[:8], magnitudes, rtol=2**-24, atol=0)  # half a float32 place
    assert np.array_equal(ql.FP4.values[8:], -ql.FP4.values[:8])


def test_the_dynamic_table_has_256_different_ascending_values_and_an_exact_zero():
    assert DYNAMIC8.bits == 8 and DYNAMIC8.values.size == 256
    assert np.all(np.diff(DYNAMIC8.values) > 0) and 0 in DYNAMIC8.values


@both_books
def test_every_value_of_the_table_keeps_its_code(book):
    # But FP4's two zeros, which are one value: only one of the codes can come back.
    codes = ql.quantize_blockwise(book.values, book, block_size=16).unpack()
    assert np.array_equal(book.values[codes], book.values)


@both_books
@given(x=hnp.arrays(np.float32, st.integers(1, 70), elements=st.floats(-1024, 1024, width=32)))
def test_each_code_is_the_nearest_of_the_table(book, x):
    b = ql.quantize_blockwise(x, book, block_size=16)
    peak = np.repeat(b.absmax, 16)[: x.size].astype(np.float64)
    scaled = x / np.where(peak > 0, peak, 1)
    distance = np.abs(scaled[:, None] - book.values.astype(np.float64))
    chosen = np.take_along_axis(distance, b.unpack()[:, None].astype(int), axis=1)[:, 0]
    # In float32 the reciprocal, the product and the boundary are rounded: half a place each at
    # a magnitude of at most 1 (2^-24), or at a subnormal peak the clamp's 1e-38.
    normal_peak = (peak > 1e-37) | (peak == 0)
    assert np.all((chosen - distance.min(axis=1))[normal_peak] <= 2 * 3 * 2.0**-24)


@both_books
def test_a_tie_takes_the_lower_value(book):
    ties = book.boundaries
    codes = ql.quantize_blockwise(np.append(ties, 1), book, block_size=16).unpack()[:-1]
    assert np.array_equal(codes, book.order[:-1])


def test_codes_are_packed_two_to_a_byte_the_first_in_the_high_half():
    b = ql.quantize_blockwise([0.0, -2.0, 1.0, 2.0], block_size=4)
    assert b.codes.tolist() == [0x70, 0xCF]


def test_an_odd_count_is_padded_with_the_code_of_zero():
    b = ql.quantize_blockwise([1.0, -1.0, 1.0], block_size=64)
    assert b.codes.tolist() == [0xF0, 0xF7] and b.unpack().tolist() == [15, 0, 15]


@both_books
@pytest.mark.parametrize("block_size", [1, 7, 16, 100])
def test_each_block_is_quantized_as_if_it_were_alone(book, block_size):
    x = normal(107)
    b = ql.quantize_blockwise(x, book, block_size)
    for block, start in enumerate(range(0, 107, block_size)):
        alone = ql.quantize_blockwise(x[start : start + block_size], book, block_size)
        assert np.array_equal(b.unpack()[start : start + block_size], alone.unpack())
        assert b.absmax[block] == np.abs(x[start : start + block_size]).max() == alone.absmax[0]


@both_books
@pytest.mark.parametrize("block_size", [7, 64, 2**16 + 2, 2**17 + 1])
def test_codes_do_not_depend_on_how_the_work_is_cut_up(book, block_size, monkeypatch):
    x = normal(200_003)
    whole = ql.quantize_blockwise(x, book, block_size)
    monkeypatch.setattr("quantlab._fast.codebooks.CHUNK", 1_001)
    assert np.array_equal(ql.quantize_blockwise(x, book, block_size).codes, whole.codes)


@both_books
@pytest.mark.parametrize("double_quant", [False, True])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 3, 4), (63,), (130,)])
def test_dequantized_values_are_the_table_times_the_absmax_in_the_original_shape(
    book, double_quant, shape
):
    x = normal(int(np.prod(shape))).reshape(shape)
    b = ql.quantize_blockwise(x, book, block_size=8, double_quant=double_quant)
    peaks = np.repeat(b.absmax, 8)[: x.size].reshape(shape)
    assert np.array_equal(b.dequantize(), book.values[b.unpack()] * peaks)
    assert b.dequantize().dtype == np.float32 and b.unpack().shape == shape


@both_books
def test_the_largest_magnitude_of_a_block_comes_back_to_its_last_place(book):
    # FP4 and NF4 both hold 1; only NF4 and FP4's sign bit hold -1 as well.
    x = normal(6400).reshape(-1, 64)
    back = ql.quantize_blockwise(x, book).dequantize()
    top = np.abs(x).argmax(axis=1)
    rows = np.arange(len(x))
    assert np.array_equal(back[rows, top], x[rows, top])


@both_books
@pytest.mark.parametrize("double_quant", [False, True])
def test_zeros_come_back_as_zeros(book, double_quant):
    assert not ql.quantize_blockwise(np.zeros(1000), book, 64, double_quant).dequantize().any()


def test_an_all_zero_block_stores_absmax_0_and_bytes_0x77():
    b = ql.quantize_blockwise(np.zeros(64))
    assert b.absmax.tolist() == [0.0] and not np.signbit(b.absmax).any()
    assert set(b.codes.tolist()) == {0x77}


@both_books
@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32).filter(lambda v: abs(v) > 1e-37),
    st.integers(1, 130),
)
def test_a_constant_comes_back_exactly(book, value, count):
    x = np.full(count, value, np.float32)
    assert np.array_equal(ql.quantize_blockwise(x, book).dequantize(), x)


def test_bits_per_value_are_4_and_a_half_and_4_127_nested():
    x = normal(64 * 256)
    assert ql.quantize_blockwise(x).bits_per_value == 4.5
    assert ql.quantize_blockwise(x, double_quant=True).bits_per_value == 4.126953125
    assert ql.quantize_blockwise(x, DYNAMIC8, 256).bits_per_value == 8.125


def test_bits_per_value_are_the_bytes_that_are_stored():
    x = normal(64 * 256 * 4)
    b = ql.quantize_blockwise(x, double_quant=True)
    stored = b.codes.nbytes + b.nested.codes.nbytes + b.nested.absmax.nbytes
    assert 8 * stored / x.size == b.bits_per_value


def test_double_quantization_keeps_the_codes_and_moves_the_absmax_by_little():
    x = normal(64 * 1000)
    single, double = ql.quantize_blockwise(x), ql.quantize_blockwise(x, double_quant=True)
    assert np.array_equal(single.codes, double.codes)
    centred = single.absmax - double.offset
    # The widest gap of the dynamic map, at the top, is 0.0070; its table of bins adds a place.
    widest = np.diff(DYNAMIC8.values).max() / 2 + 2 / 65535
    assert np.abs(single.absmax - double.absmax).max() <= widest * 1.001 * np.abs(centred).max()


def test_double_quantized_absmax_are_the_nested_values_plus_the_offset():
    b = ql.quantize_blockwise(normal(64 * 1000), double_quant=True)
    assert np.array_equal(b.absmax, b.nested.dequantize() + b.offset)


def test_without_a_name_the_codebook_is_nf4():
    assert ql.quantize_blockwise([1.0]).codebook is ql.NF4


def test_quantizing_leaves_its_input_alone():
    x = normal(1000)
    before = x.copy()
    ql.quantize_blockwise(x, double_quant=True).dequantize()
    assert np.array_equal(x, before)


def test_a_strided_input_gives_the_codes_of_its_copy():
    x = normal(1200).reshape(30, 40).T[::2]
    ours = ql.quantize_blockwise(x, block_size=16)
    assert np.array_equal(ours.codes, ql.quantize_blockwise(x.copy(), block_size=16).codes)


def test_a_table_of_ones_own_is_served():
    even = Codebook("even", np.linspace(-1, 1, 16))
    assert ql.quantize_blockwise(even.values, even, 16).unpack().tolist() == list(range(16))


def test_a_table_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        ql.NF4.values[0] = 0
