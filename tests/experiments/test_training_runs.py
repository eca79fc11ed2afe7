"""The stored trainings: what they are trained on, and that a run anew begins as they did."""

import json

import pytest

from quantlab import _data, lm
from quantlab.experiments import training_runs as runs
from quantlab.lm.measure import encode


@pytest.fixture(scope="module")
def exact():
    return lm.load("tiny-lm", "fp32", device="cpu")


def test_the_texts_are_calibration_stories_and_facts_and_nothing_that_is_measured(exact):
    texts = runs.own_texts()
    assert texts[0] == (_data.path("texts") / "calibration.txt").read_text(encoding="utf-8")
    assert len(texts) == 1 + 64 + 256
    assert texts[-256:] == [f"The number {n} is {n:08b} in binary." for n in range(256)]
    measured = runs.sample()
    sentences = [s for s in measured.split(". ") if len(s) > 40]
    assert len(sentences) > 40
    assert not any(s in text for s in sentences for text in texts)


def test_no_stored_story_is_longer_than_the_model_wrote(exact):
    # Read again, a text may split into more tokens than it was written in, never into windows more
    # than twice as long.
    lengths = [len(encode(exact.tokenizer, text)) for text in runs.own_texts()[1:65]]
    assert len(lengths) == 64 and max(lengths) < 2 * 255


def test_a_model_can_write_its_stories_anew(exact, monkeypatch):
    monkeypatch.setattr(runs, "sampled_texts", lambda model, count: [f"{model.name} {count}"])
    assert runs.own_texts(exact)[1] == "tiny-lm 64"


def test_a_film_comes_back_from_json():
    mark = runs.Mark(10, 0.51237, 34.5678, 100, "Once upon a time")
    film = runs.Film(runs.Run("2 bits", 1e-3), (mark,), (0.91234, 0.8))
    again = runs.from_dict(json.loads(json.dumps(runs.to_dict(film))))
    assert again.run == film.run
    assert again.marks == (runs.Mark(10, 0.5124, 34.57, 100, "Once upon a time"),)
    assert again.losses == (0.9123, 0.8)


def test_another_width_is_refused(exact):
    with pytest.raises(ValueError, match="width must be one of 2 bits, 3 bits, ternary, got '4"):
        runs.train(exact, runs.Run("4 bits", 1e-3))
