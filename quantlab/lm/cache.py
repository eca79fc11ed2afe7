"""Keys and values in few bits: what a model still knows when it reads them back rounded.

While a model writes, it keeps a key and a value of every token and head, and reads all of them for
each new token. Here attention reads them as a quantized cache would return them: the older ones
rounded, the last ones as they were. The numbers stay in the memory of an ordinary cache, so this
measures what rounding costs, not what it saves; `CacheFormat.bits_per_value` says what a file or a
kernel would store.
"""

import copy
from dataclasses import dataclass

from .. import gguf, transforms
from .._checks import flag, one_of, shown, whole
from . import given, measure

#: Model types whose attention reads all keys and values of the text, a pair for each head.
SERVED = ("llama", "mistral", "qwen2", "qwen3", "granite", "phi3", "smollm3")
#: Block formats of llama.cpp that a cache may have; a group there is one block of a token's head.
BLOCKS = ("Q8_0", "Q4_0")
ALONG = ("token", "channel")
NAME = "quantlab_rounded_cache"


@dataclass(frozen=True)
class CacheFormat:
    """How keys or values are kept.

    bits: 16 for as they are, 2 to 8 for whole numbers from the least to the largest value of a
    group, whose step and least value are FP16. along: what a group runs along. "token": `group`
    neighbouring numbers of one token's head share a step. "channel": one number of `group`
    neighbouring tokens; a token waits in 16 bits until its group is full. recent: so many last
    tokens stay in 16 bits at least. turned: a Hadamard matrix turns each head before rounding and
    back after it, as llama.cpp does. block: one of `BLOCKS` in place of bits, along and group.
    Source: Liu et al. 2024, KIVI, section 3.
    """

    bits: int = 16
    along: str = "token"
    group: int = 32
    recent: int = 0
    turned: bool = False
    block: str = ""

    def __post_init__(self):
        for name, least, most in (("bits", 2, 16), ("group", 1, 2**20), ("recent", 0, None)):
            number = whole(name, getattr(self, name), least, most)
            object.__setattr__(self, name, number)  # 32.0 would be no length of an array
        object.__setattr__(self, "turned", flag("turned", self.turned))
        if 8 < self.bits < 16:
            raise ValueError(f"bits must be 2 to 8, or 16 for none, got {self.bits}")
        one_of("along", self.along, ALONG)
        one_of("block", self.block, ("", *BLOCKS))
        if self.block and (self.bits, self.along) != (16, "token"):
            raise ValueError(f"block {self.block} has its own bits, along a token: leave them out")

    @property
    def rounds(self):
        """Whether anything is rounded."""
        return bool(self.block) or self.bits < 16

    @property
    def bits_per_value(self):
        """Bits of a number that is not among the last tokens: its code and its share of scales."""
        if self.block:
            return gguf.TYPES[self.block].bits_per_value
        return self.bits + (2 * 16 / self.group if self.bits < 16 else 0)


def quantize_cache(model, keys=None, values=None):
    """Return a `Model` that shares the weights of `model` and reads its cache back rounded.

    keys, values: a `CacheFormat` each; None: in 16 bits, as they are. Attention to a token of the
    text uses its rounded key and value if a quantized cache would hold these when the attending
    token is computed, with itself in the cache. So perplexity over a window is that of writing
    token after token.
    Raises ValueError for a model whose layers keep something else: a window, a latent, a state.
    """
    config = given.model("model", model).network.config
    if config.model_type not in SERVED or getattr(config, "sliding_window", None):
        raise ValueError(
            f"quantize_cache serves {', '.join(SERVED)} without a window; {model.name or 'this'} "
            f"is {config.model_type}"
        )
    formats = tuple(_format(name, one) for name, one in (("keys", keys), ("values", values)))
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    for format in formats:
        along = 32 if format.block else format.group
        if format.rounds and format.along == "token" and size % along:
            raise ValueError(f"group must divide the {size} numbers of a head, got {along}")
    shared = {id(tensor): tensor for tensor in model.network.parameters()}
    network = copy.deepcopy(model.network, shared)
    _register()
    network.set_attn_implementation(NAME)
    for module in network.modules():
        if hasattr(module, "num_key_value_groups"):
            module.cache_formats = formats
    return type(model)(network, model.tokenizer, model.name, model.stored, model.method)


def _format(name, value):
    """Return a `CacheFormat`; of None, the one that keeps all as it is."""
    if value is not None and not isinstance(value, CacheFormat):
        raise TypeError(f"{name} must be an lm.CacheFormat or None, got {shown(value)}")
    return CacheFormat() if value is None else value


def _register():
    """Make transformers know the attention of this module, and the mask that it adds."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["eager"])


def attend(module, query, key, value, attention_mask, scaling, dropout=0.0, **rest):
    """Return attention over a rounded cache: (batch, tokens, heads, size), and its weights.

    query: (batch, heads, tokens, size), of the last tokens. key, value: (batch, key heads, all
    tokens, size), exact. Called by transformers, with the arguments of its own functions.
    """
    import torch

    keys, values = module.cache_formats
    heads = (query.shape[1], key.shape[1])
    scores = query @ _spread(key, heads).transpose(2, 3)
    if keys.rounds:
        of_rounded = query @ _spread(rounded(key, keys), heads).transpose(2, 3)
        scores = torch.where(_held(keys, query, key), of_rounded, scores)
    scores = scores * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    wide = torch.promote_types(query.dtype, torch.float32)
    weights = torch.softmax(scores, dim=-1, dtype=wide).to(query.dtype)
    if not values.rounds:
        result = weights @ _spread(value, heads)
    else:
        held = _held(values, query, value)
        result = weights.masked_fill(held, 0) @ _spread(value, heads)
        result += weights.masked_fill(~held, 0) @ _spread(rounded(value, values), heads)
    return result.transpose(1, 2).contiguous(), weights


def _spread(x, heads):
    """Return keys or values with a copy for each head of the queries."""
    return x.repeat_interleave(heads[0] // heads[1], dim=1)


def _held(format, query, key):
    """Return (query tokens, all tokens): whether the cache holds a token rounded by then."""
    import torch

    count = key.shape[2]
    tokens = torch.arange(count, device=key.device)
    by_then = tokens[count - query.shape[2] :] + 1 - format.recent
    if format.along == "channel":
        by_then = by_then // format.group * format.group
    return tokens[None, :] < by_then[:, None]


def rounded(x, format):
    """Return keys or values as a cache gives them back, every token that has a full group rounded.

    x: (batch, heads, tokens, size), a float tensor of torch. Returns its shape and type.
    """
    import torch

    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if format.turned:
        turn = torch.from_numpy(transforms.hadamard(x.shape[-1])).to(wide)
        wide = wide @ turn
    if format.block:
        codes = gguf.encode(wide.float().cpu().numpy(), format.block)
        wide = torch.from_numpy(gguf.decode(codes, format.block)).to(wide)
    elif format.along == "token":
        wide = _to_grid(wide.unflatten(-1, (-1, format.group)), format.bits, -1).flatten(-2)
    else:
        full = wide.shape[2] // format.group * format.group
        grouped = wide[:, :, :full].unflatten(2, (-1, format.group))
        wide = torch.cat([_to_grid(grouped, format.bits, 3).flatten(2, 3), wide[:, :, full:]], 2)
    return (wide @ turn.T if format.turned else wide).to(x.dtype)


def _to_grid(x, bits, dim):
    """Return x on the grids of 2**bits steps from the least to the largest value along `dim`.

    Both ends of a grid are FP16, as KIVI stores them: a value may lie half of their last place off.
    """
    low, high = x.amin(dim, keepdim=True), x.amax(dim, keepdim=True)
    low = low.half().to(x)
    step = ((high - low) / (2**bits - 1)).half().to(x)
    codes = ((x - low) / step.where(step > 0, 1)).round().clamp(0, 2**bits - 1)
    return codes * step + low


def keys_and_values(model, text, layer):
    """Return what a layer keeps of a text: keys and values, (tokens, numbers of all heads) each."""
    import torch

    tokens = measure.encode(model.tokenizer, text)[: model.window]
    ids = torch.tensor([tokens], device=model.device)
    with torch.no_grad():
        _, kept = model.network(ids, use_cache=True).to_tuple()  # its name depends on the version
    both = kept.layers[layer].keys, kept.layers[layer].values
    return tuple(x[0].transpose(0, 1).flatten(1).float().cpu().numpy() for x in both)
