"""Every check with its table of answers: right in several forms, wrong as people are.

Each test_chNN.py holds two tables. RIGHT: exercise id -> right answers, three forms or more.
WRONG: (id, answer, words that the verdict says at the first miss), three or more an exercise.
"""

import re
from collections import Counter
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from inspect import getclosurevars
from pathlib import Path

import pytest

from quantlab.course import exercises, verdict
from quantlab.course.checking import Case, _for_mistake, _same
from quantlab.course.exercise import PATIENCE, find

FORMS, MISTAKES = 3, 3  # the fewest of each that a check is tried with


def _load(path):
    spec = spec_from_file_location(f"answers_{path.stem}", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLES = {
    path.stem.removeprefix("test_"): _load(path)
    for path in sorted(Path(__file__).parent.glob("test_ch*.py"))
}
RIGHT = [(id, a) for t in TABLES.values() for id, answers in t.RIGHT.items() for a in answers]
WRONG = [row for table in TABLES.values() for row in table.WRONG]
CHAPTERS = sorted(path.stem for path in Path(exercises.__file__).parent.glob("ch*.py"))


def _name(value):
    return value if isinstance(value, str) else getattr(value, "__name__", repr(value))[:30]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_check_has_its_table_of_answers(chapter):
    ids = import_module(f"{exercises.__name__}.{chapter}").EXERCISES
    table = TABLES[chapter]
    wrong = Counter(id for id, _, _ in table.WRONG)
    few = {id: len(table.RIGHT.get(id, ())) for id in ids if len(table.RIGHT.get(id, ())) < FORMS}
    assert few == {}, f"right answers, {FORMS} or more an exercise"
    few = {id: wrong[id] for id in ids if wrong[id] < MISTAKES}
    assert few == {}, f"wrong answers, {MISTAKES} or more an exercise"
    assert set(wrong) | set(table.RIGHT) == set(ids)


@pytest.mark.parametrize(("id", "answer"), RIGHT, ids=_name)
def test_a_right_answer_is_right_in_whatever_form(id, answer):
    found = verdict(id, answer)
    assert found.state == "right", found.text


@pytest.mark.parametrize(("id", "answer", "says"), WRONG, ids=_name)
def test_a_wrong_answer_is_refused_with_a_hint_that_helps(id, answer, says):
    found = verdict(id, answer)
    assert found.state == "wrong", found.text
    assert says in re.sub(r"\s+", " ", found.text)
    assert says.strip(), "name the words that help"


@pytest.mark.parametrize(("id", "answer", "says"), WRONG, ids=_name)
def test_the_first_two_misses_do_not_say_what_was_expected(id, answer, says):
    assert "\n   expected" not in verdict(id, answer, misses=PATIENCE - 1).text


@pytest.mark.parametrize("id", [id for table in TABLES.values() for id in table.RIGHT])
def test_the_dots_of_the_exercise_get_the_hint(id):
    example = next(answer for known, answer in RIGHT if known == id)
    nothing = (lambda *args: ...) if callable(example) else ...
    found = verdict(id, nothing)
    assert found.state == "unanswered" and "Hint:" in found.text


@pytest.mark.parametrize("id", [id for table in TABLES.values() for id in table.RIGHT])
def test_zero_never_reveals_what_was_expected(id):
    for nothing in (0, [], ""):
        assert "\n   expected" not in verdict(id, nothing, misses=99).text


def _mistakes(check):
    """Yield (expected, within, mistakes) of each value and case that a check was made of."""
    inside = getclosurevars(check).nonlocals
    if "mistakes" in inside:
        yield inside["expected"], inside["within"], inside["mistakes"]
    for parts in inside.values():
        for part in parts if isinstance(parts, tuple) else (parts,):
            if isinstance(part, Case):
                yield part.expected, part.within, part.mistakes
            elif callable(part) and getattr(part, "__closure__", None):
                yield from _mistakes(part)


@pytest.mark.parametrize("id", [id for table in TABLES.values() for id in table.RIGHT])
def test_no_advice_hides_behind_another(id):
    """Of two mistakes that a case can't tell apart, only the first one's advice is ever said."""
    told, hidden = set(), []
    for expected, within, mistakes in _mistakes(find(id).check):
        known = [(m, say) for m, say in mistakes if not _same(m, expected, within)]
        for later, (mistake, advice) in enumerate(known):
            earlier = [
                say
                for other, say in known[:later]
                if _same(mistake, other, _for_mistake(other, expected, within))
            ]
            if advice not in told and any(say != advice for say in earlier):
                hidden.append((earlier[0], advice))
        told |= {say for _, say in known}
    assert hidden == []
