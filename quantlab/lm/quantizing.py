"""Quantize every matrix in the body of a model by a method of the core."""

import copy
import dataclasses
import warnings

import numpy as np

from .._checks import whole
from ..methods import ACTIVATIONS, CALIBRATION, METHODS
from ..methods import method as row_of
from . import given, layers
from .calibration import calibration_windows, flow
from .online import check_activations, round_activations


def quantize(
    model, method="gptq", calibration=None, progress=None, activation_bits=None, **settings
):
    """Return a new model whose large matrices are quantized; `model` stays as it is.

    method: a name in `ql.methods.METHODS`, or "rtn" (round to nearest) for "absmax". settings: the
    method's own, by name; its row in the table says which, and their defaults, as in
    ``ql.methods.METHODS["gptq"].settings``. bits: 2 to 8. group_size: weights of one output that
    share a scale; None for one scale per output. The others are as in `ql.quantize_gptq` and
    `ql.quantize_blockwise`. calibration: a text or several, for a method that needs it (default:
    the course's own data/texts/calibration.txt). progress: None for a bar on a terminal and nothing
    elsewhere; or a function called with (layers done, layers in all, name of the layer) after each
    layer. activation_bits: None, or 2 to 8: what linear layers read is rounded to that width while
    the model computes, each token by a scale of its own; or a format of `ql.scaled` by name, as
    "NVFP4". That comes last: calibration sees inputs that are not rounded.
    Linear layers of any class, GPT-2's Conv1D and each expert of a mixture are quantized, each with
    scales of its own. Embeddings, norms and the output head keep their 16 bits; what of the body
    does is in `Model.left_out()`, and a warning names it if it is more than a tenth. The new model
    computes with the dequantized weights; `memory_bytes` and `bits_per_weight` count codes and
    scales. An expert that no calibration token came to is rounded to nearest, with a warning.
    Raises ValueError for a setting that the method has not, for what is not served and for a model
    that is quantized already or has nothing to quantize.
    Source of the order of gptq: Frantar et al. 2023, GPTQ, section 4, "Additional details".
    """
    given.function("progress", progress)
    _check_source(given.model("model", model))
    row = _checked_row(method, calibration, settings)
    settings = row.settings | settings
    given.groups(settings.get("group_size"), model.matrices())
    if activation_bits is not None:
        check_activations(model, activation_bits)
    windows = calibration_windows(model, calibration) if row.needs == CALIBRATION else None
    new = dataclasses.replace(
        model, network=copy.deepcopy(model.network), stored={}, method=row.name
    )
    matrices = new.matrices()
    with _Progress(progress, len(matrices)) as report:
        work = _Work(new, row, settings, report)
        if windows is not None:
            flow(new.network, matrices, windows, work.finish)
        else:
            for matrix in matrices:
                work.finish(matrix)
    work.warn_of_unseen()
    if activation_bits is not None:
        round_activations(new, activation_bits)
    layers.check(model.name, row.label, new.body(), "no method of the course knows their layout")
    return new


def _checked_row(method, calibration, settings):
    """Return the row of a method; refuse what it does not take, by name."""
    row = row_of(method)
    if row.needs == ACTIVATIONS:
        raise ValueError(
            f"method {row.name} quantizes activations too, while the model computes: "
            "lm.load(..., quantization='int8')"
        )
    row.check(settings)
    if calibration is not None and row.needs != CALIBRATION:
        needs = ", ".join(r.name for r in METHODS.values() if r.needs == CALIBRATION)
        raise ValueError(f"{row.name} needs no calibration; it is for {needs}")
    if "bits" in settings:
        whole("bits", settings["bits"], 2, 8)
    return row


class _Work:
    """Quantizes one matrix after the other by one row of the table, and notes what came of it."""

    def __init__(self, model, row, settings, report):
        self.model, self.row, self.settings, self.report = model, row, settings, report
        self.unseen = []

    def finish(self, matrix, hessian=None):
        """Put a matrix's dequantized values in its place and note its codes and scales."""
        if hessian is None and self.row.needs == CALIBRATION:
            # To equal and independent inputs no row can make up for another: each is rounded.
            hessian = np.eye(matrix.shape[0])
            self.unseen.append(matrix)
        result = self.row(matrix.read(), hessian, **self.settings)
        matrix.write(result.dequantize())
        self.model.stored[matrix.name] = result
        self.report(matrix.name)

    def warn_of_unseen(self):
        """Say in one sentence which matrices no calibration token came to."""
        if not self.unseen:
            return
        places = {}
        for matrix in self.unseen:
            if matrix.expert is None:
                places[matrix.name] = ""
            else:
                module = matrix.name.removesuffix(f".{matrix.parameter}.{matrix.expert}")
                places.setdefault(module, [set(), len(matrix.whole)])[0].add(matrix.expert)
        named = [
            f"{len(place[0])} of {place[1]} experts of {name}" if place else name
            for name, place in places.items()
        ]
        warnings.warn(
            f"{self.row.label} rounded to nearest what no calibration token came to: "
            f"{', '.join(named)}; a longer calibration text reaches more",
            stacklevel=3,
        )


def _check_source(model):
    if any(held.quantized for held in model.body()):
        raise ValueError(
            f"the model is quantized already ({model.quantization}): start from "
            "lm.load(..., quantization='bf16')"
        )


class _Progress:
    """Report each finished layer to a bar on a terminal or to the caller's own function."""

    def __init__(self, progress, total):
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
