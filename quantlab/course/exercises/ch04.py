"""Notebook 04, zero-point and absmax: what its exercises ask and how they are checked."""

import numpy as np

from quantlab import article, errors
from quantlab.affine import quantize_absmax, quantize_zero_point, quantized_matmul
from quantlab.course.checking import Case, Property, function, value
from quantlab.course.exercise import Exercise

BY_HAND = [0.9, -2.4, 6.0, -0.3]
_LINE = np.linspace(-3.0, 5.0, 1001)


def _round_trip(x, about):
    """A case for a zero-point round trip at 8 bits: what comes back is within half a step of `x`.

    Not of our answer: 5.0 in [5.0, 5.5, 6.0] is halfway between two marks, and both are right.
    """
    x = np.asarray(x)
    half = float(quantize_zero_point(x).scale) / 2
    return Case((x,), x, about, within=half * (1 + 1e-9), why="half a step")


def _product_errors(bits):
    exact = article.X @ article.W
    products = (
        quantized_matmul(quantize(article.X, bits, axis=1), quantize(article.W, bits, axis=0))
        for quantize in (quantize_absmax, quantize_zero_point)
    )
    return [errors.relative(product, exact) for product in products]


def _per_row(rows, columns):
    """A case for reading back codes with one scale and one zero-point per row."""
    rng = np.random.default_rng(rows * 10 + columns)
    x = rng.uniform(-1, 3, (rows, columns)) * 10.0 ** np.arange(rows)[:, None]
    q = quantize_zero_point(x, axis=1)
    args = (q.codes, q.scale.ravel(), q.zero_point.ravel())
    shape = "square" if rows == columns else "not square"
    return Case(args, q.dequantize(), f"{rows} rows of {columns} codes ({shape})")


_FOUR = _product_errors(4)

EXERCISES = {
    "4.1": Exercise(
        hint="4 bits give the codes -7 to 7; the largest magnitude, 6.0, gets code 7.",
        check=value(
            quantize_absmax(BY_HAND, bits=4).codes,
            about=f"the 4-bit absmax codes of {BY_HAND}",
            look_at="divide by the step, then round to the nearest whole number.",
            mistakes=(
                ([1, -3, 8, 0], "the top code: -8 to 7 would lean, so absmax ends at 7."),
                ([19, -51, 127, -6], "127 is the top code of 8 bits; 4 bits end at 7."),
                ([1, -2, 7, 0], "-2.4 is 2.8 steps below zero: nearest is 3, not 2."),
                ([0.857, -2.571, 6.0, 0.0], "these are the values read back, not the codes."),
            ),
        ),
        learned="the step is 6/7 = 0.857, so -0.3, less than half a step from zero, is gone.",
    ),
    "4.2": Exercise(
        hint="three numbers decide everything: min, max and the number of codes.",
        check=function(
            _round_trip([-1.0, 0.0, 4.0], "input on both sides of zero [-1.0, 0.0, 4.0]"),
            _round_trip([5.0, 5.5, 6.0], "all-positive input [5.0, 5.5, 6.0]"),
            _round_trip([-6.0, -5.5, -5.0], "all-negative input [-6.0, -5.5, -5.0]"),
            Property(
                (_LINE,),
                lambda back: 200 <= len(np.unique(np.asarray(back))) <= 256,
                "200 to 256 different values: one for each code",
                "1001 numbers from -3 to 5, how many different values come back",
                "8 bits are 256 codes: did you round to whole codes, and use all of them?",
            ),
            Property(
                (np.array([-1.0, 0.0, 2.3]),),
                lambda back: np.asarray(back)[1] == 0,
                "the middle value exactly 0",
                "zero in [-1.0, 0.0, 2.3]",
                "round the zero-point to a whole code before you use it.",
            ),
            look_at="what does your range start from? Zero has to be inside it.",
        ),
        learned="you never lose more than half a step: that is the bound that every later "
        "notebook uses.",
    ),
    "4.3": Exercise(
        hint="quantize X with axis=1 and W with axis=0 at bits=4, multiply, and ask "
        "ql.errors.relative, first for absmax, then for zero-point.",
        check=value(
            _FOUR,
            about="relative errors of the product at 4 bits, [absmax, zero-point]",
            within=5e-5,
            why="four decimals",
            look_at="axis=1 for X, axis=0 for W, bits=4 for both, and compare with X @ W.",
            mistakes=(
                (_FOUR[::-1], "the order: absmax comes first."),
                (_product_errors(8), "the width: these are the errors of 8 bits."),
            ),
        ),
        learned=f"absmax errs by {_FOUR[0]:.1%}, zero-point by {_FOUR[1]:.1%}, although its steps "
        "are finer: half a step is a bound, and where a weight falls inside it is luck.",
    ),
    "4.4": Exercise(
        hint="value = (code - zero_point) * scale, and row i has scale[i] and zero_point[i].",
        check=function(
            _per_row(2, 3),
            _per_row(3, 3),
            _per_row(4, 1),
            look_at="subtract first, then multiply; and turn (rows,) into (rows, 1) so that each "
            "scale meets its own row.",
        ),
        learned="a wrong axis raises nothing on a square matrix. Test with one that is not square.",
    ),
}
