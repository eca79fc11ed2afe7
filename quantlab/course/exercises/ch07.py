"""Notebook 07, comparison: what its exercises ask and how they are checked.

No answer depends on how well tiny-lm was trained: the cases are small and made up.
"""

from itertools import product

import numpy as np

from quantlab import errors
from quantlab.affine import quantize_absmax, quantize_zero_point
from quantlab.course.checking import Case, function
from quantlab.course.exercise import Exercise
from quantlab.gptq import hessian, quantize_gptq

FIVE = [(4.06, 14.0), (4.5, 14.0), (4.5, 10.0), (4.13, 11.0), (4.25, 12.0)]
# (name, true bits, error, needs calibration text): text does not always win, nor do more bits.
ROWS = [
    ("absmax, 8", 8.06, 0.8, False),
    ("GPTQ, 4", 4.13, 7.3, True),
    ("NF4", 4.5, 10.6, False),
    ("NF4, double quantized", 4.127, 10.7, False),
    ("zero-point, 4", 4.2, 12.9, False),
    ("GPTQ, 3", 3.13, 15.8, True),
    ("absmax, 3", 3.06, 33.9, False),
]
_DOUBLE = "NF4, double quantized"
NOT_BEATEN = (
    "a pair stays if no other has both fewer (or equal) bits and less (or equal) error; and the "
    "result is sorted by bits."
)


def _true_bits(bits, inputs, outputs, group_size, zero_points):
    return bits + (16 + (bits if zero_points else 0)) / group_size


def _bits_case(*args):
    bits, inputs, outputs, group, zero_points = args
    numbers = "scales and zero-points" if zero_points else "scales"
    sharing = "one scale per output" if group == inputs else f"groups of {group}"
    shared = 16 + (bits if zero_points else 0)
    with_zero_points = (
        (bits + 16 / group, "the zero-points take bits as well, as many as a code."),
        (bits + 32 / group, "a zero-point is a code: it has as many bits as one, not 16."),
        (bits + (16 + 4) / group, f"a zero-point has as many bits as a code: here {bits}, not 4."),
    )
    with_scales_alone = (
        (bits + 32 / group, "a scale has 16 bits here, not 32 as NF4's."),
        (bits + (16 + bits) / group, "there are no zero-points here: count scales alone."),
        (bits + 16 / 64, f"the group size is an argument: here it is {group}, not 64."),
    )
    return Case(
        args,
        _true_bits(*args),
        f"{bits} bits, {inputs} inputs, {outputs} outputs, {sharing}, {numbers}",
        mistakes=(
            (bits, "that is the code alone: the scales come on top."),
            (bits + shared, "a group of weights shares these bits."),
            (bits + shared / inputs, "how many groups has one output?"),
            *(with_zero_points if zero_points else with_scales_alone),
        ),
    )


def _frontier(pairs):
    return [
        p for p in sorted(pairs) if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in pairs)
    ]


def _frontier_case(pairs, about, look_at=""):
    return Case((pairs,), _frontier(pairs), about, look_at=look_at or NOT_BEATEN)


def _choice(rows, weights, most_bytes, have_text):
    fits = [r for r in rows if weights * r[1] / 8 <= most_bytes and (have_text or not r[3])]
    return min(fits, key=lambda r: r[2])[0] if fits else "none"


def _choice_case(most_bytes, have_text, look_at="", weights=1000, mistakes=()):
    args = (ROWS, weights, most_bytes, have_text)
    text = "with" if have_text else "without"
    about = f"{weights:,} weights in {most_bytes} bytes, {text} calibration text"
    whole_row = "that is the whole row: its name alone is asked for, row[0]."
    whole_rows = ((form(row), whole_row) for row in ROWS for form in (tuple, list))
    mistakes = (*mistakes, *whole_rows)
    return Case(args, _choice(*args), about, look_at=look_at, mistakes=mistakes)


def _compare(w, x_seen, x_new, axis=0, group_size=None, on_new=True, learns="seen"):
    x = x_new if on_new else x_seen
    calibration = {"seen": x_seen, "new": x_new, "both": np.vstack([x_seen, x_new])}[learns]
    quantized = (
        quantize_absmax(w, 4, axis=axis),
        quantize_gptq(w, hessian(calibration), 4, group_size=group_size),
    )
    return [errors.relative(x @ q.dequantize(), x @ w) for q in quantized]


def _unfair(args):
    """Each way to leave a fault in or to add one, with a word about every fault there is."""
    axes = {
        0: "",
        None: "how many weights share a scale when you round?",
        1: "axis=1 is one scale per input; an output is a column.",
    }
    groups = {None: "", 32: "GPTQ still has groups, rounding has none."}
    measured = {True: "", False: "which inputs is the error measured on?"}
    calibrated = "GPTQ may not see X_new: calibrate on X_seen, measure on X_new."
    learns = {"seen": "", "new": calibrated, "both": calibrated}
    for faults in product(axes, groups, measured, learns):
        words = [say[it] for say, it in zip((axes, groups, measured, learns), faults, strict=True)]
        if any(words):
            yield _compare(*args, *faults), " And ".join(filter(None, words))


def _other_terms(w, x_seen, x_new):
    """Terms that are not those of the exercise: groups for both, the zero-point grid."""

    def on_new(rounded, **options):
        gptq = quantize_gptq(w, hessian(x_seen), 4, **options)
        return [errors.relative(x_new @ q.dequantize(), x_new @ w) for q in (rounded, gptq)]

    grid = "the absmax grid is asked for, for both: GPTQ has it if you leave `symmetric` alone."
    yield (
        on_new(quantize_absmax(w, 4, axis=0, group_size=32), group_size=32),
        "equal terms, but one scale per output is asked for: no groups.",
    )
    yield on_new(quantize_absmax(w, 4, axis=0), symmetric=False), grid
    yield on_new(quantize_zero_point(w, 4, axis=0), symmetric=False), grid
    yield on_new(quantize_zero_point(w, 4, axis=0)), grid


def _comparison_case(inputs, outputs, seed):
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(inputs, inputs))  # inputs that vary together: GPTQ lives on them
    x_seen, x_new = (rng.normal(size=(4 * inputs, inputs)) @ mix for _ in range(2))
    w = rng.normal(size=(inputs, outputs)) * np.geomspace(0.2, 2, outputs)
    args = (w, x_seen, x_new)
    return Case(
        args,
        _compare(*args),
        f"relative errors [rounding, GPTQ] on new inputs, {inputs} inputs, {outputs} outputs",
        mistakes=(
            *_unfair(args),
            *_other_terms(*args),
            (_compare(*args)[::-1], "the order: rounding comes first."),
        ),
    )


EXERCISES = {
    "7.1": Exercise(
        hint="count the groups: each output has inputs / group_size of them. Then spread their "
        "bits over all weights.",
        check=function(
            _bits_case(4, 256, 768, 64, False),
            _bits_case(4, 256, 768, 64, True),
            _bits_case(3, 4096, 11008, 4096, False),
            _bits_case(2, 4096, 1024, 128, True),
            look_at="bits of all scales and zero-points, over inputs × outputs, plus the code's "
            "own.",
        ),
        learned="the size of the layer cancels: what counts is how many weights share a scale.",
    ),
    "7.2": Exercise(
        hint="sort by bits and walk: who has a smaller error than everyone before?",
        check=function(
            _frontier_case(FIVE, "the five settings A to E of section 4"),
            _frontier_case([(2.0, 90.0), (3.0, 30.0), (4.0, 12.0)], "three that nobody beats"),
            _frontier_case(
                [(2.0, 90.0), (3.0, 80.0), (4.0, 12.0)],
                "three that nobody beats, and one of them gains little",
                look_at="(3.0, 80.0) lies above the line between the others, and neither has both "
                "at most its bits and at most its error: it stays.",
            ),
            _frontier_case(
                [(5.0, 12.0), (4.0, 13.0), (4.0, 12.0)],
                "equal bits, or equal error",
                look_at="equal in one and better in the other is enough to beat.",
            ),
            _frontier_case([(8.0, 1.0)], "one setting alone"),
        ),
        learned="what is not on the frontier needs another reason to be chosen: a kernel that is "
        "there, or no text to calibrate on.",
    ),
    "7.3": Exercise(
        hint="bytes are weights × bits / 8. Keep the rows that fit and that you can make, then "
        "take the least error.",
        check=function(
            _choice_case(
                1010,
                True,
                look_at="first what fits, then the least error.",
                mistakes=(("GPTQ, 4", "with text the methods that need none are there as well."),),
            ),
            _choice_case(
                530,
                True,
                look_at="among those that fit the error decides, not bits.",
                mistakes=((_DOUBLE, "there is text: methods that need it can be chosen."),),
            ),
            _choice_case(550, True, look_at="among those that fit the error decides, not bits."),
            _choice_case(
                550,
                False,
                look_at="without text no method that needs it can be chosen.",
                mistakes=(("NF4", "its 4.5 bits take 562.5 bytes: true bits have a fraction."),),
            ),
            _choice_case(
                516, True, look_at="a 4.13th bit counts, too: 1,000 such weights take 516.25 bytes."
            ),
            _choice_case(
                1060, True, look_at="how many weights there are is an argument.", weights=2000
            ),
            _choice_case(562.5, False, look_at="exactly as many bytes as there are: that fits."),
            _choice_case(300, True, look_at='nothing fits: then the answer is "none".'),
            look_at="weights × bits / 8 bytes.",
        ),
        learned="the budget and what you have at hand decide; the frontier only says among which.",
    ),
    "7.4": Exercise(
        hint="look at the axis of one, the group size of the other, and at the inputs that the "
        "error is measured on.",
        check=function(
            _comparison_case(64, 8, 7),
            _comparison_case(96, 5, 8),
            look_at="quantize_absmax(W, bits=4, axis=0), quantize_gptq without groups, and both "
            "errors on X_new.",
        ),
        learned="equal terms first: the same scales, and inputs that neither has seen.",
    ),
}
