"""Exercises: an answer goes in, one of three verdicts comes out, nothing is raised for it."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from quantlab.course import exercises
from quantlab.course.checking import Unanswered, Wrong, is_unanswered

WIDTH = 88  # columns of a printed verdict


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

    Raises ValueError for an id that is no exercise; never for what the answer is or does.
    """
    print(verdict(id, answer).text)


def verdict(id, answer):
    """Return the `Verdict` on `answer` to exercise `id`. Raises as `check` does."""
    exercise = find(id)
    if is_unanswered(answer):
        return _unanswered(id, exercise)
    try:
        wrong = exercise.check(answer)
    except Unanswered:
        return _unanswered(id, exercise)
    except Exception as error:
        wrong = Wrong(
            case="this answer cannot be checked",
            yours=f"a value of type {type(answer).__name__}",
            expected=f"an answer that does not raise {type(error).__name__}: {error}",
            look_at="is it the kind of value that the exercise asks for?",
        )
    if wrong is None:
        return Verdict("right", _wrap(f"✓ {id}  right: ", exercise.learned))
    return Verdict("wrong", _explain(id, wrong))


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


def _explain(id, wrong):
    lines = [_wrap(f"✗ {id}  not yet: ", wrong.case)]
    for label, text in (("yours", wrong.yours), ("expected", wrong.expected)):
        lines.append(textwrap.indent(text, " " * 13).replace(" " * 13, f"   {label:<10}", 1))
    if wrong.look_at:
        lines.append(_wrap("   Look at: ", wrong.look_at))
    return "\n".join(lines)


def _wrap(start, text):
    return textwrap.fill(start + text, WIDTH, subsequent_indent="       ")
