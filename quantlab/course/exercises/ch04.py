"""Notebook 04, zero-point and absmax: what its exercises ask and how they are checked."""

import numpy as np

from quantlab import article, errors
from quantlab.affine import quantize_absmax, quantize_zero_point, quantized_matmul
from quantlab.course.checking import Case, Property, function, value
from quantlab.course.exercise import Exercise

BY_HAND = [0.9, -2.4, 6.0, -0.3]
DIGITS = (0, 1, 2, 3, 4, 9)  # to which people round percent
MATRICES = (article.X, article.W)
_LINE = np.linspace(-3.0, 5.0, 1001)


def _slips(x):
    """Yield (a round trip of `x` as people get it wrong, what to look at)."""
    low, high = min(x.min(), 0), max(x.max(), 0)

    def back(steps=255, whole=np.round, whole_zero=np.round):
        step = (high - low) / steps
        zero = whole_zero(-128 - low / step)
        return (np.clip(whole(x / step) + zero, -128, 127) - zero) * step

    for cut in (np.floor, np.ceil):
        yield (
            back(whole_zero=cut),
            "cut off, a zero-point pushes one end of the range out of the codes: round it.",
        )
    for steps in (250, 254, 256):
        yield back(steps=steps), "256 codes have 255 steps between them."
    for cut in (np.trunc, np.floor, np.ceil):
        yield back(whole=cut), "a code is the nearest whole number: round, don't cut."


def _round_trip(x, about):
    """A case for a zero-point round trip at 8 bits: what comes back is within half a step of `x`.

    Not of our answer: 5.0 in [5.0, 5.5, 6.0] is halfway between two marks, and both are right.
    """
    x = np.asarray(x)
    q = quantize_zero_point(x)
    steps = q.codes.astype(int) - int(q.zero_point)
    wrapped = steps.astype(np.int8) * q.scale
    codes = "these are codes: the round trip ends with values, (code - zero-point) * scale."
    mistakes = (
        *_slips(x),
        (q.codes, codes),
        (q.codes.astype(int) + 128, codes),
        (steps, "these are steps from zero: multiply by the scale."),
        (wrapped, "int8 ran over: subtract the zero-point in a wider type."),
        (
            quantize_absmax(x).dequantize(),
            "that is absmax: its ruler always has zero in the middle.",
        ),
        (quantize_zero_point(x, bits=7).dequantize(), "7 bits have 127 steps: how many have 8?"),
    )
    # Half a step; who computes in float32 is off by a few of its roundings, 6e-8 each.
    within = float(q.scale) / 2 + 1e-6 * float(np.abs(x).max())
    return Case((x,), x, about, within=within, why="half a step", mistakes=mistakes)


def _few(low, high):
    """A property: a line far from zero uses those of 256 codes that lie between its ends."""
    most = len(np.unique(quantize_zero_point(np.linspace(low, high, 1001)).codes))
    return Property(
        (np.linspace(low, high, 1001),),
        lambda back: len(np.unique(np.asarray(back))) <= most,
        f"at most {most} different values: a ruler that holds zero has no more marks there",
        f"1001 numbers from {low} to {high}, how many different values come back",
        "is your zero-point a code, -128 to 127? It is stored as one: your range must hold zero.",
    )


def _product_errors(bits, axes=(1, 0), measure=errors.relative):
    exact = article.X @ article.W
    products = (
        quantized_matmul(*(quantize(m, bits, axis=a) for m, a in zip(MATRICES, axes, strict=True)))
        for quantize in (quantize_absmax, quantize_zero_point)
    )
    return [measure(product, exact) for product in products]


def _one_side(side):
    """The errors if only X (side 0) or only W (side 1) is quantized to 4 bits."""
    found = []
    for quantize in (quantize_absmax, quantize_zero_point):
        parts = list(MATRICES)
        parts[side] = quantize(parts[side], 4, axis=1 - side).dequantize()
        found.append(errors.relative(parts[0] @ parts[1], article.X @ article.W))
    return found


def _per_row(rows, columns):
    """A case for reading back codes with one scale and one zero-point per row."""
    rng = np.random.default_rng(rows * 10 + columns)
    x = rng.uniform(-1, 3, (rows, columns)) * 10.0 ** np.arange(rows)[:, None]
    q = quantize_zero_point(x, axis=1)
    args = (q.codes, q.scale.ravel(), q.zero_point.ravel())
    shape = "square" if rows == columns else "not square"
    mistakes = (
        (q.codes * q.scale - q.zero_point, "the order: subtract first, then multiply."),
        (
            (q.codes + q.zero_point) * q.scale,
            "the sign: the zero-point comes off, it is not added.",
        ),
        (q.codes * q.scale, "the zero-point is missing."),
        (q.codes - q.zero_point, "the scale is missing: these are steps, not values."),
        (-q.dequantize(), "the sign: code less zero-point, not the reverse."),
        ((q.codes - q.zero_point) / q.scale, "a step is as long as the scale: multiply by it."),
        (
            (q.codes - q.zero_point.astype(np.int8)) * q.scale,
            "int8 ran over: subtract the zero-point in a wider type.",
        ),
    )
    about = f"{rows} rows of {columns} codes ({shape})"
    within = 1e-6 * float(np.abs(q.dequantize()).max())
    return Case(args, q.dequantize(), about, within, "roundings of float32", mistakes=mistakes)


_FOUR = _product_errors(4)
_PERCENT = [100 * e for e in _FOUR]
_STEPS = [1.05, -2.8, 7.0, -0.35]
_BACK = [np.round(quantize_absmax(BY_HAND, bits=4).dequantize(), d) for d in (1, 2, 3, 4, 17)]
_BACK += [[float(f"{v:.{d}g}") for v in _BACK[-1]] for d in (2, 3, 4)]  # significant digits
_QUOTES = "numbers are asked for: leave the quotes away."

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
                ([1, -2, 7, 0], "-2.4 is 2.8 steps below zero: that cuts off, it does not round."),
                ([1, -3, 7, -1], "-0.3 is 0.35 steps below zero: which mark is nearest?"),
                (quantize_zero_point(BY_HAND, bits=4).codes, "that is zero-point, not absmax."),
                ([1, 3, 7, 0], "the sign: -2.4 is below zero, and so is its code."),
                *(
                    (codes, "4 bits have 15 codes of both signs: the largest is 7.")
                    for codes in ([2, -6, 15, -1], [2, -6, 16, -1])
                ),
                (["1", "-3", "7", "0"], _QUOTES),
                *((b, "these are the values read back, not the codes.") for b in _BACK),
                (_STEPS, "these are steps: round each to the nearest whole number."),
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
            # Their zero-points, -55.14 and -50.73, lie on either side of a half.
            _round_trip([-1.0, 0.0, 2.5], "a range that is no whole number of steps, -1.0 to 2.5"),
            _round_trip([-1.0, 0.0, 2.3], "a range that is no whole number of steps, -1.0 to 2.3"),
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
            _round_trip(_LINE, "1001 numbers from -3 to 5"),
            _few(5, 6),
            _few(-6, -5),
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
                *(([f"{e:.{d}f}" for e in _FOUR], _QUOTES) for d in (3, 4)),
                (["0.085", "0.1243"], _QUOTES),
                (_product_errors(8), "the width: these are the errors of 8 bits."),
                *(
                    (np.round(_PERCENT, d), "these are percent: leave it a fraction.")
                    for d in DIGITS
                ),
                *(
                    (
                        np.round(_PERCENT[::-1], d),
                        "these are percent, and absmax comes first: give fractions.",
                    )
                    for d in DIGITS
                ),
                *((np.round(_FOUR, d), "that rounds too far: give four decimals.") for d in (2, 3)),
                (_product_errors(4, (None, None)), "one scale for all: set axis for X and for W."),
                (_one_side(0), "only X is quantized: W has to be, too."),
                (_one_side(1), "only W is quantized: X has to be, too."),
                (_product_errors(4, measure=errors.snr_db), "these are decibels, not errors."),
                (np.square(_FOUR), "these are squared: take ql.errors.relative."),
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
