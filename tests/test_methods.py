"""The table of methods: each row quantizes, says its settings, and refuses those of others."""

import numpy as np
import pytest

import quantlab as ql
from quantlab.methods import (
    ACTIVATIONS,
    ALIASES,
    CALIBRATION,
    METHODS,
    NOTHING,
    WEIGHT_ONLY,
)

RNG = np.random.default_rng(0)
W = RNG.standard_normal((128, 6)).astype(np.float32)
H = ql.hessian(RNG.standard_normal((300, 128)))


@pytest.mark.parametrize("row", METHODS.values(), ids=METHODS)
def test_every_method_goes_back_in_the_layout_of_the_weight(row):
    result = row(W, H if row.needs == CALIBRATION else None)
    assert result.dequantize().shape == W.shape
    assert ql.errors.relative(result.dequantize(), W) < 0.6
    assert result.bits_per_value >= (row.bits or row.settings["bits"])


@pytest.mark.parametrize("row", METHODS.values(), ids=METHODS)
def test_a_setting_of_another_method_is_refused_by_name(row):
    others = {name for other in METHODS.values() for name in other.settings} - set(row.settings)
    for name in {*others, "nonsense"}:
        with pytest.raises(ValueError, match=rf"{row.name} has no setting {name} \(got 3\)"):
            row(W, H, **{name: 3})


def test_the_defaults_of_a_row_are_those_it_computes_with():
    for row in METHODS.values():
        one, other = row(W, H), row(W, H, **row.settings)
        assert np.array_equal(one.dequantize(), other.dequantize())
    assert METHODS["gptq"].settings["damping"] == 0.01
    assert METHODS["nf4"].settings == {"block_size": 64, "double_quant": False}


def test_rows_give_what_the_functions_give():
    assert np.array_equal(METHODS["zero_point"](W, bits=3, group_size=32).codes,
                          ql.quantize_zero_point(W, 3, axis=0, group_size=32).codes)  # fmt: skip
    options = {"bits": 3, "act_order": True, "symmetric": False, "static_groups": True}
    assert np.array_equal(METHODS["gptq"](W, H, group_size=32, **options).codes,
                          ql.quantize_gptq(W, H, group_size=32, **options).codes)  # fmt: skip
    scaled = METHODS["nvfp4"](W, rule="four_over_six").codes
    assert np.array_equal(scaled, ql.scaled.quantize(W.T, "NVFP4", rule="four_over_six").codes.T)
    ours = METHODS["nf4"](W, double_quant=True)
    assert np.array_equal(ours.stored.codes, ql.quantize_blockwise(W.T, double_quant=True).codes)


def test_gptq_asks_for_its_hessian():
    with pytest.raises(ValueError, match="gptq needs the hessian of its calibration inputs"):
        METHODS["gptq"](W)


def test_a_method_is_found_by_its_name_its_label_and_its_other_names():
    for name, row in METHODS.items():
        assert ql.methods.method(name) is row and ql.methods.method(row.label) is row
    for other, name in ALIASES.items():
        assert ql.methods.method(other) is METHODS[name]
    with pytest.raises(ValueError, match=r"method must be one of absmax, .* got 'awq'"):
        ql.methods.method("awq")


def test_what_each_needs_is_one_of_three():
    assert {row.needs for row in METHODS.values()} <= {NOTHING, CALIBRATION, ACTIVATIONS}
    early = [row for row in METHODS.values() if row.notebook == "07"]
    assert [row.name for row in early if row not in WEIGHT_ONLY] == ["llm_int8"]
