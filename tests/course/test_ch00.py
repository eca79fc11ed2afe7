"""Exercises of notebook 00: right answers pass, and each known mistake gets its own advice."""

from fractions import Fraction

from quantlab import course, memory


def _to_gib(size):
    return size / 2**30


def _bits(bits, block_size, scale_bits):
    return bits + scale_bits / block_size


def _largest(device_bytes, bits, headroom):
    return device_bytes * (1 - headroom) / bits * 8


def _whole_weights(device_bytes, bits, headroom):
    return int(_largest(device_bytes, bits, headroom))


def _exact(device_bytes, bits, headroom):
    return Fraction(device_bytes) * 8 * (1 - Fraction(str(headroom))) / Fraction(bits)


RIGHT = {
    "0.1": [14, 14.0, Fraction(14), 7e9 * 2 / 1e9],
    "0.2": [_to_gib, lambda size: size / memory.GiB, lambda size: Fraction(size) / 2**30],
    "0.3": [
        _bits,
        lambda bits, block_size, scale_bits: (bits * block_size + scale_bits) / block_size,
        lambda bits, block_size, scale_bits: bits + Fraction(scale_bits, block_size),
    ],
    "0.4": [_largest, _whole_weights, _exact],
    "0.5": [2 * 80 * 8 * 128 * 8192 * 2 / 1e9, 2.684354560, 2.7, 2.68],
}

WRONG = [
    ("0.1", 14e9 / 2**30, "this is in GiB"),
    ("0.1", 112, "billions of bits"),
    ("0.1", 14e9, "these are bytes"),
    ("0.1", 28, "FP32"),
    ("0.1", 14_000, "these are MB"),
    ("0.1", 13.04, "this is in GiB"),
    ("0.1", 7, "1 byte per weight"),
    ("0.1", 56, "8 bytes per weight"),
    ("0.1", 3.5, "4 bits per weight"),
    ("0.1", 13.5, "parameters × bytes per parameter"),
    ("0.1", "14", "leave the quotes away"),
    ("0.2", lambda size: size / 1e9, "10⁹ bytes each"),
    ("0.2", lambda size: size / 2**20, "in MiB"),
    ("0.2", lambda size: size * 2**30, "divide"),
    ("0.2", lambda size: size / (2 ^ 30), "no power"),
    ("0.2", lambda size: size * 8 / 2**30, "that is bits"),
    ("0.2", lambda size: size // 2**30, "fraction"),
    ("0.2", lambda size: print(size / 2**30), "`return` it"),
    ("0.3", lambda bits, block_size, scale_bits: bits + 32 / block_size, "not always 32"),
    ("0.3", lambda bits, block_size, scale_bits: bits + scale_bits, "shared by the whole block"),
    ("0.3", lambda bits, block_size, scale_bits: bits, "shared by the whole block"),
    ("0.3", lambda bits, block_size, scale_bits: bits * block_size + scale_bits, "whole block"),
    ("0.3", lambda bits, block_size, scale_bits: scale_bits / block_size, "come on top"),
    ("0.3", lambda bits, block_size, scale_bits: bits + block_size / scale_bits, "by its size"),
    (
        "0.3",
        lambda bits, block_size, scale_bits: round(_bits(bits, block_size, scale_bits), 1),
        "round",
    ),
    ("0.4", lambda device, bits, headroom: device * (1 - headroom) / 8 / bits, "multiply by 8"),
    ("0.4", lambda device, bits, headroom: device * (1 - headroom) / 2, "bits is an argument"),
    ("0.4", lambda device, bits, headroom: device * 8 / bits, "1 - headroom"),
    ("0.4", lambda device, bits, headroom: device * (1 - headroom) * 8 // int(bits), "fraction"),
    ("0.4", lambda device, bits, headroom: device / bits, "8 bits each"),
    ("0.4", lambda device, bits, headroom: device * headroom * 8 / bits, "how many weights"),
    ("0.4", lambda device, bits, headroom: device * (1 - headroom) * bits / 8, "divide"),
    ("0.4", lambda device, bits, headroom: device * (1 - headroom) * 8 / bits / 1e9, "billions"),
    ("0.5", 2 * 80 * 64 * 128 * 8192 * 2 / 1e9, "count 8"),
    ("0.5", 80 * 8 * 128 * 8192 * 2 / 1e9, "two lists"),
    ("0.5", 2 * 80 * 8 * 128 * 8192 * 4 / 1e9, "a 2 too many"),
    ("0.5", 2 * 80 * 128 * 8192 * 2 / 1e9, "not one"),
    ("0.5", 2 * 80 * 8 * 128 * 8192 * 2 / 1e6, "these are MB"),
    ("0.5", 20, "count 8"),
    ("0.5", 2 * 80 * 8 * 128 * 8192 * 2, "these are bytes"),
    ("0.5", 2 * 80 * 8 * 128 * 2 / 1e9, "is it one token's"),
    ("0.5", 21.5, "count 8"),
    ("0.5", 2.5, "this is in GiB"),
    ("0.5", 2.6, "in GB"),
]


def test_what_an_answer_raises_is_shown_and_not_raised():
    verdict = course.verdict("0.4", lambda device_bytes: 0)
    assert verdict.state == "wrong"
    assert "TypeError" in verdict.text
