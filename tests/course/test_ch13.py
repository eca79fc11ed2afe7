"""The exercises of notebook 13 accept what is right and name the usual mistakes."""

import math
from fractions import Fraction

import numpy as np

import quantlab as ql
from quantlab.course import verdict


def by_logarithm(amax, largest):
    return 2.0 ** np.ceil(np.log2(np.asarray(amax) / largest))


def by_frexp(amax, largest):
    mantissa, exponent = np.frexp(np.asarray(amax) / largest)
    return np.ldexp(1.0, exponent - (mantissa == 0.5))


def one_by_one(amax, largest):
    found = []
    for number in amax:
        power = 2.0**-60
        while number > largest * power:
            power *= 2
        found.append(power)
    return found


def floor(amax, largest):
    return 2.0 ** (np.floor(np.log2(amax)) - np.floor(np.log2(largest)))


def ceil(amax, largest):
    return 2.0 ** (np.ceil(np.log2(amax)) - np.floor(np.log2(largest)))


def rounded_down(amax, largest):
    return 2.0 ** np.floor(np.log2(amax / largest))


def always_6(amax, largest):
    return by_logarithm(amax, 6.0)


def product(x, x_scales, w, w_scales, size):
    sums = (x * w).reshape(-1, size).sum(axis=1)
    return sums @ (x_scales * w_scales)


def product_of_values(x, x_scales, w, w_scales, size):
    return (x * np.repeat(x_scales, size)) @ (w * np.repeat(w_scales, size))


def product_by_quantlab(x, x_scales, w, w_scales, size):
    form = ql.scaled.ScaledFormat("", ql.formats.FP4_E2M1, size, ql.formats.E8M0)
    encode = ql.formats.FP4_E2M1.encode
    parts = ((x[None], x_scales[None], -1), (w[:, None], w_scales[:, None], 0))
    a, b = (
        ql.scaled.Scaled(encode(v), ql.formats.E8M0.encode(s), np.float32(1), form, axis)
        for v, s, axis in parts
    )
    return float(ql.scaled.scaled_matmul(a, b)[0, 0])


def mean_scales(x, x_scales, w, w_scales, size):
    return x @ w * x_scales.mean() * w_scales.mean()


def no_scales(x, x_scales, w, w_scales, size):
    return x @ w


def only_x(x, x_scales, w, w_scales, size):
    return (x * np.repeat(x_scales, size)) @ w


def added(x, x_scales, w, w_scales, size):
    return (x * w).reshape(-1, size).sum(axis=1) @ (x_scales + w_scales)


RIGHT = {
    "13.1": [[0.375, -1.0], (1.5 / 4, -4 / 4), [Fraction(3, 8), -1]],
    "13.2": [[1, 2, 2, 2], (1.0, 2.0, 2.0, 2.0), np.array([1, 2, 2, 2])],
    "13.3": [by_logarithm, by_frexp, one_by_one],
    "13.4": [[4.5, 6.25, 8.0078125], (4.5, 6.25, 8.008), [Fraction(9, 2), 6.25, 8 + 1 / 128]],
    "13.5": [product, product_of_values, product_by_quantlab],
}

WRONG = [
    ("13.1", [-1.0, 0.375], "in the lower half"),
    ("13.1", [1.5, -4], "times the scale"),
    ("13.1", [3, 14], "these are the codes"),
    ("13.1", [0.375, 1.0], "is its sign"),
    ("13.1", [0.75, -2.0], "bias is 127"),
    ("13.1", 0.375, "the shape"),
    ("13.2", [4, 8, 8, 8], "over 4"),
    ("13.2", [0, 1, 1, 1], "these are the exponents"),
    ("13.2", [127, 128, 128, 128], "these are the bytes"),
    ("13.2", [1, 2, 1, 2], "nearer to 2"),
    ("13.2", [1, 2, 2, 1], "above 6"),
    ("13.2", [1, 2, 2, 1.2], "the next power of two"),
    ("13.2", [2, 2, 2, 2], "floor and ceil take 4 or 8"),
    ("13.3", floor, "that is floor"),
    ("13.3", ceil, "that is ceil"),
    ("13.3", rounded_down, "round the logarithm up"),
    ("13.3", always_6, "gets the largest number"),
    ("13.3", lambda amax, largest: 2.0 ** math.ceil(math.log2(amax / largest)), "amax is an array"),
    ("13.3", lambda amax, largest: np.log2(by_logarithm(amax, largest)), "that is the exponent"),
    ("13.3", lambda amax, largest: amax / largest, "rounded up, as an exponent"),
    ("13.4", [4.25, 6.25, 8.0078125], "blocks of 16"),
    ("13.4", [4.5, 6.25, 8.5], "4,096 values"),
    ("13.4", [4, 6, 8], "the scales are missing"),
    ("13.4", [0.5, 0.25, 0.0078125], "the scales alone"),
    ("13.4", [4.5, 6.25, 8.001953125], "32 bits"),
    ("13.5", mean_scales, "has its own scales"),
    ("13.5", no_scales, "the scales are missing"),
    ("13.5", only_x, "W's scales"),
    ("13.5", added, "don't add them"),
    ("13.5", lambda *parts: parts[0], "the shape"),
]


def test_the_right_bytes_are_those_of_quantlab():
    packed = np.array([0xE3] + [0] * 15, np.uint8)
    assert ql.scaled.from_bytes(packed, [125], "MXFP4").dequantize()[:2].tolist() == [0.375, -1.0]
    assert verdict("13.1", [0.375, -1.0]).state == "right"


def test_the_right_scales_are_those_of_quantlab():
    x = [7.2] + 31 * [0.0]
    found = [ql.scaled.quantize(x, "MXFP4", rule=r).scales.item() for r in ql.scaled.RULES[:4]]
    assert verdict("13.2", found).state == "right"
