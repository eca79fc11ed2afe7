"""Exercises of notebook 03: E4M3's reach, FP32 to BF16 by its bits, a sum that stops, MXFP6."""

import numpy as np

from quantlab.course.checking import Case, function, value
from quantlab.course.exercise import Exercise
from quantlab.formats import BF16, FP4_E2M1, FP6_E2M3, FP6_E3M2, FP8_E4M3, FP16, MiniFloat

_IEEE_E4M3 = MiniFloat("E4M3 with infinity", 4, 3, 7, "ieee")


def _to_bf16(*numbers, look_at=""):
    x = np.array(numbers, np.float32)
    whole, right = x.view(np.uint32), BF16.round(x).astype(np.float32)
    half_up, half_down = (
        (whole + extra >> 16 << 16).view(np.float32) for extra in (0x8000, 0x7FFF)
    )
    tie = "exactly halfway the even one is right: add 1 more only if the last bit that stays is 1."
    mistakes = (
        (half_up, f"this takes the upper one of two at the same distance; {tie}"),
        (half_down, f"this takes the lower one of two at the same distance; {tie}"),
        ((whole >> 16 << 16).view(np.float32), "that cuts off; add something first, so it rounds."),
        (right.view(np.uint32), "these are the bits as whole numbers: .view(np.float32) at last."),
        (right.view(np.uint32) >> 16, "this is the upper half alone: << 16, then .view."),
        (FP16.round(x), "that is FP16; BF16 keeps the upper 16 bits of FP32."),
    )
    return Case((x,), right, look_at=look_at, mistakes=mistakes)


def _mxfp6(x, block=32, below=2, element=FP6_E2M3, scaled=True):
    blocks = x.reshape(-1, block)
    largest = np.abs(blocks).max(axis=1, keepdims=True)
    scale = 2.0 ** (np.floor(np.log2(largest)) - below)
    return (element.round(blocks / scale) * (scale if scaled else 1)).reshape(x.shape)


def _mxfp6_case(rows, columns, seed):
    x = _numbers(rows, columns, seed)
    emax = "4 to below 8 is the top of E2M3: the largest of a block goes there, 2**2 times a scale."
    mistakes = (
        (_mxfp6(x, element=FP4_E2M1), "these are values of FP4: round to E2M3."),
        (_mxfp6(x, element=FP6_E3M2, below=4), "these are values of E3M2: round to E2M3."),
        (_mxfp6(x, below=1), emax),
        (_mxfp6(x, below=3), emax),
        (_mxfp6(x, below=0), emax),
        (_mxfp6(x, block=columns), "one scale per row: every 32 numbers have their own."),
        (_mxfp6(x, block=x.size), "one scale for all: every 32 numbers have their own."),
        (_mxfp6(x, block=16), "blocks of 16: every 32 numbers share a scale."),
        (
            _mxfp6(x, scaled=False),
            "these are the blocks over their scales: multiply by them again.",
        ),
        (_mxfp6(x).reshape(-1, 32), "the values are right; give them x's shape again."),
        (_mxfp6(x).ravel(), "the values are right; give them x's shape again."),
    )
    kept = [(wrong, advice) for wrong, advice in mistakes if not np.array_equal(wrong, _mxfp6(x))]
    return Case((x,), _mxfp6(x), mistakes=tuple(kept), about=f"x of shape {x.shape}")


def _numbers(rows, columns, seed):
    """Rows and blocks of very different sizes: a scale that serves two of them is seen."""
    sizes = 10.0 ** np.arange(rows)[:, None] * 0.04 ** (np.arange(columns) // 32)
    return np.random.default_rng(seed).standard_normal((rows, columns)) * 0.02 * sizes


EXERCISES = {
    "3.1": Exercise(
        hint="the largest exponent that is left is 1110, and the mantissa is 111.",
        check=value(
            _IEEE_E4M3.max,
            about="the largest number of E4M3, if it had infinity",
            look_at="stored exponent 14 less the bias 7, and 1 + 7/8.",
            mistakes=(
                (FP8_E4M3.max, "that is E4M3 as it is, without infinity."),
                (256, "2**7 × (1 + 7/8), not 2**7 × 2."),
                (480, "a stored exponent of 15 would be infinity or NaN."),
                (120, "the stored exponent is 1110, 14: less the bias it is 7."),
            ),
        ),
        learned="240, about half of 448: one power of two is what infinity would cost.",
    ),
    "3.2": Exercise(
        hint="add just under half of what is cut off, and 1 more if the last bit that stays is 1.",
        check=function(
            _to_bf16(1.0, -2.5, 0.0),
            _to_bf16(202.3, 20.23, 0.1, -1e-8, 3e38),
            _to_bf16(2023.0, 2022.0, look_at="2023 lies between 2016 and 2024: which is nearer?"),
            _to_bf16(2020.0, 2028.0, 257.0, 259.0, look_at="exactly halfway: take the even one."),
            look_at="work on the bits: whole >> 16 drops the lower half, << 16 puts zeros there.",
        ),
        learned="three integer operations. Hardware and libraries convert FP32 to BF16 like this.",
    ),
    "3.3": Exercise(
        hint="from which number on is E4M3's gap 2? It has 3 mantissa bits.",
        check=value(
            16,
            about="where adding ones stops in E4M3",
            look_at="in FP16, with 10 mantissa bits, it is 2048 = 2**11.",
            mistakes=(
                (8, "from 8 to 16 the gap is 1: there every whole number is there."),
                (15, "15 + 1 is 16, and 16 is there."),
                (17, "17 lies halfway between 16 and 18 and is rounded to 16."),
                (448, "that is the largest number; the sum stops long before."),
            ),
        ),
        learned="2**(mantissa bits + 1): no sum of ones gets past it. E2M3 would stop at 16 too, "
        "but its largest number, 7.5, comes first.",
    ),
    "3.4": Exercise(
        hint="everything is as in mxfp4, but for the format. Mind the shape that you return.",
        check=function(
            _mxfp6_case(1, 32, 0),
            _mxfp6_case(4, 32, 1),
            _mxfp6_case(4, 96, 2),
            look_at="one scale for 32 numbers: 2 ** (floor(log2(largest)) - 2).",
        ),
        learned="6.25 bits per value, and three mantissa bits in place of one.",
    ),
}
