"""What a folder or a hub model stores: read from its config.json and its safetensors files."""

import importlib.util
from dataclasses import dataclass

import numpy as np

from ..affine import Quantized

#: What transformers needs to read a kind of checkpoint, as pip calls it and as Python does.
NEEDS = {
    "bitsandbytes": {"bitsandbytes": "bitsandbytes"},
    "compressed-tensors": {"compressed-tensors": "compressed_tensors"},
    "gptq": {"optimum": "optimum", "gptqmodel": "gptqmodel"},
    "awq": {"gptqmodel": "gptqmodel"},
}


@dataclass(frozen=True)
class InFile:
    """A layer of which only its size in the file is known. bits_per_value: scales included."""

    words: str
    bits_per_value: float


@dataclass(frozen=True)
class Checkpoint:
    """How the weights of a folder or a hub model are quantized.

    shape: its transformers config. settings: the quantization_config in it, a dict.
    """

    shape: object
    settings: dict

    @property
    def method(self):
        """The library or format, as transformers calls it: "bitsandbytes", "gptq", "mxfp4" ..."""
        return str(self.settings.get("quant_method", "bitsandbytes"))

    @property
    def label(self):
        """How the layers are stored, in words."""
        settings = self.settings
        if self.method == "bitsandbytes":
            return (
                settings.get("bnb_4bit_quant_type", "fp4")
                if settings.get("load_in_4bit")
                else "int8"
            )
        if self.method == "compressed-tensors":
            return f"compressed-tensors, {_of_groups(settings)}"
        if "bits" in settings:
            return f"{self.method}, {_width(settings['bits'], settings.get('group_size'))}"
        return self.method

    def check_packages(self, name):
        """Raise ImportError if a package is missing that transformers needs to read this.

        And ValueError for a kind of checkpoint that transformers does not know.
        """
        from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING

        if self.method not in {*AUTO_QUANTIZER_MAPPING, "bitsandbytes"}:
            raise ValueError(
                f"the config.json of {name} has quant_method {self.method!r}, which transformers "
                "does not know: its weights would be read as they are"
            )
        needs = NEEDS.get(self.method, {})
        missing = [pip for pip, module in needs.items() if importlib.util.find_spec(module) is None]
        if missing:
            raise ImportError(
                f"{name} is stored in {self.label}, which transformers reads with "
                f"{' and '.join(needs)}: run  pip install {' '.join(missing)}  and restart "
                "the kernel"
            )


def checkpoint(shape):
    """Return the `Checkpoint` of a transformers config, or None if its weights are plain."""
    text = shape.get_text_config(decoder=True)
    settings = getattr(shape, "quantization_config", None) or getattr(
        text, "quantization_config", None
    )
    return None if settings is None else Checkpoint(shape, settings)


def layers(folder, kept, matrices):
    """Yield (name, codes) of each layer that compressed-tensors stores in a checkpoint.

    folder: of its files, a `Path`. kept: its `Checkpoint`. matrices: `Weight`s by name. codes:
    `Quantized` for whole numbers that are packed, else `InFile`.
    """
    from safetensors import safe_open

    places = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            for key in opened.keys():  # noqa: SIM118, it is no dict
                name, _, last = key.rpartition(".")
                places.setdefault(name, {})[last] = file
    for name, parts in places.items():
        if name in matrices and "weight_scale" in parts:
            yield name, _codes(_read(name, parts), kept, matrices[name].count)


def _read(name, files):
    """Return a layer's tensors by name. files: the file of each, by name."""
    from safetensors import safe_open

    tensors = {}
    for last, file in files.items():
        if last.startswith("weight"):
            with safe_open(file, "pt") as opened:
                tensors[last] = opened.get_tensor(f"{name}.{last}")
    return tensors


def _codes(parts, kept, count):
    """Return what one layer of `count` weights stores, from its tensors by name."""
    [group, *others] = kept.settings["config_groups"].values()
    weights = group["weights"]
    packed = kept.settings["format"] == "pack-quantized" and weights["type"] == "int"
    if not packed or others or "weight_g_idx" in parts:
        bits = 8 * sum(t.nbytes for last, t in parts.items() if last != "weight_shape")
        return InFile(kept.label, bits / count)
    bits, shape, scale = weights["num_bits"], parts["weight_shape"].tolist(), parts["weight_scale"]
    codes = _unpacked(parts["weight_packed"].numpy(), bits)[:, : shape[1]].T
    scale = scale.float().numpy().T
    zero, symmetric = np.zeros(scale.shape, np.int16), weights["symmetric"]
    if not symmetric:
        zero = _unpacked(parts["weight_zero_point"].numpy().T, bits)[:, : shape[0]]
    size = weights["group_size"] if weights["strategy"] == "group" else None
    axis = 0
    if weights["strategy"] == "tensor":
        axis, scale, zero = None, scale.reshape(()), zero.reshape(())
    return Quantized(codes, scale, zero.astype(np.int16), bits, symmetric, axis, size)


def _unpacked(words, bits):
    """Return the codes of rows of 32-bit words: `bits` after `bits`, the lowest first, no gaps.

    Each is stored plus 2**(bits - 1). Behind the last code of a row zeros may follow.
    """
    flat = np.ascontiguousarray(words).view(np.uint8)
    ones = np.unpackbits(flat, axis=1, bitorder="little")
    ones = ones[:, : ones.shape[1] // bits * bits].reshape(len(words), -1, bits)
    codes = ones @ (1 << np.arange(bits)) - 2 ** (bits - 1)
    return codes.astype(np.int8)


def _of_groups(settings):
    """Say in words how compressed-tensors stores the weights and, if it does, activations."""
    words = []
    for group in settings.get("config_groups", {}).values():
        said = _width(group["weights"]["num_bits"], group["weights"].get("group_size"))
        if group["weights"].get("type") == "float":
            said = f"float, {said}"
        if activations := group.get("input_activations"):
            said += f", activations {activations['num_bits']} bits"
        words.append(said)
    return "; ".join(dict.fromkeys(words))


def _width(bits, group_size):
    grouped = group_size is not None and group_size > 0
    return f"{bits} bits, group {group_size}" if grouped else f"{bits} bits"
