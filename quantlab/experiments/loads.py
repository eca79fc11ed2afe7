"""A loaded model in numbers: the bytes of its parts, and how well it predicts a text.

And a load that is tried out on this machine: the memory it was to take and took, and its speed.
"""

import gc
import time
from dataclasses import dataclass

from quantlab import lm
from quantlab.lm import machine


@dataclass(frozen=True)
class Load:
    """A loaded model in numbers.

    name: the load in words. codes: bytes of the linear layers' weights as stored. scales: bytes
    of their scales. kept: bytes of what is never quantized. perplexity: on the text at hand.
    """

    name: str
    codes: int
    scales: int
    kept: int
    perplexity: float

    @property
    def bytes(self):
        """Bytes of the whole model."""
        return self.codes + self.scales + self.kept


def weigh(model):
    """Return (codes, scales, kept): the bytes of a `quantlab.lm.Model`, in three parts.

    codes: the weights of its linear layers as stored; scales: what is stored beside them; kept:
    embeddings, norms and the output head. Weigh before the first forward pass: on some CPUs
    bitsandbytes repacks a layer when it is first used.
    """
    weights = [layer.weight for _, layer in model.linears()]
    inside = {id(weight) for weight in weights}
    codes = sum(weight.nbytes for weight in weights)
    kept = sum(p.nbytes for p in model.network.parameters() if id(p) not in inside)
    return codes, model.memory_bytes() - codes - kept, kept


def measure(name, model, text):
    """Return the `Load` of a `quantlab.lm.Model`: its bytes, then its perplexity on `text`.

    The text is read in windows that lie side by side, half the work of overlapping ones.
    """
    parts = weigh(model)
    return Load(name, *parts, model.perplexity(text, stride=model.window - 1))


@dataclass(frozen=True)
class Trial:
    """A model that was loaded on this machine, weighed, timed and let go again.

    name: the load in words. on_gpu: where. Bytes: predicted, from the model's shape before it was
    loaded; counted, in its layers; taken, what torch then held more on a GPU, or by what this
    process had grown in main memory; peak, the most that torch held more at any time of the trial,
    None on a CPU. seconds: the load took. alone, together: tokens per second of one text, and of
    `AT_ONCE` texts in all. bits_per_byte: the loss on a text. text: how the prompt goes on.
    """

    name: str
    on_gpu: bool
    predicted: int
    counted: int
    taken: int
    peak: int | None
    seconds: float
    alone: float
    together: float
    bits_per_byte: float
    text: str


AT_ONCE = 16


def half_precision(device=None):
    """Return the 16-bit load that `device` computes with: "bf16", or "fp16" on a GPU without it."""
    return "bf16" if machine.has_bf16(machine.best_device(device)) else "fp16"


def trial(name, quantization, prompt, text, device=None, double_quant=False, new_tokens=64):
    """Load a model as `quantlab.lm.load` does, measure it, let it go, and return the `Trial`.

    name, quantization, device, double_quant: as for `lm.load`; it may repack its layers at their
    first use, as the library does by itself. prompt: what is continued. text: what is predicted.
    new_tokens: of each continuation that is timed.
    """
    device = machine.best_device(device)
    predicted = lm.loading.predict_bytes(name, quantization, device, double_quant)
    gc.collect()  # a model that was let go before may lie around in a cycle
    before = machine.used_bytes(device)
    machine.forget_peak(device)
    start = time.perf_counter()
    model = lm.load(name, quantization, device, double_quant, as_stored=False)
    machine.wait_for(device)
    seconds = time.perf_counter() - start
    taken, counted = machine.used_bytes(device) - before, model.memory_bytes()
    alone, together = (model.tokens_per_second(prompt, new_tokens, n) for n in (1, AT_ONCE))
    loss, goes_on = model.bits_per_byte(text), model.generate_text(prompt, new_tokens)
    peak = machine.peak_bytes(device)
    return Trial(
        name=f"{model.name}, {model.quantization}",
        on_gpu=model.device.type == "cuda",
        predicted=predicted,
        counted=counted,
        taken=taken,
        peak=None if peak is None else peak - before,
        seconds=seconds,
        alone=alone,
        together=together,
        bits_per_byte=loss,
        text=goes_on,
    )
