"""Explorers: controls on top, HTML below, and a snapshot of it where no kernel runs."""

import sys

import ipywidgets as widgets
from IPython.display import display

from quantlab._checks import whole
from quantlab.show import html

VIEW = "application/vnd.jupyter.widget-view+json"


class Explorer:
    """Wire controls to a rendering.

    controls: a dict of name -> widget with a ``value`` (a slider, a dropdown, a `Stepper`).
    render: a function that takes those values by name and returns HTML (SVG is HTML too).
    title: what the explorer shows. static: what readers without a kernel see: a `show.picture`, or
    HTML text; None takes what is rendered at first. GitHub and an untrusted JupyterLab drop SVG
    from HTML: a function that draws SVG needs a picture here.
    height: the least height of the rendering in pixels, so that the page below does not jump.
    Raises TypeError for a control without a value or a function that cannot be called, and
    whatever it raises for the first settings.
    """

    def __init__(self, controls, render, title="", static=None, height=240):
        for name, control in controls.items():
            if not hasattr(control, "value") or not hasattr(control, "observe"):
                raise TypeError(f"control {name!r} must be a widget with a value, got {control!r}")
        if not callable(render):
            raise TypeError(f"render must be a function from settings to HTML, got {render!r}")
        self.controls, self.render, self.title = dict(controls), render, title
        # On a phone a wide table is scrolled sideways instead of being cut off.
        room = widgets.Layout(min_height=f"{height}px", width="100%", overflow="auto hidden")
        self.html = widgets.HTML(layout=room)
        self.widget = self._assemble()
        self.html.value = render(**self.settings)  # the first settings must work: raise here if not
        self.static = self.html.value if static is None else static
        for control in self.controls.values():
            _show_whole_description(control)
            _fit_a_phone(control)
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
        rows = []
        if self.title:
            title = f'<b style="color:{html.INK}">{html.escape(self.title)}</b>'
            rows.append(widgets.HTML(title))
        rows += [getattr(control, "widget", control) for control in self.controls.values()]
        return widgets.VBox([*rows, self.html], layout=widgets.Layout(max_width="100%"))

    def _update(self, change):
        # A setting that render cannot serve is said in place: an exception here would be lost.
        try:
            self.html.value = self.render(**self.settings)
        except Exception as error:
            self.html.value = html.message(f"{type(error).__name__}: {error}")

    def _ipython_display_(self):
        publish(self.widget, self.title, self.static)


def control(kind, description, label="10em", **options):
    """Return a control of the class `kind` in the size that controls share, its name `label` wide.

    options: what the class takes, such as ``value`` and ``min``.
    """
    look = {"style": {"description_width": label}, "layout": {"width": "520px"}}
    return kind(description=description, **look, **options)


def _show_whole_description(control):
    """Let a description take the room it needs: by default it is cut off after 80 pixels."""
    style = getattr(control, "style", None)
    if getattr(style, "description_width", None) == "":
        style.description_width = "initial"


def _fit_a_phone(control):
    """Let a control of a fixed width shrink with the page: it would widen the drawing beyond it."""
    layout = getattr(control, "layout", None)
    if layout is not None and layout.max_width is None:
        layout.max_width = "98%"


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


class Stepper:
    """First, back and next buttons beside a slider, as one control: for stories told in steps.

    steps: how many. name: what one step is called. Its ``value`` runs from 0 to steps - 1.
    Raises ValueError or TypeError unless steps is a whole number, 1 or more.
    """

    def __init__(self, steps, name="step"):
        steps = whole("steps", steps, 1)
        self.slider = widgets.IntSlider(
            value=0, min=0, max=steps - 1, description=name, style={"description_width": "initial"}
        )
        moves = {
            "First": lambda: 0,
            "Back": lambda: max(self.value - 1, 0),
            "Next": lambda: min(self.value + 1, self.slider.max),
        }
        buttons = [self._button(label, f"{label} {name}", move) for label, move in moves.items()]
        self.buttons = dict(zip(moves, buttons, strict=True))
        # Play counts in the browser and moves the slider through the kernel: no script link needed.
        self.play = widgets.Play(value=0, min=0, max=steps - 1, interval=1000)
        self.play.observe(lambda change: setattr(self, "value", change["new"]), names="value")
        self.observe(lambda change: setattr(self.play, "value", change["new"]))
        self.widget = widgets.HBox(
            [*buttons, self.play, self.slider], layout=widgets.Layout(flex_flow="row wrap")
        )

    @property
    def value(self):
        """The step that is shown, from 0."""
        return self.slider.value

    @value.setter
    def value(self, step):
        self.slider.value = step

    def observe(self, handler, names="value"):
        """Call `handler` when the step changes, as a widget's ``observe`` does."""
        self.slider.observe(handler, names=names)

    def _button(self, label, tooltip, move):
        layout = widgets.Layout(width="auto")
        button = widgets.Button(description=label, tooltip=tooltip, layout=layout)
        button.on_click(lambda _: setattr(self, "value", move()))
        return button
