"""Exercises of notebook 14: right answers pass, and each known mistake gets its own advice."""

from fractions import Fraction

import pytest

from quantlab import fit


def cache(layers, heads, size, tokens, bits):
    return 2 * layers * heads * size * tokens * bits / 8


def longest(device, weights, per_token):
    return max(0, int((device - weights) // per_token))


def counted(device, weights, per_token):
    tokens, room = 0, int(device - weights)
    step = max(1, room // per_token // 1000)
    while (tokens + step) * per_token <= room:
        tokens += step
    while (tokens + 1) * per_token <= room:
        tokens += 1
    return tokens


RIGHT = {
    "14.1": [
        cache,
        lambda n, heads, size, tokens, bits: sum([heads * size * tokens * bits / 4] * n),
        lambda n, heads, size, tokens, bits: float(Fraction(bits) * n * heads * size * tokens / 4),
    ],
    "14.2": [125, 125.0, 1000 / 8],
    "14.3": [longest, counted, lambda d, w, t: longest(d, w, t) if d > w else 0],
}  # fmt: skip

WRONG = [
    ("14.1", lambda *given: cache(*given) / 2, "counts twice"),
    ("14.1", lambda *given: cache(*given) * 8, "these are bits"),
    ("14.1", lambda *given: cache(*given) / given[0], "every layer"),
    ("14.1", lambda *given: cache(*given) * 4, "2 · layers"),
    ("14.2", 200, "kept of the text is read"),
    ("14.2", 0.008, "seconds per token"),
    ("14.2", 333.33, "the weights are read"),
    ("14.2", 0, "bytes that the card reads"),  # no seconds per token, though it is near 0.008
    ("14.2", 0.4, "bytes that the card reads"),
    ("14.2", 100, "bytes that the card reads"),
    ("14.3", lambda d, w, t: int(d // t), "take them off"),
    ("14.3", lambda d, w, t: int((d - w) // t), "room for no token"),
    ("14.3", lambda d, w, t: max(0, -int(-(d - w) // t)), "round down"),
    ("14.3", lambda d, w, t: "many", "14.3"),
]


def test_the_formula_of_exercise_1_is_that_of_the_planner():
    assert cache(32, 8, 128, 1000, 16) == fit.cache_bytes("Llama 3.1 8B", 1000)


@pytest.mark.parametrize("tokens", [1, 5000])
def test_the_longest_text_of_exercise_3_is_one_that_fits(tokens):
    size = fit.cache_bytes("Llama 3.1 8B", 1)
    weights = fit.plan("Llama 3.1 8B").weight_bytes["bf16"]
    assert longest(weights + tokens * size, weights, size) == tokens
