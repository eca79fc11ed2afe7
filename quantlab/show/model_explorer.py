"""Notebook 09's explorer: quantize the whole model in any way and see what it still knows.

Settings become a `Result` (`Bench.result`), that becomes HTML (`face`) or a picture (`still`), and
`explorer` wires both to controls.
"""

import textwrap

import ipywidgets as widgets
import matplotlib
import numpy as np

from quantlab.methods import WEIGHT_ONLY
from quantlab.methods import method as by_name
from quantlab.show import html, model, style
from quantlab.show.explorer import Explorer

LOW, HIGH = 5e-5, 8  # nats per token that the picture spans
MARKS = (0.0001, 0.001, 0.01, 0.1, 1)
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


def face(result, reference, tried, background=(), note=""):
    """Return one setting of the explorer as HTML.

    reference: the result of the 16-bit model. tried: results to draw large, `result` among them.
    background: results to draw small. note: what to say about the setting.
    """
    facts = [
        ("bits per weight", f"{result.bits:.3f}"),
        (
            "perplexity",
            f"{model.number(result.perplexity)} (16 bits: {model.number(reference.perplexity)})",
        ),
        ("divergence", f"{result.divergence:.4f}"),
        ("facts right", f"{result.facts} of 256 (16 bits: {reference.facts})"),
    ]
    line = "".join(
        f'<span style="white-space:nowrap">{html.span(name, html.QUIET)} '
        f"{html.span(value, bold=True)}</span>"
        for name, value in facts
    )
    return (
        f'<div style="color:{html.INK};font-size:16px;line-height:1.4">'
        f"<b>{html.escape(str(result.setting))}</b> {html.span(note, html.QUIET)}"
        f'<div style="display:flex;flex-wrap:wrap;gap:2px 24px;margin:6px 0">{line}</div>'
        f'<div style="min-height:4.5em;max-width:700px">'
        f"{model.parted_html(result.text, reference.text)}</div>"
        f"{_points_svg(result, reference, tried, background)}</div>"
    )


def _points_svg(result, reference, tried, background):
    """Draw divergence against bits: small what the table holds, large what was tried."""
    width, height = 700, 300

    def place(bits, divergence):
        x = 70 + (np.log2(min(bits, 9)) - 0.9) / (np.log2(9.5) - 0.9) * (width - 90)
        share = np.log(np.clip(divergence, LOW, HIGH) / LOW) / np.log(HIGH / LOW)
        return round(float(x), 1), round(float(15 + (1 - share) * (height - 70)), 1)

    parts = [_frame_svg(place, width, height)]
    for results, color, size in ((background, html.QUIET, 4), (tried, html.INK, 8)):
        for r in results:
            x, y = place(r.bits, r.divergence)
            parts.append(f'<circle cx="{x}" cy="{y}" r="{size}" style="fill:{color}"/>')
    x, y = place(result.bits, result.divergence)
    ring = f'style="fill:none;stroke:{html.RED};stroke-width:3"'
    parts.append(f'<circle cx="{x}" cy="{y}" r="12" {ring}/>')
    label = (
        f"Divergence against bits per weight, {len(tried)} settings tried; now {result.bits:.2f} "
        f"bits, divergence {result.divergence:.4f}"
    )
    return html.svg(width, height, "".join(parts), label)


def _frame_svg(place, width, height):
    floor = height - 45
    line = f'x1="70" x2="{width - 20}"'
    parts = [f'<line {line} y1="{floor}" y2="{floor}" style="stroke:{html.INK}"/>']
    for bits in (2, 3, 4, 5, 6, 8):
        x, _ = place(bits, LOW)
        parts.append(f'<text x="{x}" y="{floor + 20}" text-anchor="middle">{bits}</text>')
    for level in MARKS:
        _, y = place(4, level)
        parts.append(
            f'<line {line} y1="{y}" y2="{y}" style="stroke:{html.GRID}"/>'
            f'<text x="62" y="{y + 5}" text-anchor="end">{level:g}</text>'
        )
    parts.append(
        f'<text x="{width / 2}" y="{height - 5}" text-anchor="middle">bits per weight</text>'
        f'<text x="18" y="{height / 2 - 20}" text-anchor="middle" '
        f'transform="rotate(-90 18 {height / 2 - 20})">divergence, nats per token</text>'
    )
    return "".join(parts)


class _Try:
    """The explorer's face: computes a setting once, keeps the points, reports how far it is."""

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
        return face(result, reference, list(self.tried.values()), self.background, note)

    def _tell(self, part, words):
        self.bar.value, self.bar.description = part, words


def explorer(bench):
    """Return the explorer of one `Bench`: method, bits and group on controls, a bar for the wait.

    Results of the bench are there at once and drawn small; every setting tried adds a large point.
    """
    bar = widgets.FloatProgress(value=0, min=0, max=1, layout=widgets.Layout(width="400px"))
    bar.style.description_width = "90px"
    bar.style.bar_color = style.LINE
    look = {"style": {"description_width": "90px"}}
    wide = {**look, "layout": widgets.Layout(width="400px", max_width="98%")}
    controls = {
        "method": widgets.Dropdown(
            options=[row.label for row in WEIGHT_ONLY], value="GPTQ", description="method", **wide
        ),
        # Computed when the slider is let go: on the way it would quantize for every position.
        "bits": widgets.IntSlider(
            value=3, min=2, max=8, continuous_update=False, description="bits", **wide
        ),
        "group": widgets.SelectionSlider(
            options=list(GROUPS.items()), value=0, continuous_update=False,
            description="scale per", **wide,
        ),
    }  # fmt: skip
    first = model.Setting("GPTQ", 3)
    view = Explorer(
        controls,
        _Try(bench, bar),
        title="Quantize tiny-lm and see what it still knows",
        static=still(bench.result(first), bench.result(model.Setting("16 bits", 16)), bench),
        height=520,
    )
    view.bar = bar
    *above, below = view.widget.children
    view.widget.children = (*above, bar, below)
    return view


@matplotlib.rc_context(style.RC)
def still(result, reference, bench):
    """Return one setting of the explorer as a picture."""
    fig, (words, axes) = style.figure(style.WIDEST, 500, rows=2, height_ratios=(1, 2.4))
    words.axis("off")
    said = (
        f"{result.bits:.2f} bits per weight, perplexity {model.number(result.perplexity)}, "
        f"divergence {result.divergence:.4f}, {result.facts} of 256 facts right"
    )
    lines = textwrap.wrap(result.text.replace("$", r"\$"), 72)
    words.text(0, 1.1, str(result.setting), va="top", fontweight="bold", fontsize=14)
    words.text(0, 0.82, said, va="top")
    words.text(0, 0.54, "\n".join(lines[:4]), va="top", style="italic")
    small = [r for r in bench.results.values() if r.bits < 9]
    far = model.height(result)
    axes.plot([r.bits for r in small], [*map(model.height, small)], "o", color=style.QUIET, ms=5)
    axes.plot(result.bits, far, "o", color=style.INK, ms=9)
    axes.plot(result.bits, far, "o", mfc="none", mec=style.ERROR, mew=2.5, ms=16)
    axes.set(ylabel="divergence, nats per token", yscale="log", ylim=(LOW, HIGH))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    model.bits_axis(axes, (2, 3, 4, 6, 8))
    start = " ".join(lines)
    return style.picture(fig, alt=f"Still of the explorer. {result.setting}: {said}. “{start}”")
