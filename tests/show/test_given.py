"""Figures refuse what they can't draw, by name: a picture of nothing would go unnoticed."""

import importlib
import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

import quantlab as ql

sys.path.insert(0, str(Path(__file__).parents[1]))
from test_bad_calls import NOT_A_COUNT, NOT_A_TEXT, NOT_FINITE, STRANGE, given, verdict

from quantlab.experiments import one_layer, whole_model
from quantlab.experiments.loads import Load, Trial
from quantlab.experiments.training_runs import Mark
from quantlab.formats import FP4_E2M1, FP16
from quantlab.show import (
    binary_figures,
    codebooks_figures,
    comparison,
    fit_figures,
    formats_figures,
    gguf_figures,
    gptq_figures,
    grid,
    load,
    matrix,
    memory_figures,
    model,
    outliers_figures,
    scaled_figures,
    training_figures,
    turning_figures,
)

X, W = np.arange(6.0).reshape(3, 2) + 1, np.ones((2, 3))
ROW = np.array([0.5, -1.0, 2.0])
MANY = np.random.default_rng(0).standard_normal(128)
Q, B = ql.quantize_absmax(ROW, bits=3), ql.quantize_blockwise(MANY)
SAID = "what the figure says"
MARK = Mark(0, 0.9, 65.6, 8, "Once upon a time")

NUMBERS = {
    what: value for what, value in NOT_FINITE.items() if what not in ("a long double", "raw bytes")
}
NO_DICT = STRANGE | {
    "a dict": {}, "None": None, "4": 4, "text": "x", "a list": [1.0], "nan": {"a": [np.nan]},
    "ragged": {"a": [[1.0], [1.0, 2.0]]}, "texts": {"a": ["b"]}, "a number's": {1: [1.0]},
}  # fmt: skip
NO_FORMATS = STRANGE | {"None": None, "empty": [], "a name": "FP16", "names": ["FP16"], "one": FP16}
NO_NUMBER = {
    what: value
    for what, value in NUMBERS.items()
    if what not in ("a lonely nan",)
} | {"a list": [1.0], "a nan": float("nan")}  # fmt: skip
NOT_Q = STRANGE | {"None": None, "an array": ROW, "blocks": B}
NO_RESULT = STRANGE | {"None": None, "4": 4, "text": "x", "an array": ROW}
NO_RESULTS = NO_RESULT | {"empty": [], "numbers": [4], "one": [object()], "words": ["a"]}
NO_NAMED = NO_RESULT | {"empty": {}, "numbers": {"a": 4}, "a list": [4]}
NO_CURVES = NO_DICT | {
    "pairs": {"a": [(64, 4.5)]}, "five": {str(i): [(64, 4.5, 0.1)] for i in range(5)},
}  # fmt: skip
NO_LAYERS = NO_DICT | {"another name": {"a": 1.0}, "a row": {"model.layers.0.mlp.up_proj": ROW}}
UP = {"model.layers.0.mlp.up_proj": 1.0}
CURVES = {"NF4": [(64, 4.5, 0.1), (32, 5.0, 0.05)]}
BATCH = 4 * MANY.reshape(16, 8)
EXACT = np.arange(6.0).reshape(3, 2) + 1
ROWS = [("exact", "as is", "as is", EXACT), ("absmax", 8, 8, EXACT + 0.1)]
NO_ROWS = NO_RESULTS | {
    "three": [("a", 8, 8)], "another shape": [("a", 8, 8, EXACT.T)],
    "nan": [("a", 8, 8, EXACT * np.nan)],
}  # fmt: skip
LOAD = Load("BF16", codes=6000, scales=0, kept=2000, perplexity=20.0)
TRIAL = Trial("nf4", False, 1, 1, 1, None, 0.5, 10.0, 20.0, 1.0, "Once")
RESULT = whole_model.Result(whole_model.Setting("GPTQ", 4), 4.0, 20.0, 99, "Once", 0.1)
POINTS = [one_layer.Point(one_layer.Setting("absmax", bits), bits, 1 / bits) for bits in (3, 4)]
NOT_A_SHORT = {k: v for k, v in NOT_A_COUNT.items() if "-1" not in k} | {"8": 8, "-9": -9}
# (function, good arguments, what is bad for some of them)
FIGURES = [
    (grid.number_line, {"values": ROW, "quantized": Q, "low": -1, "high": 2, "title": SAID},
     {"values": NUMBERS, "quantized": NOT_Q, "low": NO_NUMBER, "high": NO_NUMBER | {"-1": -1},
      "title": NOT_A_TEXT}),
    (grid.rounding_errors, {"x": ROW, "quantized": Q, "title": SAID},
     {"x": NUMBERS | {"four": np.ones(4)}, "quantized": NOT_Q, "title": NOT_A_TEXT}),
    (matrix.heat_map, {"errors": {"a": X}, "title": SAID},
     {"errors": NO_DICT | {"a row": {"a": [1.0]}}, "title": NOT_A_TEXT}),
    (matrix.product, {"x": X, "w": W, "title": SAID},
     {"x": NUMBERS | {"a row": ROW}, "w": NUMBERS | {"X": X}, "title": NOT_A_TEXT}),
    (matrix.entry, {"x": X, "w": W, "row": 0, "column": 1, "title": SAID},
     {"x": NUMBERS, "row": NOT_A_COUNT | {"3": 3}, "column": NOT_A_COUNT | {"3": 3}}),
    (training_figures.staircase, {"x": np.arange(128), "rounded": MANY, "title": SAID},
     {"x": NUMBERS, "rounded": NUMBERS | {"three": ROW}, "title": NOT_A_TEXT}),
    (training_figures.against_steps, {"lines": {"a": [MARK]}, "title": SAID, "levels": None},
     {"lines": NO_DICT | {"four": {key: [MARK] for key in "abcd"}}, "title": NOT_A_TEXT,
      "levels": given(NO_DICT)}),
    (training_figures.texts_table, {"marks": [MARK]},
     {"marks": STRANGE | {"no marks": [], "numbers": [1, 2]}}),
    (outliers_figures.rulers, {"rows": {"a": ROW}, "high": 2, "title": SAID},
     {"rows": NO_DICT, "high": NO_NUMBER | {"0": 0}, "title": NOT_A_TEXT}),
    (outliers_figures.split, {"x": X, "w": W, "threshold": 6.0, "title": SAID},
     {"x": NUMBERS, "w": NUMBERS, "threshold": NO_NUMBER | {"-1": -1}, "title": NOT_A_TEXT}),
    (outliers_figures.columns, {"cases": {"a": X}, "threshold": 6.0, "title": SAID},
     {"cases": NO_DICT, "threshold": NO_NUMBER | {"0": 0}, "title": NOT_A_TEXT}),
    (outliers_figures.compare, {"products": {"a": X}, "exact": X, "row": 0},
     {"products": NO_DICT, "exact": NUMBERS, "row": given(NOT_A_COUNT) | {"3": 3}}),
    (gptq_figures.answer_curve, {"h": np.eye(2), "lost": 0.3, "title": SAID},
     {"h": NUMBERS | {"3": np.eye(3)}, "lost": NO_NUMBER, "title": NOT_A_TEXT}),
    (gptq_figures.running_totals, {"lost": {"a": ROW}, "title": SAID},
     {"lost": NO_DICT, "title": NOT_A_TEXT}),
    (gptq_figures.damping_curves, {"dampings": [0.1, 1], "left": {"a": [1, 0.5]}, "title": SAID},
     {"dampings": NUMBERS | {"0": [0, 1]}, "left": NO_DICT | {"three": {"a": ROW}}}),
    (gptq_figures.weight_changes, {"changes": {"a": ROW}, "title": SAID},
     {"changes": NO_DICT, "title": NOT_A_TEXT}),
    (formats_figures.strips_picture, {"formats": [FP16], "number": 2.5, "title": SAID},
     {"formats": NO_FORMATS, "number": given(NO_NUMBER)}),
    (formats_figures.spacing_picture, {"formats": [FP16], "title": SAID},
     {"formats": NO_FORMATS, "low": NO_NUMBER | {"0": 0}, "high": NO_NUMBER | {"0": 0},
      "fixed": given(NUMBERS), "title": NOT_A_TEXT}),
    (formats_figures.values_picture, {"formats": [FP4_E2M1], "reach": 6, "title": SAID},
     {"formats": NO_FORMATS, "reach": NO_NUMBER | {"0": 0}, "title": NOT_A_TEXT}),
    (formats_figures.sums_picture, {"totals": {"a": ROW}, "exact": ROW, "title": SAID},
     {"totals": NO_DICT, "exact": NUMBERS, "title": NOT_A_TEXT}),
    (formats_figures.blocks_picture,
     {"values": MANY, "scales": [1, 2], "f": FP4_E2M1, "block_size": 64, "title": SAID},
     {"values": NUMBERS | {"few": ROW}, "scales": NUMBERS, "f": STRANGE | {"a name": "FP4"},
      "block_size": NOT_A_COUNT | {"0": 0, "128": 128}}),
    (codebooks_figures.histogram, {"weights": MANY, "title": SAID},
     {"weights": NUMBERS | {"equal": np.ones(9)}, "title": NOT_A_TEXT}),
    (codebooks_figures.levels, {"tables": {"NF4": ql.NF4.values}, "title": SAID},
     {"tables": NO_DICT | {"zeros": {"a": [0.0, 0.0]}}, "title": NOT_A_TEXT}),
    (codebooks_figures.usage, {"shares": {"NF4": np.full(16, 1 / 16)}, "title": SAID},
     {"shares": NO_DICT | {"three": {"a": ROW}}, "title": NOT_A_TEXT}),
    (codebooks_figures.tradeoff, {"curves": CURVES, "title": SAID},
     {"curves": NO_CURVES, "title": NOT_A_TEXT}),
    (scaled_figures.tradeoff, {"curves": CURVES, "title": SAID},
     {"curves": NO_CURVES, "title": NOT_A_TEXT}),
    (scaled_figures.hole, {"element": FP4_E2M1, "title": SAID},
     {"element": NO_RESULT, "title": NOT_A_TEXT}),
    (scaled_figures.whole_model, {}, {"results": NO_RESULTS}),
    (scaled_figures.model_table, {}, {"results": NO_RESULTS}),
    (comparison.article_table, {"rows": ROWS, "exact": EXACT, "published": {}},
     {"rows": NO_ROWS, "exact": NUMBERS | {"3 x 3": np.eye(3)},
      "published": given(NO_RESULT) | {"a word": {"a": "b"}, "two rows": {"a": [[1, 2], None]}}}),
    (comparison.product_figure, {"rows": ROWS, "exact": EXACT, "title": SAID},
     {"rows": NO_ROWS | {"exact": ROWS[:1]}, "exact": NUMBERS, "title": NOT_A_TEXT}),
    (comparison.pareto_figure, {"points": POINTS, "title": SAID},
     {"points": NO_RESULTS, "title": NOT_A_TEXT}),
    (comparison.point_table, {"points": POINTS}, {"points": NO_RESULTS}),
    (load.difference, {"before": LOAD, "after": LOAD}, {"before": NO_RESULT, "after": NO_RESULT}),
    (load.table, {"loads": [LOAD]}, {"loads": NO_RESULTS}),
    (load.memory_figure, {"loads": [LOAD]}, {"loads": NO_RESULTS}),
    (load.trials_table, {"trials": [TRIAL]}, {"trials": NO_RESULTS}),
    (load.side_by_side, {"trials": [TRIAL]}, {"trials": NO_RESULTS}),
    (model.texts, {"results": [RESULT], "reference": RESULT},
     {"results": NO_RESULTS, "reference": NO_RESULT}),
    (model.cost_figure, {"results": [RESULT], "title": SAID},
     {"results": NO_RESULTS, "title": NOT_A_TEXT}),
    (model.layer_figure, {"costs": UP, "title": SAID}, {"costs": NO_LAYERS, "title": NOT_A_TEXT}),
    (model.activation_figure, {"largest": UP, "typical": UP, "title": SAID},
     {"largest": NO_LAYERS, "typical": NO_LAYERS, "title": NOT_A_TEXT,
      "threshold": NO_NUMBER | {"0": 0}}),
    (turning_figures.squares, {"points": [X, X], "names": ["a", "b"], "title": SAID},
     {"points": given(NO_RESULTS) | {"rows": [ROW, ROW], "one": [X], "nan": [X * np.nan, X]},
      "title": NOT_A_TEXT, "bits": NOT_A_COUNT | {"1": 1, "9": 9}}),
    (turning_figures.curves,
     {"x": ROW, "lines": {"a": ROW}, "title": SAID, "xlabel": "x", "ylabel": "y"},
     {"x": NUMBERS, "lines": NO_DICT | {"two": {"a": [1.0, 2.0]}}, "title": NOT_A_TEXT}),
    (outliers_figures.tradeoff, {"x": BATCH, "w": BATCH.T, "title": SAID},
     {"x": NUMBERS, "w": NUMBERS, "title": NOT_A_TEXT}),
    (memory_figures.cache_figure,
     {"weight_bytes": 352e9, "bytes_per_token": 4e6, "device_bytes": 80e9},
     dict.fromkeys(("weight_bytes", "bytes_per_token", "device_bytes"), NO_NUMBER | {"0": 0})),
    (binary_figures.places_picture, {"bits": "101"},
     {"bits": NOT_A_TEXT | {"empty": "", "2": "12", "long": "1" * 17}, "signed": STRANGE}),
    (binary_figures.byte_picture, {"high": 1, "low": 2},
     {"high": NOT_A_SHORT, "low": NOT_A_SHORT}),
    (binary_figures.wheel_picture, {"bits": 4}, {"bits": NOT_A_COUNT | {"5": 5, "1": 1}}),
    (fit_figures.speed_table, {}, {"speeds": NO_RESULTS}),
    (fit_figures.together_table, {"measured": [(1, 10.0)]},
     {"measured": NUMBERS | {"0 texts": [(0, 1.0)], "no speed": [(1, 0.0)]}}),
    (fit_figures.growth_figure, {"names": ["Llama 3.1 8B", "Qwen3-32B"]},
     {"names": given(NO_RESULTS), "longest": NOT_A_COUNT | {"0": 0}}),
    (fit_figures.channels_figure, {"keys": X, "values": X}, {"keys": NUMBERS, "values": NUMBERS}),
    (fit_figures.losses_table, {}, {"losses": NO_RESULTS}),
    (fit_figures.plans_table, {}, {"found": NO_NAMED}),
    (gguf_figures.rooms, {}, {"contents": NO_RESULT}),
    (gguf_figures.types_table, {"found": {"Q4_0": {"a": 0.1}}, "name": "a"},
     {"found": NO_NAMED, "name": NOT_A_TEXT | {"b": "b"}}),
    (gguf_figures.mix_table, {}, {"tensors": NO_NAMED}),
    (gguf_figures.cost_table, {}, {"costs": NO_NAMED}),
    (gguf_figures.one_table, {}, {"costs": NO_NAMED}),
    (gguf_figures.speed_figure, {"models": {"a": {"F16": (1.0, 2), "Q4_0": (2.0, 1)}}},
     {"models": NO_NAMED}),
    (codebooks_figures.block, {"weights": MANY, "quantized": B, "title": SAID},
     {"weights": NUMBERS, "quantized": STRANGE | {"grid": Q}, "title": NOT_A_TEXT}),
]  # fmt: skip


def others(function, good):
    """Arguments that a figure without a good call looks at only after the bad one."""
    needed = [
        name
        for name, one in inspect.signature(function).parameters.items()
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ]
    return dict.fromkeys(needed) | good


@pytest.mark.parametrize(
    ("function", "good", "bad"), FIGURES, ids=lambda f: getattr(f, "__name__", "")
)
def test_a_figure_refuses_by_name_what_it_cannot_draw(function, good, bad):
    if good:  # the others are given what a notebook measures, in tests of their own
        function(**good)
    found = {
        (argument, what): wrong
        for argument, values in bad.items()
        for what, value in values.items()
        if (wrong := verdict(function, others(function, good) | {argument: value}, argument))
    }
    assert found == {}


#: Modules of what drawings and pages are made of, not of figures: what they get is checked above.
PARTS = {"bits", "drawing", "explorer", "given", "hexes", "html", "registry", "style"}
#: What makes an explorer, or a word of a figure, out of what `experiments` found or a control gave.
WITHIN = {
    "binary_figures": "division_explorer division_picture doubling_explorer doubling_picture "
    "render_division render_doubling",
    "codebooks_figures": "block_marks draw explorer facts render snapshot",
    "comparison": "explorer needs_table percent render",
    "fit_figures": "bar planned planner render sentence",
    "gguf_figures": "chances_table draw explorer facts render",
    "gptq_stepper": "draw explorer render snapshot",
    "grid": "explorer lowered panels render ruler snapshot summary",
    "lattice_figures": "draw explorer facts render snapshot",
    "load": "explorer render",
    "matrix": "beside_table describe draw shade table texts to_html",
    "memory_figures": "calculator count_text formats_figure render sentence size_text snapshot",
    "model": "draw explorer facts look number parted parted_html render short snapshot",
    "outliers_figures": "bars curve explorer limits panels powers render snapshot summary",
    "qlora_figures": "flags_table marks_table memory_figure merge_figure parts_table",
    "training": "draw explore_training facts nearest render snapshot",
    "scaled_figures": "draw explorer facts render snapshot",
    "turning_figures": "draw explorer facts render snapshot",
}


def test_every_public_figure_is_in_the_table():
    rows = {(function.__module__.rpartition(".")[2], function.__name__) for function, *_ in FIGURES}
    left = set()
    for file in Path(grid.__file__).parent.glob("[a-z]*.py"):
        if file.stem not in PARTS:
            module = importlib.import_module(f"quantlab.show.{file.stem}")
            public = {
                name
                for name, thing in vars(module).items()
                if inspect.isfunction(thing) and thing.__module__ == module.__name__
            }
            within = set(WITHIN.get(file.stem, "").split())
            left |= {(file.stem, name) for name in public - within if name[0] != "_"} - rows
            assert within <= public, f"{file.stem} has no {within - public}"
    assert left == set()
