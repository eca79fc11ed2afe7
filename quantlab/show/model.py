"""Notebook 09: a whole model at every width, and what it costs, and its explorer.

What is shown is measured in `quantlab.experiments.whole_model`.
"""

import re
import textwrap

import ipywidgets as widgets
import matplotlib
import numpy as np
from IPython.display import HTML, display

from quantlab._checks import positive, shown, text
from quantlab.experiments import whole_model
from quantlab.experiments.whole_model import FIXED, SETTINGS, TRAINED, Setting, normal
from quantlab.methods import WEIGHT_ONLY
from quantlab.show import given, html, matrix, style
from quantlab.show.drawing import Box, Drawing, Mark, Scale, Text, across, flow, ticks, upwards
from quantlab.show.explorer import Explorer, control
from quantlab.show.registry import SNAPSHOT

LOWEST = 1e-5  # nats per token: less is drawn here, as a logarithm has no place for 0
# Greys and shapes: the course's colours have meanings of their own.
LOOKS = {
    "absmax": ("o", "#8A8A8A"), "zero-point": ("s", "#5A5A5A"), "GPTQ": ("^", "#000000"),
    "NF4": ("D", "#5A5A5A"), "FP4": ("v", "#5A5A5A"), "LLM.int8()": ("P", "#5A5A5A"),
    "16 bits": ("*", "#000000"),
}  # fmt: skip


def look(method):
    """Return the marker and the grey of a method, by its label."""
    return LOOKS.get(method, ("X", "#5A5A5A"))


class Bench(whole_model.Bench):
    """One model, one text, one prompt, and the results so far; it shows how far it is."""

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


def parted(text, other):
    """Return (what `text` shares with the start of `other`, the rest), cut between words."""
    ours, theirs = (list(re.finditer(r"\S+", t)) for t in (text, other))
    same = 0
    while same < min(len(ours), len(theirs)) and ours[same][0] == theirs[same][0]:
        same += 1
    start = text if same == len(ours) else text[: ours[same - 1].end() if same else 0]
    return start, text[len(start) :]


def texts(results, reference):
    """Return the continuations as a table; a bar stands where each leaves that of `reference`."""
    given.results("results", results, "setting", "text")
    given.result("reference", reference, "text")
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
    given.results("results", results, "setting", "bits", "divergence", "facts")
    fig, (left, right) = style.figure(style.WIDEST, 480, title=title, columns=2)
    left.set(ylabel="divergence, nats per token", yscale="log")
    style.plain(left.yaxis)
    right.set(ylabel="facts right, of 256", ylim=(-6, 262))
    for key, line in _lines(results).items():
        marker, color = look(key[0])
        style_of_line = {
            "marker": marker, "color": color, "ms": 9, "lw": 1.5,
            "ls": "-" if key[1] else "--", "mfc": color if key[1] else "white", "clip_on": False,
        }  # fmt: skip
        shared = "per output" if key[1] else "groups of 64"
        label = key[0] if key[0] in FIXED else f"{key[0]}, {shared}"
        bits = [r.bits for r in line]
        if key[0] != "16 bits":
            left.plot(bits, [max(r.divergence, LOWEST) for r in line], **style_of_line)
        right.plot(bits, [r.facts for r in line], label=label, **style_of_line)
    for axes, widths in ((left, (2, 3, 4, 6, 8)), (right, (2, 3, 4, 6, 8, 16))):
        axes.set_xscale("log", base=2)  # each doubling the same distance
        axes.set_xticks(widths, list(map(str, widths)))
        axes.minorticks_off()
        axes.set_xlabel("bits per weight, scales included")
        axes.grid(axis="y", lw=0.8)
    fig.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    said = "; ".join(
        f"{r.setting}: {r.bits:.2f} bits, {r.divergence:.4f}, {r.facts} facts" for r in results
    )
    return style.picture(fig, alt=f"{title}. Divergence and facts right of 256. {said}.")


def _lines(results):
    """Return the results that a line joins: {(method, one scale per output?): results by bits}."""
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


def _by_layer(name, value):
    """Return a dict from names of a Llama's layers to numbers."""
    for layer in given.by_name(name, value, 0):
        if not re.fullmatch(r"model\.layers\.\d+\.\w+\.\w+", layer):
            raise ValueError(
                f"{name} must be by names as model.layers.0.mlp.up_proj, got {layer!r}"
            )
    return value


def layer_figure(costs, title):
    """Return the picture of what each layer costs alone: a row per block, a column per kind.

    costs: {name of a layer of a Llama: divergence in nats}. title: the message, a sentence.
    """
    costs = {name: float(cost) for name, cost in _by_layer("costs", costs).items()}
    text("title", title)
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
    largest, typical = _by_layer("largest", largest), _by_layer("typical", typical)
    if largest.keys() - typical.keys():
        raise ValueError(f"typical must name the layers of largest, got {shown([*typical])}")
    positive("threshold", threshold)
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


# ---------------------------------------------------------------------------------- the explorer

WIDTH, HEIGHT, FLOOR = 700, 306, 255  # px, of the plot
BITS = Scale(2**0.9, 9.5, 100, 690, log=True)
NATS = Scale(5e-5, 8, FLOOR, 15, log=True)  # per token
#: What shares a scale in the explorer -> weights. 0 is the whole output: a slider has no None.
GROUPS = {"whole output": 0, "128": 128, "64": 64, "32": 32, "16": 16}


def render(result, reference, tried, background=(), note=""):
    """Return one setting of the explorer as HTML.

    reference: the result of the 16-bit model. tried: results to draw large, `result` among them.
    background: results to draw small. note: what to say about the setting.
    """
    return (
        f'<div style="color:{html.INK};font-size:16px;line-height:1.4">'
        f"<b>{html.escape(str(result.setting))}</b> {html.span(note, html.QUIET)}"
        f"{html.facts(facts(result, reference))}"
        f'<div style="min-height:4.5em;max-width:700px">'
        f"{parted_html(result.text, reference.text)}</div>"
        f"{draw(result, tried, background).svg()}</div>"
    )


def facts(result, reference):
    """Return what is to be said of a `Result` beside that of 16 bits, as a list of (name, text)."""
    ours, theirs = (number(r.perplexity) for r in (result, reference))
    return [
        ("bits per weight", f"{result.bits:.3f}"),
        ("perplexity", f"{ours} (16 bits: {theirs})"),
        ("divergence", f"{result.divergence:.4f}"),
        ("facts right", f"{result.facts} of 256 (16 bits: {reference.facts})"),
    ]


def draw(result, tried, background):
    """Return divergence against bits as a `Drawing`: large what was tried, small the table's."""
    nats = ticks((0.0001, 0.001, 0.01, 0.1, 1))
    marks = [
        *upwards(NATS, BITS.start, BITS.end, nats, "divergence, nats per token"),
        *across(BITS, FLOOR, ticks((2, 3, 4, 5, 6, 8)), "bits per weight"),
        *(_mark(r, size=6, fill="grid") for r in background),
        *(_mark(r, size=7) for r in tried),
        _mark(result, size=12, fill="none", edge="error", line=3),
    ]
    label = (
        f"Divergence against bits per weight, {len(tried)} settings tried; now {result.bits:.2f} "
        f"bits, divergence {result.divergence:.4f}"
    )
    return Drawing(WIDTH, HEIGHT, tuple(marks), label)


def _mark(result, **look):
    far = np.clip(result.divergence, NATS.low, NATS.high)
    return Mark(BITS(min(result.bits, 9)), NATS(far), **look)


def snapshot(result, reference, bench):
    """Return one setting of the explorer as a picture."""
    said = ", ".join(f"{name} {text}" for name, text in facts(result, reference))
    lines = textwrap.wrap(f"“{result.text}”", 78)
    words = [*textwrap.wrap(said, 78), *lines[:3]]
    marks = tuple(Text(8, 12 + 24 * i, line) for i, line in enumerate(words))
    above = Drawing(style.WIDEST, 24 * len(words), marks, said)
    whole = flow([above, draw(result, [result], _rounded(bench))])
    alt = f"Still of the explorer. {result.setting}: {said}. {' '.join(lines)}"
    return whole.picture(str(result.setting), alt)


def _rounded(bench):
    """Return the results so far of what the explorer's controls reach: nothing that was trained."""
    beyond = (Setting("16 bits", 16), *TRAINED)
    return [result for setting, result in bench.results.items() if setting not in beyond]


class _Try:
    """Computes a setting once, keeps the points, reports how far it is."""

    def __init__(self, bench, bar):
        self.bench, self.bar, self.tried = bench, bar, {}
        self.background = _rounded(bench)

    def __call__(self, method, bits, group):
        setting, note = normal(method, bits, group)
        try:
            reference = self.bench.result(Setting("16 bits", 16), self._tell)
            result = self.bench.result(setting, self._tell)
        except KeyboardInterrupt:
            return html.message("stopped. Choose another setting, and come back to this one.")
        finally:
            self._tell(0.0, "")
        self.tried[setting] = result
        return render(result, reference, list(self.tried.values()), self.background, note)

    def _tell(self, part, words):
        self.bar.value, self.bar.description = part, words


def explorer(bench):
    """Return the explorer of one `Bench`: method, bits and group on controls, a bar for the wait.

    Results of the bench are there at once and drawn small; every setting tried adds a large point.
    """
    bar = control(widgets.FloatProgress, "", value=0, min=0, max=1)
    bar.style.bar_color = style.LINE
    slow = {"continuous_update": False}
    methods = [row.label for row in WEIGHT_ONLY]
    controls = {
        "method": control(widgets.Dropdown, "method", options=methods, value="GPTQ"),
        # Computed when the slider is let go: on the way it would quantize for every position.
        "bits": control(widgets.IntSlider, "bits", value=3, min=2, max=8, **slow),
        "group": control(
            widgets.SelectionSlider, "scale per", options=list(GROUPS.items()), value=0, **slow
        ),
    }
    first = Setting("GPTQ", 3)
    view = Explorer(
        controls,
        _Try(bench, bar),
        title="Quantize tiny-lm and see what it still knows",
        static=snapshot(bench.result(first), bench.result(Setting("16 bits", 16)), bench),
        height=520,
    )
    view.bar = bar
    *above, below = view.widget.children
    view.widget.children = (*above, bar, below)
    return view


# Each of its settings quantizes a model: more than a page can hold.
EXPLORERS = {"09_a_whole_model/explorer": SNAPSHOT}
