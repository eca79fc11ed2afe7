"""Moves every control that a notebook left alive, then prints what came of it, as JSON.

The tests run this text in the notebook's own kernel, after its last cell.
"""

import gc
import json

import ipywidgets as widgets
from anywidget import AnyWidget

from quantlab.show.bits import BitStrip


def alive(kind):
    """The widgets of a class that exist. ipywidgets 7 and 8 have lists of their own, unalike."""
    return [thing for thing in gc.get_objects() if issubclass(type(thing), kind)]


def alerts():
    """The error messages that faces show."""
    shown = [face.value for face in alive(widgets.HTML)]
    for face in alive(AnyWidget):
        state = face.get_state()
        shown += [str(state[name]) for name in state if not name.startswith("_")]
    return [text for text in shown if 'role="alert"' in text]


def move(control):
    """Move a control to its ends and back, or through its options. Say whether it could be."""
    if isinstance(control, widgets.Button):
        control.click()
    elif isinstance(control, BitStrip):
        before = control.value, control.format
        for name in ("FP16", "BF16", "int8"):
            control.format = name
            control.value = 3
        control.value, control.format = before
    elif hasattr(control, "options") and isinstance(control.index, int):
        before = control.index
        for place in (*range(len(control.options)), before):
            control.index = place
    elif isinstance(control.value, bool):
        control.value = not control.value
        control.value = not control.value
    elif hasattr(control, "max") and isinstance(control.value, (int, float)):
        for value in (control.min, control.max, control.value):
            control.value = value
    else:
        return False
    return True


def report():
    """Move everything; return the kinds that were moved, how often a face answered, the alerts."""
    answers, shown, kinds = [], [], set()
    for face in alive(widgets.HTML):
        face.observe(answers.append, "value")
    for face in alive(AnyWidget):
        face.observe(answers.append)
    for control in [c for c in alive(widgets.DOMWidget) if _is_control(c)]:
        if move(control):
            kinds.add(type(control).__name__)
        shown += alerts()
    return {"kinds": sorted(kinds), "answers": len(answers), "alerts": shown}


def _is_control(widget):
    label = isinstance(widget, (widgets.HTML, widgets.Label, widgets.HTMLMath))
    return not label and (hasattr(widget, "value") or isinstance(widget, widgets.Button))


print(json.dumps(report()))
