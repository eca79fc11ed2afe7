"""Change the weights of a model so that they and their inputs round better, not what it computes.

For models built as Llama is: each block has an RMSNorm before attention and one before the
feed-forward part, whose linear layers stand alone. New weights are computed in float64 and written
in the type that they had: in fp32 the perplexity stays to 6 digits, in bf16 each weight is rounded
once more.
"""

import copy
import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._checks import flag, positive, whole
from ..transforms import awq_scales, hadamard_product, smooth_scales
from . import given
from .calibration import calibration_windows
from .online import attach, of

#: The parts of a block of Llama, and those parts of them that a rule below relies on.
PARTS = {
    "": {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"},
    "self_attn": {"q_proj", "k_proj", "v_proj", "o_proj"},
    "mlp": {"gate_proj", "up_proj", "down_proj"},
}
#: Parts beside those that change nothing here: an activation, and norms of q and k in each head.
ALLOWED = {"act_fn", "q_norm", "k_norm", "rotary_emb"}
#: What other architectures call a matrix that is several of Llama's.
FUSED = {"c_attn", "qkv_proj", "query_key_value", "gate_up_proj"}
#: AWQ measures its loss on at most so many tokens of the calibration text: it keeps their inputs.
TOKENS = 2048


def smooth(model, texts=None, alpha=0.5):
    """Return a new model that computes the same, with smaller outliers and larger weights.

    texts: a text or several that show how large inputs are (default: data/texts/calibration.txt).
    alpha: as in `ql.transforms.smooth_scales`, whose scales these are: the gain of each norm is
    divided by them, and the rows of the layers that read it are multiplied.
    Raises ValueError for a model that is not built as Llama is or that is quantized, and for alpha
    outside 0 to 1. Source: Xiao et al. 2022, SmoothQuant, section 4.
    """
    alpha = positive("alpha", alpha, or_zero=True)
    if alpha > 1:
        raise ValueError(f"alpha must be 0 to 1, got {alpha!r}")
    new = _copy(model, "lm.smooth")
    groups = [group for group in _groups(new) if group.after_norm]
    for group, peaks in zip(groups, _peaks(new, groups, texts), strict=True):
        group.rescale(smooth_scales(peaks[None], group.weights(), alpha))
    return new


def awq(model, texts=None, bits=4, group_size=None):
    """Return a new model that computes the same, its weights scaled by what loses least in `bits`.

    texts: a text or several, calibration (default: data/texts/calibration.txt); 2,048 tokens of it
    are used. bits, group_size: how the weights will be rounded, see `ql.transforms.awq_scales`,
    whose scales these are. What reads a norm is scaled against its gain, o_proj against v_proj,
    down_proj against up_proj. With grouped queries one column of v_proj serves several rows of
    o_proj: those two are left as they are, as in AWQ's code, and so is a layer whose inputs are
    turned on the way.
    Raises ValueError for a model that is not built as Llama is or that is quantized, and as
    `awq_scales` does. Source: Lin et al. 2023, AWQ, section 3.2; the pairs are those of its code.
    """
    bits = whole("bits", bits, 2, 16)
    group_size = given.groups(group_size, given.model("model", model).matrices())
    new = _copy(model, "lm.awq")
    groups = _groups(new)
    for group, x in zip(groups, _inputs(new, groups, texts), strict=True):
        group.rescale(awq_scales(x, group.weights(), bits, group_size))
    return new


def rotate(model, seed=0, online=True):
    """Return a new model that computes the same in turned coordinates: no input is an outlier.

    The gains of the norms go into the layers that read them, and what passes from block to block is
    turned by ``hadamard(width, seed)``: at the embeddings, at all that reads it and all that writes
    it. An RMSNorm without a gain does not notice, as lengths stay. Each head is turned between
    v_proj and o_proj. A head that is tied to the embeddings becomes a weight of its own: it has
    taken the last norm's gain.
    seed: of the random signs. online: whether what passes no such place is turned too, while the
    model computes: the inputs of down_proj, and those of o_proj across the heads. That is what
    activations in 4 bits need; without it all that changes are weights, which can be saved.
    A width without a Hadamard matrix is turned block by block, see `ql.transforms.hadamard`.
    Raises ValueError for a model that is not built as Llama is, that is quantized or turned.
    Source: Ashkboos et al. 2024, QuaRot, section 4, stage 1.
    """
    seed, online = whole("seed", seed, 0), flag("online", online)
    new = _copy(model, "lm.rotate")
    if turned := [name for name, layer in new.linears() if _is_turned(layer)]:
        raise ValueError(
            f"lm.rotate has turned this model already, {turned[0]} too while it computes: "
            "start from the model before that"
        )
    _untie(new.network)
    base, head = new.network.base_model, new.network.get_output_embeddings()
    _turn_outputs(base.embed_tokens, seed, embeddings=True)
    for block in base.layers:
        _turn_block(block, seed)
        _turn_inside(block, new.network.config, online)
    _turn_inputs(base.norm, [head], seed)
    return new


@dataclass(frozen=True, eq=False)
class _Group:
    """Linear layers that read the same input, and what that comes from: a norm or a linear layer.

    Each input is one output of the source times numbers that are not changed here, so a scale taken
    from the source can be given to the readers.
    """

    source: Any
    readers: tuple

    @property
    def after_norm(self):
        """Whether the input comes from a norm."""
        return self.source.weight.ndim == 1

    def weights(self):
        """Return the readers' weights, (in, all their outputs), float32."""
        weights = [_read(layer).T for layer in self.readers]
        return np.concatenate(weights, axis=1, dtype=np.float32)

    def rescale(self, scales):
        """Divide what the source gives by scales (in,), and multiply the readers' rows by them."""
        for name in ("weight", "bias"):
            if getattr(self.source, name, None) is not None:
                values = _read(self.source, name)
                _write(self.source, (values.T / scales).T, name)
        for layer in self.readers:
            _write(layer, _read(layer) * scales)


def _groups(model):
    """Return the groups of every block, in the order of the network."""
    found = []
    for block in model.network.base_model.layers:
        attention, mlp = block.self_attn, block.mlp
        q, k, v, o = attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj
        found.append(_Group(block.input_layernorm, (q, k, v)))
        if v.out_features == o.in_features and not _is_turned(o):
            found.append(_Group(v, (o,)))
        found.append(_Group(block.post_attention_layernorm, (mlp.gate_proj, mlp.up_proj)))
        if not _is_turned(mlp.down_proj):
            found.append(_Group(mlp.up_proj, (mlp.down_proj,)))
    return found


def _inputs(model, groups, texts):
    """Return for each group up to `TOKENS` of its inputs, an array (tokens, in)."""
    windows = calibration_windows(model, texts, "texts")
    windows = windows[: max(1, TOKENS // windows.shape[1])]
    seen = [[] for _ in groups]
    _watch(model, groups, windows, lambda i, x: seen[i].append(x.numpy(force=True)))
    return [np.concatenate(pieces) for pieces in seen]


def _peaks(model, groups, texts):
    """Return for each group the largest magnitude of each of its inputs, (in,)."""
    peaks = [0] * len(groups)

    def note(i, x):
        peaks[i] = np.maximum(peaks[i], x.abs().amax(0).numpy(force=True))

    _watch(model, groups, calibration_windows(model, texts, "texts"), note)
    return peaks


def _watch(model, groups, windows, note):
    """Let windows flow through a model; call note(index, inputs (tokens, in)) at each group."""
    import torch

    def hook(index, layer, args):
        note(index, args[0].detach().float().flatten(0, -2))

    handles = [
        group.readers[0].register_forward_pre_hook(functools.partial(hook, index))
        for index, group in enumerate(groups)
    ]
    try:
        with torch.inference_mode():
            for piece in windows.split(8):
                model.network.base_model(input_ids=piece, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()


def _turn_block(block, seed):
    """Turn what a block reads and what it writes, and fold its norms' gains."""
    attention, mlp = block.self_attn, block.mlp
    readers = [attention.q_proj, attention.k_proj, attention.v_proj]
    _turn_inputs(block.input_layernorm, readers, seed)
    _turn_inputs(block.post_attention_layernorm, [mlp.gate_proj, mlp.up_proj], seed)
    _turn_outputs(attention.o_proj, seed)
    _turn_outputs(mlp.down_proj, seed)


def _turn_inputs(norm, readers, seed):
    """Fold a norm's gain into the layers that read it, and turn their inputs: w becomes H^T g w."""
    gain = _read(norm)
    for layer in readers:
        _write(layer, hadamard_product(_read(layer) * gain, seed))
    _write(norm, np.ones_like(gain))


def _turn_outputs(layer, seed, embeddings=False):
    """Turn what a layer writes: w becomes w H, and its bias b becomes b H."""
    values = _read(layer)
    turned = hadamard_product(values if embeddings else values.T, seed)
    _write(layer, turned if embeddings else turned.T)
    if getattr(layer, "bias", None) is not None:
        _write(layer, hadamard_product(_read(layer, "bias"), seed), "bias")


def _turn_inside(block, config, online):
    """Turn each head between v_proj and o_proj; online: o_proj and down_proj as a whole."""
    v, o, down = block.self_attn.v_proj, block.self_attn.o_proj, block.mlp.down_proj
    heads = config.num_attention_heads
    size = o.in_features // heads
    for name in ("weight", "bias"):
        if getattr(v, name) is not None:
            values = _read(v, name).T  # (in, heads * size), or (heads * size,)
            turned = hadamard_product(values.reshape(*values.shape[:-1], -1, size))
            _write(v, turned.reshape(values.shape).T, name)
    turned = hadamard_product(_read(o).reshape(-1, heads, size))
    if online:
        turned = hadamard_product(turned.swapaxes(1, 2)).swapaxes(1, 2)
        attach(o, mixed=heads)
        _write(down, hadamard_product(_read(down)))
        attach(down, mixed=down.in_features)
    _write(o, turned.reshape(-1, o.in_features))


def _read(module, name="weight"):
    """Return a parameter's values as torch stores them, (out, in) of a layer, in float64."""
    return getattr(module, name).detach().double().numpy(force=True)


def _write(module, values, name="weight"):
    """Put values in a parameter's place, rounded to the type that it has."""
    import torch

    with torch.no_grad():
        getattr(module, name).copy_(torch.from_numpy(np.ascontiguousarray(values)))


def _untie(network):
    """Give the output head a weight of its own, if it shares that of the embeddings."""
    import torch

    head, embeddings = network.get_output_embeddings(), network.get_input_embeddings()
    if head.weight is embeddings.weight:
        own = head.weight.detach().clone()
        head.weight = torch.nn.Parameter(own, requires_grad=embeddings.weight.requires_grad)
        network.config.tie_word_embeddings = False
        network.all_tied_weights_keys = network.get_expanded_tied_weights_keys()


def _is_turned(layer):
    return of(layer) is not None and of(layer).mixed is not None


def _copy(model, what):
    """Return a copy of a model that is not quantized and is built as Llama is; refuse another."""
    name = given.model("model", model).name or "the model"
    if any(held.quantized for held in model.body()):
        raise ValueError(
            f"{what} changes weights, and {name} holds codes ({model.quantization}): change first, "
            "then quantize"
        )
    reason = _unlike_llama(model.network)
    if reason:
        kind = model.network.config.model_type
        raise ValueError(f"{what} changes models built as Llama is; {name} ({kind}) {reason}")
    rounding = [name for name, layer in model.linears() if of(layer) and of(layer).bits]
    if rounding:
        raise ValueError(
            f"{what} keeps what a model computes, but {rounding[0]} rounds its inputs, to other "
            "values in other units: change first, then quantize"
        )
    return dataclasses.replace(model, network=copy.deepcopy(model.network), stored={}, method="")


def _unlike_llama(network):
    """Return what a network has that the rules here don't know, in words; "" if nothing."""
    import torch

    base = network.base_model
    modules = dict(base.named_modules())
    for name in modules:
        last = name.rpartition(".")[2]
        if last == "experts":
            return f"sends tokens to experts ({name})"
        if last in FUSED:
            return f"fuses several matrices into one ({name})"
    for name, module in modules.items():
        if isinstance(module, torch.nn.LayerNorm):
            return f"has norms that subtract the mean, which a rotation changes ({name})"
    top = {"embed_tokens", "layers", "norm"} - {*dict(base.named_children())}
    if top or network.get_output_embeddings() is None:
        return f"has no {', '.join(sorted(top)) or 'output head'}"
    for index, block in enumerate(base.layers):
        for part, expected in PARTS.items():
            found = {name for name, _ in block.get_submodule(part).named_children()}
            place = f"layers.{index}.{part}".rstrip(".")
            if missing := expected - found:
                return f"has no {', '.join(sorted(missing))} in {place}"
            if extra := found - expected - ALLOWED:
                return f"has {', '.join(sorted(extra))} in {place}"
        for norm in (block.input_layernorm, block.post_attention_layernorm, base.norm):
            if not _multiplies(norm):
                return f"has norms ({type(norm).__name__}) that are no RMSNorm times a gain"
    return ""


def _multiplies(norm):
    """Return whether a norm is an RMSNorm whose weight is its gain; Gemma's gain is 1 + weight."""
    import torch

    weight = norm.weight.detach().float()
    x = 100 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    x = x.to(weight.device)
    with torch.no_grad():
        found = norm(x.to(norm.weight.dtype)).float()
    expected = x * x.square().mean().rsqrt() * weight
    return bool((found - expected).norm() <= 0.02 * expected.norm())
