"""Write a model as one GGUF file, which llama.cpp runs: what it holds, and in which types."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import gguf as blocks
from .._checks import finite_array, one_of, shown
from ..fit import more_bits
from . import given
from .files import path_of
from .online import check_ordinary
from .writing import beside

#: Types that are floats as they are. The others are blocks, which the core encodes.
FLOATS = {"F32": np.float32, "F16": np.float16}
#: What `export_gguf` takes: the type of the linear layers, and llama.cpp's name for such a file.
#: It has none for "all of them Q4_K": its Q4_K_S has some Q5_K, which is not served here.
TYPES = {
    "F32": ("F32", "ALL_F32"),
    "F16": ("F16", "MOSTLY_F16"),
    "Q8_0": ("Q8_0", "MOSTLY_Q8_0"),
    "Q6_K": ("Q6_K", "MOSTLY_Q6_K"),
    "Q4_K_M": ("Q4_K", "MOSTLY_Q4_K_M"),
    "Q4_K": ("Q4_K", "MOSTLY_Q4_K_S"),
    "Q4_0": ("Q4_0", "MOSTLY_Q4_0"),
    "IQ4_NL": ("IQ4_NL", "MOSTLY_IQ4_NL"),
    "MXFP4": ("MXFP4", "MOSTLY_MXFP4_MOE"),
}
#: transformers' model types, and llama.cpp's name of the architecture that computes the same.
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2"}
#: Frequencies of the rotary embedding that do not depend on the text, nor scale its products.
ROPES = {"llama": ("default", "linear", "llama3"), "qwen2": ("default",)}

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
    r"\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: How a tokenizer cuts a text before it merges bytes, and whether it takes a whole piece that is a
#: token without merging; and llama.cpp's name for that. From its llama-vocab.cpp: llama.cpp has
#: some fifty names; its converter knows a released tokenizer by what it makes of one sentence.
PRE_TOKENIZERS = {
    (("words",), False): "gpt-2",
    (("digits", "words"), False): "smollm",
    ((_WORDS % "{1,3}", "bytes"), True): "llama-bpe",
    ((_WORDS % "", "bytes"), False): "qwen2",
}


@dataclass(frozen=True)
class GGUFFile:
    """A GGUF file, as read back from the disk.

    bytes: its size. bits_per_weight: of the linear layers, scales included, as
    `Model.bits_per_weight` counts them. tensors: the names of its tensors by their type. What takes
    a path, such as `run_gguf`, takes this.
    """

    path: Path
    bytes: int
    bits_per_weight: float
    tensors: dict[str, tuple[str, ...]]

    def __fspath__(self):
        return str(self.path)


def export_gguf(model, path, type="Q4_K", importance=None):
    """Write a model and its tokenizer into one file that llama.cpp runs; return its `GGUFFile`.

    path: of a new file, in a folder that is there; it appears when all of it is written. type: of
    the linear layers: F32, F16, Q8_0, Q6_K, Q4_K, Q4_0, IQ4_NL, MXFP4, or "Q4_K_M", llama.cpp's
    mix: Q4_K, but Q6_K for attn_v and ffn_down in about half of the layers. importance: a dict from
    names of linear layers, as `model.linears()` has them, to the mean squares of their inputs, an
    array (in_features,): errors count by it. A layer that it does not name is encoded without.
    What is not a linear layer is as llama.cpp has it: norms and biases are F32; the output head,
    and embeddings that are also the head, are Q6_K in a file of 4 bits. A width that is not a
    multiple of 256 takes Q8_0 for Q4_K and Q6_K (llama.cpp: Q5_0 for Q4_K), and one that is not a
    multiple of 32 takes F16. The rows of q and k of the llama architecture are put in the order in
    which llama.cpp's rotary embedding pairs them.
    Raises ValueError for an architecture or a tokenizer that is not served, FileExistsError for a
    file that is there, FileNotFoundError without a folder to put it in, ImportError without the
    package gguf, and OSError where the disk is full; then nothing is written.
    Source: llama.cpp, convert_hf_to_gguf.py for the contents, llama-quant.cpp for the types.
    """
    one_of("type", type, TYPES)
    path = _free(path)
    given.model("model", model)
    check_ordinary(model, "a GGUF file")
    need("gguf", "writing a GGUF file")
    architecture = _architecture(model)
    vocabulary = _vocabulary(model)
    tensors = _tensors(model, architecture, type, _checked(importance, model))
    with beside(path) as place:
        whole = place / path.name
        _write(whole, model, architecture, type, vocabulary, tensors)
        whole.rename(path)
    return read(path)


def read(path):
    """Return the `GGUFFile` of a file, read off its list of tensors."""
    need("gguf", "reading a GGUF file")
    import gguf

    path = Path(path)
    tensors, bits, weights = {}, 0, 0
    for tensor in gguf.GGUFReader(path).tensors:
        kind = tensor.tensor_type.name
        tensors[kind] = (*tensors.get(kind, ()), tensor.name)
        if tensor.name.startswith("blk.") and len(tensor.shape) > 1:
            bits += 8 * int(tensor.n_bytes)
            weights += int(tensor.n_elements)
    return GGUFFile(path, path.stat().st_size, bits / weights, tensors)


def need(package, what):
    """Raise ImportError, with what to do, where a package of the extra `gguf` is not installed."""
    import importlib

    try:
        importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"{what} needs {package}: run  pip install gguf xllamacpp  and restart the kernel"
        ) from error


def _free(path):
    """Return the absolute path of a file that can be written."""
    path = path_of("path", path)
    if path.exists():
        raise FileExistsError(f"{path} is there already: name a new file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to put {path.name} into")
    return path


def _architecture(model):
    """Return llama.cpp's name for the architecture of a model; refuse what it computes unlike."""
    import torch

    config = model.network.config
    name = ARCHITECTURES.get(config.model_type)
    if name is None:
        raise ValueError(
            f"export_gguf writes models of the types {', '.join(ARCHITECTURES)}; "
            f"{model.name or 'the model'} is {config.model_type}"
        )
    rope = config.rope_parameters["rope_type"]
    if rope not in ROPES[name]:
        raise ValueError(
            f"export_gguf writes {config.model_type} with rotary embeddings of the types "
            f"{', '.join(ROPES[name])}; {model.name or 'the model'} has {rope}"
        )
    if config.hidden_act != "silu":
        raise ValueError(
            f"llama.cpp computes {name} with silu; {model.name or 'the model'} has "
            f"{config.hidden_act}"
        )
    coded = [n for n, p in model.network.named_parameters() if not torch.is_floating_point(p)]
    if coded:
        raise ValueError(
            f"{coded[0]} holds codes of {model.quantization}, and a GGUF file is made from "
            "weights: load the model with quantization='bf16'"
        )
    return name


def _checked(importance, model):
    """Return an importance matrix by the names of torch's weights; refuse what fits no layer."""
    sizes = {name: layer.in_features for name, layer in model.linears()}
    found, importance = {}, {} if importance is None else importance
    if not isinstance(importance, dict):
        raise TypeError(f"importance must be a dict by names of layers, got {shown(importance)}")
    for name, values in importance.items():
        if name not in sizes:
            raise ValueError(f"importance names {name!r}, which is no linear layer of the model")
        values = finite_array(f"importance of {name}", values).astype(np.float32)
        if values.shape != (sizes[name],):
            raise ValueError(
                f"importance of {name} must have the shape ({sizes[name]},), one number for each "
                f"input, got {values.shape}"
            )
        found[f"{name}.weight"] = values
    return found


@dataclass(frozen=True)
class _Tensor:
    """A tensor of the file: its name there, the torch tensor it comes from, heads to permute."""

    name: str
    source: object
    type: str
    heads: int = 0
    importance: np.ndarray | None = None

    def values(self):
        """Return its numbers, (rows, columns) or (columns,), in the order that llama.cpp reads."""
        x = self.source.detach().float().cpu().numpy()
        if not self.heads:
            return x
        # transformers pairs component i of a head with i + half, llama.cpp neighbours.
        pairs = x.reshape(self.heads, 2, len(x) // self.heads // 2, *x.shape[1:])
        return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(x.shape)

    @property
    def row_bytes(self):
        """The bytes that a row takes in the file."""
        width = self.source.shape[-1]
        if self.type in FLOATS:
            return width * np.dtype(FLOATS[self.type]).itemsize
        kind = blocks.TYPES[self.type]
        return width // kind.values * kind.bytes

    def encoded(self):
        """Return its bytes: (rows, bytes) or (bytes,)."""
        x = self.values()
        if self.type not in FLOATS:
            return blocks.encode(x, self.type, importance=self.importance)
        if np.abs(x).max(initial=0) > np.finfo(FLOATS[self.type]).max:
            raise ValueError(
                f"{self.name} has values up to {np.abs(x).max():.3g}: F16 ends at 65504"
            )
        return x.astype(FLOATS[self.type]).view(np.uint8)


def _tensors(model, architecture, type, importance):
    """Return every tensor of the file, in the order of the network."""
    import gguf

    config = model.network.config
    layers = config.num_hidden_layers
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], layers)
    weights = dict(model.network.named_parameters())  # each once, so no head where it is tied
    tied = not any(name.startswith("lm_head.") for name in weights)
    heads = {}
    if architecture == "llama":
        heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    found = []
    for source, tensor in weights.items():
        name = names.get_name(source, try_suffixes=(".weight", ".bias"))
        kind = "F32" if tensor.ndim < 2 else tensor_type(name, type, layers, tied)
        part = name.split(".")[-2]
        found.append(
            _Tensor(
                name,
                tensor,
                kind if tensor.ndim < 2 else _fitting(kind, tensor.shape[-1]),
                heads.get(part, 0),
                importance.get(source),
            )
        )
    return found + _frequencies(model.network)


def tensor_type(name, type, layers, tied):
    """Return the type that a matrix of a file gets in llama.cpp's mixes.

    name: llama.cpp's, as "blk.0.attn_v.weight". type: a key of `TYPES`. layers: how many the model
    has. tied: whether the embeddings are the output head too.
    Source: llama.cpp, llama-quant.cpp, llama_tensor_get_type. For a model of 80 layers and for
    Q4_0 with an importance matrix it also has types that are not served here.

    >>> [tensor_type(f"blk.{i}.ffn_down.weight", "Q4_K_M", 4, True) for i in range(4)]
    ['Q4_K', 'Q4_K', 'Q6_K', 'Q6_K']
    """
    usual, _ = TYPES[type]
    if name == "output.weight" or (tied and name == "token_embd.weight"):
        if usual in FLOATS or usual == "Q8_0":
            return usual
        return "Q8_0" if usual == "MXFP4" else "Q6_K"
    block, _, part = name.removeprefix("blk.").partition(".")
    mixed = type == "Q4_K_M" and part in ("attn_v.weight", "ffn_down.weight")
    return "Q6_K" if mixed and more_bits(int(block), layers) else usual


def _fitting(kind, width):
    """Return the type, or the next one whose blocks divide a width."""
    if kind in FLOATS or width % blocks.TYPES[kind].values == 0:
        return kind
    return "Q8_0" if width % 32 == 0 else "F16"


def _frequencies(network):
    """Return what llama.cpp divides the frequencies of the rotary embedding by, if anything."""
    import torch

    rope = network.config.rope_parameters
    if rope["rope_type"] == "default":
        return []
    used = network.base_model.rotary_emb.inv_freq.double().cpu()
    plain = rope["rope_theta"] ** -(torch.arange(len(used)).double() / len(used))
    return [_Tensor("rope_freqs.weight", plain / used, "F32")]


def _write(path, model, architecture, type, vocabulary, tensors):
    """Write the header, the hyperparameters, the tokenizer and the tensors, one after another."""
    import gguf

    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(Path(model.name).name or architecture)
    writer.add_file_type(gguf.LlamaFileType[TYPES[type][1]])
    if TYPES[type][0] not in FLOATS:
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _write_settings(writer, model.network.config)
    _write_vocabulary(writer, model.tokenizer, vocabulary)
    for tensor in tensors:
        shape = (*tensor.source.shape[:-1], tensor.row_bytes)
        kind = gguf.GGMLQuantizationType[tensor.type]
        size = int(np.prod(shape))
        writer.add_tensor_info(tensor.name, shape, np.dtype(np.uint8), size, raw_dtype=kind)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in tensors:
            writer.write_tensor_data(tensor.encoded())
    finally:
        writer.close()


def _write_settings(writer, config):
    """Write the hyperparameters: all that llama.cpp needs to compute as transformers does."""
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    # llama.cpp's llama has no sliding window: up to its end it reads a text as one that has.
    window = getattr(config, "sliding_window", None) or config.max_position_embeddings
    writer.add_context_length(min(window, config.max_position_embeddings))
    writer.add_vocab_size(config.vocab_size)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])


def _vocabulary(model):
    """Return (pre-tokenizer, tokens, their types, merges) of a byte-level BPE tokenizer.

    Rows of the embeddings that no token has are called [PAD...], as llama.cpp's converter does.
    """
    from gguf import TokenType

    described = _described(model)
    pre = _pre_tokenizer(described)
    known = {
        index: (token, TokenType.NORMAL) for token, index in described["model"]["vocab"].items()
    }
    for added in described["added_tokens"]:
        kind = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
        known[added["id"]] = added["content"], kind
    rows = model.network.config.vocab_size
    if max(known) >= rows:
        raise ValueError(f"the tokenizer has token {max(known)}, the model only {rows} embeddings")
    pairs = [known.get(i, (f"[PAD{i}]", TokenType.UNUSED)) for i in range(rows)]
    merges = [
        pair if isinstance(pair, str) else " ".join(pair) for pair in described["model"]["merges"]
    ]
    return pre, [token for token, _ in pairs], [kind for _, kind in pairs], merges


def _described(model):
    """Return what a tokenizer consists of, a dict; refuse one that is not byte-level BPE."""
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    described = json.loads(backend.to_str()) if backend else {"model": {"type": "unknown"}}
    kind = described["model"]["type"]
    if kind != "BPE" or "ByteLevel" not in json.dumps(described.get("pre_tokenizer")):
        raise ValueError(
            "export_gguf writes byte-level BPE tokenizers; that of "
            f"{model.name or 'the model'} is {kind} of another kind"
        )
    return described


def _pre_tokenizer(described):
    """Return llama.cpp's name for how a tokenizer cuts texts; refuse what has none here."""
    pre = described["pre_tokenizer"]
    steps = pre["pretokenizers"] if pre["type"] == "Sequence" else [pre]
    cuts = tuple(_cut(step) for step in steps)
    name = PRE_TOKENIZERS.get((cuts, bool(described["model"].get("ignore_merges"))))
    # llama.cpp does not compose accents, as the NFC of Qwen's tokenizer does: texts mostly are.
    normalizer = (described["normalizer"] or {}).get("type")
    if name is None or normalizer not in ((None, "NFC") if name == "qwen2" else (None,)):
        known = ", ".join(PRE_TOKENIZERS.values())
        raise ValueError(
            f"export_gguf knows byte-level tokenizers that cut texts as {known} do; this one cuts "
            f"by {', '.join(map(str, cuts))}, after the normalizer {normalizer}"
        )
    return name


def _cut(step):
    """Return a step of a pre-tokenizer in a word, or its regular expression."""
    kind = step["type"]
    if kind == "Digits" and step["individual_digits"]:
        return "digits"
    if kind == "ByteLevel" and not step["add_prefix_space"]:
        return "words" if step["use_regex"] else "bytes"
    if kind == "Split" and step["behavior"] == "Isolated" and not step["invert"]:
        return step["pattern"].get("Regex")
    return kind


def _write_vocabulary(writer, tokenizer, vocabulary):
    pre, tokens, kinds, merges = vocabulary
    writer.add_tokenizer_model("gpt2")  # byte-level BPE, whatever its merges
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    # As everywhere in `lm`: a text starts with the beginning token if there is one.
    writer.add_add_bos_token(tokenizer.bos_token_id is not None)
    for name in ("bos", "eos", "pad"):
        index = getattr(tokenizer, f"{name}_token_id")
        if index is not None:
            getattr(writer, f"add_{name}_token_id")(index)
