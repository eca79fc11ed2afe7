"""Exercises: an answer goes in, one of three verdicts comes out, nothing is raised for it."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from quantlab.course import exercises
from quantlab.course.checking import Unanswered, Wrong, is_unanswered, said

WIDTH = 88  # columns of a printed verdict
PATIENCE = 2  # misses that get a hint alone: from the next one on, what was expected shows
_misses = {}  # exercise id: the different wrong answers so far, in this kernel


@dataclass(frozen=True)
class Exercise:
    """One exercise of the course.

    hint: what an unanswered check says. check: a function from the answer to None (right) or to
    `checking.Wrong`; `quantlab.course.checking` makes them. learned: what a right answer shows.
    """

    hint: str
    check: Callable[[Any], Wrong | None]
    learned: str


@dataclass(frozen=True)
class Verdict:
    """state: "unanswered", "wrong" or "right". text: what `check` prints."""

    state: str
    text: str


def check(id, answer):
    """Print the verdict on `answer` to exercise `id`, for example ``check("4.2", my_zero_point)``.

    The first two misses get a hint; what was expected shows from the third on. The same answer
    twice is one miss, and 0 or an empty list is none.
    Raises ValueError for an id that is no exercise; never for what the answer is or does.
    """
    found, wrong = _judge(id, answer)
    if wrong is not None:
        missed = _misses.setdefault(id, set())
        earlier = len(missed - {(wrong.case, wrong.yours)})
        if wrong.counts:
            missed.add((wrong.case, wrong.yours))
        found = _explain(id, wrong, earlier if wrong.counts else 0)
    print(found.text)


def verdict(id, answer, misses=0):
    """Return the `Verdict` on `answer` to exercise `id` after `misses` wrong ones.

    With two or more misses before it, a wrong answer's text says what was expected.
    Raises as `check` does.
    """
    found, wrong = _judge(id, answer)
    return found if wrong is None else _explain(id, wrong, misses if wrong.counts else 0)


def _judge(id, answer):
    """Return (verdict, None), or (None, `Wrong`)."""
    exercise = find(id)
    if is_unanswered(answer):
        return _unanswered(id, exercise), None
    try:
        wrong = exercise.check(answer)
    except Unanswered:
        return _unanswered(id, exercise), None
    except Exception as error:
        wrong = Wrong(
            case="this answer cannot be checked",
            yours=f"a value of type {type(answer).__name__}",
            expected=f"an answer that does not raise {type(error).__name__}: {said(str, error)}",
            look_at="is it the kind of value that the exercise asks for?",
        )
    if wrong is None:
        return Verdict("right", _wrap(f"✓ {id}  right: ", exercise.learned)), None
    return None, replace(wrong, look_at=wrong.look_at or exercise.hint)


def find(id):
    """Return the `Exercise` with this id. Raises ValueError that names the ids there are."""
    chapter = id.split(".")[0] if isinstance(id, str) else ""
    modules = _chapters()
    module = f"ch{chapter.zfill(2)}"
    if not chapter or module not in modules:
        have = ", ".join(str(int(name[2:])) for name in modules) or "none"
        raise ValueError(f"there is no exercise {id!r}: chapters with exercises are {have}")
    known = import_module(f"{exercises.__name__}.{module}").EXERCISES
    if id not in known:
        raise ValueError(f"there is no exercise {id!r}: chapter {chapter} has {', '.join(known)}")
    return known[id]


def _chapters():
    return sorted(m.name for m in iter_modules(exercises.__path__) if m.name.startswith("ch"))


def _unanswered(id, exercise):
    return Verdict("unanswered", _wrap(f"○ {id}  not answered yet. Hint: ", exercise.hint))


def _explain(id, wrong, misses):
    lines = [_wrap(f"✗ {id}  not yet: ", wrong.case), _labelled("yours", wrong.yours)]
    if misses >= PATIENCE and wrong.expected:
        lines.append(_labelled("expected", wrong.expected))
    if wrong.wanted:
        lines.append(_labelled("wanted", wrong.wanted))
    lines.append(_wrap("   Look at: ", wrong.look_at))
    return Verdict("wrong", "\n".join(lines))


def _labelled(label, text):
    return textwrap.indent(text, " " * 13).replace(" " * 13, f"   {label:<10}", 1)


def _wrap(start, text):
    return textwrap.fill(start + text, WIDTH, subsequent_indent="       ")
