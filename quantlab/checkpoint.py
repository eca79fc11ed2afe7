"""The bytes of layers in few bits, and of a checkpoint that stores its own so.

A config.json with a `quantization_config` belongs to files of codes and scales. What they hold
follows from its fields and the shapes of the layers. Sources: transformers 5.23, quantizers/ and
utils/quantization_config.py; compressed-tensors 0.20, compressors/; AutoGPTQ 0.7, qlinear_cuda.py;
AutoAWQ 0.2, linear/gemm.py.
"""

import math
import re

from . import memory
from ._checks import flag, one_of, shown, text, whole

#: Bytes of a number that is stored as it is, by the type that config.json names.
PLAIN = {"float32": 4, "bfloat16": 2, "float16": 2}


def fp8(matrices, tile=(128, 128)):
    """8 bits, and an FP32 scale for each tile (DeepSeek-V3, section 3.3.2).

    matrices, here and below: (how many there are, rows, inputs of a row).
    """
    count, rows, inputs = matrices
    return math.prod(matrices) + 4 * count * math.ceil(rows / tile[0]) * math.ceil(inputs / tile[1])


def int8(matrices):
    """8 bits, and an FP32 scale per row, as bitsandbytes keeps LLM.int8()."""
    count, rows, _ = matrices
    return math.prod(matrices) + 4 * count * rows


def nf4(matrices, nested=False):
    """4 bits, and an FP32 scale for each 64, as bitsandbytes keeps them.

    nested: 8 bits for each 64, FP32 for each 256 of these, and an FP32 mean (QLoRA, section 3).
    """
    size = math.prod(matrices)
    scales = math.ceil(size / 64)
    kept = scales + 4 * math.ceil(scales / 256) + 4 if nested else 4 * scales
    return math.ceil(size / 2) + kept


def groups(matrices, bits=4, size=128):
    """So many bits, and an FP16 scale with a zero-point for each group of inputs: GPTQ and AWQ."""
    count, rows, inputs = matrices
    scales = count * rows * math.ceil(inputs / size)
    return math.ceil((math.prod(matrices) * bits + scales * (16 + bits)) / 8)


def mxfp4(matrices):
    """4 bits, and a power of two in a byte for each 32."""
    return math.ceil(math.prod(matrices) * memory.bits_per_weight("mxfp4") / 8)


def stored(config):
    """Return the quantization_config of a `Config`, or None: its files hold plain numbers.

    Raises TypeError and ValueError where it says what is not known here.
    """
    settings = config.fields.get("quantization_config")
    if settings is None:
        return None
    if not isinstance(settings, dict):
        raise TypeError(f"quantization_config must be a JSON object, got {shown(settings)}")
    method = method_of(settings)
    if method not in METHODS:
        raise ValueError(
            f"quantization_config: the files hold codes of quant_method {shown(method)}, whose "
            f"bytes are not known here (known are {', '.join(METHODS)}); the config without that "
            "field is planned as the model that they were made from"
        )
    METHODS[method](settings, (1, 1, 1))
    return settings


def method_of(settings):
    """Return the quant_method of a quantization_config; old files of bitsandbytes name none."""
    return text("quant_method", settings.get("quant_method", "bitsandbytes"))


def tensor_bytes(tensor, config):
    """Return the bytes of a `Tensor` as the files of a checkpoint hold it: codes and scales.

    config: its `Config`, with a quantization_config. Not counted: tables of bitsandbytes (64 bytes
    a layer, 1,088 with nested scales) and its settings in words. Its blocks are taken as 64.
    """
    settings = stored(config)
    method = method_of(settings)
    if not _coded(tensor, settings, method):
        kind = config.fields.get("dtype") or config.fields.get("torch_dtype") or "bfloat16"
        plain = PLAIN[one_of("dtype", kind, PLAIN)]
        return tensor.size * (4 if tensor.part == "float32" else plain)
    count, rows, inputs = tensor.matrix
    if tensor.part == "experts" and tensor.name.endswith("gate_up_proj") and method != "mxfp4":
        count, rows = 2 * count, rows // 2  # one tensor in transformers 5, two for each in files
    return METHODS[method](settings, (count, rows, inputs))


def _coded(tensor, settings, method):
    """Return whether a tensor is stored as codes: a layer that no pattern leaves out."""
    if tensor.part not in ("linear", "experts", "head") or not tensor.name.endswith(
        ("weight", "_proj")
    ):
        return False
    if method == "mxfp4" and tensor.part != "experts":
        return False
    if method == "gptq":
        return tensor.part != "head" or flag("lm_head", settings.get("lm_head") or False)
    name = "ignore" if method == "compressed-tensors" else "modules_to_not_convert"
    name = "llm_int8_skip_modules" if method == "bitsandbytes" else name
    patterns = settings.get(name)
    if patterns is None:
        patterns = [] if method == "compressed-tensors" else ["lm_head"]
    return not any(_fits(tensor.name.removesuffix(".weight"), one, name) for one in patterns)


def _fits(layer, pattern, name):
    """Return whether a pattern names a layer: from its start to a dot, or at its end."""
    try:
        found = re.match(rf"(?:{pattern.removeprefix('re:')})(?:(?<=\.)|(?=\.|$))", layer)
    except (AttributeError, re.error) as error:
        raise ValueError(f"{name} must hold names of layers, got {shown(pattern)}") from error
    return bool(found) or layer.endswith(pattern)


def _bitsandbytes(settings, matrices):
    if settings.get("load_in_8bit"):
        return int8(matrices)
    if not settings.get("load_in_4bit"):
        raise ValueError(
            "quantization_config of bitsandbytes must have load_in_8bit or load_in_4bit"
        )
    return nf4(matrices, flag("bnb_4bit_use_double_quant",
                              settings.get("bnb_4bit_use_double_quant", False)))  # fmt: skip


def _fp8(settings, matrices):
    tile = settings.get("weight_block_size")
    if not isinstance(tile, list) or len(tile) != 2:
        raise ValueError(f"weight_block_size of fp8 must be a list of two, got {shown(tile)}")
    return fp8(matrices, [whole("weight_block_size", side, 1) for side in tile])


def _gptq(settings, matrices):
    """A row's input also has the number of its group, in 32 bits."""
    if settings.get("dynamic"):
        raise ValueError("quantization_config: dynamic, other bits for some layers, is not known")
    return _awq(settings, matrices) + 4 * matrices[0] * matrices[2]


def _awq(settings, matrices):
    bits = whole("bits", settings.get("bits"), 2, 8)
    size = whole("group_size", settings.get("group_size", 128), -1)
    return groups(matrices, bits, size if size > 0 else matrices[2])


def _mxfp4(settings, matrices):
    return mxfp4(matrices)


def _compressed(settings, matrices):
    """Packed whole numbers of one kind, or 8 bits of each weight, with 16-bit scales."""
    parts = settings.get("config_groups")
    part = next(iter(parts.values())) if isinstance(parts, dict) and len(parts) == 1 else None
    if not isinstance(part, dict) or part.get("targets") != ["Linear"]:
        raise ValueError(f"config_groups must hold one group, of Linear, got {shown(parts)}")
    form = one_of("format", settings.get("format"), ("pack-quantized", "int-quantized",
                                                     "float-quantized"))  # fmt: skip
    weights = part.get("weights")
    if not isinstance(weights, dict):
        raise ValueError(f"weights of config_groups must be a JSON object, got {shown(weights)}")
    strategy = one_of("strategy", weights.get("strategy"), ("channel", "group"))
    count, rows, inputs = matrices
    size = whole("group_size", weights.get("group_size"), 1) if strategy == "group" else inputs
    scales = rows * math.ceil(inputs / size)
    bits = whole("num_bits", weights.get("num_bits"), 1 if form == "pack-quantized" else 8, 8)
    if form != "pack-quantized":
        return count * (rows * inputs + 2 * scales)
    zeros = 0 if flag("symmetric", weights.get("symmetric", True)) else scales // rows
    packed = rows * math.ceil(inputs * bits / 32) + zeros * math.ceil(rows * bits / 32)
    return count * (4 * packed + 2 * scales + 16)  # 16: its shape, two 64-bit numbers


#: What a checkpoint can be stored in: its quant_method, and the bytes of its matrices.
METHODS = {"bitsandbytes": _bitsandbytes, "fp8": _fp8, "gptq": _gptq, "awq": _awq,
           "mxfp4": _mxfp4, "compressed-tensors": _compressed}  # fmt: skip
