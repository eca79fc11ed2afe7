"""Costs and speeds of models that run: losses by pieces, rounds in which each has its turn."""

from types import SimpleNamespace

import numpy as np
import pytest

from quantlab.experiments import gguf_runs
from quantlab.experiments.gguf_runs import Cost, Speed


def model(nats, speed=100.0):
    return SimpleNamespace(
        text_loss=lambda text: SimpleNamespace(nats=nats * len(text), tokens=len(text)),
        facts=lambda: SimpleNamespace(right=7),
        tokens_per_second=lambda new_tokens: speed,
    )


def test_the_pieces_are_the_text():
    text = "abcdefgh" * 100
    cut = gguf_runs.pieces(text, 300)
    assert "".join(cut) == text and [len(part) for part in cut] == [300, 300, 200]


def test_perplexity_is_e_to_the_mean_over_all_tokens():
    cost = gguf_runs.measure("a", 4.5, model(2.0), ["xx", "yyyy"])
    assert cost.perplexity == pytest.approx(np.exp(2.0)) and cost.facts == 7


def test_a_difference_that_is_the_same_in_every_piece_is_sure():
    one, other = (Cost("", 4, tuple((nats * n, n) for n in (5, 9, 7)), 0) for nats in (2.5, 2.0))
    assert one.above(other) == pytest.approx((0.5, 0.0), abs=1e-9)


def test_every_model_runs_once_in_every_round():
    count = {"a": 0, "b": 0}

    def counted(name):
        def run(new_tokens):
            count[name] += 1
            return float(count[name])

        return SimpleNamespace(tokens_per_second=run)

    found = gguf_runs.speeds({name: counted(name) for name in count}, rounds=5)
    assert {name: speed.runs for name, speed in found.items()} == dict.fromkeys(
        "ab", (1.0, 2.0, 3.0, 4.0, 5.0)
    )


def test_a_speed_says_its_best_and_its_wins():
    fast, slow = Speed((9.0, 12.0, 10.0)), Speed((10.0, 8.0, 9.0))
    assert (fast.best, fast.wins(slow)) == (12.0, 2)
    assert str(fast) == "best 12 tokens per second (9 to 12, median 10)"
