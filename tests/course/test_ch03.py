"""Exercises of notebook 03."""

import numpy as np
import pytest

from quantlab import memory
from quantlab.course import verdict
from quantlab.formats import ALL, BF16, FP6_E2M3, FP8_E4M3


def to_bf16(x):
    whole = x.view(np.uint32)
    return (whole + 0x7FFF + ((whole >> 16) & 1) >> 16 << 16).view(np.float32)


def half_up(x):
    return (x.view(np.uint32) + 0x8000 >> 16 << 16).view(np.float32)


def mxfp6(x, lower=2, block=32):
    blocks = x.reshape(-1, block)
    scale = 2.0 ** (np.floor(np.log2(np.abs(blocks).max(axis=1, keepdims=True))) - lower)
    return (FP6_E2M3.round(blocks / scale) * scale).reshape(x.shape)


@pytest.mark.parametrize(
    ("id", "answer"),
    [
        ("3.1", 240),
        ("3.1", 2**7 * (1 + 7 / 8)),
        ("3.2", to_bf16),
        ("3.2", lambda x: BF16.round(x).astype(np.float32)),
        ("3.3", 16),
        ("3.4", mxfp6),
    ],
)
def test_a_right_answer_is_right(id, answer):
    assert verdict(id, answer).state == "right"


@pytest.mark.parametrize("id", ["3.1", "3.2", "3.3", "3.4"])
def test_the_dots_are_unanswered(id):
    assert verdict(id, ...).state == "unanswered"
    if id in ("3.2", "3.4"):
        assert verdict(id, lambda x: ...).state == "unanswered"


@pytest.mark.parametrize(
    ("id", "answer", "advice"),
    [
        ("3.1", 448, "as it is"),
        ("3.1", 480, "infinity or NaN"),
        ("3.1", 1, "1 + 7/8"),
        ("3.2", lambda x: (x.view(np.uint32) >> 16 << 16).view(np.float32), "cuts off"),
        ("3.2", half_up, "take the even one"),
        ("3.3", 8, "the gap is 1"),
        ("3.3", 2048, "10 mantissa bits"),
        ("3.4", lambda x: mxfp6(x, lower=3), "floor(log2(largest)) - 2"),
        ("3.4", lambda x: mxfp6(x, block=x.size), "one scale for 32 numbers"),
        ("3.4", lambda x: mxfp6(x).ravel(), "the shape"),
    ],
)
def test_a_wrong_answer_says_what_to_look_at(id, answer, advice):
    said = verdict(id, answer)
    assert said.state == "wrong"
    assert advice in " ".join(said.text.split())


@pytest.mark.parametrize("f", ALL.values(), ids=lambda f: f.name)
def test_a_sum_of_ones_stops_where_exercise_3_3_says(f):
    stop = 2.0 ** (f.mantissa_bits + 1)
    if f.max > stop:  # FP6_E2M3 and FP4 saturate before
        assert f.round(stop + 1) == stop
        assert f.round(stop - 1 + 1) == stop


def test_mxfp6_takes_the_bits_that_exercise_3_4_says():
    assert memory.bits_per_weight("mxfp6") == 6.25
    assert FP8_E4M3.max == 448
