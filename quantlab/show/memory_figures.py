"""Notebook 00: how much memory weights take, as figures and as a calculator to play with.

Settings become a `Footprint` (`experiments.footprint`), that becomes HTML (`render`) or a picture
(`snapshot`), and `calculator` wires them to controls. All numbers come from `quantlab.memory`.
"""

import ipywidgets as widgets
from traitlets import dlink

from quantlab import memory
from quantlab._checks import positive
from quantlab.experiments.footprint import BLOOM, DEVICES, FORMATS, MODELS, footprint
from quantlab.show import html, style
from quantlab.show.drawing import Box, Drawing, Scale, Text, named, piled
from quantlab.show.explorer import Entry, Explorer, control

SIZES = (0.0001, 1_000_000)  # of models that the calculator is for, in billions of weights
#: The bars of `formats_figure`: a name, and what `memory.bits_per_weight` takes.
BARS = (
    ("FP32", "fp32"), ("FP16 or BF16", "fp16"), ("int8", "int8"), ("4 bits, no scales", "int4"),
    ("NF4, block 64", "nf4", 64), ("NF4, double quantization", "nf4", 64, True),
)  # fmt: skip


def size_text(size):
    """Return bytes in GB with three significant digits, four from 1000 GB on, MB below 1 GB.

    >>> size_text(352e9), size_text(90.79e9), size_text(62e6), size_text(2684e9)
    ('352 GB', '90.8 GB', '62.0 MB', '2684 GB')
    """
    number, unit = (size / memory.GB, "GB") if size >= memory.GB else (size / 1e6, "MB")
    text = f"{number:.0f}" if number >= 999.5 else f"{number:#.3g}".rstrip(".")
    return f"{text} {unit}"


def count_text(parameters):
    """Return a number of parameters as people say it.

    >>> count_text(176e9), count_text(1.1e9), count_text(124e6)
    ('176 billion', '1.1 billion', '124 million')
    """
    if parameters >= 1e9:
        return f"{parameters / 1e9:.4g} billion"
    return f"{parameters / 1e6:.4g} million"


# ------------------------------------------------------------------------------- the explorer


# No slider for the size: ipywidgets' log slider snaps what it is given, and 176 becomes 177.8.
class SizeControl:
    """A menu of well-known models above a box for any size: one control, in billions."""

    OWN = 0  # what the menu holds when the size is no model's of the menu

    def __init__(self, billions):
        options = [(f"{name} ({size:.4g} billion)", size) for name, size in MODELS]
        options.append(("a size of your own", self.OWN))
        self.menu = control(widgets.Dropdown, "Model", options=options)
        self.box = Entry("Billion weights", billions, "billions", *SIZES)
        self.observe = self.box.observe
        known = {str(size): size for _, size in MODELS}
        text = (self.box.widget, "value")
        dlink(text, (self.menu, "value"), lambda typed: known.get(typed.strip(), self.OWN))
        self.menu.observe(self._picked, names="value")
        self.widget = widgets.VBox([self.menu, self.box.widget])

    @property
    def value(self):
        """The size of the model, in billions of parameters."""
        return self.box.value

    @value.setter
    def value(self, billions):
        self.box.value = billions

    def _picked(self, change):
        if change["new"] != self.OWN:
            self.box.value = change["new"]


def calculator():
    """Return the `Explorer` that computes memory and devices for any model."""
    blocks = [("none", None), *((str(size), size) for size in (32, 64, 128, 256, 1024, 4096))]
    devices = list(DEVICES.items())
    widths = {name: [key, memory.VALUE_BITS[key]] for name, key in FORMATS.items()}
    return Explorer(
        {
            "billions": SizeControl(BLOOM),
            "format": control(widgets.Dropdown, "Format", options=list(FORMATS), value="NF4"),
            "block_size": control(widgets.Dropdown, "Block size", options=blocks, value=64),
            "double_quant": control(widgets.Checkbox, "Double quantization"),
            "device": control(widgets.Dropdown, "One device", options=devices, value=32),
            "headroom": control(widgets.IntSlider, "Kept free, %", min=0, max=50, step=5),
        },
        lambda **settings: render(footprint(**settings)),
        title="How much memory do the weights take?",
        static=snapshot(footprint(BLOOM, "NF4", 64)),
        height=400,
        twin=("calculator", {"widths": widths, "scales": memory.BUILT_IN_SCALE}),
    )


def sentence(answer):
    """Return a `Footprint` as one sentence."""
    count, size = count_text(answer.parameters), size_text(answer.bytes)
    return f"{count} weights in {answer.format} take {size}: {_devices(answer)}."


def render(answer):
    """Return the HTML of the calculator for a `Footprint`."""
    rows = (
        ("bytes", f"{answer.bytes:,.0f}"),
        ("GB (10⁹ bytes)", f"{answer.bytes / memory.GB:,.2f}"),
        ("GiB (2³⁰ bytes)", f"{answer.bytes / memory.GiB:,.2f}"),
        ("bits per weight, scales included", _short(answer.bits)),
        ("share of FP16", f"{answer.bytes / memory.weight_bytes(answer.parameters, 'fp16'):.1%}"),
    )
    return (
        '<div data-said style="font-size:1.25em;margin:8px 0">'
        f"{html.span(sentence(answer), bold=True)}</div>{named((_bits(answer), _boxes(answer)))}"
        f'<div style="color:{html.QUIET};margin:4px 0">{html.escape(answer.note) or "&nbsp;"}</div>'
        f"{html.table(rows, row_names=True, widths=(285, 195))}"
    )


def snapshot(answer):
    """Return the calculator's answer as a picture, for readers without a kernel."""
    bits, boxes = _bits(answer), _boxes(answer)
    words = f"Still of the calculator. {sentence(answer)} {bits.label}. {boxes.label}."
    return piled((bits, boxes)).picture(sentence(answer), words)


def _short(bits):
    return f"{round(bits, 3):g}"


def _devices(answer):
    plural = "" if answer.devices == 1 else "s"
    return f"{answer.devices} device{plural} of {answer.device_bytes / memory.GB:g} GB"


def _bits(answer):
    """One weight as a row of bits: a square for each bit of its own, then its part of a scale."""
    side, step, own = 18, 22, answer.code_bits
    marks = [Box(i * step, 1, side, side, "ink", shade=0.65) for i in range(own)]
    words, extra = f"One weight: {own} bits of its own", answer.bits - own
    if extra:
        marks.append(Box(own * step, 1, extra * side, side, "ink", shade=0.3))
        marks.append(Box(own * step, 1, side, side, "none", "ink", line=1))
        words += f" and {_short(extra)} bits of a scale"
    return Drawing(720, 20, tuple(marks), words)


def _boxes(answer):
    """The devices as boxes, filled one after the other. At most 96 are drawn."""
    drawn = min(answer.devices, 96)
    columns, height = (max(4, drawn), 100) if drawn <= 12 else (24, 23)
    width, marks = 720 / columns, []
    for i in range(drawn):
        x, y = (i % columns) * width + 1, (i // columns) * (height + 3) + 1
        filled = answer.usable_bytes if i < answer.devices - 1 else answer.last_bytes
        part = height * filled / answer.device_bytes
        marks.append(Box(x, y + height - part, width - 4, part, "ink", shade=0.65))
        marks.append(Box(x, y, width - 4, height, "none", "ink", line=1))
    holder = "it" if answer.devices == 1 else "the last"
    words = f"{_devices(answer)}; {holder} holds {size_text(answer.last_bytes)}"
    note = f" ({drawn} are drawn)" if drawn < answer.devices else ""
    return Drawing(720, 104, tuple(marks), words + note)


# -------------------------------------------------------------------------------- the figures


def formats_figure():
    """Return the picture of BLOOM's weights in every format of `BARS`, scales shown apart."""
    sizes = [memory.weight_bytes(BLOOM * 1e9, *bar[1:]) for bar in BARS]
    bits = [_short(memory.bits_per_weight(*bar[1:])) for bar in BARS]
    least = f"{size_text(sizes[-1])} in {bits[-1]} bits"
    title = f"BLOOM's weights: {size_text(sizes[0])} in FP32, {least}"
    length = Scale(0, max(sizes), 0, 530)
    marks, said = [], []
    for row, (label, format, *_) in enumerate(BARS):
        machines = memory.devices_needed(sizes[row], 32e9)
        words = f"{size_text(sizes[row])} · {bits[row]} bits · {machines} machines"
        codes = length(memory.weight_bytes(BLOOM * 1e9, format))
        y, end = 36 * row + 14, 220 + length(sizes[row])
        marks.append(Text(212, y, label, "end"))
        marks.append(Box(220, y - 13, codes, 26, "line"))
        marks.append(Box(220 + codes, y - 13, end - 220 - codes, 26, style.LIGHT))
        inside = (end - 8, y, words, "end", "#FFFFFF") if row == 0 else (end + 8, y, words)
        marks.append(Text(*inside))
        said.append(f"{label} {words}")
    note = "dark: the codes, pale: the scales; a machine has 32 GB"
    marks.append(Text(220, 36 * len(BARS) + 14, note, role="quiet"))
    alt = f"{title}. Bar by bar: {'; '.join(said)}."
    return Drawing(style.WIDEST, 36 * len(BARS) + 30, tuple(marks), alt).picture(title, alt)


def cache_figure(weight_bytes, bytes_per_token, device_bytes):
    """Return the picture of the memory that a model's conversations need on top of its weights.

    weight_bytes: of the weights. bytes_per_token: of the KV cache. device_bytes: of one device.
    """
    for name, size in (("weight_bytes", weight_bytes), ("bytes_per_token", bytes_per_token),
                       ("device_bytes", device_bytes)):  # fmt: skip
        positive(name, size)
    fig, axes = style.figure(720, 330)
    tokens = (0, 18_000)
    need = [(weight_bytes + t * bytes_per_token) / memory.GB for t in tokens]
    axes.plot(tokens, need, color=style.INK, linewidth=3)
    fewest = memory.devices_needed(weight_bytes, device_bytes)
    said, rooms = [], []
    for number, x, side in ((fewest, tokens[1], "right"), (fewest + 1, 150, "left")):
        top = number * device_bytes / memory.GB
        room = (number * device_bytes - weight_bytes) / bytes_per_token
        rooms.append(int(room))
        said.append(f"{number} machines: room for {rooms[-1]:,} tokens")
        axes.axhline(top, color=style.QUIET, linewidth=1, linestyle="--")
        axes.text(x, top + 0.7, said[-1], ha=side, va="bottom", color=style.INK, fontsize=12)
        axes.plot(room, top, "o", color=style.INK, markersize=9, clip_on=False)
    more = f"{fewest + 1} hold {rooms[1]:,}"
    title = f"{fewest} machines hold the weights and {rooms[0]:,} tokens, {more}"
    style.headline(fig, title)
    axes.set(xlim=tokens, xlabel="tokens in all open conversations")
    axes.set_ylabel("weights and KV cache, GB")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return style.picture(fig, alt=f"{title}. {'. '.join(said)}.")


EXPLORERS = {"00_why_quantize/calculator-explorer": calculator}
