"""The bit explorer's Python half: what is read, written and refused, the still, the page."""

import json
import math
import re
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab import formats
from quantlab.experiments import codes
from quantlab.show import bits

FORMATS = formats.ALL.values()


def test_the_value_is_rounded_to_the_format():
    strip = bits.bit_explorer(20.23, "FP16")
    assert (strip.value, strip.bits) == (20.234375, formats.FP16.bits(20.23))


def test_setting_the_value_moves_the_bits():
    strip = bits.bit_explorer()
    strip.value = 202.3
    assert strip.bits == formats.FP16.bits(202.3)


def test_setting_the_bits_moves_the_value():
    strip = bits.bit_explorer()
    strip.bits = "0 10000 0000000000"
    assert strip.value == 2.0


def test_bits_may_come_without_spaces():
    strip = bits.bit_explorer()
    strip.bits = "0100110100001111"
    assert strip.bits == "0 10011 0100001111"


def test_a_format_change_rounds_the_asked_number_again_from_the_start():
    strip = bits.bit_explorer(20.23, "FP4_E2M1")
    strip.format = "FP32"
    assert strip.value == float(np.float32(20.23))


def test_after_a_bit_is_set_the_bits_are_the_number():
    strip = bits.bit_explorer(20.23, "FP16")
    strip.bits = "0 10011 0100001111"
    strip.format = "FP32"
    assert strip.value == 20.234375


def test_bits_that_were_set_are_rounded_from_their_exact_value():
    strip = bits.bit_explorer(0, "TF32")
    strip.bits = f"{99588:019b}"  # half way between two values of BF16; its shortest decimal is not
    strip.format = "BF16"
    assert strip.bits == formats.BF16.bits(formats.TF32.decode(99588))


@pytest.mark.parametrize("text, value", [("1e2000", math.inf), ("1e-2000", 0.0)])
def test_a_number_far_outside_a_format_survives_a_format_change(text, value):
    strip = bits.bit_explorer(text, "FP16")
    strip.format = "BF16"
    assert strip.value == value


def test_the_format_reads_back_as_quantlabs_own():
    assert bits.bit_explorer(1, "BF16").format is formats.BF16


@pytest.mark.parametrize("name, value, code", [("int8", -1, "11111111"), ("uint4", 9, "1001")])
def test_whole_number_formats_go_by_name(name, value, code):
    strip = bits.bit_explorer(value, name)
    assert (strip.value, strip.bits, strip.format.name) == (value, code, name)


def test_int64_is_exact():
    assert bits.bit_explorer(2**63 - 1, "int64").value == 2**63 - 1


def test_a_custom_format_works():
    strip = bits.bit_explorer(0.3, formats.MiniFloat("E4M5", 4, 5, 7))
    assert strip.value == strip.format.round(0.3)


def test_sixty_four_bits_keep_the_sign():
    strip = bits.bit_explorer(-0.1, "FP64")
    assert strip.value == -0.1


def test_infinity_of_64_bits_is_infinity():
    strip = bits.bit_explorer(math.inf, "FP64")
    assert strip.value == math.inf


@pytest.mark.parametrize(
    "text, value", [("1/3", 1 / 3), ("20.23", 20.23), ("1e-3", 1e-3), ("-inf", -math.inf)]
)
def test_text_is_read_as_a_number(text, value):
    strip = bits.bit_explorer(0, "FP32")
    strip.value = text
    assert strip.value == formats.FP32.round(value)


# What the page reads: tests/browser/test_minifloat_js.py runs the same cases.
TYPED = json.loads(Path(__file__).parents[1].joinpath("typed_numbers.json").read_text("utf-8"))


@pytest.mark.parametrize("case", TYPED, ids=lambda case: f"{case['format']} {case['text']!r}")
def test_python_reads_what_the_page_reads_and_refuses_what_it_refuses(case):
    strip = bits.bit_explorer(0, case["format"])
    if case["bits"] is None:
        with pytest.raises(ValueError, match="value must"):
            strip.value = case["text"]
    else:
        strip.value = case["text"]
        assert strip.bits.replace(" ", "") == case["bits"]


def test_a_negative_nan_keeps_its_sign_through_a_format_change():
    strip = bits.bit_explorer(-math.nan)
    strip.format = "BF16"
    assert strip.bits == "1 11111111 1000000"


def test_the_bits_of_a_negative_nan_keep_their_sign_through_a_format_change():
    strip = bits.bit_explorer()
    strip.bits = "1 11111 1000000000"
    strip.format = "BF16"
    assert strip.bits == "1 11111111 1000000"


@given(st.floats(width=64))
def test_fp64_holds_every_float_of_python(x):
    strip = bits.bit_explorer(x, "FP64")
    assert strip.bits.replace(" ", "") == f"{np.float64(x).view(np.uint64):064b}" or x != x


def test_minus_zero_keeps_its_sign():
    strip = bits.bit_explorer(-0.0)
    strip.format = "BF16"
    assert strip.bits == "1 00000000 0000000"


def test_nan_survives_a_format_change():
    strip = bits.bit_explorer(math.nan)
    strip.format = "FP8_E4M3"
    assert math.isnan(strip.value)


def test_observers_of_one_name_see_the_other_two_already_moved():
    strip = bits.bit_explorer(20.23)
    seen = []
    strip.observe(lambda change: seen.append((strip.value, strip.bits)), "bits")
    strip.value = 1
    assert seen == [(1.0, formats.FP16.bits(1))]


def test_what_the_page_sends_is_taken():
    strip = bits.bit_explorer(20.23)
    state = strip._state | {"bits": "0" * 16, "number": "0", "ratio": "0/1"}
    strip.set_state({"_state": state})
    assert (strip.value, strip.bits) == (0.0, "0 00000 0000000000")


def test_a_custom_format_from_the_page_is_taken():
    strip = bits.bit_explorer(1)
    wide = formats.MiniFloat("E6M9", 6, 9, 31)
    state = codes.state_of(wide, "1/3")
    strip.set_state({"_state": json.loads(json.dumps(state))})
    assert strip.format == wide


REFUSED = [
    ("value", "abc", ValueError, "'abc'"),
    ("value", "1/0", ValueError, "'1/0'"),
    ("value", None, TypeError, "None"),
    ("value", True, TypeError, "True"),
    ("value", 10**3000, ValueError, "1e2000"),
    ("value", "1e99999", ValueError, "1e2000"),
    ("bits", "0101", ValueError, "16 digits"),
    ("bits", "2" * 16, ValueError, "0 or 1"),
    ("format", "FP17", ValueError, "FP16"),
    ("format", "int65", ValueError, "int2 to int64"),
    ("format", 16, TypeError, "16"),
]


@pytest.mark.parametrize("name, wrong, kind, said", REFUSED)
def test_what_is_wrong_is_refused_by_name_and_changes_nothing(name, wrong, kind, said):
    strip = bits.bit_explorer(20.23)
    before = strip._state
    with pytest.raises(kind, match=re.escape(said)):
        setattr(strip, name, wrong)
    assert (strip._state, strip.value, strip.bits) == (before, 20.234375, "0 10011 0100001111")


@pytest.mark.parametrize("f", FORMATS, ids=lambda f: f.name)
@given(x=st.floats(width=64))
def test_exact_rounding_agrees_with_the_formats_own(f, x):
    exact = x if x == 0 or not math.isfinite(x) else Fraction(x)
    assert codes.encode(f, exact) == int(f.encode(x))


@pytest.mark.parametrize("f", FORMATS, ids=lambda f: f.name)
@given(x=st.floats(allow_nan=False, width=64))
def test_a_float_gets_the_code_that_quantlab_gives_it(f, x):
    assert int(codes.state_of(f, x)["bits"], 2) == int(f.encode(x))


@given(st.fractions(-300, 300))
def test_integers_round_to_the_nearest_and_hold_at_the_ends(x):
    int8 = bits.Integer(8)
    assert int8.decode(int8.encode(x)) == min(max(round(x), -128), 127)


@pytest.mark.parametrize("width", [1, 65, 8.5])
def test_a_width_that_is_not_served_is_refused(width):
    with pytest.raises(ValueError, match="2 to 64"):
        bits.Integer(width)


def test_the_module_is_model_and_face_without_an_import():
    module = bits._module()
    assert "import {" not in module and module.count("export default") == 1


def test_the_page_needs_no_network():
    page = bits.bit_explorer().page()
    assert not re.findall(r"(?:src|href)=|https?://|url\(|@import", page)


def test_the_page_holds_the_number():
    assert '"number": "1/3"' in bits.bit_explorer("1/3").page()


def test_the_display_holds_the_widget_and_a_still():
    strip = bits.bit_explorer()
    bundle = strip._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}


def test_the_display_on_colab_holds_the_widget_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    bundle = bits.bit_explorer()._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "application/vnd.jupyter.widget-view+json"}


def test_the_display_names_no_address_in_memory():
    plain = bits.bit_explorer()._repr_mimebundle_()["text/plain"]
    assert plain == "Bit explorer: FP16 0 10011 0100001111 = 20.234375"


def test_the_still_is_the_same_in_every_run():
    first, second = (bits.bit_explorer()._repr_mimebundle_()["text/html"] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("f", FORMATS, ids=lambda f: f.name)
def test_the_still_shows_every_bit_and_the_exact_value(f):
    code = int(f.encode(0.3))
    html = bits.snapshot(f, code, "0.3")
    digits = "".join(re.findall(r">([01])</td>", html))
    assert (digits, codes.decimal(f.round(0.3)) in html) == (f"{code:0{f.width}b}", True)


def test_the_still_can_be_read_without_colours():
    text = re.sub(r"<[^>]*>", " ", bits.snapshot(formats.FP16, 0x4D0F, "20.23"))
    assert all(word in text for word in ("sign", "exponent", "mantissa", "20.234375"))


def test_the_still_escapes_what_was_asked_for():
    assert "<script" not in bits.snapshot(formats.FP16, 0, "<script>")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_decimals_are_exact(x):
    text = codes.decimal(x)
    assert Decimal(text) == Decimal(x) and "e" not in text.lower()


def test_the_colours_are_those_of_the_figures():
    from quantlab.show import style

    css = bits._style().lower()
    named = {
        "sign": style.SIGN,
        "exponent": style.EXPONENT,
        "mantissa": style.MANTISSA,
        "bad": style.ERROR,
    }
    assert all(f"--ql-{name}: {colour.lower()};" in css for name, colour in named.items())
