"""Which large weights a model has, and how each of them is stored.

The body of a model is every weight of two dimensions or more but the embeddings and the output
head: linear layers, whatever their class, and the experts of a mixture, many matrices in one
tensor. What a model takes, what its label says and what was left out is read here, off the layers.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..affine import Quantized
from ..methods import Transposed
from .online import of

#: The words for weights that are stored plainly.
PLAIN = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float64": "fp64"}
#: Below this share of the body, a quantized model warns of what it keeps.
ENOUGH = 0.9


@dataclass(frozen=True, eq=False)
class Weight:
    """One large weight of a model's body.

    name: unique in the model. module, parameter: where it stands. turned: True for a matrix that
    is stored (out, in), False for (in, out), None for what is no matrix or not known to be one.
    expert: its index where one tensor holds the matrices of many experts, else None.
    """

    name: str
    module: Any
    parameter: str
    turned: bool | None = None
    expert: int | None = None

    @property
    def whole(self):
        """The torch parameter that it stands in, maybe with those of other experts."""
        return getattr(self.module, self.parameter)

    @property
    def tensor(self):
        """The torch tensor: of an expert, a view into that of all."""
        return self.whole if self.expert is None else self.whole[self.expert]

    @property
    def shape(self):
        """(in, out) of a matrix, however it is stored; else the tensor's own shape."""
        if hasattr(self.module, "in_features"):  # 4-bit codes are packed: their tensor has no shape
            return self.module.in_features, self.module.out_features
        shape = tuple(self.tensor.shape)
        return shape[::-1] if self.turned else shape

    @property
    def count(self):
        """How many weights it has."""
        return int(np.prod(self.shape))

    @property
    def kind(self):
        """How it is stored, in a word: "bf16", "nf4", "int8" ..."""
        tensor = self.tensor
        if (state := getattr(tensor, "quant_state", None)) is not None:
            return state.quant_type
        name = str(tensor.dtype).removeprefix("torch.")
        return PLAIN.get(name, name)

    @property
    def bits(self):
        """The bits that it takes as it is stored, scales included."""
        tensors = [self.tensor.data, *_scales(self.module, self.tensor)]
        return 8 * sum(tensor.nbytes for tensor in tensors)

    def read(self):
        """Return its values in the course's layout, (in, out): the one place where it turns."""
        values = self.tensor.detach().float().cpu().numpy()
        return values.T if self.turned else values

    def write(self, values):
        """Put values (in, out) in its place, rounded to the type that it has."""
        import torch

        values = np.ascontiguousarray(values.T if self.turned else values, np.float32)
        with torch.no_grad():
            self.tensor.copy_(torch.from_numpy(values))


@dataclass(frozen=True)
class Held:
    """A large weight as a model holds it: name, count of numbers, how it is stored, bits in all."""

    name: str
    count: int
    words: str
    bits: float

    @property
    def quantized(self):
        """Whether it is stored in fewer than 16 bits by codes and scales."""
        return self.words.partition(",")[0] not in PLAIN.values()


def body(network):
    """Return every `Weight` of the body, each tensor once, in the order of the network."""
    import torch

    head, seen, found = network.get_output_embeddings(), set(), []
    for path, module in network.named_modules():
        if module is head or isinstance(module, torch.nn.Embedding):
            continue
        for name, tensor in module.named_parameters(recurse=False):
            if tensor.ndim < 2 or name.endswith("bias") or id(tensor) in seen:
                continue
            if name in beside(module):  # its bits are those of the weight
                continue
            seen.add(id(tensor))
            found += _weights(path, module, name, tensor)
    return found


def beside(module):
    """Return what stands beside the codes of a module's weight, its scales: parameters by name.

    transformers and compressed-tensors call them weight_scale, weight_scale_inv and so on.
    """
    own = dict(module.named_parameters(recurse=False))
    return {n: p for n, p in own.items() if n.startswith("weight_") and "weight" in own}


def _weights(path, module, name, tensor):
    """Return the weights that a parameter holds: one, or one for each expert."""
    import torch
    from transformers.pytorch_utils import Conv1D

    if name == "weight" and isinstance(module, (torch.nn.Linear, Conv1D)):
        return [Weight(path, module, name, turned=isinstance(module, torch.nn.Linear))]
    # transformers says so of the modules whose experts it can compute together.
    sideways = getattr(module, "is_transposed", None)
    if tensor.ndim == 3 and sideways is not None:
        return [
            Weight(f"{path}.{name}.{expert}", module, name, not sideways, expert)
            for expert in range(len(tensor))
        ]
    return [Weight(f"{path}.{name}", module, name)]


def survey(model):
    """Return what the body of a `Model` holds, a list of `Held`, read off its codes and layers."""
    found = []
    for weight in body(model.network):
        result = model.stored.get(weight.name)
        if result is None:
            words, bits = weight.kind, weight.bits
        else:
            words, bits = _words(result, model.method), result.bits_per_value * weight.count
            bits += _mean_bits(result)
        online = of(weight.module)
        if online is not None and online.bits is not None:
            words += f", activations {online.width}"
        found.append(Held(weight.name, weight.count, words, bits))
    return found


def _mean_bits(result):
    """The 32 bits of the mean that double quantization keeps once for each layer, else 0."""
    nested = isinstance(result, Transposed) and result.stored.nested is not None
    return 32 * nested


def _words(result, method):
    """Say how codes are stored. method: how they were chosen, which codes alone don't show."""
    if isinstance(result, Transposed):
        return result.stored.codebook.name.lower()
    if not isinstance(result, Quantized):  # a method's own kind of result, or one read from a file
        return getattr(result, "words", method)
    method = method or ("absmax" if result.symmetric else "zero_point")
    grouped = f", group {result.group_size}" if result.group_size else ""
    return f"{method}, {result.bits} bits{grouped}"


def label(held):
    """Return in words how a body is stored; where there is more than one way, with the shares.

    held: from `survey`. A way that would round to 0% is left out of the words.
    """
    total = sum(one.count for one in held)
    shares = {}
    for one in held:
        shares[one.words] = shares.get(one.words, 0) + one.count / total
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    if len(ranked) < 2 or ranked[1][1] < 0.005:
        return ranked[0][0] if ranked else "no layers"
    return "; ".join(f"{share:.0%} {words}" for words, share in ranked if share >= 0.005)


def left_out(held):
    """Return the share of the body that each weight that is not quantized takes, largest first.

    held: from `survey`. Weights whose names differ in their numbers alone are one: a dict from the
    name, a star for each number, to the share (0 to 1).
    """
    total = sum(one.count for one in held)
    shares = {}
    for one in held:
        if not one.quantized:
            name = re.sub(r"\.\d+(?=\.|$)", ".*", one.name)
            shares[name] = shares.get(name, 0) + one.count / total
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def check(name, asked, held, advice):
    """Look at every large weight of a model that was to be quantized: warn, or raise.

    name, asked: the model and what was asked for, for the sentence. held: from `survey`. advice:
    what to do about what is left out. Warns once if less than `ENOUGH` of the body is quantized;
    raises ValueError if nothing is.
    """
    import warnings

    rest = left_out(held)
    kept = sum(rest.values())
    if kept <= 1 - ENOUGH and held:
        return
    named = ", ".join(f"{which} ({share:.1%})" for which, share in rest.items())
    words = label([one for one in held if not one.quantized])
    if kept > 1 - 1e-9 or not held:
        raise ValueError(
            f"{name or 'the model'} in {asked}: nothing of its body is quantized, "
            f"all of it stays {words}: {named or 'it has no large weights'}; {advice}"
        )
    warnings.warn(
        f"{name or 'the model'} in {asked}: {kept:.0%} of the body's weights stay {words}: "
        f"{named}; {advice}",
        stacklevel=3,
    )


def _scales(module, tensor):
    """Return the scales that are kept beside a layer's codes."""
    state = getattr(tensor, "quant_state", None)
    if state is not None:  # 4 bits: block scales, or their codes, the scales of those and a mean
        nested = [state.offset, state.state2.absmax] if state.nested else []
        return [state.absmax, *nested]
    row_scales = getattr(tensor, "SCB", None)
    if row_scales is None:
        row_scales = getattr(getattr(module, "state", None), "SCB", None)
    return [*beside(module).values(), *([] if row_scales is None else [row_scales])]
