"""Notebooks 01 and 02: the worked calculations as faces and pictures."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab import binary
from quantlab.show import binary_figures as figures

TAG = re.compile(r"<[^>]*>")


def words(face):
    """The text of a face, tags out, single spaces."""
    return " ".join(TAG.sub(" ", face).split())


def digits(face):
    """The digits drawn in the row above the table, as one string."""
    return "".join(re.findall(r">([01])</span>", face.split("<svg")[0]))


@given(st.integers(0, 2**figures.DIGITS - 1))
def test_all_steps_of_the_division_show_the_digits_of_the_number(number):
    face = figures.render_division(number, 32)
    assert digits(face) == format(number, "b")


@given(st.integers(1, 2**figures.DIGITS - 1), st.data())
def test_at_each_step_what_is_left_and_what_is_written_make_up_the_number(number, data):
    step = data.draw(st.integers(1, len(binary.halve(number)) - 1) if number > 1 else st.just(0))
    face = words(figures.render_division(number, step))
    found = re.search(r"So far (\d+) = (\d+) × (\d+) \+ (\d+)\.", face)
    if step:
        whole, left, power, rest = map(int, found.groups())
        assert (whole, left * power + rest, power) == (number, number, 2**step)
    else:
        assert f"Start: {number}." in face


def test_the_division_shows_one_line_for_each_step_taken():
    assert words(figures.render_division(2023, 4)).count("remainder") == 4


def test_the_newest_division_is_the_one_in_the_sentence():
    assert "252 ÷ 2 = 126 remainder 0" in words(figures.render_division(2023, 4))
    assert "Go on with 126." in words(figures.render_division(2023, 4))


def test_a_step_past_the_last_shows_the_last():
    assert figures.render_division(6, 3) == figures.render_division(6, 9)


def test_the_division_of_zero_is_one_step():
    assert words(figures.render_division(0, 1)).startswith("Nothing is left to halve.")


@given(st.integers(1, 9999), st.integers(1, figures.DOUBLINGS))
def test_the_digits_of_a_doubling_are_worth_what_the_sentence_says(ten_thousandths, step):
    fraction = ten_thousandths / 10_000
    face = figures.render_doubling(fraction, step)
    shown = digits(face)
    worth = Fraction(int(shown, 2), 2 ** len(shown))
    missing = Fraction(str(fraction)) - worth
    assert 0 <= missing < Fraction(1, 2 ** len(shown))
    assert ("exactly" in words(face)) == (missing == 0)


def test_a_doubling_stops_when_nothing_is_left():
    assert digits(figures.render_doubling(0.625, 24)) == "101"
    assert "the digits are 0.625, exactly." in words(figures.render_doubling(0.625, 24))


def test_the_doubling_of_23_hundredths_repeats_from_step_23():
    assert "repeat" not in words(figures.render_doubling(0.23, 22))
    assert "Step 23 starts where step 3 did" in words(figures.render_doubling(0.23, 23))


def test_before_the_first_step_there_are_no_digits():
    for face in (figures.render_division(2023, 0), figures.render_doubling(0.23, 0)):
        assert "none yet" in words(face)
        assert "<text" not in face


def test_the_division_explorer_steps_through_its_number():
    explorer = figures.division_explorer(2023)
    assert "none yet" in words(explorer.html.value)
    explorer.controls["step"].buttons["Next"].click()
    assert "2023 ÷ 2 = 1011 remainder 1" in words(explorer.html.value)
    assert digits(explorer.set(step=11)) == "11111100111"


def test_another_number_has_its_own_number_of_steps():
    explorer = figures.division_explorer(2023)
    explorer.set(step=11)
    face = explorer.set(number=6)
    assert explorer.controls["step"].slider.max == 3
    assert digits(face) == "110"
    explorer.set(number=2**figures.DIGITS - 1)
    assert explorer.controls["step"].slider.max == 32
    assert explorer.controls["step"].play.max == 32


def test_the_doubling_explorer_takes_another_fraction():
    explorer = figures.doubling_explorer(0.23)
    assert digits(explorer.set(fraction=0.5, step=5)) == "1"


def test_the_explorers_have_a_picture_for_readers_without_a_kernel():
    assert "11111100111" in figures.division_explorer(2023).static.alt
    assert "0.2294921875" in figures.doubling_explorer(0.23).static.alt


@pytest.mark.parametrize("number", [0, 1, 2, 2023, 65535])
def test_the_division_picture_says_the_digits_in_its_alt_text(number):
    assert figures.division_picture(number).alt.endswith(f"Read upwards: {number:b}.")


def test_the_doubling_picture_says_if_the_digits_are_exact():
    assert "equal it" in figures.doubling_picture(0.75).alt
    assert "do not reach it" in figures.doubling_picture(0.23).alt


@pytest.mark.parametrize(
    ("bits", "signed", "value"),
    [
        ("11111100111", False, "2023"),
        ("11111111", True, "−1"),
        ("1000", True, "−8"),
        ("101.101", False, "5.625"),
        ("10100.0011101011", False, "20.2294921875"),
        ("0", False, "0"),
        ("0.1", False, "0.5"),
    ],
)
def test_the_places_add_up_to_the_value_in_the_title(bits, signed, value):
    assert figures.places_picture(bits, signed).alt.startswith(f"{bits} in base two is {value}:")


@pytest.mark.parametrize("bits", ["", "102", "1" * 17, "1.0.1", "abc"])
def test_places_refuse_what_is_no_row_of_1_to_16_bits(bits):
    with pytest.raises(ValueError, match="1 to 16 digits 0 or 1"):
        figures.places_picture(bits)


@pytest.mark.parametrize("high", range(-8, 8))
def test_the_byte_picture_names_both_halves_and_the_byte(high):
    alt = figures.byte_picture(high, -3).alt
    assert alt.endswith(f"the byte {binary.to_bits(high, 4)}1101.")


def test_the_byte_picture_refuses_what_does_not_fit_into_four_bits():
    with pytest.raises(ValueError, match="high must be -8 to 7, got 8"):
        figures.byte_picture(8, 0)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_wheel_names_its_seam(bits):
    top = 2 ** (bits - 1)
    assert figures.wheel_picture(bits).alt.startswith(
        f"int{bits} is a wheel: one step past {top - 1} lies −{top}"
    )


def test_the_wheel_has_room_for_four_bits_at_most():
    with pytest.raises(ValueError, match="2 to 4"):
        figures.wheel_picture(5)


def test_the_same_figure_gives_the_same_bytes():
    assert figures.places_picture("101.1").data == figures.places_picture("101.1").data
