"""Save a model as what it is: codes and scales in a format that transformers loads again."""

import json

import numpy as np

from ..affine import Quantized
from ..methods import Transposed
from .files import path_of
from .online import check_ordinary
from .writing import beside

#: The block sizes that bitsandbytes reads.
BLOCKS = (32, 64, 128, 256, 512, 1024, 2048, 4096)


def save(model, folder):
    """Write a model and its tokenizer into a folder that `lm.load` and transformers load.

    folder: a new or an empty one, in a folder that is there. What `lm.quantize` made is saved as
    its codes and scales: NF4 and FP4 as bitsandbytes stores them, the whole numbers of absmax,
    zero-point and GPTQ as compressed-tensors packs them, with the scales rounded to FP16, as
    `bits_per_weight` counts them. Any other model is saved as its layers are.
    The folder appears when all of it is written. Returns it, a `Path`.
    Raises FileExistsError for a folder that is not empty, FileNotFoundError without one to put it
    in, ValueError for what the format has no place for (`lm.rotate` with what it turns on the way,
    activations that are rounded), ImportError without compressed-tensors and OSError where the
    disk is full; then nothing is written.
    """
    folder = _free(folder)
    check_ordinary(model, "saving")
    tensors, config = _as_stored(model)
    with beside(folder) as place:
        whole = place / "model"
        # transformers 5.23 can't turn what bitsandbytes stored back into a format before its own.
        read = getattr(getattr(model.network, "hf_quantizer", None), "pre_quantized", False)
        model.network.save_pretrained(whole, state_dict=tensors, save_original_format=not read)
        model.tokenizer.save_pretrained(whole)
        if config is not None:
            file = whole / "config.json"
            described = json.loads(file.read_text(encoding="utf-8"))
            described["quantization_config"] = config
            file.write_text(json.dumps(described, indent=2), encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        whole.rename(folder)
    return folder


def _free(folder):
    """Return the path of a folder that can be written."""
    folder = path_of("folder", folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} holds something already: give a new or an empty folder")
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {folder.parent} to put {folder.name} into")
    return folder


def _as_stored(model):
    """Return the tensors to write and the quantization_config; None for the network's own."""
    if not model.stored:
        _check_unpacked(model)
        return None, None
    kinds = {type(result) for result in model.stored.values()}
    if kinds == {Transposed}:
        pack, config = _blocks, _bitsandbytes_config(model)
    elif kinds == {Quantized}:
        pack, config = _whole_numbers, _compressed_tensors_config(model)
    else:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(
            f"{model.name} ({model.quantization}) is stored as {names}, and no one format that "
            "transformers loads holds this: copy the folder that it was loaded from"
        )
    tensors = model.network.state_dict()
    for name, result in model.stored.items():
        del tensors[f"{name}.weight"]
        tensors |= {f"{name}.{key}": tensor for key, tensor in pack(name, result, model).items()}
    return tensors, config


def _check_unpacked(model):
    for layer in model.network.modules():
        state = getattr(getattr(layer, "weight", None), "quant_state", None)
        if getattr(state, "packing_format_for_cpu", False):
            raise ValueError(
                "bitsandbytes has repacked the layers for this CPU and would round them anew: save "
                "the model before it reads a text, or load it with as_stored=True"
            )


def _others(model, kinds):
    """Return the names of the layers of these kinds that are not quantized."""
    named = model.network.named_modules()
    return [name for name, x in named if isinstance(x, kinds) and name not in model.stored]


def _check_kinds(model, kinds, library, subclasses=False):
    """Refuse to save weights that the library has no layer for."""
    layers = dict(model.network.named_modules())
    for name in model.stored:
        layer = layers.get(name)
        if type(layer) not in kinds and not (subclasses and isinstance(layer, kinds)):
            kind = type(layer).__name__ if layer else "part of one tensor of experts"
            allowed = " and ".join(sorted(kind.__name__ for kind in kinds))
            raise ValueError(f"{library} has codes for {allowed} layers alone; {name} is {kind}")


def _bitsandbytes_config(model):
    import torch
    from transformers import BitsAndBytesConfig
    from transformers.pytorch_utils import Conv1D

    _check_kinds(model, (torch.nn.Linear, Conv1D), "bitsandbytes")
    first = next(iter(model.stored.values())).stored
    if first.block_size not in BLOCKS:
        allowed = ", ".join(map(str, BLOCKS))
        raise ValueError(f"bitsandbytes reads blocks of {allowed} values, got {first.block_size}")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=first.codebook.name.lower(),
        bnb_4bit_use_double_quant=first.nested is not None,
        bnb_4bit_compute_dtype=model.network.dtype,
        llm_int8_skip_modules=_others(model, (torch.nn.Linear, Conv1D)),
    ).to_dict()


def _blocks(name, result, model):
    """Return the tensors of one layer as bitsandbytes' Linear4bit keeps them."""
    import torch
    from bitsandbytes.functional import QuantState

    b, outer = result.stored, None
    absmax = torch.tensor(b.absmax)
    if b.nested is not None:
        absmax, outer = (
            torch.tensor(b.nested.codes.ravel()),
            QuantState(
                absmax=torch.tensor(b.nested.absmax),
                code=torch.tensor(b.nested.codebook.values),
                blocksize=b.nested.block_size,
                dtype=torch.float32,
            ),
        )
    state = QuantState(
        absmax=absmax,
        shape=torch.Size(b.shape),
        code=torch.tensor(b.codebook.values),
        blocksize=b.block_size,
        quant_type=b.codebook.name.lower(),
        dtype=model.network.dtype,
        offset=torch.tensor(b.offset),
        state2=outer,
    )
    beside = {f"weight.{key}": value for key, value in state.as_dict(packed=True).items()}
    return {"weight": torch.tensor(b.codes).reshape(-1, 1), **beside}


def _compressed_tensors_config(model):
    import torch
    import transformers

    need_compressed_tensors(f"saving {model.quantization}")
    # transformers 5.22 does not read what was saved of a class derived from Linear; 5.23 does.
    derived = tuple(map(int, transformers.__version__.split(".")[:2])) >= (5, 23)
    _check_kinds(model, (torch.nn.Linear,), "compressed-tensors", subclasses=derived)
    settings = {(q.bits, q.group_size, q.symmetric, q.axis) for q in model.stored.values()}
    if any(q.group_index is not None for q in model.stored.values()):
        raise ValueError(
            "act_order with groups gives each row a group of its own, for which compressed-tensors "
            "has no place: quantize with static_groups=True"
        )
    if len(settings) > 1:
        raise ValueError(
            f"all layers need the same (bits, group_size, symmetric, axis), got {settings}"
        )
    ((bits, group_size, symmetric, axis),) = settings
    weights = {
        "num_bits": bits,
        "type": "int",
        "symmetric": symmetric,
        "strategy": "group" if group_size else "channel" if axis == 0 else "tensor",
        "group_size": group_size,
    }
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        # Decoded while loading. Otherwise transformers 5.23 prepares places of another shape than
        # the packed zero-points of compressed-tensors 0.20 have, and refuses them.
        "dequantize": True,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
        "ignore": _others(model, torch.nn.Linear),
    }


def _whole_numbers(name, result, model):
    """Return the tensors of one layer as compressed-tensors' "pack-quantized" keeps them."""
    import torch
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

    scale = np.atleast_1d(result.scale.T.astype(np.float16))
    # A scale may lose as much as one in BF16 would, which has 8 bits; else it is out of range.
    if (np.abs(scale - result.scale.T) > result.scale.T / 2**8).any():
        raise ValueError(
            f"{name} has scales of {result.scale.min():.1e} to {result.scale.max():.1e}: they "
            "do not fit FP16, in which they are saved"
        )
    tensors = {
        "weight_packed": pack_to_int32(torch.tensor(result.codes.T), result.bits),
        "weight_shape": torch.tensor(result.codes.T.shape),
        "weight_scale": torch.tensor(scale),
    }
    if not result.symmetric:
        zero = torch.tensor(result.zero_point.T.astype(np.int8))
        tensors["weight_zero_point"] = pack_to_int32(zero, result.bits, packed_dim=0)
    return tensors


def need_compressed_tensors(what):
    """Raise ImportError, with what to do, where compressed-tensors is not installed."""
    try:
        import compressed_tensors  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{what} needs compressed-tensors: run  pip install compressed-tensors  and restart "
            "the kernel"
        ) from error
