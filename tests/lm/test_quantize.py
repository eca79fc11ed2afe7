"""Quantizing a whole model: parity with bitsandbytes, what each method costs, what is refused."""

import numpy as np
import pytest
import torch

import quantlab as ql
from quantlab import lm, methods
from quantlab.lm import calibration, quantizing

from .test_load import dequantized

#: Enough to calibrate on where the result doesn't matter.
FEW_WORDS = "The fox went to the well, and the well was dry. " * 40


@pytest.mark.parametrize("double_quant", [False, True])
def test_nf4_weights_are_those_of_bitsandbytes_on_every_layer(half, double_quant):
    theirs = dict(lm.load("tiny-lm", "nf4", "cpu", double_quant=double_quant).linears())
    ours = lm.quantize(half, "nf4", double_quant=double_quant)
    for name, layer in ours.linears():
        assert torch.equal(layer.weight, dequantized(theirs[name])), name


def test_nf4_codes_and_scales_are_those_of_bitsandbytes_on_every_layer(half):
    theirs = dict(lm.load("tiny-lm", "nf4", "cpu").linears())
    for name, layer in half.linears():
        b = ql.quantize_blockwise(layer.weight.detach().float().numpy(), ql.NF4)
        packed = theirs[name].weight
        assert np.array_equal(b.codes, packed.data.flatten().numpy()), name
        assert np.array_equal(b.absmax, packed.quant_state.absmax.numpy()), name


def test_nf4_perplexity_is_that_of_bitsandbytes_to_3_digits(half, four_bit, short_text):
    ours = lm.quantize(half, "nf4").perplexity(short_text)
    assert four_bit.perplexity(short_text) == pytest.approx(ours, rel=5e-4)


def test_bf16_is_within_half_a_percent_of_fp32(half, exact, short_text):
    assert half.perplexity(short_text) == pytest.approx(exact.perplexity(short_text), rel=0.005)


@pytest.mark.parametrize("method", ["absmax", "zero_point", "gptq"])
def test_8_bits_are_within_one_percent(exact, quantized, text, method):
    part, stride = text[: len(text) // 2], exact.window - 1
    assert quantized(method, bits=8).perplexity(part, stride=stride) == pytest.approx(
        exact.perplexity(part, stride=stride), rel=0.01
    )


@pytest.mark.parametrize(
    ("method", "bits", "group_size"), [("absmax", 4, None), ("zero_point", 3, 64)]
)
def test_gptq_loses_at_most_two_thirds_of_what_rounding_loses(
    exact, quantized, text, method, bits, group_size
):
    """As divergence: the perplexity of so short a text is ruled by which tokens it has."""
    rtn = quantized(method, bits=bits, group_size=group_size)
    grid = {"symmetric": method == "absmax"}
    gptq = quantized("gptq", bits=bits, group_size=group_size, **grid)
    part, stride = text[: len(text) // 2], exact.window - 1
    lost = [model.divergence(exact, part, stride=stride) for model in (rtn, gptq)]
    assert lost[1] <= lost[0] * 2 / 3


def test_fewer_bits_cost_more(exact, quantized, short_text):
    costs = [quantized("absmax", bits=b).divergence(exact, short_text) for b in (8, 4, 3, 2)]
    assert costs == sorted(costs)


def test_rtn_is_another_name_of_absmax(exact):
    a, b = lm.quantize(exact, "rtn", bits=3), lm.quantize(exact, "absmax", bits=3)
    for (name, one), (_, other) in zip(a.linears(), b.linears(), strict=True):
        assert torch.equal(one.weight, other.weight), name


def test_each_output_has_its_own_scale(exact):
    _, source = exact.linears()[0]
    _, layer = lm.quantize(exact, "absmax", bits=4).linears()[0]
    steps = source.weight.abs().amax(dim=1) / 7
    codes = layer.weight / steps[:, None]
    assert torch.allclose(codes, codes.round(), atol=1e-4)
    assert torch.equal(codes.abs().amax(dim=1).round(), torch.full((len(codes),), 7.0))


def test_the_first_layer_of_gptq_is_the_cores(exact):
    windows = quantizing.calibration_windows(exact, FEW_WORDS)
    name, layer = exact.linears()[0]
    norm = exact.network.model.layers[0].input_layernorm
    with torch.inference_mode():
        x = norm(exact.network.model.embed_tokens(windows)).reshape(-1, layer.in_features)
    w = layer.weight.detach().numpy().T
    expected = ql.quantize_gptq(w, ql.hessian(x.numpy()), bits=3).dequantize().T
    small = lm.quantize(exact, "gptq", bits=3, calibration=FEW_WORDS)
    assert np.array_equal(dict(small.linears())[name].weight.detach().numpy(), expected)


def test_gptq_calibrates_later_layers_on_quantized_earlier_ones(exact, monkeypatch):
    """The down projection's Hessian is that of the quantized layers before it."""
    seen = []
    monkeypatch.setattr(calibration, "hessian", lambda x: seen.append(x) or ql.hessian(x))
    small = lm.quantize(exact, "gptq", bits=2, calibration=FEW_WORDS)
    again = []
    _, last = small.linears()[-1]
    last.register_forward_pre_hook(lambda layer, inputs: again.append(inputs[0]))
    with torch.inference_mode():
        small.network.base_model(input_ids=quantizing.calibration_windows(small, FEW_WORDS))
    assert np.allclose(seen[-1], again[0].reshape(seen[-1].shape).numpy(), atol=1e-4)


def test_gptq_computes_one_hessian_for_layers_that_share_their_input(exact, monkeypatch):
    seen = []
    monkeypatch.setattr(calibration, "hessian", lambda x: seen.append(len(x)) or ql.hessian(x))
    lm.quantize(exact, "gptq", bits=4, calibration=FEW_WORDS)
    layers = exact.network.config.num_hidden_layers
    assert len(seen) == 4 * layers  # q k v together, o, gate and up together, down


def test_the_source_model_stays_as_it_is(exact):
    before = [p.clone() for p in exact.network.parameters()]
    lm.quantize(exact, "gptq", bits=2, calibration=FEW_WORDS)
    after = exact.network.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_ctrl_c_leaves_the_source_model_as_it_is(exact):
    before = [p.clone() for p in exact.network.parameters()]

    def interrupt(done, total, name):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lm.quantize(exact, "gptq", bits=2, calibration=FEW_WORDS, progress=interrupt)
    after = exact.network.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not any(layer._forward_pre_hooks for _, layer in exact.linears())


def test_progress_is_told_of_every_layer(exact):
    calls = []
    lm.quantize(exact, "absmax", progress=lambda *call: calls.append(call))
    names = [name for name, _ in exact.linears()]
    assert calls == [(i + 1, len(names), name) for i, name in enumerate(names)]


def test_embeddings_and_norms_are_not_touched(exact):
    small = lm.quantize(exact, "absmax", bits=2)
    changed = {name + ".weight" for name, _ in exact.linears()}
    for (name, a), (_, b) in zip(
        exact.network.named_parameters(), small.network.named_parameters(), strict=True
    ):
        assert torch.equal(a, b) != (name in changed), name


def test_a_quantized_model_is_not_quantized_again(exact, four_bit):
    for model in (four_bit, lm.quantize(exact, "absmax")):
        with pytest.raises(ValueError, match="quantized already"):
            lm.quantize(model, "absmax")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "awq"}, ValueError, "method must be one of absmax, .* got 'awq'"),
        (
            {"method": "nf4", "bits": 3},
            ValueError,
            r"nf4 has no setting bits \(got 3\); its settings",
        ),
        ({"method": "rtn", "act_order": True}, ValueError, "absmax has no setting act_order"),
        (
            {"method": "fp4", "calibration": "x"},
            ValueError,
            "fp4 needs no calibration; it is for gptq",
        ),
        ({"method": "llm_int8"}, ValueError, "llm_int8 quantizes activations too"),
        ({"bits": 9}, ValueError, "bits must be 2 to 8, got 9"),
        ({"bits": 1}, ValueError, "bits must be 2 to 8, got 1"),
        ({"group_size": 100}, ValueError, "group_size must divide the inputs .* got 100"),
        ({"calibration": ""}, ValueError, "calibration text is empty"),
        ({"calibration": 7}, TypeError, "calibration must be a text or a list of texts"),
        ({"progress": True}, TypeError, "progress must be None or a function"),
    ],
)
def test_what_is_not_served_is_said(exact, options, error, message):
    with pytest.raises(error, match=message):
        lm.quantize(exact, **options)


class Ternary:
    """-1, 0 and 1 times the mean magnitude of each output: a result of a kind of its own."""

    bits_per_value = 2 + 16 / 256

    def __init__(self, w):
        self.scale = abs(w).mean(axis=0)
        self.codes = (w / self.scale).round().clip(-1, 1)

    def dequantize(self):
        return self.codes * self.scale


def test_a_new_row_of_the_table_quantizes_a_model_and_gives_it_its_label(exact, monkeypatch):
    row = methods.Method("ternary", "ternary", methods.NOTHING, lambda w, _: Ternary(w), 2)
    monkeypatch.setitem(methods.METHODS, "ternary", row)
    small = lm.quantize(exact, "ternary")
    assert (small.quantization, small.bits_per_weight) == ("ternary", Ternary.bits_per_value)
    row_of_weights = dict(small.linears())["model.layers.0.mlp.up_proj"].weight[0]
    assert len(row_of_weights.unique()) == 3
