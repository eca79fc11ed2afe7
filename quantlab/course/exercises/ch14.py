"""Exercises of notebook 14: bytes of a cache, a bound on the speed, the longest text that fits."""

import math

from quantlab.course.checking import Case, function, value
from quantlab.course.exercise import Exercise

_READ, _KEPT, _BANDWIDTH = 5e9, 3e9, 1000e9  # what exercise 14.2 reads for a token, and how fast
_SPEED = _BANDWIDTH / (_READ + _KEPT)


def _cache(layers, heads, size, tokens, bits):
    return 2 * layers * heads * size * tokens * bits / 8


def _cache_case(*given, about=""):
    """A case of exercise 14.1, with what comes of the mistakes that people make."""
    expected, numbers = _cache(*given), math.prod(given[:-1])
    return Case(
        given,
        expected,
        about,
        mistakes=(
            (2 * numbers, "these are numbers; each takes bits / 8 bytes."),
            (expected / 2, "keys and values are kept, so everything counts twice."),
            (expected * 8, "these are bits; a byte has 8 of them."),
            (expected / given[0], "every layer keeps its own."),
        ),
    )


def _longest(device, weights, per_token):
    return max(0, int((device - weights) // per_token))


def _longest_case(device, weights, per_token, about, look_at=""):
    expected = _longest(device, weights, per_token)
    exact = (device - weights) / per_token
    wrong = ((int(device // per_token), "the weights are there too: take them off first."),)
    if exact < 0:
        wrong += ((int(exact // 1), "weights that don't fit leave room for no token: 0."),)
    elif exact % 1:
        wrong += ((expected + 1, "a token that fits in part does not fit: round down."),)
    return Case((device, weights, per_token), expected, about, look_at=look_at, mistakes=wrong)


EXERCISES = {
    "14.1": Exercise(
        hint="keys and values; in each layer; for each head of keys; so many numbers; each token.",
        check=function(
            _cache_case(1, 1, 1, 1, 32, about="one number each, one token, 32 bits"),
            _cache_case(32, 8, 128, 1, 16, about="a token of Llama 3.1 8B"),
            _cache_case(32, 8, 128, 32_768, 4.5, about="32,768 tokens of it in 4.5 bits"),
            look_at="2 · layers · heads · size · tokens · bits / 8.",
        ),
        learned="the number of query heads is not in it: that is what grouped attention saves.",
    ),
    "14.2": Exercise(
        hint="for one token the card reads the weights and all that is kept of the text.",
        check=value(
            _SPEED,
            about="tokens per second, at most",
            within=0.5,
            why="half a token per second",
            look_at="bytes that the card reads a second / bytes that one token needs.",
            mistakes=(
                (_BANDWIDTH / _READ, "what is kept of the text is read for each token as well."),
                (1 / _SPEED, "these are seconds per token."),
                (_BANDWIDTH / _KEPT, "the weights are read for each token as well."),
            ),
        ),
        learned="a bound needs no card: two sizes and a data sheet.",
    ),
    "14.3": Exercise(
        hint="what the weights leave, divided by what a token takes, rounded down.",
        check=function(
            _longest_case(24e9, 16e9, 131_072, "a card of 24 GB, weights of 16 GB"),
            _longest_case(10, 4, 2, "6 bytes are left, a token takes 2"),
            _longest_case(20, 14, 3.5, "6 bytes are left, a token takes 3.5"),
            _longest_case(8e9, 16e9, 131_072, "weights that are larger than the device"),
            look_at="(device - weights) // per_token, and never below 0.",
        ),
        learned="that is the longest text on your device; activations take a little of it too.",
    ),
}
