"""The bit explorer in Chromium, used as a person would; what it shows is compared with quantlab."""

import math
import re
from decimal import Decimal

import numpy as np
import pytest
from lab import new_page

from quantlab import formats
from quantlab.experiments import codes
from quantlab.show import bits

SIZE = {"viewport": {"width": 900, "height": 1200}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


class Strip:
    """The explorer on a page, by what a person sees and touches."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".ql-bits")
        self.root.wait_for()

    def bit(self, index):
        """The button of a bit; index 0 is the last."""
        return self.page.locator(f'.ql-bit[data-index="{index}"]')

    @property
    def bits(self):
        """The digits as shown, fields apart."""
        fields = self.page.locator(".ql-strip .ql-field").all()
        return " ".join("".join(field.locator(".ql-bit").all_inner_texts()) for field in fields)

    @property
    def text(self):
        """The exact value as shown."""
        exact = self.page.locator(".ql-exact").inner_text()
        shown = exact or self.page.locator(".ql-short").inner_text()
        return shown.replace("exactly ", "").replace("−", "-").replace("∞", "inf")

    @property
    def value(self):
        return float(self.text)

    @property
    def error(self):
        return self.page.locator(".ql-error").inner_text().replace("−", "-")

    @property
    def message(self):
        return self.page.locator(".ql-message").inner_text()

    @property
    def box(self):
        return self.page.get_by_label("number", exact=True)

    def type(self, text):
        self.box.fill(text)
        self.box.press("Enter")

    def pick(self, name):
        self.page.get_by_label("number format").select_option(label=name)

    def drag(self, start, end, steps):
        a, b = (self.bit(index).bounding_box() for index in (start, end))
        mouse = self.page.mouse
        mouse.move(a["x"] + a["width"] / 2, a["y"] + a["height"] / 2)
        mouse.down()
        mouse.move(b["x"] + b["width"] / 2, b["y"] + b["height"] / 2, steps=steps)
        mouse.up()


@pytest.fixture(scope="module")
def desk(chromium):
    """The page of all tests that need no other size or colours."""
    page = new_page(chromium, **SIZE)
    yield page
    page.context.close()


@pytest.fixture
def strip(desk, open_page, tmp_path):
    """A function that shows an explorer on a page, without a kernel."""

    def show(value=20.23, format="FP16", **options):
        file = tmp_path / "page.html"
        file.write_text(bits.bit_explorer(value, format).page(), encoding="utf-8")
        desk.mouse.move(0, 0)
        page = open_page(**(SIZE | options)) if options else desk
        page.goto(file.as_uri())
        return Strip(page)

    return show


# ---------------------------------------------------------------- clicking, dragging, keys


def test_a_click_flips_a_bit_and_shows_its_value(strip):
    one = strip()
    code = int(formats.FP16.encode(20.23))
    for index in range(16):
        one.bit(index).click()
        code ^= 1 << index
        wanted = formats.FP16.decode(code)
        assert one.value == wanted or (math.isnan(one.value) and math.isnan(wanted))


def test_a_drag_gives_every_bit_that_it_passes_the_same_digit(strip):
    one = strip()
    one.drag(9, 2, steps=40)
    assert one.bits == "0 10011 1111111111"


def test_a_drag_that_skips_bits_paints_them_too(strip):
    one = strip(0)
    one.drag(15, 0, steps=1)
    assert one.bits == "1 11111 1111111111"


def test_a_drag_from_a_one_clears(strip):
    one = strip()
    one.drag(3, 0, steps=8)
    assert one.bits == "0 10011 0100000000"


def test_a_keyboard_click_after_a_drag_still_counts(strip):
    one = strip(0)
    one.drag(5, 3, steps=5)
    one.bit(0).focus()
    one.page.keyboard.press("Space")
    assert one.bits == "0 00000 0000111001"


def test_arrow_keys_walk_along_the_strip_and_set_bits(strip):
    one = strip(0)
    one.bit(15).focus()
    for key in (
        "ArrowRight",
        "ArrowRight",
        "ArrowUp",
        "End",
        "ArrowUp",
        "ArrowLeft",
        "Enter",
        "Home",
        "Space",
    ):
        one.page.keyboard.press(key)
    assert one.bits == "1 01000 0000000011"


def test_the_down_arrow_clears_a_bit(strip):
    one = strip()
    one.bit(0).press("ArrowDown")
    assert one.bits == "0 10011 0100001110"


def test_digits_are_written_bit_after_bit(strip):
    one = strip(0)
    one.bit(15).focus()
    one.page.keyboard.type("0100110100001111")
    assert one.value == 20.234375


def test_one_tab_stop_for_the_whole_strip(strip):
    one = strip(0)
    one.bit(7).focus()
    one.page.keyboard.press("ArrowRight")
    stops = one.page.locator('.ql-bit[tabindex="0"]')
    assert (stops.count(), stops.get_attribute("data-index")) == (1, "6")


def test_everything_is_reached_by_tab(strip):
    one = strip()
    name = """() => {
      const {className, ariaLabel} = document.activeElement;
      return className.split(" ")[0] || ariaLabel;
    }"""
    seen = set()
    for _ in range(40):
        one.page.keyboard.press("Tab")
        seen.add(one.page.evaluate(name))
    assert {
        "ql-format",
        "ql-number",
        "ql-picks",
        "ql-step",
        "ql-bit",
        "ql-pick",
        "exponent bits, 1 to 11",
    } <= seen


def test_what_has_the_focus_is_outlined(strip):
    one = strip()
    one.box.focus()
    one.page.keyboard.press("Tab")
    width = "() => getComputedStyle(document.activeElement).outlineWidth"
    assert one.page.evaluate(width) == "3px"


# ---------------------------------------------------------------- typing


@pytest.mark.parametrize(
    "text, value",
    [
        ("20.23", 20.234375),
        ("1/3", 0.333251953125),
        ("0x4d0f", 20.234375),
        ("0b0100110100001111", 20.234375),
        ("0 10011 0100001111", 20.234375),
        ("0x3C00", 1.0),
        ("-1e-3", float(np.float16(-1e-3))),
        ("2^-14", 2.0**-14),
        ("65520", math.inf),
    ],
)
def test_a_number_is_typed_in_any_notation(strip, text, value):
    one = strip(0)
    one.type(text)
    assert (one.value, one.message.startswith("A decimal")) == (value, True)


def test_digits_that_fit_are_read_as_bits_and_that_is_said(strip):
    one = strip(0)
    one.type("0100110100001111")
    assert (one.value, one.message.startswith("Read as the 16 bits of FP16")) == (20.234375, True)


def test_with_a_point_the_same_digits_are_a_number(strip):
    one = strip(0, "FP8_E4M3")
    one.type("00000011.")
    assert (one.value, one.message.startswith("A decimal")) == (11.0, True)


def test_enter_on_a_number_that_was_cut_to_fit_the_box_changes_nothing(strip):
    one = strip(0, "FP32")
    one.type("0x3dcccccd")
    one.bit(0).click()
    one.box.press("Enter")
    assert "exactly a value of FP32" in one.error


def test_the_answer_is_there_while_you_type(strip):
    one = strip(0)
    one.box.fill("")
    one.box.press_sequentially("1/3")
    assert (one.value, one.box.input_value()) == (0.333251953125, "1/3")


def test_half_a_fraction_is_no_mistake_yet(strip):
    one = strip()
    one.box.fill("1/")
    assert one.message.startswith("A decimal")


@pytest.mark.parametrize(
    "text, said", [("abc", "(1/3)"), ("20,23", "point"), ("0x12345", "16 bits"), ("1/0", "0")]
)
def test_a_mistake_is_named_in_place_and_loses_nothing(strip, text, said):
    one = strip()
    one.type(text)
    kept = (one.box.input_value(), one.bits, one.box.get_attribute("aria-invalid"))
    assert said in one.message and kept == (text, "0 10011 0100001111", "true")


def test_the_next_good_number_clears_the_message(strip):
    one = strip()
    one.type("abc")
    one.type("1")
    assert (one.message.startswith("A decimal"), one.box.get_attribute("aria-invalid")) == (
        True,
        "false",
    )


@pytest.mark.parametrize("f", formats.ALL.values(), ids=lambda f: f.name)
def test_the_error_is_the_exact_difference(strip, f):
    one = strip("20.23", f.name)
    difference = Decimal(f.round(20.23)) - Decimal("20.23")
    shown = re.search(r"[+-][\d.e+-]+", one.error).group()
    assert float(shown) == float(f"{difference:.6g}")


def test_a_number_that_fits_is_said_to_fit(strip):
    assert "exactly a value of FP16" in strip(0.5).error


# ---------------------------------------------------------------- stepping, formats


def test_next_and_previous_are_the_neighbours(strip):
    one = strip(1)
    one.page.get_by_role("button", name="next value").click()
    up = one.value
    for _ in range(2):
        one.page.get_by_role("button", name="previous value").click()
    wanted = [float(np.nextafter(np.float16(1), np.float16(to))) for to in (2, 0)]
    assert [up, one.value] == wanted


def test_steps_cross_zero_once(strip):
    one = strip(2.0**-24)
    seen = []
    one.bit(0).focus()
    for _ in range(2):
        one.page.keyboard.press("PageDown")
        seen.append(one.value)
    assert seen == [0.0, -(2.0**-24)]


def test_the_last_value_has_no_next(strip):
    one = strip(6, "FP4_E2M1")
    button = one.page.get_by_role("button", name="next value")
    button.click(force=True)
    assert (button.get_attribute("aria-disabled"), one.value) == ("true", 6.0)


@pytest.mark.parametrize("f", formats.ALL.values(), ids=lambda f: f.name)
def test_a_format_from_the_menu_rounds_the_typed_number(strip, f):
    one = strip(202.3, "FP4_E2M1")
    one.pick(f.name)
    assert (one.bits, one.value) == (f.bits(202.3), f.round(202.3))


def test_a_format_from_the_table_is_taken(strip):
    one = strip()
    one.page.get_by_role("button", name="BF16").click()
    assert one.value == formats.BF16.round(20.23)


def test_the_table_holds_the_number_in_every_format(strip):
    one = strip(202.3)
    rows = [
        row.locator("th, td").all_inner_texts()
        for row in one.page.locator(".ql-bits > .ql-table tbody tr").all()
    ]
    shown = {row[0]: (row[1].replace("≈ ", ""), row[3]) for row in rows}
    wanted = {f.name: (f"{f.round(202.3):.9g}", f.bits(202.3)) for f in formats.ALL.values()}
    assert wanted.items() <= shown.items()


def test_widths_of_your_own(strip):
    one = strip(0.3)
    one.page.get_by_label("exponent bits").fill("4")
    one.page.get_by_label("mantissa bits").fill("5")
    one.page.get_by_label("mantissa bits").press("Enter")
    f = formats.MiniFloat("E4M5", 4, 5, 7)
    assert (one.bits, one.value) == (f.bits(0.3), f.round(0.3))


def test_widths_of_a_known_format_are_that_format(strip):
    one = strip(1)
    one.page.get_by_label("exponent bits").fill("8")
    one.page.get_by_label("mantissa bits").fill("7")
    one.page.get_by_label("mantissa bits").press("Enter")
    assert one.page.locator(".ql-format option:checked").inner_text() == "BF16"


def test_infinity_outlives_a_mantissa_without_bits(strip):
    one = strip(1)
    for bits_ in ("0", "10"):
        one.page.get_by_label("mantissa bits").fill(bits_)
        one.page.get_by_label("mantissa bits").press("Enter")
    assert one.page.locator(".ql-format option:checked").inner_text() == "FP16"


def test_a_width_out_of_range_is_not_taken(strip):
    one = strip(1)
    one.page.get_by_label("exponent bits").fill("12")
    one.page.get_by_label("exponent bits").press("Enter")
    assert one.page.get_by_label("exponent bits").input_value() == "5"


@pytest.mark.parametrize(
    "value, format, shown", [(-23, "int8", "11101001"), (2**64 - 1, "uint64", "1" * 64)]
)
def test_whole_numbers_of_any_width(strip, value, format, shown):
    one = strip(value, format)
    assert (one.text, one.bits.replace(" ", "")) == (str(value), shown)


def test_a_whole_number_too_large_is_held_and_said(strip):
    one = strip(300, "int8")
    assert one.value == 127.0 and "-173" in one.error


@pytest.mark.parametrize("f", codes.FLOATS.values(), ids=lambda f: f.name)
def test_the_quick_picks_are_the_landmarks_of_the_format(strip, f):
    one = strip(20, f.name)
    picks = one.page.get_by_label("go to a value")
    wanted = {"largest": f.max, "smallest subnormal": f.smallest_subnormal, "1 + epsilon": None}
    wanted["1 + epsilon"] = 1 + f.epsilon
    found = {}
    for name in wanted:
        picks.select_option(label=name)
        found[name] = one.value
    assert (found, one.page.locator(".ql-error").inner_text()[:8]) == (wanted, "No error")


def test_fp64_is_the_float_of_python(strip):
    one = strip(0, "FP64")
    one.type("0.1")
    assert (one.value, Decimal(one.text)) == (0.1, Decimal.from_float(0.1))


def test_neighbours_in_fp64_are_told_apart(strip):
    label = strip(0.1, "FP64").page.locator(".ql-line svg").first.get_attribute("aria-label")
    found = [float(text) for text in re.findall(r"value (?:≈ )?([\d.e-]+),", label)]
    assert found == [np.nextafter(0.1, 0), np.nextafter(0.1, 1)]


# ---------------------------------------------------------------- folded: rounding, range, sums


def unfolded(one):
    """Open the folded part; a function that reads its rows: name -> value, error, note."""
    one.page.locator("summary").click()

    def rows():
        one.page.wait_for_timeout(50)  # the rows follow with the next frame
        read = [
            row.locator("th, td").all_inner_texts()
            for row in one.page.locator(".ql-more tbody tr").all()
        ]
        return {name: [text.replace("−", "-") for text in texts] for name, *texts in read}

    return rows


def test_what_is_rarely_used_is_folded_at_first(strip):
    assert not strip().page.locator(".ql-more table").is_visible()


def test_every_rule_of_rounding_is_shown_with_its_error(strip):
    rows = unfolded(strip())()
    assert {name: rows[name][:2] for name in list(rows)[:4]} == {
        "nearest even": ["20.234375", "+0.00438"],
        "down": ["20.21875", "-0.0112"],
        "up": ["20.234375", "+0.00438"],
        "toward zero": ["20.21875", "-0.0112"],
    }


def test_stochastic_rounding_says_its_odds(strip):
    assert unfolded(strip())()["stochastic"][2] == "28 %: 20.21875, 72 %: 20.234375"


def test_a_rule_is_taken_and_the_number_that_was_asked_for_stays(strip):
    one = strip()
    unfolded(one)
    one.page.get_by_role("button", name="down", exact=True).click()
    assert (one.value, "against 20.23" in one.error) == (20.21875, True)


def test_a_stochastic_draw_is_one_of_the_two_neighbours(strip):
    one = strip(0.5 + 2**-12)
    unfolded(one)
    seen = set()
    for _ in range(20):  # half and half: both come, but for one in 2^19
        one.page.get_by_role("button", name="stochastic").click()
        seen.add(one.value)
    assert seen == {0.5, 0.5 + 2**-11}


@pytest.mark.parametrize("b", ["1", "0.1", "-3", "2048", "6e4", "1/3"])
def test_sums_and_products_are_rounded_as_numpy_does(strip, b):
    one = strip(2047)
    rows = unfolded(one)
    one.page.get_by_label("b, for sums").fill(b)
    found = rows()
    first, second = (
        np.float16(2047),
        np.float16(codes.decode(formats.FP16, codes.nearest(formats.FP16, b)[0])),
    )
    with np.errstate(over="ignore"):
        wanted = [first + second, first * second]
    shown = [found[name][0].replace("≈ ", "").replace("∞", "inf") for name in ("a + b", "a × b")]
    assert shown == [f"{float(x):.9g}" for x in wanted]


def test_what_a_sum_loses_is_said(strip):
    one = strip(2048)
    rows = unfolded(one)
    one.page.get_by_label("b, for sums").fill("1")
    assert rows()["a + b"] == ["2048", "-1", "b = 1, unrounded = 2049"]


def test_what_is_no_number_is_named_beside_the_sum(strip):
    one = strip()
    rows = unfolded(one)
    one.page.get_by_label("b, for sums").fill("abc")
    assert "is not a number" in rows()["a + b"][2]


@pytest.mark.parametrize("format", ["FP16", "FP64", "FP4_E2M1", "int8"])
def test_the_place_on_the_log_scale_is_said(strip, format):
    one = strip(2, format)
    unfolded(one)
    f = codes.named(format)
    low, high = (1, 127) if format == "int8" else (f.smallest_subnormal, f.max)
    share = (1 - math.log2(low)) / (math.log2(high) - math.log2(low))
    label = one.page.locator(".ql-range svg").get_attribute("aria-label")
    assert f"2 is {share:.0%} of the way".replace("%", " %") in label


@pytest.mark.parametrize("text", ["0", "inf", "nan"])
def test_what_has_no_logarithm_has_no_place_on_the_scale(strip, text):
    one = strip(text)
    unfolded(one)
    label = one.page.locator(".ql-range svg").get_attribute("aria-label")
    assert "has no place on it" in label


def test_the_hex_digits_are_edited_in_the_number_box(strip):
    one = strip()
    one.page.get_by_role("button", name="0x4d0f").click()
    one.page.keyboard.press("End")
    one.page.keyboard.press("Backspace")
    one.page.keyboard.type("e")
    assert (one.box.input_value(), one.bits) == ("0x4d0e", "0 10011 0100001110")


@pytest.mark.parametrize(
    "name, text", [("value", "20.234375"), ("bits", "0b0100110100001111"), ("hex", "0x4d0f")]
)
def test_value_bits_and_hex_are_copied(strip, name, text):
    one = strip()
    unfolded(one)
    one.page.get_by_role("button", name=f"copy the {name}").click()
    other = one.page.get_by_label("b, for sums")
    other.fill("")
    other.press("Control+v")
    assert other.input_value() == text


# ---------------------------------------------------------------- what is explained


def test_the_formula_has_the_numbers_filled_in(strip):
    lines = strip().page.locator(".ql-formula").inner_text().splitlines()
    assert [line.replace(" ", "") for line in lines] == [
        "(−1)0×219−15×(1+271/1024)",
        "=1×2⁴×≈1.26464844",
        "=20.234375",
        "=1×10100×1.0100001111inbasetwo",
    ]


def test_the_formula_in_base_two_names_a_power_below_0_and_a_subnormal(strip):
    formula = strip("3/16777216", "FP16").page.locator(".ql-formula")
    last = formula.inner_text().splitlines()[-1]
    assert last.replace(" ", "") == "=1×10−1110×0.0000000011inbasetwo"


def test_the_fields_are_those_of_quantlab(strip):
    cards = strip(-0.1, "BF16").page.locator(".ql-card").all_inner_texts()
    fields = formats.BF16.fields(-0.1)
    assert [card.split("\n")[1] for card in cards] == [
        f"stored {stored}" for stored in (fields.sign, fields.exponent, fields.mantissa)
    ]


@pytest.mark.parametrize("value", [20.23, 1.0, 2.0**-24, 65504.0, -2.0])
def test_the_number_line_names_the_neighbours_and_gaps(strip, value):
    label = strip(value).page.locator(".ql-line svg").get_attribute("aria-label").replace("−", "-")
    here = np.float16(value)
    for word, to in (("previous", -np.inf), ("next", np.inf)):
        with np.errstate(over="ignore"):
            other = np.nextafter(here, np.float16(to))
        gap = abs(float(other) - float(here)) if np.isfinite(other) else formats.FP16.spacing(value)
        name = f"{float(other):.9g}" if np.isfinite(other) else "∞"
        found = re.search(rf"{word} value (?:≈ )?([^,]+), gap ([\d.e+-]+)", label)
        assert (found[1].replace("e-0", "e-"), float(found[2])) == (
            name.replace("e-0", "e-"),
            float(f"{gap:.6g}"),
        )


def test_subnormals_infinity_and_nan_are_named(strip):
    one = strip(2.0**-24)
    seen = []
    for text in ("2^-24", "inf", "nan", "0", "1"):
        one.type(text)
        seen.append(one.page.locator(".ql-kind").inner_text().split(" · ")[1])
    assert seen == ["subnormal", "infinity", "NaN", "zero", "normal"]


def test_the_smallest_fp32_is_shown_to_its_last_digit(strip):
    one = strip(0, "FP32")
    one.type("0x00000001")
    assert Decimal(one.text) == Decimal(2.0**-149)


# ---------------------------------------------------------------- for everybody


def test_every_bit_says_what_it_is(strip):
    one = strip()
    named = [one.bit(i).get_attribute("aria-label") for i in (15, 14, 10, 9, 0)]
    assert named == [
        "sign bit, 1 is minus, is 0",
        "exponent bit 4, weight 2^4, is 1",
        "exponent bit 0, weight 2^0, is 1",
        "mantissa bit 9, weight 2^-1, is 0",
        "mantissa bit 0, weight 2^-10, is 1",
    ]


def test_every_bit_says_whether_it_is_set(strip):
    one = strip()
    pressed = [one.bit(i).get_attribute("aria-pressed") for i in range(15, -1, -1)]
    assert pressed == ["true" if digit == "1" else "false" for digit in "0100110100001111"]


def test_the_fields_are_named_and_not_by_colour_alone(strip):
    names = strip().page.locator(".ql-field-name").all_inner_texts()
    assert names == ["sign", "exponent · 5", "mantissa · 10"]


def test_a_change_is_read_out(strip):
    one = strip()
    one.bit(9).click()
    live = one.page.locator('[aria-live="polite"].ql-live').inner_text()
    assert live.startswith("28.234375 in FP16")


def test_every_control_has_a_name(strip):
    one = strip()
    nameless = """() => [...document.querySelectorAll("button, input, select")]
      .filter((node) => !(node.getAttribute("aria-label") || node.textContent.trim()))
      .map((node) => node.outerHTML)"""
    assert one.page.evaluate(nameless) == []


def places(one):
    names = [".ql-strip", ".ql-value-box", ".ql-explanation", ".ql-bits > .ql-line"]
    names.append(".ql-bits > .ql-table")
    return [one.page.locator(name).bounding_box()["y"] for name in names]


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_nothing_jumps(strip, options):
    one = strip(**options)
    before = places(one)
    for text in ("abc", "0x12345", "1/3", "2^-24", "nan", "inf", "-65504"):
        one.type(text)
        assert places(one) == before
    one.bit(3).click()
    one.pick("FP32")
    one.pick("FP8_E4M3")
    assert places(one) == before


def test_a_phone_needs_no_sideways_scrolling(strip):
    one = strip(**PHONE)
    widths = []
    one.page.locator("summary").click()
    for name in ("FP16", "FP32", "FP64", "int32"):
        one.pick(name)
        widths.append(one.page.evaluate("() => document.documentElement.scrollWidth"))
    assert max(widths) <= 390


@pytest.mark.parametrize("width", [306, 390, 900])
def test_no_word_of_the_fields_is_cut_off(strip, width):
    # 306: the page beside JupyterLab's side bars on a phone of 390
    one = strip(202.3, viewport={"width": width, "height": 1200})
    cut = """() => [...document.querySelectorAll(".ql-card > *")]
      .filter((node) => node.scrollWidth > node.clientWidth).map((node) => node.textContent)"""
    found = []
    for name in ("FP16", "BF16", "FP32", "FP64", "FP4_E2M1", "int8", "int32"):
        one.pick(name)
        found += one.page.evaluate(cut)
    one.pick("FP16")
    one.type("2^-24")
    assert found + one.page.evaluate(cut) == []


@pytest.mark.parametrize("text", ["inf", "nan"])
def test_the_words_about_infinity_and_nan_wrap(strip, text):
    formula = strip(text, **PHONE).page.locator(".ql-formula")
    assert formula.evaluate("(node) => node.scrollWidth <= node.clientWidth")


@pytest.mark.parametrize("width", [306, 390, 640, 900])
@pytest.mark.parametrize(
    "number, format", [("-1.7e308", "FP64"), ("-3.4e38", "FP32"), (-1, "int64"), ("-nan", "FP16")]
)
def test_no_line_of_the_formula_is_cut_off_or_scrolled(strip, number, format, width):
    one = strip(number, format, viewport={"width": width, "height": 1200})
    formula = one.page.locator(".ql-formula")
    sizes = "(node) => [node.scrollWidth - node.clientWidth, node.scrollHeight - node.clientHeight]"
    assert formula.evaluate(sizes) == [0, 0]


def test_an_exponent_of_the_formula_is_at_least_12_pixels(strip):
    size = "(node) => parseFloat(getComputedStyle(node).fontSize)"
    assert strip(1.5).page.locator(".ql-formula sup").first.evaluate(size) >= 12


def test_bits_are_large_enough_for_a_finger(strip):
    # WCAG 2.2, 2.5.8: at least 24 by 24 pixels
    one = strip(0, "FP32", **PHONE)
    boxes = [one.bit(index).bounding_box() for index in range(32)]
    assert min(min(box["width"], box["height"]) for box in boxes) >= 24


def test_a_tap_flips_a_bit_once(strip):
    one = strip(0, **PHONE)
    one.bit(0).tap()
    assert one.bits == "0 00000 0000000001"


_CONTRAST = """(names) => {
  // Paint a colour on a canvas to read it as red, green and blue, whatever it is written as.
  const pixel = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const light = (colour) => {
    pixel.fillStyle = colour;
    pixel.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const clear = (colour) => colour === "rgba(0, 0, 0, 0)" || colour === "transparent";
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (!clear(colour)) return colour;
    }
    return "white";
  };
  return names.flatMap((name) => [...document.querySelectorAll(name)].map((node) => {
    pixel.fillStyle = "white";
    const [back, front] = [light(ground(node)), light(getComputedStyle(node).color)];
    return [name, (Math.max(back, front) + 0.05) / (Math.min(back, front) + 0.05)];
  }));
}"""
WORDS = [
    ".ql-short",
    ".ql-kind",
    ".ql-error",
    ".ql-message",
    ".ql-note",
    ".ql-field-name",
    ".ql-bit",
    ".ql-card b",
]
WORDS += [
    ".ql-formula",
    ".ql-table td",
    ".ql-pick",
    ".ql-number",
    ".ql-labelled > span",
    ".ql-step",
    ".ql-picks",
    ".ql-more summary",
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(strip, scheme):
    # WCAG 2.2, 1.4.3: 4.5 to 1
    one = strip(color_scheme=scheme)
    one.page.mouse.move(0, 0)
    weak = [(name, ratio) for name, ratio in one.page.evaluate(_CONTRAST, WORDS) if ratio < 4.5]
    assert weak == []


# ---------------------------------------------------------------- in JupyterLab, with Python

CELL = "from quantlab.show.bits import bit_explorer\nstrip = bit_explorer(20.23, 'FP16')\nstrip"


@pytest.fixture
def in_lab(lab):
    one = lab(viewport={"width": 1280, "height": 1600})
    one.write(CELL)
    one.run_all()
    return one, Strip(one.page)


def test_python_and_page_hold_the_same_number(in_lab):
    one, strip = in_lab
    strip.bit(9).click()
    clicked = one.execute("print(strip.value, strip.bits)")
    one.execute("strip.format = 'BF16'; strip.value = 202.3")
    strip.page.wait_for_function("() => document.querySelector('.ql-short').textContent === '202'")
    set_value = strip.bits
    one.execute("strip.bits = '0' * 16")
    strip.page.wait_for_function("() => document.querySelector('.ql-short').textContent === '0'")
    strip.type("1/3")
    strip.pick("int4")
    one.settle()  # the page keeps a change back until Python has answered the one before
    typed = one.execute("print(strip.value, strip.bits, strip.format.name)")
    assert (clicked, set_value, typed) == (
        "28.234375 0 10011 1100001111",
        formats.BF16.bits(202.3),
        "0 0000 int4",
    )


def test_two_views_of_one_strip_agree(in_lab):
    one, _ = in_lab
    one.write(CELL, "strip", name="two.ipynb")
    one.run_all()
    views = one.page.locator(".ql-bits")
    views.nth(1).wait_for()
    views.nth(0).locator(".ql-bit").nth(0).click()
    other = views.nth(1).locator(".ql-short")
    one.page.wait_for_function(
        "() => document.querySelectorAll('.ql-short')[1].textContent.startsWith('−')"
    )
    assert other.inner_text() == "−20.234375"


def test_enter_answers_at_once_in_jupyterlab(in_lab):
    _, strip = in_lab
    strip.type("abc")
    assert "“abc” is not a number" in strip.message


def test_jupyterlab_leaves_the_keys_to_the_strip(in_lab):
    _, strip = in_lab
    strip.bit(15).click()
    strip.page.keyboard.type("0011110000000000")
    for key in ("Home", "ArrowDown", "ArrowRight", "x", "d", "d", "b", "m", "a"):
        strip.page.keyboard.press(key)
    cells = strip.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.model.cells.length"
    )
    assert (strip.value, cells) == (1.0, 1)


def test_the_dark_theme_of_jupyterlab_is_legible(in_lab):
    one, strip = in_lab
    one.theme("JupyterLab Dark")
    weak = [(name, ratio) for name, ratio in strip.page.evaluate(_CONTRAST, WORDS) if ratio < 4.5]
    assert weak == []


def test_it_fits_a_phone_in_jupyterlab(in_lab):
    _, strip = in_lab
    strip.page.set_viewport_size({"width": 390, "height": 1600})
    strip.page.wait_for_timeout(500)
    wide = """() => {
      const root = document.querySelector(".ql-bits");
      return root.scrollWidth - root.clientWidth;
    }"""
    assert strip.page.evaluate(wide) <= 0
