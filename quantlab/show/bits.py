"""The bit explorer: every bit of a number to click, in any format, with or without a kernel.

All that the page shows is worked out in the page (static/minifloat.js; static/bits.js is its face).
Python holds the number too: reading `value`, `bits` and `format` gives what the page shows, setting
one of them moves the page.
"""

import math
import numbers
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from importlib.resources import files

import anywidget
import numpy as np
import traitlets
from IPython.display import display

from quantlab import binary, formats
from quantlab._checks import whole
from quantlab.show import bit_picture, explorer

_STATIC = files("quantlab.show") / "static"
_LONGEST = 1200  # characters of a number as text; minifloat.js has the same limit


@dataclass(frozen=True)
class Integer:
    """A whole-number format of `width` bits (2 to 64); signed is two's complement."""

    width: int
    signed: bool = True

    def __post_init__(self):
        whole("width", self.width, 2, 64)

    @property
    def name(self):
        """As NumPy writes it: int8, uint4."""
        return f"{'' if self.signed else 'u'}int{self.width}"

    def decode(self, code):
        """Return the number that the code (0 to 2^width - 1) stands for."""
        return binary.from_bits(format(int(code), f"0{self.width}b"), signed=self.signed)

    def encode(self, number):
        """Return the code of the nearest whole number, ties to even, ends held; NaN becomes 0."""
        low = -(2 ** (self.width - 1)) if self.signed else 0
        high = low + 2**self.width - 1
        if isinstance(number, float) and not math.isfinite(number):
            kept = 0 if math.isnan(number) else (high if number > 0 else low)
        else:
            kept = min(max(round(Fraction(number)), low), high)
        return kept % 2**self.width


#: What the explorer offers unless told otherwise; int4 and int8 are what weights are stored in.
FORMATS = (*formats.ALL.values(), Integer(4), Integer(8), Integer(16), Integer(32))


class BitStrip(anywidget.AnyWidget):
    """A number in bits that you can touch.

    value: the number that the bits hold, a float, or an int in a whole-number format. Set it to a
    number, a fraction or text such as "1/3": the bits become the nearest code, ties to even.
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
        chosen = _as_format(format)
        offered = [_as_format(one) for one in formats]
        state = _state_of(chosen, value)
        self._following = False
        super().__init__(_formats=[_as_data(one) for one in offered], _state=state)
        self._follow()

    @traitlets.observe("_state")
    def _follow(self, change=None):
        """Take value, bits and format from the shared state, all before anyone is told."""
        chosen = _from_data(self._state["format"])
        code = int(self._state["bits"], 2)
        self._following = True
        try:
            with self.hold_trait_notifications():
                self.format = chosen
                self.bits = bit_picture.bit_text(chosen, code)
                self.value = bit_picture.value_of(chosen, code)
        finally:
            self._following = False

    @traitlets.validate("value")
    def _take_value(self, proposal):
        if not self._following:
            self._state = _state_of(self.format, proposal["value"])
            return self.value
        return proposal["value"]

    @traitlets.validate("bits")
    def _take_bits(self, proposal):
        if not self._following:
            self._state = _state_of_bits(self.format, proposal["value"])
            return self.bits
        return proposal["value"]

    @traitlets.validate("format")
    def _take_format(self, proposal):
        if not self._following:
            number = _from_ratio(self._state["ratio"])
            self._state = _state_of(_as_format(proposal["value"]), number, self._state["number"])
            return self.format
        return proposal["value"]

    def page(self):
        """Return the explorer as one HTML page that needs no kernel, no server and no network."""
        return bit_picture.page(
            _module(), _style(), {"_state": self._state, "_formats": self._formats}
        )

    def _repr_mimebundle_(self, **kwargs):
        """The live widget, and a snapshot of it for GitHub, paper and pages without widgets.

        On Colab the widget comes alone, as every explorer does.
        """
        snapshot = bit_picture.snapshot(
            self.format, int(self._state["bits"], 2), self._state["number"]
        )
        text = f"Bit explorer: {self.format.name} {self.bits} = {self.value}"
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        bundle = {"text/plain": text, explorer.VIEW: view}
        return bundle if explorer.on_colab() else bundle | {"text/html": snapshot}

    def _ipython_display_(self, **kwargs):
        """Show the same bundle under ipywidgets 7, which would send its own."""
        display(self._repr_mimebundle_(), raw=True)


def bit_explorer(value=20.23, format="FP16", formats=FORMATS):
    """Return a `BitStrip` that shows `value` in `format`; end a cell with it to see it.

    formats: what the menu and the table below offer, names or formats.
    """
    return BitStrip(value, format, formats)


@cache
def _module():
    """Join arithmetic and page into the one module that anywidget takes, by dropping the import."""
    model = (_STATIC / "minifloat.js").read_text(encoding="utf-8")
    page = (_STATIC / "bits.js").read_text(encoding="utf-8")
    page, dropped = re.subn(r'import \{[^}]*\} from "\./minifloat\.js";\n', "", page)
    if dropped != 1:
        raise RuntimeError(f"bits.js must import minifloat.js once, found {dropped} imports")
    return f"{model}\n{page}"


@cache
def _style():
    return (_STATIC / "bits.css").read_text(encoding="utf-8")


BitStrip._esm = _module()
BitStrip._css = _style()


def _as_format(wanted):
    if isinstance(wanted, (formats.MiniFloat, Integer)):
        return wanted
    allowed = f"{', '.join(formats.ALL)}, int2 to int64, uint2 to uint64, a MiniFloat or an Integer"
    if not isinstance(wanted, str):
        raise TypeError(f"format must be {allowed}, got {wanted!r}")
    named = re.fullmatch(r"(u?)int(\d{1,2})", wanted)
    if named and 2 <= int(named[2]) <= 64:
        return Integer(int(named[2]), signed=not named[1])
    if wanted not in formats.ALL:
        raise ValueError(f"format must be {allowed}, got {wanted!r}")
    return formats.ALL[wanted]


def _as_data(chosen):
    """The format as the page reads it."""
    if isinstance(chosen, Integer):
        kind = {"kind": "integer", "width": chosen.width, "signed": chosen.signed}
    else:
        names = ("exponent_bits", "mantissa_bits", "bias", "specials")
        kind = {"kind": "float"} | {name: getattr(chosen, name) for name in names}
    return kind | {"name": chosen.name}


def _from_data(data):
    if data["kind"] == "integer":
        return Integer(data["width"], data["signed"])
    names = ("name", "exponent_bits", "mantissa_bits", "bias", "specials")
    made = formats.MiniFloat(**{name: data[name] for name in names})
    return made if formats.ALL.get(made.name) != made else formats.ALL[made.name]


def _state_of(chosen, number, text=None):
    """The state that shows `number`, rounded once to the nearest code."""
    exact, written = _read(number)
    code = _encode(chosen, exact)
    if isinstance(number, (float, np.floating)) and code != int(chosen.encode(float(number))):
        # The float lies on the other side of a midpoint than the decimal that it prints as.
        exact = Fraction(float(number))
        code, written = _encode(chosen, exact), f"{float(number):.1100g}"
    return _state(chosen, code, text or written, exact)


def _state_of_bits(chosen, bits):
    digits = bits.replace(" ", "").replace("_", "")
    if len(digits) != chosen.width or set(digits) - set("01"):
        raise ValueError(
            f"bits must be {chosen.width} digits 0 or 1 for {chosen.name}, got {bits!r}"
        )
    code = int(digits, 2)
    exact, _ = _read(bit_picture.value_of(chosen, code))
    return _state(chosen, code, bit_picture.decimal(bit_picture.value_of(chosen, code)), exact)


def _state(chosen, code, text, exact):
    bits = f"{code:0{chosen.width}b}"
    return {"format": _as_data(chosen), "bits": bits, "number": text, "ratio": _to_ratio(exact)}


def _read(number):
    """Return a number as (exact, text): a Fraction, or a float for -0.0, infinity and NaN.

    A float is taken as the decimal that it prints as: 20.23 is 2023/100.
    """
    if isinstance(number, (bool, np.bool_)) or not isinstance(number, (numbers.Real, str)):
        raise TypeError(f"value must be a number, or text such as '20.23' or '1/3', got {number!r}")
    text = number.strip() if isinstance(number, str) else _written(number)
    power = re.search(r"e([+-]?\d+)$", text.lower())
    if len(text) > _LONGEST or (power and abs(int(power[1])) > 2000):
        raise ValueError(f"value must lie between -1e2000 and 1e2000, got {text[:40]}...")
    if re.fullmatch(r"[+-]?(inf|infinity|nan)", text.lower()):
        return float(text), text
    try:
        exact = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(
            f"value must be a number, or text such as '20.23', '1e-3' or '1/3', got {number!r}; "
            "for bits set .bits"
        ) from None
    return (-0.0 if exact == 0 and text.startswith("-") else exact), text


def _written(number):
    if isinstance(number, numbers.Integral):
        return str(int(number)) if abs(int(number)) < 10**_LONGEST else "9" * (_LONGEST + 1)
    if isinstance(number, Fraction):
        return str(number)
    return repr(float(number))


def _encode(chosen, exact):
    """The code of the nearest value to a Fraction (or to -0.0, infinity or NaN), ties to even."""
    if isinstance(chosen, Integer) or isinstance(exact, float):
        return int(chosen.encode(exact))
    magnitude = _magnitude_code(chosen, abs(exact))
    if magnitude > int(chosen.encode(chosen.max)):
        magnitude = int(chosen.encode(math.inf))
    return magnitude | (int(exact < 0) << (chosen.width - 1))


def _magnitude_code(chosen, size):
    """Round an exact size as if exponents went on for ever; codes count the values upwards.

    ``MiniFloat.encode`` starts from a float64; 1/3 would be rounded twice.
    """
    if size == 0:
        return 0
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if size < Fraction(2) ** exponent:
        exponent -= 1
    lowest = 1 - chosen.bias
    kept = max(exponent, lowest)
    steps = size / Fraction(2) ** (kept - chosen.mantissa_bits)
    code = ((kept - lowest) << chosen.mantissa_bits) + math.floor(steps)
    rest = steps - math.floor(steps)
    tie = rest == Fraction(1, 2)
    return code + int(code % 2 if tie else rest > Fraction(1, 2))  # ties to the even code


def _to_ratio(exact):
    if isinstance(exact, Fraction):
        return f"{exact.numerator}/{exact.denominator}"
    if exact == 0:
        return "-0/1"
    sign = "-" if math.copysign(1, exact) < 0 else ""
    return sign + ("nan" if math.isnan(exact) else "inf")


def _from_ratio(text):
    if text.lstrip("-") in ("inf", "nan"):
        return float(text)
    exact = Fraction(text)
    return -0.0 if exact == 0 and text.startswith("-") else exact


EXPLORERS = {
    "01_whole_numbers/bit-explorer": partial(bit_explorer, -1, "int8"),
    "02_fractions/bit-explorer": partial(bit_explorer, 20.23, "FP16"),
    "03_float_formats/bit-explorer": partial(bit_explorer, 202.3, "BF16"),
}
