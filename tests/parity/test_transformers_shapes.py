"""Tensors and caches that transformers makes from a config, beside those that are counted."""

import inspect
import weakref

import torch
import transformers
from packaging.version import Version
from pytest import mark
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from quantlab import config, fit, shapes

#: A tiny model of every family, and what it needs beside this.
SHAPE = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 50, "pad_token_id": 0, "head_dim": 16,
}  # fmt: skip
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
SHARED = {"n_routed_experts": 4, "n_shared_experts": 2, "num_experts_per_tok": 2, "n_group": 1,
          "moe_intermediate_size": 32, "first_k_dense_replace": 1, "topk_group": 1}  # fmt: skip
LATENT = SHARED | {"num_key_value_heads": 4, "kv_lora_rank": 24, "q_lora_rank": 16,
                   "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 12,
                   "head_dim": None}  # fmt: skip
LINEAR = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
          "linear_value_head_dim": 16, "linear_conv_kernel_dim": 4}  # fmt: skip
WINDOW = {"sliding_window": 10}
TINY = [
    ("llama", {}), ("llama", {"attention_bias": True, "mlp_bias": True, "head_dim": None}),
    ("llama", {"tie_word_embeddings": True}), ("granite", {"attention_bias": True}),
    ("mistral", WINDOW), ("mistral", {"sliding_window": None}), ("phi3", {"head_dim": None}),
    ("qwen2", {"head_dim": None}),
    ("qwen2", WINDOW | {"use_sliding_window": True, "max_window_layers": 1, "head_dim": None}),
    ("qwen2", WINDOW | {"use_sliding_window": False, "head_dim": None}), ("qwen3", {}),
    ("gemma2", WINDOW), ("gemma2", WINDOW | {"tie_word_embeddings": False}),
    ("gemma3_text", WINDOW), ("gemma3_text", WINDOW | {"sliding_window_pattern": 3}),
    ("gemma3_text", WINDOW | {"layer_types": ["full_attention", "sliding_attention"] * 2}),
    ("gpt_oss", WINDOW | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    ("gpt_oss", WINDOW | {"num_local_experts": 4, "num_experts_per_tok": 2,
                          "attention_bias": False}),
    ("mixtral", WINDOW | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    ("qwen3_moe", EXPERTS), ("qwen3_moe", EXPERTS | {"mlp_only_layers": [1]}),
    ("qwen3_moe", EXPERTS | {"decoder_sparse_step": 2, "attention_bias": True}),
    ("qwen3_moe", EXPERTS | WINDOW | {"use_sliding_window": True}),
    ("qwen3_next", EXPERTS | LINEAR | {"shared_expert_intermediate_size": 32}),
    ("qwen3_5_text", LINEAR), ("qwen3_5_text", LINEAR | {"full_attention_interval": 2}),
    ("qwen3_5_moe_text", EXPERTS | LINEAR | {"shared_expert_intermediate_size": 32}),
    ("deepseek_v2", LATENT), ("deepseek_v2", LATENT | {"q_lora_rank": None}),
    ("deepseek_v3", LATENT), ("deepseek_v3", LATENT | {"n_routed_experts": 8}),
    ("glm4_moe_lite", LATENT | {"mlp_layer_types": ["dense"] + 3 * ["sparse"]}),
    ("glm4_moe", SHARED), ("glm4_moe", SHARED | {"attention_bias": True, "use_qk_norm": True}),
]  # fmt: skip
WIDE_ROUTERS = Version(transformers.__version__) >= Version("5.24")
#: What transformers 5.23 cannot do with a field that is None.
NEEDED = ("head_dim",)


def made(model_type, fields, device):
    """Return transformers' config and its model with random weights, in bfloat16."""
    from transformers import AutoConfig, AutoModelForCausalLM

    known = {k: v for k, v in fields.items() if not (k in NEEDED and v is None)}
    described = AutoConfig.for_model(model_type, **known)
    with torch.device(device):
        return described, AutoModelForCausalLM.from_config(described, dtype=torch.bfloat16).eval()


def stored(model):
    """Return every tensor that a file of a model holds, by its name: {name: (shape, bytes)}.

    From 5.24 on transformers keeps the routers of DeepSeek and GLM in 32 bits, before only the
    offsets of GLM. Counted are those of 5.23: here the others have half of their bytes.
    """
    offsets = [(k, b) for k, b in model.named_buffers() if k.endswith("e_score_correction_bias")]
    wide_before = model.config.model_type.startswith("glm4")
    routers = "weight" if wide_before else ("weight", "bias")
    sizes = {}
    for name, tensor in [*model.named_parameters(), *offsets]:
        wide = WIDE_ROUTERS and ".mlp.gate." in name and name.endswith(routers)
        halved = wide and tensor.dtype == torch.float32
        sizes[name] = tuple(tensor.shape), tensor.nbytes // (2 if halved else 1)
    return sizes


def counted(fields):
    """Return the same as it is counted."""
    c = config.Config(fields)
    return {t.name: (t.shape, fit.tensor_bytes(t, "bf16", c)) for t in shapes.tensors(c)}


@mark.parametrize("name", config.shipped())
def test_every_tensor_of_a_shipped_shape_is_that_of_transformers_to_the_byte(name):
    fields = config.shipped()[name]["config"]
    rest = {key: value for key, value in fields.items() if key != "model_type"}
    _, model = made(fields["model_type"], rest, "meta")
    assert counted(name) == stored(model)
    assert fit.plan(name).weight_bytes["bf16"] == sum(size for _, size in stored(model).values())


def test_gemma_3_27b_with_its_eyes_has_the_parameters_of_the_released_files():
    from transformers import AutoModelForImageTextToText, Gemma3Config

    fields = config.shipped()["Gemma 3 27B (text)"]["config"]
    eyes = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
            "num_attention_heads": 16, "patch_size": 14, "image_size": 896,
            "vision_use_head": False}  # fmt: skip
    with torch.device("meta"):
        both = Gemma3Config(text_config=dict(fields), vision_config=eyes)
        model = AutoModelForImageTextToText.from_config(both)
    seen = sum(p.numel() for n, p in model.named_parameters() if "language_model" not in n)
    # What the model's page on the hub counts in its safetensors, vision included.
    assert fit.plan("Gemma 3 27B (text)").parameters + seen == 27_432_406_640


def test_every_family_has_a_tiny_model_here():
    assert {model_type for model_type, _ in TINY} == set(config.FAMILIES)


@mark.parametrize(("model_type", "more"), TINY)
def test_a_tiny_model_of_every_family_has_the_tensors_and_the_cache_that_are_counted(
    model_type, more
):
    from transformers import DynamicCache

    fields = SHAPE | more
    described, model = made(model_type, fields, "cpu")
    fields = {"model_type": model_type, **fields}
    assert counted(fields) == stored(model)
    for context in (7, 25):  # below the window of 10, and past it
        cache = DynamicCache(config=described)
        with torch.no_grad():
            for tokens in (context - 1, 1):
                model(torch.ones(2, tokens, dtype=torch.long), **{name_of_cache(model): cache})
        assert held(cache) == fit.cache_bytes(fields, context, 2, engine="transformers")


def name_of_cache(model):
    """Return what a model calls the cache that it is given: transformers 5.24 has another name."""
    known = inspect.signature(model.forward).parameters
    return next(name for name in ("cache", "past_key_values") if name in known)


def held(cache):
    """Return the bytes of every tensor that a cache holds of the text."""
    found = []
    for layer in cache.layers:
        for name in ("keys", "values", "conv_states", "recurrent_states"):
            part = getattr(layer, name, None)
            found += part.values() if isinstance(part, dict) else [part]
    return sum(tensor.nbytes for tensor in found if isinstance(tensor, torch.Tensor))


def test_what_transformers_saves_as_its_config_is_counted_too(tmp_path):
    for model_type, more in TINY:
        described, model = made(model_type, SHAPE | more, "meta")
        described.save_pretrained(tmp_path)
        assert counted(tmp_path) == stored(model), model_type


class Peak(TorchDispatchMode):
    """Counts the bytes of all tensors that are made while it is on, and the most at any time."""

    def __init__(self, known):
        super().__init__()
        self.live, self.now, self.most = dict.fromkeys(map(self.place, known), 0), 0, 0

    @staticmethod
    def place(tensor):
        return tensor.untyped_storage()._cdata

    def __torch_dispatch__(self, function, types, arguments=(), settings=None):
        out = function(*arguments, **(settings or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, torch.Tensor) and self.place(tensor) not in self.live:
                storage = tensor.untyped_storage()
                self.live[self.place(tensor)] = storage.nbytes()
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self.free, self.place(tensor))
        return out

    def free(self, place):
        self.now -= self.live.pop(place, 0)


@mark.parametrize("context", [64, 512])
@mark.parametrize(
    ("model_type", "more", "most"),
    [("llama", {}, 1.6), ("qwen3", {}, 1.6), ("phi3", {"sliding_window": None}, 1.9),
     ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}, 2.2)],
)  # fmt: skip
def test_activations_are_at_least_what_is_planned_and_not_much_more(
    model_type, more, most, context
):
    from transformers import DynamicCache

    wide = {"hidden_size": 512, "intermediate_size": 1536, "num_attention_heads": 8,
            "head_dim": 64, "num_hidden_layers": 2, "vocab_size": 2000}  # fmt: skip
    fields = SHAPE | wide | more
    described, model = made(model_type, fields, "cpu")
    kept = DynamicCache(config=described)
    with torch.no_grad(), Peak([*model.parameters(), *model.buffers()]) as peak:
        given = {name_of_cache(model): kept, "logits_to_keep": 1}
        model(torch.ones(1, context, dtype=torch.long), **given)
    plan = fit.plan({"model_type": model_type, **fields}, context=context)
    assert 1 <= (peak.most - held(kept)) / plan.activation_bytes < most
