"""Notebook 06, GPTQ: what its exercises ask and how they are checked."""

from functools import partial

import numpy as np

from quantlab.course.checking import Case, function, value
from quantlab.course.exercise import Exercise
from quantlab.experiments.walk import W, X
from quantlab.gptq import error_diffusion, hessian, quantize_gptq

DAMPINGS = (0.001, 0.01, 0.1, 1, 10, 100, 1000)
LOST_AT_THE_END = (
    "no code is beyond top, but what the end of the grid takes from a target is lost, too: carry "
    "target less code times step."
)
DAMPING_HINT = "add the damping to H's diagonal first: 0.01 of the diagonal's mean."


def _diffusion(weights, step, top, about=None, look_at="", mistakes=()):
    """A case for diffusing one column, its codes worked out here: `step` and `top` are free."""
    codes, carried = [], 0.0
    for weight in weights:
        target = weight + carried
        codes.append(int(np.clip(np.round(target / step), -top, top)))
        carried = target - codes[-1] * step
    return Case((list(weights), step, top), codes, about, look_at=look_at, mistakes=mistakes)


def _long_column():
    """Forty weights on the grid of `error_diffusion`, whose codes it has to give."""
    column = np.random.default_rng(62).normal(size=(40, 1))
    q = error_diffusion(column, bits=4)
    return Case(
        (column.ravel().tolist(), float(q.scale.item()), 7),
        q.codes.ravel(),
        "forty weights at 4 bits",
        look_at="what is carried: the target less what comes back, not the weight less that.",
    )


def plain_from():
    """The smallest of `DAMPINGS` with which GPTQ rounds the small layer to nearest, at 4 bits."""
    h = hessian(X)
    plain = quantize_gptq(W, np.eye(len(W)), bits=4).codes  # unrelated inputs: plain rounding
    same = (np.array_equal(quantize_gptq(W, h, bits=4, damping=d).codes, plain) for d in DAMPINGS)
    return next(d for d, is_plain in zip(DAMPINGS, same, strict=True) if is_plain)


def damped(h, part=0.01, of=np.mean):
    """`h` with `part` of what `of` makes of its diagonal (that of inputs that vary) added to it."""
    diagonal = np.diag(h)
    return h + part * of(diagonal[diagonal > 0]) * np.eye(len(h))


def gptq_in_a_loop(
    w, h, bits, damp=damped, divide=lambda own, h: own, remove=True, sign=-1,
    clip=True, nearest=np.round, step=None,
):  # fmt: skip
    """Codes of the notebook's loop; or of one that does a line of it in another way.

    damp: makes the damped H of `h`. divide: gives what a loss is divided by, from the row's own
    numbers in the inverse and in the damped `h`. step: makes the steps of `w` and the top code.
    """
    w, top, h = w.copy(), 2 ** (bits - 1) - 1, damp(h)
    step = np.abs(w).max(axis=0) / top if step is None else step(w, top)
    inverse = np.linalg.inv(h)
    codes = np.zeros(w.shape, int)
    for k in range(len(w)):
        code = nearest(w[k] / step)
        codes[k] = np.clip(code, -top, top) if clip else code
        lost = (w[k] - codes[k] * step) / divide(inverse[k, k], h[k, k])
        w[k + 1 :] += sign * np.outer(inverse[k + 1 :, k], lost)
        if remove:
            inverse -= np.outer(inverse[:, k], inverse[k]) / inverse[k, k]
    return codes


# Other ways to damp: none, a part of another size, of another number, and not on the diagonal.
_DAMPED_OTHERWISE = (
    *(partial(damped, part=part) for part in (0, 0.001, 0.005, 0.02, 0.1)),
    *(partial(damped, of=of) for of in (np.median, np.max, np.sum, lambda diagonal: 1)),
    lambda h: h + 0.01 * np.diag(np.diag(h)),
    lambda h: h + 0.01 * np.diag(h).mean(),
    lambda h: h + 0.01 * h.mean() * np.eye(len(h)),
)
_FAULTS = (
    (
        {"divide": lambda own, h: 1},
        "a share is inverse[k + 1 :, k] over the row's own number, inverse[k, k].",
    ),
    (
        {"divide": lambda own, h: np.sqrt(own)},
        "divide by inverse[k, k] itself, not by its square root: that belongs to the factor.",
    ),
    (
        {"divide": lambda own, h: h},
        "divide by the row's own number in the inverse, not by the one in H.",
    ),
    ({"remove": False}, "when row k is done, take it out of the inverse."),
    *(({"damp": damp}, DAMPING_HINT) for damp in _DAMPED_OTHERWISE),
    ({"sign": 1}, "the sign: the rows below change by minus a share of what is lost."),
    ({"clip": False}, "no code may be above top or below -top: clip, before you see what is lost."),
    *(
        ({"nearest": cut}, "codes are the nearest: round, don't cut.")
        for cut in (np.trunc, np.floor)
    ),
    ({"step": lambda w, top: np.abs(w).max() / top}, "every column of W has a step of its own."),
    (
        {"step": lambda w, top: w.max(axis=0) / top},
        "steps need the largest magnitude: np.abs first.",
    ),
)


def _gptq(w, x, bits, about):
    """A case for the codes of GPTQ, with the codes of the usual faults."""
    h = hessian(x)
    nearest = np.round(w / (np.abs(w).max(axis=0) / (2 ** (bits - 1) - 1)))
    right = quantize_gptq(w, h, bits=bits)
    mistakes = (
        *((gptq_in_a_loop(w, h, bits, **fault), advice) for fault, advice in _FAULTS),
        (nearest, "these are the nearest codes: does anything reach the rows below?"),
        (right.dequantize(), "these are the values that come back: the codes are asked for."),
    )
    return Case((w, h, bits), right.codes, about, mistakes=mistakes)


def _twelve_rows():
    rng = np.random.default_rng(64)
    x = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 12)) + 0.3 * rng.normal(size=(60, 12))
    return rng.normal(size=(12, 3)), x


def _tightly_bound(size=1):
    """Six inputs that nearly move in a plane: there the damping decides some codes.

    size: what the inputs are multiplied by. It changes H, and no code.
    """
    rng = np.random.default_rng(632)
    x = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 6)) + 0.15 * rng.normal(size=(60, 6))
    return rng.normal(size=(6, 3)), size * x


EXERCISES = {
    "6.1": Exercise(
        hint="the loss of the first weight, divided by the 2 on the diagonal, is the error; the "
        "second weight changes by -(-1) times that.",
        check=value(
            [1, 0.6, 1],
            about="first code, where the second weight stands, second code",
            look_at="round 1.4; what it loses, over the 2 on the diagonal, is the error. The "
            "second weight moves by minus the number beside the diagonal times that.",
            mistakes=(
                ([1, 0.8, 1], "divide the loss by the number on the diagonal, 2, first."),
                ([1, 0.2, 0], "the sign: the change is minus (-1) times the error."),
                ([1, 0.4, 0], "that is plain rounding: the second weight has an answer to give."),
            ),
        ),
        learned="the second weight would have been 0 on its own. It makes up for the first.",
    ),
    "6.2": Exercise(
        hint="target = weight + carried; round the target; carry on what the target has lost.",
        check=function(
            _diffusion(
                [0.4, 0.4, 0.4, 1.0],
                1.0,
                1,
                mistakes=(
                    (
                        [0, 0, 0, 1],
                        "either nothing is carried or it has the wrong sign: round weight + "
                        "carried.",
                    ),
                    *(
                        (cut, "a code is the nearest whole number: round, don't cut.")
                        for cut in ([0, 0, 1, 1], [1, 0, 1, 1])
                    ),
                    ([0, 1, 1, 1], "what was carried is in the target already: count it once."),
                ),
            ),
            _diffusion(
                [0.3, 0.3, 0.3, 0.3],
                1.0,
                3,
                look_at="carry the target less what comes back, not the weight less that.",
                mistakes=(
                    ([0, 1, 0, 1], "carry target less what comes back: older losses count, too."),
                ),
            ),
            _diffusion(
                [0.07, 0.07, -0.14],
                0.2,
                7,
                "a step that is not 1",
                mistakes=(
                    ([0, 0.2, -0.2], "these are values: the codes are asked for."),
                    ([0, 1, 0], "below zero, too, a code is the nearest: int( ) cuts off."),
                    ([0, 1, -5], "a code is no weight: what comes back is code times step."),
                ),
            ),
            _diffusion(
                [1.0, 1.45, 1.45, 0.2],
                0.5,
                2,
                "weights beyond the largest code, 2",
                "no code may be above top or below -top.",
                (([2, 2, 2, 0], LOST_AT_THE_END),),
            ),
            _diffusion(
                [-1.0, -1.45, -1.45, -0.2],
                0.5,
                2,
                "weights beyond the smallest code, -2",
                "no code may be above top or below -top: the grid ends at -top, not one lower.",
                (([-2, -2, -2, 0], LOST_AT_THE_END),),
            ),
            _long_column(),
        ),
        learned="as long as no weight lies beyond the last code, the total of a column never "
        "strays by more than half a step, however long it is.",
    ),
    "6.3": Exercise(
        hint="compare ql.quantize_gptq(W, H, bits=4, damping=...).codes with those of "
        "ql.quantize_absmax(W, 4, axis=0), one damping after the other.",
        check=value(
            plain_from(),
            about="the smallest damping with which all codes are the nearest ones",
            look_at="all twelve codes have to agree, at 4 bits, and no smaller damping may do.",
            mistakes=(
                (100, "it is enough, but a smaller one is, too."),
                (1000, "it is enough, but a smaller one is, too."),
                (0.01, "that is the usual damping: with it codes differ from the nearest ones."),
            ),
        ),
        learned="ten times the mean of the diagonal: then nearly nothing is handed on. The usual "
        "0.01 is a thousand times less.",
    ),
    "6.4": Exercise(
        hint="look at the line that changes the rows below, and at section 4: a share is one "
        "number of the inverse over another.",
        check=function(
            # First: on the small layer three faults come to the same codes.
            _gptq(*_twelve_rows(), 3, "twelve rows, three columns, 3 bits"),
            _gptq(W, X, 3, "the small layer at 3 bits"),
            _gptq(W, X, 4, "the small layer at 4 bits"),
            _gptq(*_tightly_bound(), 3, "six inputs that nearly move in a plane, 3 bits"),
            _gptq(*_tightly_bound(10), 3, "the same six inputs, ten times as large"),
            look_at="the nearest code to where W[k] stands by now, from -top to top; a step for "
            "each column; a damping of 0.01 of the mean of H's diagonal.",
        ),
        learned="the codes of a broken GPTQ look like any others. Only the layer error tells.",
    ),
}
