"""The exercises of notebook 06 accept what is right and name the usual mistakes."""

from fractions import Fraction
from functools import partial

import numpy as np

import quantlab as ql
from quantlab.course.exercises import ch06
from quantlab.experiments.walk import W, X


def diffusion(weights, step, top, forgets=False, clips=True):
    codes, carried = [], 0.0
    for weight in weights:
        target = weight + carried
        code = np.round(target / step)
        codes.append(int(np.clip(code, -top, top) if clips else code))
        carried = (weight if forgets else target) - codes[-1] * step
    return codes


def forgets_older_losses(weights, step, top):
    return diffusion(weights, step, top, forgets=True)


def never_clips(weights, step, top):
    return diffusion(weights, step, top, clips=False)


def rounds_each_alone(weights, step, top):
    return [int(np.clip(np.round(weight / step), -top, top)) for weight in weights]


def carries_with_the_wrong_sign(weights, step, top):
    codes, carried = [], 0.0
    for weight in weights:
        target = weight - carried
        codes.append(int(np.clip(np.round(target / step), -top, top)))
        carried = target - codes[-1] * step
    return codes


def clips_at_the_end(weights, step, top):
    return np.clip(diffusion(weights, step, top, clips=False), -top, top).tolist()


def clips_the_target(weights, step, top):
    codes, carried = [], 0.0
    for weight in weights:
        target = np.clip(weight + carried, -top * step, top * step)
        codes.append(round(target / step))
        carried = target - codes[-1] * step
    return codes


def takes_the_step_to_be_one(weights, step, top):
    return diffusion(weights, 1.0, top)


def right_gptq(w, h, bits):
    return ql.quantize_gptq(w, h, bits).codes


def nearest(w, h, bits):
    return ql.quantize_absmax(w, bits, axis=0).codes


def forgets_to_divide(w, h, bits):
    return ch06.gptq_in_a_loop(w, h, bits, divide=lambda own, h: 1)


def divides_by_the_root(w, h, bits):
    return ch06.gptq_in_a_loop(w, h, bits, divide=lambda own, h: np.sqrt(own))


def divides_by_the_number_in_damped_h(w, h, bits):
    return ch06.gptq_in_a_loop(w, h, bits, divide=lambda own, h: h)


def divides_by_the_number_in_h(w, h, bits):
    added = 0.01 * np.diag(h).mean()
    return ch06.gptq_in_a_loop(w, h, bits, divide=lambda own, damped: damped - added)


def forgets_to_remove(w, h, bits):
    return ch06.gptq_in_a_loop(w, h, bits, remove=False)


def damps_too_much(w, h, bits):
    return ch06.gptq_in_a_loop(w, h, bits, damp=partial(ch06.damped, part=3.0))


def undamped(w, h, bits):
    return ch06.gptq_in_a_loop(w, h, bits, damp=partial(ch06.damped, part=0))


def damps_a_tenth(w, h, bits):
    return ch06.gptq_in_a_loop(w, h, bits, damp=partial(ch06.damped, part=0.001))


def damps_without_the_mean(w, h, bits):
    return ch06.gptq_in_a_loop(w, h, bits, damp=partial(ch06.damped, of=lambda diagonal: 1))


def half_up(weights, step, top):
    codes, carried = [], 0.0
    for weight in weights:
        target = weight + carried
        codes.append(min(max(int(np.floor(target / step + 0.5)), -top), top))
        carried = target - codes[-1] * step
    return np.array(codes)


def one_code_lower(weights, step, top):
    codes, carried = [], 0.0
    for weight in weights:
        target = weight + carried
        codes.append(min(max(round(target / step), -top - 1), top))
        carried = target - codes[-1] * step
    return codes


def values(weights, step, top):
    return [code * step for code in diffusion(weights, step, top)]


def rounded(whole):
    """Error diffusion whose codes are made by `whole`."""

    def diffuse(weights, step, top):
        codes, carried = [], 0.0
        for weight in weights:
            target = weight + carried
            codes.append(int(min(max(whole(target / step), -top), top)))
            carried = target - codes[-1] * step
        return codes

    return diffuse


def one_step(w, h, bits):
    return ch06.gptq_in_a_loop(w, h, bits, step=lambda w, top: np.abs(w).max() / top)


RIGHT = {
    "6.1": [[1, 0.6, 1], (1, 0.6, 1.0), [1, Fraction(3, 5), 1], np.array([1, 1.4 - 0.8, 1])],
    "6.2": [diffusion, half_up, lambda *args: [float(code) for code in diffusion(*args)]],
    "6.3": [10, 10.0, np.int64(10), Fraction(10)],
    "6.4": [right_gptq, ch06.gptq_in_a_loop, lambda *args: right_gptq(*args).tolist()],
}

WRONG = [
    ("6.1", [1, 0.8, 1], "divide the loss"),
    ("6.1", [1, 0.2, 0], "the sign"),
    ("6.1", [1, 0.4, 0], "plain rounding"),
    ("6.1", [2, 0.6, 1], "round 1.4"),
    ("6.1", [1, 1], "the shape"),
    ("6.2", rounds_each_alone, "nothing is carried"),
    ("6.2", carries_with_the_wrong_sign, "the wrong sign"),
    ("6.2", clips_at_the_end, "the end of the grid takes"),
    ("6.2", clips_the_target, "the end of the grid takes"),
    ("6.2", forgets_older_losses, "older losses count"),
    ("6.2", takes_the_step_to_be_one, "a step that is not 1"),
    ("6.2", values, "the codes are asked for"),
    ("6.2", never_clips, "above top"),
    ("6.2", rounded(np.floor), "round, don't cut"),
    ("6.2", rounded(np.ceil), "round, don't cut"),
    ("6.2", rounded(lambda steps: int(steps + 0.5)), "int( ) cuts off"),
    ("6.2", one_code_lower, "not one lower"),
    ("6.2", lambda *args: print(diffusion(*args)), "`return` it"),
    ("6.3", 1, "all twelve codes"),
    ("6.3", 100, "a smaller one is, too"),
    ("6.3", 0.01, "the usual damping"),
    ("6.3", "10", "leave the quotes away"),
    ("6.4", forgets_to_divide, "inverse[k, k]"),
    ("6.4", forgets_to_remove, "take it out of the inverse"),
    ("6.4", divides_by_the_root, "not by its square root"),
    ("6.4", divides_by_the_number_in_damped_h, "not by the one in H"),
    ("6.4", divides_by_the_number_in_h, "not by the one in H"),
    ("6.4", nearest, "the nearest codes"),
    ("6.4", undamped, "0.01 of the diagonal's mean"),
    ("6.4", damps_a_tenth, "0.01 of the diagonal's mean"),
    ("6.4", damps_without_the_mean, "0.01 of the diagonal's mean"),
    ("6.4", damps_too_much, "damping of 0.01"),
    *(
        ("6.4", partial(ch06.gptq_in_a_loop, damp=damp), "0.01 of the diagonal's mean")
        for damp in ch06._DAMPED_OTHERWISE
    ),
    ("6.4", partial(ch06.gptq_in_a_loop, sign=1), "the sign"),
    ("6.4", partial(ch06.gptq_in_a_loop, clip=False), "above top or below -top"),
    ("6.4", partial(ch06.gptq_in_a_loop, nearest=np.trunc), "don't cut"),
    ("6.4", one_step, "a step of its own"),
    ("6.4", lambda w, h, bits: ql.quantize_gptq(w, h, bits).dequantize(), "values that come back"),
    ("6.4", lambda w, h, bits: ql.quantize_gptq(w, h, bits), ".codes"),
]


def test_the_step_by_hand_is_that_of_quantlab():
    h = np.linalg.inv([[2.0, -1.0], [-1.0, 1.0]])
    # 3 bits and a third weight that no other input touches put the grid at step 1.
    w = np.array([[1.4], [0.4], [3.0]])
    steps = list(ql.gptq_steps(w, np.block([[h, np.zeros((2, 1))], [0, 0, 1]]), 3, damping=0))
    found = [steps[0].codes[0], steps[1].weights[0], steps[1].codes[0]]
    assert np.allclose(found, RIGHT["6.1"][0], rtol=0, atol=1e-12)


def test_only_dampings_below_the_answer_leave_other_codes():
    plain = nearest(W, None, 4)
    for damping in ch06.DAMPINGS:
        codes = ql.quantize_gptq(W, ql.hessian(X), 4, damping=damping).codes
        assert np.array_equal(codes, plain) == (damping >= ch06.plain_from())


def test_on_the_small_layer_three_faults_look_alike_so_it_is_not_the_first_case():
    """Told apart by their codes on twelve rows, each fault gets the hint that is its own."""
    faults = forgets_to_remove, divides_by_the_root, divides_by_the_number_in_damped_h
    for (w, x), kinds in (((W, X), 1), (ch06._twelve_rows(), 3)):
        assert len({fault(w, ql.hessian(x), 3).tobytes() for fault in faults}) == kinds


def test_a_column_may_stray_further_where_a_weight_lies_beyond_the_last_code():
    weights, step = np.array([1.0, 1.45, 1.45, 0.2]), 0.5
    lost = np.cumsum(weights - step * np.array(diffusion(weights, step, 2)))
    assert np.isclose(np.abs(lost / step).max(), 1.8)


def test_no_case_of_an_exercise_lies_on_a_tie():
    """Sums in another order must not turn a right answer into a wrong one."""
    for w, x, bits in (
        (W, X, 3),
        (W, X, 4),
        (*ch06._twelve_rows(), 3),
        (*ch06._tightly_bound(), 3),
        (*ch06._tightly_bound(10), 3),
    ):
        scale = ql.quantize_absmax(w, bits, axis=0).scale[0]
        for step in ql.gptq_steps(w, ql.hessian(x), bits):
            parts = step.weights / scale - np.floor(step.weights / scale)
            assert np.abs(parts - 0.5).min() > 1e-4
