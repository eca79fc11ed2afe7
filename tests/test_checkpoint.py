"""A checkpoint in few bits is planned as its files are: held to files, layers, published sizes."""

import re

import pytest

from quantlab import _data, config, fit

SMALL = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100,
}  # fmt: skip
#: Tables and settings in words, which bitsandbytes writes beside each layer: not counted.
BESIDE = re.compile(r"quant_map$|quant_state|weight_format$")


def stored_bytes(folder):
    """The bytes of a folder's tensors, as its safetensors files list them."""
    from safetensors import safe_open

    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118, it is no dict
                if not BESIDE.search(name):
                    tensor = opened.get_tensor(name)
                    total += tensor.numel() * tensor.element_size()
    return total


def as_stored(given, **more):
    return fit.plan(given, **more).weight_bytes[fit.STORED]


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("nf4", {"double_quant": False}),
        ("nf4", {"double_quant": True}),
        ("rtn", {"bits": 4, "group_size": 64}),
        ("rtn", {"bits": 8}),
        ("zero_point", {"bits": 4, "group_size": 128}),
        ("zero_point", {"bits": 3}),
    ],
)
def test_a_model_that_the_course_saved_takes_what_its_files_hold(method, settings, tmp_path):
    from quantlab import lm

    model = lm.load("tiny-lm", "bf16", device="cpu")
    small = lm.quantize(model, method=method, **settings)
    folder = small.save(tmp_path / "saved")
    # The mean of nested scales, FP32, stands among the settings in words.
    means = 4 * len(small.stored) if settings.get("double_quant") else 0
    assert as_stored(folder) == stored_bytes(folder) + means


def test_a_model_that_transformers_saved_in_int8_takes_what_its_files_hold(tmp_path):
    from quantlab import lm

    folder = lm.load("tiny-lm", "int8", device="cpu").save(tmp_path / "saved")
    assert as_stored(folder) == stored_bytes(folder)


def test_fp8_in_tiles_takes_what_the_layers_of_transformers_hold():
    import torch
    import transformers
    from transformers.integrations.finegrained_fp8 import replace_with_fp8_linear

    fields = SMALL | {"hidden_size": 192, "intermediate_size": 320}
    settings = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    with torch.device("meta"):
        made = transformers.LlamaForCausalLM(transformers.LlamaConfig(**fields)).bfloat16()
        rules = transformers.FineGrainedFP8Config(weight_block_size=(128, 128))
        made = replace_with_fp8_linear(made, ["lm_head"], rules)
    theirs = sum(p.numel() * p.element_size() for p in made.parameters())
    assert as_stored(fields | {"quantization_config": settings}) == theirs


def test_gpt_oss_as_it_was_released_takes_what_its_index_says():
    fields = config.shipped()["gpt-oss-20b"]["config"]
    left = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens",
            "lm_head"]  # fmt: skip
    settings = {"quant_method": "mxfp4", "modules_to_not_convert": left}
    assert as_stored(fields | {"quantization_config": settings}) == 13_761_264_768


def rest(fields):
    """The bytes of what no method touches: embeddings, head and norms in 16 bits."""
    return 2 * fit.plan(fields).kept_parameters


@pytest.mark.parametrize(("method", "numbers"), [("gptq", 4), ("awq", 0)])
def test_gptq_and_awq_pack_codes_scales_and_zero_points(method, numbers):
    # AutoGPTQ's qlinear_cuda.py: qweight, qzeros, scales, and in GPTQ g_idx, 4 bytes an input.
    layers = [(64, 64), (32, 64), (32, 64), (64, 64), (96, 64), (96, 64), (64, 96)]
    each = sum(
        rows * inputs // 2 + rows * (inputs // 32) * (2 + 0.5) + numbers * inputs
        for rows, inputs in layers
    )
    settings = {"quant_method": method, "bits": 4, "group_size": 32}
    assert as_stored(SMALL | {"quantization_config": settings}) == rest(SMALL) + 2 * each


def test_a_layer_that_is_left_out_is_counted_in_16_bits():
    settings = {"quant_method": "awq", "bits": 4, "group_size": 32}
    more = settings | {"modules_to_not_convert": ["lm_head", "model.layers.1.mlp", "v_proj"]}
    plain, left = (as_stored(SMALL | {"quantization_config": s}) for s in (settings, more))
    size = 3 * 64 * 96 + 2 * 32 * 64  # the feed-forward part of a layer, the values of the other
    size += -32 * 64 + 32 * 64  # and of that layer too
    assert left - plain == size * (2 - 1 / 2 - 2.5 / 32)


def test_the_row_as_stored_comes_first_and_with_a_note():
    settings = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    plan = fit.plan(SMALL | {"quantization_config": settings})
    assert list(plan.weight_bytes) == [fit.STORED, *fit.plan(SMALL).weight_bytes]
    assert "codes of bitsandbytes" in plan.notes[0]
    assert fit.plan(SMALL | {"quantization_config": None}) == fit.plan(SMALL)


def test_the_models_that_come_with_the_course_are_planned_as_before():
    assert all(fit.STORED not in fit.plan(name).weight_bytes for name in config.shipped())
    assert fit.STORED not in fit.plan(_data.path("tiny-lm")).weight_bytes
    with pytest.raises(ValueError, match=r"formats must be one of fp32.*got 'as stored'"):
        fit.plan(SMALL, formats=[fit.STORED])


GROUP = {"targets": ["Linear"], "weights": {"num_bits": 4, "strategy": "channel"}}
PACKED = {"quant_method": "compressed-tensors", "format": "pack-quantized"}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ("nf4", "quantization_config"),
        ({"quant_method": "hqq"}, "hqq"),
        ({"quant_method": ["fp8"]}, "quant_method"),
        ({"quant_method": "bitsandbytes"}, "load_in_8bit"),
        ({"load_in_4bit": True, "bnb_4bit_use_double_quant": "yes"}, "bnb_4bit_use_double_quant"),
        ({"load_in_4bit": True, "llm_int8_skip_modules": [3]}, "llm_int8_skip_modules"),
        ({"load_in_4bit": True, "llm_int8_skip_modules": ["("]}, "llm_int8_skip_modules"),
        ({"quant_method": "fp8"}, "weight_block_size"),
        ({"quant_method": "fp8", "weight_block_size": [128, 0]}, "weight_block_size"),
        ({"quant_method": "gptq"}, "bits"),
        ({"quant_method": "awq", "bits": 4, "group_size": "g"}, "group_size"),
        ({"quant_method": "gptq", "bits": 4, "dynamic": {"-:q": {}}}, "dynamic"),
        ({"quant_method": "gptq", "bits": 4, "lm_head": "no"}, "lm_head"),
        (PACKED, "config_groups"),
        (PACKED | {"config_groups": {"a": GROUP, "b": GROUP}}, "config_groups"),
        (PACKED | {"config_groups": {"a": GROUP | {"targets": ["re:.*"]}}}, "config_groups"),
        (PACKED | {"config_groups": {"a": {"targets": ["Linear"]}}}, "weights"),
        (PACKED | {"config_groups": {"a": GROUP}, "format": "sparse"}, "format"),
        (PACKED | {"config_groups": {"a": GROUP | {"weights": {}}}}, "strategy"),
    ],
)
def test_what_is_not_known_of_a_checkpoint_is_refused_in_a_sentence_that_names_it(settings, named):
    with pytest.raises((ValueError, TypeError)) as caught:
        fit.plan(SMALL | {"quantization_config": settings})
    said = str(caught.value)
    assert named in said and "\n" not in said and len(said.split()) >= 6
