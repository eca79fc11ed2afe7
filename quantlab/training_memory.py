"""What one step of training takes, part by part, from a model's config.json and a method.

Memory is counted as PyTorch fills it on a CPU: at the largest of two moments of a step. When the
backward pass begins, all activations are there and no gradient; when the optimizer steps, all
gradients are there and no activation.
"""

from dataclasses import dataclass, fields

from . import fit
from ._checks import one_of, whole
from .config import Config
from .fit import MOST_TEXTS, MOST_TOKENS
from .shapes import tensors

__all__ = ["METHODS", "MODELS", "Method", "Plan", "adapter_size", "kept_per_token", "plan"]

FP32, BF16 = 4, 2  # bytes of a number
MOST_RANK = 10**6


@dataclass(frozen=True)
class Method:
    """How a model is trained: `weights`, a format of `fit.FORMATS`; `number`, bytes of a number
    that passes between layers; `adapters`, whether these alone are trained, and not all weights.
    """

    weights: str
    number: int
    adapters: bool = True


#: The methods by name. "qlora" has NF4 with double quantization, "qlora-single" without.
METHODS = {
    "full-fp32": Method("fp32", FP32, adapters=False),
    "full-bf16": Method("bf16", BF16, adapters=False),
    "lora-fp32": Method("fp32", FP32),
    "lora-bf16": Method("bf16", BF16),
    "lora-int8": Method("int8", BF16),
    "qlora-single": Method("nf4", BF16),
    "qlora": Method("nf4-nested", BF16),
}
#: The models whose layers keep what is counted here: two norms, attention, SiLU of a gate.
MODELS = ("llama", "mistral", "qwen2")


@dataclass(frozen=True)
class Parts:
    """Bytes of a step of training by part.

    weights: as they are stored. adapters: the thin matrices, in FP32. gradients: of what is
    trained. states: the two means of Adam, each as large as what is trained. activations: what the
    forward pass keeps for the backward pass. logits: those of all tokens, three times in FP32 when
    the loss is computed. step: what Adam needs for a moment.
    """

    weights: int
    adapters: int
    gradients: int
    states: int
    activations: int
    logits: int
    step: int

    @property
    def parts(self):
        """Bytes by part, a dict: all but `step`."""
        return {one.name: getattr(self, one.name) for one in fields(Parts) if one.name != "step"}


@dataclass(frozen=True)
class Plan(Parts):
    """What a step of training takes by a method of `METHODS`."""

    method: str

    @property
    def peak(self):
        """The most that is in use at once: gradients come when activations have gone."""
        moments = self.activations + self.logits, self.gradients + self.step
        return self.weights + self.adapters + self.states + max(moments)


def plan(config, method="qlora", rank=8, batch=4, window=256):
    """Return the `Plan` of a step of training with Adam.

    config: a config.json, its folder, a dict of its fields, or a name of `fit.shipped()`; of the
    `MODELS`. method: of `METHODS`. rank: of the two thin matrices beside each linear layer of the
    body. batch: windows at a step, of `window` tokens each. Nothing is computed twice to save
    memory (gradient checkpointing), and attention is one kernel that keeps no table of tokens by
    tokens. Outlier columns of "lora-int8", which depend on the text, are not counted, nor what a
    GPU's own libraries take.
    Raises ValueError and TypeError that name the field or argument which is wrong or not known.
    Sources: Kingma and Ba 2015, Adam, algorithm 1, for two means; Hu et al. 2021, LoRA, section
    4.1; Dettmers et al. 2023, QLoRA, section 2; transformers 5.23, modeling_llama.py.

    >>> plan("Llama 2 7B", "full-bf16").peak // 10**9, plan("Llama 2 7B").peak // 10**9
    (54, 13)
    """
    config, how = _checked(config, method)
    rank = whole("rank", rank, 1, most=MOST_RANK)
    tokens = whole("batch", batch, 1, most=MOST_TEXTS)
    tokens *= whole("window", window, 2, most=MOST_TOKENS)
    found = tensors(config)
    thin = adapter_size(config, rank) * FP32
    sizes = [one.size * how.number for one in found]
    if how.adapters:
        sizes = [FP32 * rank * max(one.shape) for one in found if one.part == "linear"]
    trained = thin if how.adapters else sum(sizes)
    return Plan(
        method=method,
        weights=sum(fit.tensor_bytes(one, how.weights, config) for one in found),
        adapters=thin if how.adapters else 0,
        gradients=trained,
        states=2 * trained,
        activations=tokens * _kept_in_all(config, how, rank),
        logits=tokens * 3 * FP32 * config.number("vocab_size"),
        step=2 * max(sizes),
    )


def adapter_size(config, rank=8):
    """Return how many numbers the thin matrices have: rank · (inputs + outputs) of each layer.

    config: as for `plan`.

    >>> adapter_size("Llama 2 7B", rank=8)
    19988480
    """
    rank = whole("rank", rank, 1, most=MOST_RANK)
    return sum(rank * sum(one.shape) for one in tensors(config) if one.part == "linear")


def kept_per_token(config, method="qlora", rank=8):
    """Return the bytes that one layer keeps of one token for the backward pass, a dict by place.

    A product x · y keeps x where y has a gradient, and y where x has one; a sum keeps nothing. So
    a frozen layer keeps no input, and an adapter beside it does. Beside 16 bits peft turns the
    input of each adapter to FP32, a copy for each. config, method, rank: as for `plan`.
    """
    config, how = _checked(config, method)
    return _kept(config, how, whole("rank", rank, 1, most=MOST_RANK))


def _kept(c, how, rank):
    """Return what `kept_per_token` does, of arguments that are checked."""
    heads, groups, size = c.heads
    d, m, number = c.width, c.number("intermediate_size"), how.number
    queries, keys = heads * size, groups * size
    found = {
        "norms": 2 * FP32 * (d + 1),  # their inputs, and 1 / root mean square, both in FP32
        "attention": number * (2 * queries + 2 * keys) + FP32 * heads,  # q, result, k, v; log sums
        "feed-forward": number * 3 * m,  # gate, its SiLU, and what they are multiplied by
    }
    if not how.adapters:
        found["gains"] = number * 2 * d  # normed, before each norm's own weights
    if not how.adapters or how.weights == "int8":
        found["inputs"] = number * (2 * d + m)  # of q, k, v; of gate and up; of down
    if how.adapters:
        each = 2 * d + m if number == FP32 else 5 * d + queries + m
        found["adapter inputs"] = FP32 * each
        found["between A and B"] = FP32 * 7 * rank
    return found


def _kept_in_all(c, how, rank):
    """Return the bytes that all layers and the last norm keep of a token."""
    d, total = c.width, c.layers * sum(_kept(c, how, rank).values())
    last = FP32 * (d + 1)
    if how.adapters:  # before the first adapter there is nothing to find a gradient for
        first = FP32 * (d + 1) + (how.number * d if how.weights == "int8" else 0)
        return total + last - first
    return total + last + 2 * how.number * d  # its normed input, and the head's input


def _checked(config, method):
    """Return a `Config` of a model whose layers are known here, and the `Method`."""
    config = config if isinstance(config, Config) else Config(config)
    one_of("model_type", config.fields["model_type"], MODELS)
    return config, METHODS[one_of("method", method, METHODS)]
