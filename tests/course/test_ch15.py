"""Exercises of notebook 15: right answers pass, and each known mistake gets its own advice."""

import numpy as np
import pytest
import torch

from quantlab import lm, training_memory


def slope(w, x, target):
    return 2 * (np.round(w) * x - target) * x


def slope_by_torch(w, x, target):
    w = torch.tensor([[w]], dtype=torch.float64, requires_grad=True)
    reads = w + (w.round() - w).detach()
    return torch.autograd.grad((reads * x - target) ** 2, w)[0].item()


def slope_in_two(w, x, target):
    says = float(round(w)) * x
    return (says - target) * x + (says - target) * x


def coded(W, scale):
    return np.clip(np.round(W / scale), -1, 1)


def ternary(W):
    return coded(W, np.abs(W).mean())


def ternary_by_bounds(W):
    half = np.abs(W).mean() / 2
    return (half < W).astype(int) - (-half > W).astype(int)


def ternary_by_torch(W):
    values = lm.fake_quantize(torch.tensor(W.T), "ternary").numpy().T
    return np.sign(values)


def reach(rate, steps):
    return sum(rate * (1 - k / steps) for k in range(steps))


def adapter(inputs, outputs, rank):
    return rank * (inputs + outputs)


def training(weights, bits, trained):
    return weights * bits / 8 + 16 * trained


def merged(w, a, b, alpha):
    return w + alpha / len(a) * (b @ a)


RIGHT = {
    "15.1": [slope, slope_by_torch, slope_in_two],
    "15.2": [ternary, ternary_by_bounds, ternary_by_torch],
    "15.3": [
        reach,
        lambda rate, steps: rate * (steps + 1) / 2,
        lambda rate, steps: (rate * (1 - torch.arange(steps) / steps)).sum(),
        lambda rate, steps: float(np.sum(rate * np.arange(steps, 0, -1) / steps)),
    ],
    "15.4": [
        adapter,
        lambda i, o, r: np.zeros((r, i)).size + np.zeros((o, r)).size,
        lambda i, o, r: sum(i + o for _ in range(r)),
    ],
    "15.5": [
        training,
        lambda w, bits, t: w * bits / 8 + 4 * t + 4 * t + 2 * 4 * t,
        lambda w, bits, t: (w * bits + 128 * t) / 8,
        lambda w, bits, t: torch.tensor(w * bits / 8 + 16 * t),
    ],
    "15.6": [
        merged,
        lambda w, a, b, alpha: w + b @ (alpha / a.shape[0] * a),
        lambda w, a, b, alpha: (
            w + sum(np.outer(b[:, i], a[i]) * alpha / len(a) for i in range(len(a)))
        ),
    ],
}

WRONG = [
    ("15.1", lambda w, x, target: 2 * (w * x - target) * x, "forward the weight is rounded"),
    ("15.1", lambda w, x, target: 0, "the honest slope"),
    ("15.1", lambda w, x, target: 2 * (np.round(w) * x - target), "so is its slope"),
    ("15.1", lambda w, x, target: (np.round(w) * x - target) * x, "has a factor"),
    ("15.1", lambda w, x, target: -slope(w, x, target), "points uphill"),
    ("15.1", lambda w, x, target: 2 * (np.round(w * x) - target) * x, "not its product"),
    (
        "15.1",
        lambda w, x, target: 2 * (np.round(w) * x - target) * np.round(w),
        "not by the weight",
    ),
    ("15.1", lambda w, x, target: 2 * (np.round(w) * x - target) * abs(x), "it is x itself"),
    ("15.1", lambda w, x, target: 2 * (np.floor(w) * x - target) * x, "not cut off"),
    ("15.2", lambda W: ternary(W) * np.abs(W).mean() * 1.25, "np.clip"),
    ("15.2", lambda W: coded(W, np.sqrt(np.mean(W**2))), "not of squares"),
    ("15.2", lambda W: coded(W, np.abs(W).max() / 2), "no maximum"),
    ("15.2", lambda W: np.clip(np.ceil(W / np.abs(W).mean()), -1, 1), "round to the nearest"),
    ("15.2", lambda W: coded(W, np.abs(W).mean(0, keepdims=True)), "serves the whole matrix"),
    ("15.2", lambda W: ternary(W) * np.abs(W).mean(), "these are the values"),
    ("15.2", lambda W: np.round(W / np.abs(W).mean()), "clip"),
    ("15.2", lambda W: np.round(W / np.abs(W).max()), "no maximum"),
    ("15.2", lambda W: coded(W, W.std()), "no spread"),
    ("15.2", lambda W: np.clip(np.trunc(W / np.abs(W).mean()), -1, 1), "round to the nearest"),
    ("15.2", lambda W: coded(W, np.abs(W).mean(1, keepdims=True)), "serves the whole matrix"),
    ("15.2", np.sign, "becomes 0"),
    ("15.3", lambda rate, steps: rate * steps, "the rate falls"),
    ("15.3", lambda rate, steps: rate * steps / 2, "nearly"),
    ("15.3", lambda rate, steps: rate * (steps - 1) / 2, "step 0 comes first"),
    ("15.3", lambda rate, steps: rate / steps, "add all of them"),
    ("15.4", lambda i, o, r: i * o * r, "no product"),
    ("15.4", lambda i, o, r: r * i + o, "for each output"),
    ("15.4", lambda i, o, r: r * i, "A alone"),
    ("15.4", lambda i, o, r: r * o, "B alone"),
    ("15.4", lambda i, o, r: i + o + r, "rank · (inputs + outputs)"),
    ("15.5", lambda w, bits, t: w * bits / 8, "comes beside them"),
    ("15.5", lambda w, bits, t: 16 * t, "take their bits"),
    ("15.5", lambda w, bits, t: w * bits / 8 + 4 * t, "Gradients and states"),
    ("15.5", lambda w, bits, t: w * bits / 8 + 8 * t, "two numbers"),
    ("15.5", lambda w, bits, t: w * bits / 8 + 12 * t, "one is missing"),
    ("15.5", lambda w, bits, t: w * bits + 16 * t, "8 bits"),
    ("15.5", lambda w, bits, t: w * bits / 8 + 16 * (w + t), "no gradient"),
    ("15.6", lambda w, a, b, alpha: w + alpha * (b @ a), "divided by the rank"),
    ("15.6", lambda w, a, b, alpha: w + alpha / len(b) * (b @ a) if len(a) > 1 else 0, "rank"),
    ("15.6", lambda w, a, b, alpha: w + b @ a, "alpha / rank times"),
    ("15.6", lambda w, a, b, alpha: w + alpha // len(a) * (b @ a), "5 / 2 is 2.5"),
    ("15.6", lambda w, a, b, alpha: (w + b @ a) * alpha / len(a), "not for W"),
    ("15.6", lambda w, a, b, alpha: w + alpha / np.sqrt(len(a)) * (b @ a), "not by its root"),
    ("15.6", lambda w, a, b, alpha: alpha / len(a) * (b @ a), "W comes on top"),
    ("15.6", lambda w, a, b, alpha: w - alpha / len(a) * (b @ a), "is added"),
]


@pytest.mark.parametrize("w", [0.2, 0.6, -1.4, 2.5])
def test_the_slope_of_exercise_1_is_the_one_that_fake_quantize_has(w):
    """A zero-point grid with whole steps stands before the weight: 0 and 3 are in its row."""
    row = torch.tensor([[0.0, 3.0, w]], dtype=torch.float64, requires_grad=True)
    reads = lm.fake_quantize(row, "zero_point", bits=8)[0, 2]
    found = torch.autograd.grad((reads * 3.0 - 1.0) ** 2, row)[0][0, 2]
    assert found.item() == pytest.approx(2 * (reads.item() * 3.0 - 1.0) * 3.0)


def test_the_reach_of_exercise_3_is_that_of_adam_whose_steps_go_one_way():
    """Where the gradient stays as it is, each of Adam's steps is as long as the rate."""
    w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([w], eps=0)
    for k in range(40):
        adam.param_groups[0]["lr"] = 1e-3 * (1 - k / 40)
        w.grad = torch.ones_like(w)
        adam.step()
    assert -w.item() == pytest.approx(reach(1e-3, 40), rel=1e-9)


def test_the_count_of_exercise_4_is_that_of_the_package():
    layer = {"q": (256, 256), "gate": (256, 768)}
    hand = 4 * (4 * adapter(*layer["q"], 8) + 3 * adapter(*layer["gate"], 8))
    assert hand == training_memory.adapter_size("data/tiny-lm", 8)


def test_the_bytes_of_exercise_5_are_those_of_the_plan():
    plan = training_memory.plan("Llama 2 7B")
    size = training_memory.adapter_size("Llama 2 7B")
    held = plan.weights + plan.adapters + plan.gradients + plan.states
    assert held == training(8 * plan.weights, 1, size)
