"""Notebook 09's explorer: quantize the whole model in any way and see what it still knows.

Settings become a `Result` (`Bench.result`), that becomes HTML (`render`) or a picture (`snapshot`),
and `explorer` wires both to controls.
"""

import textwrap

import ipywidgets as widgets
import numpy as np

from quantlab.methods import WEIGHT_ONLY
from quantlab.methods import method as by_name
from quantlab.show import html, model, style
from quantlab.show.drawing import Drawing, Mark, Scale, Text, across, flow, ticks, upwards
from quantlab.show.explorer import Explorer, control
from quantlab.show.registry import SNAPSHOT

WIDTH, HEIGHT, FLOOR = 700, 306, 255  # px, of the plot
BITS = Scale(2**0.9, 9.5, 100, 690, log=True)
NATS = Scale(5e-5, 8, FLOOR, 15, log=True)  # per token
#: What shares a scale in the explorer -> weights. 0 is the whole output: a slider has no None.
GROUPS = {"whole output": 0, "128": 128, "64": 64, "32": 32, "16": 16}


def normal(method, bits, group):
    """Return (setting, note): what the controls ask for, as far as the method knows it.

    group: weights that share a scale, 0 for all of an output.
    """
    group = group or None
    if method not in model.FIXED:
        return model.Setting(method, bits, group), ""
    notes = (
        []
        if bits == model.FIXED[method]
        else [f"{method} has {model.FIXED[method]} bits: bits stay there"]
    )
    if group is None and "block_size" in by_name(method).settings:
        group = 64
        notes.append("its scales go with blocks: 64 is taken")
    return model.Setting(method, model.FIXED[method], group), "; ".join(notes)


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
        f"{model.parted_html(result.text, reference.text)}</div>"
        f"{draw(result, tried, background).svg()}</div>"
    )


def facts(result, reference):
    """Return what is to be said of a `Result` beside that of 16 bits, as a list of (name, text)."""
    ours, theirs = (model.number(r.perplexity) for r in (result, reference))
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
    whole = flow([above, draw(result, [result], [r for r in bench.results.values() if r.bits < 9])])
    alt = f"Still of the explorer. {result.setting}: {said}. {' '.join(lines)}"
    return whole.picture(str(result.setting), alt)


class _Try:
    """Computes a setting once, keeps the points, reports how far it is."""

    def __init__(self, bench, bar):
        self.bench, self.bar, self.tried = bench, bar, {}
        self.background = [r for r in bench.results.values() if r.setting.method != "16 bits"]

    def __call__(self, method, bits, group):
        setting, note = normal(method, bits, group)
        try:
            reference = self.bench.result(model.Setting("16 bits", 16), self._tell)
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
    first = model.Setting("GPTQ", 3)
    view = Explorer(
        controls,
        _Try(bench, bar),
        title="Quantize tiny-lm and see what it still knows",
        static=snapshot(bench.result(first), bench.result(model.Setting("16 bits", 16)), bench),
        height=520,
    )
    view.bar = bar
    *above, below = view.widget.children
    view.widget.children = (*above, bar, below)
    return view


# Each of its settings quantizes a model: more than a page can hold.
EXPLORERS = {"09_a_whole_model/explorer": SNAPSHOT}
