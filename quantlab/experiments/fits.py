"""What notebook 14 measures: speed against bytes, texts at once, and a cache in few bits."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantlab import fit, lm
from quantlab.lm import CacheFormat

#: What a format costs tiny-lm, in nats per token: the divergence that notebook 09 measures. Of
#: "int4-g128" the nearest there is GPTQ in groups of 64.
COST = {"bf16": 0.0, "int8": 0.0004, "int4-g128": 0.0123, "nf4": 0.0213, "nf4-nested": 0.0213}


@dataclass(frozen=True)
class Speed:
    """A file that was run: the model's name, the type of its layers, its bytes, tokens a second.

    A second is one that the processor worked for it: what else the machine does is not counted.
    """

    name: str
    type: str
    bytes: int
    tokens_per_second: float

    @property
    def bytes_per_second(self):
        """What was read a second, if every byte is read once for each token."""
        return self.bytes * self.tokens_per_second


WARM_UP = 8  # tokens that `tokens_per_second` makes before it counts


def speeds(models, folder, types=("F32", "F16", "Q8_0", "Q4_0"), runs=3, new_tokens=32):
    """Write each model in each type as a file, let llama.cpp run it, and return the `Speed`s.

    runs: the best of so many counts: what else the machine does can only slow it down.
    """
    found = []
    for model in models:
        for type in types:
            file = lm.export_gguf(model, Path(folder) / f"{model.name}-{type}.gguf", type)
            with lm.run_gguf(file.path) as running:
                worked = min(_worked(running, new_tokens) for _ in range(runs))
            speed = (new_tokens + WARM_UP) / worked
            found.append(Speed(model.name, type, file.bytes, speed))
    return found


def _worked(model, new_tokens, **settings):
    """Return the seconds that the processor works while a model writes so many tokens."""
    start = time.process_time()
    model.tokens_per_second(new_tokens=new_tokens, **settings)
    return time.process_time() - start


def bandwidth(size=2**28, runs=5):
    """Return the bytes a second that one thread reads and writes at best when it copies memory."""
    source = np.ones(size // 8)
    target, best = np.empty_like(source), 0.0
    for _ in range(runs):
        start = time.process_time()
        np.copyto(target, source)
        best = max(best, 2 * source.nbytes / max(time.process_time() - start, 1e-9))
    return best


def together(model, counts=(1, 2, 4, 8, 16, 32), runs=3, new_tokens=32):
    """Return (texts at once, new tokens of all in a second of work) for each of `counts`.

    runs: the best of so many counts, as in `speeds`.
    """
    found = []
    for texts in counts:
        worked = min(_worked(model, new_tokens, texts=texts) for _ in range(runs))
        found.append((texts, texts * (new_tokens + WARM_UP) / worked))
    return found


@dataclass(frozen=True)
class Loss:
    """What a cache costs: which part in which format, and the divergence of each window.

    windows: (nats, tokens) of each, as `lm.measure.window_divergences` returns them.
    """

    part: str
    format: CacheFormat
    windows: tuple[tuple[float, int], ...]

    @property
    def nats(self):
        """The divergence in nats per token."""
        return sum(nats for nats, _ in self.windows) / sum(tokens for _, tokens in self.windows)

    def wins(self, other):
        """In how many windows this one costs less than another, and of how many."""
        pairs = zip(self.windows, other.windows, strict=True)
        return sum(mine < theirs for (mine, _), (theirs, _) in pairs), len(self.windows)


def cache_losses(model, text, bits=2, recent=32, group=32):
    """Return the `Loss` of keys and of values alone, along a token and a channel, turned or not.

    A channel waits for its group, so it has group / 2 more tokens in 16 bits on average: it gets
    so many fewer that are kept anyway.
    """
    found = []
    for part in ("keys", "values"):
        for along, last in (("token", recent), ("channel", recent - group // 2)):
            for turned in (False, True):
                format = CacheFormat(bits, along, group, last, turned)
                small = lm.quantize_cache(model, **{part: format})
                windows = lm.measure.window_divergences(small, model, text)
                found.append(Loss(part, format, tuple(windows)))
    return found


#: From most to fewest bits, what is tried; "mxfp4" where a model was released in it.
CHOICES = ("bf16", "mxfp4", "int8", "Q6_K", "Q4_K_M", "nf4-nested")


def plans(models, machines, context=8192, batch=1):
    """Return {(model, machine): (format, `Plan`)}: the first of `CHOICES` that fits.

    models, machines: names of `fit.shipped()` and `fit.devices()`. (None, `Plan`): none of them
    fits. The plan has no other formats: what is smaller still is no answer to what is too much.
    """
    found = {}
    for model in models:
        choices = [name for name in CHOICES if name != "mxfp4" or "gpt-oss" in model]
        for machine in machines:
            plan = fit.plan(model, machine, context, batch, formats=choices)
            fits = (name for name in choices if plan.fits.get(name))
            found[model, machine] = next(fits, None), plan
    return found
