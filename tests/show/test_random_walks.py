"""Random walks over every explorer: 300 moves of its controls, odd texts among them.

After each move what is shown has to be well made and what another explorer shows at the same
settings. A walk is drawn from a seed, and one that fails is shortened to its last moves.
"""

import itertools
import random
import re
from collections import namedtuple
from functools import cache
from html.parser import HTMLParser
from xml.etree import ElementTree

import ipywidgets as widgets
import numpy as np
import pytest

import quantlab as ql
from quantlab import formats, memory, show
from quantlab.experiments import codes, one_layer, whole_model
from quantlab.experiments.loads import Load
from quantlab.show import model, registry
from quantlab.show.explorer import Hands

MOVES, COMPARED = 300, 60  # each so-many-th face is held against that of another explorer
TYPED = [
    "", " ", "0", "-0", "1", "7", "12", "2023", "0.23", "1/3", "-1/3", "1/0", "2^10", "2^-14",
    "1e400", "1e-400", "1e9999", "9" * 41, "9" * 5000, "nan", "-nan", "inf", "∞", "٣", "½", "1,5",
    "1_000", "0x10", "0b101", "abc", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "'\"&", "\0", "a\nb", "\u202e12", "−5", "4294967295", "4294967296", "999999.999", "1e-15",
    "1e15", "$x$",
]  # fmt: skip
SCRIPT = "<script>alert(1)</script>"

# --------------------------------------------------------------------- explorers without a model


def points():
    rng = np.random.default_rng(7)
    seen, new = (rng.normal(size=(400, 128)) @ rng.normal(size=(128, 128)) for _ in range(2))
    return one_layer.measure(rng.normal(size=(128, 24)), ql.hessian(seen), new)


def weights():
    return np.random.default_rng(11).normal(size=(16, 512)).astype(np.float32)


def load_explorer():
    """The flags of a load with sizes by the formula: what is walked is the page, not the load."""

    def measured(bnb_4bit_quant_type, bnb_4bit_use_double_quant, bnb_4bit_compute_dtype):
        bits = memory.bits_per_weight(bnb_4bit_quant_type, 64, bnb_4bit_use_double_quant)
        worse = 20.5 + 0.1 * len(bnb_4bit_compute_dtype)
        return Load(f"{SCRIPT} {bits}", 4 * 10**6, int((bits - 4) * 10**6), 2 * 10**6, worse)

    return show.load.explorer(measured, Load(SCRIPT, 16 * 10**6, 0, 2 * 10**6, 20.0))


class MadeUp:
    """A `Bench` that makes its results up."""

    def __init__(self):
        self.results = {}

    def result(self, setting, tell=None):
        if setting not in self.results:
            near = setting.bits + 16 / (setting.group or 256)
            numbers = (
                near,
                20 + 2000 / 4**near,
                int(32 * min(near, 8)),
                f"Once {SCRIPT}",
                4 / 4**near,
            )
            self.results[setting] = whole_model.Result(setting, *numbers)
        return self.results[setting]


NEEDS_ITS_NOTEBOOK = {
    "05_outliers/explorer": lambda: show.outliers_figures.explorer(),
    "07_comparison/explorer": lambda: show.comparison.explorer(
        {SCRIPT: points(), "few": points()[:9]}
    ),
    "08_four_bits/explorer": lambda: show.codebooks_figures.explorer(weights()),
    "09_a_whole_model/explorer": lambda: model.explorer(MadeUp()),
    "10_load_in_4_bits/explorer": load_explorer,
    "11_a_file_that_runs/explorer": lambda: show.gguf_figures.explorer(weights()[:2]),
    "13_floats_with_a_shared_scale/explorer": lambda: show.scaled_figures.explorer(weights()),
}
LISTED = registry.explorers()
#: Every explorer by name, but for the bit explorer: that one has a walk of its own.
MAKERS = {
    name: make if callable(make) else NEEDS_ITS_NOTEBOOK.get(name)
    for name, make in LISTED.items()
    if "bit-explorer" not in name
}
#: What it shows depends on what was tried before, as it says itself.
REMEMBERS = {"09_a_whole_model/explorer"}


def test_every_explorer_is_walked_over():
    assert [name for name, make in MAKERS.items() if make is None] == []
    assert [
        name for name, make in LISTED.items() if callable(make) and name in NEEDS_ITS_NOTEBOOK
    ] == []


# ------------------------------------------------------------------------------- what is shown


#: The elements that our own HTML is made of.
OURS = {
    "div", "span", "b", "p", "table", "caption", "thead", "tbody", "tr", "th", "td", "sup", "br",
    "svg", "g", "rect", "circle", "line", "polyline", "polygon", "path", "text", "style", "code",
}  # fmt: skip


class Reader(HTMLParser):
    """Reads HTML and keeps what is wrong with it: tags that don't close, and foreign ones."""

    def __init__(self):
        super().__init__()
        self.open, self.faults = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in OURS or any(name.startswith("on") for name, _ in attributes):
            self.faults.append(f"<{tag}> {attributes}")
        if tag not in ("br",):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")


@cache
def faults_of(shown):
    """What is wrong with the HTML of an explorer, as a list of texts."""
    reader = Reader()
    reader.feed(shown)
    reader.close()
    found = reader.faults + [f"<{tag}> is not closed" for tag in reader.open]
    for svg in re.findall(r"<svg.*?</svg>", shown, re.DOTALL):
        try:
            ElementTree.fromstring(svg)
        except ElementTree.ParseError as error:
            found.append(f"an SVG is no XML: {error}")
    own = re.sub("“.*?”", "", shown, flags=re.DOTALL)  # what was typed is quoted
    found += re.findall(r"\bnan\b|\binf\b|\bNone\b|undefined|Traceback|\w+Error:", own)
    return found


# -------------------------------------------------------------------------------------- moves

Move = namedtuple("Move", "place value")  # the place of a widget among `leaves`, and what it gets
PRESS = "press"


def leaves(widget):
    """Return the widgets below one that can be moved, in order."""
    if isinstance(widget, widgets.Box):
        return list(itertools.chain.from_iterable(map(leaves, widget.children)))
    fixed = (widgets.HTML, widgets.FloatProgress)
    return [] if isinstance(widget, fixed) else [widget]


def drawn(rng, made, widget):
    """Return a value for a widget, drawn at random."""
    if isinstance(widget, Hands):
        dragged = [
            (name, control)
            for name, control in made.controls.items()
            if f'data-drag="{name}"' in made.html.value
        ]
        return {name: drawn(rng, made, control) for name, control in dragged}
    if isinstance(widget, widgets.Button):
        return PRESS
    if isinstance(widget, widgets.Text):
        return rng.choice(TYPED)
    if isinstance(widget, widgets.Checkbox):
        return rng.random() < 0.5
    if hasattr(widget, "options"):
        return rng.choice([v[1] if isinstance(v, tuple) else v for v in widget.options])
    if isinstance(widget, (widgets.IntSlider, widgets.Play)):
        return rng.randrange(widget.min, widget.max + 1)
    if isinstance(widget, widgets.FloatSlider):
        steps = round((widget.max - widget.min) / widget.step)
        return min(widget.max, round(widget.min + rng.randint(0, steps) * widget.step, 10))
    raise TypeError(f"no value is known for {type(widget)}")


def go(made, move):
    """Make a move, as the page would."""
    widget = leaves(made.widget)[move.place]
    if move.value == PRESS:
        widget.click()
    elif isinstance(widget, Hands):
        widget.moved = {}
        widget.moved = move.value
    else:
        widget.value = move.value


def problem_after(made, moves):
    """Make moves one after the other; return what is wrong after the last, "" for nothing."""
    for move in moves:
        try:
            go(made, move)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return "; ".join(faults_of(made.html.value))


def other_face(made, other):
    """Return what another explorer shows, once it has the same values in all its widgets."""
    pairs = list(zip(leaves(made.widget), leaves(other.widget), strict=True))
    for _ in range(2):  # one may set the range of the next, or what it holds
        for one, its in pairs:
            if not isinstance(one, (Hands, widgets.Button)) and its.value != one.value:
                its.value = one.value
    return other.html.value


def shortest(make, moves):
    """Return the shortest run of last moves that fails on a new explorer too, or all of them."""
    for count in (1, 2, 3, 5, 8, 20, 50):
        if problem_after(make(), moves[-count:]):
            return moves[-count:]
    return moves


@pytest.mark.parametrize("name", MAKERS)
def test_no_walk_over_an_explorer_fails(name):
    rng, make = random.Random(name), MAKERS[name]
    made, other, moves = make(), make(), []
    for number in range(MOVES):
        place = rng.randrange(len(leaves(made.widget)))
        moves.append(Move(place, drawn(rng, made, leaves(made.widget)[place])))
        problem = problem_after(made, moves[-1:])
        assert problem == "", shortest(make, moves)
        if number % COMPARED == 0 and name not in REMEMBERS:
            assert other_face(made, other) == made.html.value, (moves[-5:], made.html.value)
    assert "ql-busy" not in made.html._dom_classes


# ---------------------------------------------------------------------------- the bit explorer

NAMES = [*codes.FLOATS, "int2", "int8", "uint4", "int64", "uint64", SCRIPT, "", "int1", "FP9", None]
CUSTOM = formats.MiniFloat(SCRIPT, 4, 5, 7, "none")


def moved_bits(rng, strip):
    """Set one of the three traits to something drawn at random; return the trait and the value."""
    trait = rng.choice(["value", "bits", "format"])
    number = rng.choice([rng.uniform(-9, 9), 10.0 ** rng.randint(-300, 300), rng.choice(TYPED)])
    digits = "".join(rng.choice("01") for _ in range(strip.format.width + rng.choice([0, 0, 0, 1])))
    value = {
        "value": rng.choice(
            [number, rng.choice(TYPED), float("nan"), -float("inf"), True, 10**400]
        ),
        "bits": rng.choice([digits, digits, digits, *TYPED]),
        "format": rng.choice([*NAMES, CUSTOM]),
    }[trait]
    setattr(strip, trait, value)


def same(one, other):
    return one == other or (one != one and other != other)


@pytest.mark.parametrize("name", [name for name in LISTED if "bit-explorer" in name])
def test_no_walk_over_a_bit_explorer_fails(name):
    rng, strip = random.Random(name), LISTED[name]()
    for _ in range(MOVES):
        before = dict(strip._state)
        try:
            moved_bits(rng, strip)
        except (ValueError, TypeError) as error:
            said = str(error)
            assert re.match("value|bits|format", said) and "\n" not in said and len(said) < 400
            assert strip._state == before  # what was refused changed nothing
        code = int(strip.bits.replace(" ", ""), 2)
        assert same(codes.decode(strip.format, code), strip.value)
        assert codes.bits(strip.format, code) == strip.bits
        fresh = show.bits.BitStrip(0, strip.format)
        fresh.bits = strip.bits
        assert same(fresh.value, strip.value) and fresh.bits == strip.bits
        shown = strip._repr_mimebundle_()["text/html"]
        assert [fault for fault in faults_of(shown) if fault not in ("nan", "inf")] == []
