"""Exercises of notebook 01."""

import pytest

from quantlab import binary
from quantlab.course import verdict


def state(id, answer):
    return verdict(id, answer).state


def read_signed(bits):
    value = int(bits, 2)
    return value - 2 ** len(bits) if bits[0] == "1" else value


def unpack(byte):
    high, low = byte // 16, byte % 16
    return high - 16 * (high > 7), low - 16 * (low > 7)


@pytest.mark.parametrize(
    ("id", "answer"),
    [
        ("1.1", "1100100"),
        ("1.2", read_signed),
        ("1.2", binary.from_bits),
        ("1.3", -126),
        ("1.4", unpack),
    ],
)
def test_a_right_answer_is_right(id, answer):
    assert state(id, answer) == "right"


@pytest.mark.parametrize("id", ["1.1", "1.2", "1.3", "1.4"])
def test_the_dots_are_unanswered(id):
    assert state(id, ...) == "unanswered"
    if id in ("1.2", "1.4"):
        assert state(id, lambda x: ...) == "unanswered"


@pytest.mark.parametrize(
    ("id", "answer", "advice"),
    [
        ("1.1", "0010011", "read upwards"),
        ("1.1", "01100100", "sign"),
        ("1.1", "1100101", "64, 32, 16"),
        ("1.2", lambda bits: int(bits, 2), "negative"),
        ("1.2", lambda bits: int(bits[1:], 2), "first place"),
        ("1.3", 130, "largest is 127"),
        ("1.3", 127, "saturation"),
        ("1.3", 0, "take 256 off"),
        ("1.4", lambda byte: (byte // 16, byte % 16), "sign of its own"),
        ("1.4", lambda byte: unpack(byte)[::-1], "comes first"),
    ],
)
def test_a_wrong_answer_says_what_to_look_at(id, answer, advice):
    said = verdict(id, answer)
    assert said.state == "wrong"
    assert advice in " ".join(said.text.split())
