"""The quick forms give what the definitions give: the same arrays through both."""

import gc
import itertools
import tracemalloc
from functools import partial

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quantlab as ql
from quantlab import _fast
from quantlab._fast import affine, gptq, pieces
from quantlab.formats import SPECIALS, MiniFloat


def both(function, monkeypatch):
    """Return what `function` gives by definition alone and what it gives by quick forms alone."""
    results = []
    for many in (np.inf, 0):
        with monkeypatch.context() as patch:
            patch.setattr(_fast, "MANY", many)
            results.append(function())
    return results


def same_codes(definition, quick):
    """Assert that two `Quantized` hold the same codes, scales and zero-points, of one type."""
    for name in ("codes", "scale", "zero_point"):
        ours, theirs = getattr(definition, name), getattr(quick, name)
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        assert np.array_equal(ours, theirs)


GROUPS = [
    {}, {"axis": 0}, {"axis": 1}, {"axis": -1}, {"group_size": 60},
    {"axis": 0, "group_size": 25}, {"axis": 1, "group_size": 12},
]  # fmt: skip


@pytest.mark.parametrize("options", GROUPS, ids=str)
@pytest.mark.parametrize("quantize", [ql.quantize_absmax, ql.quantize_zero_point])
def test_grids(quantize, options, monkeypatch):
    rng = np.random.default_rng(0)
    for bits, kind in itertools.product(range(2, 17), (np.float16, np.float32, np.float64)):
        x = (rng.standard_normal((50, 60)) * rng.choice([1e-4, 1, 30], (50, 1))).astype(kind)
        x[3], x[7], x[11] = 0, 0.3, np.abs(x[11])
        for array in (x, np.asfortranarray(x), x[::-1]):
            work = partial(quantize, array, bits, **options)
            same_codes(*both(work, monkeypatch))


@pytest.mark.parametrize("quantize", [ql.quantize_absmax, ql.quantize_zero_point])
def test_grids_of_extreme_and_constant_values(quantize, monkeypatch):
    extremes = [0.0, 1e-45, 1e-40, 1.2e-38, 1e-37, 0.1, 127.01, 1.6e38]
    rows = [[a, b] for a in extremes for b in (a, -a, 0.0, 0.7 * a)]
    x = np.array(rows, np.float32)
    for bits in (2, 4, 8, 16):
        same_codes(*both(partial(quantize, x, bits, axis=1), monkeypatch))


@pytest.mark.parametrize("count", [_fast.MANY + more for more in (-1, 0, 1)])
def test_beside_the_size_where_quick_forms_begin(count, monkeypatch):
    x = np.random.default_rng(count).standard_normal(count).astype(np.float32)
    definition, _ = both(lambda: ql.quantize_zero_point(x), monkeypatch)
    same_codes(definition, ql.quantize_zero_point(x))
    for f in ql.formats.ALL.values():
        codes, _ = both(partial(f.encode, x), monkeypatch)
        assert np.array_equal(codes, f.encode(x))
    blockwise, _ = both(lambda: ql.quantize_blockwise(x), monkeypatch)
    assert np.array_equal(blockwise.codes, ql.quantize_blockwise(x).codes)


@pytest.mark.parametrize("f", ql.formats.ALL.values(), ids=lambda f: f.name)
@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
def test_formats_encode_every_16_bit_value(f, kind, monkeypatch):
    x = np.arange(2**16, dtype=np.uint16).view(kind)
    definition, quick = both(lambda: f.encode(x), monkeypatch)
    assert definition.dtype == quick.dtype and np.array_equal(definition, quick)


@pytest.mark.parametrize("f", ql.formats.ALL.values(), ids=lambda f: f.name)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_formats_encode_their_values_the_ties_between_them_and_the_neighbours(f, kind, monkeypatch):
    if f.width <= 16:
        values = f.finite_values()
    else:
        values = f.decode(np.random.default_rng(0).integers(0, 2 ** (f.width - 1), 20_000))
        values = np.sort(values[np.isfinite(values)])
    ties = (values[:-1] + values[1:]) / 2
    with np.errstate(over="ignore"):
        x = np.concatenate([values, ties, [np.inf, -np.inf, np.nan, -np.nan, 0.0, -0.0]])
        x = x.astype(kind)
        beside = [np.nextafter(x, kind(end)) for end in (np.inf, -np.inf)]
    x = np.concatenate([x, *beside])
    definition, quick = both(lambda: f.encode(x), monkeypatch)
    assert np.array_equal(definition, quick)


@settings(max_examples=300)
@given(st.integers(2, 11), st.integers(1, 52), st.sampled_from(SPECIALS), st.data())
def test_any_format_encodes_any_float(exponent_bits, mantissa_bits, specials, data):
    ieee = specials == "ieee"  # else the largest exponent is one of numbers
    exponent_bits = min(exponent_bits, 10 + ieee)
    bias = data.draw(st.integers(2**exponent_bits - 1024 - ieee, 1023))
    f = MiniFloat("any", exponent_bits, mantissa_bits, bias, specials)
    x = np.array(data.draw(st.lists(st.floats(), min_size=1, max_size=20)))
    with pytest.MonkeyPatch.context() as monkeypatch:
        definition, quick = both(lambda: f.encode(x), monkeypatch)
    assert np.array_equal(definition, quick)


@pytest.mark.parametrize("book", [ql.NF4, ql.FP4], ids=lambda book: book.name)
@pytest.mark.parametrize("block_size", [1, 2, 7, 64, 4096])
@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 1000, 20_001])
def test_blockwise_codes(book, block_size, count, monkeypatch):
    x = np.random.default_rng(count).standard_normal(count).astype(np.float32)
    x[: count // 3] = np.resize(book.boundaries, count // 3)  # ties, once scaled by 1
    x[-1:] = 0
    for double_quant in (False, True):
        definition, quick = both(
            partial(ql.quantize_blockwise, x, book, block_size, double_quant),
            monkeypatch,
        )
        assert np.array_equal(definition.codes, quick.codes)
        assert np.array_equal(definition.absmax, quick.absmax)
        values, quick_values = both(definition.dequantize, monkeypatch)
        assert np.array_equal(values, quick_values)


@pytest.mark.parametrize("name", ql.scaled.FORMATS)
@pytest.mark.parametrize("rows", [1, 3, 128])
def test_floats_with_a_shared_scale(name, rows, monkeypatch):
    x = np.random.default_rng(rows).standard_normal((rows, 256)).astype(np.float32)
    x[: rows // 3] = np.rint(8 * x[: rows // 3]) / 8  # ties
    x[-1, :128] = 0
    form = ql.scaled.FORMATS[name]
    powers = form.scale is ql.formats.E8M0
    if powers:
        x[0, 5:80:40], x[-1, 200] = [np.nan, np.inf], -np.inf
    others = ("amax", "four_over_six") if name == "NVFP4" else ("amax",)
    for rule in ql.scaled.RULES[:4] if powers else others:
        work = partial(ql.scaled.quantize, x, name, rule=rule)
        definition, quick = both(work, monkeypatch)
        assert np.array_equal(definition.codes, quick.codes)
        assert np.array_equal(definition.scale_codes, quick.scale_codes)
        for way in (definition.dequantize, definition.packed):
            values, quick_values = both(way, monkeypatch)
            assert values.dtype == quick_values.dtype and np.array_equal(
                values, quick_values, equal_nan=way == definition.dequantize
            )


def peak_over_result(work):
    """Return by how many times its result a call's memory peaks; NumPy tells tracemalloc of it."""
    work()
    gc.collect()
    tracemalloc.start()
    try:
        result = work()
        return tracemalloc.get_traced_memory()[1] / result.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["NF4", "MXFP4", "NVFP4", "MXFP8", "FP8_ROW"])
def test_going_back_takes_little_more_memory_than_what_comes_of_it(name):
    x = np.random.default_rng(0).standard_normal((2048, 2048)).astype(np.float32)
    q = ql.quantize_blockwise(x) if name == "NF4" else ql.scaled.quantize(x, name)
    # 16.8 MB come of it; each of two threads holds some pieces of half a megabyte.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "WORKERS", 2)
        assert peak_over_result(q.dequantize) < 1.25


@pytest.mark.parametrize("name", ql.gguf.TYPES)
def test_going_back_from_blocks_of_llama_cpp_takes_little_more_too(name):
    blocks = np.random.default_rng(0).integers(0, 256, 2**14 * ql.gguf.TYPES[name].bytes)
    # 67 MB come of it; each of two threads holds some pieces of two megabytes.
    rows = 4 * 256 // ql.gguf.TYPES[name].values
    blocks = np.resize(blocks.astype(np.uint8), (rows, blocks.size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "WORKERS", 2)
        assert peak_over_result(partial(ql.gguf.decode, blocks, name)) < 1.25


@pytest.mark.parametrize("name", ql.gguf.TYPES)
def test_blocks_of_llama_cpp_are_the_same_in_pieces_and_at_once(name, monkeypatch):
    bytes = ql.gguf.TYPES[name].bytes
    blocks = np.random.default_rng(0).integers(0, 256, (301, 3 * bytes)).astype(np.uint8)
    results = []
    for piece in (2**40, 256, 2**12):
        monkeypatch.setattr(ql.gguf, "CHUNK", piece)
        results.append(ql.gguf.decode(blocks, name))
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


def layer(rows, kind, seed=0):
    """Weights and the Hessian of correlated inputs."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((4 * rows, rows)) @ rng.standard_normal((rows, rows))
    return rng.standard_normal((rows, 40)).astype(kind), ql.hessian(x)


def gptq_both(w, h, **options):
    """The same `Quantized` from the row loop alone and from blocks of 32 rows."""
    results = []
    for block in (10**6, 32):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gptq, "BLOCK", block)
            results.append(ql.quantize_gptq(w, h, **options))
    return results


GPTQ = [
    {}, {"bits": 3, "symmetric": False}, {"group_size": 32}, {"act_order": True},
    {"group_size": 40, "act_order": True}, {"group_size": 32, "act_order": True,
     "static_groups": True},
]  # fmt: skip


@pytest.mark.parametrize("options", GPTQ, ids=str)
@pytest.mark.parametrize("rows", [32, 33, 64, 100, 160, 320])
def test_gptq_in_double_precision(rows, options):
    if rows % options.get("group_size", 1):
        options = options | {"group_size": rows // (3 if rows == 33 else 4)}
    definition, quick = gptq_both(*layer(rows, np.float64), **options)
    assert np.array_equal(definition.codes, quick.codes)
    assert np.allclose(definition.scale, quick.scale, rtol=1e-9)


def test_gptq_in_single_precision_differs_where_last_places_decide():
    # A sum's last place depends on its order, and once one code is another, the rows below answer
    # to another loss. What counts is the error of the layer.
    w, h = layer(256, np.float32)
    definition, quick = gptq_both(w, h)
    assert np.mean(definition.codes != quick.codes) < 0.02
    losses = [
        np.sum((w - q.dequantize()) * (h @ (w - q.dequantize()))) for q in (definition, quick)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@settings(max_examples=100)
@given(st.integers(2, 16), st.integers(2, 16), st.integers(1, 3000), st.integers(0, 99))
def test_integer_products(x_bits, w_bits, inner, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-(2 ** (x_bits - 1)), 2 ** (x_bits - 1), (3, inner))
    w = rng.integers(-(2 ** (w_bits - 1)), 2 ** (w_bits - 1), (inner, 2))
    assert np.array_equal(affine.integer_matmul(x, w), x @ w)
