"""Exercises of notebook 11: a super-block's size, a byte by hand, Q8_0, a weighted fit."""

import numpy as np

from quantlab import gguf
from quantlab.course.checking import Case, function, value
from quantlab.course.exercise import Exercise

_SCALE, _CODES = 0.25, (14, 3)  # the bytes 00 34 3e
_FIRST, _SECOND = (_SCALE * (code - 8) for code in _CODES)


def _q8_0_case(block, about, mistakes=True):
    """A case of exercise 11.3, with the bytes that known slips give."""
    x = np.asarray(block, np.float32)
    d = np.abs(x).max() / np.float32(127)
    half = np.float16(d)
    codes, larger = np.rint(x * (1 / d)).astype(np.int8), np.abs(x).max() / 128

    def stored(scale, codes):
        return np.concatenate([np.atleast_1d(scale).view(np.uint8), codes.view(np.uint8)])

    slips = (
        (stored(half, codes)[np.r_[2:34, 0:2]], "the scale comes first, then the codes."),
        (stored(half, np.trunc(x / d).astype(np.int8)), "round the codes; do not cut them off."),
        (stored(np.float32(d), codes), "the scale is stored in FP16, two bytes."),
        (
            stored(np.float16(larger), np.clip(np.rint(x / larger), -128, 127).astype(np.int8)),
            "the largest magnitude is 127 steps away, not 128.",
        ),
        (
            stored(
                np.float16(x.max() / 127), np.rint(x / (x.max() / 127)).astype(int).astype(np.int8)
            ),
            "the largest magnitude can be that of a negative weight.",
        ),
        (
            stored(half, np.rint(x / np.float32(half)).astype(np.int8)),
            "codes are counted with the scale before it is rounded to FP16.",
        ),
    )
    peak = x[np.abs(x).argmax()] / 127
    slips += (
        (stored(np.float16(peak), np.rint(x / peak).astype(np.int8)), "d has no sign: codes have."),
        (
            stored(half, (x / d + np.float32(0.5)).astype(np.int8)),
            "cutting goes towards 0, so below 0 that rounds the wrong way: np.rint.",
        ),
        (
            stored(half, (codes.astype(int) + 128).astype(np.uint8)),
            "these codes have a sign: nothing is added to them.",
        ),
    )
    right = gguf.encode(x, "Q8_0")
    slips = tuple((list(slip), advice) for slip, advice in slips)
    return Case((x,), right, about, mistakes=slips if mistakes else ())


def _bytes_check(check):
    """Take bytes as the numbers that they are: what is compared are numbers."""

    def checked(answer):
        if not callable(answer):
            return check(answer)

        def as_numbers(*args):
            found = answer(*args)
            if isinstance(found, bytes | bytearray):
                return np.frombuffer(found, np.uint8)
            signed = isinstance(found, np.ndarray) and found.dtype == np.int8
            return found.view(np.uint8) if signed else found

        return check(as_numbers)

    return checked


def _fit(weights, codes, importance):
    return np.polyfit(codes, weights, 1, w=np.sqrt(importance))


def _fit_case(weights, codes, importance, about):
    """A case of exercise 11.4: right by least squares, wrong as np.polyfit misleads."""
    weights, codes, importance = (np.array(a, float) for a in (weights, codes, importance))
    right = _fit(weights, codes, importance)
    mistakes = (
        (right[::-1], "the scale first, then the minimum."),
        ((right[0], -right[1]), "the minimum is where the line starts, with its sign."),
        (np.polyfit(codes, weights, 1), "the importance has to count."),
        (
            np.polyfit(codes, weights, 1, w=importance),
            "polyfit's w multiplies errors before they are squared: the importance is of squares.",
        ),
        (
            np.polyfit(weights, codes, 1, w=np.sqrt(importance)),
            "codes go along, weights upwards: polyfit(codes, weights, ...).",
        ),
    )
    # Least squares two ways: a millionth leaves room for how they add up.
    within = 1e-6 * float(np.abs(right).max())
    return Case((weights, codes, importance), right, about, within, "rounding", mistakes=mistakes)


def _fits():
    rng = np.random.default_rng(11)
    x, importance = rng.normal(size=32), rng.exponential(size=32)
    codes = np.rint((x - x.min()) / (x.max() - x.min()) * 15)
    return (
        _fit_case([0, 1, 2.5], [0, 1, 2], [1, 1, 4], "three weights, the last counts four times"),
        _fit_case(x, codes, importance, "a block of 32 weights"),
    )


EXERCISES = {
    "11.1": Exercise(
        hint="a super-block of Q4_K has 144 bytes. What do 256 more bits add?",
        check=value(
            [176, 5.5],
            about="[bytes of a super-block of Q5_K, bits per weight]",
            look_at="144 bytes, and one bit more for each of 256 weights.",
            mistakes=(
                ([160, 5.0], "codes alone: the scales and minimums come on top."),
                ([5.5, 176], "the bytes first, then the bits per weight."),
                ([400, 12.5], "256 bits are not 256 bytes."),
                ([1408, 5.5], "these are bits; a byte has 8."),
                ([176, 0.6875], "that is bytes per weight; a byte has 8 bits."),
            ),
        ),
        learned="Q5_K is made of Q4_K's parts; Q6_K has others, of section 4.",
    ),
    "11.2": Exercise(
        hint="0x3e is 3 * 16 + 14: the upper and the lower half. A code less 8, times the scale.",
        check=value(
            [_FIRST, 0, _SECOND, 16],
            about="[weight, place, weight, place] of the byte 3e, scale 0.25",
            look_at="the lower half is of the first 16 weights, the upper one of the other 16.",
            mistakes=(
                ([_SECOND, 0, _FIRST, 16], "the lower half of a byte holds the earlier weight."),
                ([_FIRST, 0, _SECOND, 1], "the upper halves hold weights 16 to 31."),
                ([3.5, 0, 0.75, 16], "8 is taken off a code before the scale."),
                ([14, 0, 3, 16], "these are the codes: less 8, times the scale."),
                ([6, 0, -5, 16], "times the scale, 0.25."),
            ),
        ),
        learned="you can read any Q4_0 weight from a file on your disk.",
    ),
    "11.3": Exercise(
        hint="d is the largest magnitude over 127; np.float16(d).tobytes(), then 32 signed codes.",
        check=_bytes_check(
            function(
                _q8_0_case(np.linspace(-1, 1, 32), "32 weights from -1 to 1"),
                _q8_0_case(np.random.default_rng(3).normal(size=32) * 0.1, "32 random weights"),
                _q8_0_case(
                    np.random.default_rng(1).normal(size=32) * 0.1, "32 other random weights"
                ),
                look_at="two bytes of FP16, then round(weight / d) as int8, one byte each.",
            )
        ),
        learned="34 bytes for 32 weights: 8.5 bits, and llama.cpp would take them.",
    ),
    "11.4": Exercise(
        hint="np.polyfit(codes, weights, 1, w=...): w multiplies errors, importance their squares.",
        check=function(
            *_fits(),
            look_at="the line through (code, weight) with the least sum of importance * error**2.",
        ),
        learned="this is the core of what an importance matrix does to a scale and a minimum; "
        "llama.cpp also lets it choose among trial scales.",
    ),
}
