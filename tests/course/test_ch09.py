"""The exercises of notebook 09 accept what is right and name the usual mistakes."""

import math
from fractions import Fraction

import numpy as np
import torch

import quantlab as ql


def right_cheapest(rows, least):
    return min((bits, name) for name, bits, facts in [*rows, ("none", math.inf, 256)]
               if facts >= least)[1]  # fmt: skip


def filter_then_min(rows, least):
    enough = [row for row in rows if row[2] >= least]
    return min(enough, key=lambda row: row[1])[0] if enough else "none"


def by_sorting(rows, least):
    for name, _, facts in sorted(rows, key=lambda row: row[1]):
        if facts >= least:
            return name
    return "none"


def fewest_facts(rows, least):
    return min(((f, name) for name, _, f in rows if f >= least), default=(0, "none"))[1]


def key_forgotten(rows, least):
    return min((row for row in rows if row[2] >= least), default=("none",))[0]


def last_name(rows, least):
    return max((row for row in rows if row[2] >= least), default=("none",))[0]


def whole_row(rows, least):
    return min((r for r in rows if r[2] >= least), key=lambda r: r[1], default=("none",))


def in_a_list(rows, least):
    return [right_cheapest(rows, least)]


def in_float32(probabilities):
    return torch.exp(-torch.log(torch.tensor(probabilities)).mean())


def never_none(rows, least):
    return min((bits, name) for name, bits, facts in rows if facts >= least)[1]


def weighted(layers):
    return np.average([b for _, b in layers], weights=[n for n, _ in layers])


RIGHT = {
    "9.1": [3 + 19 / 64, 3.297, Fraction(211, 64)],
    "9.2": [
        lambda probabilities: np.exp(np.mean(-np.log(probabilities))),
        lambda probabilities: math.prod(probabilities) ** (-1 / len(probabilities)),
        lambda probabilities: 2 ** np.mean(-np.log2(probabilities)),
        in_float32,
        lambda probabilities: np.exp(-np.log(np.array(probabilities, np.float32)).mean()),
    ],
    "9.3": [right_cheapest, filter_then_min, by_sorting],
    "9.4": [
        weighted,
        lambda layers: sum(n * b for n, b in layers) / sum(n for n, _ in layers),
        lambda layers: Fraction(sum(n * b for n, b in layers)) / sum(n for n, _ in layers),
    ],
}

WRONG = [
    ("9.1", 3, "code alone"),
    ("9.1", 3.25, "which is missing"),
    ("9.1", 3.5, "as many bits as one, not 16"),
    ("9.1", 3.3, "shared by 64 weights"),
    ("9.1", 22, "64 weights share"),
    ("9.2", lambda p: np.mean(1 / np.array(p)), "mean of 2 and 4"),
    ("9.2", lambda p: round(float(in_float32(p)), 3), "mean of -log(p)"),
    ("9.2", lambda p: 1 / np.mean(p), "1 over the mean probability"),
    ("9.2", lambda p: np.exp(np.sum(-np.log(p))), "divide by 2 tokens"),
    ("9.2", lambda p: np.exp(np.mean(-np.log2(p))), "mean of -log(p)"),
    ("9.3", lambda rows, least: max(rows, key=lambda r: r[2])[0], "the bits decide"),
    ("9.3", lambda rows, least: min(rows, key=lambda r: r[1])[0], "first the facts"),
    ("9.3", key_forgotten, "the bits decide who wins"),
    ("9.3", last_name, "the bits decide who wins"),
    ("9.3", whole_row, "return the name alone"),
    ("9.3", in_a_list, "return the name alone"),
    ("9.3", fewest_facts, "however many facts it has"),
    ("9.3", lambda rows, least: right_cheapest(rows, least + 1), "exactly 241"),
    ("9.3", never_none, "say 'none' first"),
    ("9.4", lambda layers: np.mean([b for _, b in layers]), "mean over layers"),
    ("9.4", lambda layers: sum(n * b for n, b in layers), "over sum(weights)"),
    ("9.4", lambda layers: sum(b for _, b in layers), "over sum(weights)"),
]


def test_the_first_answer_is_what_the_quantizer_counts():
    w = np.random.default_rng(9).normal(size=(256, 4))
    q = ql.quantize_zero_point(w, bits=3, axis=0, group_size=64)
    assert q.bits_per_value == RIGHT["9.1"][0]
