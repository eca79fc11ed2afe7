"""The exercises of notebook 08 accept what is right and name the usual mistakes."""

from fractions import Fraction
from statistics import NormalDist

import numpy as np

import quantlab as ql
from quantlab.course import verdict
from quantlab.course.exercises import ch08


def half(steps, top):
    return np.array([NormalDist().inv_cdf(p) for p in np.linspace(top, 0.5, steps + 1)[:-1]])


def right_nf3(top):
    places = np.concatenate([-half(3, top), [0], half(4, top)[::-1]])
    return places / places.max()


def mirrored_nf3(top):
    return -right_nf3(top)[::-1]


def not_divided(top):
    return np.concatenate([-half(3, top), [0], half(4, top)[::-1]])


def descending(top):
    return right_nf3(top)[::-1]


def symmetric(top):
    return np.linspace(-1, 1, 8)


def with_the_notebooks_top(top):
    """What one_side of section 3 gives: its `top` is the notebook's."""
    return right_nf3(0.9677083)


def always_the_same(top):
    return right_nf3(ch08._TOP)


def right_dequantize(packed, absmax, table, block_size):
    codes = np.stack([packed >> 4, packed & 15], axis=1).ravel()
    return table[codes] * np.repeat(absmax, block_size)


def swapped(packed, absmax, table, block_size):
    codes = np.stack([packed & 15, packed >> 4], axis=1).ravel()
    return table[codes] * np.repeat(absmax, block_size)


def wrong_blocks(packed, absmax, table, block_size):
    codes = np.stack([packed >> 4, packed & 15], axis=1).ravel()
    return table[codes] * np.resize(absmax, len(codes))


def only_nf4(packed, absmax, table, block_size):
    return right_dequantize(packed, absmax, ql.NF4.values, block_size)


def in_float32(top):
    def half(steps):
        shares = np.linspace(top, 0.5, steps + 1, dtype=np.float32)[:-1]
        return np.array([NormalDist().inv_cdf(float(p)) for p in shares])

    places = np.concatenate([-half(3), [0], half(4)[::-1]])
    return (places / places.max()).astype(np.float32)


def in_float64(packed, absmax, table, block_size):
    return right_dequantize(packed, absmax.astype(float), table.astype(float), block_size)


def one_by_one(packed, absmax, table, block_size):
    codes = [half for byte in packed.tolist() for half in divmod(byte, 16)]
    return [float(table[c]) * float(absmax[i // block_size]) for i, c in enumerate(codes)]


def first_scale_alone(packed, absmax, table, block_size):
    return right_dequantize(packed, np.full_like(absmax, absmax[0]), table, block_size)


RIGHT = {
    "8.1": [[5.0, 4 + 8 / 32 + 32 / (32 * 256)], (5, 4.254), [Fraction(5), Fraction(4356, 1024)]],
    "8.2": [
        [0.322, 1.125],
        [0.161 * 2, 0.563 * 2],  # the table's values to three decimals
        list(ch08._WEIGHTS),
        ql.NF4.values[[9, 13]].astype(float) * 2,
    ],
    "8.3": [right_nf3, in_float32, lambda top: right_nf3(top).tolist()],
    "8.4": [right_dequantize, in_float64, one_by_one],
}

WRONG = [
    ("8.1", [4.25390625, 5.0], "without double quantization first"),
    ("8.1", [4.5, 4.126953125], "blocks of 64"),
    ("8.1", [4.25, 4.25390625], "32 bits, not 8"),
    ("8.1", [5.0, 4.25], "scales as well"),
    ("8.1", [5.0, 4.375], "shared by 256 blocks"),
    ("8.1", [4, 4], "of what the scale of the block takes"),
    ("8.1", 5.0, "the shape"),
    ("8.2", [1.125, 0.322], "in the high half"),
    ("8.2", [0.1609, 0.5626], "times the absmax"),
    ("8.2", [9, 13], "these are the codes"),
    ("8.2", ql.FP4.values[[9, 13]] * 2, "FP4's table"),
    ("8.2", [0.32, 1.12], "times absmax the weights"),  # two decimals are too few
    ("8.3", mirrored_nf3, "not the reverse"),
    ("8.3", not_divided, "ends at 1"),
    ("8.3", descending, "ascending order"),
    ("8.3", with_the_notebooks_top, "reads the notebook's top"),
    ("8.3", symmetric, "shares in equal steps"),
    ("8.3", always_the_same, "shares in equal steps"),
    ("8.4", swapped, "in its high half"),
    ("8.4", wrong_blocks, "block_size values in a row"),
    ("8.4", first_scale_alone, "the scale of the block"),
    ("8.4", only_nf4, "look the codes up in the table"),
    ("8.4", lambda packed, absmax, table, block_size: packed, "the shape"),
]


def test_a_swapped_byte_shows_in_a_single_block_already():
    assert "one block of 4 weights" in verdict("8.4", swapped).text


def test_nf4_is_built_by_the_same_rule_as_the_checked_table():
    top = 1 - (1 / 32 + 1 / 30) / 2  # NF4's 0.9677083: shares rounded to seven digits
    assert np.allclose(ch08._normal_values(7, 8, top), ql.NF4.values, rtol=0, atol=1e-6)
