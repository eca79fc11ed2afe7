"""Notebook 05, outliers: what its exercises ask and how they are checked."""

from dataclasses import replace

import numpy as np

from quantlab import article, errors
from quantlab.affine import quantize_absmax, quantize_zero_point, quantized_matmul
from quantlab.course.checking import Case, Property, function, value
from quantlab.course.exercise import Exercise
from quantlab.experiments import separation
from quantlab.outliers import llm_int8_matmul, outlier_columns


def _halving_thresholds(x, w, codes=False):
    """The whole thresholds at which separation halves the error of plain absmax, or does more.

    codes: take the weights that meet outliers from codes.
    """
    exact, w8 = x @ w, quantize_absmax(w, axis=0)
    plain, w = quantized_matmul(quantize_absmax(x, axis=1), w8), w8 if codes else w
    enough = errors.relative(plain, exact) / 2
    thresholds = range(1, int(np.abs(x).max()) + 1)
    good = (t for t in thresholds if errors.relative(llm_int8_matmul(x, w, t), exact) <= enough)
    return list(good)


# 5.4: the product as asked for, and as people write it instead. Its numbers are exact in FP16.


def _step(m, axis, largest=127, signed=False):
    """The steps of m, values along `axis` sharing one (None: all do)."""
    return (m if signed else np.abs(m)).max(axis=axis, keepdims=True) / largest


def _coded(m, axis, peak_of=None, largest=127, rounding=np.round, signed=False):
    """m through codes and back; axis: along which values share a step (None: all do).

    peak_of: the matrix whose largest magnitudes set the steps, if it is not m. signed: take the
    largest numbers instead.
    """
    step = _step(m if peak_of is None else peak_of, axis, largest, signed)
    return rounding(m / step) * step


def _plain(m, axis, peak_of=None):
    """m as it is, in the place of `_coded`."""
    return m


def _separated(x, w, apart, code_x=_coded, code_w=_coded, axes=(1, 0), whole=(False, False)):
    """x @ w with the columns `apart` as they are and the others through codes.

    axes: along which x and w share a step. whole: for x and for w, whether the steps are those of
    all of it, outliers of x cleared, as in the library; else those of the calm part.
    """
    cleared = np.where(np.abs(x) >= 6, 0, x)
    calm_x = code_x(x[:, ~apart], axes[0], cleared if whole[0] else None)
    calm_w = code_w(w[~apart], axes[1], w if whole[1] else None)
    return calm_x @ calm_w + x[:, apart] @ w[apart]


_WHOLE = [(x, w) for x in (False, True) for w in (False, True)]
_ALONG = (
    "has steps that change along the sum: they cannot leave it, and codes alone add up wrongly."
)


def _wrong_products(x, w, apart):
    """Yield (a product that people write, what to look at)."""
    exact = x @ w
    yield exact, "is anything rounded? The calm columns become codes from -127 to 127."
    yield from _wrongly_apart(x, w, apart, exact)
    yield from _wrong_sums(x, w, apart)
    for whole in _WHOLE:
        yield from _wrong_codes(x, w, apart, whole)
    yield (
        _separated(x, w, apart, lambda m, axis, peak_of=None: _coded(m, axis, x)),
        "an outlier sets the steps of its row: take them from the calm columns alone.",
    )
    yield _separated(x, w, apart, axes=(1, 1)), f"w {_ALONG}"
    yield _separated(x, w, apart, axes=(0, 0)), f"x {_ALONG}"
    yield _separated(x, w, apart, axes=(0, 1)), f"x {_ALONG}"


def _wrongly_apart(x, w, apart, exact):
    """Products with other columns apart, or with other things than columns."""
    far, none = np.abs(x) >= 6, np.zeros_like(apart)
    single = _coded(np.where(far, 0, x), 1) @ _coded(w, 0) + np.where(far, x, 0) @ w
    yield single, "a column stands apart as a whole: here only its single outliers do."
    rows = np.where(far.any(axis=1, keepdims=True), exact, _coded(x, 1) @ _coded(w, 0))
    yield rows, "columns of x stand apart, not rows."
    columns = (
        (none, "no column stands apart here: this is plain absmax."),
        ((x >= 6).any(axis=0), "an outlier may be negative: it is the magnitude that counts."),
        ((np.abs(x) > 6).any(axis=0), "a value equal to the threshold, 6.0, reaches it."),
        ((np.abs(x) >= 5).any(axis=0), "5.875 does not reach 6: its column stays in 8 bits."),
    )
    for others, say in columns:
        yield _separated(x, w, others), say
    outliers = x[:, apart] @ w[apart]
    yield outliers, "this is the part with the outliers alone. Where are the calm columns?"
    twice = "the outliers count twice: leave their columns out of the 8-bit part."
    yield _separated(x, w, none) + outliers, twice


def _wrong_sums(x, w, apart):
    """Products whose sums of codes are made into numbers in another way."""
    calm_x, calm_w, outliers = x[:, ~apart], w[~apart], x[:, apart] @ w[apart]
    step_x, step_w = (_step(m, axis) for m, axis in ((calm_x, 1), (calm_w, 0)))
    codes_x, codes_w = np.round(calm_x / step_x), np.round(calm_w / step_w)
    sums = codes_x @ codes_w
    yield sums + outliers, "these are sums of codes: multiply them by both steps."
    yield sums * step_x + outliers, "the steps of w are missing."
    yield sums * step_w + outliers, "the steps of x are missing."
    narrow = codes_x.astype(np.int8) @ codes_w.astype(np.int8)
    yield narrow * step_x * step_w + outliers, "int8 ran over: add up in a wider type."
    signed = _of(signed=True)
    yield _separated(x, w, apart, signed, signed), "steps need the largest magnitude: np.abs first."
    affine = quantize_zero_point(calm_x, axis=1), quantize_zero_point(calm_w, axis=0)
    yield quantized_matmul(*affine) + outliers, "this is zero-point: absmax is asked for."


def _wrong_codes(x, w, apart, whole):
    """Products with other codes. whole: as in `_separated`."""

    def form(**options):
        return _separated(x, w, apart, whole=whole, **options)

    out_x, out_w = x[:, apart], w[apart]
    yield form() - out_x @ out_w, "the part with the outliers is missing from the sum."
    yield (
        form() + _coded(out_x, 1) @ _coded(out_w, 0) - out_x @ out_w,
        "the columns apart went through codes, too. They are multiplied as they are.",
    )
    yield (
        form() + out_x @ (_coded(w, 0) - w)[apart],
        "the rows of w that meet outliers went through codes. They are used as they are.",
    )
    yield form(code_w=_plain), "only x is rounded: w needs codes too."
    yield form(code_x=_plain), "only w is rounded: x needs codes too."
    yield form(axes=(1, None)), "w has one step for all. Each of its outputs has its own."
    yield form(axes=(None, 0)), "x has one step for all. Each of its tokens has its own."
    yield form(axes=(None, None)), "one step for all of x, and one for all of w."
    for largest in (7, 31, 63, 128, 255, 511, 1023, 2047, 32767):
        many, say = _of(largest=largest), f"your largest code is {largest}."
        yield form(code_x=many, code_w=many), f"{say} Which is the largest of absmax in 8 bits?"
    for cut in (np.trunc, np.floor, np.ceil):
        cutting, say = _of(rounding=cut), "codes are the nearest: round, don't cut."
        yield form(code_x=cutting, code_w=cutting), say
        yield form(code_x=cutting), f"{say} (w is right.)"
        yield form(code_w=cutting), f"{say} (x is right.)"


def _of(**options):
    return lambda m, axis, peak_of=None: _coded(m, axis, peak_of, **options)


def _agree(result, wanted, x, w):
    """Whether two products are the same but for what FP16 and FP32 round off.

    FP16 loses at most 2^-11 of a number: once in the outliers' part, once in the sum. (The
    package's own 1/127^2 is 2e-5 too large, which is less.)
    """
    slack = (np.abs(x) @ np.abs(w)) * 2.0**-10
    return result.shape == wanted.shape and bool(np.all(np.abs(result - wanted) <= slack))


def _advice(result, x, w, apart):
    """Return what to look at: of the wrong products that `_agree`, one that is equal goes first."""
    near = [(p, say) for p, say in _wrong_products(x, w, apart) if _agree(result, p, x, w)]
    equal = [(p, say) for p, say in near if np.allclose(result, p, rtol=1e-9, atol=1e-9)]
    return next((say for _, say in equal + near), "")


def _numbers(tokens, features, out):
    """x and w of steps that differ from row to row and from column to column, and what is apart."""
    rng = np.random.default_rng(100 * tokens + features)
    odd = 2 * rng.integers(-16, 16, tokens * features + features * out) + 1  # no code is a tie
    x = odd[: tokens * features].reshape(tokens, -1) / 8 * 0.5 ** np.arange(tokens)[:, None]
    w = odd[tokens * features :].reshape(features, -1) / 16 * 0.5 ** np.arange(out)
    # Elsewhere in every case: two columns that go by number are no answer.
    far, just, below = rng.permutation(features)[:3]
    x[tokens - 1, far], x[0, just], x[0, below] = -512.0, 6.0, 5.875
    return x, w, (np.abs(x) >= 6).any(axis=0)


def _product(tokens, features, out):
    """Return a check of a separated product on one pair of matrices, which knows mistakes."""
    x, w, apart = _numbers(tokens, features, out)
    right = [_separated(x, w, apart, whole=whole) for whole in _WHOLE]

    def check(answer):
        seen = []

        def holds(result):
            try:
                seen.append(np.asarray(result, dtype=np.float64))
            except (TypeError, ValueError):
                return False  # no matrix of numbers: the case alone says what is asked for
            return any(_agree(seen[0], wanted, x, w) for wanted in right)

        wrong = function(
            Property(
                (x, w),
                holds,
                "what 8-bit codes of the calm columns and the others as they are give",
                f"x {x.shape} with outliers in two columns, w {w.shape}",
                "one step per row of x, of shape (rows, 1), and one per column of w: the largest "
                "magnitude over 127. Codes are the nearest; only columns that reach 6.0 go apart.",
            )
        )(answer)
        if wrong is None or not seen:
            return wrong
        if seen[0].shape != right[0].shape:
            advice = f"the shape: yours is {seen[0].shape}, a row per token is expected."
        else:
            advice = _advice(seen[0], x, w, apart)
        return replace(wrong, look_at=advice or wrong.look_at)

    return check


def _products(*checks):
    return lambda answer: next((w for check in checks if (w := check(answer))), None)


_X, _W = separation.sample()
_HALVING = _halving_thresholds(_X, _W)
_HALF = max(_HALVING)
_FROM_CODES = max(_halving_thresholds(_X, _W, codes=True))
_NONE = int(np.abs(_X).max()) + 1  # the lowest threshold that no column reaches

EXERCISES = {
    "5.1": Exercise(
        hint="write down the largest magnitude of each column, and compare it with 4.5.",
        check=value(
            [16 if (np.abs(column) >= 4.5).any() else 8 for column in article.X.T],
            about="bits of the four columns of X at threshold 4.5",
            look_at="one value at or above 4.5, of either sign, is enough for its column.",
            mistakes=(
                ([True, True, False, True], "bits are asked for, 8 or 16, a number per column."),
                (["16", "16", "8", "16"], "numbers are asked for: leave the quotes away."),
                ([16, 16, 16], "these are the rows. X has four columns."),
                ([8, 16, 8], "these are the rows. X has four columns."),
                ([16, 16, 8, 8], "-4.913 has the magnitude 4.913."),
                ([16, 16, 16, 8], "4.027 is below 4.5. Which column has -4.913?"),
                ([8, 16, 8, 8], "7.408 reaches 4.5, and so does -4.913."),
                ([8, 16, 8, 16], "7.408 reaches 4.5."),
                ([16, 16, 16, 16], "4.027 is the largest of its column, and below 4.5."),
                ([0, 1, 3], "these are the columns. In how many bits is each of the four?"),
                ([2, 2, 1, 2], "these are bytes. Bits are asked for, 8 or 16."),
                ([8, 8, 16, 8], "columns of 16 bits are those that do reach the threshold."),
            ),
        ),
        learned="three of four columns: a threshold a little lower, and little is left in 8 bits.",
    ),
    "5.2": Exercise(
        hint="every column of x takes as many multiplications as any other.",
        check=function(
            Case(
                (article.X, 6.0),
                0.5,
                "the article's X, threshold 6",
                mistakes=(
                    (2, "this is how many columns go. Which share of all columns is it?"),
                    ([0, 1], "these are the columns. Which share of all columns is it?"),
                    (
                        [True, True, False, False],
                        "this says which columns go. Which share of all columns is it?",
                    ),
                    (50, "a share from 0 to 1 is asked for, not percent."),
                    (2 / 3, "divide by the number of columns, not of rows."),
                    (2 / 12, "count columns, not values: a column goes as a whole."),
                    (1 / 3, "any along a column: this one looks along the rows."),
                ),
            ),
            Case(
                (np.array([[1.0, 9.0, 0.5, 2.0], [2.0, 8.0, 1.0, 0.1], [0.3, 5.0, 2.0, 1.0]]), 6.0),
                0.25,
                "two outliers in one column of four",
                mistakes=((0.75, "this is the share in 8 bits. The share in 16 is asked for."),),
                look_at="a column counts once, however many outliers it holds.",
            ),
            Case(
                (np.array([[1.0, -7.0], [2.0, 3.0]]), 6.0),
                0.5,
                "a negative outlier",
                look_at="it is the magnitude that counts.",
                mistakes=((0.25, "divide by the number of columns that x has."),),
            ),
            Case(
                (np.array([[6.0, 5.9]]), 6.0),
                0.5,
                "a value equal to the threshold",
                look_at="a value that equals the threshold reaches it.",
            ),
            Case((np.array([[1.0, 2.0, 3.0]]), 6.0), 0.0, "no outlier at all"),
            Case(
                (article.X, 4.5),
                0.75,
                "the article's X, threshold 4.5",
                look_at="is the threshold the one that was handed in?",
            ),
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
                (1, "1 halves it too, with nearly all in 16 bits. The largest is asked for."),
                (6, "6 does far more than halve it. The largest is asked for."),
                (
                    _FROM_CODES,
                    "here the weights come from codes: hand over w itself, not its codes.",
                ),
                *(
                    (t, f"{t} halves the error, and it is not the largest that does.")
                    for t in _HALVING
                    if t not in (1, 6, _FROM_CODES)
                ),
                *(
                    (t, f"at {_NONE} and above, is any column still set apart?")
                    for t in (*range(_NONE, 202), 500, 1000, 2000)
                ),
                *((t, f"{t} leaves more than half of the error.") for t in range(_HALF + 2, _NONE)),
            ),
        ),
        learned=f"at {_HALF} only {len(outlier_columns(_X, _HALF))} of 64 columns are in 16 bits: "
        "the first outliers buy the most.",
    ),
    "5.4": Exercise(
        hint="the sum runs over the columns of x. Which axis may a scale not change along?",
        check=_products(
            _product(3, 6, 4),
            _product(3, 9, 2),
            _product(5, 7, 6),
        ),
        learned="scales run along the tokens of x and the outputs of w, never along the sum.",
    ),
}
