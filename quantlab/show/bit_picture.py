"""A snapshot of the bit explorer for readers without a kernel, and the page that needs none.

A table of words and digits, so that it can be read where a page drops colours (GitHub does).
"""

import json
import math
from decimal import Decimal
from html import escape

import numpy as np

from quantlab import formats
from quantlab.show import style

_COLOURS = {
    "sign": (style.SIGN, "#ffffff"),
    "exponent": (style.EXPONENT, "#000000"),
    "mantissa": (style.MANTISSA, "#000000"),
    "digits": (style.DIGIT, "#ffffff"),
}


def value_of(chosen, code):
    """Return the number of a code: an int for a whole-number format, else a float, exact."""
    if not isinstance(chosen, formats.MiniFloat):
        return chosen.decode(code)
    sign = chosen.width - 1  # decoded apart: NumPy's int64 has no room for a code's 64th bit
    with np.errstate(over="ignore"):  # FP64's infinity is reached by overflow
        size = float(chosen.decode(code & (2**sign - 1)))
    return math.copysign(size, -1.0 if code >> sign else 1.0)


def field_digits(chosen, code):
    """Return the digits of a code by field, as a list of (field, digits); empty fields left out."""
    digits = f"{code:0{chosen.width}b}"
    if isinstance(chosen, formats.MiniFloat):
        cut = 1 + chosen.exponent_bits
        parts = [("sign", digits[0]), ("exponent", digits[1:cut]), ("mantissa", digits[cut:])]
        return [(name, text) for name, text in parts if text]
    return [("sign", digits[0]), ("digits", digits[1:])] if chosen.signed else [("digits", digits)]


def bit_text(chosen, code):
    """Return the bits of a code; a float's fields stand apart, as in ``MiniFloat.bits``."""
    between = " " if isinstance(chosen, formats.MiniFloat) else ""
    return between.join(digits for _, digits in field_digits(chosen, code))


def decimal(number):
    """Return a number as an exact decimal without an exponent."""
    if isinstance(number, int) or not math.isfinite(number):
        return str(number)
    text = f"{Decimal(number):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def snapshot(chosen, code, asked):
    """Return the strip of `code` in format `chosen` as HTML: fields, bits, value, how it is made.

    asked: the number that was asked for, as text.
    """
    fields = field_digits(chosen, code)
    heads = "".join(_head(name, digits) for name, digits in fields)
    cells = "".join(_cell(name, digit) for name, digits in fields for digit in digits)
    value = decimal(value_of(chosen, code))
    caption = f"{escape(asked)} in {escape(chosen.name)}"
    row = 'style="background:transparent"'
    return (
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;margin:0 0 4px">'
        f'<caption style="text-align:left"><b>{caption}</b></caption>'
        f"<tr {row}>{heads}</tr><tr {row}>{cells}</tr></table></div>"
        f'<p style="overflow-wrap:anywhere">{_formula(chosen, code)} = <b>{value}</b></p>'
        "<p>A still of the bit explorer. Run this notebook to flip its bits.</p>"
    )


def _head(name, digits):
    colour, _ = _COLOURS[name]
    label = name if len(digits) < 3 else f"{name} · {len(digits)}"
    return (
        f'<th colspan="{len(digits)}" style="text-align:left;font-weight:400;padding:0 4px;'
        f'border-bottom:4px solid {colour}">{label}</th>'
    )


def _cell(name, digit):
    colour, ink = _COLOURS[name]
    look = f"background:{colour};color:{ink};font-weight:700" if digit == "1" else ""
    return (
        f'<td style="border:1px solid {colour};padding:2px 5px;text-align:center;'
        f'font-family:monospace;{look}">{digit}</td>'
    )


def _formula(chosen, code):
    if not isinstance(chosen, formats.MiniFloat):
        return _whole_formula(chosen, code)
    digits = dict(field_digits(chosen, code))
    sign, exponent = int(digits["sign"]), int(digits["exponent"], 2)
    mantissa, size = int(digits.get("mantissa", "0"), 2), 2**chosen.mantissa_bits
    if not math.isfinite(value_of(chosen, code)):
        return f"exponent {exponent}, mantissa {mantissa}"
    lead, stored = (1, exponent) if exponent else (0, 1)
    bias = f"− {chosen.bias}" if chosen.bias >= 0 else f"+ {-chosen.bias}"
    return f"(−1)<sup>{sign}</sup> × 2<sup>{stored} {bias}</sup> × ({lead} + {mantissa}/{size})"


def _whole_formula(chosen, code):
    top = chosen.width - 1
    rest = code & (2**top - 1) if chosen.signed else code
    sign = f"{code >> top} × (−2<sup>{top}</sup>) + " if chosen.signed else ""
    return f"{sign}{rest}"


_HOST = """
// A page of its own has no kernel: a plain object stands in for the widget's model.
const data = %s;
const model = {
  get: (name) => data[name],
  set: (name, value) => { data[name] = value; },
  save_changes() {}, on() {}, off() {},
};
render({ model, el: document.getElementById("explorer") });
"""


def page(module, css, data):
    """Return one HTML page with the explorer: its module, its style and what it starts with."""
    host = _HOST % json.dumps(data).replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Bit explorer</title>
<style>
body {{ margin: 12px auto; max-width: 824px; padding: 0 12px; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #16181b; }} }}
{css}
</style>
</head>
<body>
<main id="explorer"></main>
<script type="module">
{module}
{host}
</script>
</body>
</html>
"""
