"""Notebook 10: what each flag of a 4-bit load changes, as a table, a figure and an explorer.

What is shown is measured in `quantlab.experiments.loads`.
"""

from functools import cache

import ipywidgets as widgets

from quantlab.experiments.loads import Load, measure, weigh  # noqa: F401, what notebooks call
from quantlab.show import html, matrix, style
from quantlab.show.explorer import Explorer, control

KEPT, CODES, SCALES = style.INK, "#7A7A7A", "#C4C4C4"  # three greys that differ in print
NAMES = ("quant_type", "use_double_quant", "compute_dtype")  # the flags, after "bnb_4bit_"


def difference(before, after):
    """Return what one more flag changed, as two lines of text."""
    change, rise = after.bytes - before.bytes, after.perplexity - before.perplexity
    return (
        f"bytes       {before.bytes:>10,} -> {after.bytes:>10,}  ({change:+,})\n"
        f"perplexity  {before.perplexity:>10.2f} -> {after.perplexity:>10.2f}  ({rise:+z.2f})"
    )


def table(loads):
    """Return the loads as a table, for the end of a cell. The first is what they compare to."""
    first = loads[0]
    rows = [
        [
            load.name,
            f"{load.bytes:,}",
            f"{load.bytes / first.bytes:.1%}",
            f"{load.perplexity:.2f}",
            f"{load.perplexity / first.perplexity - 1:+z.2%}",
        ]
        for load in loads
    ]
    header = ("load", "bytes", "of the first", "perplexity", "against the first")
    return matrix.table(rows, header)


def memory_figure(loads):
    """Return the picture of the loads' bytes: what stays in 16 bits, codes, and scales."""
    fig, axes = style.figure(740, 110 + 44 * len(loads))
    widest = max(load.bytes for load in loads) / 1e6
    for row, load in enumerate(loads):
        left = 0
        parts = zip((load.kept, load.codes, load.scales), (KEPT, CODES, SCALES), strict=True)
        for size, color in parts:
            axes.barh(row, size / 1e6, left=left, color=color, height=0.62)
            left += size / 1e6
        axes.text(left + widest / 80, row, f"{left:.2f} MB", va="center", fontsize=12)
    smallest = min(loads, key=lambda load: load.bytes)
    title = (
        f"{loads[0].bytes / smallest.bytes:.1f} times smaller, not 4: "
        f"{smallest.kept / smallest.bytes:.0%} of the 4-bit model is still 16-bit"
    )
    fig.suptitle(title, x=0.005, ha="left", fontsize=14, fontweight="bold", color=style.INK)
    axes.set_yticks(range(len(loads)), [load.name for load in loads])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, widest * 1.14)
    axes.set_xlabel("MB (black: kept in 16 bits; grey: linear layers; pale: their scales)")
    said = "; ".join(f"{load.name} {load.bytes / 1e6:.2f} MB" for load in loads)
    return style.picture(fig, alt=f"{title}. {said}.")


def face(load, first):
    """Return the HTML of one `Load` beside `first`, the 16-bit one: bars, bytes, perplexity."""
    bars = "".join(_bar(one, first.bytes) for one in (first, load))
    rows = [
        ["bytes", f"{load.bytes:,}", f"{load.bytes / first.bytes:.1%} of 16 bits"],
        ["of these, scales", f"{load.scales:,}", f"{load.scales / load.bytes:.1%} of this load"],
        [
            "perplexity",
            f"{load.perplexity:.2f}",
            f"{load.perplexity / first.perplexity - 1:+z.2%} against 16 bits",
        ],
    ]
    note = "left: kept in 16 bits; middle: linear layers; right: their scales"
    return f'{bars}<div style="color:{html.QUIET}">{note}</div>{html.table(rows, row_names=True)}'


def _bar(load, longest):
    pieces = "".join(
        f'<div style="width:{100 * size / longest:.2f}%;background:{html.INK};opacity:{opacity}">'
        "</div>"
        for size, opacity in ((load.kept, 1), (load.codes, 0.55), (load.scales, 0.25))
    )
    return (
        f'<div style="color:{html.INK};margin-top:6px">{html.escape(load.name)}</div>'
        f'<div style="display:flex;height:18px;width:100%">{pieces}</div>'
    )


def explorer(measured, first):
    """Return the explorer of the flags of a 4-bit load.

    measured: a function from the flags, by the names of `BitsAndBytesConfig` and with the compute
    dtype by name, to a `Load`; each setting is measured once. first: the `Load` in 16 bits.
    """

    once = cache(measured)
    quant_type, double_quant, compute_dtype = (f"bnb_4bit_{name}" for name in NAMES)
    types, dtypes = {"options": ["fp4", "nf4"]}, {"options": ["float32", "bfloat16"]}
    controls = {
        quant_type: control(widgets.ToggleButtons, quant_type, "15em", value="nf4", **types),
        double_quant: widgets.Checkbox(value=True, description=double_quant, indent=False),
        compute_dtype: control(widgets.ToggleButtons, compute_dtype, "15em", **dtypes),
    }

    def shown(**flags):
        return face(once(**flags), first)

    still = memory_figure([first, once(**{name: c.value for name, c in controls.items()})])
    return Explorer(controls, shown, "The flags of a 4-bit load", static=still, height=220)


def hub_plan(gpu=None, bf16=False):
    """Return one line: what a hub model would be put through here, and what a GPU changes.

    gpu: the name of the GPU, or None. bf16: whether it computes in bfloat16.
    """
    start = "HUB_MODEL is None: nothing was downloaded. With a name, its weights are fetched, "
    if gpu is None:
        return (
            f"{start}loaded in NF4 on the CPU and measured in bits per byte. On a GPU they would "
            "lie in its own memory and compute in bfloat16, or in float16 on one without, as a T4."
        )
    dtype = "bfloat16" if bf16 else "float16, because this GPU does not compute in bfloat16"
    return f"{start}loaded in NF4 on {gpu} and measured in bits per byte, computing in {dtype}."
