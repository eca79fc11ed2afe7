"""The tensors of a language model, and what it keeps of a text, from its config.json alone.

Tensors have the names and shapes of transformers 5.23, so that each can be held to the real one.
"""

import math
from dataclasses import dataclass

from .config import Config


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model: its name in transformers, its shape, and its part.

    part: "embedding", "head", "linear", "experts" (those of one layer in one tensor), "float32"
    (kept in 32 bits) or "rest": norms, biases, routers. (From 5.24 on transformers keeps the
    routers of DeepSeek and GLM in 32 bits, less than 0.03% of a model more.) rows, inputs: of each
    of its matrices.
    """

    name: str
    shape: tuple[int, ...]
    part: str = "rest"
    turned: bool = False

    @property
    def size(self):
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def matrix(self):
        """(matrices, rows, inputs): a row has one number for each input of the layer."""
        rows, inputs = self.shape[-2:][:: -1 if self.turned else 1]
        return self.size // rows // inputs, rows, inputs


def tensors(config):
    """Return the `Tensor`s of a model, by the names that transformers 5.23 gives them.

    config: as for `plan`. Raises ValueError that names the field for what is not known.

    >>> sum(tensor.size for tensor in tensors("Llama 3.1 8B"))
    8030261248
    """
    c = config if isinstance(config, Config) else Config(config)
    table = (c.number("vocab_size"), c.width)
    found = [Tensor("model.embed_tokens.weight", table, "embedding")]
    for i, (kind, sparse) in enumerate(zip(c.kinds, c.sparse, strict=True)):
        parts = _linear_attention(c) if kind == "linear" else _attention(c)
        parts += _experts(c) if sparse else _feed_forward("mlp", c, c.number("intermediate_size"))
        parts += [Tensor(f"{name}_layernorm.weight", (c.width,)) for name in c.family.norms]
        found += [_named(f"model.layers.{i}.", tensor) for tensor in parts]
    found.append(Tensor("model.norm.weight", (c.width,)))
    return found if c.tied else [*found, Tensor("lm_head.weight", table, "head")]


def _named(prefix, tensor):
    """Return a tensor with its layer before its name."""
    return Tensor(prefix + tensor.name, tensor.shape, tensor.part, tensor.turned)


def _layer(name, rows, inputs, bias=False):
    """Return the tensors of a linear layer."""
    weight = Tensor(f"{name}.weight", (rows, inputs), "linear")
    return [weight, Tensor(f"{name}.bias", (rows,))] if bias else [weight]


def _attention(c):
    """Return the tensors of attention in which each token looks at others."""
    if c.family.latent:
        return _latent_attention(c)
    queries, keys, size = c.heads
    biases = c.family.bias
    if biases is None:
        default = c.fields["model_type"] == "gpt_oss"
        biases = c.family.biased if c.flag("attention_bias", default) else ""
    q, k = queries * size * (2 if c.family.hybrid else 1), keys * size
    found = []
    if c.family.fused:
        found += _layer("self_attn.qkv_proj", q + 2 * k, c.width)
    else:
        for letter, rows in (("q", q), ("k", k), ("v", k)):
            found += _layer(f"self_attn.{letter}_proj", rows, c.width, letter in biases)
    found += _layer("self_attn.o_proj", c.width, queries * size, "o" in biases)
    if c.family.head_norms or c.flag("use_qk_norm"):
        found += [Tensor(f"self_attn.{letter}_norm.weight", (size,)) for letter in "qk"]
    if c.fields["model_type"] == "gpt_oss":
        found.append(Tensor("self_attn.sinks", (queries,)))
    return found


def _latent_attention(c):
    """Return the tensors of attention whose keys and values come from one compressed vector.

    Source: DeepSeek-AI 2024, DeepSeek-V2, section 2.1 (multi-head latent attention, MLA).
    """
    if c.flag("attention_bias"):
        raise ValueError("attention_bias must be false with kv_lora_rank, got true")
    heads, latent = c.number("num_attention_heads"), c.number("kv_lora_rank")
    plain, turned = c.number("qk_nope_head_dim"), c.number("qk_rope_head_dim")
    value, low = c.number("v_head_dim"), c.fields.get("q_lora_rank")
    if low is None:
        found = _layer("self_attn.q_proj", heads * (plain + turned), c.width)
    else:
        low = c.number("q_lora_rank")
        found = _layer("self_attn.q_a_proj", low, c.width)
        found.append(Tensor("self_attn.q_a_layernorm.weight", (low,)))
        found += _layer("self_attn.q_b_proj", heads * (plain + turned), low)
    found += _layer("self_attn.kv_a_proj_with_mqa", latent + turned, c.width)
    found.append(Tensor("self_attn.kv_a_layernorm.weight", (latent,)))
    found += _layer("self_attn.kv_b_proj", heads * (plain + value), latent)
    return found + _layer("self_attn.o_proj", c.width, heads * value)


def _linear_sizes(c):
    """Return (heads of values, numbers of keys, of values, of one key, of one value, kernel)."""
    names = ("linear_num_key_heads", "linear_num_value_heads", "linear_key_head_dim",
             "linear_value_head_dim", "linear_conv_kernel_dim")  # fmt: skip
    if not c.family.hybrid:
        raise ValueError(
            f"layer_types names linear_attention, which {c.fields['model_type']} does not have"
        )
    key_heads, heads, key, value, kernel = (c.number(name) for name in names)
    return heads, key_heads * key, heads * value, key, value, kernel


def _linear_attention(c):
    """Return the tensors of a gated delta net, which keeps a state of a fixed size.

    Source: Yang et al. 2024, Gated Delta Networks; transformers, modeling_qwen3_next.py.
    """
    heads, keys, values, _, value, kernel = _linear_sizes(c)
    mixed = 2 * keys + values
    inputs = {"qkvz": mixed + values, "ba": 2 * heads}
    if c.fields["model_type"] != "qwen3_next":
        inputs = {"qkv": mixed, "z": values, "b": heads, "a": heads}
    found = [Tensor(f"linear_attn.{name}", (heads,)) for name in ("dt_bias", "A_log")]
    found.append(Tensor("linear_attn.conv1d.weight", (mixed, 1, kernel)))
    for name, rows in inputs.items():
        found += _layer(f"linear_attn.in_proj_{name}", rows, c.width)
    found.append(Tensor("linear_attn.norm.weight", (value,)))
    return found + _layer("linear_attn.out_proj", c.width, values)


def _feed_forward(name, c, within):
    """Return the tensors of a gated feed-forward part with `within` numbers inside."""
    bias = c.flag("mlp_bias")
    if c.family.fused:
        found = _layer(f"{name}.gate_up_proj", 2 * within, c.width)
    else:
        found = _layer(f"{name}.gate_proj", within, c.width, bias)
        found += _layer(f"{name}.up_proj", within, c.width, bias)
    return found + _layer(f"{name}.down_proj", c.width, within, bias)


def _experts(c):
    """Return the tensors of a layer's experts, of what chooses among them, and of shared ones."""
    count, _, within = c.experts
    turned = c.fields["model_type"] == "gpt_oss"  # its experts lie as (inputs, rows), with biases
    sizes = {"gate_up_proj": (2 * within, c.width), "down_proj": (c.width, within)}
    router, found = "mlp.router" if turned else "mlp.gate", []
    for name, (rows, inputs) in sizes.items():
        shape = (count, inputs, rows) if turned else (count, rows, inputs)
        found.append(Tensor(f"mlp.experts.{name}", shape, "experts", turned))
        if turned:
            found.append(Tensor(f"mlp.experts.{name}_bias", (count, rows)))
    found.append(Tensor(f"{router}.weight", (count, c.width)))
    if turned:
        found.append(Tensor(f"{router}.bias", (count,)))
    if c.family.offsets:
        found.append(Tensor("mlp.gate.e_score_correction_bias", (count,), c.family.offsets))
    if c.family.shared == "shared_experts":
        found += _feed_forward("mlp.shared_experts", c, within * c.number("n_shared_experts"))
    elif c.family.shared:
        found += _feed_forward("mlp.shared_expert", c, c.number("shared_expert_intermediate_size"))
        found.append(Tensor("mlp.shared_expert_gate.weight", (1, c.width)))
    return found


@dataclass(frozen=True)
class Kept:
    """What a layer keeps of a text: `values` numbers a token, of the last `window` tokens or all.

    state: bytes that it keeps however long the text is.
    """

    values: int
    window: int | None = None
    state: int = 0


def kept(config):
    """Return what each layer keeps of a text, a list of `Kept`.

    config: as for `tensors`. Keys and values of each head; with latent attention one compressed
    vector and one turned key (DeepSeek-V2, equation 9); with linear attention a state in FP32, and
    the last inputs of its convolution in 16 bits.
    """
    c = config if isinstance(config, Config) else Config(config)
    found = []
    for kind in c.kinds:
        if kind == "linear":
            heads, keys, values, key, value, kernel = _linear_sizes(c)
            found.append(Kept(0, state=4 * heads * key * value + 2 * kernel * (2 * keys + values)))
        elif c.family.latent:
            found.append(Kept(c.number("kv_lora_rank") + c.number("qk_rope_head_dim")))
        else:
            _, keys, size = c.heads
            window = c.number("sliding_window") if kind == "sliding" else None
            found.append(Kept(2 * keys * size, window))
    return found
