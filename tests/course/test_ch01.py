"""Exercises of notebook 01."""

import numpy as np

from quantlab import binary


def read_signed(bits):
    value = int(bits, 2)
    return value - 2 ** len(bits) if bits[0] == "1" else value


def unpack(byte):
    high, low = byte // 16, byte % 16
    return high - 16 * (high > 7), low - 16 * (low > 7)


def by_twos_complement(bits):
    """All other bits count as always; the first one takes its place's value off."""
    return int(bits[1:] or "0", 2) - int(bits[0]) * 2 ** (len(bits) - 1)


def unpack_as_text(byte):
    bits = f"{byte:08b}"
    return [by_twos_complement(bits[:4]), by_twos_complement(bits[4:])]


RIGHT = {
    "1.1": ["1100100", " 1100100 ", f"{100:b}", binary.to_bits(100, 7, signed=False)],
    "1.2": [read_signed, binary.from_bits, by_twos_complement],
    "1.3": [-126, -126.0, np.int8(-126), 120 + 10 - 256],
    "1.4": [unpack, unpack_as_text, lambda byte: np.array(unpack(byte))],
}

WRONG = [
    ("1.1", "0010011", "read upwards"),
    ("1.1", "01100100", "sign"),
    ("1.1", "1100101", "64, 32, 16"),
    ("1.1", 1100100, "between quotes"),
    ("1.1", 0b1100100, "between quotes"),
    ("1.1", bin(100), "without the 0b"),
    ("1.1", 100, "between quotes"),
    ("1.2", lambda bits: int(bits, 2), "negative"),
    ("1.2", lambda bits: int(bits[1:], 2), "first place"),
    ("1.2", lambda bits: -int(bits[1:], 2) if bits[0] == "1" else int(bits, 2), "first place"),
    ("1.2", lambda bits: read_signed(bits.zfill(8)), "count negative?"),
    ("1.3", 130, "largest is 127"),
    ("1.3", 127, "saturation"),
    ("1.3", -125, "one step past 127"),
    ("1.3", 126, "take 256 off"),
    ("1.3", "-126", "leave the quotes away"),
    ("1.4", lambda byte: (byte // 16, byte % 16), "sign of its own"),
    ("1.4", lambda byte: unpack(byte)[::-1], "comes first"),
    ("1.4", lambda byte: (byte // 16 - 8, byte % 16 - 8), "take 16 off"),
    ("1.4", lambda byte: f"{byte:08b}", "leave the quotes away"),
    (
        "1.4",
        lambda byte: (unpack(byte)[0], byte % 16 - 16 * (byte % 16 > 8)),
        "from 8 on it is negative",
    ),
]
