"""Notebook 09, a whole model: what its exercises ask and how they are checked.

No answer depends on how well tiny-lm was trained: the cases are small and made up.
"""

import math

from quantlab.course.checking import Case, function, value
from quantlab.course.exercise import Exercise

# (weights, bits per weight) of layers: one large at 3 bits, two small at 8. 3.19 on average.
MIXED = [(5000, 3.0), (100, 8.0), (100, 8.0)]
# Of a perplexity: some roundings of 6e-8 in the mean of logarithms, and as many in its exp.
FLOAT32 = 1e-6
# (name, bits per weight, facts right): the fewest bits do not always come with the fewest facts.
# No right answer is the first row, nor has it the first or the last name of those that stay: for
# 242 facts alone it is the first of two, with more bits than rows that have to go.
ROWS = [
    ("absmax", 4.05, 231),
    ("zero-point, 3 bits", 3.11, 202),
    ("NF4", 4.5, 250),
    ("rotated GPTQ", 3.5, 241),
    ("zero-point, 8 bits", 8.11, 252),
]


def _average(layers):
    return sum(weights * bits for weights, bits in layers) / sum(weights for weights, _ in layers)


def _perplexity_case(probabilities, about=None, mistakes=()):
    """A case of exercise 9.2; float32, as the notebook computes, is near enough."""
    expected = _perplexity(probabilities)
    within, why = FLOAT32 * expected, "the rounding of float32"
    return Case((probabilities,), expected, about, within, why, mistakes=mistakes)


def _cheapest(rows, least):
    enough = [row for row in rows if row[2] >= least]
    return min(enough, key=lambda row: row[1])[0] if enough else "none"


def _cheapest_case(least, about, look_at=""):
    """A case of exercise 9.3; a whole row and a list of names get an advice of their own."""
    name = _cheapest(ROWS, least)
    alone = "return the name alone, the first entry of its row."
    whole = next(row for row in ROWS if row[0] == name)
    sizes = (whole, list(whole), [name], (name,))
    return Case(
        (ROWS, least), name, about, look_at=look_at, mistakes=tuple((s, alone) for s in sizes)
    )


def _perplexity(probabilities):
    return math.exp(-sum(math.log(p) for p in probabilities) / len(probabilities))


EXERCISES = {
    "9.1": Exercise(
        hint="3 bits for the code. Then 64 weights share one scale of 16 bits and one zero-point, "
        "which is a code as well.",
        check=value(
            3 + (16 + 3) / 64,
            about="bits per weight: zero-point grid, 3 bits, groups of 64",
            within=5e-4,
            why="three decimals",
            look_at="the bits of a scale and of a zero-point, shared by 64 weights.",
            mistakes=(
                (3, "that is the code alone: the scale and the zero-point come on top."),
                (3 + 16 / 64, "a zero-point grid keeps two numbers a group: which is missing?"),
                (3 + 32 / 64, "a zero-point is a code: it has as many bits as one, not 16."),
                (3.296, "the fourth decimal is an 8: round, do not cut."),
                (3 + 19, "64 weights share these 19 bits."),
            ),
        ),
        learned="0.3 bits for scales and zero-points: at 3 bits that is a tenth of the code.",
    ),
    "9.2": Exercise(
        hint="the loss of a token is -log(p), with the natural logarithm; perplexity is e to the "
        "mean loss.",
        check=function(
            _perplexity_case([0.25], "one token, probability 1/4"),
            _perplexity_case(
                [0.5, 0.25],
                "two tokens, probabilities 1/2 and 1/4",
                mistakes=(
                    (3.0, "that is the mean of 2 and 4: take the mean of the losses, then exp."),
                    (8 / 3, "that is 1 over the mean probability: average the losses instead."),
                    (8.0, "that is the sum of the losses in the exponent: divide by 2 tokens."),
                    (4.0, "one token counts alone here: take the mean over both."),
                ),
            ),
            _perplexity_case([0.5, 0.1, 0.02, 0.9]),
            look_at="mean of -log(p) over the tokens first, exp last.",
        ),
        learned="a model that gives every token probability 1/20 has perplexity 20: it hesitates "
        "between 20 tokens.",
    ),
    "9.3": Exercise(
        hint="keep the rows with enough facts, then take the one with the fewest bits; "
        "min(..., key=...) helps. No row left: 'none'.",
        check=function(
            _cheapest_case(240, "240 facts or more, five rows"),
            _cheapest_case(200, "200 facts or more, five rows"),
            _cheapest_case(
                230,
                "230 facts or more, five rows",
                "of those with enough facts take the one with the fewest bits, however many facts "
                "it has.",
            ),
            _cheapest_case(241, "exactly 241 facts are 241 or more"),
            _cheapest_case(
                242,
                "242 facts or more, five rows",
                "a row with too few facts does not count, not even as the first to compare with.",
            ),
            Case(
                (ROWS, 256),
                "none",
                "256 facts or more: no row has them",
                look_at="no row is left here, and min of nothing raises: say 'none' first.",
            ),
            look_at="first the facts decide who stays, then the bits decide who wins.",
        ),
        learned="start from what the model must still be able to do; the bits follow from that.",
    ),
    "9.4": Exercise(
        hint="count all bits, count all weights, divide.",
        check=function(
            Case(([(100, 4.0)],), 4.0, "one layer of 100 weights at 4 bits"),
            Case(
                (MIXED,),
                _average(MIXED),
                "5,000 weights at 3 bits, twice 100 at 8 bits",
                mistakes=(
                    (
                        sum(bits for _, bits in MIXED) / len(MIXED),
                        "that is the mean over layers: a large layer has to count for more.",
                    ),
                ),
            ),
            look_at="sum(weights * bits) over sum(weights).",
        ),
        learned="a layer counts by its weights: small ones can keep 8 bits at little cost.",
    ),
}
