"""Count the bad calls of the tables: tried, clear, unclear, silently taken, hung.

python tests/count_bad_calls.py
"""

# ruff: noqa: E402 - the tables are found beside this file

import sys
import warnings
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "show")]
import matplotlib
import matplotlib.pyplot as plt
import test_bad_calls
import test_given

from quantlab import lm

KINDS = ("clear", "unclear", "silent", "hang")


def kind(verdict):
    """Return which of `KINDS` a verdict of `test_bad_calls` is."""
    if "hangs: no answer" in verdict:
        return "hang"
    return {"": "clear", "went through": "silent"}.get(verdict, "unclear")


def core():
    """Yield (function, keywords, argument) of each bad call of the core."""
    for row in test_bad_calls.TABLE:
        for argument, bad in row.bad.items():
            for value in bad.values():
                yield row.function, row.good | {argument: value}, argument


def model():
    """Yield those of `lm`, on the bundled model."""
    loaded = lm.load("tiny-lm", "fp32", device="cpu")
    for name, argument in test_bad_calls.LM:
        function, good, bad = test_bad_calls.call_of_model(loaded, name, argument)
        for value in bad.values():
            yield function, good | {argument: value}, argument


def figures():
    """Yield those of the figures."""
    for function, good, bad in test_given.FIGURES:
        for argument, values in bad.items():
            for value in values.values():
                yield function, test_given.others(function, good) | {argument: value}, argument
        plt.close("all")


def main():
    """Print a line for each part of the package, and the sum."""
    matplotlib.use("agg")
    warnings.simplefilter("error")  # as in the tests
    total = Counter()
    print(f"{'':10}{'tried':>8}" + "".join(f"{name:>9}" for name in KINDS))
    for part in (core, model, figures):
        found = Counter(kind(test_bad_calls.verdict(*call)) for call in part())
        total += found
        print(_line(part.__name__, found), flush=True)
    print(_line("all", total))
    return 0 if total["clear"] == total.total() else 1


def _line(name, found):
    return f"{name:10}{found.total():8,}" + "".join(f"{found[one]:9,}" for one in KINDS)


if __name__ == "__main__":
    sys.exit(main())
