"""What fits: bytes that were published, bounds that can be worked out by hand, and refusals."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import quantlab as ql
from quantlab import _data, config, fit, gguf, memory, shapes

NAMES = tuple(config.shipped())
every_shape = pytest.mark.parametrize("name", NAMES)
SMALL = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100,
}  # fmt: skip
EXPERTS = SMALL | {"model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 2,
                   "moe_intermediate_size": 32}  # fmt: skip
LATENT = SMALL | {
    "model_type": "deepseek_v3", "n_routed_experts": 8, "n_shared_experts": 1,
    "num_experts_per_tok": 2, "moe_intermediate_size": 32, "first_k_dense_replace": 1,
    "kv_lora_rank": 24, "q_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
    "v_head_dim": 8,
}  # fmt: skip
HYBRID = SMALL | {
    "model_type": "qwen3_5_text", "linear_num_key_heads": 2, "linear_num_value_heads": 4,
    "linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_conv_kernel_dim": 4,
}  # fmt: skip
WINDOWS = SMALL | {"model_type": "gemma3_text", "sliding_window": 10}


def test_the_plan_of_the_design_has_its_names():
    plan = ql.fit.plan("Llama 3.1 8B", device=24e9, context=32_768, batch=1)
    assert plan.parameters == plan.active_parameters + 128_255 * 4096 == 8_030_261_248
    assert plan.weight_bytes["bf16"] == 2 * plan.parameters
    assert plan.cache_bytes == 32_768 * 32 * 2 * 8 * 128 * 2
    assert plan.fits["bf16"] and not plan.fits["fp32"]
    assert set(plan.weight_bytes) == set(plan.fits) == set(plan.tokens_per_second)


def test_formats_that_are_asked_for_are_planned_and_no_others():
    some = fit.plan("Qwen3-8B", formats=("nf4", "bf16"))
    assert list(some.weight_bytes) == ["nf4", "bf16"]
    assert some.weight_bytes.items() <= fit.plan("Qwen3-8B").weight_bytes.items()


def test_there_are_at_least_twenty_shapes_each_with_its_source_and_month():
    assert len(NAMES) >= 20
    for name, shape in config.shipped().items():
        assert set(shape) == {"date", "source", "config"}, name
        assert len(shape["source"]) > 20 and "2023" <= shape["date"] < "2027"


def test_shapes_with_experts_latent_attention_windows_and_linear_attention_are_among_them():
    families = [config.Config(name).family for name in NAMES]
    assert sum(one.experts for one in families) >= 6
    assert sum(one.latent for one in families) >= 3
    assert any(one.hybrid for one in families)
    assert sum(any(k.window for k in shapes.kept(name)) for name in NAMES) >= 5


#: (shape, parameters as the maker's page or the file's own index says, how exactly)
PUBLISHED = [
    ("Llama 3.1 405B", 405e9, 0.01), ("Mixtral 8x7B", 46.7e9, 0.001), ("Phi-4", 14.7e9, 0.005),
    ("Qwen3-30B-A3B", 30.5e9, 0.002), ("Qwen3-235B-A22B", 235e9, 0.001),
    ("DeepSeek-V3", 671e9, 1e-4), ("DeepSeek-V2-Lite", 15.7e9, 0.001),
    ("gpt-oss-120b", 116.83e9, 1e-4),
    ("gpt-oss-20b", 20.91e9, 3e-4), ("Qwen3-Next-80B-A3B", 80e9, 0.005),
    ("Qwen2.5-7B", 7.61e9, 0.001), ("Qwen2.5-72B", 72.7e9, 0.001), ("Gemma 2 9B", 9.24e9, 0.001),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameters", "share"), PUBLISHED)
def test_parameters_are_those_that_were_published(name, parameters, share):
    assert fit.plan(name).parameters == pytest.approx(parameters, rel=share)


#: Billions that take part in a token, as the makers say. gpt-oss and DeepSeek leave out the other
#: rows of the embeddings, as is done here; Qwen3-30B-A3B counts them, and says 3.3.
ACTIVE = [
    ("gpt-oss-20b", 3.61), ("gpt-oss-120b", 5.13), ("DeepSeek-V3", 37), ("Mixtral 8x7B", 12.9),
    ("DeepSeek-V2-Lite", 2.4), ("Qwen3-235B-A22B", 22),
]  # fmt: skip


@pytest.mark.parametrize(("name", "billions"), ACTIVE)
def test_active_parameters_are_those_that_were_published_to_two_percent_and_a_half(name, billions):
    assert fit.plan(name).active_parameters == pytest.approx(billions * 1e9, rel=0.025)


def test_an_untied_table_of_embeddings_is_the_difference_in_what_qwen_counts():
    plan, c = fit.plan("Qwen3-30B-A3B"), config.Config("Qwen3-30B-A3B")
    with_table = plan.active_parameters + (c.number("vocab_size") - 1) * c.width
    assert round(with_table / 1e9, 2) == 3.35


#: What was released, in bytes: the model card of gpt-oss (arXiv 2508.10925, table 1) in GiB; the
#: quantize tool's README in llama.cpp, in GiB, for Llama 3.1 8B.
FILES = [
    ("gpt-oss-20b", "mxfp4", 12.8), ("gpt-oss-120b", "mxfp4", 60.8),
    ("Llama 3.1 8B", "Q4_K_M", 4.58), ("Llama 3.1 8B", "Q8_0", 7.95),
    ("Llama 3.1 8B", "Q6_K", 6.14), ("Llama 3.1 8B", "Q4_0", 4.34),
]  # fmt: skip


@pytest.mark.parametrize(("name", "format", "size"), FILES)
def test_files_have_the_size_that_was_published(name, format, size):
    # A file has a tokenizer of some megabytes too, and the size is rounded to 0.01 or 0.1.
    rounding = 0.05 if name.startswith("gpt") else 0.013
    assert abs(fit.plan(name).weight_bytes[format] / memory.GiB - size) <= rounding


def test_gpt_oss_20b_is_13_761_264_768_bytes_as_its_index_says():
    assert fit.plan("gpt-oss-20b").weight_bytes["mxfp4"] == 13_761_264_768


@every_shape
@pytest.mark.parametrize("format", ["fp32", "bf16"])
def test_plain_bytes_are_parameters_times_bytes_but_for_what_stays_in_fp32(name, format):
    plan, wide = fit.plan(name), sum(
        t.size for t in shapes.tensors(name) if t.part == "float32"
    )  # fmt: skip
    each = memory.VALUE_BITS[format] // 8
    assert plan.weight_bytes[format] == (plan.parameters - wide) * each + 4 * wide


#: Bits per weight of a layer with no remainder: what `memory` says, or a file's block.
BITS = {
    "nf4": memory.bits_per_weight("nf4", 64), "mxfp4": memory.bits_per_weight("mxfp4"),
    "nf4-nested": memory.bits_per_weight("nf4", 64, double_quant=True),
    "Q8_0": gguf.TYPES["Q8_0"].bits_per_value, "Q6_K": gguf.TYPES["Q6_K"].bits_per_value,
    "Q4_0": gguf.TYPES["Q4_0"].bits_per_value, "int4-g128": 4 + (16 + 4) / 128,
    "fp8": 8 + 32 / 128**2, "int8": 8 + 32 / 4096,
}  # fmt: skip


@pytest.mark.parametrize("format", BITS)
def test_a_layer_takes_the_bits_that_the_course_says(format):
    layer = shapes.Tensor("model.layers.0.self_attn.q_proj.weight", (4096, 4096), "linear")
    size = fit.tensor_bytes(layer, format, config.Config("Llama 3.1 8B"))
    mean = 4 if format == "nf4-nested" else 0  # one FP32 number per tensor
    assert size - mean == BITS[format] * 4096**2 / 8


def test_blocks_are_those_of_the_core():
    for name in ("Q8_0", "Q6_K", "Q4_K", "Q4_0"):
        kind = gguf.TYPES[name]
        assert fit.BLOCKS[name] == (kind.bits_per_value, kind.values)


def test_what_gets_more_bits_is_what_export_gguf_gives_more_bits():
    from quantlab.lm.gguf_file import tensor_type

    # By hand, for 32 layers: an eighth at each end, and of those between the third of each three.
    more = {0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31}
    for i in range(32):
        ours = "Q6_K" if i in more else "Q4_K"
        assert fit.more_bits(i, 32) == (i in more)
        assert tensor_type(f"blk.{i}.ffn_down.weight", "Q4_K_M", 32, True) == ours


@pytest.mark.parametrize(
    ("name", "layer", "part", "expected"),
    [
        ("Llama 3.1 8B", 0, "self_attn.v_proj", "Q6_K"),
        ("Llama 3.1 8B", 4, "self_attn.v_proj", "Q4_K"),
        ("Llama 3.1 8B", 4, "self_attn.o_proj", "Q4_K"),
        ("Llama 3.1 70B", 10, "self_attn.v_proj", "Q5_K"),
        ("Llama 3.1 70B", 10, "mlp.down_proj", "Q4_K"),
        ("Qwen2.5-72B", 10, "self_attn.v_proj", "Q5_K"),
        ("Qwen2.5-72B", 10, "mlp.down_proj", "Q5_0"),  # 29,568 is no multiple of 256
        ("Qwen2.5-72B", 0, "mlp.down_proj", "Q8_0"),
        ("Mixtral 8x7B", 4, "self_attn.v_proj", "Q8_0"),
        ("Mixtral 8x7B", 4, "self_attn.k_proj", "Q8_0"),
        ("Mixtral 8x7B", 4, "self_attn.o_proj", "Q5_K"),
        ("Phi-4", 0, "self_attn.qkv_proj", "Q6_K"),
    ],
)
def test_a_layer_of_q4_k_m_has_the_type_of_llama_cpp(name, layer, part, expected):
    c = config.Config(name)
    [tensor] = [
        t for t in shapes.tensors(c) if t.name == f"model.layers.{layer}.{part}.weight"
    ]  # fmt: skip
    bits, _ = fit.BLOCKS[expected]
    assert fit.tensor_bytes(tensor, "Q4_K_M", c) == tensor.size * bits / 8


@every_shape
def test_fewer_bits_take_fewer_bytes(name):
    size = fit.plan(name).weight_bytes
    assert size["fp32"] > size["bf16"] > size["int8"] > size["nf4"] > size["nf4-nested"]
    assert size["bf16"] > size["Q8_0"] > size["Q6_K"] > size.get("Q4_K_M", 0)


# What is kept of a text -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "bytes"),
    [
        ("Llama 2 7B", 2 * 32 * 4096 * 2),
        ("Llama 3.1 8B", 2 * 32 * 1024 * 2),
        ("Qwen3-235B-A22B", 2 * 94 * 4 * 128 * 2),
        ("DeepSeek-V3", 61 * (512 + 64) * 2),
        ("DeepSeek-V2-Lite", 27 * (512 + 64) * 2),
        ("Qwen3-Next-80B-A3B", 2 * 12 * 2 * 256 * 2),
        ("gpt-oss-20b", 2 * 12 * 8 * 64 * 2),
        ("Mistral 7B v0.1", 0),
    ],
)
def test_a_long_text_grows_by_this_many_bytes_per_token(name, bytes):
    assert fit.plan(name, context=100_000).cache_bytes_per_token == bytes


@given(st.integers(1, 40), st.integers(1, 5), st.sampled_from([SMALL, EXPERTS, LATENT, HYBRID]))
def test_without_windows_the_cache_is_a_line_in_the_context_and_the_batch(context, batch, fields):
    one, two = (fit.cache_bytes(fields, n) for n in (1, 2))
    assert fit.cache_bytes(fields, context, batch) == batch * (one + (context - 1) * (two - one))


@given(st.integers(1, 40))
def test_a_layer_with_a_window_keeps_no_more_than_the_window(context):
    full = fit.cache_bytes(SMALL, context)
    cut = sum(2 * 2 * 2 * 16 * min(context, k.window or context) for k in shapes.kept(WINDOWS))
    assert fit.cache_bytes(WINDOWS, context) == cut <= full


def test_transformers_keeps_one_token_less_of_a_window():
    gap = fit.cache_bytes(WINDOWS, 40) - fit.cache_bytes(WINDOWS, 40, engine="transformers")
    assert gap == 2 * 2 * 2 * 2 * 16  # both layers have a window


@pytest.mark.parametrize(("format", "bits"), fit.CACHE_BITS.items())
def test_a_cache_of_fewer_bits_is_smaller_by_them(format, bits):
    whole = fit.cache_bytes("Llama 3.1 8B", 1024)
    assert fit.cache_bytes("Llama 3.1 8B", 1024, format=format) == whole * bits / 16


def test_a_state_of_linear_attention_does_not_grow():
    [state] = {k.state for k in shapes.kept("Qwen3-Next-80B-A3B") if not k.values}
    assert state == 32 * 128 * 128 * 4 + 4 * (2 * 16 * 128 + 32 * 128) * 2


# What is read, and how fast ---------------------------------------------------------------------


@pytest.mark.parametrize("format", ["bf16", "nf4", "Q4_K_M"])
def test_a_dense_model_reads_all_weights_and_the_whole_cache_but_one_row_of_the_table(format):
    plan = fit.plan("Llama 3.1 8B", "RTX 4090", 8192)
    c = config.Config("Llama 3.1 8B")
    table = fit.tensor_bytes(shapes.tensors(c)[0], format, c)
    read = plan.weight_bytes[format] - table * (1 - 1 / 128_256) + plan.cache_bytes
    assert plan.read_bytes[format] == pytest.approx(read, rel=1e-12)
    assert plan.tokens_per_second[format] == pytest.approx(1008e9 / read, rel=1e-12)


def test_a_model_with_experts_reads_those_that_its_token_visits():
    plan = fit.plan("gpt-oss-20b", context=1)
    experts = sum(t.size for t in shapes.tensors("gpt-oss-20b") if t.part == "experts")
    table = 201_088 * 2880
    read = 2 * (plan.parameters - experts - table + experts * 4 / 32 + 2880) + plan.cache_bytes
    assert plan.read_bytes["bf16"] == pytest.approx(read, rel=1e-9)


@given(st.integers(1, 500))
def test_many_texts_at_once_read_ever_more_experts_but_never_more_than_there_are(batch):
    plan, more = (fit.plan(EXPERTS, 1e9, 1, n) for n in (batch, batch + 1))
    here, there = (p.read_bytes["bf16"] - p.cache_bytes for p in (plan, more))
    assert here <= there <= plan.weight_bytes["bf16"]


def test_without_a_bandwidth_there_is_no_speed_and_without_a_rate_no_time():
    plan = fit.plan("Llama 3.1 8B", 24e9)
    assert set(plan.tokens_per_second.values()) == {None} and plan.prompt_seconds is None


def test_a_prompt_takes_two_operations_per_active_parameter_and_token():
    plan = fit.plan("Llama 3.1 8B", "H100", 1000, 3)
    assert plan.prompt_seconds == 2 * plan.active_parameters * 3000 / 989e12


@given(st.floats(1e5, 1e9))
def test_what_fits_is_what_leaves_something_to_spare(size):
    plan = fit.plan(SMALL, size)
    for format, total in plan.total_bytes.items():
        assert plan.fits[format] == (total <= size) == (plan.spare_bytes[format] >= 0)
        assert total == plan.weight_bytes[format] + plan.cache_bytes + plan.activation_bytes


def test_an_rtx_4090_holds_8_billion_weights_in_16_bits_and_not_30():
    assert fit.plan("Llama 3.1 8B", "RTX 4090").fits["bf16"]
    assert not fit.plan("Qwen3-30B-A3B", "RTX 4090").fits["bf16"]
    assert fit.plan("Qwen3-30B-A3B", "RTX 4090").fits["Q4_K_M"]


def test_devices_have_memory_and_bandwidth_in_the_right_order():
    listed = fit.devices()
    assert len(listed) >= 12
    assert listed["RTX 4090"].bytes == 24_564 * 2**20
    assert all(5e9 < one.bytes < 2e11 and 4e10 < one.bandwidth < 5e12 for one in listed.values())
    assert listed["H200"].bandwidth > listed["H100"].bandwidth > listed["A100 80GB"].bandwidth


def test_every_device_says_where_its_facts_are_from():
    facts = json.loads(_data.path("models/devices.json").read_text(encoding="utf-8"))
    assert all(len(one["source"]) > 30 for one in facts.values())


def test_devices_of_notebook_00_have_the_same_memory():
    from quantlab.experiments.footprint import DEVICES

    for label, size in DEVICES.items():
        for name, one in fit.devices().items():
            if f"({name})" in label and name != "T4":  # there, what a program on Colab gets
                assert round(one.bytes / 1e9, 1) == size, name


def test_notebook_00_counts_each_model_that_is_shipped_here():
    from quantlab.experiments import footprint

    assert not footprint._KNOWN.keys() & set(NAMES)
    assert dict(footprint.MODELS)["gpt-oss-20b"] == 20.914757184


# What comes with a note -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "context", "said"),
    [
        ("Gemma 2 9B", 8193, "max_position_embeddings is 8,192"),
        ("DeepSeek-V3", 100, "num_nextn_predict_layers"),
        ("Mixtral 8x7B", 100, "leaves fused experts in 16 bits"),
        ("gpt-oss-20b", 100, "Q4_K_M"),
    ],
)
def test_what_the_numbers_leave_out_is_said(name, context, said):
    assert any(said in note for note in fit.plan(name, context=context).notes)


def test_a_plan_with_nothing_left_out_has_no_note():
    assert fit.plan("Llama 3.1 8B", context=8192).notes == ()


@every_shape
def test_q4_k_m_is_planned_where_its_rules_are_known_and_nowhere_else(name):
    plan = fit.plan(name)
    silent = not any("Q4_K_M" in note for note in plan.notes)
    assert ("Q4_K_M" in plan.weight_bytes) == silent


# Where a config comes from ----------------------------------------------------------------------


def test_a_dict_a_file_a_folder_and_a_name_are_the_same_plan(tmp_path):
    fields = config.shipped()["Qwen3-8B"]["config"]
    file = tmp_path / "config.json"
    file.write_text(json.dumps(fields), encoding="utf-8")
    given = (fields, file, str(file), tmp_path, "Qwen3-8B", "qwen3 8b")
    first, *others = (fit.plan(one) for one in given)
    assert all(one == first for one in others)


def test_the_model_of_the_course_is_counted_from_its_folder():
    assert fit.plan(_data.path("tiny-lm")).parameters == 3_934_464


# What is refused --------------------------------------------------------------------------------


def without(fields, name):
    return {key: value for key, value in fields.items() if key != name}


#: (config, the field that its error must name)
REFUSED = [
    (without(SMALL, "model_type"), "model_type"),
    (SMALL | {"model_type": "gpt2"}, "model_type"),
    (SMALL | {"model_type": "mamba"}, "model_type"),
    (SMALL | {"model_type": "gemma4_text"}, "model_type"),
    (SMALL | {"model_type": 7}, "model_type"),
    (SMALL | {"model_type": None}, "model_type"),
    ([SMALL], "dict"),
    (without(SMALL, "hidden_size"), "hidden_size"),
    (without(SMALL, "intermediate_size"), "intermediate_size"),
    (without(SMALL, "num_hidden_layers"), "num_hidden_layers"),
    (without(SMALL, "num_attention_heads"), "num_attention_heads"),
    (without(SMALL, "vocab_size"), "vocab_size"),
    (SMALL | {"hidden_size": "4096"}, "hidden_size"),
    (SMALL | {"hidden_size": -64}, "hidden_size"),
    (SMALL | {"hidden_size": 64.5}, "hidden_size"),
    (SMALL | {"hidden_size": 66}, "hidden_size"),
    (SMALL | {"num_hidden_layers": 0}, "num_hidden_layers"),
    (SMALL | {"num_hidden_layers": 10**12}, "num_hidden_layers"),
    (SMALL | {"vocab_size": 10**400}, "vocab_size"),
    (SMALL | {"num_hidden_layers": True}, "num_hidden_layers"),
    (SMALL | {"vocab_size": [100]}, "vocab_size"),
    (SMALL | {"num_key_value_heads": 3}, "num_key_value_heads"),
    (SMALL | {"num_key_value_heads": 8}, "num_key_value_heads"),
    (SMALL | {"head_dim": 0}, "head_dim"),
    (SMALL | {"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
    (SMALL | {"attention_bias": 1}, "attention_bias"),
    (SMALL | {"mlp_bias": "false"}, "mlp_bias"),
    (SMALL | {"layer_types": ["full_attention"]}, "layer_types"),
    (SMALL | {"layer_types": ["full_attention", "mamba"]}, "layer_types[1]"),
    (SMALL | {"layer_types": ["full_attention", "linear_attention"]}, "layer_types"),
    (SMALL | {"layer_types": "full_attention"}, "layer_types"),
    (SMALL | {"num_local_experts": 8}, "num_local_experts"),
    (SMALL | {"kv_lora_rank": 512}, "kv_lora_rank"),
    (SMALL | {"vision_config": {"hidden_size": 8}}, "vision_config"),
    ({"model_type": "gemma3", "text_config": SMALL, "vision_config": {}}, "text_config"),
    (SMALL | {"lm_head_bias": True}, "lm_head_bias"),
    (SMALL | {"is_encoder_decoder": True}, "is_encoder_decoder"),
    (SMALL | {"linear_num_value_heads": 4}, "linear_num_value_heads"),
    (SMALL | {"num_kv_shared_layers": 10}, "num_kv_shared_layers"),
    (SMALL | {"hidden_size_per_layer_input": 256}, "hidden_size_per_layer_input"),
    (without(EXPERTS, "num_experts"), "num_experts"),
    (without(EXPERTS, "num_experts_per_tok"), "num_experts_per_tok"),
    (without(EXPERTS, "moe_intermediate_size"), "moe_intermediate_size"),
    (EXPERTS | {"num_experts_per_tok": 9}, "num_experts_per_tok"),
    (EXPERTS | {"mlp_only_layers": 3}, "mlp_only_layers"),
    (EXPERTS | {"decoder_sparse_step": 0}, "decoder_sparse_step"),
    (without(LATENT, "kv_lora_rank"), "kv_lora_rank"),
    (without(LATENT, "v_head_dim"), "v_head_dim"),
    (without(LATENT, "first_k_dense_replace"), "first_k_dense_replace"),
    (without(LATENT, "n_shared_experts"), "n_shared_experts"),
    (LATENT | {"q_lora_rank": 0}, "q_lora_rank"),
    (LATENT | {"moe_layer_freq": 2}, "moe_layer_freq"),
    (LATENT | {"attention_bias": True}, "attention_bias"),
    (LATENT | {"index_topk": 2048}, "index_topk"),
    (LATENT | {"mlp_layer_types": ["dense", "wide"]}, "mlp_layer_types[1]"),
    (without(HYBRID, "linear_num_value_heads"), "linear_num_value_heads"),
    (HYBRID | {"full_attention_interval": 0}, "full_attention_interval"),
    (without(WINDOWS, "sliding_window"), "sliding_window"),
    (WINDOWS | {"sliding_window": 0}, "sliding_window"),
    (WINDOWS | {"sliding_window_pattern": "6"}, "sliding_window_pattern"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "named"), REFUSED)
def test_a_broken_or_unknown_config_is_refused_in_a_sentence_that_names_the_field(fields, named):
    with pytest.raises((ValueError, TypeError)) as caught:
        fit.plan(fields)
    said = str(caught.value)
    assert named in said and "\n" not in said and len(said.split()) >= 6


def test_at_least_thirty_configs_are_refused():
    assert len(REFUSED) >= 30


def test_what_is_broken_is_broken_by_one_field_alone():
    for fields in (SMALL, EXPERTS, LATENT, HYBRID, WINDOWS):
        assert fit.plan(fields).parameters > 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"device": "RTX 9999"}, "device"),
        ({"device": 0}, "device"),
        ({"device": None}, "device"),
        ({"context": 0}, "context"),
        ({"context": 1.5}, "context"),
        ({"batch": 0}, "batch"),
        ({"batch": "1"}, "batch"),
        ({"cache": "q2"}, "cache"),
        ({"engine": "vllm"}, "engine"),
        ({"formats": ["q9"]}, "formats"),
    ],
)
def test_a_wrong_argument_is_named(arguments, named):
    with pytest.raises((ValueError, TypeError), match=named):
        fit.plan(SMALL, **arguments)


def test_a_file_that_is_no_json_is_named(tmp_path):
    file = tmp_path / "config.json"
    file.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.json is not a config\.json: it holds no JSON"):
        fit.plan(file)


def test_a_name_that_is_nowhere_gets_the_names_that_are():
    with pytest.raises(ValueError, match=r"Llama 3\.1 8B, .*there is no 'Llama 9'"):
        fit.plan("Llama 9")
