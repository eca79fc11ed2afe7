"""Notebook 14: speed against bytes, the growth of a cache, channels that stick out, and a planner.

What is drawn is measured in `quantlab.experiments.fits` and planned by `quantlab.fit`.
"""

import ipywidgets as widgets
import numpy as np

from quantlab import fit, memory
from quantlab._checks import positive, shown, text, whole
from quantlab.experiments.fits import COST
from quantlab.show import given, html, matrix, style
from quantlab.show.drawing import Box, Drawing, Text, named
from quantlab.show.explorer import Explorer, control
from quantlab.show.memory_figures import size_text

#: What the planner serves, fewer than `fit.plan`, so that a page can hold every answer.
MODELS = ("Llama 3.1 8B", "Qwen3-32B", "Gemma 3 27B (text)", "Qwen3-30B-A3B", "gpt-oss-120b",
          "DeepSeek-V3")  # fmt: skip
MACHINES = ("laptop 8GB", "RTX 4090", "H100", "H200")
FORMATS = ("bf16", "int8", "int4-g128", "nf4-nested")
CONTEXTS = (1024, 8192, 32_768, 131_072)
BATCHES = (1, 16)
CACHES = ("bf16", "q8_0", "q4_0")
DASHES = ("-", "--", "-.", ":", (0, (1, 3)), (0, (8, 2)))


def speed_table(speeds):
    """Return the `Speed`s as a table, for the end of a cell."""
    given.results("speeds", speeds, "name", "type", "bytes", "tokens_per_second")
    rows = [
        [s.name, s.type, f"{s.bytes / 1e6:.1f}", f"{s.tokens_per_second:,.0f}",
         f"{s.bytes_per_second / 1e9:.1f}"]
        for s in speeds
    ]  # fmt: skip
    header = ("model", "type", "file, MB", "tokens per second", "GB read per second")
    return matrix.table(rows, header)


def together_table(measured):
    """Return (texts, tokens a second) as a table: all of them, and each alone."""
    for n, speed in given.numbers("measured", measured, 2):
        whole("texts in measured", n, 1), positive("the speed in measured", speed)
    rows = [[str(n), f"{speed:,.0f}", f"{speed / n:,.0f}"] for n, speed in measured]
    return matrix.table(rows, ("texts at once", "tokens per second", "of each text"))


def growth_figure(names, longest=131_072):
    """Return the picture of what models keep of a text, in GB, against its length in tokens."""
    if not isinstance(names, (list, tuple)) or not 0 < len(names) <= len(DASHES):
        raise ValueError(f"names must be 1 to {len(DASHES)} names of models, got {shown(names)}")
    for name in names:
        if text("names", name) not in fit.shipped():
            raise ValueError(f"names must be of ql.fit.shipped(), got {shown(name)}")
    whole("longest", longest, 2, most=fit.MOST_TOKENS)
    fig, axes = style.figure(720, 360)
    lengths = np.linspace(1, longest, 60).astype(int)
    ends = []
    for name, dash in zip(names, DASHES, strict=False):
        sizes = [fit.cache_bytes(name, int(n)) / memory.GB for n in lengths]
        axes.plot(lengths, sizes, color=style.INK, linestyle=dash, linewidth=2)
        ends.append((sizes[-1], name))
    low = 0.0
    for size, name in sorted(ends):  # labels that keep their distance
        low = max(size, low + max(ends)[0] / 14)
        axes.text(longest * 1.02, low, f"{name}: {size:.1f} GB", va="center", fontsize=12)
    most, least = max(ends), min(ends)
    times = f"{most[0] / least[0]:.0f} times what {least[1]} keeps"
    title = f"Of {longest:,} tokens {most[1]} keeps {times}"
    style.headline(fig, title)
    axes.set(xlim=(0, 1.6 * longest), ylim=(0, None), xlabel="tokens of one text")
    axes.set_ylabel("kept in 16 bits, GB")
    axes.set_xticks([0, longest // 2, longest], ["0", f"{longest // 2:,}", f"{longest:,}"])
    said = "; ".join(f"{name} {size:.2f} GB" for size, name in sorted(ends, reverse=True))
    return style.picture(fig, alt=f"{title}. {said}.")


def channels_figure(keys, values):
    """Return the picture of the mean size of each number of a head: keys above, values below."""
    keys, values = given.numbers("keys", keys, 2), given.numbers("values", values, 2)
    fig, both = style.figure(720, 400, rows=2, sharex=True)
    peaks = []
    for axes, x, name in zip(both, (keys, values), ("keys", "values"), strict=True):
        means = np.abs(x).mean(axis=0)
        axes.bar(range(len(means)), means, color=style.LINE, width=1)
        peaks.append(means.max() / np.median(means))
        axes.set_ylabel(f"{name}, mean size")
    both[1].set_xlabel("number within the heads (channel)")
    title = (
        f"The largest channel of the keys is {peaks[0]:.1f} times the median, "
        f"of the values {peaks[1]:.1f} times"
    )
    style.headline(fig, title)
    return style.picture(fig, alt=f"{title}. {keys.shape[1]} channels of one layer of tiny-lm.")


def losses_table(losses):
    """Return the `Loss`es as a table."""
    given.results("losses", losses, "part", "format", "nats")
    rows = [
        [loss.part, f"a {loss.format.along}", "yes" if loss.format.turned else "no",
         f"{loss.nats:.4f}"]
        for loss in losses
    ]  # fmt: skip
    return matrix.table(rows, ("in 2 bits", "a step for each group of", "turned", "divergence"))


def plans_table(found):
    """Return plans as a table: a row per model, a column per machine, the best that fits."""
    if not isinstance(found, dict) or not found:
        raise TypeError(f"found must be a dict by (model, machine), got {shown(found)}")
    for key, value in found.items():
        if not all(isinstance(one, tuple) and len(one) == 2 for one in (key, value)):
            raise TypeError(f"found must hold (format, Plan) by (model, machine), got {shown(key)}")
        given.result("found", value[1], "spare_bytes", "total_bytes", "tokens_per_second")
    models = list(dict.fromkeys(model for model, _ in found))
    machines = list(dict.fromkeys(machine for _, machine in found))
    rows = [[model, *(_cell(*found[model, one]) for one in machines)] for model in models]
    return matrix.table(rows, ("", *machines))


def _cell(format, plan):
    if format is None:
        least = max(plan.spare_bytes, key=plan.spare_bytes.get)
        return f"nothing: {size_text(-plan.spare_bytes[least])} too much"
    speed = plan.tokens_per_second[format]
    return f"{format}, {size_text(plan.total_bytes[format])}, at most {speed:,.0f} tokens/s"


# ------------------------------------------------------------------------------- the explorer


def planner():
    """Return the `Explorer` that plans a model, a format, a text and a machine."""
    contexts = [(f"{n:,} tokens", n) for n in CONTEXTS]
    return Explorer(
        {
            "model": control(widgets.Dropdown, "Model", options=MODELS),
            "format": control(widgets.Dropdown, "Weights in", options=FORMATS),
            "cache": control(widgets.Dropdown, "Cache in", options=CACHES),
            "context": control(widgets.Dropdown, "Each text", options=contexts, value=8192),
            "batch": control(widgets.Dropdown, "Texts at once", options=BATCHES),
            "device": control(widgets.Dropdown, "Device", options=MACHINES, value="RTX 4090"),
        },
        lambda **settings: render(*planned(**settings)),
        title="Does it fit, and how fast is it at best?",
        static=_snapshot(*planned("Llama 3.1 8B", "bf16", "bf16", 8192, 1, "RTX 4090")),
        height=300,
    )


def planned(model, format, cache, context, batch, device):
    """Return (model, format, `Plan`) of the planner's settings."""
    return model, format, fit.plan(model, device, context, batch, cache=cache, formats=(format,))


def sentence(model, format, plan):
    """Return the answer in a sentence."""
    total = size_text(plan.total_bytes[format])
    what = f"{model} in {format} with its texts takes {total} of {size_text(plan.device.bytes)}"
    if not plan.fits[format]:
        return f"{what}: {size_text(-plan.spare_bytes[format])} too much."
    return f"{what}: at most {plan.tokens_per_second[format]:,.0f} tokens per second."


def render(model, format, plan):
    """Return the HTML of the planner: a sentence, a bar, a table."""
    rows = (
        ("weights", size_text(plan.weight_bytes[format])),
        ("kept of the texts", size_text(plan.cache_bytes)),
        ("activations, at least", size_text(plan.activation_bytes)),
        ("read for a step, all texts", size_text(plan.read_bytes[format])),
        ("divergence of the format on tiny-lm", f"{COST[format]:.4f} nats per token"),
    )
    said = html.span(sentence(model, format, plan), bold=True)
    return (
        f'<div data-said style="font-size:1.25em;margin:8px 0">{said}</div>'
        f"{named([bar(format, plan)])}{html.table(rows, row_names=True, widths=(285, 195))}"
    )


def _snapshot(model, format, plan):
    """Return the planner's answer as a picture, for readers without a kernel."""
    words = sentence(model, format, plan)
    drawn = bar(format, plan)
    return drawn.picture(words, f"Still of the planner. {words} {drawn.label}.")


def bar(format, plan):
    """The memory of a device as a frame, filled with weights, what is kept, and activations."""
    parts = (("weights", plan.weight_bytes[format], 0.75), ("kept", plan.cache_bytes, 0.45),
             ("activations", plan.activation_bytes, 0.2))  # fmt: skip
    longest = max(plan.total_bytes[format], plan.device.bytes)
    scale, x, marks, said = 700 / longest, 2.0, [], []
    for name, size, shade in parts:
        marks.append(Box(x, 4, scale * size, 36, "ink", shade=shade))
        x += scale * size
        said.append(f"{name} {size_text(size)}")
    room = scale * plan.device.bytes
    marks.append(Box(2, 2, room, 40, "none", "ink", line=2))
    frame = f"frame: {plan.device.name}, {size_text(plan.device.bytes)}; dark: {said[0]};"
    marks.append(Text(2, 60, frame))
    marks.append(Text(2, 84, f"middle: {said[1]} of the texts; pale: {said[2]}"))
    return Drawing(720, 98, tuple(marks), f"{plan.device.name}: {', '.join(said)}")


EXPLORERS = {"14_what_fits/planner": planner}
