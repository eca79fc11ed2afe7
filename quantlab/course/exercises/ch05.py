"""Notebook 05, outliers: what its exercises ask and how they are checked."""

import numpy as np

from quantlab import article, errors
from quantlab.affine import quantize_absmax, quantized_matmul
from quantlab.course.checking import Case, Property, function, value
from quantlab.course.exercise import Exercise
from quantlab.outliers import llm_int8_matmul, outlier_columns
from quantlab.show import outliers as figures


def _halving_threshold(x, w):
    """The largest whole threshold at which separation halves the error of plain absmax."""
    exact = x @ w
    plain = quantized_matmul(quantize_absmax(x, axis=1), quantize_absmax(w, axis=0))
    enough = errors.relative(plain, exact) / 2
    thresholds = range(1, int(np.abs(x).max()) + 1)
    good = (t for t in thresholds if errors.relative(llm_int8_matmul(x, w, t), exact) <= enough)
    return max(good)


def _bound(x, w, threshold):
    """The most that 8-bit rounding of the calm columns, and FP16 elsewhere, can cost each result.

    Half a step in a row of x meets the weights, half a step in a column of w the activations
    (w rounded: half a step more). The steps are those of whole rows, outliers cleared, as in the
    library: a version that takes them from the calm columns alone has shorter ones.
    """
    apart = outlier_columns(x, threshold)
    large = np.abs(x) >= threshold
    step_x = np.abs(np.where(large, 0, x)).max(axis=1, keepdims=True) / 127
    step_w = np.abs(w).max(axis=0, keepdims=True) / 127
    calm_x, calm_w = (np.delete(m, apart, axis) for m, axis in ((x, 1), (w, 0)))
    rounding = step_x / 2 * (np.abs(calm_w) + step_w / 2).sum(axis=0)
    rounding = rounding + step_w / 2 * np.abs(calm_x).sum(axis=1, keepdims=True)
    # FP16 keeps 11 bits: 2^-11 for each of x and w, and room for the sums. 2e-5 is a lost digit of
    # bitsandbytes' 1/127^2.
    half = 2.0**-10 * (np.abs(x) @ np.abs(w))
    return rounding * (1 + 1e-9) + 2 * half + 2e-5 * np.abs(calm_x @ calm_w)


def _product(tokens, features, out):
    """A property of a separated product whose rows have very different sizes."""
    rng = np.random.default_rng(100 * tokens + features)
    x = rng.uniform(-4, 4, (tokens, features)) * 0.3 ** np.arange(tokens)[:, None]
    x[tokens - 1, 1] = -700.0
    w = rng.uniform(-2, 2, (features, out))
    exact, bound = x @ w, _bound(x, w, 6.0)

    def holds(result):
        result = np.asarray(result, dtype=np.float64)
        return result.shape == exact.shape and bool(np.all(np.abs(result - exact) <= bound))

    shape = f"x {x.shape} with one outlier, w {w.shape}"
    return Property((x, w), holds, "each result as near as 8 bits for its row allow", shape)


def _rounds(tokens, features, out):
    """A property that the exact product does not have: the calm columns went through 8 bits."""
    args = _product(tokens, features, out).args
    exact = args[0] @ args[1]
    return Property(
        args,
        lambda result: not np.allclose(result, exact, rtol=1e-6, atol=0),
        "a product whose calm columns went through 8-bit codes",
        "is anything rounded at all",
        "the calm columns have to become codes from -127 to 127, and only they.",
    )


_X, _W = figures.sample()
_HALF = _halving_threshold(_X, _W)

EXERCISES = {
    "5.1": Exercise(
        hint="write down the largest magnitude of each column, and compare it with 4.5.",
        check=value(
            [16 if (np.abs(column) >= 4.5).any() else 8 for column in article.X.T],
            about="bits of the four columns of X at threshold 4.5",
            look_at="one value at or above 4.5, of either sign, is enough for its column.",
            mistakes=(
                ([16, 16, 8, 8], "-4.913 has the magnitude 4.913."),
                ([16, 16, 16, 8], "4.027 is below 4.5. Which column has -4.913?"),
                ([8, 16, 8, 8], "7.408 reaches 4.5, and so does -4.913."),
                ([8, 8, 16, 8], "columns of 16 bits are those that do reach the threshold."),
            ),
        ),
        learned="three of four columns: a threshold a little lower, and little is left in 8 bits.",
    ),
    "5.2": Exercise(
        hint="every column of x takes as many multiplications as any other.",
        check=function(
            Case((article.X, 6.0), 0.5, "the article's X, threshold 6"),
            Case(
                (np.array([[1.0, 9.0, 0.5, 2.0], [2.0, 8.0, 1.0, 0.1], [0.3, 7.0, 2.0, 1.0]]), 6.0),
                0.25,
                "three outliers in one column of four",
                mistakes=((1.0, "count columns: this is a sum over rows."),),
                look_at="a column counts once, however many outliers it holds.",
            ),
            Case((np.array([[1.0, -7.0], [2.0, 3.0]]), 6.0), 0.5, "a negative outlier"),
            Case((np.array([[6.0, 5.9]]), 6.0), 0.5, "a value equal to the threshold"),
            Case((np.array([[1.0, 2.0, 3.0]]), 6.0), 0.0, "no outlier at all"),
            look_at="a column is an outlier if any |value| in it reaches the threshold (>=).",
        ),
        learned="it depends on columns alone: one outlier in each of them, and nothing is in 8 "
        "bits.",
    ),
    "5.3": Exercise(
        hint="loop over whole numbers, compare ql.errors.relative(ql.llm_int8_matmul(x, w, t), "
        "x @ w) with half of the error of plain absmax, and keep the largest t that is good "
        "enough.",
        check=value(
            _HALF,
            about="the largest whole threshold that halves the error",
            look_at="compare with half of the error of quantized_matmul on vector-wise absmax.",
            mistakes=(
                (_HALF + 1, "this one leaves a little more than half of the error."),
                (50, "50 halves the error, and it is not the largest that does."),
                (1, "1 halves it too, with nearly all in 16 bits. The largest is asked for."),
                (6, "6 does far more than halve it. The largest is asked for."),
            ),
        ),
        learned=f"at {_HALF} only {len(outlier_columns(_X, _HALF))} of 64 columns are in 16 bits: "
        "the first outliers buy the most.",
    ),
    "5.4": Exercise(
        hint="the sum runs over the columns of x. Which axis may a scale not change along?",
        check=function(
            _product(4, 5, 4),
            _product(3, 7, 2),
            _product(5, 4, 6),
            _rounds(3, 7, 2),
            look_at="x needs one step per row, of shape (rows, 1), so that it can leave the sum.",
        ),
        learned="scales run along the tokens of x and the outputs of w, never along the sum.",
    ),
}
