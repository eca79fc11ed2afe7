"""Notebook 10: what each flag of a 4-bit load changes, as a table, a figure and an explorer.

What is shown is measured in `quantlab.experiments.loads`.
"""

from functools import cache

import ipywidgets as widgets
from IPython.display import HTML

from quantlab.experiments.loads import AT_ONCE
from quantlab.show import given, html, matrix
from quantlab.show.drawing import Box, Drawing, named, piled
from quantlab.show.explorer import Explorer, control
from quantlab.show.registry import RUN

NOTE = "left: kept in 16 bits; middle: linear layers; right: their scales"
NAMES = ("quant_type", "use_double_quant", "compute_dtype")  # the flags, after "bnb_4bit_"


def difference(before, after):
    """Return what one more flag changed, as two lines of text."""
    for name, one in (("before", before), ("after", after)):
        given.result(name, one, "bytes", "perplexity")
    change, rise = after.bytes - before.bytes, after.perplexity - before.perplexity
    return (
        f"bytes       {before.bytes:>10,} -> {after.bytes:>10,}  ({change:+,})\n"
        f"perplexity  {before.perplexity:>10.2f} -> {after.perplexity:>10.2f}  ({rise:+z.2f})"
    )


def table(loads):
    """Return the loads as a table, for the end of a cell. The first is what they compare to."""
    first, *_ = given.results("loads", loads, "name", "bytes", "perplexity")
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
    given.results("loads", loads, "name", "bytes", "kept", "codes", "scales")
    smallest = min(loads, key=lambda load: load.bytes)
    title = (
        f"{loads[0].bytes / smallest.bytes:.1f} times smaller, not 4: "
        f"{smallest.kept / smallest.bytes:.0%} of the 4-bit model is still 16-bit"
    )
    longest = max(load.bytes for load in loads)
    words = Drawing(740, 0, (), f"Bytes; {NOTE}")
    drawn = piled([*(_bar(load, longest) for load in loads), words])
    said = "; ".join(f"{load.name} {load.bytes / 1e6:.2f} MB" for load in loads)
    return drawn.picture(title, f"{title}. {said}.")


def render(load, first):
    """Return the HTML of one `Load` beside `first`, the 16-bit one: bars, bytes, perplexity."""
    bars = named(_bar(one, first.bytes) for one in (first, load))
    rows = [
        ["bytes", f"{load.bytes:,}", f"{load.bytes / first.bytes:.1%} of 16 bits"],
        ["of these, scales", f"{load.scales:,}", f"{load.scales / load.bytes:.1%} of this load"],
        [
            "perplexity",
            f"{load.perplexity:.2f}",
            f"{load.perplexity / first.perplexity - 1:+z.2%} against 16 bits",
        ],
    ]
    return f'{bars}<div style="color:{html.QUIET}">{NOTE}</div>{html.table(rows, row_names=True)}'


def _bar(load, longest):
    """The bytes of a `Load` as a bar: what stays in 16 bits, codes, and scales."""
    marks, x = [], 0
    for size, shade in ((load.kept, 1), (load.codes, 0.55), (load.scales, 0.25)):
        width = 720 * size / longest
        marks.append(Box(x, 0, width, 20, "ink", shade=shade))
        x += width
    return Drawing(720, 20, tuple(marks), f"{load.name}: {load.bytes / 1e6:.2f} MB")


def explorer(measured, first):
    """Return the explorer of the flags of a 4-bit load.

    measured: a function from the flags, by the names of `BitsAndBytesConfig` and with the compute
    dtype by name, to a `Load`; each setting is measured once. Where it raises FloatingPointError,
    as `lm.Model.perplexity` does, that is the result. first: the `Load` in 16 bits.
    """

    once = cache(measured)
    quant_type, double_quant, compute_dtype = (f"bnb_4bit_{name}" for name in NAMES)
    types = {"options": ["fp4", "nf4"]}
    dtypes = {"options": ["float32", "bfloat16", "float16"]}
    controls = {
        quant_type: control(widgets.ToggleButtons, quant_type, "15em", value="nf4", **types),
        double_quant: widgets.Checkbox(value=True, description=double_quant, indent=False),
        compute_dtype: control(widgets.ToggleButtons, compute_dtype, "15em", **dtypes),
    }

    def shown(**flags):
        try:
            return render(once(**flags), first)
        except FloatingPointError as error:
            # What this machine makes of these flags, no fault of the reader's. Seen once, with
            # float16 on a processor without AVX512; why is not known.
            return f'<div style="font-weight:600">No perplexity: {html.escape(str(error))}.</div>'

    still = memory_figure([first, once(**{name: c.value for name, c in controls.items()})])
    return Explorer(controls, shown, "The flags of a 4-bit load", static=still, height=220)


def trials_table(trials):
    """Return trials on one machine as a table with a column for each, and what it cannot say."""
    given.results("trials", trials, "on_gpu", "predicted", "counted", "taken", "bits_per_byte")
    on_gpu = trials[0].on_gpu
    rows = [
        _megabytes("predicted from its shape, MB", [t.predicted for t in trials]),
        _megabytes("counted in its layers, MB", [t.counted for t in trials]),
        _megabytes(TAKEN[on_gpu], [t.taken for t in trials]),
        ["load, seconds", *(f"{t.seconds:.2f}" for t in trials)],
        ["tokens per second, one text", *(f"{t.alone:,.0f}" for t in trials)],
        [f"tokens per second, {AT_ONCE} texts at once", *(f"{t.together:,.0f}" for t in trials)],
        ["bits per byte", *(f"{t.bits_per_byte:.3f}" for t in trials)],
    ]
    if on_gpu:
        rows.insert(3, _megabytes("the most that torch held, MB", [t.peak for t in trials]))
    header = ["", *(t.name for t in trials)]
    note = "" if on_gpu else f'<div style="color:{html.QUIET}">{NO_ALLOCATOR}</div>'
    return HTML(html.table(rows, header, row_names=True) + note)


TAKEN = {True: "torch then held more, MB", False: "the process then held more, MB"}
NO_ALLOCATOR = (
    "Two rows of a GPU are missing: what torch's allocator holds for the model, and the most it "
    "held at once. For a CPU torch keeps no such count. The system counts the process as a whole: "
    "what else it did in the meantime is in the number, and memory that it had left over is not."
)


def _megabytes(what, sizes):
    return [what, *(f"{size / 1e6:,.2f}" for size in sizes)]


def side_by_side(trials):
    """Return how each trial continued the prompt, as a table with a column for each."""
    given.results("trials", trials, "name", "text")
    return HTML(html.table([[t.text for t in trials]], [t.name for t in trials]))


EXPLORERS = {"10_load_in_4_bits/explorer": RUN}
