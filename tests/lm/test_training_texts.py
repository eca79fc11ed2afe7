"""Texts that a model writes itself: as varied as a seed says, and ended where the model ends."""

import dataclasses

import pytest
import torch

from quantlab import lm
from quantlab.lm.training_texts import sampled_texts


@pytest.fixture(scope="module")
def exact():
    return lm.load("tiny-lm", "fp32", device="cpu")


def test_a_seed_gives_the_same_texts_and_leaves_the_stream_of_others_alone(exact):
    state = torch.random.get_rng_state()
    first, again, other = (sampled_texts(exact, 2, 12, seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.random.get_rng_state())
    assert first == again != other


def test_words_come_as_often_as_the_model_says(exact):
    # The first token of 2,000 texts against its chance: within 5 standard errors of a count.
    with torch.inference_mode():
        [[chances]] = exact.network(torch.tensor([[0]])).logits.softmax(-1)
    best = int(chances.argmax())
    word = exact.tokenizer.decode([best])
    found = sum(text == word for text in sampled_texts(exact, 2_000, 1))
    expected, spread = 2_000 * chances[best], (2_000 * chances[best] * (1 - chances[best])) ** 0.5
    assert abs(found - expected) <= 5 * spread


def test_a_text_is_no_longer_than_the_model_reads_and_says_so(exact):
    with pytest.raises(ValueError, match="most_tokens must be 1 to 255, got 256"):
        sampled_texts(exact, 1, 256)


def test_a_model_without_a_beginning_token_is_refused(exact):
    import copy

    tokenizer = copy.deepcopy(exact.tokenizer)
    tokenizer.bos_token = None
    with pytest.raises(ValueError, match="tiny-lm has no beginning token"):
        sampled_texts(dataclasses.replace(exact, tokenizer=tokenizer), 1)
