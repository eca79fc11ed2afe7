"""NF4, FP4, double quantization and LLM.int8() against bitsandbytes on a CPU, byte for byte."""

import warnings

import numpy as np
import pytest

import quantlab as ql
from quantlab import codebooks

torch = pytest.importorskip("torch")
pytest.importorskip("bitsandbytes")

pytestmark = pytest.mark.usefixtures("one_thread", "uncompiled")

BOOKS = {"nf4": ql.NF4, "fp4": ql.FP4}
BLOCKS = [32, 64, 128, 256, 512, 1024, 2048, 4096]
both_books = pytest.mark.parametrize("name", BOOKS)
every_block = pytest.mark.parametrize("block_size", BLOCKS)
KINDS = [torch.float32, torch.float16, torch.bfloat16]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


def theirs(x, name="nf4", block_size=64, double_quant=False):
    """The library's packed codes and its state."""
    from bitsandbytes import functional

    codes, state = functional.quantize_4bit(
        torch.as_tensor(x),
        blocksize=block_size,
        quant_type=name,
        compress_statistics=double_quant,
    )
    return codes.numpy().ravel(), state


def their_values(x, *args, **kwargs):
    """What the library makes of x, there and back."""
    from bitsandbytes import functional

    codes, state = theirs(x, *args, **kwargs)
    return functional.dequantize_4bit(torch.from_numpy(codes)[:, None], state).numpy()


def weights(count, seed=0):
    """Normal values whose size differs from stretch to stretch, as in a real model."""
    rng = np.random.default_rng(seed)
    sizes = np.repeat(10.0 ** rng.uniform(-4, 2, count // 1000 + 1), 1000)[:count]
    return (rng.standard_normal(count) * sizes).astype(np.float32)


def assert_same(x, name, block_size):
    ours = ql.quantize_blockwise(x, BOOKS[name], block_size)
    codes, state = theirs(x, name, block_size)
    assert np.array_equal(ours.codes, codes)
    assert np.array_equal(ours.absmax.view(np.uint32), state.absmax.numpy().view(np.uint32))


# The tables.


@both_books
def test_a_codebook_holds_the_librarys_values(name):
    _, state = theirs(np.ones(64, np.float32), name)
    # Equal as numbers: for FP4's code 8 the library's table says 0, its CPU kernel decodes -0.
    assert np.array_equal(BOOKS[name].values, state.code.numpy())


def test_the_dynamic_map_holds_the_librarys_values():
    from bitsandbytes import functional

    assert np.array_equal(codebooks.DYNAMIC8.values, functional.create_dynamic_map().numpy())


# Codes and scales.


@both_books
@every_block
def test_codes_and_absmax_of_a_million_values_are_the_librarys(name, block_size):
    assert_same(weights(2**20, seed=block_size), name, block_size)


@both_books
@every_block
@pytest.mark.parametrize("rest", [1, 2, 15, 31])
def test_a_size_that_does_not_divide_ends_as_in_the_library(name, block_size, rest):
    assert_same(weights(3 * block_size + rest, seed=rest), name, block_size)


@both_books
@pytest.mark.parametrize("count", [1, 2, 3, 31, 63, 65])
def test_arrays_below_or_beside_one_block_are_the_librarys(name, count):
    assert_same(weights(count, seed=count), name, 64)


@both_books
@pytest.mark.parametrize("block_size", [32, 64, 4096])
def test_sizes_beside_a_working_chunk_are_the_librarys(name, block_size):
    for count in (2**16 - 1, 2**16, 2**16 + 1, 2**17 + 33):
        assert_same(weights(count, seed=count), name, block_size)


@both_books
@every_block
def test_all_zero_blocks_are_the_librarys(name, block_size):
    x = weights(6 * block_size + 5)
    x[block_size : 2 * block_size] = 0
    x[-5:] = 0  # a short last block: its absmax is stored as 1e-38
    assert_same(x, name, block_size)
    assert_same(np.zeros(2 * block_size, np.float32), name, block_size)


@both_books
def test_negative_zeros_are_the_librarys(name):
    assert_same(np.full(128, -0.0, np.float32), name, 64)


@both_books
@pytest.mark.parametrize("value", [1.0, -3.7, 1e-30, -1e-38, 1e-42, 3.4e38])
def test_constant_arrays_are_the_librarys(name, value):
    assert_same(np.full(200, value, np.float32), name, 64)


@both_books
def test_values_on_a_boundary_and_beside_it_are_the_librarys(name):
    boundary = BOOKS[name].boundaries
    near = [np.nextafter(boundary, np.float32(s)) for s in (-2, 2)]
    x = np.concatenate([boundary, *near, [1.0] * 19]).astype(np.float32)
    assert x.size == 64  # one block with absmax 1: nothing is scaled
    assert_same(x, name, 64)
    assert_same(x[:-1], name, 64)  # a short block, which divides instead


@both_books
def test_scaled_boundaries_are_the_librarys(name):
    # Scaled by a whole range of sizes, so that reciprocal and division differ in the last bit.
    boundary = np.concatenate([BOOKS[name].boundaries, [1.0]]).astype(np.float32)
    sizes = np.random.default_rng(9).uniform(0.5, 2, 40_000).astype(np.float32)
    blocks = np.zeros((sizes.size, 32), np.float32)
    blocks[:, : boundary.size] = boundary * sizes[:, None]
    assert_same(blocks.ravel(), name, 32)


@both_books
@pytest.mark.parametrize("size", [1e-36, 1e-38, 1e-40, 1e-43])
def test_subnormal_values_are_the_librarys(name, size):
    rng = np.random.default_rng(10)
    x = (rng.standard_normal(10_000) * size).astype(np.float32)
    assert_same(x, name, 64)


@both_books
def test_values_next_to_the_largest_float_are_the_librarys(name):
    x = np.random.default_rng(11).uniform(-1, 1, 10_000).astype(np.float32)
    assert_same(x * np.finfo(np.float32).max, name, 64)


@both_books
@pytest.mark.parametrize("shape", [(96, 128), (5, 7, 22), (33, 1), (1, 130)])
def test_blocks_run_along_the_flattened_array_as_in_the_library(name, shape):
    x = weights(int(np.prod(shape))).reshape(shape)
    assert_same(x, name, 64)


@both_books
def test_any_finite_pattern_is_the_librarys(name):
    patterns = np.random.default_rng(12).integers(0, 2**32, 2**20, dtype=np.uint32)
    x = patterns.view(np.float32)
    assert_same(x[np.isfinite(x)], name, 64)


@both_books
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
def test_16_bit_inputs_give_the_librarys_codes_and_absmax(name, kind):
    x = torch.from_numpy(weights(100_030)).clamp(-6e4, 6e4).to(kind)
    ours = ql.quantize_blockwise(x.float().numpy(), BOOKS[name])
    codes, state = theirs(x, name)
    assert np.array_equal(ours.codes, codes)
    assert np.array_equal(ours.absmax, state.absmax.float().numpy())


@both_books
@every_kind
def test_inputs_of_any_width_give_the_librarys_nested_statistics(name, kind):
    x = torch.from_numpy(weights(64 * 300 + 14)).clamp(-6e4, 6e4).to(kind)
    ours = ql.quantize_blockwise(x.float().numpy(), BOOKS[name], double_quant=True)
    codes, state = theirs(x, name, double_quant=True)
    assert np.array_equal(ours.codes, codes)
    assert np.array_equal(ours.nested.codes, state.absmax.numpy())
    assert np.array_equal(ours.nested.absmax, state.state2.absmax.numpy())


@both_books
@every_kind
def test_values_are_the_librarys_rounded_once_to_the_width_of_the_input(name, kind):
    from bitsandbytes import functional

    x = torch.from_numpy(weights(96 * 256).reshape(96, 256)).clamp(-6e4, 6e4).to(kind)
    ours = torch.from_numpy(ql.quantize_blockwise(x.float().numpy(), BOOKS[name]).dequantize())
    codes, state = functional.quantize_4bit(x, blocksize=64, quant_type=name)
    library = functional.dequantize_4bit(codes, state)
    assert library.dtype == kind and torch.equal(ours.to(kind), library)


@both_books
def test_every_matrix_of_the_model_has_the_librarys_4_bit_codes(name, tiny_lm):
    for matrix in tiny_lm.values():
        ours = ql.quantize_blockwise(matrix.float().numpy(), BOOKS[name], double_quant=True)
        codes, state = theirs(matrix, name, double_quant=True)
        assert np.array_equal(ours.codes, codes)
        assert np.array_equal(ours.nested.codes, state.absmax.numpy())
        assert np.float32(ours.offset) == state.offset.numpy()


# Back to values. Even last dimensions, and no multiple of 16 that a block does not divide: there
# the library's AVX512 kernel is wrong; and odd ones take a Python fallback, not the kernel.


@both_books
@every_block
@pytest.mark.parametrize("double_quant", [False, True], ids=["absmax", "nested"])
def test_dequantized_values_are_the_librarys(name, block_size, double_quant):
    x = weights(40 * block_size + 14, seed=block_size)
    ours = ql.quantize_blockwise(x, BOOKS[name], block_size, double_quant).dequantize()
    library = their_values(x, name, block_size, double_quant).ravel()
    if name == "fp4" and block_size >= 2048:
        # Not portable: with AVX512 the library reads such blocks from its table, whose code 8 is
        # 0; its kernel, and we, decode it as -0. Adding 0 takes the sign from a zero.
        ours, library = ours + 0.0, library + 0.0
    assert np.array_equal(ours.view(np.uint32), library.view(np.uint32))


@both_books
def test_dequantized_matrices_are_the_librarys(name):
    x = weights(96 * 256).reshape(96, 256)
    ours = ql.quantize_blockwise(x, BOOKS[name]).dequantize()
    assert np.array_equal(ours, their_values(x, name))


# Double quantization.


def assert_same_nested(x, name="nf4", block_size=64):
    ours = ql.quantize_blockwise(x, BOOKS[name], block_size, double_quant=True)
    codes, state = theirs(x, name, block_size, double_quant=True)
    assert np.array_equal(ours.codes, codes)
    assert np.float32(ours.offset) == state.offset.numpy()
    assert np.array_equal(ours.nested.codes, state.absmax.numpy())
    assert np.array_equal(ours.nested.absmax, state.state2.absmax.numpy())


@both_books
@every_block
def test_nested_statistics_of_a_million_values_are_the_librarys(name, block_size):
    assert_same_nested(weights(2**20, seed=block_size), name, block_size)


@pytest.mark.parametrize("blocks", [1, 2, 3, 7, 8, 9, 31, 33, 255, 256, 257, 1000, 33_000, 70_001])
def test_nested_statistics_of_any_number_of_blocks_are_the_librarys(blocks):
    # The offset is a mean of `blocks` values; the order of its additions depends on their number.
    assert_same_nested(weights(32 * blocks, seed=blocks), block_size=32)


@pytest.mark.parametrize("value", [0.0, 1.0, -2.5, 1e-20, 1e30])
def test_nested_statistics_of_a_constant_are_the_librarys(value):
    assert_same_nested(np.full(64 * 300, value, np.float32))


def test_nested_statistics_of_a_short_last_block_are_the_librarys():
    for count in (63, 65, 64 * 300 + 1, 64 * 300 + 30):
        assert_same_nested(weights(count, seed=count))


@pytest.mark.parametrize("block_size", [64, 128, 256, 1024, 4096])
def test_8_bit_blocks_are_the_librarys(block_size):
    from bitsandbytes import functional

    x = weights(2**20 + 77, seed=block_size)
    x[block_size : 2 * block_size] = 0
    codes, state = functional.quantize_blockwise(torch.from_numpy(x), blocksize=block_size)
    ours = ql.quantize_blockwise(x, codebooks.DYNAMIC8, block_size)
    assert np.array_equal(ours.codes, codes.numpy())
    assert np.array_equal(ours.absmax, state.absmax.numpy())
    back = functional.dequantize_blockwise(codes, state).numpy()
    assert np.array_equal(ours.dequantize(), back)


@every_kind
def test_8_bit_blocks_of_inputs_of_any_width_are_the_librarys(kind):
    from bitsandbytes import functional

    x = torch.from_numpy(weights(2**16 + 77)).clamp(-6e4, 6e4).to(kind)
    codes, state = functional.quantize_blockwise(x, blocksize=256)
    ours = ql.quantize_blockwise(x.float().numpy(), codebooks.DYNAMIC8, 256)
    assert np.array_equal(ours.codes, codes.numpy())
    assert np.array_equal(ours.absmax, state.absmax.float().numpy())
    back = functional.dequantize_blockwise(codes, state)
    assert torch.equal(torch.from_numpy(ours.dequantize()).to(back.dtype), back)


# int8 rows.


def assert_same_rows(x):
    """x: a torch tensor. Its rows are quantized as float32, whatever its width."""
    from bitsandbytes import functional

    codes, peaks, _ = functional.int8_vectorwise_quant(x)
    ours = ql.quantize_absmax(x.float().numpy(), axis=1)
    assert np.array_equal(ours.codes, codes.numpy())
    assert np.array_equal(ours.scale, (peaks / 127).numpy()[:, None])


@every_kind
def test_rows_of_inputs_of_any_width_are_the_librarys(kind):
    assert_same_rows(torch.from_numpy(weights(2**18)).clamp(-6e4, 6e4).to(kind).view(-1, 1024))


def test_rows_whose_values_fall_between_two_codes_are_the_librarys():
    # Half a step and its neighbours in rows of many sizes: reciprocal and division part ways here.
    ties = (np.arange(-127, 127) + 0.5).astype(np.float32)
    near = [np.nextafter(ties, np.float32(s)) for s in (-200, 200)]
    row = np.concatenate([ties, *near, [127.0]]).astype(np.float32)
    sizes = np.random.default_rng(3).uniform(0.001, 2, (2000, 1)).astype(np.float32)
    assert_same_rows(torch.from_numpy(row * sizes))


def test_rows_of_every_matrix_of_the_model_are_the_librarys(tiny_lm):
    for matrix in tiny_lm.values():
        assert_same_rows(matrix)


# LLM.int8().


def int8_product(x, w, threshold=6.0):
    """The library's product, x (tokens, in) and w (in, out) in float16, through MatMul8bitLt."""
    import bitsandbytes as bnb

    state = bnb.MatmulLtState()
    state.threshold, state.has_fp16_weights, state.is_training = threshold, False, False
    tensor = torch.from_numpy(np.ascontiguousarray(w.T.astype(np.float16)))
    state.CB, state.SCB, _ = bnb.functional.int8_vectorwise_quant(tensor)
    with torch.no_grad():
        return bnb.matmul(torch.from_numpy(x), state.CB, state=state).numpy(), state


def layer(tokens, features, out, outliers=(), seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((tokens, features)).clip(-5, 5)
    x[:, list(outliers)] *= 20
    return x.astype(np.float16), rng.standard_normal((features, out)).astype(np.float16) / 8


def test_int8_codes_of_weights_are_the_librarys():
    _, w = layer(1, 700, 90)
    _, state = int8_product(np.ones((1, 700), np.float16), w)
    q = ql.quantize_absmax(w, axis=0)
    assert np.array_equal(q.codes, state.CB.numpy().T)


@pytest.mark.parametrize("shape", [(1, 64, 32), (17, 256, 96), (64, 1000, 40)])
@pytest.mark.parametrize("quantized", [False, True], ids=["real_w", "quantized_w"])
def test_without_outliers_the_int8_product_is_the_librarys(shape, quantized):
    for seed in range(5):
        x, w = layer(*shape, seed=seed)
        ours = ql.llm_int8_matmul(x, ql.quantize_absmax(w, axis=0) if quantized else w)
        library, _ = int8_product(x, w)
        assert ours.dtype == np.float16
        assert np.array_equal(ours, library)


@pytest.mark.parametrize("outliers", [(3,), (0, 5, 63), tuple(range(0, 256, 16))])
def test_with_outliers_the_int8_product_is_the_librarys_to_the_last_places(outliers):
    x, w = layer(17, 256, 96, outliers)
    q = ql.quantize_absmax(w, axis=0)
    ours = ql.llm_int8_matmul(x, q).astype(np.float64)
    library, state = int8_product(x, w)
    assert sorted(state.idx.tolist()) == ql.outlier_columns(x).tolist() == list(outliers)
    # Three roundings to FP16, at most half a place each: the int8 part and the decoded weights
    # are the same on both sides; the library rounds the outliers' product, then both round the
    # sum. A half place is 2^-11 of the magnitude: of the product's (at most the sum of its
    # terms' magnitudes) and of the two sums.
    rows = q.dequantize()[list(outliers)].astype(float)
    part = np.abs(x[:, outliers].astype(float)) @ np.abs(rows)
    slack = 2.0**-11 * (part * 1.01 + 2 * np.abs(ours)) + 2.0**-24
    assert np.all(np.abs(ours - library) <= slack)


def test_with_outliers_nearly_all_products_are_the_same():
    x, w = layer(64, 512, 96, outliers=(7, 300))
    ours = ql.llm_int8_matmul(x, ql.quantize_absmax(w, axis=0))
    library, _ = int8_product(x, w)
    assert np.mean(ours != library) < 0.5


@every_kind
def test_the_whole_product_is_the_librarys_for_inputs_of_any_width(kind):
    import bitsandbytes as bnb

    x, w = layer(40, 640, 96)
    tensor = torch.from_numpy(x).to(kind)
    _, state = int8_product(x, w)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "inputs will be cast to float16"
        library = bnb.matmul(tensor, state.CB, state=state)
    source = tensor.numpy() if kind == torch.float16 else tensor.float().numpy()
    ours = torch.from_numpy(ql.llm_int8_matmul(source, w))
    assert library.dtype == kind and torch.equal(ours.to(kind), library)


def test_the_whole_product_of_a_layer_of_the_model_is_the_librarys(tiny_lm):
    name = "model.layers.0.self_attn.q_proj.weight"
    w = tiny_lm[name].float().numpy().T.astype(np.float16)
    x = tiny_lm["model.embed_tokens.weight"][:200].float().numpy().astype(np.float16)
    library, _ = int8_product(x, w)
    assert np.array_equal(ql.llm_int8_matmul(x, w), library)
