"""Notebook 12, Scale it, turn it, then round it: what its exercises ask, how they are checked."""

import numpy as np

from quantlab.course.checking import Case, function, value
from quantlab.course.exercise import Exercise
from quantlab.experiments.lattice import lattice
from quantlab.transforms import hadamard, hadamard_product, smooth_scales

#: What a right answer may be off by, of its largest value: who computes in float32 is near enough.
FLOAT32 = 1e-6


def _case(args, right, about, mistakes):
    """A case with an answer that may be computed in float32."""
    within, why = FLOAT32 * float(np.abs(right).max()), "the rounding of float32"
    return Case(args, right, about, within, why, mistakes=tuple(mistakes))


def _scales(x, w, alpha, about):
    """A case for SmoothQuant's scales, with those of the usual faults."""
    x, w = np.array(x), np.array(w)
    columns, rows = np.abs(x).max(axis=0), np.abs(w).max(axis=1)
    right = smooth_scales(x, w, alpha)
    mistakes = (
        (x.max(axis=0) ** alpha / w.max(axis=1) ** (1 - alpha), "magnitudes count: take np.abs."),
        (x.max(axis=0) ** alpha / rows ** (1 - alpha), "magnitudes count: take np.abs of x, too."),
        (columns**alpha / w.max(axis=1) ** (1 - alpha), "magnitudes count: take np.abs of w, too."),
        ((columns / rows) ** alpha, "the power of the weights' maxima is 1 - alpha."),
        (
            columns**alpha / np.abs(w).max(axis=0) ** (1 - alpha),
            "input j is column j of x and *row* j of w: the two maxima run along different axes.",
        ),
        (1 / right, "this is the inverse: x is to be divided by the scales."),
        (columns ** (1 - alpha) / rows**alpha, "alpha is the power of the inputs' maxima."),
        (columns / rows, "each maximum has its power: alpha, and 1 - alpha."),
        (
            columns**alpha * rows ** (1 - alpha),
            "large weights make the scale smaller: the weights' maxima stand below the line.",
        ),
        (np.sqrt(columns / rows), "the root is alpha 1/2 alone: alpha is an argument."),
    )
    apart = (pair for pair in mistakes if not np.allclose(pair[0], right))
    return _case((x, w, alpha), right, about, apart)


def _layer(seed, size=5):
    """Inputs (tokens, in) and weights (in, in), columns and rows of very different sizes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2 * size, size)) * np.exp(rng.normal(size=size))
    return x, rng.normal(size=(size, size)) * np.exp(rng.normal(size=(size, 1)))


def _walked(values, turned=False, rounds=64):
    """The walk with so many rounds at most, and with b - a for a - b if it is `turned`."""
    x, apart = np.array(values, float), 1
    while apart < len(x) and rounds > 0:
        pairs = x.reshape(-1, 2, apart)
        a, b = pairs[:, 0], pairs[:, 1]
        x = np.stack([a + b, b - a if turned else a - b], axis=1).ravel()
        apart, rounds = 2 * apart, rounds - 1
    return x / np.sqrt(len(x))


def _walk(values, about):
    """A case for the fast walk, with the usual faults."""
    right = hadamard_product(np.array(values, float))
    doubled = right * np.sqrt(len(values))
    mistakes = []
    if len(values) > 1:
        mistakes.append((doubled, "one thing is missing: divide by the root of their number."))
        mistakes.append((doubled / len(values), "divide by the root of how many there are."))
        mistakes.append((_walked(values, turned=True), "a - b, not b - a."))
    if len(values) > 2:
        once = _walked(values, rounds=1)
        mistakes.append((once, "that was the first round: next come pairs that are 2 apart."))
    return _case((list(values),), right, about, mistakes)


def _fold(seed, outputs, about):
    """A case for the weight that reads a norm without its gain, turned, with the usual faults."""
    rng = np.random.default_rng(seed)
    w, gain = rng.normal(size=(4, outputs)), rng.uniform(0.5, 2, size=4)
    q = hadamard(4, seed=seed)
    mistakes = (
        (gain[:, None] * (q.T @ w), "the gain belongs to inputs that are not turned yet."),
        (q.T @ w, "where is the gain? The norm gives it up, so the weight has to take it."),
        (q @ (gain[:, None] * w), "the input is x @ Q, so what undoes it is Q.T."),
    )
    if outputs == len(gain):
        rows = "a gain for each input: it multiplies *rows* of w, gain[:, None]."
        mistakes += (
            (gain[:, None] * w @ q, "this turns the outputs: Q.T stands on the left of w."),
            (q.T @ (w * gain), rows),
        )
    return _case((gain, w, q), q.T @ (gain[:, None] * w), about, mistakes)


def _nearest(lean, weights, about):
    """A case for Babai's walk with two weights, with the codes of the usual faults."""
    found = lattice(lean, weights)
    answers = {tuple(map(int, found.gptq.codes))}
    mistakes = []
    for codes, advice in (
        (found.rounded.codes, "that is rounding to nearest: weight 2 has an answer to give."),
        (
            found.best.codes,
            "that is the nearest point of all: it ends there if weight 2 is rounded first, or "
            "if code 1 is taken along the arrow. Take it along `up`, across the lines.",
        ),
        (
            lattice(lean, weights, "weight 2").gptq.codes,
            "weight 2 was rounded first here: begin with code 1.",
        ),
    ):
        if tuple(map(int, codes)) not in answers:
            answers.add(tuple(map(int, codes)))
            mistakes.append((codes, advice))
    args = (found.arrows, found.target)
    return Case(args, found.gptq.codes, about, mistakes=tuple(mistakes))


def _babai(arrows, target):
    """The two codes of the walk, and the second one if code 1 is not taken off first."""
    one, other = arrows
    up = one - (one @ other) / (other @ other) * other
    first = round(target @ up / (up @ up))
    left = target - first * one
    return [first, round(left @ other / (other @ other))], round(target @ other / (other @ other))


def _any_arrows(arrows, codes, about):
    """A case with arrows of any length: `codes`, which need not be whole, make the target."""
    arrows = np.array(arrows)
    target = np.array(codes) @ arrows
    right, not_off = _babai(arrows, target)
    mistakes = (([right[0], not_off], NOT_OFF), (right[::-1], "code 1 comes first."))
    return Case((arrows, target), right, about, mistakes=mistakes)


NOT_OFF = "take code 1 times the first arrow off the target before you look for code 2."

EXERCISES = {
    "12.1": Exercise(
        hint="sums and differences of neighbours first, then of those two apart; halve at the end.",
        check=value(
            [5, 3, 3, 5],
            about="8, 0, 0 and 2 turned by hadamard(4)",
            look_at="the columns of hadamard(4): + + + +, + − + −, + + − −, + − − +, all halved.",
            mistakes=(
                ([10, 6, 6, 10], "halve at the end: the root of 4 is 2."),
                ([5, 3, 5, 3], "the last two columns: + + − − and + − − +."),
                ([5, 5, 3, 3], "the second column is + − + −, the third + + − −."),
                ([2.5, 1.5, 1.5, 2.5], "over the root of 4, which is 2, not over 4."),
            ),
        ),
        learned="8² + 2² is 68, and so is 5² + 3² + 3² + 5². The largest value was 8 and is 5.",
    ),
    "12.2": Exercise(
        hint="input j has column j of x and row j of w: take the largest magnitude of each, and "
        "give it its power.",
        check=function(
            _scales(
                [[16.0, -1.0], [4.0, 0.5]],
                [[0.25, 0.1], [0.5, -1.0]],
                0.5,
                "a column that reaches 16 and its row 0.25; one that reaches 1 and its row 1",
            ),
            _scales(*_layer(1), 0.5, "five inputs, alpha 0.5"),
            _scales(*_layer(2), 0.8, "five inputs, alpha 0.8"),
            _scales(*_layer(3), 0, "alpha 0: every row of s × w reaches 1"),
            look_at="one scale for each input: maxima over tokens for x, over outputs for w.",
        ),
        learned="two maxima for each input are all that SmoothQuant needs to know of a text.",
    ),
    "12.3": Exercise(
        hint="pairs that are 1 apart, then 2, then 4 ...: put a + b and a - b in their places.",
        check=function(
            _walk([3.0, 1.0], "two values"),
            _walk([8.0, 0.0, 0.0, 2.0], "the four values of exercise 12.1"),
            _walk([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], "eight values"),
            _walk(np.random.default_rng(123).normal(size=64).round(2), "64 values"),
            _walk([7.0], "one value"),
            look_at="the new pairs need both old values: keep a before you overwrite it. At the "
            "end divide by the root of how many there are.",
        ),
        learned="256 values take 2,048 additions this way, where the matrix takes 65,536 products.",
    ),
    "12.4": Exercise(
        hint="the old layer computes (x * gain) @ w. The new one gets x @ Q and has no gain.",
        check=function(
            _fold(1, 4, "four inputs, four outputs"),
            _fold(2, 3, "four inputs, three outputs"),
            look_at="(x @ Q) @ yours has to be (x * gain) @ w, for every x.",
        ),
        learned="fold first, then turn. The other way round runs without complaint: Q.T @ w has as "
        "many rows as w.",
    ),
    "12.5": Exercise(
        hint="take from the first arrow what it has in common with the second: what is left points "
        "straight across the lines.",
        check=function(
            _nearest(0.8, (0.4, 0.4), "the lattice of section 10"),
            _nearest(0.8, (0.3, 0.8), "another target"),
            _nearest(-0.7, (0.7, 0.2), "an arrow that leans to the left"),
            _nearest(0.9, (0.6, 0.9), "a target that is further out"),
            _nearest(0.0, (0.3, 0.8), "arrows at a right angle"),
            _any_arrows([[0.9, 1.0], [1.0, 0.0]], [0.7, -0.3], "a target below the first line"),
            _any_arrows([[0.9, 0.5], [0.6, 1.1]], [1.7, -0.6], "arrows of other lengths"),
            look_at="code 1 is how many times `up` fits best; take that many of the first arrow "
            "off the target, and see how many times the second arrow fits what is left.",
        ),
        learned="with 256 weights the walk is the same, and it is GPTQ: every "
        "code of section 11 is equal but those of a column with a tie.",
    ),
}
