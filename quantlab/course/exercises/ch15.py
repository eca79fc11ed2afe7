"""Exercises of notebook 15: a slope through rounding, three values, what adapters take and add."""

import numpy as np

from quantlab.course.checking import Case, function
from quantlab.course.exercise import Exercise
from quantlab.ternary import quantize_ternary


def _slope_case(w, x, target, about):
    """A case of exercise 15.1, with the slopes that people take for it."""
    away = np.round(w) * x - target
    right = 2 * away * x
    smooth = 2 * (w * x - target) * x
    mistakes = [
        (smooth, "forward the weight is rounded: the model says round(w) * x."),
        (2 * (np.round(w * x) - target) * x, "the weight is rounded, not its product with x."),
        (2 * away * np.round(w), "what it says grows with w by x, and not by the weight."),
        (0, "that is the honest slope; straight through acts as if round were not there."),
        (2 * away, "the weight is multiplied by x: so is its slope."),
        (away * x, "the slope of a square has a factor: 2 times what is squared."),
        (away**2, "this is the loss; its slope is asked for."),
        (2 * away * abs(x), "a negative input turns the slope: it is x itself that counts."),
        (-right, "this points downhill; the slope points uphill."),
        *(
            (2 * (cut(w) * x - target) * x, "the weight is rounded to the nearest, not cut off.")
            for cut in (np.floor, np.ceil, np.trunc)
        ),
    ]
    apart = tuple(pair for pair in mistakes if not np.isclose(pair[0], right))
    return Case((w, x, target), right, about, mistakes=apart)


def _coded(w, scale):
    return np.clip(np.round(w / scale), -1, 1)


def _ternary_case(rows, about):
    """A case of exercise 15.2, with other scales and what is forgotten."""
    w = np.array(rows)
    q = quantize_ternary(w)
    free, sizes = np.round(w / q.scale), np.abs(w)
    wholly = "one scale serves the whole matrix: the mean of all magnitudes."
    mistakes = [
        (q.dequantize(), "these are the values; the codes are asked for, -1, 0 and 1."),
        (free, "a weight of more than 1.5 scales still has the code 1: clip."),
        (_coded(w, np.median(sizes)), "the scale is the mean of the magnitudes, no median."),
        (np.sign(w), "what is below half of the scale becomes 0."),
        (_coded(w, w.mean()), "the scale is the mean of the magnitudes: np.abs comes first."),
        (np.clip(np.trunc(w / q.scale), -1, 1), "this cuts off; round to the nearest."),
    ]
    mistakes += [(_coded(w, sizes.mean(axis, keepdims=True)), wholly) for axis in (0, 1)]
    mistakes += [(_coded(w, w.std()), "the scale is the mean of the magnitudes, no spread.")]
    for scale in (sizes.max(), sizes.max() / 2):
        mistakes += [(_coded(w, scale), "the scale is the mean of the magnitudes, no maximum.")]
    squares = np.sqrt(np.mean(w**2))
    mistakes += [(_coded(w, squares), "the scale is the mean of the magnitudes, not of squares.")]
    for cut in (np.floor, np.ceil):
        mistakes += [(np.clip(cut(w / q.scale), -1, 1), "this cuts off; round to the nearest.")]
    mistakes += [(np.round(np.clip(w, -1, 1)), "what is the scale? Divide by it first.")]
    apart = tuple(pair for pair in mistakes if not np.array_equal(pair[0], q.codes))
    return Case((w,), q.codes, about, mistakes=apart)


def _reach_case(rate, steps, about):
    """A case of exercise 15.3, with the usual miscounts."""
    right = rate * (steps + 1) / 2
    mistakes = [
        (rate * steps, "the rate falls: only the first step has all of it."),
        (rate * steps / 2, "nearly: steps 0 to steps - 1 are counted, and step 0 has all of it."),
        (rate * (steps - 1) / 2, "step 0 comes first, and has the whole rate."),
        (rate / steps, "that is the last step alone: add all of them."),
    ]
    apart = tuple(pair for pair in mistakes if not np.isclose(pair[0], right, rtol=1e-6))
    return Case((rate, steps), right, about, 1e-5 * right, "sums in FP32", mistakes=apart)


def _adapter(inputs, outputs, rank):
    return rank * (inputs + outputs)


def _adapter_case(inputs, outputs, rank, about):
    """A case of exercise 15.4, with what comes of the mistakes that people make."""
    wrong = [(inputs * outputs * rank, "two thin matrices, and no product of their long sides.")]
    wrong += [(rank * inputs + outputs, "B has rank numbers for each output, too.")]
    wrong += [(rank * inputs, "that is A alone; B leads back to the outputs.")]
    wrong += [(rank * outputs, "that is B alone; A comes from the inputs.")]
    right = _adapter(inputs, outputs, rank)
    mistakes = tuple(pair for pair in wrong if pair[0] != right)
    return Case((inputs, outputs, rank), right, about, mistakes=mistakes)


def _training(weights, bits, trained):
    return weights * bits / 8 + 16 * trained


def _training_case(weights, bits, trained, about):
    """A case of exercise 15.5: the adapters, their gradients, and Adam's two means, in FP32."""
    held = weights * bits / 8
    mistakes = (
        (held, "these are the weights; what is trained comes beside them."),
        (16 * trained, "this is what is trained; the frozen weights take their bits, too."),
        (held + 4 * trained, "the adapters are there, and what trains them? Gradients and states."),
        (held + 8 * trained, "Adam keeps two numbers for each that is trained."),
        (held + 12 * trained, "of four things one is missing: A and B, gradient, two means."),
        (weights * bits + 16 * trained, "a byte has 8 bits."),
        (held + 16 * (weights + trained), "frozen weights have no gradient and no states."),
    )
    right = held + 16 * trained
    mistakes = tuple(pair for pair in mistakes if pair[0] != right)
    # Small numbers are exact. An answer in gigabytes is nearly 0, and some mistakes are 0.
    within, why = (1e-6 if right > 1e6 else 1e-12) * right, "products in FP32"
    return Case((weights, bits, trained), right, about, within, why, mistakes=mistakes)


def _merged(w, a, b, alpha):
    return w + alpha / len(a) * (b @ a)


_W = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
_A, _B = np.array([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0]]), np.array([[2.0, 4.0], [0.0, -2.0]])


def _merge_case(w, a, b, alpha, about):
    """A case of exercise 15.6, with outputs in rows as PyTorch stores them."""
    right = _merged(w, a, b, alpha)
    mistakes = (
        (w + alpha / len(b) * (b @ a), "the rank is the rows of A; B has as many as outputs."),
        (w + b @ a, "B A counts alpha / rank times."),
        (w + alpha * (b @ a), "alpha is divided by the rank, the rows of A."),
        (alpha / len(a) * (b @ a), "that is the change alone; W comes on top."),
        (w - alpha / len(a) * (b @ a), "the change is added."),
        (w + alpha // len(a) * (b @ a), "alpha / rank may have a fraction: 5 / 2 is 2.5."),
        ((w + b @ a) * alpha / len(a), "alpha / rank is for B A alone, not for W."),
        (w + alpha / np.sqrt(len(a)) * (b @ a), "alpha is divided by the rank, not by its root."),
    )
    mistakes = tuple(pair for pair in mistakes if not np.array_equal(pair[0], right))
    return Case((w, a, b, alpha), right, about, mistakes=mistakes)


EXERCISES = {
    "15.1": Exercise(
        hint="the slope of a square is 2 times what is squared, times how that grows with w.",
        check=function(
            _slope_case(1.6, 3.0, 0.5, "an input of 3"),
            _slope_case(0.2, 1.0, 1.0, "the weight of section 2"),
            _slope_case(-1.4, 0.5, 2.0, "a weight that reads -1"),
            _slope_case(3.3, -2.0, 1.0, "a negative input"),
            look_at="2 * (what the model says - target) * x.",
        ),
        learned="forward the weight is rounded, backward only x is left of it.",
    ),
    "15.2": Exercise(
        hint="divide by the mean of the magnitudes, round, and keep what comes within -1 and 1.",
        check=function(
            _ternary_case(
                [[-1.1, -0.3, 0.6, 0.9, 0.8, -1.0], [-0.4, -0.1, -0.6, -5.3, 0.2, -0.7]],
                "the mean magnitude is 1",
            ),
            _ternary_case([[0.3, 0.1, -0.2], [0.02, -0.3, 0.04]], "six small weights"),
            _ternary_case([[8.0, -1.0, 1.0, 2.0]], "one weight that is far out"),
            _ternary_case([[2.0, 0.45, -0.52, 1.03]], "two weights near half of the mean"),
            look_at="np.clip(np.round(W / scale), -1, 1), with the mean magnitude as the scale.",
        ),
        learned="a product with such a matrix only adds and subtracts.",
    ),
    "15.3": Exercise(
        hint="add up the rates of all steps: of the first, the second, and so on.",
        check=function(
            _reach_case(1.0, 1, "one step"),
            _reach_case(0.1, 4, "four steps: 0.1, 0.075, 0.05 and 0.025"),
            _reach_case(1e-3, 300, "300 steps at 0.001"),
            look_at="the sum of rate * (1 - k / steps) for k from 0 to steps - 1.",
        ),
        learned="how far a weight gets, rate and steps settle, but for a little, before the first.",
    ),
    "15.4": Exercise(
        hint="A has `rank` rows of `inputs` numbers, B `rank` columns of `outputs` numbers.",
        check=function(
            _adapter_case(4, 2, 1, "4 inputs, 2 outputs, rank 1"),
            _adapter_case(256, 768, 8, "a layer of tiny-lm, rank 8"),
            _adapter_case(4096, 11_008, 16, "a layer of Llama 2 7B, rank 16"),
            look_at="rank · (inputs + outputs).",
        ),
        learned="the sum of two sides in the place of their product: that is all that LoRA saves.",
    ),
    "15.5": Exercise(
        hint="frozen weights in so many bits; for each trained number four numbers of FP32.",
        check=function(
            _training_case(0, 4, 1, "one trained number and nothing else"),
            _training_case(8, 4, 0, "8 weights of 4 bits, nothing trained"),
            _training_case(7e9, 4.127, 20e6, "7 billion weights in NF4, 20 million trained"),
            look_at="weights · bits / 8 + trained · (4 + 4 + 8).",
        ),
        learned="activations come on top; of these the text decides.",
    ),
    "15.6": Exercise(
        hint="B A has the shape of W; it counts alpha / rank times.",
        check=function(
            _merge_case(_W, _A[:1], _B[:, :1], 1.0, "rank 1, alpha 1"),
            _merge_case(_W, _A, _B, 16.0, "rank 2, alpha 16"),
            _merge_case(_W, _A, _B, 5, "rank 2, alpha 5"),
            _merge_case(_W, _A, 0 * _B, 16.0, "B is zero, as before training"),
            look_at="W + alpha / rank · B A, the rank being the rows of A.",
        ),
        learned="one matrix again; rounding it once more is what a merge can lose.",
    ),
}
