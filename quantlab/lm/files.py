"""The files of a model, checked before they are used: each error is one sentence with their name.

transformers gives weights that are missing or of another shape random values, casts whole numbers
to floats, and loads NaN as it is. A model so loaded computes; it has to be refused.
"""

import json
import os
from collections import namedtuple
from pathlib import Path

from .._checks import shown

ONE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
#: What the tokenizer and generation are described in; not all have to be there.
DESCRIBED = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "generation_config.json",
)  # fmt: skip
AGAIN = "download or copy it again"
NO_CODE = "asks for code that lies beside the weights (auto_map), and such code is never run here"

Fit = namedtuple("Fit", "key words")
#: What transformers reports of a load, and what it means.
FITS = (
    Fit("missing_keys", "lack {count} that config.json asks for and that would be random"),
    Fit("unexpected_keys", "hold {count} that the model of config.json has no place for"),
    Fit("mismatched_keys", "hold {count} of another shape than config.json asks for"),
)


def path_of(name, value):
    """Return `value`, a string or a path, as an absolute path, with ~ for the home folder.

    Raises TypeError for another kind, ValueError for what no system takes for a path.
    """
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a string or a path, got {shown(value)}")
    try:
        path = Path(text).expanduser().absolute()
        path.exists()  # too long, say
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{name} is no path here: {shown(value)} ({_line(error)})") from error
    if not text or "\0" in text:
        raise ValueError(f"{name} must be a path, got {shown(value)}")
    return path


def read_json(file):
    """Return the dict that a JSON file holds. Raises ValueError for anything else."""
    _check_readable(file)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON, or of UTF-8
        raise ValueError(f"{file} is cut off or no JSON ({_line(error)}): {AGAIN}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file} must hold a JSON object, got {shown(found)}")
    return found


def _check_readable(file):
    """Raise ValueError for a folder, and for what Git LFS leaves in the place of a file."""
    if not file.is_file():
        raise ValueError(f"{file} is no file that can be read")
    with file.open("rb") as opened:
        if opened.read(20).startswith(b"version https://git"):
            raise ValueError(
                f"{file} is a pointer of Git LFS, not the file itself: run  git lfs pull  there"
            )


def shape(file):
    """Return the transformers config in a config.json, that of a causal language model.

    Raises ValueError for a file that is damaged, asks for code or describes another kind of model.
    """
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    described, advice = read_json(file), "take a model that transformers knows"
    kind = described.get("model_type")
    if kind not in CONFIG_MAPPING:
        if "auto_map" in described:
            raise ValueError(f"{file} {NO_CODE}: {advice}")
        said = f"model_type {shown(kind)}, which transformers {transformers.__version__} has not"
        raise ValueError(f"{file} says {said}: {advice}, or a newer transformers")
    if not isinstance(described.get("quantization_config", {}), dict):
        raise ValueError(f"{file} has a quantization_config that is no JSON object")
    layers = described.get("num_hidden_layers", 0)
    if isinstance(layers, int) and layers > 1000:
        raise ValueError(f"{file} says {shown(layers)} num_hidden_layers: no model has over 1000")
    try:
        found = transformers.AutoConfig.from_pretrained(file.parent, trust_remote_code=False)
    except Exception as error:
        raise ValueError(f"{file} describes no {kind} model: {_line(error)}") from error
    if type(found) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ValueError(f"{file} describes a {kind} model: it predicts no next token; {advice}")
    return found


def empty_network(shape, source):
    """Return the network of a config without any numbers, on torch's meta device."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(shape, trust_remote_code=False)
    except Exception as error:
        raise ValueError(
            f"the config.json of {source} describes no model that can be built: {_line(error)}"
        ) from error


def weight_files(folder):
    """Return the safetensors files that a load reads: one, or those that an index names.

    Raises ValueError for a folder without them or without one that its index names.
    """
    if (folder / ONE).exists():
        return [folder / ONE]
    index = folder / INDEX
    if index.exists():
        names = names_in(index)
        missing = [n for n in names if Path(n).name != n or not (folder / n).exists()]
        if missing:
            count = f"{len(missing)} of the {len(names)} files"
            raise ValueError(f"{index} names {count} that are not there: {shown(missing)}")
        return [folder / name for name in names]
    pickled = sorted(file.name for pattern in PICKLED for file in folder.glob(pattern))
    raise ValueError(_no_safetensors(folder, pickled))


def names_in(index):
    """Return the names of the files that an index of weights says they are in, one at least."""
    said = read_json(index)
    places = said.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(p, str) for p in places.values()):
        raise ValueError(f"{index} has no weight_map from tensors to files: {AGAIN}")
    if not isinstance(said.get("metadata"), dict):  # transformers asks for it
        raise ValueError(f"{index} has no metadata: {AGAIN}")
    if not places:
        raise ValueError(f"{index} has an empty weight_map: {AGAIN}")
    return sorted(set(places.values()))


def _no_safetensors(source, pickled):
    """Say that there are no weights to read. pickled: names of files that hold some."""
    if not pickled:
        return f"{source} has no weights: neither {ONE} nor {INDEX} is there"
    return (
        f"{source} has its weights in {pickled[0]} alone: such a file can run code when it is "
        f"read, so only safetensors are; take a model that has {ONE}"
    )


def check_hub_files(source, names):
    """Raise ValueError if none of the names of a hub model's files is one of safetensors."""
    if not {ONE, INDEX} & set(names):
        pickled = [name for name in names if any(Path(name).match(p) for p in PICKLED)]
        raise ValueError(_no_safetensors(source, pickled))


def check_weights(folder, dtype=None):
    """Read all weights of a folder once: whole files, floats where floats are due, all finite.

    dtype: the torch type that they are loaded in, for plain weights; None for what is stored in
    codes. It takes 0.2 s per GB on one core, beside the time of the disk.
    Raises ValueError with the file and the tensor.
    """
    from safetensors import SafetensorError, safe_open

    for file in weight_files(folder):
        _check_readable(file)
        try:
            with safe_open(file, "pt") as opened:
                for name in opened.keys():  # noqa: SIM118, it is no dict
                    _check_tensor(file, name, opened.get_tensor(name), dtype)
        except SafetensorError as error:
            raise ValueError(f"{file} is cut off or damaged ({_line(error)}): {AGAIN}") from error


def _check_tensor(file, name, tensor, dtype):
    """Check one tensor. A NaN comes through to the least and the largest value."""
    import torch

    narrow = not tensor.is_floating_point() or tensor.dtype.itemsize < 2
    if narrow and dtype is not None and name.endswith("weight"):
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ValueError(
            f"{file} stores {name} in {kind}, and config.json has no quantization_config that "
            f"says how to read it: take the model in 16 bits"
        )
    if not tensor.is_floating_point() or tensor.numel() == 0 or "mask" in name:
        return  # a mask may hold minus infinity
    low, high = _ends(tensor)
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        raise ValueError(f"{file} holds NaN or infinity in {name}: {AGAIN}")
    if dtype is not None and max(-low, high) > torch.finfo(dtype).max:
        words = str(dtype).removeprefix("torch.")
        raise ValueError(f"{file} holds {max(-low, high):.3g} in {name}: too large for {words}")


def _ends(tensor):
    """Return the least and the largest value of a tensor, NaN if it holds one.

    torch compares no numbers of 8 bits, but there are 256 of them: those that occur are looked at.
    FP4 comes in pairs, and has neither NaN nor infinity.
    """
    import torch

    if tensor.dtype.itemsize > 1:
        return [end.item() for end in torch.aminmax(tensor)]
    if "float4" in str(tensor.dtype):
        return 0.0, 0.0
    codes = torch.arange(256, dtype=torch.uint8).view(tensor.dtype).float()
    found = codes[torch.bincount(tensor.view(torch.uint8).flatten(), minlength=256) > 0]
    return [end.item() for end in torch.aminmax(found)]


def check_fit(source, report):
    """Raise ValueError unless the weights are those that the config asks for.

    report: what transformers says of a load (`output_loading_info`).
    """
    for key, words in FITS:
        found = sorted(str(one[0]) if isinstance(one, tuple) else str(one) for one in report[key])
        if found:
            count = "a tensor" if len(found) == 1 else f"{len(found)} tensors"
            raise ValueError(
                f"the safetensors files of {source} {words.format(count=count)}, such as "
                f"{shown(found[0])}: they and config.json are not of one model"
            )


def tokenizer(folder, vocabulary):
    """Return the tokenizer of a folder. vocabulary: how many tokens the model knows.

    Raises ValueError for one that is missing, damaged, of another model, or asks for code.
    """
    from transformers import AutoTokenizer

    there = [folder / name for name in DESCRIBED if (folder / name).exists()]
    described = {file.name: read_json(file) for file in there}
    missing = f"{folder} has no tokenizer.json, and no other tokenizer that can be read"
    try:
        found = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:
        if "auto_map" in described.get("tokenizer_config.json", {}):
            raise ValueError(f"{folder / 'tokenizer_config.json'} {NO_CODE}") from error
        if "tokenizer.json" in described:
            what = f"{folder / 'tokenizer.json'} is no tokenizer that can be read: {_line(error)}"
        else:
            what = missing
        raise ValueError(what) from error
    if set(found.get_vocab()) <= set(found.all_special_tokens):  # transformers 5.4 makes one up
        raise ValueError(missing)
    if not 0 < found.vocab_size <= vocabulary:
        raise ValueError(
            f"the tokenizer of {folder} has {found.vocab_size} tokens and the model of its "
            f"config.json {vocabulary}: they are not of one model"
        )
    return found


def _line(error):
    """Return what an error says, in one short line."""
    return shown(" ".join(str(error).split()))[1:-1].split(". ")[0]
