"""The exercises of notebook 12 accept what is right and name the usual mistakes."""

from fractions import Fraction

import numpy as np
import pytest

import quantlab as ql
from quantlab import course
from quantlab.course.exercises import ch12
from quantlab.experiments.lattice import lattice


def scales(x, w, alpha):
    x, w = np.abs(x), np.abs(w)
    return x.max(axis=0) ** alpha / w.max(axis=1) ** (1 - alpha)


def scales_of_columns_of_w(x, w, alpha):
    return scales(x, np.transpose(w), alpha)


def scales_with_signs(x, w, alpha):
    return np.max(x, axis=0) ** alpha / np.max(w, axis=1) ** (1 - alpha)


def scales_without_powers(x, w, alpha):
    return scales(x, w, 0.5) ** 2


def recursive_walk(values):
    values = np.array(values, float)
    if len(values) == 1:
        return values
    a, b = np.split(values, 2)
    return np.append(recursive_walk(a + b), recursive_walk(a - b)) / np.sqrt(2)


def looped_walk(values):
    values, apart, many = list(map(float, values)), 1, len(values)
    while apart < many:
        for i in range(many):
            if not i & apart:
                a, b = values[i], values[i + apart]
                values[i], values[i + apart] = a + b, a - b
        apart *= 2
    return [value / many**0.5 for value in values]


def overwriting_walk(values):
    values, apart, many = list(map(float, values)), 1, len(values)
    while apart < many:
        for i in range(many):
            if not i & apart:
                values[i] = values[i] + values[i + apart]
                values[i + apart] = values[i] - values[i + apart]
        apart *= 2
    return [value / many**0.5 for value in values]


def first_round_only(values):
    values = np.array(values, float).reshape(-1, 2)
    return np.stack([values.sum(axis=1), values[:, 0] - values[:, 1]], axis=1).ravel() / np.sqrt(2)


def fold(gain, w, q):
    return q.T @ np.diag(gain) @ w


def fold_late(gain, w, q):
    return gain[:, None] * (q.T @ w)


def babai(arrows, target):
    """Another way to the same codes: the triangle of the arrows, solved from below."""
    one, other = arrows
    share = (one @ other) / (other @ other)
    up = one - share * other
    first = np.round((target @ up) / (up @ up))
    second = np.round((target @ other) / (other @ other) - first * share)
    return [first, second]


def gptq(arrows, target):
    w = np.append(np.linalg.solve(arrows.T, target), 7.0)[:, None]
    x = np.block([[arrows.T, np.zeros((2, 1))], [np.zeros((1, 2)), 1.0]])
    return ql.quantize_gptq(w, ql.hessian(x), bits=4, damping=0).codes[:2, 0]


def nearest(arrows, target):
    return np.round(np.linalg.solve(arrows.T, target))


def best(arrows, target):
    codes = np.indices((13, 13)).reshape(2, -1).T - 6
    return codes[np.linalg.norm(codes @ arrows - target, axis=1).argmin()]


RIGHT = {
    "12.1": [[5, 3, 3, 5], (5.0, 3, 3, Fraction(5)), np.array([5, 3, 3, 5.0])],
    "12.2": [
        scales,
        ql.transforms.smooth_scales,
        lambda *args: scales(*args).tolist(),
        lambda x, w, alpha: scales(np.float32(x), np.float32(w), alpha),
    ],
    "12.3": [
        recursive_walk,
        looped_walk,
        ql.transforms.hadamard_product,
        lambda values: np.array(values) @ ql.transforms.hadamard(len(values)),
        lambda values: ql.transforms.hadamard_product(np.float32(values)),
    ],
    "12.4": [
        fold,
        lambda gain, w, q: q.T @ (gain[:, None] * w),
        lambda gain, w, q: np.linalg.solve(q, gain[:, None] * w),
        lambda gain, w, q: fold(np.float32(gain), np.float32(w), np.float32(q)),
    ],
    "12.5": [babai, gptq, lambda *args: tuple(map(int, babai(*args)))],
}

WRONG = [
    ("12.1", [10, 6, 6, 10], "halve at the end"),
    ("12.1", [5, 3, 5, 3], "the last two columns"),
    ("12.1", [5, 5, 3, 3], "the second column"),
    ("12.1", [2.5, 1.5, 1.5, 2.5], "not over 4"),
    ("12.1", [8, 0, 0, 2], "all halved"),
    ("12.1", [5, 3], "the shape"),
    ("12.2", lambda x, w, alpha: 1 / scales(x, w, alpha), "the inverse"),
    ("12.2", scales_with_signs, "magnitudes count"),
    ("12.2", scales_of_columns_of_w, "different axes"),
    ("12.2", scales_without_powers, "has its power"),
    ("12.2", lambda x, w, alpha: scales(x, w, 0.5), "alpha is an argument"),
    ("12.2", lambda x, w, alpha: print(scales(x, w, alpha)), "`return` it"),
    ("12.3", lambda values: recursive_walk(values) * len(values) ** 0.5, "one thing is missing"),
    ("12.3", lambda values: recursive_walk(values) / len(values) ** 0.5, "divide by the root"),
    ("12.3", first_round_only, "before you overwrite"),
    ("12.3", overwriting_walk, "before you overwrite"),
    ("12.3", lambda values: values, "before you overwrite"),
    ("12.4", fold_late, "not turned yet"),
    ("12.4", lambda gain, w, q: q.T @ w, "where is the gain"),
    ("12.4", lambda gain, w, q: q @ (gain[:, None] * w), "what undoes it is Q.T"),
    ("12.4", lambda gain, w, q: gain[:, None] * w @ q, "this turns the outputs"),
    ("12.4", lambda gain, w, q: q.T @ (w * gain), "multiplies *rows*"),
    ("12.4", lambda gain, w, q: w, "for every x"),
    ("12.5", nearest, "rounding to nearest"),
    ("12.5", best, "nearest point of all"),
    ("12.5", lambda arrows, target: babai(arrows[::-1], target)[::-1], "rounded first"),
    ("12.5", lambda arrows, target: babai(arrows, -target), "how many times"),
]


def test_the_turned_four_are_those_of_hadamard():
    assert np.array_equal([8, 0, 0, 2] @ ql.transforms.hadamard(4), RIGHT["12.1"][0])


def test_fold_then_turn_is_the_old_layer_and_turn_then_fold_is_not():
    rng = np.random.default_rng(0)
    x, (gain, w, q) = rng.normal(size=(9, 4)), ch12._fold(1, 4, "").args
    old = (x * gain) @ w
    assert np.allclose((x @ q) @ fold(gain, w, q), old)
    assert not np.allclose((x @ q) @ fold_late(gain, w, q), old, rtol=0.1)


def test_no_target_of_the_walk_lies_on_a_tie():
    """Sums in another order must not turn a right answer into a wrong one."""
    for lean, weights in ((0.8, (0.4, 0.4)), (0.8, (0.3, 0.8)), (-0.7, (0.7, 0.2)),
                          (0.9, (0.6, 0.9)), (0.0, (0.3, 0.8))):  # fmt: skip
        kept = {
            tuple(lattice(lean, np.add(weights, (a, b))).gptq.codes)
            for a in (-1e-6, 1e-6)
            for b in (-1e-6, 1e-6)
        }
        assert len(kept) == 1


def across(one, other):
    return one - (one @ other) / (other @ other) * other


WRONG_WALKS = {
    "nothing is taken off": lambda one, other, t: [
        round(t @ across(one, other) / (across(one, other) @ across(one, other))),
        round(t @ other / (other @ other)),
    ],
    "rounding to nearest": lambda one, other, t: [
        *map(round, np.linalg.lstsq(np.stack([one, other]).T, t, rcond=None)[0])
    ],
    "only the first output": lambda one, other, t: [
        round(t[1] / one[1]),
        round(t[0] - round(t[1] / one[1]) * one[0]),
    ],
}


@pytest.mark.parametrize("name", WRONG_WALKS)
def test_a_walk_that_leaves_a_step_out_is_wrong(name, capsys):
    course.check("12.5", lambda arrows, target: WRONG_WALKS[name](*arrows, target))
    assert capsys.readouterr().out.startswith("✗")
