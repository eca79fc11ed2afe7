"""Load a model: the bundled one by name, a folder, or a hub id; 32, 16, 8 or 4 bits a weight."""

import contextlib
import copy
import errno
import functools
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from .. import _data
from .._checks import flag, shown
from ..affine import Quantized
from ..memory import weight_bytes
from . import files, layers, stored
from .machine import best_device, check_disk, check_memory, disk_is_full, has_bf16
from .model import Model
from .stored import checkpoint

BUNDLED = "tiny-lm"
PLAIN = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
QUANTIZED = ("int8", "nf4", "fp4")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
PART = re.compile(r"model-\d+-of-\d+\.safetensors")
#: What a load reads beside the weights.
BESIDE = ["*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken"]
PATIENCE = 2.5  # seconds for the first answer of the hub
_ONE_AT_A_TIME = threading.RLock()  # transformers changes torch for the process while it loads


def load(name=BUNDLED, quantization=None, device=None, double_quant=False, as_stored=True):
    """Load a causal language model.

    name: "tiny-lm", which comes with the course; a folder as `save_pretrained` writes it; or a
    hub id such as "Qwen/Qwen2.5-0.5B", the one case in which anything is downloaded.
    quantization: "bf16", "fp16", "fp32", "int8" (LLM.int8()), "nf4", "fp4", or a transformers
    `BitsAndBytesConfig`. int8 and the 4-bit formats compute in bf16, on a GPU without it in fp16.
    None: as the model is stored, in 4 bits or 8, or as `Model.save` wrote it; a model that is not
    quantized in bf16, on a GPU without it in fp16. What is stored in few bits loads only so.
    device: None or "auto" for a CUDA device if there is one, else the CPU. double_quant: with nf4
    and fp4, quantize the scales as well. as_stored: what a 4-bit model is weighed and compared by;
    False lets bitsandbytes repack its layers at their first use where its CPU kernel is faster
    (`keep_as_stored` says what that changes).
    What a load in few bits leaves in 16 is in `Model.left_out()`; a warning names it if that is
    more than a tenth of the body, as with fused experts.
    Weights come from safetensors files alone, and no code that lies beside them is ever run.
    All weights are read once beforehand, to see that they are whole and finite.
    Returns `Model`. Raises ValueError for what is not served or stays in 16 bits altogether and for
    files that are missing, damaged or not of one model, ImportError without bitsandbytes,
    MemoryError (before anything is loaded) if the weights cannot fit, OSError (before anything is
    downloaded) if the disk has no room, ConnectionError without the network, PermissionError for a
    gated model or a wrong token, FileNotFoundError for one that is not there.
    """
    with _ONE_AT_A_TIME:
        return _load_alone(name, quantization, device, double_quant, as_stored)


def _load_alone(name, quantization, device, double_quant, as_stored):
    device, as_stored = best_device(device), flag("as_stored", as_stored)
    source, shape, dtype, config, kept = _plan(name, quantization, device, double_quant)
    label = kept.label if kept else _label(quantization, dtype)
    if config is not None:
        _need_bitsandbytes()
    weights = weigh(source, shape, config)
    needed, others = weights.bytes(dtype, config), weights.choices(has_bf16(device))
    check_memory(needed, device, f"{name} in {label}", others)
    model = _load(source, shape, dtype, config, device, kept)
    if config is not None:
        _look_at_layers(model, label)
    if as_stored:
        keep_as_stored(model.network)
    return model


def find(name):
    """Return (folder, True) for the bundled model or a folder, (hub id, False) for a hub id.

    What looks like a path is never taken for a hub id: a `Path`, more than one slash, a first
    letter that is one of / . ~, or an owner's name that is a folder here.
    Raises ValueError for any other name, with the names that would do.
    """
    if str(name) == BUNDLED:
        return str(_data.path(BUNDLED)), True
    if name != "":
        files.path_of("name", name)
    folder = Path(name).expanduser()
    if str(name) and folder.is_dir():
        if not (folder / "config.json").exists():
            raise ValueError(f"the folder {folder} has no config.json, so it holds no model")
        return str(folder), True
    is_id = isinstance(name, str) and HUB_ID.fullmatch(name)
    if is_id and not folder.exists() and not folder.parent.is_dir():
        return name, False
    raise ValueError(
        f"{_absent(str(name), folder)}: give {BUNDLED!r}, a folder that has a config.json, or a "
        "hub id with its owner, such as 'Qwen/Qwen2.5-0.5B'"
    )


def _absent(name, folder):
    """Say what is wrong with a name that is neither a folder nor a hub id."""
    if name and folder.is_file():
        return f"{name!r} is a file"
    if not re.search(r"[/\\]|^~", name):
        return f"unknown model {name!r}"
    if not folder.parent.is_dir():
        return f"there is no folder {name!r} (seen from {Path.cwd()})"
    beside = sorted(place.name for place in folder.parent.iterdir() if place.is_dir())
    there = ", ".join(beside[:5]) + ", ..." * (len(beside) > 5) or "no folders"
    return f"there is no folder {name!r}; {folder.parent}, a folder here, has {there}"


class Source(NamedTuple):
    """Where a model is.

    name: a folder or a hub id. folder: the one that has its config.json. sizes: the bytes of each
    file of weights that the hub has, by name; None if nothing may be asked of the hub.
    """

    name: str
    folder: Path
    sizes: dict | None = None


def _source(name):
    """Return the `Source` of a name; of a hub model config.json is downloaded, no more."""
    found, local = find(name)
    return Source(found, Path(found)) if local else _reach_hub(found)


class Weights(NamedTuple):
    """What a model's weights come to.

    every: all of them. quantized: those that bitsandbytes would quantize. stored: None, or the
    bytes of the files of a model that is stored quantized: it is loaded as it is.
    """

    every: int
    quantized: int
    stored: int | None = None

    def bytes(self, dtype, config=None):
        """Return the bytes of a load with everything in `dtype` but what `config` quantizes."""
        if self.stored is not None:
            return self.stored
        kept = (self.every - self.quantized * (config is not None)) * dtype.itemsize
        if config is None:
            return kept
        if not config.load_in_4bit:
            return kept + self.quantized
        return int(kept + weight_bytes(self.quantized, "nf4", 64, config.bnb_4bit_use_double_quant))

    def choices(self, bf16):
        """Return the bytes of every way to load the model, by what to pass. bf16: it is served."""
        if self.stored is not None:
            return {}
        found = {"fp32": 4 * self.every, "bf16" if bf16 else "fp16": 2 * self.every}
        kept = 2 * (self.every - self.quantized)
        found["int8"] = kept + self.quantized
        found["nf4"] = int(kept + weight_bytes(self.quantized, "nf4", 64))
        found = {f"quantization={name!r}": size for name, size in found.items()}
        doubly = int(kept + weight_bytes(self.quantized, "nf4", 64, double_quant=True))
        return found | {"quantization='nf4', double_quant=True": doubly}


def estimate_bytes(source, dtype, config=None):
    """Return the bytes that the weights will take, from the model's shape alone.

    source: a folder or a hub id. What `config` quantizes counts as it is stored (4-bit blocks of 64
    with their scales, 8-bit rows), everything else in `dtype`. A model that is stored quantized
    takes what its files take.
    """
    source = _source(source)
    shape = files.shape(source.folder / "config.json")
    return weigh(source, shape, config).bytes(dtype, config)


def weigh(source, shape, config=None):
    """Return the `Weights` of a `Source`. shape: its transformers config."""
    if getattr(shape, "quantization_config", None) is not None:
        sizes = source.sizes
        if sizes is None:
            sizes = {file: file.stat().st_size for file in files.weight_files(source.folder)}
        return Weights(0, 0, sum(sizes.values()))
    network = files.empty_network(shape, source.folder)
    every = sum(p.numel() for p in network.parameters())
    return Weights(every, sum(layer.weight.numel() for layer in _quantizable(network, config)))


def _quantizable(network, config):
    """Return the layers that transformers lets bitsandbytes quantize: by its rules, not by ours.

    They leave out subclasses of Linear and experts that are one tensor, and take in Conv1D.
    """
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D
    from transformers.quantizers.base import HfQuantizer
    from transformers.quantizers.quantizers_utils import should_convert_module

    own = getattr(config, "llm_int8_skip_modules", None)
    skipped = HfQuantizer.get_modules_to_not_convert(network, own, network._keep_in_fp32_modules)
    return [
        layer
        for name, layer in network.named_modules()
        if (type(layer) is Linear or isinstance(layer, Conv1D))
        and should_convert_module(name, skipped)
    ]


def _read(names):
    """Return the files of weights that transformers reads: one, or its parts."""
    return [files.ONE] if files.ONE in names else [name for name in names if PART.fullmatch(name)]


def predict_bytes(name=BUNDLED, quantization=None, device=None, double_quant=False):
    """Return the bytes that the weights will take once `load`, with these arguments, is done.

    Nothing but the shape of the model is read: of a hub model config.json is downloaded, no more.
    """
    plan = _plan(name, quantization, best_device(device), double_quant)
    source, shape, dtype, config, _ = plan
    return weigh(source, shape, config).bytes(dtype, config)


def _plan(name, quantization, device, double_quant):
    """Return what a load starts from: `Source`, transformers config, dtype, config, `Checkpoint`.

    What is stored in few bits has its own dtype and config; another quantization is refused.
    """
    dtype, config = _precision(quantization, device, flag("double_quant", double_quant))
    source = _source(name)
    shape = files.shape(source.folder / "config.json")
    kept = checkpoint(shape)
    if kept is not None:
        _check_agrees(name, kept, quantization, double_quant)
        kept.check_packages(name)
        dtype, config = _stored_precision(kept, device)
    return source, shape, dtype, config, kept


def _precision(quantization, device, double_quant):
    """Return the torch dtype to load in and the BitsAndBytesConfig, or None for plain weights."""
    import torch
    from transformers import BitsAndBytesConfig

    half = torch.bfloat16 if has_bf16(device) else torch.float16
    if isinstance(quantization, BitsAndBytesConfig):
        if double_quant:
            raise ValueError(
                "double_quant=True goes with a name, 'nf4' or 'fp4'; a BitsAndBytesConfig says it "
                "itself: bnb_4bit_use_double_quant=True"
            )
        return half, quantization
    if not isinstance(quantization, (str, type(None))):
        raise TypeError(
            f"quantization must be a name or BitsAndBytesConfig, got {shown(quantization)}"
        )
    if double_quant and quantization not in ("nf4", "fp4"):
        raise ValueError(f"double_quant is for 'nf4' and 'fp4', got {shown(quantization)}")
    if quantization is None:
        return half, None
    if quantization in PLAIN:
        if quantization == "bf16" and not has_bf16(device):
            raise ValueError(
                f"{torch.cuda.get_device_name(device)} does not compute in bfloat16. "
                "Pass quantization='fp16', or device='cpu'."
            )
        return getattr(torch, PLAIN[quantization]), None
    if quantization not in QUANTIZED:
        allowed = ", ".join([*PLAIN, *QUANTIZED])
        raise ValueError(f"quantization must be one of {allowed}, got {shown(quantization)}")
    if quantization == "int8":
        return half, BitsAndBytesConfig(load_in_8bit=True)
    return half, BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization,
        bnb_4bit_use_double_quant=double_quant,
        bnb_4bit_compute_dtype=half,
    )


def _check_agrees(name, kept, quantization, double_quant):
    """Refuse another quantization than the one a model is stored in."""
    nested = kept.settings.get("bnb_4bit_use_double_quant", False)
    if quantization in (None, kept.label) and (nested or not double_quant):
        return
    asked = f"quantization={quantization!r}" + ", double_quant=True" * double_quant
    raise ValueError(
        f"{name} is stored in {kept.label} and loads only as it is: leave {asked} out, or quantize "
        "the 16-bit model that it was made from"
    )


def _stored_precision(kept, device):
    """Return the dtype of what is not quantized, and what bitsandbytes stored, or None."""
    import torch
    from transformers import BitsAndBytesConfig

    dtype = kept.shape.dtype or torch.bfloat16
    if dtype == torch.bfloat16 and not has_bf16(device):
        dtype = torch.float16
    if kept.method != "bitsandbytes":
        return dtype, None
    kept.settings["bnb_4bit_compute_dtype"] = str(dtype).removeprefix("torch.")
    return dtype, BitsAndBytesConfig.from_dict(kept.settings)


def _label(quantization, dtype):
    """Say in a word how the linear layers of a model are loaded that is stored in plain numbers."""
    if quantization is None:
        return next(name for name, long in PLAIN.items() if str(dtype) == f"torch.{long}")
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
    """Make sure that a hub model can be had; return its `Source`.

    Downloads its config.json, the smallest proof. If the hub gives no answer within `PATIENCE`
    seconds, a model that is in the cache as a whole is taken from there.
    """
    from huggingface_hub import hf_hub_download, model_info

    try:
        _first_answer()
    except Exception as error:  # of httpx, which has been renamed once, or of a name server
        if _is_cached(hub_id):
            return Source(hub_id, Path(_cached_file(hub_id, "config.json")).parent)
        raise _unreachable(hub_id) from error
    with _hub(hub_id):
        info = model_info(hub_id, files_metadata=True, timeout=30)
        config = hf_hub_download(hub_id, "config.json")
    sizes = {file.rfilename: file.size or 0 for file in info.siblings}
    files.check_hub_files(hub_id, sizes)
    sizes = {name: sizes[name] for name in _read(sizes)}
    absent = [name for name in sizes if not _cached_file(hub_id, name, info.sha)]
    check_disk(sum(sizes[name] for name in absent), _cache(), hub_id)
    return Source(hub_id, Path(config).parent, sizes)


def _download(source):
    """Download what is not in the cache of a hub model; return its folder there."""
    folder = _snapshot(source.name, BESIDE)
    one = files.ONE in source.sizes
    return _snapshot(source.name, [files.ONE] if one else files.names_in(folder / files.INDEX))


def _snapshot(hub_id, names):
    """Download the files of a hub model with these names or patterns; return their folder."""
    from huggingface_hub import snapshot_download

    with _hub(hub_id):
        return Path(snapshot_download(hub_id, allow_patterns=names, ignore_patterns="*/*"))


@contextlib.contextmanager
def _hub(hub_id):
    """Turn what goes wrong with the hub into an error that says what to do."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{hub_id}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise PermissionError(
            f"{hub_id} is gated: accept its licence at {page} and log in (hf auth login), or "
            f"take an open model, such as 'Qwen/Qwen2.5-0.5B', or {BUNDLED!r}"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RemoteEntryNotFoundError) as error:
        raise FileNotFoundError(
            f"the hub has no model {hub_id!r} with a config.json (or it is private): see {page}"
        ) from error
    except Exception as error:  # of the hub, of httpx, or of this machine
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise disk_is_full(_cache(), f"{hub_id} has no room there") from error
        if getattr(error, "errno", None) is not None:  # errors of the hub have no number
            raise
        raise _refused(hub_id, _status(error), error) from error


def _status(error):
    """Return the status of the hub's answer that an error comes from, or None."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status is not None:
            return status
        error = error.__cause__ or error.__context__
    return None


def _refused(hub_id, status, error):
    """Return the error that says what to do. status: of the hub's answer; None for none."""
    if status == 401:
        return PermissionError(
            f"the hub does not take your token for {hub_id!r}: log in anew (hf auth login), or "
            "out (hf auth logout, and no HF_TOKEN); an open model needs none"
        )
    if status == 403:
        return PermissionError(
            f"the hub refuses {hub_id!r} to you: ask for access at https://huggingface.co/{hub_id} "
            f"or take an open model, such as 'Qwen/Qwen2.5-0.5B', or {BUNDLED!r}"
        )
    if status == 429:
        return ConnectionError(
            f"the hub has had too many requests from here and refuses {hub_id!r}: wait some "
            "minutes, or log in (hf auth login), which allows more"
        )
    if status is not None and status >= 500:
        return ConnectionError(
            f"cannot reach the hub for {hub_id!r}: it answers with a fault of its own ({status}). "
            f"Try again in some minutes, or use {BUNDLED!r}, which needs no network."
        )
    return ConnectionError(
        f"cannot reach the hub for {hub_id!r}, or the download broke off "
        f"({type(error).__name__}). Check the network (and HF_ENDPOINT) and load again: what has "
        f"come is kept. Or use {BUNDLED!r}, which needs none."
    )


def _first_answer():
    """Ask the hub for anything, and wait `PATIENCE` seconds at most: TimeoutError after that.

    In a thread, as a time limit of the request is one for each address and none for name servers.
    """
    from huggingface_hub import constants, get_session

    pool = ThreadPoolExecutor(1)
    try:
        request = pool.submit(get_session().head, constants.ENDPOINT, timeout=PATIENCE)
        request.result(PATIENCE)
    finally:
        pool.shutdown(wait=False)


def _unreachable(hub_id):
    return ConnectionError(
        f"cannot reach the hub for {hub_id!r}, and it is not in this machine's cache. Check "
        f"the network (and HF_HUB_OFFLINE), or use {BUNDLED!r}, which needs none."
    )


def _cache():
    from huggingface_hub import constants

    return constants.HF_HUB_CACHE


def _cached_file(hub_id, name, revision=None):
    """Return the path of a file in the hub's cache, or None."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(hub_id, name, revision=revision)
    return found if isinstance(found, str) else None  # a third answer: known not to exist


def _is_cached(hub_id):
    """Say whether the shape and all weights of a model are in the hub's cache."""
    index = _cached_file(hub_id, files.INDEX)
    parts = {files.ONE}
    if index:
        parts = set(files.read_json(Path(index)).get("weight_map", {}).values())
    return all(_cached_file(hub_id, name) for name in ("config.json", *parts))


def _load(source, shape, dtype, config, device, kept=None):
    """Load what is checked. kept: the `Checkpoint` of weights that are stored in few bits."""
    from transformers import AutoModelForCausalLM

    local = source.sizes is None
    folder = source.folder if local else _download(source)
    files.check_weights(folder, dtype if kept is None else None)
    tokenizer = files.tokenizer(folder, shape.get_text_config().vocab_size)
    with _quiet(local):
        network, report = AutoModelForCausalLM.from_pretrained(
            folder,
            config=shape,
            dtype=dtype,
            quantization_config=config if kept is None else None,
            device_map={"": device},
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # to name them
            output_loading_info=True,
        )
    files.check_fit(folder, report)
    network.eval()
    method = kept.method if kept is not None else ""
    model = Model(network, tokenizer, name=Path(source.name).name, method=method)
    if method == "compressed-tensors":
        _keep_codes(model, folder, kept)
    return model


def _keep_codes(model, source, kept):
    """Note what compressed-tensors stores of each layer, and take its values from there.

    transformers decodes with the scales as they are, in FP16, and rounds the products to it.
    """
    matrices = {matrix.name: matrix for matrix in model.matrices()}
    for name, codes in stored.layers(source, kept, matrices):
        model.stored[name] = codes
        if isinstance(codes, Quantized):
            matrices[name].write(codes.dequantize())


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
    if not hasattr(network, "modules"):
        raise TypeError(f"network must be one of torch, got {shown(network)}")
    for layer in network.modules():
        if type(layer).__name__ == "Linear4bit":
            layer.train()


class _quiet:
    """No loading bar for a model that loads in a blink, and no report of what our error says."""

    def __init__(self, wanted):
        self.wanted = wanted

    def __enter__(self):
        from huggingface_hub import utils as hub
        from transformers.utils import logging

        self.reports = logging.get_logger("transformers.modeling_utils")
        self.reports.disabled = True  # by a level it would begin to report something else
        self.loading = logging.is_progress_bar_enabled()
        self.downloads = not hub.are_progress_bars_disabled()
        if self.wanted:
            logging.disable_progress_bar()  # both: the one of transformers and that of the hub

    def __exit__(self, *error):
        from huggingface_hub import utils as hub
        from transformers.utils import logging

        self.reports.disabled = False
        if self.wanted and self.loading:
            logging.enable_progress_bar()
        if self.wanted and self.downloads:
            hub.enable_progress_bars()
        elif self.wanted:
            hub.disable_progress_bars()
