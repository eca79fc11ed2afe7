"""Exercises of notebook 03: E4M3's reach, FP32 to BF16 by its bits, a sum that stops, MXFP6."""

import numpy as np

from quantlab.course.checking import Case, against, function, value
from quantlab.course.exercise import Exercise
from quantlab.formats import BF16, FP6_E2M3, FP8_E4M3, MiniFloat

_IEEE_E4M3 = MiniFloat("E4M3 with infinity", 4, 3, 7, "ieee")


def _to_bf16(*numbers, look_at=""):
    x = np.array(numbers, np.float32)
    cut = (x.view(np.uint32) >> 16 << 16).view(np.float32)
    return Case(
        (x,),
        BF16.round(x).astype(np.float32),
        look_at=look_at,
        mistakes=((cut, "that cuts off; add something first, so that it rounds."),),
    )


def _mxfp6(x):
    blocks = x.reshape(-1, 32)
    largest = np.abs(blocks).max(axis=1, keepdims=True)
    scale = 2.0 ** (np.floor(np.log2(largest)) - 2)
    return (FP6_E2M3.round(blocks / scale) * scale).reshape(x.shape)


def _numbers(rows, columns, seed):
    sizes = 10.0 ** np.arange(rows)[:, None]
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
        learned="2**(mantissa bits + 1), in any format: no sum of ones gets past it.",
    ),
    "3.4": Exercise(
        hint="everything is as in mxfp4, but for the format. Mind the shape that you return.",
        check=against(
            _mxfp6,
            (_numbers(1, 32, 0),),
            (_numbers(4, 32, 1),),
            (_numbers(4, 96, 2),),
            look_at="one scale for 32 numbers: 2 ** (floor(log2(largest)) - 2).",
        ),
        learned="6.25 bits per value, and three mantissa bits in place of one.",
    ),
}
