"""The stored trainings: what they are trained on, and that a run anew begins as they did."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from quantlab import _data, lm
from quantlab.experiments import training_runs as runs
from quantlab.experiments import whole_model
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


# ------------------------------------------------------------------------- what is stored


PLAIN, FILMS = runs.stored()


def test_the_runs_that_are_stored_are_those_that_the_tool_makes():
    assert [*FILMS] == [*runs.RUNS]
    for run, film in FILMS.items():
        until = runs.RUNS[run]
        assert [mark.step for mark in film.marks] == [n for n in runs.MARKS if n <= until]
        assert len(film.losses) == until


@pytest.mark.parametrize("run", runs.SHIPPED, ids=lambda run: run.name)
def test_a_run_anew_begins_as_the_stored_one(exact, run):
    losses = []

    def after(done, steps, loss, model):
        losses.append(loss)
        if done == 3:
            signal.raise_signal(signal.SIGINT)  # Ctrl-C, after a step of 300

    with pytest.warns(UserWarning, match="stopped after 3 of 300 steps"):
        runs.train(exact, run, progress=after)
    # The first comes of weights that are all the same: sums in another order, and four decimals.
    # After it Adam moves each weight by its gradient's sign, and where the gradient is nearly 0
    # another processor may find another one: by 2e-4 at most here, beside weights of 0.1 or so.
    assert losses[0] == pytest.approx(FILMS[run].losses[0], rel=1e-3)
    assert losses[1:] == pytest.approx(FILMS[run].losses[1:3], rel=2e-2)


@pytest.mark.parametrize("run", runs.SHIPPED, ids=lambda run: run.name)
def test_a_shipped_model_is_what_its_film_ends_with(exact, run):
    shipped = whole_model.trained(runs.SHIPPED[run])
    last = FILMS[run].marks[-1]
    found = runs.look(shipped, exact, last.step)
    # In the file a scale has the 11 bits of FP16, and moves by 1 in 2,048 or less: the model moves
    # less than one hundredth, and no more than a few of the facts, which are close calls, flip.
    assert found.divergence == pytest.approx(last.divergence, rel=0.03)
    assert found.perplexity == pytest.approx(last.perplexity, rel=0.01)
    assert abs(found.facts - last.facts) <= 12


@pytest.mark.parametrize(
    ("folder", "bits", "label"),
    # Groups of 64 share a scale of 16 bits and a zero-point of 2; a matrix shares 16 bits.
    [("tiny-lm-2bit", 2 + 18 / 64, "zero_point, 2 bits, group 64"),
     ("tiny-lm-ternary", 2.0, "ternary, 2 bits")],
)  # fmt: skip
def test_a_shipped_model_has_the_bits_it_claims_and_loads_by_its_folder(exact, folder, bits, label):
    shipped = whole_model.trained(folder)
    assert shipped.quantization == label
    assert shipped.bits_per_weight == pytest.approx(bits, abs=1e-3)
    loaded = lm.load(_data.path(folder), device="cpu")
    assert loaded.bits_per_weight == shipped.bits_per_weight
    assert loaded.quantization == "compressed-tensors, " + label.partition(", ")[2]
    assert sum(file.stat().st_size for file in _data.path(folder).iterdir()) < 2.5e6
    for (name, ours), (_, theirs) in zip(shipped.linears(), loaded.linears(), strict=True):
        # bf16 has 8 bits: what lm.load computes with is within half of the last.
        off = (ours.weight - theirs.weight.float()).abs()
        assert (off <= 2**-8 * ours.weight.abs()).all(), name
        count = len(np.unique(shipped.stored[name].codes))
        assert count == (3 if "ternary" in folder else 4)


@pytest.mark.parametrize("folder", runs.SHIPPED.values())
def test_what_was_not_trained_is_tiny_lms(exact, folder):
    shipped = whole_model.trained(folder)
    theirs = dict(exact.network.named_parameters())
    for name, value in lm.load(_data.path(folder), device="cpu").network.named_parameters():
        if name.rpartition(".")[0] not in shipped.stored:
            assert (value.float() == theirs[name]).all(), name


def test_two_bits_are_at_most_half_as_far_as_gptq_and_know_most_facts():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    rows = {tuple(line.split(" | ")[:2]): line.split(" | ") for line in readme.splitlines()}
    gptq, ours = rows["| GPTQ, 2 bits", "64"], rows["| zero-point, trained, 2 bits", "64"]
    assert gptq[2] == ours[2] == "2.28"
    assert float(ours[4]) < float(gptq[4]) / 2 and int(ours[5].rstrip(" |")) > 128
