"""The exercises of notebook 06 accept what is right and name the usual mistakes."""

import numpy as np
import pytest

import quantlab as ql
from quantlab.course import verdict
from quantlab.course.exercises import ch06
from quantlab.show.gptq_stepper import W, X


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


def takes_the_step_to_be_one(weights, step, top):
    return diffusion(weights, 1.0, top)


def right_gptq(w, h, bits):
    return ql.quantize_gptq(w, h, bits).codes


def nearest(w, h, bits):
    return ql.quantize_absmax(w, bits, axis=0).codes


def forgets_to_divide(w, h, bits):
    return ch06.gptq_in_a_loop(w, h, bits, divide=False)


def forgets_to_remove(w, h, bits):
    return ch06.gptq_in_a_loop(w, h, bits, remove=False)


def damps_too_much(w, h, bits):
    return ch06.gptq_in_a_loop(w, h, bits, damping=3.0)


RIGHT = {"6.1": [1, 0.6, 1], "6.2": diffusion, "6.3": 10, "6.4": right_gptq}


@pytest.mark.parametrize("id", ch06.EXERCISES)
def test_the_right_answer_is_right(id):
    assert verdict(id, RIGHT[id]).state == "right"


def test_the_loop_of_the_notebook_is_right_too():
    assert verdict("6.4", ch06.gptq_in_a_loop).state == "right"


def test_the_step_by_hand_is_that_of_quantlab():
    h = np.linalg.inv([[2.0, -1.0], [-1.0, 1.0]])
    # 3 bits and a third weight that no other input touches put the grid at step 1.
    w = np.array([[1.4], [0.4], [3.0]])
    steps = list(ql.gptq_steps(w, np.block([[h, np.zeros((2, 1))], [0, 0, 1]]), 3, damping=0))
    found = [steps[0].codes[0], steps[1].weights[0], steps[1].codes[0]]
    assert np.allclose(found, RIGHT["6.1"], rtol=0, atol=1e-12)


def test_only_dampings_below_the_answer_leave_other_codes():
    plain = nearest(W, None, 4)
    for damping in ch06.DAMPINGS:
        codes = ql.quantize_gptq(W, ql.hessian(X), 4, damping=damping).codes
        assert np.array_equal(codes, plain) == (damping >= ch06.plain_from())


@pytest.mark.parametrize("id", ch06.EXERCISES)
def test_no_answer_gets_the_hint(id):
    for nothing in (..., lambda *args: ...) if callable(RIGHT[id]) else (..., [..., ...]):
        found = verdict(id, nothing)
        assert found.state == "unanswered" and "Hint:" in found.text


@pytest.mark.parametrize(
    "id, answer, says",
    [
        ("6.1", [1, 0.8, 1], "divide the loss"),
        ("6.1", [1, 0.2, 0], "the sign"),
        ("6.1", [1, 0.4, 0], "plain rounding"),
        ("6.1", [2, 0.6, 1], "1.4 gets code 1"),
        ("6.2", rounds_each_alone, "nothing is carried"),
        ("6.2", forgets_older_losses, "older losses count"),
        ("6.2", takes_the_step_to_be_one, "a step that is not 1"),
        ("6.2", never_clips, "above top"),
        ("6.3", 1, "all twelve codes"),
        ("6.3", 100, "a smaller one is, too"),
        ("6.4", forgets_to_divide, "inverse[k, k]"),
        ("6.4", forgets_to_remove, "take it out of the inverse"),
        ("6.4", nearest, "the nearest codes"),
        ("6.4", damps_too_much, "damping of 0.01"),
    ],
)
def test_a_usual_mistake_is_wrong_and_named(id, answer, says):
    found = verdict(id, answer)
    assert found.state == "wrong" and says in " ".join(found.text.split())


def test_no_case_of_an_exercise_lies_on_a_tie():
    """Sums in another order must not turn a right answer into a wrong one."""
    for w, x, bits in ((W, X, 3), (W, X, 4), (*ch06._twelve_rows(), 3)):
        scale = ql.quantize_absmax(w, bits, axis=0).scale[0]
        for step in ql.gptq_steps(w, ql.hessian(x), bits):
            parts = step.weights / scale - np.floor(step.weights / scale)
            assert np.abs(parts - 0.5).min() > 1e-4
