"""Floats with a shared scale: names, layouts, rules, edges, bytes and products."""

from dataclasses import replace

import numpy as np
import pytest
import test_bad_calls as bad_calls

import quantlab as ql
from quantlab import scaled
from quantlab.formats import E8M0, FP4_E2M1, FP8_E4M3, FP32
from quantlab.scaled import FORMATS, ScaledFormat

every_format = pytest.mark.parametrize("name", FORMATS)
MX = [name for name, form in FORMATS.items() if form.scale is E8M0]
every_mx = pytest.mark.parametrize("name", MX)
every_rule = pytest.mark.parametrize("rule", scaled.RULES[:4])


def normal(rows=16, columns=256, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def block(*values):
    """A block of 32 that begins with these and goes on with zeros."""
    return np.float32([*values] + [0] * (32 - len(values)))


# ------------------------------------------------------------------------------ layouts


def test_the_bits_per_value_count_the_scales():
    bits = {name: ql.scaled.quantize(normal(128), name).bits_per_value for name in FORMATS}
    assert bits == {
        "MXFP8": 8.25, "MXFP8_E5M2": 8.25, "MXFP6": 6.25, "MXFP6_E3M2": 6.25, "MXFP4": 4.25,
        "NVFP4": 4.5, "FP8_BLOCK128": 8 + 32 / 128**2, "FP8_GROUP128": 8.25, "FP8_ROW": 8.125,
    }  # fmt: skip


@every_format
def test_codes_have_the_shape_of_the_values_and_scales_that_of_the_blocks(name):
    x = normal(200)  # not a whole number of tiles
    q = ql.scaled.quantize(x, name)
    tile = q.format.tile(x.shape)
    assert q.codes.shape == x.shape and q.codes.dtype == q.format.element.dtype
    assert q.scales.shape == (-(-200 // tile[0]), 256 // tile[1]) and q.scales.dtype == np.float32
    assert q.dequantize().shape == x.shape and q.dequantize().dtype == np.float32


@every_format
def test_another_axis_is_the_transpose(name):
    x = normal(128)
    down, along = ql.scaled.quantize(x.T, name, axis=0), ql.scaled.quantize(x, name)
    assert np.array_equal(down.codes.T, along.codes)
    assert np.array_equal(down.scale_codes.T, along.scale_codes)
    assert np.array_equal(down.dequantize().T, along.dequantize())


@pytest.mark.parametrize("axis", [0, 1, 2, -2])
def test_more_axes_than_two_have_blocks_along_one(axis):
    x = normal(32, 32 * 64).reshape(32, 32, 64)
    q = ql.scaled.quantize(x, "MXFP4", axis=axis)
    rows = ql.scaled.quantize(np.moveaxis(x, axis, -1), "MXFP4")
    assert np.array_equal(np.moveaxis(q.dequantize(), axis, -1), rows.dequantize())
    assert q.scales.shape == tuple(n // 32 if i == axis % 3 else n for i, n in enumerate(x.shape))


@every_format
def test_bytes_come_back_as_the_same_values(name):
    q = ql.scaled.quantize(normal(), name)
    back = ql.scaled.from_bytes(q.packed(), q.scale_codes, name, q.tensor_scale)
    assert np.array_equal(back.codes, q.codes)
    assert np.array_equal(back.dequantize(), q.dequantize())


def test_packed_bytes_have_the_width_of_the_elements():
    sizes = {name: ql.scaled.quantize(normal(), name).packed().shape[1] for name in MX}
    assert sizes == {"MXFP8": 256, "MXFP8_E5M2": 256, "MXFP6": 192, "MXFP6_E3M2": 192, "MXFP4": 128}


def test_the_first_value_lies_in_the_low_half_of_a_byte():
    assert ql.scaled.quantize(block(1, 6), "MXFP4").packed()[0] == 0x72


# -------------------------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("amax", "exponents"),
    [  # floor, ceil, even, rceil; 4 is FP4's largest power of two, 6 its largest number
        (4.0, (0, 0, 0, 0)), (4.01, (0, 1, 0, 0)), (6.0, (0, 1, 0, 0)), (6.01, (0, 1, 0, 1)),
        (6.99, (0, 1, 0, 1)), (7.0, (0, 1, 1, 1)), (7.99, (0, 1, 1, 1)), (8.0, (1, 1, 1, 1)),
    ],
)  # fmt: skip
def test_the_four_rules_for_powers_of_two(amax, exponents):
    found = [ql.scaled.quantize(block(amax), "MXFP4", rule=rule).scales.item()
             for rule in scaled.RULES[:4]]  # fmt: skip
    assert found == [2.0**e for e in exponents]


@every_mx
def test_only_rceil_and_ceil_never_saturate(name):
    x = normal(64)
    largest = FORMATS[name].element.max
    for rule in ("rceil", "ceil"):
        scales = np.repeat(ql.scaled.quantize(x, name, rule=rule).scales, 32, axis=1)
        assert np.all(np.abs(x) <= largest * scales)


@every_mx
def test_rceil_takes_the_least_such_power(name):
    x = normal(64)
    half = np.repeat(ql.scaled.quantize(x, name, rule="rceil").scales, 32, axis=1) / 2
    over = np.abs(x) > FORMATS[name].element.max * half
    assert np.all(over.reshape(64, -1, 32).any(axis=2))


@every_rule
@every_mx
def test_no_value_inside_the_range_is_off_by_more_than_half_a_gap(name, rule):
    q = ql.scaled.quantize(normal(64), name, rule=rule)
    scales = np.repeat(q.scales, 32, axis=1).astype(np.float64)
    x = np.clip(normal(64) / scales, -q.format.element.max, q.format.element.max)
    values = q.format.element.finite_values()
    gaps = np.abs(values - x[..., None]).min(axis=2)
    assert np.array_equal(np.abs(q.dequantize() / scales - x), gaps)


def test_the_largest_value_of_an_nvfp4_block_is_6_of_its_scales():
    q = ql.scaled.quantize(normal(), "NVFP4", tensor_scale=1)
    largest = np.abs(q.dequantize()).reshape(16, -1, 16).max(axis=2)
    assert np.array_equal(largest, 6 * q.scales)


def test_the_tensor_scale_makes_the_largest_scale_the_largest_e4m3():
    q = ql.scaled.quantize(1e-6 * normal(), "NVFP4")
    assert q.scales.max() == 448 and q.tensor_scale == np.abs(np.float32(1e-6) * normal()).max() / (
        np.float32(448 * 6)
    )


def test_four_over_six_is_never_worse_in_a_block_and_often_better():
    x = normal(64)
    six, four = (
        ql.scaled.quantize(
            x, replace(FORMATS["NVFP4"], rule=rule), tensor_scale=np.abs(x).max() / (256 * 6)
        )
        for rule in ("amax", "four_over_six")
    )
    errors = [((q.dequantize() - x) ** 2).reshape(-1, 16).sum(axis=1) for q in (six, four)]
    assert np.all(errors[1] <= errors[0])
    assert 0.2 < np.mean(errors[1] < errors[0]) < 0.8


def test_four_over_six_finds_a_block_that_ends_between_4_and_6():
    x = np.float32([[4.9, 4, 3, 2] * 4])  # under 6: 6 and 3.67 ... under 4: 4, 3.27 -> 3 ...
    q = ql.scaled.quantize(x, "NVFP4", rule="four_over_six", tensor_scale=1)
    assert q.scales.item() == 1.25 and np.abs(q.dequantize()).max() == 5  # 4.9 / 4 is near 1.25


# -------------------------------------------------------------------------------- edges


@every_format
def test_zeros_come_back_exactly(name):
    x = normal(128)
    x[:, :128] = 0
    assert not ql.scaled.quantize(x, name).dequantize()[:, :128].any()
    assert not ql.scaled.quantize(0 * x, name).dequantize().any()


@every_format
def test_the_sign_of_zero_is_kept(name):
    assert np.signbit(ql.scaled.quantize(-0.0 * np.ones((1, 256)), name).dequantize()).all()


@every_mx
def test_a_nan_makes_its_block_nan_and_no_other(name):
    x = normal()
    x[2, 40] = np.nan
    q = ql.scaled.quantize(x, name)
    assert np.isnan(q.dequantize()[2, 32:64]).all() and np.isnan(q.dequantize()).sum() == 32
    assert q.scale_codes[2, 1] == E8M0.nan_code


@every_rule
@every_mx
def test_what_is_infinite_is_infinite_again_in_float32_and_the_rest_of_its_block_zero(name, rule):
    q = ql.scaled.quantize(block(np.inf, 1, -np.inf), name, rule=rule)
    assert q.dequantize()[:4].tolist() == [np.inf, 0, -np.inf, 0]


@every_rule
@every_mx
def test_the_largest_float32_is_served(name, rule):
    top = np.finfo(np.float32).max
    q = ql.scaled.quantize(block(top, -top), name, rule=rule)
    assert q.format.element.decode(q.codes)[0] * float(q.scales.item()) >= top / 2


@every_mx
def test_subnormal_values_have_the_smallest_scale(name):
    x = block(2.0**-149, 2.0**-127, -(2.0**-126))
    q = ql.scaled.quantize(x, name)
    assert q.scale_codes.item() == 0 and q.scales.item() == 2.0**-127
    assert q.dequantize()[1:3].tolist() == [2.0**-127, -(2.0**-126)]


def test_a_tiny_tensor_still_has_a_tensor_scale_with_an_inverse():
    q = ql.scaled.quantize(np.float32(1e-41) * normal(), "NVFP4")
    assert q.tensor_scale == np.float32(2.0**-121) and np.isfinite(q.dequantize()).all()


def test_e8m0_is_a_scale_and_not_a_number_of_its_own():
    assert "E8M0" not in ql.formats.ALL and E8M0.width == 8 and E8M0.max == 2.0**127
    assert E8M0.decode([0, 127, 255]).tolist()[:2] == [2.0**-127, 1.0]
    assert np.isnan(E8M0.decode(255)) and E8M0.bits(0.5) == "01111110"
    assert E8M0.encode([1.4, 1.5, 0, -1, np.inf, 2.0**-140]).tolist() == [
        127,
        128,
        255,
        255,
        255,
        0,
    ]
    assert E8M0.fields(4.0) == (0, 129, 0, "normal") and E8M0.smallest_subnormal == 2.0**-127


# ----------------------------------------------------------------------- formats of one's own


def test_a_format_of_ones_own_takes_any_element_block_and_scale():
    mine = ScaledFormat("mine", FP4_E2M1, 32, FP8_E4M3, "amax")
    errors = {
        (size, scale.name): ql.errors.relative(
            ql.scaled.quantize(
                normal(64), ScaledFormat("", FP4_E2M1, size, scale,
                                         "amax" if scale is FP8_E4M3 else "floor"),
            ).dequantize(), normal(64),
        )
        for size in (16, 32) for scale in (E8M0, FP8_E4M3)
    }  # fmt: skip
    assert ql.scaled.quantize(normal(), mine).bits_per_value == 4.25
    # Most of NVFP4's gain over MXFP4 is the mantissa of the scale, not the smaller block.
    by_mantissa = errors[32, "E8M0"] - errors[32, "FP8_E4M3"]
    by_block = errors[32, "FP8_E4M3"] - errors[16, "FP8_E4M3"]
    assert by_mantissa > by_block > 0


# ------------------------------------------------------------------------------ products


@pytest.mark.parametrize(
    ("left", "right"),
    [("MXFP4", "MXFP4"), ("MXFP8", "MXFP4"), ("NVFP4", "NVFP4"), ("FP8_GROUP128", "FP8_BLOCK128"),
     ("FP8_ROW", "FP8_ROW")],
)  # fmt: skip
def test_a_product_of_codes_is_the_product_of_the_values_but_for_float32(left, right):
    a, b = normal(40), normal(200, 256, 1).T
    a, b = ql.scaled.quantize(a, left), ql.scaled.quantize(b, right, axis=0)
    found = ql.scaled.scaled_matmul(a, b)
    x, y = a.dequantize().astype(np.float64), b.dequantize().astype(np.float64)
    # Each sum of 256 products is rounded at most once an addition, and for the scales.
    slack = (256 + 8) * 2.0**-24 * (np.abs(x) @ np.abs(y))
    assert found.dtype == np.float32 and np.all(np.abs(found - x @ y) <= slack)


def test_sums_of_fp4_products_within_a_block_are_exact():
    a, b = (
        ql.scaled.quantize(normal(8, 32), "MXFP4"),
        ql.scaled.quantize(normal(8, 32).T, "MXFP4", 0),
    )
    exact = a.dequantize().astype(np.float64) @ b.dequantize().astype(np.float64)
    assert np.array_equal(ql.scaled.scaled_matmul(a, b), exact)


def test_scales_in_float32_are_not_rounded():
    q = ql.scaled.quantize(normal(), ScaledFormat("row", FP4_E2M1, None, FP32, "amax"))
    assert np.array_equal(q.scales[:, 0], np.abs(normal()).max(axis=1) / np.float32(6))


# ---------------------------------------------------------------------------------- GPTQ


def layer(rows=128, columns=24, seed=0):
    """Weights, and inputs of which many move together."""
    rng = np.random.default_rng(seed)
    causes = rng.standard_normal((400, rows // 8)) @ rng.standard_normal((rows // 8, rows))
    return normal(rows, columns, seed), causes + 0.3 * rng.standard_normal((400, rows))


@pytest.mark.parametrize("name", ["MXFP4", "MXFP6", "NVFP4"])
def test_gptq_keeps_the_scales_and_brings_the_outputs_closer(name):
    w, x = layer()
    plain, careful = ql.scaled.quantize(w, name, 0), ql.scaled.quantize_gptq(w, ql.hessian(x), name)
    assert np.array_equal(plain.scale_codes, careful.scale_codes)
    errors = [ql.errors.relative(x @ q.dequantize(), x @ w) for q in (plain, careful)]
    assert errors[1] < 0.6 * errors[0]


@pytest.mark.parametrize("name", ["MXFP4", "NVFP4"])
def test_gptq_with_independent_inputs_rounds_to_nearest(name):
    w, _ = layer()
    plain = ql.scaled.quantize(w, name, 0)
    careful = ql.scaled.quantize_gptq(w, np.eye(len(w)), name)
    apart = plain.codes != careful.codes  # -0.1 is coded -0 or, beside a rounding, +0
    assert np.array_equal(plain.dequantize()[apart], careful.dequantize()[apart])


def test_gptq_on_floats_is_the_same_in_blocks_of_rows(monkeypatch):
    w, x = layer()
    found = []
    for block in (10**6, 8):
        monkeypatch.setattr("quantlab._fast.gptq.BLOCK", block)
        found.append(ql.scaled.quantize_gptq(w.astype(float), ql.hessian(x), "MXFP4").codes)
    assert np.array_equal(*found)


# ------------------------------------------------------------------------------- bad calls

X = np.ones((32, 32))
ALONG, DOWN = ql.scaled.quantize(X, "MXFP4"), ql.scaled.quantize(X, "MXFP4", axis=0)
CALLS = {
    "quantize": {"x": X, "format": "NVFP4", "axis": 0},
    "from_bytes": {"packed": ALONG.packed(), "scale_codes": ALONG.scale_codes, "format": "MXFP4"},
    "scaled_matmul": {"a": ALONG, "b": DOWN},
    "quantize_gptq": {"w": X, "hessian": np.eye(32), "format": "MXFP4", "damping": 0.01},
    "ScaledFormat": {"name": "x", "element": FP4_E2M1, "block": 32, "scale": E8M0},
}  # fmt: skip
BAD = {
    ("quantize", "x"): bad_calls.NOT_FINITE,
    ("quantize", "format"): bad_calls.NOT_A_CHOICE,
    ("quantize", "axis"): bad_calls.NOT_AN_AXIS,
    ("quantize", "rule"): bad_calls.given(bad_calls.NOT_A_CHOICE),
    ("quantize", "tensor_scale"): bad_calls.given(bad_calls.NOT_POSITIVE),
    ("from_bytes", "packed"): bad_calls.NOT_CODES,
    ("from_bytes", "scale_codes"): bad_calls.NOT_CODES,
    ("from_bytes", "format"): bad_calls.NOT_A_CHOICE,
    ("from_bytes", "tensor_scale"): bad_calls.NOT_POSITIVE,
    ("scaled_matmul", "a"): bad_calls.NOT_QUANTIZED,
    ("scaled_matmul", "b"): bad_calls.NOT_QUANTIZED,
    ("quantize_gptq", "w"): bad_calls.NOT_A_MATRIX,
    ("quantize_gptq", "hessian"): bad_calls.NOT_A_MATRIX,
    ("quantize_gptq", "damping"): bad_calls.NOT_POSITIVE,
    ("ScaledFormat", "element"): bad_calls.NOT_QUANTIZED,
    ("ScaledFormat", "block"): bad_calls.given(bad_calls.NOT_A_SIZE),
    ("ScaledFormat", "scale"): bad_calls.NOT_QUANTIZED,
    ("ScaledFormat", "rule"): bad_calls.NOT_A_CHOICE,
}


@pytest.mark.parametrize(("function", "argument"), BAD)
def test_a_bad_argument_is_refused_by_name(function, argument):
    call, good = getattr(scaled, function), CALLS[function]
    found = {
        what: bad_calls.verdict(call, good | {argument: value}, argument)
        for what, value in BAD[function, argument].items()
    }
    assert {what: wrong for what, wrong in found.items() if wrong} == {}
