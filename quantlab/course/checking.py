"""What an exercise is checked with: values, functions on cases, and properties.

Each of the three makers returns a function from an answer to None (right) or `Wrong`.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# Two correct ways to compute a float differ by a few roundings, each 1.1e-16 of the value.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Wrong:
    """Why an answer is not right: the case, what came, what was expected, where to look."""

    case: str
    yours: str
    expected: str
    look_at: str = ""


class Unanswered(Exception):
    """Raised by a check that finds the ``...`` of the exercise still inside the answer."""


@dataclass(frozen=True)
class Case:
    """One call of a learner's function.

    args: a tuple. expected: the right result. about: the case in words (None: the call itself).
    within, why, look_at, mistakes: as in `value`, for this case alone.
    """

    args: tuple
    expected: Any
    about: str | None = None
    within: float | None = None
    why: str = ""
    look_at: str = ""
    mistakes: tuple = ()


@dataclass(frozen=True)
class Property:
    """One call whose result must satisfy something that many results do.

    args: a tuple. holds: a function from the result to True or False. expected: that in words.
    about: the case in words (None: the call itself). look_at: where to look if it fails.
    """

    args: tuple
    holds: Callable[[Any], bool]
    expected: str
    about: str | None = None
    look_at: str = ""


def value(expected, about, within=None, why="", look_at="", mistakes=()):
    """Return a check for a number, string, list or array.

    expected: the right answer. about: what it is, for example "bytes of BLOOM-176B in FP16".
    within: how far off a number may be (None: whole numbers exactly, others to a billionth of the
    largest). why: where that tolerance comes from, for example "half a step". look_at: where to
    look; mistakes: pairs (wrong answer, what to look at instead) for answers that people give.
    """
    return lambda answer: _compare(answer, expected, about, within, why, look_at, mistakes)


def function(*cases, look_at=""):
    """Return a check for a function: the first of `cases` that fails is shown.

    cases: `Case` and `Property`, simplest first. look_at: for cases that have none of their own.
    """

    def check(answer):
        if not callable(answer):
            return Wrong("a function is asked for", short(answer), "a function", "pass it by name")
        for number, case in enumerate(cases):
            wrong = _try(answer, case, look_at, first=number == 0)
            if wrong is not None:
                return wrong
        return None

    return check


def against(reference, *inputs, within=None, why="", look_at=""):
    """Return a check that a function gives what `reference` gives, for each tuple in `inputs`."""
    cases = (Case(args, reference(*args), within=within, why=why) for args in inputs)
    return function(*cases, look_at=look_at)


def is_unanswered(answer):
    """Say whether `answer` is still the ``...`` of the exercise, or holds one."""
    if answer is None or answer is Ellipsis:
        return True
    if isinstance(answer, str):
        return answer.strip() in ("", "...")
    if isinstance(answer, np.ndarray):
        return answer.dtype == object and any(is_unanswered(v) for v in answer.flat)
    return isinstance(answer, (list, tuple)) and any(is_unanswered(v) for v in answer)


def short(answer, digits=4):
    """Return `answer` as aligned text with `digits` significant digits.

    >>> print(short([5, 5.5, 6]))
    [5.000, 5.500, 6.000]
    >>> print(short(2023), short(0.5), short("10100"))
    2023 0.5000 '10100'
    """
    array = _numbers(answer)
    if array is None:
        return _crop(repr(answer))
    write = str if array.dtype.kind in "biu" else _writer(array, digits)
    return np.array2string(
        array, separator=", ", max_line_width=70, threshold=40, formatter={"all": write}
    )


def _try(answer, case, look_at, first):
    name = getattr(answer, "__name__", "your function")
    about = case.about or f"{name}({', '.join(map(_written, case.args))})"
    look_at = case.look_at or look_at
    try:
        result = answer(*copy.deepcopy(case.args))
    except (Exception, SystemExit) as error:
        if "ellipsis" in str(error):  # the "..." of the exercise met an operator
            raise Unanswered from None
        raised = f"raises {type(error).__name__}: {error}"
        return Wrong(about, raised, _wanted(case), _place(error, look_at))
    if is_unanswered(result):
        if first:
            raise Unanswered
        return Wrong(about, f"returns {result!r}", _wanted(case), "does every path return a value?")
    if isinstance(case, Case):
        return _compare(result, case.expected, about, case.within, case.why, look_at, case.mistakes)
    if case.holds(result):
        return None
    return Wrong(about, short(result), case.expected, look_at)


def _compare(yours, expected, about, within, why, look_at, mistakes):
    if _same(yours, expected, within):
        return None
    for mistake, advice in mistakes:
        if _same(yours, mistake, within):
            look_at = advice
    left, right = _apart(yours, expected)
    if within is not None:
        right += f" (within {why + ', ' if why else ''}{within:.4g})"
    return Wrong(about, left, right, _shapes(yours, expected) or look_at)


def _same(yours, expected, within):
    if isinstance(expected, str) or isinstance(yours, str):
        return isinstance(yours, str) and yours.strip() == expected
    ours, theirs = _numbers(expected), _numbers(yours)
    if ours is None:
        return type(yours) is type(expected) and yours == expected
    if theirs is None or theirs.shape != ours.shape:
        return False
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    if within is None:
        exact = _numbers(expected).dtype.kind in "biu"
        within = 0 if exact else ROUNDING * np.abs(ours[np.isfinite(ours)]).max(initial=0)
    return bool(np.all(np.isclose(theirs, ours, rtol=0, atol=within, equal_nan=True)))


def _numbers(answer):
    """Return `answer` as a real array, or None if it is something else."""
    try:
        array = np.asarray(answer)
    except Exception:
        return None
    return array if array.dtype.kind in "biuf" else None


def _apart(yours, expected):
    """Write both with as many digits, 4 or more, as it takes to see that they differ."""
    for digits in range(4, 18):
        left, right = short(yours, digits), short(expected, digits)
        if left != right:
            break
    return left, right


def _shapes(yours, expected):
    ours, theirs = _numbers(expected), _numbers(yours)
    if ours is None or theirs is None or ours.shape == theirs.shape:
        return ""
    return f"the shape: yours is {theirs.shape}, expected is {ours.shape}."


def _writer(array, digits):
    finite = np.abs(array[np.isfinite(array)])
    largest = float(finite.max(initial=0))
    if largest and not 1e-4 <= largest < 1e7:
        return lambda v: f"{v:.{digits - 1}e}"
    before = len(str(int(largest))) if largest >= 1 else 0
    return lambda v: f"{v:.{max(digits - before, 0)}f}"


def _written(argument):
    """Return `argument` as a learner would type it."""
    return _crop(repr(argument.tolist() if hasattr(argument, "tolist") else argument))


def _crop(text, longest=200):
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _wanted(case):
    return short(case.expected) if isinstance(case, Case) else case.expected


def _place(error, look_at):
    """Add the line of the learner's code in which `error` was raised."""
    frame = error.__traceback__.tb_next
    while frame is not None and frame.tb_next is not None and _is_cell(frame.tb_next):
        frame = frame.tb_next
    line = f"line {frame.tb_lineno} of your cell. " if frame and _is_cell(frame) else ""
    return line + look_at


def _is_cell(frame):
    # ipykernel compiles a cell under a file name of its own, which no module has.
    return "__loader__" not in frame.tb_frame.f_globals or "get_ipython" in frame.tb_frame.f_globals
