"""Notebook 13, floats with a shared scale: bytes, rules, bits, and a product to mend."""

import numpy as np

from quantlab.course.checking import Case, function, value
from quantlab.course.exercise import Exercise
from quantlab.formats import FP4_E2M1, FP6_E2M3, FP8_E4M3

_WEIGHTS = FP4_E2M1.decode([3, 14]) * 2.0 ** (125 - 127)
_BITS = [4 + 8 / 16, 6 + 8 / 32, 8 + 32 / 64**2]


def _rceil(amax, largest):
    return 2.0 ** np.ceil(np.log2(np.asarray(amax, dtype=np.float64) / largest))


def _rceil_case(form, about):
    """A case of exercise 13.3: amax around a power of two times the largest number of `form`."""
    amax = form.max * np.array([0.01, 0.26, 0.5, 0.75, 1.0, 1.01, 1.35, 3.0, 40.0])
    right, power = _rceil(amax, form.max), 2.0 ** np.floor(np.log2(form.max))
    floor = 2.0 ** np.floor(np.log2(amax)) / power
    mistakes = (
        (floor, "that is floor: amax over it can be above the largest number."),
        (2.0 ** np.ceil(np.log2(amax)) / power, "that is ceil: often twice what is needed."),
        (2.0 ** np.floor(np.log2(amax / form.max)), "round the logarithm up, not down."),
        (2.0 ** np.round(np.log2(amax / form.max)), "round the logarithm up, not to the nearest."),
        (np.log2(right), "that is the exponent; the power of two is asked for."),
        (2 * right, "the least one: for amax equal to the largest number it is 1."),
        (_rceil(amax, 6.0) if form.max != 6 else None, "your function gets the largest number."),
    )
    return Case((amax, form.max), right, about, mistakes=[m for m in mistakes if m[0] is not None])


def _product_case(blocks, size, about, seed=0):
    """A case of exercise 13.5: FP4 values, and scales that differ much from block to block."""
    rng = np.random.default_rng(seed + blocks)
    x, w = (FP4_E2M1.decode(rng.integers(0, 16, blocks * size)) for _ in range(2))
    x_scales, w_scales = 2.0 ** rng.integers(-4, 5, (2, blocks))
    sums = (x * w).reshape(blocks, size).sum(axis=1)
    right = float(sums @ (x_scales * w_scales))
    mistakes = (
        (sums.sum() * x_scales.mean() * w_scales.mean(), "each block's sum has its own scales."),
        (float(sums.sum()), "the scales are missing."),
        (float(sums @ x_scales), "W's scales are missing."),
        (float(sums @ w_scales), "X's scales are missing."),
        (float(sums @ (x_scales + w_scales)), "multiply by both scales; don't add them."),
    )
    return Case(
        (x, x_scales, w, w_scales, size),
        right,
        about,
        within=1e-6 * float(np.abs(sums) @ (x_scales * w_scales)) + 1e-9,
        why="the rounding of float32",
        mistakes=mistakes if blocks > 1 else mistakes[1:],
    )


EXERCISES = {
    "13.1": Exercise(
        hint="the scale is 2 to the power 125 - 127. The first code is in the lower half.",
        check=value(
            _WEIGHTS,
            about="the two weights in byte 0xE3, scale byte 125",
            within=1e-6,
            look_at="byte & 15 and byte >> 4 are the codes; FP4's magnitudes are in section 1, and "
            "a code from 8 on is negative.",
            mistakes=(
                (_WEIGHTS[::-1], "the first weight is in the lower half."),
                (_WEIGHTS / 0.25, "times the scale."),
                ([3, 14], "these are the codes; which values do they name?"),
                (np.abs(_WEIGHTS), "the top bit of a code is its sign."),
                (_WEIGHTS * 2, "E8M0's bias is 127."),
            ),
        ),
        learned="two codes, a byte for the scale, and no table: that is an MXFP4 weight.",
    ),
    "13.2": Exercise(
        hint="7.2 lies between 4 and 8. Which power of two does each rule take, over what?",
        check=value(
            [1, 2, 2, 2],
            about="scales for amax 7.2: [floor, ceil, even, rceil]",
            within=1e-9,
            look_at="floor and ceil take 4 or 8, over 4; even rounds 7.2 / 4 = 1.8 to one mantissa "
            "bit first; rceil asks for 7.2 / scale of at most 6.",
            mistakes=(
                ([4, 8, 8, 8], "over 4, the largest power of two in FP4."),
                ([0, 1, 1, 1], "these are the exponents; the scales are asked for."),
                ([127, 128, 128, 128], "these are the bytes; the scales are asked for."),
                ([1, 2, 1, 2], "even: 1.8 is nearer to 2 than to 1.5."),
                ([1, 2, 2, 1], "rceil: 7.2 over 1 is above 6."),
                ([1, 2, 2, 1.2], "rceil: the next power of two above 7.2 / 6."),
            ),
        ),
        learned="the rules differ by a factor of two at most: ceil for floor costs FP4 about a "
        "quarter more error in section 3, and FP8 none.",
    ),
    "13.3": Exercise(
        hint="amax / scale <= largest, so scale >= amax / largest. Which power of two is next?",
        check=function(
            _rceil_case(FP4_E2M1, "for FP4, whose largest number is 6"),
            _rceil_case(FP6_E2M3, "for FP6 E2M3, 7.5"),
            _rceil_case(FP8_E4M3, "for FP8 E4M3, 448"),
            look_at="the logarithm of amax / largest, rounded up, as an exponent of 2.0. "
            "amax is an array: np.log2 and np.ceil take one.",
        ),
        learned="NVIDIA's PTX has one instruction for it, cvt.rp.satfinite.ue8m0x2.f32: a "
        "conversion to E8M0 that rounds up.",
    ),
    "13.4": Exercise(
        hint="bits of an element, and the bits of a scale over the values that share it.",
        check=value(
            _BITS,
            about="bits per value: [FP4 in 16s, E8M0; FP6 in 32s, E4M3; FP8 in 64 x 64, FP32]",
            within=5e-4,
            why="three decimals",
            look_at="E8M0 and E4M3 take 8 bits, FP32 takes 32; a tile of 64 x 64 has 4,096 values.",
            mistakes=(
                ([4.25, 6.25, _BITS[2]], "the first has blocks of 16, not 32."),
                ([4.5, 6.25, 8.5], "a tile of 64 x 64 is shared by 4,096 values, not by 64."),
                ([4, 6, 8], "the scales are missing."),
                (np.subtract(_BITS, [4, 6, 8]), "that is the scales alone; add the elements."),
                ([4.5, 6.25, 8 + 8 / 64**2], "the last scale is FP32: 32 bits."),
            ),
        ),
        learned="what a scale costs is its bits over its block, whatever it is made of.",
    ),
    "13.5": Exercise(
        hint="when may a scale wait until the end, and which one can't?",
        check=function(
            _product_case(1, 4, "one block of 4", seed=8),
            _product_case(3, 4, "3 blocks of 4"),
            _product_case(8, 32, "8 blocks of 32"),
            look_at="sum inside a block, times its two scales, then add the blocks.",
        ),
        learned="a scale leaves a sum only if the whole sum shares it: the same as in notebook 4.",
    ),
}
