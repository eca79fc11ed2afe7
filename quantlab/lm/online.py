"""What is done to a layer's inputs while the model computes: turned, then rounded per token."""

import copy
import dataclasses
import functools
from dataclasses import dataclass

from .. import scaled
from .._checks import one_of, whole
from ..transforms import block_size, hadamard
from . import given

#: A Hadamard matrix of 2^k rows is applied in factors of at most so many.
FACTOR = 64


@dataclass(eq=False)
class Online:
    """What is done to the inputs of one layer, a hook that torch calls before the layer computes.

    mixed: None, or a size that the inputs are seen in: as (mixed, in / mixed), of which
    ``hadamard(mixed)`` turns the first. The number of inputs turns them all, the number of heads
    mixes the heads. bits: None, or the width that each token is rounded to, symmetrically, or the
    name of a format in `ql.scaled.FORMATS`.
    """

    mixed: int | None = None
    bits: int | str | None = None

    @property
    def width(self):
        """The width or the format in words."""
        return self.bits if isinstance(self.bits, str) else f"{self.bits} bits"

    def __call__(self, layer, args):
        """Return the layer's arguments with its inputs turned and rounded."""
        x, *others = args
        if self.mixed is not None:
            x = turned(x, self.mixed)
        if self.bits is not None:
            x = rounded(x, self.bits)
        return x, *others


def of(layer):
    """Return the `Online` of a torch module, or None if its inputs come to it as they are."""
    return getattr(layer, "online", None)


def attach(layer, mixed=None, bits=None):
    """Have a layer's inputs turned or rounded, beside what is done to them already."""
    if of(layer) is None:
        layer.online = Online()
        layer.register_forward_pre_hook(layer.online)
    layer.online.mixed = mixed or layer.online.mixed
    layer.online.bits = bits or layer.online.bits


def turned(x, mixed):
    """Return inputs of a layer, a tensor (..., in), turned by ``hadamard(mixed)``.

    in: a multiple of `mixed`, see `Online`. The matrix is the Kronecker product of small ones,
    which are applied one after another: for 768 inputs 12 and 64 multiplications each. Sums are
    taken in float32 at least: in bfloat16 already 1 / sqrt(12) would be off by a thousandth.
    """
    import torch

    block, rest = block_size(mixed), x.shape[-1] // mixed
    y = x.to(torch.promote_types(x.dtype, torch.float32))
    inner = block * rest
    for factor in _factors(block):
        inner //= factor
        y = torch.einsum("fg,bfi->bgi", _matrix(factor).to(y), y.reshape(-1, factor, inner))
    return y.reshape(x.shape).to(x.dtype)


def rounded(x, bits):
    """Return each token of a tensor (..., in) rounded as ``quantize_absmax(x, bits, axis=1)`` does.

    bits: or the name of a format in `ql.scaled.FORMATS`, for blocks along each token; its scale of
    the tensor, if it has one, is taken from the whole of x.
    Source: Dettmers et al. 2022, LLM.int8(), section 3.1: one scale for each row.
    """
    import torch

    if isinstance(bits, str):
        return torch.from_numpy(scaled.quantize(x, bits).dequantize()).to(x)
    y = x.to(torch.promote_types(x.dtype, torch.float32))
    high = 2 ** (bits - 1) - 1
    peak = y.abs().amax(-1, keepdim=True).clamp(min=1e-30)  # a token of zeros stays one
    codes = (y * (1 / peak * high)).round().clamp(-high, high)
    return (codes * (peak / high)).to(x.dtype)


def quantize_activations(model, bits):
    """Return a new model whose linear layers round what they read; its weights stay as they are.

    bits: 2 to 8, each token with a scale of its own, symmetric; or a format of `ql.scaled` by name,
    with blocks along each token. `lm.quantize` does both.
    Raises ValueError for experts, whose inner inputs pass no layer's door, and for a model whose
    activations are rounded already.
    Source: Dettmers et al. 2022, LLM.int8(), section 3.1.
    """
    check_activations(given.model("model", model), bits)
    new = dataclasses.replace(model, network=copy.deepcopy(model.network))
    round_activations(new, bits)
    return new


def check_activations(model, bits):
    """Raise ValueError for a width that is not served and a model whose inputs can't be rounded."""
    if isinstance(bits, str):
        along = [name for name, form in scaled.FORMATS.items() if not isinstance(form.block, tuple)]
        one_of("activation_bits", bits, along)
    else:
        whole("activation_bits", bits, 2, 8)
    for matrix in model.matrices():
        if matrix.expert is not None:
            raise ValueError(
                f"activation_bits rounds what linear layers read, got {bits}: {matrix.name} is one "
                "of many experts in one module, whose inner inputs pass no layer's door"
            )
        known = of(matrix.module)
        if known is not None and known.bits is not None:
            raise ValueError(
                f"the inputs of {matrix.name} are rounded to {known.width} already, got "
                f"activation_bits={bits}: start from the model before that"
            )


def round_activations(model, bits):
    """Have every linear layer of a `Model` round what it reads. Changes the model."""
    for matrix in model.matrices():
        attach(matrix.module, bits=bits)


def check_ordinary(model, what):
    """Refuse what a file of weights can't hold: inputs that are turned or rounded on the way."""
    for name, layer in model.network.named_modules():
        online = of(layer)
        if online is None:
            continue
        if online.bits is not None:
            raise ValueError(
                f"{what} would keep weights alone, and {name} rounds its inputs to {online.width} "
                "while it computes: save the model without activation_bits"
            )
        raise ValueError(
            f"{what} would keep weights alone, and the inputs of {name} are turned while it "
            "computes: use lm.rotate(..., online=False)"
        )


def _factors(block):
    """Return the sizes of small Hadamard matrices whose Kronecker product is that of `block`."""
    odd = block // (block & -block)
    sizes = [4 * odd] if odd > 1 else []
    left = block // (sizes or [1])[0]
    while left > 1:
        sizes.append(min(left, FACTOR))
        left //= sizes[-1]
    return sizes


@functools.cache
def _matrix(size):
    """Return the Hadamard matrix of a small size, a float64 tensor."""
    import torch

    return torch.from_numpy(hadamard(size))
