"""Notebook 11: the bytes of a file, a super-block with one weight to drag, speed by bytes."""

import ipywidgets as widgets
import numpy as np

from quantlab._checks import shown, text, whole
from quantlab.experiments.gguf_bytes import PARTS, block_fields
from quantlab.experiments.super_block import PLACE, SIZE, explore, scale_words
from quantlab.gguf import TYPES
from quantlab.show import given, hexes, html, matrix
from quantlab.show.drawing import (
    Box,
    Drawing,
    Line,
    Mark,
    Scale,
    Text,
    across,
    dragged,
    piled,
    ticks,
)
from quantlab.show.explorer import Explorer, control
from quantlab.show.registry import RUN

#: What a part of a model is called in a file, in words.
MATRICES = {
    "attn_q": "query", "attn_k": "key", "attn_v": "value", "attn_output": "output of the attention",
    "ffn_gate": "gate", "ffn_up": "up", "ffn_down": "down",
}  # fmt: skip

# ------------------------------------------------------------------------- figures and tables


def rooms(contents, size):
    """Return a picture of what takes the room of a file.

    contents: its `experiments.gguf_bytes.Contents`. size: its bytes.
    """
    given.result("contents", contents, "tensors")
    whole("size", size, 1)
    starts = [*(tensor.start for tensor in contents.tensors), size]
    room = {"header, entries and lists": contents.tensors[0].start}
    for tensor, end in zip(contents.tensors, starts[1:], strict=True):
        part = "linear layers" if tensor.name.startswith("blk.") else "embeddings"
        part = "norms" if "norm" in tensor.name else part
        key = f"{part}, {tensor.type}"
        room[key] = room.get(key, 0) + end - tensor.start
    longest = max(room.values())
    bars = [
        Drawing(
            720, 18, (Box(0, 0, max(720 * n / longest, 1), 18, "line"),), f"{part}: {n:,} bytes"
        )
        for part, n in room.items()
    ]
    share = longest / size
    title = f"{share:.0%} of the file are the linear layers"
    return piled(bars).picture(title, f"{title}. {'; '.join(bar.label for bar in bars)}.")


def types_table(found, name):
    """Return the formats as a table: what they take, and how far they are from the weights.

    found: {format: {layer: relative error}}. name: of the layer that gets a column of its own.
    """
    rows, name = [], text("name", name)
    if not isinstance(found, dict) or not found:
        raise TypeError(f"found must be a dict by formats, got {shown(found)}")
    for kind, errors in found.items():
        if name not in given.by_name("found", errors, 0):
            raise ValueError(f"name must be one of {', '.join(errors)}, got {shown(name)}")
        bits = TYPES[kind].bits_per_value if kind in TYPES else 4.5
        values = TYPES[kind].values if kind in TYPES else 64
        span = f"{min(errors.values()):.2%} to {max(errors.values()):.2%}"
        rows.append([kind, f"{values}", f"{bits:.4g}", f"{errors[name]:.2%}", span])
    rows.sort(key=lambda row: -float(row[2]))
    header = (
        "format",
        "weights in a block or super-block",
        "bits per weight",
        "error here",
        "lowest to highest",
    )
    return matrix.table(rows, header)


def mix_table(tensors):
    """Return the types of the linear layers of a file as a table: matrices down, layers across.

    tensors: names by their types, as `GGUFFile` has them.
    """
    if not isinstance(tensors, dict) or not any(isinstance(n, tuple) for n in tensors.values()):
        raise TypeError(f"tensors must be a dict of names by their types, got {shown(tensors)}")
    kinds = {name: kind for kind, names in tensors.items() for name in names}
    layers = 1 + max(int(name.split(".")[1]) for name in kinds if name.startswith("blk."))
    rows = [
        [part, words, *(kinds[f"blk.{i}.{part}.weight"] for i in range(layers))]
        for part, words in MATRICES.items()
    ]
    return matrix.table(rows, ("matrix", "in words", *(f"layer {i}" for i in range(layers))))


def chances_table(prompt, tokenizer, chances, opened, top=5):
    """Return the likeliest next tokens of a prompt as a table: their chances, those of open files.

    chances: of all tokens, in PyTorch. opened: what `lm.run_gguf` opened, by its name.
    """
    text("prompt", prompt), whole("top", top, 1, len(given.numbers("chances", chances, 1)))
    given.result("tokenizer", tokenizer, "decode")
    given.results_by_name("opened", opened, "log_probabilities")
    best, columns = np.argsort(-chances)[:top].tolist(), []
    for running in opened.values():
        told = running.log_probabilities(prompt, top=len(chances))
        columns.append({index: np.exp(log) for index, _, log in told})
    rows = [
        [f"“{tokenizer.decode([i])}”", f"{chances[i]:.2%}"]
        + [f"{column[i]:.2%}" for column in columns]
        for i in best
    ]
    return matrix.table(rows, ("next token", "PyTorch", *opened))


def cost_table(costs):
    """Return `Cost`s by name as a table; the first is what the losses are compared to."""
    given.results_by_name("costs", costs, "name", "bits", "perplexity", "facts", "above")
    first = next(iter(costs.values()))
    rows = [
        [kind, f"{cost.bits:.4g}", f"{cost.perplexity:.2f}", str(cost.facts), _above(cost, first)]
        for kind, cost in costs.items()
    ]
    above = f"loss above {first.name}"
    return matrix.table(rows, ("", "bits per weight", "perplexity", "facts, of 256", above))


def _above(cost, first):
    if cost is first:
        return "–"
    more, sure = cost.above(first)
    return f"{more:.4f} ± {sure:.4f}".replace("-", "−")


def one_table(costs, files, speeds):
    """Return what each way costs and gives, as one table.

    costs: `Cost`s by name. files: `GGUFFile`s of some of them. speeds: `Speed`s by name.
    """
    given.results_by_name("costs", costs, "bits", "perplexity", "facts")
    given.results_by_name("files", files, "bytes")
    given.results_by_name("speeds", speeds, "best")
    rows = []
    for kind in dict.fromkeys([*costs, *speeds]):
        cost, file, speed = (of.get(kind) for of in (costs, files, speeds))
        rows.append(
            [
                kind,
                f"{cost.bits:.4g}" if cost else "32",
                f"{file.bytes / 1e6:.2f}" if file else "–",
                f"{cost.perplexity:.2f}" if cost else "–",
                str(cost.facts) if cost else "–",
                f"{speed.best:,.0f}" if speed else "–",
            ]
        )
    header = ("", "bits per weight", "file, MB", "perplexity", "facts", "tokens per second")
    return matrix.table(rows, header)


def speed_figure(models):
    """Return a picture of tokens per second as bars, for each type of each model.

    models: {name of a model: {type: (tokens per second, bytes of the file)}}, F16 among the types.
    """
    if not isinstance(models, dict) or not models:
        raise TypeError(f"models must be a dict by names, got {shown(models)}")
    drawings, said = [], []
    for name, types in models.items():
        given.by_name("models", types, 1)
        most = max(speed for speed, _ in types.values())
        for kind, (speed, size) in types.items():
            words = f"{name}, {kind}, {size / 1e6:,.3g} MB: {speed:,.0f} tokens per second"
            words += f", {speed * size / 1e9:.1f} GB per second"
            bar = Box(0, 0, 720 * speed / most, 18, "line" if kind == "F16" else "grid")
            drawings.append(Drawing(720, 18, (bar,), words))
        fastest = types["Q4_0"][0] / types["F16"][0]
        said.append(f"{fastest:.1f} times as fast for {name}")
    drawings.append(Drawing(720, 0, (), "Bars: speed, each model on its own scale. Dark: F16"))
    title = f"Q4_0 against F16: {', '.join(said)}"
    return piled(drawings).picture(title, f"{title}. {'; '.join(d.label for d in drawings)}.")


# ------------------------------------------------------------------------------- the explorer


def facts(found):
    """Return what is to be said of an `Exploration`: a list of (name, number, unit)."""
    return [
        ("bits per weight, scales included", found.bits, ""),
        ("the dragged weight comes back as", float(found.back[PLACE]), "× typical"),
        ("relative error of the 31 others of its block of 32", 100 * found.block_error, "%"),
        ("relative error of the 224 outside", 100 * found.other_error, "%"),
    ]


def render(found):
    """Return the HTML of an `Exploration`: its weights and levels, its numbers, its bytes."""
    rows = [(name, _rounded(number), unit) for name, number, unit in facts(found)]
    table = html.table(rows, row_names=True, widths=(420, 80, 80))
    return draw(found).svg() + table + _bytes(found)


def _rounded(number):
    return f"{number:.2f}".replace("-", "−")


def _bytes(found):
    """The bytes of the super-block; equal parts of all blocks share a name."""
    fields = block_fields(found.blocks, found.type)
    parts = PARTS[found.type]
    count = SIZE // TYPES[found.type].values
    rows = [(_times(count, length, name), words) for length, name, words in parts]
    groups = [number % len(parts) for number in range(len(fields))]
    return hexes.render(fields, groups, rows, ("bytes", "what they are"))


def _times(count, length, name):
    return f"{count} × {length}: {name}" if count > 1 else f"{length}: {name}"


# One drawing, in CSS pixels: eight blocks of 32 weights below each other.
WIDTH, LEFT, RIGHT, TOP, BAND, PITCH = 740, 170, 724, 30, 42, 1.25
FLOOR = TOP + 8 * BAND
HEIGHT = FLOOR + 52
LARGEST = 12.0  # how far the outlier goes
SIZES = Scale(-4, 12.4, LEFT, RIGHT)  # typical sizes
CLOSE = 3  # pixels between levels: closer ones become a band


def draw(found, handle="drag me"):
    """Return the `Drawing` of an `Exploration`. handle: what stands beside its outlier."""
    said = f"{found.type}, one weight at {found.outlier:g}"
    error = f"error of its block {found.block_error:.1%}, of the others {found.other_error:.1%}"
    words = "Dot: a weight. Red: how far off it comes back. Lines: the levels of its block"
    axis = across(SIZES, FLOOR, ticks(range(-4, 13, 2)), "weight, in typical sizes")
    marks = (Text(8, 12, words), *_levels(found), *_weights(found), *_handle(found, handle), *axis)
    return Drawing(WIDTH, HEIGHT, marks, f"{said}: {error}")


def _levels(found):
    """The levels of each block as lines; as a band where they are too many to tell apart."""
    words = scale_words(found.blocks, found.type)
    size = 16 if found.type == "Q6_K" else 32
    for block in range(8):
        top = TOP + BAND * block
        yield Text(8, top + BAND / 2, words[block])
        if block:
            yield Line(((LEFT, top - 1), (RIGHT, top - 1)), "grid", width=1)
        for first in range(32 * block, 32 * block + 32, size):
            y, tall = top + PITCH * (first % 32), PITCH * size
            places = sorted(
                {SIZES(v) for v in found.levels[:, first] if SIZES.low <= v <= SIZES.high}
            )
            if len(places) > 1 and (places[-1] - places[0]) / (len(places) - 1) < CLOSE:
                wide = places[-1] - places[0]
                yield Box(places[0], y, wide, tall, "quiet", shade=0.3)
            else:
                for x in places:
                    yield Line(((x, y), (x, y + tall)), "quiet", width=1)


def _weights(found):
    for i, (value, back) in enumerate(zip(found.values, found.back, strict=True)):
        y = TOP + BAND * (i // 32) + PITCH * (i % 32 + 0.5)
        if abs(value - back) > 0.02:
            yield Line(((SIZES(value), y), (SIZES(back), y)), "error", width=1.2)
        yield Mark(SIZES(value), y, size=1.6)


def _handle(found, name):
    """The weight to drag: a large dot, and its name on the side where there is room."""
    y = TOP + BAND * (PLACE // 32) + PITCH * (PLACE % 32 + 0.5)
    yield from dragged("outlier", found.outlier, SIZES, y, LARGEST, 0.25, name)


def explorer(weights):
    """Return the explorer of a super-block in llama.cpp's formats, with one weight to drag.

    weights: as for `explore`.
    """
    size = {"value": 6.0, "max": LARGEST, "step": 0.25, "readout_format": ".2f"}
    return Explorer(
        {
            "type": control(widgets.Dropdown, "type", options=list(TYPES), value="Q4_K"),
            "outlier": control(widgets.FloatSlider, "the dragged weight", **size),
        },
        lambda **settings: render(explore(weights, **settings)),
        title="Drag one weight of a super-block",
        static=_snapshot(explore(weights)),
        height=HEIGHT + 340,
    )


def _snapshot(found):
    """Return an `Exploration` as a picture."""
    title = f"{found.type}: one weight of {found.outlier:g} typical sizes, and its neighbours"
    said = (f"{name} {_rounded(number)} {unit}".strip() for name, number, unit in facts(found))
    return draw(found, "this weight").picture(title, f"{title}. {'; '.join(said)}.")


EXPLORERS = {"11_a_file_that_runs/explorer": RUN}
