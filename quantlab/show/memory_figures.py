"""Notebook 00: how much memory weights take, as figures and as a calculator to play with.

Settings become a `Footprint` (`footprint`), a `Footprint` becomes HTML (`render`) or a picture
(`snapshot`), and `calculator` wires them to controls. All numbers come from `quantlab.memory`.
"""

from dataclasses import dataclass

import ipywidgets as widgets

from quantlab import memory
from quantlab.show import html, style
from quantlab.show.drawing import Box, Drawing, Scale, Text, named, piled
from quantlab.show.explorer import Explorer, control

BLOOM = 176.247271424  # billions of parameters; notebook 00 counts them
#: Well-known models: (name, billions of parameters, all experts included). The long numbers follow
#: from the published shapes, as a test counts them; 284, 744 and 1600 are what the makers say.
MODELS = (
    ("GPT-2", 0.124439808),
    ("TinyLlama", 1.100048384),
    ("Llama 2 7B", 6.738415616),
    ("Llama 3.1 8B", 8.030261248),
    ("Qwen3-8B", 8.19073536),
    ("Llama 2 13B", 13.01586432),
    ("gpt-oss-20b", 20.914757184),
    ("Llama 2 70B", 68.976648192),
    ("gpt-oss-120b", 116.829156672),
    ("BLOOM-176B", BLOOM),
    ("Qwen3-235B-A22B", 235.09363456),
    ("DeepSeek-V4-Flash", 284),
    ("Llama 3.1 405B", 405.8533888),
    ("DeepSeek-V3", 671.0264192),
    ("GLM-5", 744),
    ("DeepSeek-V4-Pro", 1600),
)
#: What people write, and the key of `quantlab.memory.VALUE_BITS`.
FORMATS = {
    "FP32": "fp32", "FP16": "fp16", "BF16": "bf16", "FP8": "fp8", "int8": "int8", "int4": "int4",
    "NF4": "nf4", "MXFP4": "mxfp4", "NVFP4": "nvfp4", "int3": "int3", "int2": "int2",
}  # fmt: skip
BLOCKS = {"none": None, "32": 32, "64": 64, "128": 128, "256": 256, "1024": 1024, "4096": 4096}
#: Memory of one device, in GB: of a card what nvidia-smi shows (24,564 MiB for an RTX 4090), of the
#: T4 what a program on Colab gets.
DEVICES = {
    "8.6 GB (a laptop with 8 GiB)": 8.6, "15.8 GB (T4, free on Colab)": 15.8,
    "25.8 GB (RTX 4090)": 25.8, "32 GB (the article's machine)": 32, "34.2 GB (RTX 5090)": 34.2,
    "51.5 GB (A6000)": 51.5, "85.5 GB (H100)": 85.5, "150.8 GB (H200)": 150.8,
}  # fmt: skip
#: The bars of `formats_figure`: (name, format, block size, double quantization).
BARS = (
    ("FP32", "fp32", None, False),
    ("FP16 or BF16", "fp16", None, False),
    ("int8", "int8", None, False),
    ("4 bits, no scales", "int4", None, False),
    ("NF4, block 64", "nf4", 64, False),
    ("NF4, double quantization", "nf4", 64, True),
)


@dataclass(frozen=True)
class Footprint:
    """What a model's weights take, and how many devices hold them.

    code_bits: bits of one weight's own code. bits: with its share of the scales. bytes: of all
    weights. devices: how many it takes. device_bytes: memory of one; usable_bytes: less headroom.
    note: which setting had nothing to act on, or "".
    """

    parameters: float
    format: str
    code_bits: int
    bits: float
    bytes: float
    devices: int
    device_bytes: float
    usable_bytes: float
    note: str = ""

    @property
    def last_bytes(self):
        """What lies on the last device when all others are filled."""
        return self.bytes - (self.devices - 1) * self.usable_bytes


def footprint(billions, format, block_size=None, double_quant=False, device=32, headroom=0):
    """Return the `Footprint` of `billions` of weights.

    format: a key of `FORMATS`. block_size, double_quant: as in `memory.bits_per_weight`; where the
    format has no use for them they are left out, and the note says so. device: GB of one device.
    headroom: percent of each device kept free.
    """
    key = FORMATS[format]
    note = _without_effect(key, format, block_size, double_quant)
    if memory.VALUE_BITS[key] >= 16 or key in memory.BUILT_IN_SCALE:
        block_size = None
    arguments = (key, block_size, double_quant and block_size is not None)
    size = memory.weight_bytes(billions * 1e9, *arguments)
    return Footprint(
        parameters=billions * 1e9,
        format=format,
        code_bits=memory.VALUE_BITS[key],
        bits=memory.bits_per_weight(*arguments),
        bytes=size,
        devices=memory.devices_needed(size, device * 1e9, headroom / 100),
        device_bytes=device * 1e9,
        usable_bytes=device * 1e9 * (1 - headroom / 100),
        note=note,
    )


def _without_effect(key, format, block_size, double_quant):
    if key in memory.BUILT_IN_SCALE:
        size, bits = memory.BUILT_IN_SCALE[key]
        unused = " Block size and double quantization change nothing." if block_size else ""
        return f"{format} brings its own scales: {bits} bits for every {size} values.{unused}"
    if memory.VALUE_BITS[key] >= 16:
        return f"{format} needs no scale: block size changes nothing." if block_size else ""
    if block_size is None and double_quant:
        return "Double quantization shrinks the scales; without blocks there are none to shrink."
    return "" if block_size else "Without blocks no scale is counted: the least that is possible."


def bits_per_weight_text(bits):
    """Return bits per weight with as many digits as they have, up to three decimals.

    >>> bits_per_weight_text(16), bits_per_weight_text(4.5), bits_per_weight_text(4.126953125)
    ('16', '4.5', '4.127')
    """
    return f"{bits:.3f}".rstrip("0").rstrip(".")


def size_text(size):
    """Return bytes in GB with three significant digits, four from 1000 GB on, MB below 1 GB.

    >>> size_text(352e9), size_text(90.79e9), size_text(62e6), size_text(2684e9)
    ('352 GB', '90.8 GB', '62.0 MB', '2684 GB')
    """
    number, unit = (size / memory.GB, "GB") if size >= memory.GB else (size / 1e6, "MB")
    text = f"{number:.0f}" if number >= 1000 else f"{number:#.3g}".rstrip(".")
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
        self.menu = control(
            widgets.Dropdown, "Model", value=self._in_menu(billions),
            options=[*options, ("a size of your own", self.OWN)],
        )  # fmt: skip
        self.box = control(
            widgets.BoundedFloatText, "Billion weights", value=billions, min=0.001, max=10_000
        )
        self.menu.observe(self._picked, names="value")
        self.box.observe(self._typed, names="value")
        self.widget = widgets.VBox([self.menu, self.box])

    @property
    def value(self):
        """The size of the model, in billions of parameters."""
        return self.box.value

    @value.setter
    def value(self, billions):
        self.box.value = billions

    def observe(self, handler, names="value"):
        """Call `handler` when the size changes, as a widget's ``observe`` does."""
        self.box.observe(handler, names=names)

    def _in_menu(self, billions):
        return billions if billions in dict(MODELS).values() else self.OWN

    def _picked(self, change):
        if change["new"] != self.OWN:
            self.box.value = change["new"]

    def _typed(self, change):
        self.menu.value = self._in_menu(change["new"])


def calculator(billions=BLOOM, format="NF4", block_size=64, double_quant=False, device=32):
    """Return the `Explorer` that computes memory and devices for any model."""
    controls = {
        "billions": SizeControl(billions),
        "format": control(widgets.Dropdown, "Format", options=list(FORMATS), value=format),
        "block_size": control(
            widgets.Dropdown, "Block size", options=list(BLOCKS.items()), value=block_size
        ),
        "double_quant": control(widgets.Checkbox, "Double quantization", value=double_quant),
        "device": control(
            widgets.Dropdown, "One device", options=list(DEVICES.items()), value=device
        ),
        "headroom": control(widgets.IntSlider, "Kept free, %", min=0, max=50, step=5),
    }
    first = {name: control.value for name, control in controls.items()}
    return Explorer(
        controls,
        lambda **settings: render(footprint(**settings)),
        title="How much memory do the weights take?",
        static=snapshot(footprint(**first)),
        height=400,
    )


def sentence(answer):
    """Return a `Footprint` as one sentence."""
    count, size = count_text(answer.parameters), size_text(answer.bytes)
    return f"{count} weights in {answer.format} take {size}: {_devices(answer)}."


def render(answer):
    """Return the HTML of the calculator for a `Footprint`."""
    heading = html.span(sentence(answer), bold=True)
    drawings = named((_bits(answer), _boxes(answer)))
    return (
        f'<div style="font-size:1.25em;margin:8px 0">{heading}</div>{drawings}'
        f'<div style="color:{html.QUIET};margin:4px 0">{html.escape(answer.note) or "&nbsp;"}</div>'
        f"{html.table(_facts(answer), row_names=True, widths=(285, 195))}"
    )


def snapshot(answer):
    """Return the calculator's answer as a picture, for readers without a kernel."""
    seen = (_bits(answer), _boxes(answer))
    words = " ".join(f"{one}." for one in (sentence(answer)[:-1], *(d.label for d in seen)))
    return piled(seen).picture(sentence(answer), f"Still of the calculator. {words}")


def _devices(answer):
    plural = "" if answer.devices == 1 else "s"
    return f"{answer.devices} device{plural} of {answer.device_bytes / memory.GB:g} GB"


def _filling(answer):
    holder = "it" if answer.devices == 1 else "the last"
    return f"{_devices(answer)}; {holder} holds {size_text(answer.last_bytes)}"


def _bits_in_words(answer):
    extra = answer.bits - answer.code_bits
    scale = f" and {bits_per_weight_text(extra)} bits of a scale" if extra else ""
    return f"One weight: {answer.code_bits} bits of its own{scale}"


def _facts(answer):
    share = answer.bytes / memory.weight_bytes(answer.parameters, "fp16")
    return (
        ("bytes", f"{answer.bytes:,.0f}"),
        ("GB (10⁹ bytes)", f"{answer.bytes / memory.GB:,.2f}"),
        ("GiB (2³⁰ bytes)", f"{answer.bytes / memory.GiB:,.2f}"),
        ("bits per weight, scales included", bits_per_weight_text(answer.bits)),
        ("share of FP16", f"{share:.1%}"),
    )


def _bits(answer):
    """One weight as a row of bits: a square for each bit of its own, then its part of a scale."""
    side, step = 18, 22
    marks = [Box(i * step, 1, side, side, "ink", shade=0.65) for i in range(answer.code_bits)]
    extra = answer.bits - answer.code_bits
    if extra:
        x = answer.code_bits * step
        marks += [Box(x, 1, extra * side, side, "ink", shade=0.3), _frame(x, 1, side, side)]
    return Drawing(720, 20, tuple(marks), _bits_in_words(answer))


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
        marks.append(_frame(x, y, width - 4, height))
    note = f" ({drawn} are drawn)" if drawn < answer.devices else ""
    return Drawing(720, 104, tuple(marks), _filling(answer) + note)


def _frame(*place):
    return Box(*place, "none", "ink", line=1)


# -------------------------------------------------------------------------------- the figures


def formats_figure(billions=BLOOM, name="BLOOM", device=32):
    """Return the picture of one model's weights in every format of `BARS`, scales shown apart."""
    sizes = [memory.weight_bytes(billions * 1e9, *bar[1:]) for bar in BARS]
    last = bits_per_weight_text(memory.bits_per_weight(*BARS[-1][1:]))
    title = (
        f"{name}'s weights: {size_text(sizes[0])} in FP32, {size_text(sizes[-1])} in {last} bits"
    )
    length = Scale(0, max(sizes), 0, 530)
    marks, said = [], []
    for row, ((label, *arguments), size) in enumerate(zip(BARS, sizes, strict=True)):
        bits = bits_per_weight_text(memory.bits_per_weight(*arguments))
        machines = memory.devices_needed(size / memory.GB, device)
        words = f"{size_text(size)} · {bits} bits · {machines} machines"
        codes = length(memory.weight_bytes(billions * 1e9, arguments[0]))
        y, end = 36 * row + 14, 220 + length(size)
        marks.append(Text(212, y, label, "end"))
        marks.append(Box(220, y - 13, codes, 26, "line"))
        marks.append(Box(220 + codes, y - 13, length(size) - codes, 26, style.LIGHT))
        inside = (end - 8, y, words, "end", "#FFFFFF") if row == 0 else (end + 8, y, words)
        marks.append(Text(*inside))
        said.append(f"{label} {words}")
    note = f"dark: the codes, pale: the scales; a machine has {device} GB"
    marks.append(Text(220, 36 * len(BARS) + 14, note, role="quiet"))
    alt = f"{title}. Bar by bar: {'; '.join(said)}."
    return Drawing(style.WIDEST, 36 * len(BARS) + 30, tuple(marks), alt).picture(title, alt)


def cache_figure(weight_bytes, bytes_per_token, device_bytes, most_tokens=18_000):
    """Return the picture of the memory that a model's conversations need on top of its weights.

    weight_bytes: of the weights. bytes_per_token: of the KV cache. device_bytes: of one device.
    """
    fig, axes = style.figure(720, 330)
    tokens = (0, most_tokens)
    need = [(weight_bytes + t * bytes_per_token) / memory.GB for t in tokens]
    axes.plot(tokens, need, color=style.INK, linewidth=3)
    fewest = memory.devices_needed(weight_bytes, device_bytes)
    said, rooms = [], []
    for number, x, side in ((fewest, most_tokens, "right"), (fewest + 1, 150, "left")):
        top = number * device_bytes / memory.GB
        room = (number * device_bytes - weight_bytes) / bytes_per_token
        rooms.append(int(room))
        said.append(f"{number} machines: room for {rooms[-1]:,} tokens")
        axes.axhline(top, color=style.QUIET, linewidth=1, linestyle="--")
        axes.text(x, top + 0.7, said[-1], ha=side, va="bottom", color=style.INK, fontsize=12)
        axes.plot(room, top, "o", color=style.INK, markersize=9, clip_on=False)
    title = f"{fewest} machines hold the weights and {rooms[0]:,} tokens; one more, {rooms[1]:,}"
    style.headline(fig, title)
    axes.set(xlim=tokens, xlabel="tokens in all open conversations")
    axes.set_ylabel("weights and KV cache, GB")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return style.picture(fig, alt=f"{title}. {'. '.join(said)}.")


EXPLORERS = {"00_why_quantize/calculator-explorer": calculator}
