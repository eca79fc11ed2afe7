"""Whatever is answered, no check raises: each answer is judged by what it is."""

import decimal
import fractions
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest

import quantlab as ql
from quantlab.course import exercise, exercises

IDS = [
    id
    for module in sorted(m.name for m in iter_modules(exercises.__path__))
    for id in import_module(f"{exercises.__name__}.{module}").EXERCISES
]


class Awkward:
    """A thing that can be neither compared nor written out, and is neither true nor false."""

    def _refuse(self, *_):
        raise RuntimeError("no")

    __eq__ = __bool__ = __repr__ = __len__ = __array__ = __iter__ = _refuse
    __hash__ = object.__hash__


class Unprintable(Exception):
    """An error that fails again when it is written out."""

    def __str__(self):
        raise RuntimeError("no")


def values():
    circle = []
    circle.append(circle)
    return [
        -1, 2.5, float("nan"), float("-inf"), 10**400, -(10**5000), True, 1j, "x", "16", "\ud800",
        "x" * 100_000, b"1", [], [1, 2, 3], [[1, 2], [3]], [1, None], (1,) * 9, {"a": 1}, {1, 2},
        range(5), circle, object(), Awkward(), len, int, np, ValueError("x"), NotImplemented,
        decimal.Decimal("sNaN"), fractions.Fraction(1, 3), [float("nan")] * 3, ["a", "b"],
        np.array(3.0), np.zeros((0, 3)), np.ones((30, 30)), np.ones((1,) * 5), np.ones(3, complex),
        np.array([1, "a"], object), np.array(["a"]), np.array(["2020"], "M8[Y]"), np.array([True]),
        np.zeros(2, [("a", "f4")]), np.zeros(2, "V4"), np.ma.masked_values([1.0, 2.0], 2.0),
        np.ones(2, np.longdouble), ql.quantize_absmax(np.eye(2)), ql.quantize_blockwise([1.0]),
    ]  # fmt: skip


def functions():
    """Functions of as many arguments as they are given: each value as a result, and some more."""
    yield from (lambda *_, value=value: value for value in values())
    for error in (ValueError("x"), SystemExit(1), Unprintable(), RecursionError("x")):
        yield lambda *_, error=error: (_ for _ in ()).throw(error)
    yield lambda x, *_: x
    yield lambda x, *_: str(x)
    yield lambda x, *_: -x
    yield lambda *_: (yield 1)
    yield lambda: 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("id", IDS)
def test_no_answer_makes_a_check_raise(id):
    for answer in [*values(), *functions()]:
        found = exercise.verdict(id, answer, misses=2)
        assert "cannot be checked" not in found.text
        assert len(found.text) < 3000


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["bfloat16", "float32", "meta", "sparse"])
def test_no_tensor_makes_a_check_raise(kind):
    torch = pytest.importorskip("torch")
    tensor = torch.eye(3, requires_grad=True)
    if kind == "sparse":
        tensor = tensor.to_sparse()
    elif kind == "meta":
        tensor = tensor.to("meta")
    else:
        tensor = tensor.to(getattr(torch, kind))
    for id in IDS:
        for answer in (tensor, lambda *_: tensor):
            assert "cannot be checked" not in exercise.verdict(id, answer, misses=2).text
