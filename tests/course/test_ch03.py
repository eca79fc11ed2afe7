"""Exercises of notebook 03."""

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from quantlab import memory
from quantlab.formats import ALL, BF16, FP6_E2M3, FP8_E4M3, FP16


def to_bf16(x):
    whole = x.view(np.uint32)
    return (whole + 0x7FFF + ((whole >> 16) & 1) >> 16 << 16).view(np.float32)


def half_up(x):
    return (x.view(np.uint32) + 0x8000 >> 16 << 16).view(np.float32)


def mxfp6(x, lower=2, block=32):
    blocks = x.reshape(-1, block)
    scale = 2.0 ** (np.floor(np.log2(np.abs(blocks).max(axis=1, keepdims=True))) - lower)
    return (FP6_E2M3.round(blocks / scale) * scale).reshape(x.shape)


def half_down(x):
    return (x.view(np.uint32) + 0x7FFF >> 16 << 16).view(np.float32)


def one_by_one(x):
    return [float(ml_dtypes.bfloat16(value)) for value in x.tolist()]


def block_by_block(x):
    out = x.copy().reshape(-1, 32)
    for block in out:
        scale = 2.0 ** (math.floor(math.log2(max(abs(block)))) - 2)
        block[:] = FP6_E2M3.round(block / scale) * scale
    return out.reshape(x.shape)


def by_ml_dtypes(x):
    scale = mxfp6_scale(x)
    return (x / scale).astype(ml_dtypes.float6_e2m3fn).astype(float) * scale


def mxfp6_scale(x):
    largest = np.abs(x.reshape(-1, 32)).max(axis=1)
    return np.repeat(2.0 ** (np.floor(np.log2(largest)) - 2), 32).reshape(x.shape)


RIGHT = {
    "3.1": [240, 2**7 * (1 + 7 / 8), ml_dtypes.float8_e4m3(240), Fraction(15, 8) * 128],
    "3.2": [
        to_bf16,
        lambda x: BF16.round(x).astype(np.float32),
        lambda x: x.astype(ml_dtypes.bfloat16),
        one_by_one,
    ],
    "3.3": [16, 16.0, 2**4, ml_dtypes.float8_e4m3fn(16)],
    "3.4": [mxfp6, block_by_block, by_ml_dtypes],
}

WRONG = [
    ("3.1", 448, "as it is"),
    ("3.1", 480, "infinity or NaN"),
    ("3.1", 120, "less the bias"),
    ("3.1", 1, "1 + 7/8"),
    ("3.2", lambda x: (x.view(np.uint32) >> 16 << 16).view(np.float32), "cuts off"),
    ("3.2", half_up, "takes the upper one"),
    ("3.2", half_down, "takes the lower one"),
    ("3.2", lambda x: to_bf16(x).view(np.uint32), ".view(np.float32) at last"),
    ("3.2", lambda x: to_bf16(x).view(np.uint32) >> 16, "upper half alone"),
    ("3.2", FP16.round, "that is FP16"),
    ("3.3", 8, "the gap is 1"),
    ("3.3", 2048, "10 mantissa bits"),
    ("3.3", 448, "stops long before"),
    ("3.3", 17, "halfway"),
    ("3.4", lambda x: mxfp6(x, lower=3), "the top of E2M3"),
    ("3.4", lambda x: mxfp6(x, block=x.size), "every 32 numbers have their own"),
    ("3.4", lambda x: mxfp6(x).ravel(), "give them x's shape"),
    ("3.4", lambda x: mxfp6(x, block=x.shape[1]), "every 32 numbers have their own"),
    ("3.4", lambda x: mxfp6(x) / mxfp6_scale(x), "multiply by them again"),
    ("3.4", lambda x: x, "one scale for 32 numbers"),
]


@pytest.mark.parametrize("f", ALL.values(), ids=lambda f: f.name)
def test_a_sum_of_ones_stops_where_exercise_3_3_says(f):
    stop = 2.0 ** (f.mantissa_bits + 1)
    if f.max > stop:  # E2M3 ends at 7.5, before its 16
        assert f.round(stop + 1) == stop
        assert f.round(stop - 1 + 1) == stop


def test_mxfp6_takes_the_bits_that_exercise_3_4_says():
    assert memory.bits_per_weight("mxfp6") == 6.25
    assert FP8_E4M3.max == 448
