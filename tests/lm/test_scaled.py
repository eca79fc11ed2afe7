"""Whole models in floats with a shared scale: weights, activations, and what is measured."""

import numpy as np
import pytest
import torch

import quantlab as ql
from quantlab import lm
from quantlab.experiments import shared_scales
from quantlab.experiments.shared_scales import Setting
from quantlab.lm import online


@pytest.mark.parametrize(
    ("method", "bits"),
    [("mxfp8", 8.25), ("mxfp6", 6.25), ("mxfp4", 4.25), ("nvfp4", 4.5)],
)
def test_the_bits_of_a_model_count_the_scales(exact, method, bits):
    small = lm.quantize(exact, method)
    assert small.bits_per_weight == bits and method in repr(small)


def test_each_matrix_is_quantized_as_torch_stores_it(exact):
    small = lm.quantize(exact, "nvfp4", rule="four_over_six")
    name, layer = small.linears()[0]
    weight = dict(exact.linears())[name].weight
    expected = ql.scaled.quantize(weight, "NVFP4", rule="four_over_six").dequantize()
    assert np.array_equal(layer.weight.detach().numpy(), expected)


def test_gptq_on_floats_brings_the_outputs_of_a_layer_closer(exact, short_text):
    plain = lm.quantize(exact, "mxfp4")
    careful = lm.quantize(exact, "gptq_mxfp4", calibration=short_text)
    assert careful.bits_per_weight == 4.25
    text = short_text[:1500]
    assert careful.divergence(exact, text) < plain.divergence(exact, text)


@pytest.mark.parametrize("name", ["MXFP8", "MXFP4", "NVFP4", "FP8_GROUP128"])
def test_activations_are_rounded_along_each_token(name):
    x = torch.randn(2, 3, 256, generator=torch.Generator().manual_seed(0))
    expected = ql.scaled.quantize(x.numpy(), name).dequantize()
    assert np.array_equal(online.rounded(x, name).numpy(), expected)
    assert online.rounded(x.to(torch.bfloat16), name).dtype == torch.bfloat16


def test_a_layer_with_activations_in_a_format_multiplies_what_a_product_on_codes_does(exact):
    both = lm.quantize(exact, "mxfp4", activation_bits="MXFP4")
    _, layer = both.linears()[0]
    x = torch.randn(5, layer.in_features, generator=torch.Generator().manual_seed(1))
    codes = ql.scaled.quantize(x.numpy(), "MXFP4")
    weight = ql.scaled.quantize(dict(exact.linears())[both.linears()[0][0]].weight, "MXFP4")
    weight = ql.scaled.from_bytes(weight.packed(), weight.scale_codes, "MXFP4")
    turned = ql.scaled.Scaled(
        weight.codes.T, weight.scale_codes.T, weight.tensor_scale, weight.format, axis=0
    )
    found = layer(x).detach().numpy()
    assert np.allclose(found, ql.scaled.scaled_matmul(codes, turned), rtol=1e-4, atol=1e-4)


def test_a_format_for_activations_has_blocks_along_a_token(exact):
    with pytest.raises(ValueError, match=r"must be one of MXFP8.*got 'FP8_BLOCK128'"):
        lm.quantize(exact, "fp8_block128", activation_bits="FP8_BLOCK128")


def test_a_model_of_such_activations_says_so(exact):
    small = lm.quantize(exact, "nvfp4", activation_bits="NVFP4")
    assert "activations NVFP4" in repr(small)


def test_what_is_measured_of_a_setting_is_what_the_model_says(exact, short_text):
    settings = (Setting("MXFP4"), Setting("MXFP4", activations=True))
    text = short_text[:2000]
    plain, both = shared_scales.measure(exact, settings, text)
    small = lm.quantize(exact, "mxfp4")
    assert plain.perplexity == pytest.approx(small.perplexity(text, stride=255), rel=1e-6)
    assert plain.facts >= both.facts > 200 and plain.bits == 4.25
    assert 0 < plain.divergence < both.divergence and plain.error > 0
