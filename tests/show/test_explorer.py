"""Explorers: controls set the face, a bad setting says so in place, and there is always a still."""

import json
import re
import subprocess
import sys
import threading
import time
from fractions import Fraction
from types import ModuleType

import ipywidgets as widgets
import pytest

from quantlab import show
from quantlab.show import explorer as module
from quantlab.show import html


def render(bits, signed):
    if bits == 13:
        raise ValueError("bits must not be <13>")
    return f"{bits} bits, signed {signed}"


@pytest.fixture
def codes():
    controls = {
        "bits": widgets.IntSlider(value=8, min=2, max=16, description="bits"),
        "signed": widgets.Checkbox(value=True, description="signed"),
    }
    return show.Explorer(controls, render, title="Codes <and> counts")


def published(explorer, monkeypatch):
    shown = []
    monkeypatch.setattr(module, "display", lambda data, **kw: shown.append((data, kw)))
    explorer._ipython_display_()
    ((data, more),) = shown
    assert more["raw"] is True
    return data, more["metadata"]


def test_the_face_shows_the_first_settings(codes):
    assert codes.html.value == "8 bits, signed True"


def test_moving_a_control_changes_the_face(codes):
    codes.controls["bits"].value = 4
    assert codes.html.value == "4 bits, signed True"


def test_set_moves_several_controls_and_returns_the_face(codes):
    assert codes.set(bits=3, signed=False) == "3 bits, signed False"
    assert codes.settings == {"bits": 3, "signed": False}


def test_an_unknown_control_is_a_key_error(codes):
    with pytest.raises(KeyError):
        codes.set(width=3)


def test_a_setting_that_the_face_refuses_is_said_in_red_in_place(codes):
    shown = codes.set(bits=13)
    assert html.RED in shown
    assert "Error: ValueError: bits must not be &lt;13&gt;" in shown


def test_a_face_that_fails_at_its_first_settings_is_an_error():
    with pytest.raises(ValueError, match="bits must not be"):
        show.Explorer({"bits": widgets.IntText(13), "signed": widgets.Checkbox()}, render)


def test_after_a_refused_setting_the_explorer_goes_on(codes):
    codes.set(bits=13)
    assert codes.set(bits=12) == "12 bits, signed True"


def test_the_face_keeps_its_height(codes):
    assert codes.html.layout.min_height == "240px"


def test_every_control_and_the_face_are_in_the_widget(codes):
    children = codes.widget.children
    assert set(codes.controls.values()) <= set(children)
    assert children[-1] is codes.html


def test_no_description_is_cut_off(codes):
    assert codes.controls["bits"].style.description_width == "initial"


def test_a_description_width_that_was_chosen_stays():
    slider = widgets.IntSlider(description="bits", style={"description_width": "9em"})
    show.Explorer({"bits": slider}, "{bits}".format)
    assert slider.style.description_width == "9em"


def test_the_title_is_text_not_markup(codes):
    assert "Codes &lt;and&gt; counts" in codes.widget.children[0].value


def test_it_publishes_the_view_and_a_still_of_the_first_settings(codes, monkeypatch):
    codes.set(bits=5)
    data, _ = published(codes, monkeypatch)
    assert data[module.VIEW]["model_id"] == codes.widget.model_id
    assert data["text/html"].startswith("8 bits, signed True")
    assert "Codes &lt;and&gt; counts" in data["text/html"]
    assert data["text/plain"].startswith("Explorer: Codes <and> counts")


def test_the_still_can_be_a_picture_with_alt_text(monkeypatch):
    fig, _ = show.figure(400, 200)
    picture = show.picture(fig, alt="eight bits of codes")
    controls = {"bits": widgets.IntSlider(8, 2, 16)}
    explorer = show.Explorer(controls, "{bits} bits".format, "Codes", static=picture)
    data, metadata = published(explorer, monkeypatch)
    assert set(data) == {"text/plain", module.VIEW, "image/png"}
    assert metadata["image/png"]["alt"] == "eight bits of codes"


def test_on_colab_it_publishes_the_view_alone(codes, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    data, _ = published(codes, monkeypatch)
    assert set(data) == {"text/plain", module.VIEW}


def test_what_it_publishes_is_json(codes, monkeypatch):
    data, metadata = published(codes, monkeypatch)
    json.dumps([data, metadata])


@pytest.mark.parametrize("control", [3, widgets.HTML, widgets.HBox(), None])
def test_a_control_without_a_value_is_refused(control):
    if control is widgets.HTML:
        control = control.__name__
    with pytest.raises(TypeError, match="control 'x' must be a widget with a value"):
        show.Explorer({"x": control}, render)


def test_a_face_that_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="render must be a function"):
        show.Explorer({}, "text")


def test_a_stepper_goes_to_next_back_and_first_and_stays_inside():
    stepper = show.Stepper(3, name="row")
    seen = []
    stepper.observe(lambda change: seen.append(change["new"]))
    for label in ("Back", "Next", "Next", "Next", "Back", "Next", "First"):
        stepper.buttons[label].click()
    assert seen == [1, 2, 1, 2, 0]


def test_a_stepper_follows_play_and_play_follows_it():
    stepper = show.Stepper(4)
    stepper.play.value = 2
    assert stepper.value == 2
    stepper.value = 1
    assert stepper.play.value == 1


def test_an_explorer_takes_a_stepper_as_a_control():
    stepper = show.Stepper(4, name="row")
    explorer = show.Explorer({"row": stepper}, lambda row: f"row {row}")
    stepper.buttons["Next"].click()
    assert explorer.html.value == "row 1"
    assert stepper.widget in explorer.widget.children


@pytest.mark.parametrize("steps", [0, -1, 1.5])
def test_a_stepper_needs_a_step(steps):
    with pytest.raises(ValueError, match=r"steps must be (a whole number, )?at least 1"):
        show.Stepper(steps)


READ = {"name": "number", "low": -100, "below": 10**6, "only_whole": False}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("20.23", 20.23),
        (" 1_000 ", 1000),
        ("1e3", 1000),
        ("−2^-3", -0.125),
        ("1/3", Fraction(1, 3)),
        ("6/3", 2),
        ("-0", 0),
        ("0.1234567890123456789", Fraction(1234567890123456789, 10**19)),
    ],
)
def test_a_box_reads_what_is_typed_exactly(text, number):
    found = module.read(text, **READ)
    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("abc", r"number must be a number such as 20.23, 1e3, 1/3 or 2\^10, got “abc”"),
        ("1,5", "number must be .*, with a point and no comma, got “1,5”"),
        ("1/0", "number must be a number such as"),
        ("inf", "number must be a number such as"),
        ("1000000", "number must be at least -100 and below 1000000, got “1000000”"),
        ("1e-16", "number must be 0 or at least 1e-15 in size, got “1e-16”"),
        ("9" * 41, "number must have at most 40 characters, got 41"),
    ],
)
def test_a_box_says_what_is_wrong_with_what_is_typed(text, says):
    with pytest.raises(module.Unread, match=says):
        module.read(text, **READ)


def test_a_box_for_whole_numbers_refuses_others():
    with pytest.raises(module.Unread, match="must be a whole number, at least -100 and below"):
        module.read("1/2", **READ | {"only_whole": True})


def test_a_limit_counts_as_it_is_written():
    assert module.read("0.0001", **READ | {"low": 0.0001}) == 0.0001


def test_what_a_box_cannot_read_is_said_in_place_and_the_explorer_goes_on():
    box = module.Entry("a number", 0.5, "number", 0, 10)
    explorer = show.Explorer({"x": box}, lambda x: f"x is {x}")
    assert explorer.set(x="abc") == html.message(
        "number must be a number such as 20.23, 1e3, 1/3 or 2^10, got “abc”"
    )
    assert explorer.set(x=2) == "x is 2"


def test_show_loads_nothing_until_something_is_used():
    code = (
        "import sys; from quantlab import show\n"
        "print({'matplotlib', 'ipywidgets'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_show_says_what_it_does_not_have():
    with pytest.raises(AttributeError, match=r"quantlab\.show has no 'nothing'"):
        _ = show.nothing


def test_a_table_stands_numbers_right_and_escapes_text():
    text = html.table([["a<b", 2.5], ["c", 10]], header=["name", "value"], caption="x & y")
    assert "a&lt;b" in text
    assert "x &amp; y" in text
    assert text.count("text-align:right") == 3  # the column's title and its two numbers


def test_a_table_names_its_rows_and_columns_for_screen_readers():
    text = html.table([["a", 1]], header=["name", "value"], row_names=True)
    assert (text.count('scope="col"'), text.count('scope="row"')) == (2, 1)


def test_an_svg_has_a_name_and_shrinks():
    text = html.svg(100, 50, "<g/>", label='one "outlier"')
    assert 'aria-label="one &quot;outlier&quot;"' in text
    assert "max-width:100%" in text


@pytest.mark.parametrize("body, least", [("<text>1</text>", ["75px"]), ("<g/>", [])])
def test_the_text_of_16_pixels_in_an_svg_shrinks_to_12_and_no_further(body, least):
    assert re.findall(r"min-width:(\w+)", html.svg(100, 50, body, label="a")) == least


@pytest.mark.parametrize("value", [1.0, 9.9996, 0.00012345, 123456.7, -2.5e-9, 3e12])
def test_a_number_keeps_four_significant_digits(value):
    text = html.number(value).replace("−", "-")
    assert float(text) == pytest.approx(value, rel=5e-4)
    assert len(text.split("e")[0].lstrip("-0.").replace(".", "")) >= 4


def test_two_threads_render_one_after_the_other_and_the_last_settings_stay():
    """JupyterLab hands messages to a second thread of the kernel, and a load changes torch."""
    inside, most = [], []

    def render(a, b):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()
        return f"{a} {b}"

    sliders = {name: widgets.IntSlider(max=20) for name in "ab"}
    one = show.Explorer(sliders, render)
    moves = [
        threading.Thread(target=lambda name=name: [one.set(**{name: i}) for i in range(1, 6)])
        for name in "ab"
    ]
    for each in moves:
        each.start()
    for each in moves:
        each.join()
    assert max(most) == 1 and one.html.value == "5 5"
