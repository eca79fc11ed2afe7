"""Notebook 15's pictures say what they were given, and a live curve looks by itself."""

import numpy as np
import pytest

from quantlab import lm
from quantlab.experiments.training_runs import Film, Mark, Run, look
from quantlab.show import training_figures as figures

FIRST, LAST = Mark(0, 0.9, 65.6, 8, "Once"), Mark(300, 0.23, 33.0, 250, "Once upon a time")
LEVEL = Mark(0, 0.0, 28.1, 256, "Once")
STAIRS = np.round(np.linspace(-2, 2, 41))


def test_the_stairs_have_a_tread_for_each_value():
    picture = figures.staircase(np.linspace(-2, 2, 41), STAIRS, "Rounding has no slope")
    assert "5 flat treads from -2 to 2" in picture.alt


@pytest.mark.parametrize(
    ("x", "rounded", "words"),
    [([1, 1], [0, 0], "ascending"), ([2, 1], [0, 0], "ascending"), ([1], [0], "ascending"),
     ([1, 2], [0, 0, 0], r"shape of x, \(2,\), got \(3,\)")],
)  # fmt: skip
def test_stairs_that_do_not_go_up_are_refused(x, rounded, words):
    with pytest.raises(ValueError, match=words):
        figures.staircase(x, rounded, "Rounding has no slope")


def test_a_line_over_steps_says_where_it_begins_and_ends():
    film = Film(Run("2 bits", 1e-3), (FIRST, LAST), (0.9, 0.2))
    both = {"2 bits": film, "again": [FIRST, LAST]}
    alt = figures.against_steps(both, "Training helps a lot", {"unquantized": LEVEL}).alt
    said = "step 0 perplexity 65.6, 8 facts, step 300 perplexity 33.0, 250 facts"
    assert f"2 bits: {said}; again: {said}; unquantized: perplexity 28.1, 256 facts." in alt


@pytest.mark.parametrize(
    ("lines", "levels", "words"),
    [({}, None, "lines must be a dict"), ([FIRST], None, "lines must be a dict"),
     ({"a": []}, None, r"lines\['a'\] must be a Film"), ({"a": [3]}, None, "must hold Marks"),
     ({1: [FIRST]}, None, "a key of lines"), ({"a": [FIRST, LAST]}, {"b": 3}, "must hold Marks"),
     ({"a": [FIRST]} | {n: [LAST] for n in "bcd"}, None, "from one to three names")],
)  # fmt: skip
def test_what_is_no_line_is_refused_by_name(lines, levels, words):
    with pytest.raises(TypeError, match=words):
        figures.against_steps(lines, "Training helps a lot", levels)


def test_the_table_has_a_row_for_each_mark():
    page = figures.texts_table([FIRST, LAST]).data
    assert page.count("<tr>") == 3
    assert "250" in page and "Once upon a time" in page


class Cell:
    """Stands for IPython's handle of an output: keeps what was shown, in order."""

    shown = []  # noqa: RUF012, one for all handles

    def display(self, picture):
        self.shown.append(("new", picture))

    def update(self, picture):
        self.shown.append(("in place", picture))


@pytest.fixture(scope="module")
def trained():
    """A live curve of three steps, looked at after the first and at the end, and what it showed."""
    model = lm.load("tiny-lm", "fp32", device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "DisplayHandle", Cell)
        live = figures.LiveCurve(model, [1], "It grows while it trains", FIRST, {"plain": LEVEL})
        after = lm.train(model, teacher=model, steps=3, rate=1e-3, batch=1, window=32,
                         method="zero_point", bits=2, group_size=64, progress=live)  # fmt: skip
    return model, after, live, Cell.shown


def test_a_live_curve_looks_where_it_was_told_and_at_the_end(trained):
    *_, live, _ = trained
    assert [mark.step for mark in live.marks] == [0, 1, 3]
    assert len(live.losses) == 3


def test_its_last_look_is_at_the_model_that_comes_back(trained):
    model, after, live, _ = trained
    mark = look(after, model, 3)
    # The same values, rounded by the core and by torch bit for bit; sums over them in one order.
    assert live.marks[-1] == mark


def test_it_shows_one_picture_and_replaces_it(trained):
    *_, live, shown = trained
    assert [how for how, _ in shown] == ["new", "in place"]
    assert f"step 3 perplexity {live.marks[-1].perplexity:.1f}" in shown[-1][1].alt


def test_a_step_that_is_no_count_is_refused(trained):
    with pytest.raises(ValueError, match="a step of at must be at least 1, got 0"):
        figures.LiveCurve(trained[0], [0], "It grows while it trains")
