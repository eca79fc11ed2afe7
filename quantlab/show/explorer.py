"""Explorers: controls on top, HTML below, and a snapshot of it where no kernel runs."""

import re
import sys
import threading
from fractions import Fraction
from functools import cache
from importlib.resources import files

import anywidget
import ipywidgets as widgets
import traitlets
from IPython.display import display

from quantlab._checks import whole
from quantlab.experiments import codes
from quantlab.show import html

VIEW = "application/vnd.jupyter.widget-view+json"
# JupyterLab from 4.4 hands what controls say to a second thread of the kernel, all but the first
# messages. Two renderings at once may mix: a load changes torch for the whole process.
_ONE_AT_A_TIME = threading.RLock()


@cache
def script(*names):
    """Join files of static/ to the one module that anywidget takes, by dropping their imports."""
    static = files("quantlab.show") / "static"
    text = "\n".join((static / name).read_text(encoding="utf-8") for name in names)
    return re.sub(r'^import \{[^}]*\} from "\./\w+\.js";\n', "", text, flags=re.MULTILINE)


class Hands(anywidget.AnyWidget):
    """What keys, screen readers and dragging need of an explorer: unseen, among its controls.

    moved: {the name of a control: where its handle on the drawing was dragged to}; or empty.
    """

    moved = traitlets.Dict().tag(sync=True)
    _esm, _css = script("keys.js", "explorer.js"), script("restart.css", "explorer.css")


class Explorer:
    """Wire controls to a rendering.

    controls: a dict of name -> widget with a ``value`` (a slider, a dropdown, a `Stepper`).
    render: a function that takes those values by name and returns HTML (SVG is HTML too).
    title: what the explorer shows. static: what readers without a kernel see: a `show.picture`, or
    HTML text; None takes what is rendered at first. GitHub and an untrusted JupyterLab drop SVG
    from HTML: a function that draws SVG needs a picture here.
    height: the least height of the rendering in pixels, so that the page below does not jump.
    twin: (name, data): the function of static/faces.js that renders the same where no Python is,
    and what it needs to know. None: a page without Python has renderings made beforehand.
    Raises TypeError for a control without a value or a function that cannot be called, and
    whatever it raises for the first settings.
    """

    def __init__(self, controls, render, title="", static=None, height=240, twin=None):
        for name, control in controls.items():
            if not hasattr(control, "value") or not hasattr(control, "observe"):
                raise TypeError(f"control {name!r} must be a widget with a value, got {control!r}")
        if not callable(render):
            raise TypeError(f"render must be a function from settings to HTML, got {render!r}")
        self.controls, self.render, self.title = dict(controls), render, title
        self.twin = twin
        # On a phone a wide table is scrolled sideways instead of being cut off.
        room = widgets.Layout(min_height=f"{height}px", width="100%", overflow="auto hidden")
        self.html, self.hands = widgets.HTML(layout=room), Hands()
        self.widget = self._assemble()
        self.html.value = render(**self.settings)  # the first settings must work: raise here if not
        self.static = self.html.value if static is None else static
        for control in self.controls.values():
            _fit(getattr(control, "widget", control))
            control.observe(self._update, names="value")

    @property
    def settings(self):
        """The values of the controls, by name."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **settings):
        """Move controls, as a reader would; returns the HTML that is then shown.

        Raises KeyError for a name that is no control.
        """
        for name, value in settings.items():
            self.controls[name].value = value
        return self.html.value

    def _assemble(self):
        title = f'<b style="color:{html.INK}">{html.escape(self.title)}</b>'
        rows = [widgets.HTML(title)] if self.title else []
        rows += [getattr(control, "widget", control) for control in self.controls.values()]
        self.hands.observe(lambda change: self.set(**change["new"]), names="moved")
        box = widgets.VBox([*rows, self.hands, self.html], layout={"max_width": "100%"})
        return box.add_class("ql-explorer")

    def _update(self, change):
        with _ONE_AT_A_TIME:
            self._show()

    def _show(self):
        self.html.add_class("ql-busy")
        # A setting that render cannot serve is said in place: an exception here would be lost.
        try:
            shown = self.render(**self.settings)
        except Exception as error:
            kind = "" if isinstance(error, Unread) else f"{type(error).__name__}: "
            shown = html.message(f"{kind}{error}")
        with self.html.hold_sync():
            self.html.value = shown
            self.html.remove_class("ql-busy")

    def _ipython_display_(self):
        publish(self.widget, self.title, self.static)


def control(kind, description, label="10em", **options):
    """Return a control of the class `kind` in the size that controls share, its name `label` wide.

    options: what the class takes, such as ``value`` and ``min``.
    """
    look = {"style": {"description_width": label}, "layout": {"width": "520px"}}
    return kind(description=description, **look, **options)


def _fit(control):
    """Let a description take its room, not 80 pixels, and let the control shrink with the page."""
    if getattr(getattr(control, "style", None), "description_width", None) == "":
        control.style.description_width = "initial"
    if hasattr(control, "layout") and control.layout.max_width is None:
        control.layout.max_width = "98%"


def publish(widget, title, static):
    """Display `widget` with a snapshot for readers without a kernel.

    widget: any ipywidget or anywidget. title: its name. static: HTML text or a `show.picture`.
    On Colab the widget comes alone, as ipywidgets itself sends it: who runs a cell there has a
    kernel, and which of two views Colab would choose is not documented.
    """
    snapshot, metadata = ({}, {}) if on_colab() else _snapshot(title, static)
    text = f"Explorer: {title} (run this notebook to move its controls)"
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    display({"text/plain": text, VIEW: view, **snapshot}, metadata=metadata, raw=True)


def on_colab():
    """Say whether this kernel is Colab's."""
    return "google.colab" in sys.modules


def _snapshot(title, static):
    if not isinstance(static, str):
        data, metadata = static._repr_mimebundle_()
        return {k: v for k, v in data.items() if k != "text/plain"}, metadata
    note = f"A still of “{title}”: run this notebook to move its controls."
    return {"text/html": f'{static}<p style="color:{html.QUIET}">{html.escape(note)}</p>'}, {}


class Unread(ValueError):
    """What was typed is no number that fits: said to people, who need no name of a class."""


class Entry:
    """A box for a number that the reader types: a decimal, a fraction or a power of two.

    value: the number at first. name: what it is called when something is wrong with it. low, below:
    it is at least the one and below the other. only_whole: whether it has to be a whole number.
    Reading ``value`` gives an int, or the float that prints as what was typed, or a Fraction: 1/3.
    Raises `Unread` for another text when it is read: an explorer then says so in place.
    """

    def __init__(self, description, value, name, low, below, only_whole=False, label="10em"):
        self.rules = {"name": name, "low": low, "below": below, "only_whole": only_whole}
        look = {"style": {"description_width": label}, "layout": {"width": f"calc({label} + 14em)"}}
        # Not at every key: half of a number is most often another number.
        self.widget = widgets.Text(description=description, continuous_update=False, **look)
        self.value = value

    @property
    def value(self):
        """The number that the box holds."""
        return read(self.widget.value, **self.rules)

    @value.setter
    def value(self, number):
        self.widget.value = str(number)

    def observe(self, handler, names="value"):
        """Call `handler` when the text changes, as a widget's ``observe`` does."""
        self.widget.observe(handler, names=names)


def read(text, name, low, below, only_whole):
    """Return the number of a text, as an `Entry` has it; static/faces.js reads the same."""
    plain = re.sub("[\u2212\u2013]", "-", text.strip()).lower().replace("_", "")
    if len(plain) > LONGEST:
        raise Unread(f"{name} must have at most {LONGEST} characters, got {len(plain)}")
    try:
        number = Fraction(codes.exact(plain))
    except (ValueError, OverflowError) as error:
        hint = ", with a point and no comma" if "," in text else ""
        how = "must be a number such as 20.23, 1e3, 1/3 or 2^10"
        raise Unread(f"{name} {how}{hint}, got “{text}”") from error
    fits = Fraction(str(low)) <= number < Fraction(str(below))
    if not fits or (only_whole and number.denominator > 1):
        kind = "a whole number, " if only_whole else ""
        raise Unread(f"{name} must be {kind}at least {low} and below {below}, got “{text}”")
    if number and abs(number) < SMALLEST:
        raise Unread(f"{name} must be 0 or at least 1e-15 in size, got “{text}”")
    if number.denominator == 1:
        return int(number)
    return float(number) if Fraction(repr(float(number))) == number else number


LONGEST, SMALLEST = 40, Fraction(1, 10**15)  # of what is typed; faces.js has the same


class Stepper:
    """First, back and next buttons beside a slider, as one control: for stories told in steps.

    steps: how many. name: what one step is called. first: the number that the slider gives the
    first of them. Its ``value`` runs from 0 to steps - 1, wherever the slider begins.
    Raises ValueError or TypeError unless steps is a whole number, 1 or more.
    """

    def __init__(self, steps, name="step", first=0):
        steps, self._first = whole("steps", steps, 1), first
        span = {"value": first, "min": first, "max": first + steps - 1}
        look = {"description": name, "style": {"description_width": "initial"}}
        self.slider = widgets.IntSlider(**span, **look)
        moves = {
            "First": lambda: 0,
            "Back": lambda: max(self.value - 1, 0),
            "Next": lambda: min(self.value + 1, self.slider.max - first),
        }
        self.buttons = {label: self._button(label, name, move) for label, move in moves.items()}
        # Play counts in the browser and moves the slider through the kernel: no script link needed.
        self.play = widgets.Play(**span, interval=1000)
        traitlets.link((self.play, "value"), (self.slider, "value"))
        row = [*self.buttons.values(), self.play, self.slider]
        self.widget = widgets.HBox(row, layout={"flex_flow": "row wrap"})

    @property
    def value(self):
        """The step that is shown, from 0."""
        return self.slider.value - self._first

    @value.setter
    def value(self, step):
        self.slider.value = step + self._first

    def observe(self, handler, names="value"):
        """Call `handler` when the step changes, as a widget's ``observe`` does."""
        self.slider.observe(handler, names=names)

    def _button(self, label, name, move):
        look = {"tooltip": f"{label} {name}", "layout": {"width": "auto"}}
        button = widgets.Button(description=label, **look)
        button.on_click(lambda _: setattr(self, "value", move()))
        return button
