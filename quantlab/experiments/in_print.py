"""The numbers that the article printed, beside computed ones, at the digits that were printed."""

import json
from decimal import ROUND_DOWN, Decimal

from .._data import path


def verdict(ours, printed):
    """Say how a number of ours relates to a printed one, at the digits that were printed.

    ours: a real number. printed: text such as "-15.90". Returns "rounded" if rounding ours
    gives the printed digits, "cut off" if leaving digits out does, else "differs".

    >>> verdict(-15.8984, "-15.90"), verdict(2.6517, "2.651"), verdict(-1587.05, "-1579")
    ('rounded', 'cut off', 'differs')
    """
    digits = Decimal(1).scaleb(-len(printed.partition(".")[2]))
    exact = Decimal(float(ours))
    if exact.quantize(digits) == Decimal(printed):
        return "rounded"
    return "cut off" if exact.quantize(digits, ROUND_DOWN) == Decimal(printed) else "differs"


def printed():
    """Return the article's published matrices as text, each digit as it was printed, by name."""
    text = path("article/matrix_example.json").read_text(encoding="utf-8")
    tree = json.loads(text, parse_float=str, parse_int=str)["published"]
    absmax = tree["absmax"]
    return {
        "exact product": tree["exact"],
        "absmax: X read back": absmax["X_dequantized"],
        "absmax: W read back": absmax["W_dequantized"],
        "absmax: product": absmax["product"],
    }


def beside(ours):
    """Return rows (matrix, row, column, printed, ours, verdict) for every published number.

    ours: a dict with the names of `printed` -> matrix. Rows and columns count from 1.
    """
    rows = []
    for name, lines in printed().items():
        for i, line in enumerate(lines):
            for j, text in enumerate(line):
                value = float(ours[name][i][j])
                rows.append((name, i + 1, j + 1, text, value, verdict(value, text)))
    return rows
