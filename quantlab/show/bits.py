"""The bit explorer: every bit of a number to click, in any format, with or without a kernel.

All that the page shows is worked out in the page (static/minifloat.js; static/bits.js is its face).
Python holds the number too: reading `value`, `bits` and `format` gives what the page shows, setting
one of them moves the page.
"""

import json
import math
from functools import partial
from html import escape

import anywidget
import traitlets
from IPython.display import display

from quantlab import formats
from quantlab.experiments import codes
from quantlab.experiments.codes import Integer
from quantlab.show import explorer, style

#: What the explorer offers unless told otherwise; int4 and int8 are what weights are stored in.
FORMATS = (*codes.FLOATS.values(), Integer(4), Integer(8), Integer(16), Integer(32))


class BitStrip(anywidget.AnyWidget):
    """A number in bits that you can touch.

    value: the number that the bits hold, a float, or an int in a whole-number format. Set it to a
    number, a fraction or text such as "1/3", "2^-14" or "0x4d0f", as the page reads it: the bits
    become the nearest code, ties to even.
    bits: the code as text, "sign exponent mantissa" as ``MiniFloat.bits`` writes it. Set it to as
    many 0s and 1s as the format has, with or without spaces.
    format: a ``MiniFloat`` or an `Integer`. Set it to one, or to a name: "FP16", "int8", "uint4".
    All three can be observed. Raises ValueError or TypeError that says what is allowed.

    >>> strip = BitStrip(20.23, "FP16")
    >>> strip.bits, strip.value
    ('0 10011 0100001111', 20.234375)
    >>> strip.format = "BF16"    # the number that was asked for is rounded again, from the start
    >>> strip.bits, strip.value
    ('0 10000011 0100010', 20.25)
    >>> strip.bits = "0 10000011 0000000"
    >>> strip.value
    16.0
    """

    _state = traitlets.Dict().tag(sync=True)
    _formats = traitlets.List().tag(sync=True)
    value = traitlets.TraitType(0)
    bits = traitlets.Unicode()
    format = traitlets.TraitType(formats.FP16)

    def __init__(self, value=0, format="FP16", formats=FORMATS):
        chosen = codes.named(format)
        offered = [codes.as_data(codes.named(one)) for one in formats]
        state = codes.state_of(chosen, value)
        self._following = False
        super().__init__(_formats=offered, _state=state)
        self._follow()

    @traitlets.observe("_state")
    def _follow(self, change=None):
        """Take value, bits and format from the shared state, all before anyone is told."""
        chosen, code = codes.from_data(self._state["format"]), self._code
        self._following = True
        try:
            with self.hold_trait_notifications():
                self.format = chosen
                self.bits = codes.bits(chosen, code)
                self.value = codes.decode(chosen, code)
        finally:
            self._following = False

    @traitlets.validate("value", "bits", "format")
    def _take(self, proposal):
        """Move the state to what was set, which moves all three: then it is what they hold."""
        name, wanted = proposal["trait"].name, proposal["value"]
        if self._following:
            return wanted
        if name == "value":
            self._state = codes.state_of(self.format, wanted)
        elif name == "bits":
            self._state = codes.state_of_bits(self.format, wanted)
        else:
            chosen, exact = codes.named(wanted), codes.exact(self._state["ratio"])
            code = codes.encode(chosen, exact)
            self._state = codes.state(chosen, code, self._state["number"], exact)
        return getattr(self, name)

    @property
    def _code(self):
        return int(self._state["bits"], 2)

    def page(self):
        """Return the explorer as one HTML page that needs no kernel, no server and no network."""
        data = json.dumps({"_state": self._state, "_formats": self._formats})
        return _PAGE % (_style(), _module(), data.replace("<", "\\u003c"))

    def _repr_mimebundle_(self, **kwargs):
        """The live widget, and a snapshot of it for GitHub, paper and pages without widgets.

        On Colab the widget comes alone, as every explorer does.
        """
        text = f"Bit explorer: {self.format.name} {self.bits} = {self.value}"
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        bundle = {"text/plain": text, explorer.VIEW: view}
        still = {"text/html": snapshot(self.format, self._code, self._state["number"])}
        return bundle if explorer.on_colab() else bundle | still

    def _ipython_display_(self, **kwargs):
        """Show the same bundle under ipywidgets 7, which would send its own."""
        display(self._repr_mimebundle_(), raw=True)


def bit_explorer(value=20.23, format="FP16", formats=FORMATS):
    """Return a `BitStrip` that shows `value` in `format`; end a cell with it to see it.

    formats: what the menu and the table below offer, names or formats.
    """
    return BitStrip(value, format, formats)


def _module():
    return explorer.script("keys.js", "minifloat.js", "bits.js")


def _style():
    return explorer.script("restart.css", "bits.css")


BitStrip._esm = _module()
BitStrip._css = _style()

# A page of its own has no kernel: a plain object stands in for the widget's model.
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Bit explorer</title>
<style>
body { margin: 12px auto; max-width: 824px; padding: 0 12px; }
@media (prefers-color-scheme: dark) { body { background: #16181b; } }
%s
</style></head>
<body><main id="explorer"></main>
<script type="module">
%s
const data = %s;
const model = { get: (name) => data[name], set() {}, save_changes() {}, on() {}, off() {} };
render({ model, el: document.getElementById("explorer") });
</script></body></html>
"""


# ------------------------------------------------------------------------------------ the snapshot

_COLOURS = {
    "sign": (style.SIGN, "#ffffff"),
    "exponent": (style.EXPONENT, "#000000"),
    "mantissa": (style.MANTISSA, "#000000"),
    "digits": (style.DIGIT, "#ffffff"),
}


def snapshot(chosen, code, asked):
    """Return the strip of `code` in format `chosen` as HTML: fields, bits, value, how it is made.

    asked: the number that was asked for, as text. A table of words and digits, so that it can be
    read where a page drops colours (GitHub does).
    """
    fields = codes.fields(chosen, code)
    heads = "".join(_head(name, digits) for name, digits in fields)
    cells = "".join(_cell(name, digit) for name, digits in fields for digit in digits)
    value = codes.decimal(codes.decode(chosen, code))
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
        f'<th scope="colgroup" colspan="{len(digits)}" style="text-align:left;font-weight:400;'
        f'padding:0 4px;border-bottom:4px solid {colour}">{label}</th>'
    )


def _cell(name, digit):
    colour, ink = _COLOURS[name]
    look = f"background:{colour};color:{ink};font-weight:700" if digit == "1" else ""
    return (
        f'<td style="border:1px solid {colour};padding:2px 5px;text-align:center;'
        f'font-family:monospace;{look}">{digit}</td>'
    )


def _formula(chosen, code):
    stored = {name: int(digits, 2) for name, digits in codes.fields(chosen, code)}
    if isinstance(chosen, Integer):
        sign = f"{stored['sign']} × (−2<sup>{chosen.width - 1}</sup>) + " if chosen.signed else ""
        return f"{sign}{stored['digits']}"
    exponent, mantissa = stored["exponent"], stored.get("mantissa", 0)
    if not math.isfinite(codes.decode(chosen, code)):
        return f"exponent {exponent}, mantissa {mantissa}"
    bias = f"− {chosen.bias}" if chosen.bias >= 0 else f"+ {-chosen.bias}"
    return (
        f"(−1)<sup>{stored['sign']}</sup> × 2<sup>{exponent or 1} {bias}</sup> × "
        f"({int(exponent > 0)} + {mantissa}/{2**chosen.mantissa_bits})"
    )


EXPLORERS = {
    "01_whole_numbers/bit-explorer": partial(bit_explorer, -1, "int8"),
    "02_fractions/bit-explorer": partial(bit_explorer, 20.23, "FP16"),
    "03_float_formats/bit-explorer": partial(bit_explorer, 202.3, "BF16"),
}
