"""LoRA beside plain, bitsandbytes' and the course's own quantized layers, and merging it back."""

import copy

import numpy as np
import pytest
import torch

from quantlab import lm

from . import architectures

pytest.importorskip("peft")

TEXT = "One day a little dog went to the river. The water was cold, and the dog was not glad. "
QUICK = {"steps": 3, "batch": 1, "window": 32, "rate": 1e-2, "texts": TEXT}
FIRST = "model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def eight_bit():
    return lm.load("tiny-lm", "int8", device="cpu")


@pytest.fixture(scope="module", params=["exact", "four_bit", "eight_bit", "own codes"])
def pair(request, exact):
    """A model and what came of training adapters beside it."""
    if request.param == "own codes":
        model = lm.quantize(exact, "zero_point", bits=2, group_size=64)
    else:
        model = request.getfixturevalue(request.param)
    return model, lm.train(lm.add_lora(model, rank=4, alpha=8), **QUICK)


def base_of(layer):
    return getattr(layer, "base_layer", layer)


def values_of(layer):
    from peft.utils.integrations import dequantize_module_weight

    # A copy, as peft takes the scales away from an 8-bit layer on a CPU.
    return dequantize_module_weight(copy.deepcopy(base_of(layer))).detach().float()


def test_at_first_nothing_changes(four_bit):
    assert lm.add_lora(four_bit).perplexity(TEXT) == four_bit.perplexity(TEXT)


def test_the_seed_draws_a_and_leaves_the_stream_of_others_alone(exact):
    state = torch.random.get_rng_state()
    a, b, other = (lm.add_lora(exact, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.random.get_rng_state())
    first, same, another = (
        m.network.get_submodule(FIRST).lora_A["default"].weight for m in (a, b, other)
    )
    assert torch.equal(first, same) and not torch.equal(first, another)


def test_adapters_learn_and_what_they_stand_beside_stays(pair):
    model, after = pair
    assert after.perplexity(TEXT) < 0.9 * model.perplexity(TEXT)
    for name, layer in model.linears():
        assert torch.equal(values_of(layer), values_of(after.network.get_submodule(name)))


def test_what_it_takes_is_read_off_the_layers(pair):
    model, after = pair
    thin = sum(p.numel() for n, p in after.network.named_parameters() if "lora_" in n)
    assert thin == sum(4 * (w.shape[0] + w.shape[1]) for w in model.matrices())
    assert after.memory_bytes() == model.memory_bytes() + 4 * thin
    words = {held.words for held in after.body()}
    assert words == {"fp32", model.quantization}


def test_only_adapters_get_a_gradient(pair):
    model, _ = pair
    run = lm.add_lora(model, rank=4)
    seen = []

    def note(done, steps, loss, training):
        seen.append({n for n, p in training.network.named_parameters() if p.grad is not None})

    lm.train(run, progress=note, **QUICK | {"steps": 1})
    assert seen[0] == {n for n, _ in run.network.named_parameters() if "lora_" in n}


def test_a_merge_is_the_sum_rounded_to_the_networks_type(pair):
    model, after = pair
    merged = lm.merge_lora(after)
    dtype = model.network.dtype
    for name, layer in merged.linears():
        lora = after.network.get_submodule(name)
        a, b = lora.lora_A["default"].weight, lora.lora_B["default"].weight
        total = values_of(lora).double() + 8 / 4 * (b.double() @ a.double())
        # Half a place for the sum, and float32's own error in B A, of 4 products each.
        bound = torch.finfo(dtype).eps / 2 * total.abs() + 1e-6 * total.abs().max()
        assert ((layer.weight.double() - total).abs() <= bound).all()
    assert merged.quantization == {torch.float32: "fp32", torch.bfloat16: "bf16"}[dtype]
    assert not any("lora_" in name for name, _ in merged.network.named_parameters())


def test_a_merged_model_quantizes_and_saves_as_any_other(exact, tmp_path):
    merged = lm.merge_lora(lm.train(lm.add_lora(exact), **QUICK))
    small = lm.quantize(merged, "nf4")
    assert small.quantization == "nf4"
    again = lm.load(small.save(tmp_path / "merged"), device="cpu")
    assert again.quantization == "nf4"


def test_requantizing_keeps_4_bits_and_rounds_the_sum_anew(four_bit):
    after = lm.train(lm.add_lora(four_bit), **QUICK)
    merged = lm.merge_lora(after, requantize=True)
    assert (merged.quantization, merged.memory_bytes()) == ("nf4", four_bit.memory_bytes())
    lora = after.network.get_submodule(FIRST)
    total = values_of(lora) + lora.get_delta_weight("default")
    found = values_of(merged.network.get_submodule(FIRST))
    apart = (found - total).abs() / total.abs().max()
    assert 0 < apart.max() < 0.16  # half the widest gap of NF4, .30, of an absmax, and bf16


def test_peft_knows_the_layers_of_bitsandbytes(four_bit, eight_bit):
    kinds = {four_bit: "Linear4bit", eight_bit: "Linear8bitLt"}
    for model, kind in kinds.items():
        layer = lm.add_lora(model).network.get_submodule(FIRST)
        assert type(layer).__name__ == kind and type(layer).__module__ == "peft.tuners.lora.bnb"


def test_layers_stay_as_stored(four_bit):
    after = lm.merge_lora(lm.add_lora(four_bit), requantize=True)
    kinds = [layer.training for _, layer in after.linears()]
    assert all(kinds), "out of training mode bitsandbytes repacks layers for this CPU"


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m: lm.add_lora(m, rank=0), "rank must be at least 1"),
        (lambda m: lm.add_lora(m, alpha=-1), "alpha must be"),
        (lambda m: lm.add_lora(lm.add_lora(m)), "has adapters already"),
        (lambda m: lm.add_lora(lm.quantize_activations(m, 8)), "LoRA would keep weights alone"),
        (lambda m: lm.merge_lora(m), "no adapters to merge"),
        (lambda m: lm.merge_lora(lm.add_lora(m), requantize=True), "q_proj is Linear"),
        (lambda m: lm.train(lm.add_lora(m), trained="all", **QUICK), "lm.merge_lora it first"),
    ],
)
def test_what_does_not_go_with_adapters_is_refused(exact, call, words):
    with pytest.raises(ValueError, match=words):
        call(exact)


def test_beside_experts_the_linear_layers_are_adapted_and_nothing_else(text):
    words = architectures.tokenizer([text[:4000]])
    model = lm.Model(architectures.network("deepseek_v3", len(words)), words, "deepseek_v3")
    after = lm.train(lm.add_lora(model, rank=2), **QUICK)
    adapted = {name for name, layer in after.network.named_modules() if hasattr(layer, "lora_A")}
    assert adapted == {name for name, _ in model.linears()}
    merged = lm.merge_lora(after)
    assert merged.perplexity(TEXT) == pytest.approx(after.perplexity(TEXT), rel=1e-4)


def test_matrices_are_those_of_the_layers_and_the_adapters(exact):
    after = lm.add_lora(exact, rank=2)
    shapes = {w.name: w.shape for w in after.matrices()}
    assert shapes[f"{FIRST}.lora_A.default"] == (256, 2)
    assert np.prod(shapes[f"{FIRST}.base_layer"]) == np.prod(
        {w.name: w.shape for w in exact.matrices()}[FIRST]
    )
