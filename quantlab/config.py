"""The config.json of a language model, read field by field, and the families that are known.

A `model_type` that is not in `FAMILIES` is refused, and so is a field that changes what a model
holds in a way that is not known here. What is made of the fields stands in `quantlab.shapes`.
"""

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from . import _data
from ._checks import one_of, shown, whole


@dataclass(frozen=True)
class Family:
    """What models of one `model_type` have in common, whatever their config says.

    bias: the projections of q, k, v, o that have one; None: those of `biased` if `attention_bias`
    is set. norms: of each layer. head_norms: queries and keys have them. latent: one compressed
    vector serves all heads (MLA). hybrid: most layers have linear attention, the others a gate
    beside the queries. fused: q, k and v are one tensor, gate and up another. experts: layers have
    them. shared: those that every token visits. offsets: what a router adds for each expert, in the
    "rest" of 16 bits or in "float32".
    window: the layers that look at a part of the text, where `layer_types` does not say it: "all",
    "upper" (from `max_window_layers` on), or all but each n-th. tied: embeddings are the output
    head, where `tie_word_embeddings` does not say it.
    """

    bias: str | None = ""
    biased: str = "qkvo"
    norms: tuple[str, ...] = ("input", "post_attention")
    head_norms: bool = False
    latent: bool = False
    hybrid: bool = False
    fused: bool = False
    experts: bool = False
    shared: str = ""
    offsets: str = ""
    window: str | int = ""
    tied: bool = False


_GEMMA = {"bias": None, "tied": True,
          "norms": ("input", "post_attention", "pre_feedforward", "post_feedforward")}  # fmt: skip
_NEXT = {"bias": None, "head_norms": True, "hybrid": True}
_SHARED = {"experts": True, "shared": "shared_experts"}
#: The families by `model_type`. Source: transformers 5.23, the modeling file of each.
FAMILIES = {
    "llama": Family(None),
    "granite": Family(None),
    "mistral": Family(window="all"),
    "mixtral": Family(experts=True, window="all"),
    "phi3": Family(fused=True, window="all"),
    "qwen2": Family("qkv", window="upper"),
    "qwen3": Family(None, head_norms=True, window="upper"),
    "qwen3_moe": Family(None, head_norms=True, experts=True, window="all"),
    "qwen3_next": Family(**_NEXT, experts=True, shared="shared_expert"),
    "qwen3_5_text": Family(**_NEXT),
    "qwen3_5_moe_text": Family(**_NEXT, experts=True, shared="shared_expert"),
    "gemma2": Family(**_GEMMA, window=2),
    "gemma3_text": Family(**_GEMMA, head_norms=True, window=6),
    "deepseek_v2": Family(latent=True, **_SHARED),
    "deepseek_v3": Family(latent=True, offsets="rest", **_SHARED),
    "glm4_moe": Family(None, "qkv", offsets="float32", **_SHARED),
    "glm4_moe_lite": Family(latent=True, offsets="float32", **_SHARED),
    "gpt_oss": Family(None, experts=True, window=2),
}
#: Fields that add tensors, and the property of a family without which nothing here counts them.
ONLY_WITH = {
    "num_experts": "experts", "num_local_experts": "experts", "n_routed_experts": "experts",
    "moe_intermediate_size": "experts", "n_shared_experts": "experts",
    "shared_expert_intermediate_size": "hybrid", "linear_num_value_heads": "hybrid",
    "kv_lora_rank": "latent", "q_lora_rank": "latent", "lm_head_bias": "", "vision_config": "",
    "audio_config": "", "is_encoder_decoder": "", "index_topk": "", "num_kv_shared_layers": "",
    "hidden_size_per_layer_input": "", "attention_k_eq_v": "", "enable_moe_block": "",
    "use_double_wide_mlp": "", "state_size": "", "mamba_d_state": "", "cross_attention_layers": "",
}  # fmt: skip
KINDS = {"full_attention": "full", "sliding_attention": "sliding", "linear_attention": "linear"}


#: No field of a model is larger, and no model has more layers: such a config is damaged.
MOST, MOST_LAYERS = 10**12, 10**5


class Config:
    """The fields of a config.json, each checked when it is asked for.

    given: a config.json, its folder, a dict of its fields, or the name of one of `shipped()`.
    Raises ValueError, and TypeError for the wrong kind, that name the field.
    """

    def __init__(self, given):
        fields = read(given)
        if "text_config" in fields:
            raise ValueError(
                "text_config: this model reads more than text; pass that part alone, as a dict or "
                "a file of its own. What the other parts take is not counted here"
            )
        self.fields = fields
        self.family = FAMILIES[one_of("model_type", fields.get("model_type", ""), FAMILIES)]
        for name, needed in ONLY_WITH.items():
            if fields.get(name) and not getattr(self.family, needed, False):
                raise ValueError(
                    f"{name} is {str(fields[name])[:40]}, and what it adds to a model of the type "
                    f"{fields['model_type']} is not known here, so nothing would be counted right"
                )

    def number(self, name, otherwise=None, low=1, most=MOST):
        """Return a field as a whole number; `otherwise` where it is missing or null."""
        value = self.fields.get(name)
        value = otherwise if value is None else value
        if value is None:
            raise ValueError(f"the config has no {name}, and its model can't be counted without it")
        return whole(name, value, low, most=most)

    def flag(self, name, otherwise=False):
        """Return a field as True or False; `otherwise` where it is missing or null."""
        value = self.fields.get(name)
        value = otherwise if value is None else value
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be true or false, got {value!r}")
        return value

    def listed(self, name, length, allowed):
        """Return a field as a list with one of `allowed` per layer; None where it is missing."""
        value = self.fields.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != length:
            raise ValueError(f"{name} must be a list of {length}, one per layer, got {value!r:.60}")
        return [one_of(f"{name}[{i}]", one, allowed) for i, one in enumerate(value)]

    @property
    def layers(self):
        """How many layers there are."""
        return self.number("num_hidden_layers", most=MOST_LAYERS)

    @property
    def width(self):
        """Numbers that stand for a token between two layers."""
        return self.number("hidden_size")

    @property
    def heads(self):
        """(heads of queries, heads of keys and values, numbers of a head)."""
        queries = self.number("num_attention_heads")
        keys = self.number("num_key_value_heads", queries)
        if queries % keys:
            raise ValueError(f"num_key_value_heads must divide {queries} heads, got {keys}")
        if self.fields.get("head_dim") is None and self.width % queries:
            raise ValueError(
                f"num_attention_heads must divide hidden_size {self.width} where there is no "
                f"head_dim, got {queries}"
            )
        return queries, keys, self.number("head_dim", self.width // queries)

    @property
    def tied(self):
        """Whether the embeddings are the output head too."""
        return self.flag("tie_word_embeddings", self.family.tied)

    @property
    def experts(self):
        """(experts of a layer, those that a token visits, numbers within one), or None."""
        if not self.family.experts:
            return None
        names = ("num_experts", "num_local_experts", "n_routed_experts")
        name = next((n for n in names if self.fields.get(n) is not None), names[0])
        count, visited = self.number(name), self.number("num_experts_per_tok")
        if visited > count:
            raise ValueError(f"num_experts_per_tok must be at most {count} ({name}), got {visited}")
        plain = self.fields["model_type"] in ("mixtral", "gpt_oss")
        within = self.number("intermediate_size" if plain else "moe_intermediate_size")
        return count, visited, within

    @property
    def sparse(self):
        """For each layer, whether it has experts."""
        count = range(self.layers)
        if self.experts is None:
            return [False for _ in count]
        if kinds := self.listed("mlp_layer_types", self.layers, ("dense", "sparse")):
            return [kind == "sparse" for kind in kinds]
        if self.family.shared == "shared_experts":
            if self.number("moe_layer_freq", 1) != 1:
                raise ValueError(f"moe_layer_freq must be 1, got {self.fields['moe_layer_freq']}")
            return [i >= self.number("first_k_dense_replace", low=0) for i in count]
        dense, step = self.fields.get("mlp_only_layers"), self.number("decoder_sparse_step", 1)
        if dense is not None and not isinstance(dense, list):
            raise TypeError(f"mlp_only_layers must be a list of layers, got {dense!r}")
        return [i not in (dense or ()) and (i + 1) % step == 0 for i in count]

    @property
    def kinds(self):
        """For each layer what it looks at: "full", "sliding" (a window) or "linear"."""
        if kinds := self.listed("layer_types", self.layers, KINDS):
            return [KINDS[kind] for kind in kinds]
        window, count = self.family.window, range(self.layers)
        if self.family.hybrid:
            step = self.number("full_attention_interval", 4)
            return ["linear" if (i + 1) % step else "full" for i in count]
        if window == "upper" and self.flag("use_sliding_window"):
            first = self.number("max_window_layers", 0, low=0)
            return ["sliding" if i >= first else "full" for i in count]
        if isinstance(window, int):
            step = self.number("sliding_window_pattern", window)
            return ["sliding" if (i + 1) % step else "full" for i in count]
        used = self.flag("use_sliding_window", self.fields["model_type"] != "qwen3_moe")
        cut = window == "all" and used and self.fields.get("sliding_window") is not None
        return ["sliding" if cut else "full" for _ in count]


@cache
def shipped():
    """Return the shapes of released models that come with the course, a dict by name.

    Each has its "config", and the "source" and "date" of what it says.
    """
    return json.loads(_data.path("models/shapes.json").read_text(encoding="utf-8"))


def read(config):
    """Return the fields of a config: of a dict, a config.json, its folder, or a shipped name."""
    if isinstance(config, dict):
        return config
    if not isinstance(config, (str, Path)):
        raise TypeError(f"config must be a dict of fields, a path or a name, got {shown(config)}")
    names = {_letters(name): name for name in shipped()}
    given = Path(config).expanduser()
    try:
        path = given / "config.json" if given.is_dir() else given
        there = path.is_file()
    except OSError:  # too long for a path
        path, there = given, False
    if not there:
        if _letters(str(config)) in names:
            return shipped()[names[_letters(str(config))]]["config"]
        if path != given:
            raise ValueError(f"config: the folder {shown(str(config))} has no config.json in it")
        near = get_close_matches(str(config)[:99], shipped(), 5, 0)
        raise ValueError(
            f"config must be a config.json, its folder, a dict of its fields or a name of "
            f"ql.fit.shipped(), such as {', '.join(near)}; there is no {shown(str(config))}"
        )
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a config.json: it holds no JSON ({error})") from error
    if not isinstance(fields, dict):
        raise TypeError(f"the config in {path} must be a dict of fields, got {shown(fields)}")
    return fields


def _letters(name):
    """Return the letters and digits of a name, by which it is found."""
    return "".join(letter for letter in name.lower() if letter.isalnum() or letter == ".")
