"""What training takes: counts that can be worked out by hand, and what each flag changes."""

import pytest

import quantlab as ql
from quantlab import fit, training_memory

METHODS = tuple(training_memory.METHODS)
SMALL = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100,
}  # fmt: skip


def planned(method, config=SMALL, **more):
    return ql.training_memory.plan(config, method, **more)


def test_full_training_in_fp32_takes_16_bytes_for_each_weight():
    plan = planned("full-fp32")
    size = sum(one.size for one in fit.tensors(SMALL))
    assert plan.weights + plan.gradients + plan.states == 16 * size
    assert plan.adapters == 0


def test_two_thin_matrices_are_counted_by_hand():
    # q and o: 64 to 64; k and v: 64 to 32; gate and up: 64 to 96; down: 96 to 64.
    layer = 2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 96)
    assert training_memory.adapter_size(SMALL, rank=3) == 2 * 3 * layer
    plan = planned("qlora", rank=3)
    assert plan.adapters == plan.gradients == plan.states / 2 == 4 * 2 * 3 * layer


def test_one_layer_keeps_what_is_listed_by_hand():
    kept = training_memory.kept_per_token(SMALL, "full-fp32")
    assert kept["norms"] == 4 * (64 + 1 + 64 + 1)
    assert kept["attention"] == 4 * (64 + 32 + 32 + 64 + 4)
    assert kept["feed-forward"] == 4 * 3 * 96
    assert kept["inputs"] == 4 * (64 + 64 + 96) and kept["gains"] == 4 * (64 + 64)


def test_the_peak_is_the_larger_of_two_moments():
    long, short = planned("full-fp32", batch=64), planned("full-fp32", batch=1, window=2)
    held = long.weights + long.states
    assert long.peak == held + long.activations + long.logits
    assert short.peak == held + short.gradients + short.step


def test_activations_grow_with_the_tokens_and_nothing_else_does():
    one, four = planned("qlora", batch=1, window=32), planned("qlora", batch=2, window=64)
    parts = {name: four.parts[name] / size for name, size in one.parts.items()}
    grown = {"activations", "logits"}
    assert parts == {name: 4 if name in grown else 1 for name in one.parts}


@pytest.mark.parametrize("method", METHODS)
def test_weights_are_those_of_the_planner_of_what_fits(method):
    plan = planned(method, "Llama 2 7B")
    format = training_memory.METHODS[method].weights
    assert plan.weights == fit.plan("Llama 2 7B", formats=(format,)).weight_bytes[format]


def test_double_quantization_saves_37_hundredths_of_a_bit_and_nothing_else():
    # QLoRA, section 3: from 0.5 to 0.127 bits of scales for each weight.
    single, double = planned("qlora-single", "Llama 2 7B"), planned("qlora", "Llama 2 7B")
    layers = sum(one.size for one in fit.tensors("Llama 2 7B") if one.part == "linear")
    assert 8 * (single.weights - double.weights) / layers == pytest.approx(0.373, abs=0.001)
    different = [name for name, size in single.parts.items() if double.parts[name] != size]
    assert different == ["weights"]


def test_a_frozen_layer_keeps_no_input_but_peft_copies_it_for_each_adapter():
    full = training_memory.kept_per_token(SMALL, "full-bf16")
    lora = training_memory.kept_per_token(SMALL, "lora-bf16")
    assert "inputs" not in lora and "gains" not in lora
    assert lora["adapter inputs"] > full["inputs"] + full["gains"]


def test_7_billion_weights_train_on_a_t4_in_4_bits_alone():
    # One text of 512 tokens, as in QLoRA's appendix G.
    peaks = {name: planned(name, "Llama 2 7B", batch=1, window=512).peak for name in METHODS}
    card = fit.devices()["T4"].bytes
    fitting = {name for name, peak in peaks.items() if peak < card}
    assert fitting == {"lora-int8", "qlora-single", "qlora"}


@pytest.mark.parametrize(
    "config, words",
    [
        ("gpt-oss-20b", "model_type must be one of llama"),
        (SMALL | {"num_experts": 4}, "num_experts"),
        (SMALL | {"intermediate_size": None}, "intermediate_size"),
    ],
)
def test_a_model_whose_layers_are_not_known_is_refused(config, words):
    with pytest.raises(ValueError, match=words):
        planned("qlora", config)
