"""Notebook 08, four bits: bits per weight, a byte by hand, a 3-bit codebook, a repair."""

from statistics import NormalDist

import numpy as np

from quantlab.codebooks import FP4, NF4, quantize_blockwise
from quantlab.course.checking import Case, function, value
from quantlab.course.exercise import Exercise
from quantlab.memory import bits_per_weight

BYTE, ABSMAX = 157, 2.0
_BITS = [bits_per_weight("nf4", 32, double_quant) for double_quant in (False, True)]
_WEIGHTS = NF4.values[[BYTE >> 4, BYTE & 15]] * ABSMAX
_TOP = 1 - (1 / 16 + 1 / 14) / 2


def _normal_values(below, above, top):
    """Return `below` values under 0, 0 and `above` over it: normal quantiles, the last one 1."""

    def half(steps):
        return [NormalDist().inv_cdf(p) for p in np.linspace(top, 0.5, steps + 1)[:-1]]

    return np.array([*(-x for x in half(below)), 0, *half(above)[::-1]]) / NormalDist().inv_cdf(top)


def _nf3_case(top, about):
    """A case of exercise 8.3, with the tables that a slip of the count gives."""
    right = _normal_values(3, 4, top)
    stretched = right * NormalDist().inv_cdf(top)
    mistakes = (
        (_normal_values(4, 3, top), "three values below 0 and four above, not the reverse."),
        (stretched, "divide by the largest, so that the table ends at 1."),
        (right[::-1], "ascending order: the smallest, -1, comes first."),
        (
            _normal_values(3, 4, 0.9677083),
            "these quantiles end at 0.9677: one_side of section 3 reads the notebook's top, not "
            "the one that your function gets.",
        ),
    )
    # Three decimals: with the shares in float32 the values differ from the sixth on.
    return Case((top,), right, about, within=5e-4, why="three decimals", mistakes=mistakes)


def _layer_case(blocks, block_size, table, about):
    """A case of exercise 8.4: packed codes, absmax and table of random weights."""
    x = np.random.default_rng(blocks).normal(size=(blocks, block_size))
    # Blocks of very different sizes, so that a scale on the wrong block is seen.
    q = quantize_blockwise(x * 10.0 ** np.arange(blocks)[:, None], table, block_size)
    low_first = np.stack([q.codes & 15, q.codes >> 4], axis=1).ravel()
    right_scales, wrong_scales = np.repeat(q.absmax, block_size), np.resize(q.absmax, x.size)
    mistakes = (
        (table.values[low_first] * right_scales, "the first code of a byte is in its high half."),
        (
            table.values[q.unpack().ravel()] * wrong_scales,
            "each scale serves block_size values in a row.",
        ),
    )
    within = float(q.absmax.max()) * 2.0**-23  # one rounding of float32, at the largest value
    return Case(
        (q.codes, q.absmax, table.values, block_size),
        q.dequantize().ravel(),
        about,
        within,
        "the rounding of float32",
        mistakes=mistakes if blocks > 1 else mistakes[:1],
    )


EXERCISES = {
    "8.1": Exercise(
        hint="a block of 32 weights shares one scale: of 32 bits, or of 8 bits and a share of "
        "32 bits more.",
        check=value(
            _BITS,
            about="bits per weight with blocks of 32, [without, with double quantization]",
            within=5e-4,
            why="three decimals",
            look_at="4 bits for the code, and 1/32 of what the scale of the block takes.",
            mistakes=(
                (_BITS[::-1], "the order: without double quantization first."),
                ([4.5, 4.126953125], "that is for blocks of 64."),
                ([4.25, _BITS[1]], "without double quantization a scale has 32 bits, not 8."),
                (
                    [_BITS[0], 4.25],
                    "the 8-bit scales have scales as well: 32 bits for every 256 of them.",
                ),
                (
                    [_BITS[0], 4 + 8 / 32 + 32 / 256],
                    "the last 32 bits are shared by 256 blocks, and each has 32 weights.",
                ),
            ),
        ),
        learned="double quantization makes blocks of 32 cheaper than blocks of 64 with 32-bit "
        "scales, and closer to the weights.",
    ),
    "8.2": Exercise(
        hint="157 = 9 * 16 + 13: the places of the two values. The absmax stretches them.",
        check=value(
            _WEIGHTS,
            about=f"the two weights in byte {BYTE}, absmax {ABSMAX:g}",
            within=1e-3 + 1e-4,  # half a thousandth in the table, times the absmax of 2
            why="three decimals in the table",
            look_at="byte >> 4 and byte & 15 are the codes; nf4[code] times absmax the weights.",
            mistakes=(
                (_WEIGHTS[::-1], "the first weight is in the high half."),
                (_WEIGHTS / ABSMAX, "times the absmax of the block."),
                ([9, 13], "these are the codes; which values do they name?"),
                (FP4.values[[9, 13]] * ABSMAX, "that is FP4's table; NF4's is asked for."),
            ),
        ),
        learned="a byte, a table and an absmax are all there is to a weight in 4 bits.",
    ),
    "8.3": Exercise(
        hint="write one_side of section 3 anew inside your function, so that it uses your top. "
        "Three steps below 0, four above.",
        check=function(
            _nf3_case(_TOP, "quantiles up to 0.933, as the rule of NF4 gives"),
            _nf3_case(0.9, "quantiles up to 0.9"),
            look_at="shares in equal steps from top to 0.5, inv_cdf of each, a 0 in the middle.",
        ),
        learned="the same few lines give a normal table of any width.",
    ),
    "8.4": Exercise(
        hint="which half of a byte comes first? And which scale does the second weight get?",
        check=function(
            _layer_case(1, 4, NF4, "one block of 4 weights"),
            _layer_case(3, 4, NF4, "3 blocks of 4 weights"),
            _layer_case(4, 64, FP4, "4 blocks of 64 weights, FP4"),
            look_at="unpack, look the codes up in the table, multiply by the scale of the block.",
        ),
        learned="swapped halves keep every value and put it in the wrong place: only a "
        "comparison with the weights shows it.",
    ),
}
