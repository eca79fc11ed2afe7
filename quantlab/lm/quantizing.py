"""Quantize every linear layer of a model by a method of the core."""

import copy
import dataclasses

import numpy as np

from .. import _data
from .._checks import whole
from ..gptq import hessian
from ..methods import ACTIVATIONS, CALIBRATION, METHODS
from ..methods import method as row_of
from .measure import encode


def quantize(model, method="gptq", calibration=None, progress=None, **settings):
    """Return a new model whose linear layers are quantized; `model` stays as it is.

    method: a name in `ql.methods.METHODS`, or "rtn" (round to nearest) for "absmax". settings: the
    method's own, by name; its row in the table says which, and their defaults, as in
    ``ql.methods.METHODS["gptq"].settings``. bits: 2 to 8. group_size: weights of one output that
    share a scale; None for one scale per output. The others are as in `ql.quantize_gptq` and
    `ql.quantize_blockwise`. calibration: a text or several, for a method that needs it (default:
    the course's own data/texts/calibration.txt). progress: None for a bar on a terminal and nothing
    elsewhere; or a function called with (layers done, layers in all, name of the layer) after each
    layer.
    Embeddings, norms and the output head keep their 16 bits. The new model computes with the
    dequantized weights; its `memory_bytes` and `bits_per_weight` count codes and scales.
    Raises ValueError for a setting that the method has not, for what is not served and for a model
    that is quantized already.
    Source of the order of gptq: Frantar et al. 2023, GPTQ, section 4, "Additional details".
    """
    _check_source(model)
    row = _checked_row(method, calibration, settings)
    settings = row.settings | settings
    _check_groups(model, settings.get("group_size"))
    network = copy.deepcopy(model.network)
    new = dataclasses.replace(model, network=network, quantization=_label(row, settings), stored={})
    with _Progress(progress, len(new.linears())) as report:
        if row.needs == CALIBRATION:
            _one_pass(new, calibration_windows(new, calibration), row, settings, report)
        else:
            for name, layer in new.linears():
                _replace(new, name, layer, row(_weight(layer), **settings), report)
    return new


def _checked_row(method, calibration, settings):
    """Return the row of a method; refuse what it does not take, by name."""
    row = row_of(method)
    if row.needs == ACTIVATIONS:
        raise ValueError(
            f"{row.name} quantizes activations too, while the model computes: "
            "lm.load(..., quantization='int8')"
        )
    row.check(settings)
    if calibration is not None and row.needs != CALIBRATION:
        needs = ", ".join(r.name for r in METHODS.values() if r.needs == CALIBRATION)
        raise ValueError(f"{row.name} needs no calibration; it is for {needs}")
    if "bits" in settings:
        whole("bits", settings["bits"], 2, 8)
    return row


def _label(row, settings):
    """Say in words how the layers are stored, from the settings that were used."""
    words = [row.name]
    if row.bits is None:
        words.append(f"{settings['bits']} bits")
        words += [f"group {settings['group_size']}"] * bool(settings["group_size"])
    return ", ".join(words)


def calibration_windows(model, calibration=None):
    """Return calibration text as windows of tokens, a tensor (windows, model.window).

    Each window starts with the beginning token if there is one; what does not fill a last window
    is left out, unless there is no other.
    """
    import torch

    if calibration is None:
        calibration = (_data.path("texts") / "calibration.txt").read_text(encoding="utf-8")
    texts = [calibration] if isinstance(calibration, str) else calibration
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"calibration must be a text or a list of texts, got {calibration!r}")
    tokens = [token for text in texts for token in encode(model.tokenizer, text)]
    begin = model.tokenizer.bos_token_id
    inner = min(model.window - (begin is not None), len(tokens))
    if inner < 1:
        raise ValueError("the calibration text is empty: give some sentences like those to come")
    rows = torch.tensor(tokens[: len(tokens) // inner * inner]).reshape(-1, inner)
    if begin is not None:
        rows = torch.nn.functional.pad(rows, (1, 0), value=begin)
    return rows.to(model.device)


def _one_pass(model, windows, row, settings, report):
    """Let the calibration text flow through the model once.

    Each linear layer, when the text reaches it, quantizes itself for the inputs it sees and only
    then computes. All layers before it are quantized by then, so it can make up for their errors.
    """
    import torch

    seen = {}

    def on_arrival(name):
        def quantize_yourself(layer, inputs):
            x = inputs[0]
            if seen.get("input") is not x:  # q, k and v read one input: one Hessian serves all
                flat = x.reshape(-1, x.shape[-1]).float().cpu().numpy()
                seen.update(input=x, hessian=hessian(flat))
            result = row(_weight(layer), seen["hessian"], **settings)
            _replace(model, name, layer, result, report)

        return quantize_yourself

    hooks = [layer.register_forward_pre_hook(on_arrival(name)) for name, layer in model.linears()]
    try:
        with torch.inference_mode():
            model.network.base_model(input_ids=windows, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()


def _weight(layer):
    """Return a layer's weight in the course's layout, (in, out): the one place where it turns."""
    return layer.weight.detach().float().cpu().numpy().T


def _replace(model, name, layer, result, report):
    """Put dequantized values into a layer and note the codes and scales that they come from."""
    import torch

    values = np.ascontiguousarray(result.dequantize().T, np.float32)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(values))
    model.stored[name] = result
    report(name)


def _check_source(model):
    if model.stored or any(not layer.weight.is_floating_point() for _, layer in model.linears()):
        raise ValueError(
            f"the model is quantized already ({model.quantization}): start from "
            "lm.load(..., quantization='bf16')"
        )


def _check_groups(model, group_size):
    if group_size is None:
        return
    whole("group_size", group_size, 1)
    for name, layer in model.linears():
        if layer.in_features % group_size:
            raise ValueError(
                f"group_size must divide the inputs of every layer; {name} has "
                f"{layer.in_features}, got {group_size}"
            )


class _Progress:
    """Report each finished layer to a bar on a terminal or to the caller's own function."""

    def __init__(self, progress, total):
        if progress is not None and not callable(progress):
            raise TypeError(f"progress must be None or a function, got {progress!r}")
        self.function, self.total, self.done = progress, total, 0

    def __enter__(self):
        if self.function is None:
            from tqdm import tqdm

            self.bar = tqdm(total=self.total, unit="layer", disable=None, leave=False)
        return self

    def __call__(self, name):
        self.done += 1
        if self.function is None:
            self.bar.update()
        else:
            self.function(self.done, self.total, name)

    def __exit__(self, *error):
        if self.function is None:
            self.bar.close()
