"""Load a model: the bundled one by name, a folder, or a hub id; 32, 16, 8 or 4 bits a weight."""

import copy
import functools
import re
from pathlib import Path

from .. import _data
from . import layers
from .machine import best_device, check_memory, has_bf16
from .model import Model

BUNDLED = "tiny-lm"
PLAIN = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
QUANTIZED = ("int8", "nf4", "fp4")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def load(name=BUNDLED, quantization="bf16", device=None, double_quant=False, as_stored=True):
    """Load a causal language model.

    name: "tiny-lm", which comes with the course; a folder as `save_pretrained` writes it; or a
    hub id such as "Qwen/Qwen2.5-0.5B", the one case in which anything is downloaded.
    quantization: "bf16", "fp16", "fp32", "int8" (LLM.int8()), "nf4", "fp4", or a transformers
    `BitsAndBytesConfig`. int8 and the 4-bit formats compute in bf16, on a GPU without it in fp16.
    device: None for a CUDA device if there is one, else the CPU. double_quant: with nf4 and fp4,
    quantize the scales as well. as_stored: what a 4-bit model is weighed and compared by; False
    lets bitsandbytes repack its layers at their first use where its CPU kernel is faster
    (`keep_as_stored` says what that changes).
    What a load in few bits leaves in 16 is in `Model.left_out()`; a warning names it if that is
    more than a tenth of the body, as with fused experts.
    Weights come from safetensors files alone, and no code that lies beside them is ever run.
    Returns `Model`. Raises ValueError for what is not served or stays in 16 bits altogether,
    ImportError without bitsandbytes, MemoryError (before anything is loaded) if the weights cannot
    fit, ConnectionError without the network, PermissionError for a gated model, FileNotFoundError
    for one that is not there.
    """
    source, local = find(name)
    device = best_device(device)
    dtype, config = _precision(quantization, device, double_quant)
    folder = source if local else _reach_hub(source)
    if config is not None:
        _need_bitsandbytes()
    needed = estimate_bytes(folder, dtype, config)
    check_memory(needed, device, f"{name} in {_label(quantization)}")
    model = _load(source, local, dtype, config, device)
    if config is not None:
        _look_at_layers(model, _label(quantization))
    if as_stored:
        keep_as_stored(model.network)
    return model


def find(name):
    """Return (folder, True) for the bundled model or a folder, (hub id, False) for a hub id.

    Raises ValueError for any other name, with the names that would do.
    """
    if not isinstance(name, (str, Path)):
        raise TypeError(f"name must be a string or a path, got {name!r}")
    if str(name) == BUNDLED:
        return str(_data.path(BUNDLED)), True
    folder = Path(name).expanduser()
    if str(name) and folder.is_dir():
        if not (folder / "config.json").exists():
            raise ValueError(f"the folder {folder} has no config.json, so it holds no model")
        return str(folder), True
    if isinstance(name, str) and HUB_ID.fullmatch(name):
        return name, False
    raise ValueError(
        f"unknown model {str(name)!r}: give {BUNDLED!r}, a folder that has a config.json, or a hub "
        "id with its owner, such as 'Qwen/Qwen2.5-0.5B'"
    )


def estimate_bytes(source, dtype, config=None):
    """Return the bytes that the weights will take, from the model's shape alone.

    source: a folder or a hub id. Linear layers count as `config` stores them (4-bit blocks of
    64 with their scales, 8-bit rows), everything else in `dtype`.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = AutoConfig.from_pretrained(source, trust_remote_code=False)
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(shape, trust_remote_code=False)
    width = dtype.itemsize
    total = sum(p.numel() for p in network.parameters()) * width
    if config is None:
        return total
    per_weight = 1.0
    if config.load_in_4bit:
        per_weight = (4.127 if config.bnb_4bit_use_double_quant else 4.5) / 8
    linears = sum(layer.weight.numel() for _, layer in Model(network, None).linears())
    return int(total - linears * (width - per_weight))


def _precision(quantization, device, double_quant):
    """Return the torch dtype to load in and the BitsAndBytesConfig, or None for plain weights."""
    import torch
    from transformers import BitsAndBytesConfig

    if isinstance(quantization, BitsAndBytesConfig):
        return quantization.bnb_4bit_compute_dtype, quantization
    if not isinstance(quantization, str):
        raise TypeError(f"quantization must be a name or BitsAndBytesConfig, got {quantization!r}")
    if double_quant and quantization not in ("nf4", "fp4"):
        raise ValueError(f"double_quant is for 'nf4' and 'fp4', got {quantization!r}")
    if quantization in PLAIN:
        if quantization == "bf16" and not has_bf16(device):
            raise ValueError(
                f"{torch.cuda.get_device_name(device)} does not compute in bfloat16. "
                "Pass quantization='fp16', or device='cpu'."
            )
        return getattr(torch, PLAIN[quantization]), None
    if quantization not in QUANTIZED:
        allowed = ", ".join([*PLAIN, *QUANTIZED])
        raise ValueError(f"quantization must be one of {allowed}, got {quantization!r}")
    dtype = torch.bfloat16 if has_bf16(device) else torch.float16
    if quantization == "int8":
        return dtype, BitsAndBytesConfig(load_in_8bit=True)
    return dtype, BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization,
        bnb_4bit_use_double_quant=double_quant,
        bnb_4bit_compute_dtype=dtype,
    )


def _label(quantization):
    if isinstance(quantization, str):
        return quantization
    return quantization.bnb_4bit_quant_type if quantization.load_in_4bit else "int8"


def _need_bitsandbytes():
    """Import bitsandbytes, without its notice for every layer and call."""
    import logging

    logging.getLogger("bitsandbytes").setLevel("ERROR")
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "int8, nf4 and fp4 loads need bitsandbytes: run  pip install bitsandbytes  and restart "
            "the kernel. Without it: lm.quantize(lm.load('tiny-lm'), method='nf4')."
        ) from error


def _reach_hub(hub_id):
    """Download a hub model's config.json, the smallest proof that the rest can be had."""
    from huggingface_hub import errors, hf_hub_download

    page = f"https://huggingface.co/{hub_id}"
    try:
        hf_hub_download(hub_id, "config.json")
    except errors.GatedRepoError as error:
        raise PermissionError(
            f"{hub_id} is gated: accept its licence at {page} and log in (hf auth login), or "
            f"take an open model, such as 'Qwen/Qwen2.5-0.5B', or {BUNDLED!r}"
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, OSError) as error:
        if isinstance(error, (errors.RepositoryNotFoundError, errors.EntryNotFoundError)) and (
            not isinstance(error, errors.LocalEntryNotFoundError)
        ):
            raise FileNotFoundError(
                f"the hub has no model {hub_id!r} with a config.json (or it is private): see {page}"
            ) from error
        raise ConnectionError(
            f"cannot reach the hub for {hub_id!r}, and it is not in this machine's cache. Check "
            f"the network (and HF_HUB_OFFLINE), or use {BUNDLED!r}, which needs none."
        ) from error
    return hub_id


def _load(source, local, dtype, config, device):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = {"trust_remote_code": False, "local_files_only": local}
    with _quiet(local):
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        network = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=dtype,
            quantization_config=config,
            device_map={"": device},
            use_safetensors=True,
            **options,
        )
    network.eval()
    return Model(network, tokenizer, name=Path(source).name)


def _look_at_layers(model, asked):
    """Check what bitsandbytes made of every large weight: warn of what it left, or raise."""
    method = "'absmax', bits=8" if asked == "int8" else repr(asked)
    ours = f"lm.quantize(lm.load(..., quantization='bf16'), {method})"
    advice = f"bitsandbytes takes neither experts nor subclasses of Linear, {ours} takes both"
    layers.check(model.name, asked, model.body(), advice)
    for weight in layers.body(model.network):
        if _misread(weight.tensor):
            raise ValueError(
                f"{model.name} in {asked}: bitsandbytes on this CPU reads 4-bit weights wrongly "
                f"where the inputs are a multiple of 16 but not of the block size, 64, as the "
                f"{weight.shape[0]} of {weight.name}; {ours} has no such limit"
            )
        if weight.kind == "int8":
            weight.module.forward = functools.partial(_by_rows, weight.module.forward)


def _misread(tensor):
    """True if a 4-bit weight reads differently as a matrix than as the row of blocks it is."""
    from bitsandbytes.functional import dequantize_4bit

    state = getattr(tensor, "quant_state", None)
    if state is None or tensor.device.type != "cpu" or state.shape[1] % state.blocksize == 0:
        return False
    row = copy.copy(state)
    row.shape = (1, state.shape.numel())
    values, right = dequantize_4bit(tensor.data, state), dequantize_4bit(tensor.data, row)
    return not values.flatten().equal(right.flatten())


def _by_rows(compute, x):
    """Give an int8 layer its inputs as a matrix: bitsandbytes fails at DeepSeek's four axes."""
    return compute(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)


def keep_as_stored(network):
    """Keep bitsandbytes from repacking 4-bit layers when they are first used.

    On a CPU with AVX512_BF16 it would: scales rounded to bf16, double quantization dropped, so that
    perplexities depend on the machine and a later save quantizes anew. It spares layers in training
    mode, and a linear layer does nothing else in that mode. network: any loaded model.
    """
    for layer in network.modules():
        if type(layer).__name__ == "Linear4bit":
            layer.train()


class _quiet:
    """No loading bar for a model that loads in a blink; downloads keep theirs."""

    def __init__(self, wanted):
        self.wanted = wanted

    def __enter__(self):
        from transformers.utils import logging

        self.logging = logging
        self.shown = logging.is_progress_bar_enabled()
        if self.wanted:
            logging.disable_progress_bar()

    def __exit__(self, *error):
        if self.wanted and self.shown:
            self.logging.enable_progress_bar()
