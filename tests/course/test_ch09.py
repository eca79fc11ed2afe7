"""The exercises of notebook 09 accept what is right and name the usual mistakes."""

import math

import numpy as np
import pytest

import quantlab as ql
from quantlab.course import verdict
from quantlab.course.exercises import ch09


def right_cheapest(rows, least):
    return min((bits, name) for name, bits, facts in [*rows, ("none", math.inf, 256)]
               if facts >= least)[1]  # fmt: skip


RIGHT = {
    "9.1": 3.5,
    "9.2": lambda probabilities: np.exp(np.mean(-np.log(probabilities))),
    "9.3": right_cheapest,
    "9.4": lambda layers: np.average([b for _, b in layers], weights=[n for n, _ in layers]),
}


@pytest.mark.parametrize("id", ch09.EXERCISES)
def test_the_right_answer_is_right(id):
    assert verdict(id, RIGHT[id]).state == "right"


@pytest.mark.parametrize("id", ch09.EXERCISES)
def test_no_answer_gets_the_hint(id):
    nothing = (lambda *args: ...) if callable(RIGHT[id]) else ...
    found = verdict(id, nothing)
    assert found.state == "unanswered" and "Hint:" in found.text


def test_the_first_answer_is_what_the_quantizer_counts():
    w = np.random.default_rng(9).normal(size=(256, 4))
    q = ql.quantize_zero_point(w, bits=3, axis=0, group_size=64)
    assert q.bits_per_value == RIGHT["9.1"]


@pytest.mark.parametrize(
    ("id", "answer", "says"),
    [
        ("9.1", 3, "code alone"),
        ("9.1", 3.25, "which is missing"),
        ("9.1", 35, "64 weights share"),
        ("9.2", lambda p: np.mean(1 / np.array(p)), "mean of 1 and 4"),
        ("9.2", lambda p: 1 / np.mean(p), "1 over the mean probability"),
        ("9.2", lambda p: np.exp(np.sum(-np.log(p))), "divide by 2 tokens"),
        ("9.2", lambda p: np.exp(np.mean(-np.log2(p))), "one token, probability 1/4"),
        ("9.3", lambda rows, least: max(rows, key=lambda r: r[2])[0], "the bits decide"),
        ("9.3", lambda rows, least: min(rows, key=lambda r: r[1])[0], "first the facts"),
        ("9.4", lambda layers: np.mean([b for _, b in layers]), "mean over layers"),
    ],
)
def test_a_usual_mistake_is_wrong_and_named(id, answer, says):
    found = verdict(id, answer)
    assert found.state == "wrong" and says in " ".join(found.text.split())


def test_more_than_enough_facts_is_not_what_is_asked():
    strict = lambda rows, least: right_cheapest(rows, least + 1)  # noqa: E731
    assert "exactly 241" in verdict("9.3", strict).text
