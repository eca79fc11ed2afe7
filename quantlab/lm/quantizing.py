"""Quantize every linear layer of a model by a method of the core."""

import copy
import dataclasses

import numpy as np

from .. import _data
from .._checks import one_of, whole
from ..affine import quantize_absmax, quantize_zero_point
from ..codebooks import FP4, NF4, quantize_blockwise
from ..gptq import hessian, quantize_gptq
from .measure import encode

METHODS = ("absmax", "rtn", "zero_point", "gptq", "nf4", "fp4")
CODEBOOKS = {"nf4": NF4, "fp4": FP4}


def quantize(
    model,
    method="gptq",
    bits=4,
    group_size=None,
    calibration=None,
    symmetric=True,
    damping=0.01,
    act_order=False,
    block_size=64,
    double_quant=False,
    progress=None,
):
    """Return a new model whose linear layers are quantized; `model` stays as it is.

    method: "absmax" (also called "rtn", round to nearest), "zero_point", "gptq", "nf4", "fp4".
    bits: 2 to 8, for the first three. group_size: weights of one output that share a scale; None
    for one scale per output. calibration: a text or several, for gptq (default: the course's own
    data/texts/calibration.txt). symmetric, damping, act_order: as in `ql.quantize_gptq`.
    block_size, double_quant: as in `ql.quantize_blockwise`, for nf4 and fp4.
    progress: None for a bar on a terminal and nothing elsewhere; or a function called with
    (layers done, layers in all, name of the layer) after each layer.
    Embeddings, norms and the output head keep their 16 bits. The new model computes with the
    dequantized weights; its `memory_bytes` and `bits_per_weight` count codes and scales.
    Raises ValueError for what is not served and for a model that is quantized already.
    Source of the order of gptq: Frantar et al. 2023, GPTQ, section 4, "Additional details".
    """
    _check_source(model)
    one_of("method", method, METHODS)
    if method in CODEBOOKS:
        rounded = _blockwise(CODEBOOKS[method], block_size, double_quant)
        label = method
    else:
        bits = whole("bits", bits, 2, 8)
        _check_groups(model, group_size)
        rounded = _by_row(method, bits, group_size, symmetric, damping, act_order)
        label = f"{method}, {bits} bits" + (f", group {group_size}" if group_size else "")
    new = dataclasses.replace(
        model, network=copy.deepcopy(model.network), quantization=label, stored={}
    )
    with _Progress(progress, len(new.linears())) as report:
        if method == "gptq":
            _one_pass(new, calibration_windows(new, calibration), rounded, report)
        else:
            for name, layer in new.linears():
                _replace(new, name, layer, rounded(layer, None), report)
    return new


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


def _by_row(method, bits, group_size, symmetric, damping, act_order):
    """Return layer, Hessian -> (dequantized (out, in), bits stored), for absmax to gptq."""

    def rounded(layer, hessian_of_inputs):
        w = _weight(layer).T  # the course's layout: (in, out); the one place where it turns
        if method == "gptq":
            q = quantize_gptq(w, hessian_of_inputs, bits, group_size, damping, act_order, symmetric)
        elif method == "zero_point":
            q = quantize_zero_point(w, bits, axis=0, group_size=group_size)
        else:
            q = quantize_absmax(w, bits, axis=0, group_size=group_size)
        return q.dequantize().T, q.bits_per_value * w.size

    return rounded


def _blockwise(codebook, block_size, double_quant):
    """Return layer, Hessian -> (dequantized (out, in), bits stored) for the codebooks."""

    def rounded(layer, _):
        # Blocks run along torch's own (out, in) weight, as bitsandbytes' do.
        q = quantize_blockwise(_weight(layer), codebook, block_size, double_quant)
        return q.dequantize(), q.bits_per_value * layer.weight.numel()

    return rounded


def _one_pass(model, windows, rounded, report):
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
            _replace(model, name, layer, rounded(layer, seen["hessian"]), report)

        return quantize_yourself

    hooks = [layer.register_forward_pre_hook(on_arrival(name)) for name, layer in model.linears()]
    try:
        with torch.inference_mode():
            model.network.base_model(input_ids=windows, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()


def _weight(layer):
    return layer.weight.detach().float().cpu().numpy()


def _replace(model, name, layer, result, report):
    """Put dequantized values into a layer and note what its codes and scales take."""
    import torch

    values, bits = result
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(values, np.float32)))
    model.stored[name] = bits
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
