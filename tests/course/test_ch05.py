"""The exercises of notebook 05 accept what is right and name the usual mistakes."""

import numpy as np
import pytest

import quantlab as ql
from quantlab.course import verdict
from quantlab.course.exercises import ch05


def right_share(x, threshold):
    return len(ql.outlier_columns(x, threshold)) / x.shape[1]


def share_of_values(x, threshold):
    return (np.abs(x) >= threshold).mean()


def share_of_rows(x, threshold):
    return (np.abs(x) >= threshold).any(axis=1).mean()


def only_positive(x, threshold):
    return (x >= threshold).any(axis=0).mean()


def above_only(x, threshold):
    return (np.abs(x) > threshold).any(axis=0).mean()


def separated(x, w, axis, keepdims=True):
    apart = (np.abs(x) >= 6.0).any(axis=0)
    calm_x, calm_w = x[:, ~apart], w[~apart]
    step_x = np.abs(calm_x).max(axis=axis, keepdims=keepdims) / 127
    step_w = np.abs(calm_w).max(axis=0) / 127
    codes = np.round(calm_x / step_x) @ np.round(calm_w / step_w)
    return codes * step_x * step_w + x[:, apart] @ w[apart]


def right_product(x, w):
    return separated(x, w, axis=1)


def broken_product(x, w):
    return separated(x, w, axis=0, keepdims=False)


def one_scale(x, w):
    return separated(x, w, axis=None)


def columns_lost(x, w):
    apart = (np.abs(x) >= 6.0).any(axis=0)
    return np.asarray(right_product(x, w)) - x[:, apart] @ w[apart]


RIGHT = {
    "5.1": [16, 16, 8, 16],
    "5.2": right_share,
    "5.3": ch05._HALF,
    "5.4": right_product,
}


@pytest.mark.parametrize("id", ch05.EXERCISES)
def test_the_right_answer_is_right(id):
    assert verdict(id, RIGHT[id]).state == "right"


@pytest.mark.parametrize("stored", [False, True], ids=["real_w", "codes"])
def test_the_package_s_own_product_is_no_repair_only_if_the_weights_lost_bits(stored):
    def product(x, w):
        return ql.llm_int8_matmul(x, ql.quantize_absmax(w, axis=0) if stored else w)

    # Weights decoded from codes keep an error that the outlier multiplies: over the bound.
    assert verdict("5.4", product).state == ("wrong" if stored else "right")


@pytest.mark.parametrize("id", ch05.EXERCISES)
def test_no_answer_gets_the_hint(id):
    for nothing in (..., lambda *args: ...) if callable(RIGHT[id]) else (..., [..., 8]):
        found = verdict(id, nothing)
        assert found.state == "unanswered" and "Hint:" in found.text


@pytest.mark.parametrize(
    "id, answer, says",
    [
        ("5.1", [16, 16, 8, 8], "magnitude 4.913"),
        ("5.1", [16, 16, 16, 8], "4.027 is below"),
        ("5.1", [8, 16, 8, 8], "7.408 reaches"),
        ("5.1", [8, 8, 16, 8], "do reach"),
        ("5.1", [16, 16], "the shape"),
        ("5.2", share_of_values, "article's X"),
        ("5.2", share_of_rows, "article's X"),
        ("5.2", only_positive, "a negative outlier"),
        ("5.2", above_only, "equal to the threshold"),
        ("5.3", ch05._HALF + 1, "a little more than half"),
        ("5.3", 50, "not the largest"),
        ("5.3", 6, "far more than halve"),
        ("5.4", broken_product, "one step per row"),
        ("5.4", one_scale, "one step per row"),
        ("5.4", columns_lost, "one step per row"),
        ("5.4", lambda x, w: x @ w, "become codes"),
    ],
)
def test_a_usual_mistake_is_wrong_and_named(id, answer, says):
    found = verdict(id, answer)
    assert found.state == "wrong" and says in " ".join(found.text.split())


def test_the_wrong_axis_raises_nothing_where_calm_columns_and_outputs_are_as_many():
    x, w = ch05._product(4, 5, 4).args
    assert broken_product(x, w).shape == (4, 4)


def test_the_halving_threshold_halves_and_the_next_one_does_not():
    x, w = ch05._X, ch05._W
    plain = ql.quantized_matmul(ql.quantize_absmax(x, axis=1), ql.quantize_absmax(w, axis=0))
    half = ql.errors.relative(plain, x @ w) / 2
    at, after = (
        ql.errors.relative(ql.llm_int8_matmul(x, w, t), x @ w) for t in (ch05._HALF, ch05._HALF + 1)
    )
    assert at <= half < after
