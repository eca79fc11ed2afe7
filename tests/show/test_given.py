"""Figures refuse what they can't draw, by name: a picture of nothing would go unnoticed."""

import sys
from pathlib import Path

import numpy as np
import pytest

import quantlab as ql

sys.path.insert(0, str(Path(__file__).parents[1]))
from test_bad_calls import NOT_A_COUNT, NOT_A_TEXT, NOT_FINITE, STRANGE, given, verdict

from quantlab.experiments.training_runs import Mark
from quantlab.formats import FP4_E2M1, FP16
from quantlab.show import (
    codebooks_figures,
    formats_figures,
    gptq_figures,
    grid,
    matrix,
    outliers_figures,
    training_figures,
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
    (codebooks_figures.block, {"weights": MANY, "quantized": B, "title": SAID},
     {"weights": NUMBERS, "quantized": STRANGE | {"grid": Q}, "title": NOT_A_TEXT}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "good", "bad"), FIGURES, ids=lambda f: getattr(f, "__name__", "")
)
def test_a_figure_refuses_by_name_what_it_cannot_draw(function, good, bad):
    function(**good)
    found = {
        (argument, what): wrong
        for argument, values in bad.items()
        for what, value in values.items()
        if (wrong := verdict(function, good | {argument: value}, argument))
    }
    assert found == {}
