"""What a model's weights take in any format, and how many devices hold them."""

from dataclasses import dataclass
from decimal import Decimal

from .. import memory, shapes
from .._checks import one_of, positive

BLOOM = 176.247271424  # billions of parameters; notebook 00 counts them
#: Billions of parameters, all experts included, where `quantlab.fit` ships no config.
#: The long numbers follow from the published shapes; 284, 744 and 1600 are what the makers say.
_KNOWN = {
    "GPT-2": 0.124439808, "Llama 2 13B": 13.01586432, "Llama 2 70B": 68.976648192,
    "BLOOM-176B": BLOOM, "DeepSeek-V4-Flash": 284, "GLM-5": 744, "DeepSeek-V4-Pro": 1600,
}  # fmt: skip
_SHIPPED = (
    "TinyLlama", "Llama 2 7B", "Llama 3.1 8B", "Qwen3-8B", "gpt-oss-20b", "gpt-oss-120b",
    "Qwen3-235B-A22B", "Llama 3.1 405B", "DeepSeek-V3",
)  # fmt: skip
_COUNTED = {name: sum(one.size for one in shapes.tensors(name)) / 1e9 for name in _SHIPPED}
#: Well-known models, the smallest first: (name, billions of parameters).
MODELS = tuple(sorted((_KNOWN | _COUNTED).items(), key=lambda model: model[1]))
#: What people write, and the key of `quantlab.memory.VALUE_BITS`.
FORMATS = {
    "FP32": "fp32", "FP16": "fp16", "BF16": "bf16", "FP8": "fp8", "int8": "int8", "int4": "int4",
    "NF4": "nf4", "MXFP4": "mxfp4", "NVFP4": "nvfp4", "int3": "int3", "int2": "int2",
}  # fmt: skip
#: Memory of one device, in GB: of a card what nvidia-smi shows (24,564 MiB for an RTX 4090), of the
#: T4 what a program on Colab gets.
DEVICES = {
    "8.6 GB (a laptop with 8 GiB)": 8.6, "15.8 GB (T4, free on Colab)": 15.8,
    "25.8 GB (RTX 4090)": 25.8, "32 GB (the article's machine)": 32, "34.2 GB (RTX 5090)": 34.2,
    "51.5 GB (A6000)": 51.5, "85.5 GB (H100)": 85.5, "150.8 GB (H200)": 150.8,
}  # fmt: skip


@dataclass(frozen=True)
class Footprint:
    """What a model's weights take, and how many devices hold them.

    code_bits: bits of one weight's own code. bits: with its share of the scales. bytes: of all
    weights. devices: how many it takes. device_bytes: memory of one; usable_bytes: less headroom.
    note: which setting had nothing to act on, or "".
    """

    parameters: float
    format: str
    code_bits: int
    bits: float
    bytes: float
    devices: int
    device_bytes: float
    usable_bytes: float
    note: str = ""

    @property
    def last_bytes(self):
        """What lies on the last device when all others are filled."""
        return self.bytes - (self.devices - 1) * self.usable_bytes


def footprint(billions, format, block_size=None, double_quant=False, device=32, headroom=0):
    """Return the `Footprint` of `billions` of weights.

    format: a key of `FORMATS`. block_size, double_quant: as in `memory.bits_per_weight`; where the
    format has no use for them they are left out, and the note says so. device: GB of one device.
    headroom: percent of each device kept free.
    """
    key = FORMATS[one_of("format", format, FORMATS)]
    parameters, device = _giga("billions", billions), _giga("device", device)
    note = _without_effect(key, format, block_size, double_quant)
    if memory.VALUE_BITS[key] >= 16 or key in memory.BUILT_IN_SCALE:
        block_size = None
    arguments = (key, block_size, double_quant and block_size is not None)
    size = memory.weight_bytes(parameters, *arguments)
    return Footprint(
        parameters=parameters,
        format=format,
        code_bits=memory.VALUE_BITS[key],
        bits=memory.bits_per_weight(*arguments),
        bytes=size,
        devices=memory.devices_needed(size, device, headroom / 100),
        device_bytes=device,
        usable_bytes=device * (1 - headroom / 100),
        note=note,
    )


def _giga(name, number):
    """Return 10^9 times a number as it is written: 17.1 * 1e9 is a little more than 17.1e9."""
    return float(Decimal(str(float(positive(name, number, or_zero=True)))).scaleb(9))


def _without_effect(key, format, block_size, double_quant):
    if key in memory.BUILT_IN_SCALE:
        size, bits = memory.BUILT_IN_SCALE[key]
        unused = " Block size and double quantization change nothing." if block_size else ""
        return f"{format} brings its own scales: {bits} bits for every {size} values.{unused}"
    if memory.VALUE_BITS[key] >= 16:
        return f"{format} needs no scale: block size changes nothing." if block_size else ""
    if block_size is None and double_quant:
        return "Double quantization shrinks the scales; without blocks there are none to shrink."
    return "" if block_size else "Without blocks no scale is counted: the least that is possible."
