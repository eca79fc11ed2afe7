"""LoRA: two thin matrices beside each layer that stays as it is, by the library peft.

Source: Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models, section 4.1; beside
4-bit layers Dettmers et al. 2023, QLoRA, section 3.
"""

import copy
import dataclasses
import logging
import warnings

from .._checks import flag, positive, whole
from . import given
from .online import check_ordinary

#: The name that peft gives to the layer beside which the two thin matrices stand.
BASE = "base_layer"
#: No layer is as wide; a larger rank would fill the memory before anything is said.
MOST_RANK = 2**20


def add_lora(model, rank=8, alpha=16.0, seed=0):
    """Return a new model with two thin matrices, A and B, beside every linear layer of the body.

    A layer (in, out) with weights W then computes with W + alpha / rank * (B A), as peft writes it:
    A of (rank, in) random, B of (out, rank) zeros, so at first nothing changes. Both are fp32, and
    all else is frozen: `lm.train` trains them alone. model: with plain layers, with bitsandbytes'
    4 or 8 bits (`lm.load`), or from `lm.quantize`. rank: at least 1. seed: of A.
    `Model.quantization` and the bits count A and B with what they stand beside.
    Raises ValueError for a model without linear layers, with adapters, or whose layers' inputs are
    turned or rounded; ImportError without peft.
    Source: Hu et al. 2021, LoRA, section 4.1.
    """
    rank, alpha = whole("rank", rank, 1, most=MOST_RANK), positive("alpha", alpha)
    seed = whole("seed", seed, 0, most=2**63)
    given.model("model", model)
    check_ordinary(model, "LoRA")
    if lora_layers(model.network):
        raise ValueError("the model has adapters already: train those, or lm.merge_lora it first")
    names = [name for name, _ in model.linears()]
    if not names:
        raise ValueError(f"{model.name or 'the model'} has no linear layers to put LoRA beside")
    peft = _peft()
    import torch

    network = copy.deepcopy(model.network)
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=names)
    # Where peft 0.21 sees a transformers config, it takes the names of DeepSeek's shared experts
    # for those of fused ones, and wraps these instead. A module around the network has no config.
    around = torch.nn.ModuleDict({"network": network})
    # By these it knows bitsandbytes' layers.
    for what in ("is_loaded_in_4bit", "is_loaded_in_8bit"):
        setattr(around, what, getattr(network, what, False))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(config, around)
    for name, value in network.named_parameters():
        if "lora_" in name:
            value.data = value.data.float()
    stored = {f"{name}.{BASE}": result for name, result in model.stored.items()}
    return dataclasses.replace(model, network=network, stored=stored)


def merge_lora(model, requantize=False):
    """Return a new model with W + alpha / rank * (B A) in the place of each layer with adapters.

    requantize: False for plain numbers in the type that the network computes in, codes read back:
    the sum is rounded to 24 bits of mantissa in fp32, to 8 in bf16, and takes 32 or 16 bits a
    weight. True for bitsandbytes' layers: peft's own merge, which rounds the sum to codes of the
    same kind anew. What `lm.quantize` made comes back in plain numbers: quantize it again, by the
    same row or another.
    Raises ValueError for a model without adapters, and for requantize=True without bitsandbytes'
    layers.
    """
    requantize = flag("requantize", requantize)
    given.model("model", model)
    if not lora_layers(model.network):
        raise ValueError("the model has no adapters to merge: lm.add_lora puts them in")
    network = copy.deepcopy(model.network)
    stored = dict(model.stored)
    for name, layer in lora_layers(network).items():
        base, coded = layer.get_base_layer(), _is_coded(layer)
        if requantize and not coded:
            raise ValueError(
                f"requantize=True is for bitsandbytes' layers, and {name} is "
                f"{type(base).__name__}: merge without, then lm.quantize(...)"
            )
        stored.pop(f"{name}.{BASE}", None)
        if coded and not requantize:
            merged = _plain_sum(layer, network.dtype)
        else:
            with warnings.catch_warnings():  # that it rounds is what requantize says
                warnings.filterwarnings("ignore", message="Merge lora module to")
                layer.merge(safe_merge=True)
            merged = base
        network.set_submodule(name, merged)
    stored = {name.removesuffix(f".{BASE}"): result for name, result in stored.items()}
    return dataclasses.replace(model, network=network, stored=stored)


def lora_layers(network):
    """Return the layers of a network that have adapters, by name."""
    return {name: layer for name, layer in network.named_modules() if hasattr(layer, "lora_A")}


def _is_coded(layer):
    """Whether bitsandbytes holds the layer, in 4 bits or 8."""
    weight = layer.get_base_layer().weight
    return hasattr(weight, "quant_state") or hasattr(weight, "SCB")


def _plain_sum(layer, dtype):
    """Return an ordinary linear layer with the sum of dequantized codes and adapters."""
    import torch
    from peft.utils.integrations import dequantize_module_weight

    base = layer.get_base_layer()
    values = dequantize_module_weight(base).float()
    for adapter in layer.active_adapters:
        values = values + layer.get_delta_weight(adapter).float()
    plain = torch.nn.Linear(
        base.in_features, base.out_features, base.bias is not None, device="meta"
    )
    plain.weight = torch.nn.Parameter(values.to(dtype))
    if base.bias is not None:
        plain.bias = base.bias
    return plain


def _peft():
    """Import peft, or say how to get it. It imports bitsandbytes, which speaks of a GPU's parts."""
    logging.getLogger("bitsandbytes").setLevel("ERROR")
    try:
        import peft
    except ImportError as error:
        raise ImportError(
            "LoRA is peft's: run  pip install peft  and restart the kernel"
        ) from error
    return peft
