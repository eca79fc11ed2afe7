"""What holds a language model with its text, and how fast it can write at best.

The tensors and what is kept of a text come from the model's config.json (`quantlab.shapes`). Here
they become bytes in a format, and these a bound: to write a token, every weight that takes part in
it and all that was kept of the text before are read once.
"""

import json
import math
from collections import Counter
from dataclasses import dataclass
from functools import cache, partial

from . import _data, checkpoint, memory
from ._checks import one_of, positive, shown, whole
from .config import Config, shipped
from .shapes import Kept, Tensor, kept, tensors

__all__ = ["CACHE_BITS", "ENGINES", "FORMATS", "Device", "Kept", "Plan", "Tensor", "cache_bytes",
           "devices", "kept", "plan", "shipped", "tensor_bytes", "tensors"]  # fmt: skip

#: Bits of one number that is kept of a text, scales included (llama.cpp: an FP16 scale per 32).
CACHE_BITS = {"fp32": 32, "bf16": 16, "fp8": 8, "q8_0": 8.5, "q4_0": 4.5}
#: How many tokens of a window an engine keeps: all that attention may look at; or what transformers
#: 5.23 leaves in its DynamicCache, one less, as the next token comes with its own. llama.cpp is not
#: among them: it keeps the window and a batch of tokens more, padded to a multiple of 256.
ENGINES = {"least": 0, "transformers": -1}
#: Bits per weight of llama.cpp's blocks, and the weights of a block. Source: ggml-common.h.
BLOCKS = {"Q8_0": (8.5, 32), "Q6_K": (6.5625, 256), "Q5_K": (5.5, 256), "Q5_1": (6, 32),
          "Q5_0": (5.5, 32), "Q4_K": (4.5, 256), "Q4_0": (4.5, 32), "F16": (16, 1)}  # fmt: skip
#: What llama.cpp takes where the inputs of a layer are not made of whole blocks; then F16.
SMALLER = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
#: The files of llama.cpp that are planned, and the type that most of their layers have.
FILES = {"Q8_0": "Q8_0", "Q6_K": "Q6_K", "Q4_K_M": "Q4_K", "Q4_0": "Q4_0"}
#: The models whose Q4_K_M is known here tensor by tensor.
MIXED = ("llama", "granite", "mistral", "mixtral", "phi3", "qwen2", "qwen3", "qwen3_moe", "gemma2",
         "gemma3_text")  # fmt: skip
#: Tokens of a text, and texts at once, beyond which nobody plans.
MOST_TOKENS, MOST_TEXTS = 10**9, 10**6
PROMPT = 512  # tokens of a prompt that are computed at once, as llama.cpp does by default


def _plain(format, tensor):
    return tensor.size * memory.VALUE_BITS[format] // 8


#: What a layer takes. Embeddings, output head, norms, biases and routers stay in 16 bits; so does
#: all but the experts in "mxfp4", if there are any: gpt-oss was released so.
LAYERS = {"fp8": checkpoint.fp8, "int8": checkpoint.int8, "int4-g128": checkpoint.groups,
          "nf4": checkpoint.nf4, "nf4-nested": partial(checkpoint.nf4, nested=True),
          "mxfp4": checkpoint.mxfp4}  # fmt: skip
FORMATS = ("fp32", "bf16", *LAYERS, *FILES)
#: The row of a model whose config has a quantization_config: what its files hold as they are.
STORED = "as stored"
CODED = ("embedding", "head", "linear", "experts")  # what a file of llama.cpp has in blocks


def tensor_bytes(tensor, format, config):
    """Return the bytes of a `Tensor` in a format of `FORMATS` or `STORED`; config: its model's."""
    for name, value, kind in (("tensor", tensor, Tensor), ("config", config, Config)):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, got {shown(value)}")
    one_of("format", format, [*FORMATS, STORED])
    if format == STORED:
        return checkpoint.tensor_bytes(tensor, config)
    if format in FILES:
        bits = BLOCKS[_file_type(tensor, format, config)][0] if tensor.part in CODED else 32
        return math.ceil(tensor.size * bits / 8)
    if tensor.part == "float32":
        return 4 * tensor.size
    if format in ("fp32", "bf16"):
        return _plain(format, tensor)
    coded = "experts" if format == "mxfp4" and config.experts else "linear experts"
    return LAYERS[format](tensor.matrix) if tensor.part in coded.split() else _plain("bf16", tensor)


def _file_type(tensor, format, config):
    """Return the type that llama.cpp gives a matrix of a file.

    Source: llama.cpp 007dbbf, src/llama-quant.cpp, llama_tensor_get_type_impl and
    tensor_type_fallback.
    """
    kind = FILES[format]
    if tensor.part == "head" or (config.tied and tensor.part == "embedding"):
        kind = "Q8_0" if kind == "Q8_0" else "Q6_K"
    elif tensor.part != "embedding":
        kind = _layer_type(tensor, format, config)
    while tensor.matrix[2] % BLOCKS[kind][1]:
        kind = SMALLER.get(kind, "F16")
    return kind


def _layer_type(tensor, format, config):
    """Return the type of a layer: more bits for values, and for what goes back to the width."""
    kind, name = FILES[format], tensor.name.removesuffix(".weight").split(".")
    experts, values = config.experts, name[-1] in ("v_proj", "qkv_proj")
    if experts and experts[0] == 8 and name[-1] in ("k_proj", "v_proj"):
        return "Q8_0"
    if format != "Q4_K_M":
        return kind
    if experts and experts[0] == 8 and name[-1] == "o_proj":
        return "Q5_K"
    if (values or name[-1] == "down_proj") and more_bits(int(name[2]), config.layers):
        return "Q6_K"
    return "Q5_K" if values and _is_70b(config) else kind


def _is_70b(config):
    """Return whether llama.cpp calls a model "70B": its values are few, and get more bits."""
    queries, keys, _ = config.heads
    return config.layers == 80 and (config.fields["model_type"], queries > keys) in (
        ("llama", True), ("qwen2", True), ("qwen2", False),
    )  # fmt: skip


def more_bits(layer, layers):
    """Return whether a layer of so many gets more bits: the ends, and each third between them.

    Source: llama.cpp, src/llama-quant.cpp, use_more_bits.
    """
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


@dataclass(frozen=True)
class Device:
    """A machine: `bytes` of memory, bytes it reads a second, operations a second in 16 bits.

    What is not known is None. source: where these come from, with the year.
    """

    name: str
    bytes: float
    bandwidth: float | None = None
    flops: float | None = None
    source: str = ""


@cache
def devices():
    """Return the `Device`s whose facts come with the course, a dict by name."""
    listed = json.loads(_data.path("models/devices.json").read_text(encoding="utf-8"))
    return {
        name: Device(name, one["bytes"], one["bandwidth"], one["flops"], one["source"])
        for name, one in listed.items()
    }


def _device(given):
    """Return the `Device` of a name of `devices()` or of a number of bytes."""
    if isinstance(given, Device):
        return given
    if isinstance(given, str):
        by_name = {name.lower(): one for name, one in devices().items()}
        if given.lower() not in by_name:
            raise ValueError(
                f"device must be a number of bytes or one of {', '.join(devices())}, got {given!r}"
            )
        return by_name[given.lower()]
    return Device("a device", positive("device", given))


def cache_bytes(config, context, batch=1, format="bf16", engine="least"):
    """Return the bytes that are kept of `batch` texts of `context` tokens each.

    config: as for `plan`. format: of `CACHE_BITS`. engine: of `ENGINES`. States of linear attention
    keep their own format.

    >>> cache_bytes("Llama 3.1 8B", 1), cache_bytes("DeepSeek-V3", 1)
    (131072, 70272)
    """
    whole("context", context, 1, most=MOST_TOKENS)
    bits = CACHE_BITS[one_of("format", format, CACHE_BITS)]
    shift = ENGINES[one_of("engine", engine, ENGINES)]
    total = 0
    for layer in kept(config):
        seen = context if layer.window is None else min(context, layer.window + shift)
        total += math.ceil(seen * layer.values * bits / 8) + layer.state
    return total * whole("batch", batch, 1, most=MOST_TEXTS)


@dataclass(frozen=True)
class Plan:
    """What a model takes on a device, in bytes, and how fast it can be at best.

    parameters: of the whole model. active_parameters: that take part in one token: experts that it
    visits, one row of the embeddings. kept_parameters: embeddings, output head, norms, biases and
    routers, which formats of layers leave in 16 bits. weight_bytes: by format. cache_bytes: kept of
    all texts at their end. cache_bytes_per_token: by which it still grows then, for one text.
    activation_bytes: numbers in use while a prompt is read, at least. read_bytes: by format, for
    one more token of each text at their end. notes: sentences on what is not in the numbers.
    """

    device: Device
    context: int
    batch: int
    parameters: int
    active_parameters: int
    kept_parameters: int
    weight_bytes: dict[str, int]
    cache_bytes: int
    cache_bytes_per_token: int
    activation_bytes: int
    read_bytes: dict[str, float]
    notes: tuple[str, ...]

    @property
    def total_bytes(self):
        """Weights, what is kept of the texts, and activations: a dict by format."""
        more = self.cache_bytes + self.activation_bytes
        return {name: size + more for name, size in self.weight_bytes.items()}

    @property
    def spare_bytes(self):
        """What the device has left, below 0 where it is too small: a dict by format."""
        return {name: self.device.bytes - size for name, size in self.total_bytes.items()}

    @property
    def fits(self):
        """Whether the device holds it all: a dict by format."""
        return {name: spare >= 0 for name, spare in self.spare_bytes.items()}

    @property
    def tokens_per_second(self):
        """New tokens of all texts in a second, at most, by format; None for no known bandwidth.

        Each step reads `read_bytes`. What the device computes, or waits for, comes on top.
        """
        speed = self.device.bandwidth
        return {
            name: None if speed is None else self.batch * speed / size
            for name, size in self.read_bytes.items()
        }

    @property
    def prompt_seconds(self):
        """Seconds to read all texts, at least, or None: 2 operations per active parameter."""
        if self.device.flops is None:
            return None
        return 2 * self.active_parameters * self.context * self.batch / self.device.flops


def plan(
    config, device=24e9, context=32_768, batch=1, *, cache="bf16", engine="least", formats=None
):
    """Return the `Plan` of a model on a device: does it fit, and how fast is it at best?

    config: a config.json, its folder, a dict of its fields, or the name of one of `shipped()`.
    device: bytes, or a name of `devices()`, which has a bandwidth too. context: tokens of a text.
    batch: texts at once. cache: the format of what is kept of them, of `CACHE_BITS`. engine: of
    `ENGINES`. formats: of weights, which are planned; None: all of `FORMATS`, and before them
    `STORED` where the config has a quantization_config. A device of 24e9 bytes is meant to be
    free: a desktop and the GPU's own programs take some hundred megabytes of a card.
    Raises ValueError and TypeError that name the field or argument which is wrong or not known.
    Sources: `config.FAMILIES` for tensors; Pope et al. 2022, Efficiently Scaling Transformer
    Inference, section 2, for the bound of bytes that are read.

    >>> plan("Llama 3.1 8B").fits["bf16"], plan("Llama 3.1 8B", context=8192).fits["bf16"]
    (True, True)
    """
    config = Config(config)
    machine, batch = _device(device), whole("batch", batch, 1, most=MOST_TEXTS)
    whole("context", context, 1, most=MOST_TOKENS - 1)
    all_tensors = tensors(config)
    stored = cache_bytes(config, context, batch, one_of("cache", cache, CACHE_BITS), engine)
    further = cache_bytes(config, context + 1, 1, cache, engine)
    sizes, reads = {}, {}
    for name in _planned(config, formats):
        if name != "Q4_K_M" or config.fields["model_type"] in MIXED:
            each = [(t, tensor_bytes(t, name, config)) for t in all_tensors]
            sizes[name] = sum(size for _, size in each)
            reads[name] = stored + sum(size * _share(t, config, batch) for t, size in each)
    left = [t for t in all_tensors if t.part not in ("linear", "experts")]
    return Plan(
        device=machine,
        context=context,
        batch=batch,
        parameters=sum(t.size for t in all_tensors),
        active_parameters=round(sum(t.size * _share(t, config, 1) for t in all_tensors)),
        kept_parameters=sum(t.size for t in left),
        weight_bytes=sizes,
        cache_bytes=stored,
        cache_bytes_per_token=further - cache_bytes(config, context, 1, cache, engine),
        activation_bytes=_activation_bytes(config, all_tensors, context, batch),
        read_bytes=reads,
        notes=tuple(_notes(config, context)),
    )


def _planned(config, formats):
    """Return the names of the formats to plan for; None: all that the config allows."""
    known = (STORED, *FORMATS) if checkpoint.stored(config) else FORMATS
    if formats is None:
        return known
    if not isinstance(formats, (list, tuple)):
        raise TypeError(f"formats must be a list of {', '.join(known)}, got {shown(formats)}")
    return [one_of("formats", name, known) for name in formats]


def _share(tensor, config, batch):
    """Return the part of a tensor that is read to write a token of each of `batch` texts.

    The experts of a token are taken as drawn at random, each as likely as any other.
    """
    if tensor.part == "embedding" and not config.tied:
        return min(1, batch / tensor.shape[0])
    if tensor.part == "experts":
        count, visited, _ = config.experts
        return 1 - (1 - visited / count) ** batch
    return 1


def _activation_bytes(config, all_tensors, context, batch):
    """Return the least that is in use while prompts are read, with attention in one kernel.

    `PROMPT` tokens at a time in 16 bits: what stands between two layers, the same after its norm,
    and the outputs of all linear layers in the attention or in the feed-forward part of a layer,
    whichever is wider. And in FP32 the logits of each text's last token.
    """
    wide = Counter()
    for tensor in all_tensors:
        if tensor.part in ("linear", "experts"):
            copies = config.experts[1] if tensor.part == "experts" else 1
            wide[tuple(tensor.name.split(".")[2:4])] += copies * tensor.matrix[1]
    tokens = batch * min(context, PROMPT)
    width = 2 * config.width + max(wide.values())
    return 2 * tokens * width + 4 * batch * config.number("vocab_size")


def _notes(config, context):
    """Yield what the numbers leave out, a sentence each."""
    settings = checkpoint.stored(config)
    if settings:
        yield (
            f"quantization_config: the files hold codes of {checkpoint.method_of(settings)}; "
            f"{STORED!r} is what these take, every other format what the model would take if it "
            "were rounded anew."
        )
    longest = config.number("max_position_embeddings", context)
    if context > longest:
        yield f"max_position_embeddings is {longest:,}: the model never saw {context:,} tokens."
    if config.fields.get("num_nextn_predict_layers"):
        yield (
            "num_nextn_predict_layers: its layers, which guess further tokens, are in the released "
            "files and not in these numbers; transformers does not load them."
        )
    if config.experts:
        yield (
            "int8 and nf4 are counted with the experts in few bits; bitsandbytes 0.50, called by "
            "transformers 5, leaves fused experts in 16 bits."
        )
    if config.fields["model_type"] not in MIXED:
        yield f"Q4_K_M: llama.cpp's rules for {config.fields['model_type']} are not known here."
