"""What one step of training takes, part by part, as PyTorch allocates it.

`quantlab.training_memory` predicts it. Here every tensor that a step makes is seen on its way
through PyTorch's dispatcher, and counted until its memory is given back.
"""

import copy
import weakref
from dataclasses import dataclass

from .. import _data
from .._checks import one_of, whole
from ..training_memory import Parts
from . import given
from .measure import encode
from .training_adapters import lora_layers

#: What can be trained here: all of a model, or its adapters.
TRAINED = ("all", "adapters")


@dataclass(frozen=True)
class Measured(Parts):
    """What the second step of a training took, in bytes.

    Each part at its own largest, logits those at the largest moment of the loss; peak: the most
    of all together.
    """

    peak: int


def step_memory(model, trained="adapters", batch=4, window=256):
    """Return what a step of training takes, `Measured` at the second: the first makes the states.

    The step is that of `lm.train`: the next tokens of the course's calibration text, Adam, no
    gradient kept from the step before. But bf16 is trained too, if trained is "all". Each tensor
    counts with the whole of its memory, as often as it has memory of its own; the workspace of a
    kernel is not seen. model: stays as it is.
    Raises ValueError for what cannot be trained and for a window that the model cannot read.
    """
    one_of("trained", trained, TRAINED)
    given.model("model", model)
    if (trained == "adapters") != bool(lora_layers(model.network)):
        there = "adapters" if trained == "all" else "no adapters"
        raise ValueError(f"trained={trained!r}, and the model has {there}: see lm.add_lora")
    ids = _tokens(model, whole("batch", batch, 1), whole("window", window, 2))
    step = _Step(copy.deepcopy(model.network), trained)
    step.take(ids)
    return step.take(ids)


def peak_bytes(function):
    """Return the most bytes that the tensors which a call makes take at once."""
    live = live_tensors()
    with live:
        function()
    return live.peak


class _Step:
    """A network and Adam, and the steps that these take under watch."""

    def __init__(self, network, trained):
        import torch

        self.network, self.live = network, live_tensors()
        self.values = []
        for name, value in network.named_parameters():
            if value.is_floating_point():
                value.requires_grad_(trained == "all" or "lora_" in name)
            if value.requires_grad:
                self.values.append(value)
        if trained == "all" and any(not p.requires_grad for p in network.parameters()):
            raise ValueError("the model holds codes, which no gradient can move: see lm.add_lora")
        self.adam = torch.optim.Adam(self.values, lr=1e-5)
        self.weights = self.live.add(_all_but_adapters(network))
        self.adapters = self.live.add([p for n, p in network.named_parameters() if "lora_" in n])

    def take(self, ids):
        """Take a step and return its `Measured`."""
        import torch

        live = self.live
        with live:
            self.adam.zero_grad()
            before = live.size
            held = [self.network(input_ids=ids, use_cache=False).logits]
            activations = live.size - before - held[0].untyped_storage().nbytes()
            live.peak = 0
            loss = _loss(held.pop().float(), ids)
            in_loss = live.peak
            loss.backward()
            del loss
            in_backward, live.peak = live.peak, 0
            gradients = sum(value.grad.nbytes for value in self.values)
            torch.nn.utils.clip_grad_norm_(self.values, 1.0)
            self.adam.step()
        states = sum(t.nbytes for one in self.adam.state.values() for t in one.values())
        rest = self.weights + self.adapters + states + gradients
        return Measured(
            weights=self.weights,
            adapters=self.adapters,
            gradients=gradients,
            states=states,
            activations=activations,
            logits=in_loss - before - activations,
            step=live.peak - rest,
            peak=max(in_backward, live.peak),
        )


def _loss(logits, ids):
    """Return the loss in nats per token, as `lm.train` has it."""
    import torch.nn.functional as F

    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def live_tensors():
    """Return a watch over tensors: within it, `size` is the bytes now, `peak` the most so far."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.weak import WeakIdKeyDictionary

    class Live(TorchDispatchMode):
        """Counts each piece of memory from the operation that makes it to its end."""

        def __init__(self):
            super().__init__()
            # by identity: two pieces of memory compare byte by byte
            self.known, self.size, self.peak = WeakIdKeyDictionary(), 0, 0

        def __torch_dispatch__(self, operation, types, positional=(), named=None):
            for tensor in tree_leaves(positional):
                if isinstance(tensor, torch.Tensor):  # unknown: it was there before the watch
                    self.known.setdefault(tensor.untyped_storage(), 0)
            result = operation(*positional, **(named or {}))
            self.add(tree_leaves(result))
            return result

        def add(self, found):
            """Count tensors, and return the bytes that are new."""
            before = self.size
            for tensor in found:
                if isinstance(tensor, torch.Tensor):
                    self._add(tensor.untyped_storage())
            self.peak = max(self.peak, self.size)
            return self.size - before

        def _add(self, memory):
            if memory not in self.known:
                self.known[memory] = memory.nbytes()
                self.size += memory.nbytes()
                weakref.finalize(memory, self._drop, memory.nbytes())

        def _drop(self, size):
            self.size -= size

    return Live()


def _all_but_adapters(network):
    """Return the tensors of a network but its adapters, bitsandbytes' scales among them."""
    found = list(network.buffers())
    for name, value in network.named_parameters():
        if "lora_" not in name:
            found.append(value)
            found += _scales(value)
    return found


def _scales(value):
    """Return the tensors that bitsandbytes keeps beside the codes of a layer."""
    state = getattr(value, "quant_state", None)
    found = [getattr(value, "SCB", None)]
    while state is not None:
        found += [state.absmax, state.code, state.offset]
        state = state.state2
    return [one for one in found if one is not None]


def _tokens(model, batch, window):
    """Return the first tokens of the calibration text, (batch, window), over again if need be."""
    import torch

    if window > model.longest:
        raise ValueError(f"window must be 2 to {model.longest}, got {window}")
    text = (_data.path("texts") / "calibration.txt").read_text(encoding="utf-8")
    ids = torch.tensor(encode(model.tokenizer, text), device=model.device)
    ids = ids.repeat(-(-batch * window // len(ids)))
    return ids[: batch * window].reshape(batch, window)
