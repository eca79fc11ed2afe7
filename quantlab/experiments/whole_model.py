"""A whole model at every width, and what it costs.

A `Setting` says how to quantize, `measure` gives the `Result`; `Bench` keeps the results of one
model, so that none is computed twice.
"""

from dataclasses import dataclass, replace

import numpy as np

from .. import _data, lm
from ..lm import files, stored
from ..methods import ACTIVATIONS, METHODS, method

#: The width of what has but one, in bits, by the name that is shown.
FIXED = {"16 bits": 16} | {row.label: row.bits for row in METHODS.values() if row.bits}
NEW_TOKENS = 32


@dataclass(frozen=True)
class Setting:
    """How a model is quantized.

    method: "16 bits", or the label of a row of `methods.METHODS`. group: weights per
    scale; None: all of an output, a row of torch's (out, in) weight and a column of the course's
    (in, out).
    """

    method: str
    bits: int
    group: int | None = None
    double_quant: bool = False

    @property
    def scales(self):
        """What shares a scale, in words."""
        if self.method == "16 bits":
            return "none"
        if self.group is None:
            return "matrix" if self.method.startswith("ternary") else "output"
        return f"{self.group}, quantized" if self.double_quant else str(self.group)

    @property
    def options(self):
        """The method's own settings, by name. GPTQ works on the zero-point grid."""
        said = {
            "bits": self.bits, "group_size": self.group, "block_size": self.group,
            "symmetric": False, "double_quant": self.double_quant,
        }  # fmt: skip
        return {name: said[name] for name in method(self.method).settings if name in said}

    def __str__(self):
        if self.method == "16 bits":
            return self.method
        width = "" if self.method in FIXED else f", {self.bits} bits"
        return f"{self.method}{width}, one scale per {self.scales}"


@dataclass(frozen=True)
class Result:
    """What a setting costs. bits: per weight of the linear layers, scales included. facts: of 256.

    text: the prompt and its greedy continuation. divergence: from the 16-bit model, in nats per
    token. windows: (divergence in nats, tokens) of each piece of the text.
    """

    setting: Setting
    bits: float
    perplexity: float
    facts: int
    text: str
    divergence: float = 0.0
    windows: tuple[tuple[float, int], ...] = ()


#: The settings of the notebook's table: widest first, and within a width by method.
SETTINGS = (
    Setting("16 bits", 16),
    Setting("absmax", 8), Setting("zero-point", 8), Setting("GPTQ", 8), Setting("LLM.int8()", 8),
    Setting("absmax", 4), Setting("zero-point", 4), Setting("zero-point", 4, 64),
    Setting("GPTQ", 4), Setting("GPTQ", 4, 64),
    Setting("FP4", 4, 64), Setting("NF4", 4, 64), Setting("NF4", 4, 64, True),
    Setting("absmax", 3), Setting("zero-point", 3), Setting("zero-point", 3, 64),
    Setting("GPTQ", 3), Setting("GPTQ", 3, 64),
    Setting("absmax", 2), Setting("zero-point", 2), Setting("zero-point", 2, 64),
    Setting("GPTQ", 2), Setting("GPTQ", 2, 64),
)  # fmt: skip


#: Models that were trained through their rounding (notebook 15), and their folders.
TRAINED = {
    Setting("zero-point, trained", 2, 64): "tiny-lm-2bit",
    Setting("ternary, trained", 2): "tiny-lm-ternary",
}


def normal(label, bits, group):
    """Return (setting, note): what is asked for, as far as the method knows it, and what is not.

    label: of a method. group: weights that share a scale, 0 for all of an output.
    """
    group, notes = group or None, []
    if label not in FIXED:
        return Setting(label, bits, group), ""
    if bits != FIXED[label]:
        notes.append(f"{label} has {FIXED[label]} bits: bits stay there")
    if group is None and "block_size" in method(label).settings:
        group = 64
        notes.append("its scales go with blocks: 64 is taken")
    return Setting(label, FIXED[label], group), "; ".join(notes)


def quantized(model, setting, progress=None):
    """Return `model` quantized as `setting` says. GPTQ works on the zero-point grid.

    model: a `lm.Model` in fp32, not quantized; "16 bits" gives it back as it is. LLM.int8() loads
    tiny-lm anew: its activations are quantized as well. progress: as in `lm.quantize`.
    Raises ValueError for a method that is not known, and whatever `lm.quantize` raises.
    """
    if setting.method == "16 bits":
        return model
    if setting in TRAINED:
        return trained(TRAINED[setting])
    row = method(setting.method)
    if row.needs == ACTIVATIONS:
        return lm.load("tiny-lm", "int8", device="cpu")
    return lm.quantize(model, row.name, progress=progress or _quietly, **setting.options)


def trained(folder):
    """Return a model that ships as it was trained: tiny-lm with what a folder's codes stand for.

    folder: "tiny-lm-2bit" or "tiny-lm-ternary", in the course's data. It computes in fp32, with the
    codes' own values, and needs no compressed-tensors; `lm.load`, which does, computes in bf16.
    """
    place = _data.path(folder)
    model = replace(lm.load("tiny-lm", "fp32", device="cpu"), name=folder)
    matrices = {matrix.name: matrix for matrix in model.matrices()}
    kept = stored.checkpoint(files.shape(place / "config.json"))
    for name, codes in stored.layers(place, kept, matrices):
        matrices[name].write(codes.dequantize())
        model.stored[name] = codes
    return replace(model, method="ternary" if "ternary" in folder else "zero_point")


def _quietly(done, total, name):
    """Report nothing: in a terminal `lm.quantize` would draw a bar of its own."""


class Recalled:
    """A network that computes what it says of the same tokens once, and recalls it from then on.

    One reading of a text, the longest part of a measurement, serves perplexity and divergence.
    """

    def __init__(self, network):
        self.network, self.config, self.dtype = network, network.config, network.dtype
        self.parameters, self.forward = network.parameters, network.forward
        self.said = {}

    def __call__(self, input_ids, **options):
        tokens = tuple(input_ids.flatten().tolist()), input_ids.shape, *sorted(options.items())
        if tokens not in self.said:
            self.said[tokens] = self.network(input_ids=input_ids, **options)
        return self.said[tokens]


def reader(model):
    """Return `model` with a `Recalled` network: for one text, as what it said is kept."""
    return replace(model, network=Recalled(model.network))


def measure(model, setting, text, prompt, progress=None, reference=None):
    """Return the `Result` of quantizing `model` as `setting` says.

    text: what perplexity is taken of, in windows side by side. prompt: what is continued greedily.
    progress: None or a function called with (part done, of 1, what comes next). reference: what
    divergence is measured from, the `reader` of `model` where several settings share one.
    """
    tell = progress or (lambda part, words: None)
    tell(0.0, "quantizing")
    small = quantized(model, setting, lambda done, total, _: tell(done / total / 2, "quantizing"))
    tell(0.5, "perplexity")
    read, stride = reader(small), small.window - 1
    perplexity = read.perplexity(text, stride=stride)
    tell(0.65, "divergence")
    pieces = lm.measure.window_divergences(read, reference or model, text, stride=stride)
    nats, tokens = np.array(pieces).T
    tell(0.75, "facts")
    facts = small.facts().right
    tell(0.9, "text")
    written = small.generate_text(prompt, NEW_TOKENS)
    # The 16-bit weights of the file are computed with in 32 bits; they are 16 bits all the same.
    bits = 16.0 if setting.method == "16 bits" else small.bits_per_weight
    tell(1.0, "done")
    far = float(nats.sum() / tokens.sum())
    return Result(setting, bits, perplexity, facts, written, far, tuple(pieces))


def further(one, other):
    """Return (by how much `one` diverges more than `other`, the standard error of that).

    Both in nats per token, from the differences of two `Result`s window by window: what makes a
    window hard is in both of them and drops out. Within two standard errors of 0 no difference is
    seen. Windows count by their tokens: the last may be short. Source: Cochran 1977, Sampling
    Techniques, section 6.4, the ratio of two sums.
    """
    return apart(one.windows, other.windows)


def apart(ours, theirs):
    """Return what `further` does, of the windows alone: pairs (nats, tokens) of two models.

    >>> mean, error = apart([(3, 10), (5, 10)], [(2, 10), (2, 10)])
    >>> round(mean, 3), round(error, 3)
    (0.2, 0.1)
    """
    (ours, tokens), (theirs, _) = (np.array(windows).T for windows in (ours, theirs))
    off = ours - theirs
    mean = off.sum() / tokens.sum()
    if off.size < 2:
        return float(mean), np.inf
    spread = np.sum((off - mean * tokens) ** 2) * off.size / (off.size - 1)
    return float(mean), float(np.sqrt(spread) / tokens.sum())


class Bench:
    """One model, one text, one prompt, and the results so far, by setting."""

    def __init__(self, model, text, prompt="Once upon a time"):
        self.model, self.text, self.prompt = model, text, prompt
        self.reference, self.results = reader(model), {}

    def result(self, setting, progress=None):
        """Return the `Result` of `setting`; only the first time it has to be computed."""
        if setting not in self.results:
            self.results[setting] = measure(
                self.model, setting, self.text, self.prompt, progress, self.reference
            )
        return self.results[setting]
