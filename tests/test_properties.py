"""Properties of the whole core, by tables: a new row or format is held to them by being there.

Every quantizer takes a matrix with blocks along its rows. A property that one of them cannot have
is named with its reason; a public function that stands in no table here, and under no property of
its module's own tests, fails the last test.
"""

import ast
import importlib
import inspect
from collections import namedtuple
from dataclasses import replace
from functools import partial
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import test_bad_calls as bad_calls
import test_scaled
from hypothesis import given, settings
from hypothesis import strategies as st

import quantlab as ql
from quantlab import _fast, codebooks, errors, formats, gguf, methods, scaled, ternary, transforms
from quantlab.affine import _split
from quantlab.codebooks import Blockwise
from quantlab.formats import E8M0, Exponents, MiniFloat
from quantlab.methods import CALIBRATION, METHODS

WIDE = 256  # columns: whole blocks of every format here
MANY_ROWS = 1 + _fast.MANY // WIDE  # from here on the quick forms work
few, more = settings(max_examples=12), settings(max_examples=30)  # few: for each quantizer
EPS = 2.0**-24  # half a place of float32
KINDS = ("normal", "one outlier", "whole numbers", "a row of zeros", "all positive", "many sizes")
seeds = st.integers(0, 2**32 - 1)


def matrix_of(seed, kind, rows=3, columns=WIDE):
    """A read-only float32 matrix: no function may write into it."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, columns))
    if kind == "one outlier":
        x[rng.integers(rows), rng.integers(columns)] *= 100
    elif kind == "whole numbers":
        x = np.rint(8 * x)
    elif kind == "a row of zeros":
        x[0] = 0
    elif kind == "all positive":
        x = np.abs(x) + 1
    elif kind == "many sizes":
        x *= 2.0 ** rng.integers(-6, 6, (rows, columns))
    x = x.astype(np.float32)
    x.setflags(write=False)
    return x


matrices = st.builds(matrix_of, seeds, st.sampled_from(KINDS))
HESSIAN = ql.hessian(matrix_of(7, "normal", 600) @ np.float32(np.eye(WIDE) + 0.05))
HESSIAN.setflags(write=False)


# ------------------------------------------------------------------------------ the quantizers

#: quantize: a function from a matrix to a result. turned: the result is that of the transpose.
Quantizer = namedtuple("Quantizer", "quantize turned")


class Blocks(namedtuple("Blocks", "bytes type")):
    """llama.cpp's bytes, with the face that all results share."""

    def dequantize(self):
        return gguf.decode(self.bytes, self.type)


def blocks(name, x):
    return Blocks(gguf.encode(x, name), name)


def by_row(row):
    """A method of the table on the transpose: its blocks run down the weight's columns."""
    chosen = {"group_size": 32} if "group_size" in row.settings else {}
    hessian = HESSIAN if row.needs == CALIBRATION else None
    return Quantizer(lambda x: row(np.transpose(x), hessian, **chosen), True)


def grid(function, bits, axis, group_size):
    return Quantizer(lambda x: function(x, bits, axis, group_size), False)


BOOKS = {b.name: b for b in vars(codebooks).values() if isinstance(b, ql.Codebook)}
QUANTIZERS = {f"method {name}": by_row(row) for name, row in METHODS.items()}
QUANTIZERS |= {
    f"{function.__name__} {bits} {axis} {size}": grid(function, bits, axis, size)
    for function in (ql.quantize_absmax, ql.quantize_zero_point)
    for bits, axis, size in ((2, 1, None), (3, None, 64), (8, 1, 16), (9, None, None))
}
QUANTIZERS |= {
    f"ternary {axis} {size}": Quantizer(
        partial(ternary.quantize_ternary, axis=axis, group_size=size), False
    )
    for axis, size in ((None, None), (1, None), (1, 64))
}
QUANTIZERS |= {
    f"{name} {rule}": Quantizer(partial(scaled.quantize, format=name, rule=rule), False)
    for name, form in scaled.FORMATS.items()
    for rule in scaled.RULES
    if (form.scale is E8M0) == (scaled.RULES.index(rule) < 4)
    and (rule != "four_over_six" or name == "NVFP4")
}
QUANTIZERS |= {f"gguf {name}": Quantizer(partial(blocks, name), False) for name in gguf.TYPES}
QUANTIZERS |= {
    f"{name} {size} {nested}": Quantizer(
        partial(ql.quantize_blockwise, codebook=book, block_size=size, double_quant=nested), False
    )
    for name, book in BOOKS.items()
    for size in (16, 64)
    for nested in ((False, True) if book.bits == 4 else (False,))
}


NESTED = [name for name in QUANTIZERS if name.endswith("True")]


def back(quantizer, result):
    """The values of a result, in the layout of the matrix."""
    return result.dequantize().T if quantizer.turned else result.dequantize()


def codes_of(result):
    """What is stored for each value, whatever a kind of result calls it."""
    if isinstance(result, methods.Transposed):
        result = result.stored
    if isinstance(result, Blocks):
        return result.bytes
    return result.unpack() if isinstance(result, Blockwise) else result.codes


# -------------------------------------------------------------------------- the nearest value


def values_of_all_codes(result):
    """Yield, for every code that there is, the values if each position had that code."""
    if isinstance(result, methods.Transposed):
        for values in values_of_all_codes(result.stored):
            yield values.T
    elif isinstance(result, Blocks):
        for filled in filled_blocks(result):
            yield gguf.decode(filled, result.type)
    elif isinstance(result, Blockwise):
        for code in range(2**result.codebook.bits):
            byte = code * 17 if result.codebook.bits == 4 else code
            yield replace(result, codes=np.full_like(result.codes, byte)).dequantize()
    elif isinstance(result, scaled.Scaled):
        for code in range(2**result.format.element.width):
            yield replace(result, codes=np.full_like(result.codes, code)).dequantize()
    else:
        high = 2 ** (result.bits - 1) - 1
        for code in range(-high if result.symmetric else -high - 1, high + 1):
            yield replace(result, codes=np.full_like(result.codes, code)).dequantize()


#: Where the codes lie in a block of llama.cpp's, and the byte there for a code.
PLACES = {
    "Q4_0": [(slice(2, 18), lambda code: code * 17)],
    "IQ4_NL": [(slice(2, 18), lambda code: code * 17)],
    "MXFP4": [(slice(1, 17), lambda code: code * 17)],
    "Q8_0": [(slice(2, 34), lambda code: code)],
    "Q4_K": [(slice(16, 144), lambda code: code * 17)],
    "Q6_K": [
        (slice(0, 128), lambda code: code % 16 * 17),
        (slice(128, 192), lambda code: code // 16 * 0b01010101),
    ],
}


def filled_blocks(result):
    """Yield the bytes with every code the same, scales as they are."""
    for code in range(2 ** int(gguf.TYPES[result.type].bits_per_value)):
        filled = result.bytes.reshape(-1, gguf.TYPES[result.type].bytes).copy()
        for place, byte in PLACES[result.type]:
            filled[:, place] = byte(code)
        yield filled.reshape(result.bytes.shape)


def slack_of(result, x):
    """How much farther than the nearest value the one that was taken may be."""
    peak = np.abs(x).max()
    if isinstance(result, Blocks):  # codes are chosen before the scale is rounded to FP16
        return peak * 2.0**-10
    if isinstance(result, Blockwise) and result.codebook.bits == 8:
        return peak * 2.5 / 65535  # a table of so many bins over -1 to 1 is looked up
    # Some 8 roundings of numbers no larger than twice the peak of a block.
    return 16 * EPS * peak


def every(*left_out):
    """Mark a test for every quantizer but those whose names begin with one of `left_out`."""
    names = [name for name in QUANTIZERS if not name.startswith(left_out)]
    return pytest.mark.parametrize("quantizer", [QUANTIZERS[n] for n in names], ids=names)


# GPTQ moves a weight before it is rounded; with double quantization the scale moves after it.
@every("method gptq", *NESTED)
@few
@given(x=matrices)
def test_no_value_of_the_grid_is_nearer_than_the_one_that_is_taken(quantizer, x):
    result = quantizer.quantize(x)
    error, nearest = np.abs(back(quantizer, result).astype(float) - x), np.inf
    for values in values_of_all_codes(result):
        values = values.T if quantizer.turned else values
        nearest = np.fmin(nearest, np.abs(values.astype(float) - x))
    assert np.all(error <= nearest + slack_of(result, x))


# ---------------------------------------------------------------------------- once is enough

#: Quantizers that may not give back what they gave, each with the reason.
NOT_AGAIN = {
    "method gptq": "the scale is that of weights which then were moved",
    "method ternary": "the scale is a mean, and zeros count in it",
    "ternary": "the scale is a mean, and zeros count in it",
    "gguf Q4_K": "scales are looked for anew",
    "gguf Q6_K": "scales are looked for anew",
    "gguf IQ4_NL": "scales are looked for anew",
    "DYNAMIC8": "it has no -1: a block's largest magnitude does not come back",
} | dict.fromkeys(NESTED, "the mean of the scales moves")


def reaches_both_ends(q):
    """Say of each value whether the codes of its group, or that of 0, span the whole width.

    Where a range begins on a tie, its two ends are rounded the same way, to one code fewer.
    """
    if getattr(q, "symmetric", True):
        return True
    codes, along = _split(q.codes.astype(int), q.axis, q.group_size)
    zero = q.zero_point.reshape([n if i != along else 1 for i, n in enumerate(codes.shape)])
    high = np.maximum(codes.max(along, keepdims=True), zero)
    span = high - np.minimum(codes.min(along, keepdims=True), zero)
    return np.broadcast_to(span == 2**q.bits - 1, codes.shape).reshape(q.codes.shape)


@every(*NOT_AGAIN)
@few
@given(x=matrices)
def test_what_was_quantized_comes_back_as_it_is(quantizer, x):
    result = quantizer.quantize(x)
    once = back(quantizer, result)
    again = back(quantizer, quantizer.quantize(once))
    kept = (
        np.transpose(reaches_both_ends(result)) if quantizer.turned else reaches_both_ends(result)
    )
    # The scale is computed anew from its own multiple: each way has a few roundings.
    off = np.abs(again.astype(float) - once) * kept
    assert np.all(off <= 8 * EPS * np.abs(once).max())


# ------------------------------------------------------------------------------ powers of two


@every()
@few
@given(x=matrices, power=st.integers(-2, 6))
def test_a_power_of_two_moves_no_code_and_multiplies_all_values(quantizer, x, power):
    one, other = quantizer.quantize(x), quantizer.quantize(x * np.float32(2.0**power))
    if not isinstance(one, Blocks):  # there scales are among the bytes
        assert np.array_equal(codes_of(one), codes_of(other))
    assert np.array_equal(back(quantizer, one) * 2.0**power, back(quantizer, other))


# ------------------------------------------------------------------------- rows, layouts, kinds


# Tiles are of 128 rows; and what is added up in another order may have another last place, which
# decides where the codes of double quantization are.
@every("FP8_BLOCK128", "method fp8_block128", *NESTED)
@few
@given(x=matrices, seed=seeds)
def test_rows_in_another_order_give_the_same_values_in_that_order(quantizer, x, seed):
    order = np.random.default_rng(seed).permutation(len(x))
    one = back(quantizer, quantizer.quantize(x))
    other = back(quantizer, quantizer.quantize(x[order]))
    # One scale that is a mean, or a tensor's own, is a sum in another order.
    assert np.allclose(one[order], other, rtol=8 * EPS, atol=0)


#: The same numbers in other clothes.
LAYOUTS = {
    "columns first": np.asfortranarray,
    "every second row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "backwards in memory": lambda x: x[::-1].copy()[::-1],
    "big endian": lambda x: x.astype(">f4"),
    "unaligned": lambda x: np.frombuffer(b"x" + x.tobytes(), np.float32, offset=1).reshape(x.shape),
}


@pytest.mark.parametrize("rows", [3, MANY_ROWS])
@every()
def test_how_numbers_lie_in_memory_changes_nothing(quantizer, rows):
    x = matrix_of(3, "many sizes", rows)
    one = quantizer.quantize(x)
    values = back(quantizer, one)
    for layout, clothe in LAYOUTS.items():
        other = quantizer.quantize(clothe(x))
        assert np.array_equal(codes_of(one), codes_of(other)), layout
        assert np.array_equal(values, back(quantizer, other)), layout


@every()
def test_in_float64_only_what_last_places_decide_differs(quantizer):
    x = matrix_of(3, "many sizes", MANY_ROWS)
    one, other = (back(quantizer, quantizer.quantize(part)) for part in (x, x.astype(float)))
    # A value next to a middle, 1 in some 10,000; with GPTQ the rows below then answer to it.
    assert np.mean(~np.isclose(one, other, rtol=8 * EPS, atol=0)) < 0.01
    listed = back(quantizer, quantizer.quantize(x.tolist()))
    assert np.array_equal(listed, other)


@every()
def test_narrow_numbers_are_what_they_are_in_a_wide_kind(quantizer):
    x = np.rint(3 * np.abs(matrix_of(4, "normal")))
    floats = dict.fromkeys((np.float16, ml_dtypes.bfloat16), np.float32)
    for kind, wide in (floats | dict.fromkeys((np.int8, np.uint8, bool), np.float64)).items():
        narrow = x.astype(kind)
        one, other = (back(quantizer, quantizer.quantize(a)) for a in (narrow.astype(wide), narrow))
        assert np.array_equal(one, other), kind


# -------------------------------------------------------------------------- pack and unpack


@pytest.mark.parametrize("name", scaled.FORMATS)
@more
@given(seed=seeds)
def test_any_codes_packed_and_unpacked_are_the_same(name, seed):
    rng, form = np.random.default_rng(seed), scaled.FORMATS[name]
    shape = (128, 256)
    tile = form.tile(shape)
    codes = rng.integers(2**form.element.width, size=shape).astype(form.element.dtype)
    scale_codes = form.scale.encode(rng.random((shape[0] // tile[0], shape[1] // tile[1])) + 1)
    q = scaled.Scaled(codes, scale_codes, np.float32(0.5), form)
    for part in (q, replace(q, codes=codes[:, ::1][: len(codes)])):
        again = scaled.from_bytes(part.packed(), part.scale_codes, name, part.tensor_scale)
        assert np.array_equal(again.codes, codes)
        assert np.array_equal(again.dequantize(), q.dequantize(), equal_nan=True)


@pytest.mark.parametrize("book", BOOKS.values(), ids=BOOKS)
@more
@given(seed=seeds, count=st.integers(1, 300))
def test_any_bytes_of_a_codebook_unpack_to_codes_that_pack_to_them(book, seed, count):
    codes = np.random.default_rng(seed).integers(256, size=count, dtype=np.uint8)
    values = 2 * count if book.bits == 4 else count
    one = Blockwise(codes, np.ones(-(-values // 64), np.float32), book, 64, (values,))
    found = one.unpack()
    packed = found[::2] << 4 | found[1::2] if book.bits == 4 else found
    assert np.array_equal(packed, codes)
    assert np.array_equal(one.dequantize(), book.values[found])


@pytest.mark.parametrize("name", gguf.TYPES)
@more
@given(seed=seeds)
def test_any_block_of_bytes_has_each_code_at_its_place(name, seed):
    # Each value depends on its own code alone: with all codes the same, it is what it was where it
    # had that code.
    rng, kind = np.random.default_rng(seed), gguf.TYPES[name]
    codes = rng.integers(256, size=kind.bytes, dtype=np.uint8)
    one = Blocks(gguf.encode(matrix_of(seed, "normal", 1, kind.values), name)[0], name)
    mixed = one.bytes.copy()
    for place, _ in PLACES[name]:
        mixed[place] = codes[place]
    table = np.array([gguf.decode(filled, name) for filled in filled_blocks(one)])
    values = gguf.decode(mixed, name)
    assert np.all((table == values).any(axis=0))
    assert gguf.decode(mixed, name, (1, kind.values)).tobytes() == values.tobytes()


# --------------------------------------------------------------------------- number formats


@st.composite
def any_format(draw):
    """A `MiniFloat` of any width and any bias that float64 can hold, or `Exponents`."""
    specials = draw(st.sampled_from(["powers", *formats.SPECIALS]))
    if specials == "powers":
        exponent_bits = draw(st.integers(1, 10))
        bias = draw(st.integers(max(2**exponent_bits - 1024, -1023), 1022))
        return Exponents("custom", exponent_bits, bias=bias)
    ieee = specials == "ieee"
    exponent_bits = draw(st.integers(1 + ieee, 10 + ieee))
    only_nan = specials == "nan" and exponent_bits == 1  # without a mantissa it has no number
    mantissa_bits = draw(st.integers(int(ieee or only_nan), 52))
    bias = draw(st.integers(2**exponent_bits - 1024 - ieee, 1023))
    return MiniFloat("custom", exponent_bits, mantissa_bits, bias, specials)


KNOWN = [*formats.ALL.values(), E8M0, MiniFloat("FP64", 11, 52, 1023)]
any_codes = st.builds(lambda seed: np.random.default_rng(seed), seeds)


def some_codes(f, rng):
    """All codes of a format, or the ends of its fields and many between; as uint64."""
    if f.width <= 10:
        return np.arange(2**f.width, dtype=np.uint64)
    ends = [0, 1, 2**f.mantissa_bits, f._max_code, f._max_code - 1, f.beyond_code]
    found = [*ends, *rng.integers(2 ** (f.width - 1), size=200).tolist()]
    found += [code | f.signed << (f.width - 1) for code in found]
    return np.array(found, np.uint64) & np.uint64(2**f.width - 1)


def check_format(f, rng):
    """Assert that codes come back, that fields make the value, and that values are in order."""
    codes = some_codes(f, rng)
    values = f.decode(codes)
    number = np.isfinite(values)
    assert np.array_equal(f.encode(values)[~np.isnan(values)], codes[~np.isnan(values)])
    many = np.resize(values[number], _fast.MANY)
    assert np.array_equal(f.encode(many), np.resize(codes[number], _fast.MANY))
    assert [int(bits.replace(" ", ""), 2) for bits in f.bits(values[number])] == codes[
        number
    ].tolist()
    assert np.array_equal(f.round(values[number]), values[number])
    assert np.abs(values[number]).max() <= f.max and f.round(f.max) == f.max
    assert f.round(f.smallest_normal) == f.smallest_normal


@more
@given(f=any_format(), rng=any_codes)
def test_every_code_of_any_format_comes_back(f, rng):
    check_format(f, rng)


@pytest.mark.parametrize("f", KNOWN, ids=lambda f: f.name)
@more
@given(rng=any_codes)
def test_every_code_of_a_known_format_comes_back(f, rng):
    check_format(f, rng)


# ------------------------------------------------------------------------- other functions

W = matrix_of(5, "normal", 16, 8)


def product_of_codes(x):
    return ql.quantized_matmul(ql.quantize_absmax(x, axis=1), ql.quantize_absmax(W, axis=0))


def product_of_floats(x):
    b = scaled.quantize(np.tile(W, (2, 1)), "MXFP8", axis=0)
    return scaled.scaled_matmul(scaled.quantize(np.tile(x, 2), "MXFP4"), b)


#: A function of x (tokens, 16), what 2^k times x multiplies its result by (a power of 2^k), and
#: whether other rows of x give those rows of the result.
def product_in_halves(x):
    """LLM.int8(), of values that FP16 has in full: near 0 its steps are no longer relative."""
    most = np.abs(x).max()
    return ql.llm_int8_matmul(np.where(np.abs(x) < most / 512, 0, x), W, most / 2)


DEGREES = {
    "affine.quantized_matmul": (product_of_codes, 1, True),
    "outliers.outlier_columns": (lambda x: ql.outlier_columns(x, 2 * np.abs(x).mean()), 0, False),
    "outliers.llm_int8_matmul": (product_in_halves, 1, True),
    "gptq.hessian": (ql.hessian, 2, False),
    "gptq.error_diffusion": (lambda x: ql.error_diffusion(x.T, 3).dequantize().T, 1, True),
    "gptq.gptq_steps": (lambda x: [s.after for s in ql.gptq_steps(x, np.eye(len(x)))], 1, False),
    "errors.maximum": (lambda x: errors.maximum(x, 0 * x), 1, False),
    "errors.relative": (lambda x: errors.relative(x[::-1], x), 0, False),
    "errors.snr_db": (lambda x: errors.snr_db(x[::-1], x), 0, False),
    "scaled.scaled_matmul": (product_of_floats, 1, True),
    "transforms.hadamard_product": (transforms.hadamard_product, 1, True),
    "transforms.turn": (lambda x: transforms.turn(x, W)[0], 1, True),
    "transforms.rescale": (lambda x: transforms.rescale(x, W, np.arange(1, 17))[0], 1, True),
    "transforms.smooth_scales": (lambda x: transforms.smooth_scales(x, W, 1), 1, False),
    "transforms.awq_scales": (lambda x: transforms.awq_scales(W.T, x.T, 3), 0, False),
    "transforms.awq_search": (
        lambda x: [t.scales for t in transforms.awq_search(W.T, x.T, 3)], 0, False,
    ),
}  # fmt: skip
tokens = st.builds(partial(matrix_of, rows=4, columns=16), seeds, st.sampled_from(KINDS[:2]))


@pytest.mark.parametrize("name", DEGREES)
@few
@given(x=tokens, power=st.integers(-4, 4))
def test_a_power_of_two_multiplies_what_a_function_returns(name, x, power):
    function, degree, _ = DEGREES[name]
    one, other = function(x), function(x * np.float32(2.0**power))
    assert np.array_equal(np.asarray(one) * 2.0 ** (power * degree), np.asarray(other))


@pytest.mark.parametrize("name", [name for name, (*_, by_row) in DEGREES.items() if by_row])
@few
@given(x=tokens, seed=seeds)
def test_a_function_treats_each_row_alike(name, x, seed):
    function, order = DEGREES[name][0], np.random.default_rng(seed).permutation(len(x))
    one, other = function(x)[order], function(x[order])
    assert np.allclose(one, other, rtol=0, atol=64 * EPS * np.abs(one).max())  # sums of 16


# ------------------------------------------------------------------- inputs, and what is missing


def calls():
    """Every good call that the tables of bad ones begin with: (function, arguments by name)."""
    for row in bad_calls.TABLE:
        yield row.function, row.good
    for name, good in test_scaled.CALLS.items():
        yield getattr(scaled, name), good
    x = np.asarray(W.T, float)
    for name, more in {
        "rescale": {"scales": np.ones(16)}, "smooth_scales": {}, "awq_scales": {}, "turn": {},
    }.items():  # fmt: skip
        yield getattr(transforms, name), {"x": x, "w": W} | more
    yield transforms.hadamard_product, {"x": x}


CALLS = list(calls())


def frozen(value):
    """Return a copy of an argument that cannot be written into."""
    if not isinstance(value, np.ndarray):
        return value
    copy = value.copy()
    copy.setflags(write=False)
    return copy


@pytest.mark.parametrize(("function", "good"), CALLS, ids=lambda x: getattr(x, "__name__", ""))
def test_no_input_is_changed_and_none_is_handed_out(function, good):
    given_ = {name: frozen(value) for name, value in good.items()}
    function(**given_)  # who writes into one of them raises
    free = {n: v.copy() if isinstance(v, np.ndarray) else v for n, v in good.items()}
    result = function(**free)
    arrays = [v for v in free.values() if isinstance(v, np.ndarray)]
    parts = [result, *getattr(result, "__dict__", {}).values()]
    parts = [part for part in parts if isinstance(part, np.ndarray)]
    assert not any(np.shares_memory(a, b) for a in arrays for b in parts)


#: What only looks something up, or is made of whole numbers that its tests list.
NO_PROPERTY = {
    "config.read": "reads a file",
    "methods.method": "a look-up",
    "fit.tensor_bytes": "test_fit.py holds it to real files",
    **{
        f"checkpoint.{name}": "test_checkpoint.py holds it to real files"
        for name in ("fp8", "int8", "nf4", "groups", "mxfp4", "stored", "method_of", "tensor_bytes")
    },
    **{
        f"training_memory.{name}": "lm/test_training_tracker.py holds it to what torch allocates"
        for name in ("plan", "adapter_size", "kept_per_token")
    },
    "fit.more_bits": "test_fit.py holds it to llama.cpp",
    "shapes.tensors": "test_transformers_shapes.py holds it to transformers",
    "shapes.kept": "test_transformers_shapes.py holds it to transformers",
    "transforms.hadamard": "every size is tried",
    "transforms.block_size": "every size is tried",
    "affine.absmax_grid": "part of quantize_absmax",
    "affine.zero_point_grid": "part of quantize_zero_point",
    "affine.working_copy": "a change of type",
    "ternary.ternary_grid": "part of quantize_ternary",
    "gptq.checked_hessian": "a check",
    "gptq.inverse_factor": "part of quantize_gptq",
}
#: What the tests above are about.
HERE = {
    *DEGREES, "affine.quantize_absmax", "affine.quantize_zero_point", "gptq.quantize_gptq",
    "codebooks.quantize_blockwise", "ternary.quantize_ternary", "scaled.quantize",
    "scaled.quantize_gptq", "scaled.from_bytes", "gguf.encode", "gguf.decode",
}  # fmt: skip


def names_under_given(file):
    """The names that stand in the tests of a file which hypothesis draws arguments for."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and "given" in "".join(
            ast.unparse(one)
            for part in ast.walk(node)
            for one in getattr(part, "decorator_list", [])
        ):
            for part in ast.walk(node):
                yield getattr(part, "id", getattr(part, "attr", ""))


def test_every_public_function_of_the_core_has_a_property():
    missing = []
    for file in sorted(bad_calls.PACKAGE.glob("[a-z]*.py")):
        module = importlib.import_module(f"quantlab.{file.stem}")
        tests = Path(__file__).with_name(f"test_{file.stem}.py")
        elsewhere = set(names_under_given(tests)) if tests.exists() else set()
        missing += [
            f"{file.stem}.{name}"
            for name, thing in vars(module).items()
            if inspect.isfunction(thing) and thing.__module__ == module.__name__ and name[0] != "_"
            if name not in elsewhere and f"{file.stem}.{name}" not in HERE | set(NO_PROPERTY)
        ]
    assert missing == []


def test_every_type_of_block_has_its_places_of_codes():
    assert set(PLACES) == set(gguf.TYPES)
