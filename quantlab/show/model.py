"""Notebook 09: a whole model at every width, and what it costs.

A `Setting` says how to quantize, `measure` gives the `Result`, everything below turns results into
tables and pictures. `Bench` keeps the results of one model, so that none is computed twice.
"""

from dataclasses import dataclass

import matplotlib
import numpy as np
from IPython.display import HTML, display

from quantlab import lm
from quantlab.show import html, matrix, style
from quantlab.show.drawing import Box, Drawing, Text

#: Methods by the name that is shown -> the name in `lm.quantize`.
METHODS = {
    "absmax": "absmax", "zero-point": "zero_point", "GPTQ": "gptq", "NF4": "nf4", "FP4": "fp4",
}  # fmt: skip
#: Methods with a fixed width, in bits. LLM.int8() is a load, not a rounding of weights alone.
FIXED = {"16 bits": 16, "LLM.int8()": 8, "NF4": 4, "FP4": 4}
NEW_TOKENS = 32
LOWEST = 1e-5  # nats per token: less is drawn here, as a logarithm has no place for 0
# Greys and shapes: the course's colours have meanings of their own.
LOOKS = {
    "absmax": ("o", "#8A8A8A"), "zero-point": ("s", "#5A5A5A"), "GPTQ": ("^", "#000000"),
    "NF4": ("D", "#5A5A5A"), "FP4": ("v", "#5A5A5A"), "LLM.int8()": ("P", "#5A5A5A"),
    "16 bits": ("*", "#000000"),
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """How a model is quantized. method: a key of `LOOKS`. group: weights per scale, None: a row."""

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
            return "row"
        return f"{self.group}, quantized" if self.double_quant else str(self.group)

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


# ------------------------------------------------------------------------------------ measuring


def quantized(model, setting, progress=None):
    """Return `model` quantized as `setting` says. GPTQ works on the zero-point grid.

    model: a `lm.Model` in fp32, not quantized; "16 bits" gives it back as it is. LLM.int8() loads
    tiny-lm anew: its activations are quantized as well. progress: as in `lm.quantize`.
    Raises ValueError for a method that is not known, and whatever `lm.quantize` raises.
    """
    method = setting.method
    if method == "16 bits":
        return model
    if method == "LLM.int8()":
        return lm.load("tiny-lm", "int8", device="cpu")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(LOOKS)}, got {method!r}")
    if method in FIXED:
        options = {"block_size": setting.group, "double_quant": setting.double_quant}
    else:
        options = {"bits": setting.bits, "group_size": setting.group}
    if method == "GPTQ":
        options["symmetric"] = False
    return lm.quantize(model, METHODS[method], progress=progress or _quietly, **options)


def _quietly(done, total, name):
    """Report nothing: in a terminal `lm.quantize` would draw a bar of its own."""


def measure(model, setting, text, prompt, progress=None):
    """Return the `Result` of quantizing `model` as `setting` says.

    text: what perplexity is taken of, in windows side by side. prompt: what is continued greedily.
    progress: None or a function called with (part done, of 1, what comes next).
    """
    tell = progress or (lambda part, words: None)
    tell(0.0, "quantizing")
    small = quantized(model, setting, lambda done, total, _: tell(done / total / 2, "quantizing"))
    tell(0.5, "perplexity")
    perplexity = small.perplexity(text, stride=small.window - 1)
    tell(0.65, "divergence")
    pieces = lm.measure.window_divergences(small, model, text, stride=small.window - 1)
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
    (ours, tokens), (theirs, _) = (np.array(r.windows).T for r in (one, other))
    apart = ours - theirs
    mean = apart.sum() / tokens.sum()
    if apart.size < 2:
        return float(mean), np.inf
    spread = np.sum((apart - mean * tokens) ** 2) * apart.size / (apart.size - 1)
    return float(mean), float(np.sqrt(spread) / tokens.sum())


class Bench:
    """One model, one text, one prompt, and the results so far, by setting."""

    def __init__(self, model, text, prompt="Once upon a time"):
        self.model, self.text, self.prompt = model, text, prompt
        self.results = {}

    def result(self, setting, progress=None):
        """Return the `Result` of `setting`; only the first time it has to be computed."""
        if setting not in self.results:
            done = measure(self.model, setting, self.text, self.prompt, progress)
            self.results[setting] = done
        return self.results[setting]

    def all(self, settings=SETTINGS):
        """Return the results of `settings`, and show in place how far it is."""
        shown, total = display(HTML(""), display_id=True), len(settings)
        results = []
        for number, setting in enumerate(settings, 1):
            bar = f'<progress value="{number - 1}" max="{total}"></progress>'
            _show(shown, f"{bar} {number} of {total}: {html.escape(str(setting))}")
            results.append(self.result(setting))
        _show(shown, f"{total} models measured.")
        return results


def _show(handle, words):
    if handle is not None:  # None outside of a notebook
        handle.update(HTML(words))


# --------------------------------------------------------------------------------------- tables


def number(perplexity):
    """Return a perplexity with as many decimals as mean something: one below 100, else none.

    >>> number(19.4666), number(549.2)
    ('19.5', '549')
    """
    return f"{perplexity:.1f}" if perplexity < 100 else f"{perplexity:,.0f}"


class Table:
    """Results as a Markdown table: a notebook shows it, and the README holds the same text."""

    def __init__(self, results):
        self.results = list(results)

    def __repr__(self):
        lines = [
            "| method | scale per | bits per weight | perplexity | divergence | facts, of 256 |",
            "|---|---|---:|---:|---:|---:|",
        ]
        for r in self.results:
            fixed = r.setting.method in FIXED
            name = r.setting.method if fixed else f"{r.setting.method}, {r.setting.bits} bits"
            measured = number(r.perplexity), f"{r.divergence:.4f}", str(r.facts)
            cells = name, r.setting.scales, f"{r.bits:.2f}", *measured
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)

    def _repr_markdown_(self):
        return str(self)


def markdown(results):
    """Return the table of `results` as Markdown text."""
    return str(Table(results))


def parted(text, other):
    """Return (what `text` shares with the start of `other`, the rest), cut between words."""
    ours, theirs = text.split(" "), other.split(" ")
    same = 0
    while same < min(len(ours), len(theirs)) and ours[same] == theirs[same]:
        same += 1
    start = " ".join(ours[:same])
    return start, text[len(start) :]


def texts(results, reference):
    """Return the continuations as a table; a bar stands where each leaves that of `reference`."""
    header = "".join(
        f'<th scope="col" style="text-align:left">{h}</th>' for h in ("model", "what it writes")
    )
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left;vertical-align:top;width:11em">'
        f'{html.escape(str(r.setting))}</th><td style="text-align:left">'
        f"{parted_html(r.text, reference.text)}</td></tr>"
        for r in results
    )
    return HTML(f"<table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>")


def parted_html(text, other):
    """Return `text` as HTML, with a bar where it leaves `other`."""
    start, rest = parted(text, other)
    bar = html.span(" ┃", html.RED, bold=True) if rest else ""
    return f"{html.escape(start)}{bar}{html.escape(rest)}"


# ------------------------------------------------------------------------------------- pictures


@matplotlib.rc_context(style.RC)
def cost_figure(results, title):
    """Return the picture of divergence and of facts against bits per weight.

    results: those of 16 bits, which diverge from nothing, are on the right alone. title: the
    message, a sentence.
    """
    fig, (left, right) = style.figure(style.WIDEST, 480, title=title, columns=2)
    left.set(ylabel="divergence, nats per token", yscale="log")
    style.plain(left.yaxis)
    right.set(ylabel="facts right, of 256", ylim=(-6, 262))
    for key, line in _lines(results).items():
        marker, color = LOOKS[key[0]]
        look = {
            "marker": marker, "color": color, "ms": 9, "lw": 1.5,
            "ls": "-" if key[1] else "--", "mfc": color if key[1] else "white", "clip_on": False,
        }  # fmt: skip
        label = key[0] if key[0] in FIXED else f"{key[0]}, {'rows' if key[1] else 'groups of 64'}"
        bits = [r.bits for r in line]
        if key[0] != "16 bits":
            left.plot(bits, [max(r.divergence, LOWEST) for r in line], **look)
        right.plot(bits, [r.facts for r in line], label=label, **look)
    for axes, ticks in ((left, (2, 3, 4, 6, 8)), (right, (2, 3, 4, 6, 8, 16))):
        axes.set_xscale("log", base=2)  # each doubling the same distance
        axes.set_xticks(ticks, list(map(str, ticks)))
        axes.minorticks_off()
        axes.set_xlabel("bits per weight, scales included")
        axes.grid(axis="y", lw=0.8)
    fig.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    said = "; ".join(
        f"{r.setting}: {r.bits:.2f} bits, {r.divergence:.4f}, {r.facts} facts" for r in results
    )
    return style.picture(fig, alt=f"{title}. Divergence and facts right of 256. {said}.")


def _lines(results):
    """Return the results that a line joins: {(method, one scale per row?): results by bits}."""
    lines = {}
    for r in sorted(results, key=lambda r: r.bits):
        lines.setdefault((r.setting.method, r.setting.group is None), []).append(r)
    ends = lines.pop(("16 bits", True), [])
    return {**lines, **({("16 bits", True): ends} if ends else {})}


KINDS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def short(name):
    """Return a layer's name as people say it.

    >>> short("model.layers.2.mlp.down_proj")
    'down_proj of block 2'
    """
    parts = name.split(".")
    return f"{parts[-1]} of block {parts[2]}"


def layer_figure(costs, title):
    """Return the picture of what each layer costs alone: a row per block, a column per kind.

    costs: {name of a layer of a Llama: divergence in nats}. title: the message, a sentence.
    """
    places = {name: (int(name.split(".")[2]), name.split(".")[-1]) for name in costs}
    blocks, worst = 1 + max(block for block, _ in places.values()), max(costs.values())
    marks = [Text(8, 45 * i + 22, f"block {i}") for i in range(blocks)]
    for j, kind in enumerate(KINDS):
        words = kind.removesuffix("_proj")
        marks.append(Text(142 + 94 * j, 45 * blocks + 12, words, "middle"))
    for name, (block, kind) in places.items():
        x, color = 96 + 94 * KINDS.index(kind), matrix.shade(costs[name], worst)
        marks.append(Box(x, 45 * block, 91, 43, color, "grid", line=1))
        ink, middle = style.contrast(color), (x + 46, 45 * block + 22)
        marks.append(Text(*middle, f"{costs[name]:.3f}", "middle", ink))
    said = ", ".join(f"{short(name)} {cost:.3f}" for name, cost in costs.items())
    alt = f"{title}. Divergence, nats per token: {said}."
    return Drawing(style.WIDEST, 45 * blocks + 24, tuple(marks), alt).picture(title, alt)


@matplotlib.rc_context(style.RC)
def activation_figure(largest, typical, title, threshold=6.0):
    """Return the picture of the largest and the typical magnitude that enters each layer.

    largest, typical: {name of a layer: magnitude}. threshold: of LLM.int8(), a dashed line.
    """
    fig, axes = style.figure(style.WIDEST, 170 + 22 * len(largest), title=title)
    rows = np.arange(len(largest))
    low, high = ([of[name] for name in largest] for of in (typical, largest))
    axes.hlines(rows, low, high, color=style.GRID, lw=3, zorder=1)
    axes.plot(low, rows, "o", color=style.QUIET, ms=8, label="median")
    axes.plot(high, rows, "D", color=style.ERROR, ms=8, label="largest")
    for row, value in zip(rows, high, strict=True):
        ground = {"fc": "white", "ec": "none", "pad": 1}  # hides the dashed line behind a number
        place = {"textcoords": "offset points", "va": "center", "bbox": ground}
        axes.annotate(f"{value:.1f}", (value, row), (9, 0), **place)
    axes.axvline(threshold, color=style.LINE, lw=1.5, ls="--", zorder=0)
    axes.text(threshold * 1.03, -0.8, f"threshold of LLM.int8(), {threshold:g}", va="bottom")
    axes.set_xscale("log")
    style.plain(axes.xaxis)
    axes.set_yticks(rows, [short(name) for name in largest])
    axes.set(ylim=(len(rows) - 0.4, -0.7), xlabel="magnitude of an activation that enters")
    axes.margins(x=0.12)
    fig.legend(loc="outside lower center", ncols=2)
    said = ", ".join(f"{short(n)} {largest[n]:.1f}, median {typical[n]:.2f}" for n in largest)
    return style.picture(fig, alt=f"{title}. Largest by layer: {said}.")
