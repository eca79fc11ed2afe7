"""Exercises of notebook 00: right answers pass, and each known mistake gets its own advice."""

import pytest

from quantlab import course, memory


def _verdict(id, answer):
    return course.verdict(id, answer)


def _to_gib(size):
    return size / 2**30


def _bits(bits, block_size, scale_bits):
    return bits + scale_bits / block_size


def _largest(device_bytes, bits, headroom):
    return device_bytes * (1 - headroom) / bits * 8


RIGHT = [
    ("0.1", 14),
    ("0.1", 14.0),
    ("0.2", _to_gib),
    ("0.2", lambda size: size / memory.GiB),
    ("0.3", _bits),
    ("0.3", lambda bits, block_size, scale_bits: (bits * block_size + scale_bits) / block_size),
    ("0.4", _largest),
    ("0.5", 2 * 80 * 8 * 128 * 8192 * 2 / 1e9),
    ("0.5", 2.684354560),
]


@pytest.mark.parametrize(("id", "answer"), RIGHT)
def test_a_right_answer_passes_however_it_is_computed(id, answer):
    assert _verdict(id, answer).state == "right"


@pytest.mark.parametrize("id", ["0.1", "0.5"])
def test_dots_are_no_answer(id):
    assert _verdict(id, ...).state == "unanswered"


@pytest.mark.parametrize("id", ["0.2", "0.3", "0.4"])
def test_a_function_that_returns_dots_is_no_answer(id):
    assert _verdict(id, lambda *_: ...).state == "unanswered"


WRONG = [
    ("0.1", 14e9 / 2**30, "this is in GiB"),
    ("0.1", 112, "billions of bits"),
    ("0.1", 14e9, "these are bytes"),
    ("0.1", 28, "FP32"),
    ("0.1", 13, "parameters × bytes per parameter"),
    ("0.2", lambda size: size / 1e9, "10⁹ bytes each"),
    ("0.2", lambda size: size // 2**30, "fraction"),
    ("0.3", lambda bits, block_size, scale_bits: bits + 32 / block_size, "not always 32"),
    ("0.3", lambda bits, block_size, scale_bits: bits + scale_bits, "shared by the whole block"),
    ("0.4", lambda device, bits, headroom: device * 8 / bits, "1 - headroom"),
    ("0.4", lambda device, bits, headroom: device * (1 - headroom) * 8 // int(bits), "fraction"),
    ("0.4", lambda device, bits, headroom: device / bits, "how many weights"),
    ("0.5", 2 * 80 * 64 * 128 * 8192 * 2 / 1e9, "count 8"),
    ("0.5", 80 * 8 * 128 * 8192 * 2 / 1e9, "two lists"),
    ("0.5", 2 * 80 * 8 * 128 * 8192 * 2, "these are bytes"),
    ("0.5", 2 * 80 * 8 * 128 * 2 / 1e9, "that is one token"),
]


@pytest.mark.parametrize(("id", "answer", "advice"), WRONG)
def test_a_wrong_answer_is_told_where_to_look(id, answer, advice):
    verdict = _verdict(id, answer)
    assert verdict.state == "wrong"
    assert advice in " ".join(verdict.text.split())


def test_what_an_answer_raises_is_shown_and_not_raised():
    verdict = _verdict("0.4", lambda device_bytes: 0)
    assert verdict.state == "wrong"
    assert "TypeError" in verdict.text
