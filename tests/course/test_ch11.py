"""The exercises of notebook 11 accept what is right and name the usual mistakes."""

import struct
from fractions import Fraction

import numpy as np

import quantlab as ql


def q8_0(block):
    d = np.abs(block).max() / 127
    return np.float16(d).tobytes() + np.rint(block * (1 / d)).astype(np.int8).tobytes()


def q8_0_one_by_one(block):
    d = max(abs(float(x)) for x in block) / 127
    return struct.pack("<e32b", d, *(round(float(x) / d) for x in block))


def codes_first(block):
    return q8_0(block)[2:] + q8_0(block)[:2]


def cut_off(block):
    d = np.abs(block).max() / 127
    return np.float16(d).tobytes() + (block / d).astype(np.int8).tobytes()


def scale_in_32_bits(block):
    d = np.abs(block).max() / 127
    return d.tobytes() + np.rint(block / d).astype(np.int8).tobytes()


def by_128(block):
    d = np.abs(block).max() / 128
    return np.float16(d).tobytes() + np.rint(block / d).clip(-128, 127).astype(np.int8).tobytes()


def fit(weights, codes, importance):
    return np.polyfit(codes, weights, 1, w=np.sqrt(importance))


def fit_by_hand(weights, codes, importance):
    """Two equations in two unknowns."""
    w = importance / importance.sum()
    mean_x, mean_q = w @ weights, w @ codes
    scale = w @ ((codes - mean_q) * (weights - mean_x)) / (w @ (codes - mean_q) ** 2)
    return [scale, mean_x - scale * mean_q]


def fit_by_lstsq(weights, codes, importance):
    root = np.sqrt(importance)
    columns = np.stack([codes, np.ones_like(codes)], axis=1)
    return tuple(np.linalg.lstsq(columns * root[:, None], weights * root, rcond=None)[0])


def unweighted(weights, codes, importance):
    return np.polyfit(codes, weights, 1)


def weighted_twice(weights, codes, importance):
    return np.polyfit(codes, weights, 1, w=importance)


RIGHT = {
    "11.1": [[176, 5.5], (176, Fraction(11, 2)), np.array([176, 5.5])],
    "11.2": [[1.5, 0, -1.25, 16], (1.5, 0, -1.25, 16), np.array([1.5, 0, -1.25, 16])],
    "11.3": [q8_0, q8_0_one_by_one, lambda block: bytearray(q8_0(block)),
             lambda block: ql.gguf.encode(block, "Q8_0").tobytes(),
             lambda block: np.frombuffer(q8_0(block), np.int8)],
    "11.4": [fit, fit_by_hand, fit_by_lstsq],
}  # fmt: skip

WRONG = [
    ("11.1", [160, 5.0], "scales and minimums come on top"),
    ("11.1", [5.5, 176], "the bytes first"),
    ("11.1", [400, 12.5], "256 bits are not 256 bytes"),
    ("11.1", [176, 0.6875], "a byte has 8 bits"),
    ("11.1", 176, "the shape"),
    ("11.1", [144, 4.5], "one bit more for each"),
    ("11.2", [-1.25, 0, 1.5, 16], "holds the earlier weight"),
    ("11.2", [1.5, 0, -1.25, 1], "upper halves hold weights 16 to 31"),
    ("11.2", [3.5, 0, 0.75, 16], "8 is taken off"),
    ("11.2", [14, 0, 3, 16], "these are the codes"),
    ("11.2", [6, 0, -5, 16], "times the scale"),
    ("11.2", [1.5, -1.25], "the shape"),
    ("11.3", codes_first, "the scale comes first"),
    ("11.3", cut_off, "do not cut them off"),
    ("11.3", scale_in_32_bits, "stored in FP16"),
    ("11.3", by_128, "127 steps away"),
    ("11.3", lambda block: q8_0(block)[2:], "the shape"),
    ("11.3", lambda block: block, "two bytes of FP16"),
    ("11.3", b"", "by its name"),
    ("11.4", lambda *args: fit(*args)[::-1], "the scale first"),
    ("11.4", lambda *args: fit(*args) * [1, -1], "with its sign"),
    ("11.4", unweighted, "has to count"),
    ("11.4", weighted_twice, "before they are squared"),
    ("11.4", lambda weights, codes, importance: fit(codes, weights, importance), "codes go along"),
    ("11.4", lambda weights, codes, importance: 1 / 0, "ZeroDivisionError"),
]


def test_the_bytes_of_exercise_3_are_34():
    assert len(q8_0(np.linspace(-1, 1, 32, dtype=np.float32))) == 34
