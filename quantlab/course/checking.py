"""What an exercise is checked with: values, functions on cases, and properties.

Each of the three makers returns a function from an answer to None (right) or `Wrong`.
"""

import contextlib
import copy
import io
import sys
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

# Two correct ways to compute a float differ by a few roundings, each 1.1e-16 of the value.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Wrong:
    """Why an answer is not right: the case, what came, what was expected, where to look.

    wanted: the tolerance in words, or the property that must hold; it gives no answer away.
    counts: whether it is a try; 0, an empty list and the like are none.
    """

    case: str
    yours: str
    expected: str
    look_at: str = ""
    wanted: str = ""
    counts: bool = True


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
            by_name = "pass it by its name, without ( )."
            return Wrong("a function is asked for", short(answer), "", by_name, counts=False)
        for number, case in enumerate(cases):
            wrong = _try(answer, case, look_at, first=number == 0)
            if wrong is not None:
                return wrong
        return None

    return check


def is_unanswered(answer, deepest=8):
    """Say whether `answer` is still the ``...`` of the exercise, or holds one.

    deepest: as far as lists in lists are looked through; a list may hold itself.
    """
    if answer is None or answer is Ellipsis:
        return True
    if isinstance(answer, str):
        return answer.strip() in ("", "...")
    if isinstance(answer, np.ndarray):
        answer = answer.ravel().tolist() if answer.dtype == object else []
    if not isinstance(answer, (list, tuple)) or not deepest:
        return False
    return any(is_unanswered(v, deepest - 1) for v in answer)


def short(answer, digits=4):
    """Return `answer` as aligned text with `digits` significant digits.

    >>> print(short([5, 5.5, 6]))
    [5.000, 5.500, 6.000]
    >>> print(short(2023), short(0.5), short("10100"))
    2023 0.5000 '10100'
    """
    array = _numbers(answer)
    if array is None:
        return _crop(said(repr, answer))
    write = str if array.dtype.kind in "biu" else _writer(array, digits)
    return np.array2string(
        array, separator=", ", max_line_width=70, threshold=40, formatter={"all": write}
    )


def _try(answer, case, look_at, first):
    name = getattr(answer, "__name__", "your function")
    about = case.about or f"{name}({', '.join(map(_written, case.args))})"
    look_at = case.look_at or look_at
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            result = answer(*copy.deepcopy(case.args))
    except (Exception, SystemExit) as error:
        words = said(str, error)
        if "ellipsis" in words:  # the "..." of the exercise met an operator
            raise Unanswered from None
        raised = f"raises {type(error).__name__}: {words}"
        return Wrong(about, raised, look_at=_place(error, look_at), **_asked(case))
    finally:
        sys.stdout.write(printed.getvalue())
    if result is None and printed.getvalue():
        shown = f"prints {_crop(printed.getvalue().strip())} and returns nothing"
        look_at = f"{name} prints its result: `return` it instead."
        return Wrong(about, shown, look_at=look_at, **_asked(case))
    if is_unanswered(result):
        if first:
            raise Unanswered
        look_at = "does every path return a value?"
        return Wrong(about, f"returns {_crop(said(repr, result))}", look_at=look_at, **_asked(case))
    if isinstance(case, Case):
        return _compare(result, case.expected, about, case.within, case.why, look_at, case.mistakes)
    if _holds(case, result):
        return None
    tried = not is_trivial(result)
    return Wrong(about, short(result), look_at=look_at, counts=tried, **_asked(case))


def _holds(case, result):
    """Say whether a result has a property. One that it can't even be asked for it has not."""
    try:
        return bool(case.holds(result))
    except Exception:
        return False


def _compare(yours, expected, about, within, why, look_at, mistakes):
    if _same(yours, expected, within):
        return None
    known = (
        advice
        for mistake, advice in mistakes
        if _same(yours, mistake, _for_mistake(mistake, expected, within))
    )
    look_at = f"{_shapes(yours, expected)} {look_at}".strip()
    look_at = next(known, "") or _kinds(yours, expected) or look_at
    left, right = _apart(yours, expected)
    wanted = ""
    if within is not None:
        wanted = f"within {why + ', ' if why else ''}{within:.4g}"
    return Wrong(about, left, right, look_at, wanted, counts=not is_trivial(yours))


def _for_mistake(mistake, expected, within):
    """Return how near an answer must be to a mistake: as near as to what is right, for its size.

    Half a token per second is close to 125 of them; beside 0.008 seconds it would be anything.
    """
    wrong, right = _numbers(mistake), _numbers(expected)
    if within is None or wrong is None or right is None:
        return within
    sizes = [np.abs(array[np.isfinite(array)]).max(initial=0) for array in (wrong, right)]
    return within * min(1, float(sizes[0] / sizes[1])) if sizes[0] and sizes[1] else within


def _same(yours, expected, within):
    if isinstance(expected, str) or isinstance(yours, str):
        return isinstance(yours, str) and isinstance(expected, str) and yours.strip() == expected
    ours, theirs = _numbers(expected), _numbers(yours)
    if ours is None:
        return type(yours) is type(expected) and bool(yours == expected)
    if theirs is None or theirs.shape != ours.shape:
        return False
    exact = ours.dtype.kind in "biu"
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    if within is None:
        within = 0 if exact else ROUNDING * np.abs(ours[np.isfinite(ours)]).max(initial=0)
    return bool(np.all(np.isclose(theirs, ours, rtol=0, atol=within, equal_nan=True)))


def _numbers(answer):
    """Return `answer` as a real array, or None if it is something else.

    Fractions, decimals, tensors and ml_dtypes' scalars are numbers too: they become float64.
    """
    try:
        if hasattr(answer, "detach"):  # a tensor: of any device, of a dtype that NumPy may lack
            answer = answer.detach().cpu().tolist()
        array = np.asarray(answer)
        exact = array.dtype.kind == "O" and all(isinstance(v, (Real, Decimal)) for v in array.flat)
        if exact or (array.dtype.kind == "V" and array.dtype.names is None):
            array = array.astype(np.float64)
    except Exception:
        return None
    return array if array.dtype.kind in "biuf" else None


def is_trivial(answer):
    """Say whether `answer` is nothing but zeros, or empty: a way to ask, not a try."""
    numbers = _numbers(answer)
    if numbers is None:
        return isinstance(answer, (str, dict, set)) and not answer
    return not np.any(numbers)


def _apart(yours, expected):
    """Write both with as many digits, 4 or more, as it takes to see that they differ."""
    for digits in range(4, 18):
        left, right = short(yours, digits), short(expected, digits)
        if left != right:
            break
    return left, right


def _kinds(yours, expected):
    """Say what kind of answer is asked for, if `yours` is of another."""
    if isinstance(expected, str):
        return "" if isinstance(yours, str) else 'text is asked for: put it between quotes, "...".'
    if _numbers(expected) is None or _numbers(yours) is not None:
        return ""
    if isinstance(yours, str) and isinstance(expected, (bool, np.bool_)):
        return "True or False is asked for: leave the quotes away."
    if isinstance(yours, str):
        return "a number is asked for: leave the quotes away."
    if hasattr(yours, "dequantize"):
        return "this is a Quantized; the exercise asks for numbers: take .codes or .dequantize()."
    if isinstance(yours, (Iterator, Set)):  # a generator is an iterator, too
        return f"a list is asked for, and this is a {type(yours).__name__}: list( ) makes one."
    if callable(yours):
        return "this is a function; the exercise asks for numbers: call it with ( )."
    return ""


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
    return _crop(said(repr, argument.tolist() if hasattr(argument, "tolist") else argument))


def said(write, thing):
    """Return what `repr` or `str` write of a thing, or its kind if they can't.

    A whole number of over 4,300 digits is refused by Python, and a class can have its own words.
    """
    try:
        return write(thing)
    except Exception:
        return f"a value of type {type(thing).__name__} that cannot be written out"


def _crop(text, longest=200):
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _asked(case):
    if isinstance(case, Case):
        return {"expected": short(case.expected)}
    return {"expected": "", "wanted": case.expected}


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
