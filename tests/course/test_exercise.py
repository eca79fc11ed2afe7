"""course.check: what it prints for each kind of answer, and that no answer makes it raise."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import quantlab as ql
from quantlab import course
from quantlab.course import exercise, exercises
from quantlab.course.checking import is_unanswered

CHAPTER = """
from quantlab.course.checking import Case, Property, function, value
from quantlab.course.exercise import Exercise

POSITIVE = [5.0, 5.5, 6.0]

EXERCISES = {
    "97.1": Exercise(
        hint="parameters times bytes",
        check=value(352_000_000_000, "bytes", mistakes=[(176e9, "a weight has two bytes.")]),
        learned="that is eleven devices.",
    ),
    "97.2": Exercise(
        hint="three numbers decide everything",
        check=function(
            Case((POSITIVE,), [4.99, 5.51, 6.0], about="all-positive input [5.0, 5.5, 6.0]",
                 within=0.012, why="half a step"),
            Case(([0.0],), [0.0]),
            look_at="what does your range start from?",
        ),
        learned="you never lose more than half a step.",
    ),
    "97.3": Exercise(
        hint="any of them",
        check=function(Property((8,), lambda r: 2**r > 8, "more than three", look_at="count")),
        learned="there are many.",
    ),
    "97.4": Exercise(
        hint="x", check=function(Case((1.0,), 1 / 3), Case((2.0,), 2 / 3)), learned="y"
    ),
    "97.5": Exercise(hint="x", check=value("10100", "20 in binary"), learned="y"),
    "97.6": Exercise(hint="x", check=value([[1.5, 2.5]], "a matrix", within=0.1), learned="y"),
    "97.7": Exercise(hint="x", check=lambda answer: answer.missing, learned="y"),
}
"""


@pytest.fixture(autouse=True)
def chapter(tmp_path, monkeypatch):
    (tmp_path / "ch97.py").write_text(CHAPTER)
    monkeypatch.setattr(exercises, "__path__", [*exercises.__path__, str(tmp_path)])


def state(id, answer):
    return course.verdict(id, answer).state


def text(id, answer, misses=0):
    return course.verdict(id, answer, misses).text


UNANSWERED = [..., None, "...", "", [1, ...], (..., ...), np.array([..., 1], dtype=object)]


@pytest.mark.parametrize("answer", UNANSWERED, ids=repr)
def test_what_still_holds_the_dots_is_unanswered(answer):
    assert is_unanswered(answer)


@pytest.mark.parametrize("answer", [0, 0.0, False, [], np.zeros(3), "0", len], ids=repr)
def test_zero_and_empty_are_answers(answer):
    assert not is_unanswered(answer)


def test_unanswered_prints_the_hint_in_words(capsys):
    assert course.check("97.1", ...) is None
    assert capsys.readouterr().out == ("○ 97.1  not answered yet. Hint: parameters times bytes\n")


def test_right_says_what_was_learned():
    assert text("97.1", 352e9) == "✓ 97.1  right: that is eleven devices."


HINTED = """\
✗ 97.2  not yet: all-positive input [5.0, 5.5, 6.0]
   yours     [5.000, 5.000, 5.000]
   wanted    within half a step, 0.012
   Look at: what does your range start from?
"""


def fives(x):
    return [5.0] * len(x)


@pytest.fixture
def misses(monkeypatch):
    counted = {}
    monkeypatch.setattr(exercise, "_misses", counted)
    return counted


def shown(capsys, id, answer):
    course.check(id, answer)
    return capsys.readouterr().out


def test_the_first_two_misses_get_a_hint_and_the_third_what_was_expected(misses, capsys):
    for low in (5.0, 4.0):
        assert "expected" not in shown(capsys, "97.2", lambda x, low=low: [low] * len(x))
    assert shown(capsys, "97.2", lambda x: [3.0] * len(x)) == (
        "✗ 97.2  not yet: all-positive input [5.0, 5.5, 6.0]\n"
        "   yours     [3.000, 3.000, 3.000]\n"
        "   expected  [4.990, 5.510, 6.000]\n"
        "   wanted    within half a step, 0.012\n"
        "   Look at: what does your range start from?\n"
    )


def test_the_same_answer_again_is_no_further_miss(misses, capsys):
    assert [shown(capsys, "97.2", fives) for _ in range(4)] == [HINTED] * 4


def test_zero_and_nothing_are_no_tries_and_reveal_nothing(misses, capsys):
    for _ in range(2):
        for nothing in (0, 0.0, [], [0, 0], np.zeros(3), {}, Fraction(0)):
            assert "352" not in shown(capsys, "97.1", nothing)
    assert not misses.get("97.1")


def test_zero_reveals_nothing_after_two_misses_either(misses, capsys):
    for answer in (1, 2, 0):
        assert "expected" not in shown(capsys, "97.1", answer)
    assert "expected  352000000000" in shown(capsys, "97.1", 3)


def test_an_exercise_counts_its_own_misses(misses, capsys):
    for answer in (1, 2):
        course.check("97.1", answer)
    assert "expected" not in shown(capsys, "97.5", "1")


def test_a_miss_without_a_place_to_look_gets_the_hint_of_the_exercise():
    assert text("97.5", "1").endswith("Look at: x")


def test_a_function_that_prints_its_result_is_told_to_return_it(capsys):
    found = text("97.2", lambda x: print("[4.99, 5.51, 6.0]"))
    assert "prints [4.99, 5.51, 6.0] and returns nothing" in found and "`return` it" in found
    assert capsys.readouterr().out == "[4.99, 5.51, 6.0]\n"


def test_a_function_may_print_on_its_way(capsys):
    assert state("97.3", lambda n: print("here") or 4) == "right"
    assert capsys.readouterr().out == "here\n"


EXACT = [Fraction(352_000_000_000), Decimal("352e9"), np.int64(352e9), np.array(352e9)]


@pytest.mark.parametrize("answer", EXACT, ids=lambda answer: type(answer).__name__)
def test_a_number_is_a_number_in_whatever_type(answer):
    assert state("97.1", answer) == "right"


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_values_of_ml_dtypes_are_numbers(dtype):
    assert state("97.6", np.array([[1.5, 2.5]], dtype)) == "right"
    assert state("97.6", [[dtype(1.5), dtype(2.5)]]) == "right"


def test_tensors_are_numbers():
    torch = pytest.importorskip("torch")
    answer = torch.tensor([[1.5, 2.5]], dtype=torch.bfloat16, requires_grad=True)
    assert state("97.6", answer) == "right"


@pytest.mark.parametrize(
    ("id", "answer", "says"),
    [
        ("97.5", 10100, "put it between quotes"),
        ("97.1", "352e9", "leave the quotes away"),
        ("97.1", len, "call it with ( )"),
        ("97.6", ql.quantize_absmax([[1.5, 2.5]]), "take .codes or .dequantize()"),
    ],
)
def test_an_answer_of_another_kind_is_told_what_is_asked(id, answer, says):
    assert says in " ".join(text(id, answer).split())


def test_a_known_mistake_gets_its_own_advice():
    assert text("97.1", 176e9).endswith("Look at: a weight has two bytes.")


def test_a_function_with_the_dots_for_a_body_is_unanswered():
    def answer(x): ...

    assert state("97.2", answer) == "unanswered"


def test_a_function_that_computes_with_the_dots_is_unanswered():
    assert state("97.2", lambda x: x / ...) == "unanswered"


def test_a_function_that_returns_nothing_for_a_later_case_is_wrong():
    shown = text("97.2", lambda x: [4.99, 5.51, 6.0] if len(x) == 3 else None)
    assert "returns None" in shown
    assert "Look at: does every path return a value?" in shown


def test_a_function_that_raises_shows_type_message_and_input():
    shown = text("97.2", lambda x: x[7], misses=2)
    assert "all-positive input [5.0, 5.5, 6.0]" in shown
    assert "raises IndexError: list index out of range" in shown
    assert "[4.990, 5.510, 6.000]" in shown


def test_a_function_that_raises_in_a_cell_shows_its_line():
    cell = {"get_ipython": None}
    exec("def answer(x):\n    y = x\n    return y[9]", cell)
    assert "line 3 of your cell." in text("97.2", cell["answer"])


def test_the_first_case_that_fails_is_named_by_its_call():
    def my_answer(x):
        return [4.99, 5.51, 6.0]

    assert text("97.2", my_answer).startswith("✗ 97.2  not yet: my_answer([0.0])")


def test_a_function_cannot_spoil_the_cases_for_the_next_answer():
    def greedy(x):
        x.clear()
        return [0]

    assert state("97.2", greedy) == "wrong"
    good = {3: [4.99, 5.51, 6.0], 1: [0.0]}
    assert state("97.2", lambda x: good[len(x)]) == "right"


def test_a_property_accepts_any_result_that_holds():
    assert {state("97.3", lambda n: 4), state("97.3", lambda n: 99)} == {"right"}


def test_a_property_that_fails_says_what_must_hold():
    assert "wanted    more than three" in text("97.3", lambda n: 3)


def test_a_value_where_a_function_is_asked_for_is_wrong():
    assert "a function is asked for" in text("97.3", 5)


def test_a_correct_float_may_differ_by_rounding():
    assert state("97.4", lambda x: x * (1 / 3)) == "right"


def test_a_float_off_by_a_millionth_is_wrong_and_the_digits_show_it():
    shown = text("97.4", lambda x: x / 3 + 1e-6, misses=2)
    assert "0.333334" in shown
    assert "0.333333" in shown


def test_a_whole_number_is_compared_exactly():
    assert state("97.1", 352e9 + 1) == "wrong"


def test_a_string_is_compared_as_text():
    assert (state("97.5", " 10100 "), state("97.5", 10100)) == ("right", "wrong")


def test_a_wrong_shape_is_named():
    assert "yours is (2,), expected is (1, 2)" in text("97.6", [1.5, 2.5])


class Hostile:
    """An answer whose every use fails."""

    def __repr__(self):
        raise RuntimeError("no")

    __array__ = __eq__ = __call__ = __getattr__ = lambda self, *_, **__: 1 / 0
    __hash__ = None


def leave(x):
    raise SystemExit


ODD = [
    Hostile(),
    object(),
    {},
    {1},
    float("nan"),
    10**400,
    1j,
    b"x",
    leave,
    print,
    type,
    [[1], [1, 2]],
]


@pytest.mark.parametrize("id", [f"97.{n}" for n in range(1, 8)])
@pytest.mark.parametrize("answer", ODD, ids=lambda answer: type(answer).__name__)
def test_no_answer_makes_a_check_raise(id, answer):
    assert state(id, answer) in ("wrong", "unanswered")


def test_an_unknown_exercise_names_those_there_are():
    with pytest.raises(ValueError, match=r"no exercise '97.9': chapter 97 has 97.1, 97.2"):
        course.check("97.9", 1)


@pytest.mark.parametrize("id", ["96.1", "nonsense", "", 97.1, None])
def test_an_unknown_chapter_names_those_there_are(id):
    with pytest.raises(ValueError, match=r"chapters with exercises are .*97"):
        course.check(id, 1)


def test_every_symbol_stands_with_its_word():
    shown = [text("97.1", answer) for answer in (..., 1, 352e9)]
    words = ("○ 97.1  not answered yet", "✗ 97.1  not yet", "✓ 97.1  right")
    assert all(line.startswith(word) for line, word in zip(shown, words, strict=True))


def all_exercises():
    folder = Path(exercises.__file__).parent
    for module in sorted(folder.glob("ch*.py")):
        known = __import__(f"quantlab.course.exercises.{module.stem}", fromlist=["EXERCISES"])
        yield from known.EXERCISES.items()


@pytest.mark.parametrize("id", [id for id, _ in all_exercises()])
def test_each_exercise_of_the_course_takes_odd_answers(id):
    odd = [answer for answer in ODD if not isinstance(answer, Hostile)]
    assert "right" not in {state(id, answer) for answer in odd}


@pytest.mark.parametrize(("id", "exercise"), list(all_exercises()))
def test_each_exercise_of_the_course_hints_and_teaches(id, exercise):
    assert len(exercise.hint.split()) > 3
    assert len(exercise.learned.split()) > 3
