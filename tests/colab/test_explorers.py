"""Every explorer can be built and moved with Colab's widgets, and nothing warns.

pytest turns a warning into an error here; in a kernel, most deprecations would go unseen.
"""

import inspect
from importlib import import_module
from pkgutil import iter_modules

import ipywidgets as widgets
import pytest

from quantlab import show
from quantlab.show.explorer import Explorer, Stepper

# ipywidgets 7 itself, on any widget that gets a trait later on, as anywidget's do.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Deprecated in traitlets 4.1:DeprecationWarning:ipywidgets"
)


def _makers():
    """The functions of quantlab.show that return an explorer and need no argument."""
    for module in iter_modules(show.__path__):
        home = import_module(f"quantlab.show.{module.name}")
        for name, maker in inspect.getmembers(home, inspect.isfunction):
            named = name in ("calculator", "stepper", "explorer") or name.endswith("_explorer")
            parameters = inspect.signature(maker).parameters.values()
            ready = all(p.default is not p.empty for p in parameters)
            if named and ready and maker.__module__ == home.__name__:
                yield pytest.param(maker, id=f"{module.name}.{name}")


MAKERS = list(_makers())


def test_the_explorers_are_found():
    found = {maker.id for maker in MAKERS}
    assert {
        "binary_figures.division_explorer",
        "bits.bit_explorer",
        "memory_figures.calculator",
    } <= found


@pytest.mark.parametrize("make", MAKERS)
def test_an_explorer_is_built_and_shown_without_a_warning(make, capsys):
    made = make()
    made._ipython_display_()
    assert "xplorer: " in capsys.readouterr().out


@pytest.mark.parametrize("make", MAKERS)
def test_its_controls_answer_at_both_ends(make):
    made = make()
    if not isinstance(made, Explorer):
        made.value = 3
        return
    for control in made.controls.values():
        control = getattr(control, "slider", control)
        if hasattr(control, "max"):
            for value in (control.min, control.max):
                control.value = value
                assert 'role="alert"' not in made.html.value
        elif isinstance(control, (widgets.Dropdown, widgets.ToggleButtons)):
            for place in range(len(control.options)):
                control.index = place
                assert 'role="alert"' not in made.html.value


def test_a_stepper_steps_back_and_plays():
    stepper = Stepper(5)
    stepper.buttons["Next"].click()
    stepper.play.value = 3
    stepper.buttons["Back"].click()
    assert (stepper.value, stepper.play.value, stepper.slider.value) == (2, 2, 2)
