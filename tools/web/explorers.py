"""Explorers that work in a page without Python: every setting is computed once, when it is made.

An explorer's face is a function from a few settings to HTML. Where each control has a handful of
positions, all faces fit into a small file, and the page looks up the one that is asked for. A box
that takes any number offers the numbers that the tips below it name. The bit explorer computes in
the page anyway; it needs what it starts with.

An explorer that works on the notebook's own variables (a loaded model) has no such file: the page
shows its still.
"""

import ast
import base64
import builtins
import json
import math
import re
import zlib
from dataclasses import dataclass

import ipywidgets as widgets

from quantlab.show.bits import BitStrip
from quantlab.show.explorer import Explorer, Stepper

MOST = 20_000  # settings of one explorer; controls beyond that stay where they are


@dataclass(frozen=True)
class Live:
    """An explorer for a page. id: notebook and cell. script: what hands its data to the page."""

    id: str
    cell: str
    title: str
    script: str
    fixed: tuple = ()  # the names of the controls that do not move


def live(notebook):
    """Return the `Live` explorers of a `Notebook`, in order."""
    nodes = notebook.node.cells
    found = []
    for place, node in enumerate(nodes):
        outputs = node.get("outputs", ())
        texts = [o.get("data", {}).get("text/plain", "") for o in outputs]
        if not any(re.match(r"(Bit explorer|Explorer):", text) for text in texts):
            continue
        made = _make(notebook, node.source)
        if made is None:
            continue
        tips = nodes[place + 1].source if place + 1 < len(nodes) else ""
        found.append(_live(notebook.stem, node.id, made, tips))
    return found


def _live(stem, cell, made, tips):
    id = f"{stem}-{cell}"
    if isinstance(made, BitStrip):
        data, title, fixed = {"_state": made._state, "_formats": made._formats}, "Bit explorer", ()
        kind = "bits"
    else:
        data, title, kind = record(made, tips), made.title, "faces"
        fixed = tuple(data["fixed"])
    # Deflated and in base64: a script can be read from a file, where a page may not fetch data.
    packed = zlib.compress(json.dumps(data, ensure_ascii=False).encode(), 9)
    call = f'quantlab.data("{id}", "{kind}", "{base64.b64encode(packed).decode()}");\n'
    return Live(id, cell, title, call, fixed)


# ---------------------------------------------------------------------------- making an explorer


def _make(notebook, source):
    """Return what the cell `source` shows, or None if it needs more than the notebook's imports."""
    tree = ast.parse(source)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and _is_stored(n)}
    needed = names - stored - set(dir(builtins))
    imports = _imports(notebook)
    if not needed <= imports.keys() or not isinstance(tree.body[-1], ast.Expr):
        return None
    space = {}
    exec("\n".join(imports[name] for name in sorted(needed)), space)
    exec(compile(ast.Module(tree.body[:-1], []), notebook.stem, "exec"), space)
    made = eval(compile(ast.Expression(tree.body[-1].value), notebook.stem, "eval"), space)
    if not isinstance(made, (BitStrip, Explorer)):
        raise TypeError(f"{notebook.stem}: expected an explorer from {source!r}, got {made!r}")
    return made


def _is_stored(name):
    return isinstance(name.ctx, ast.Store)


def _imports(notebook):
    """The import statement of each imported name, the set-up cell's left out."""
    found = {}
    for node in notebook.node.cells:
        if node.cell_type != "code" or "course.setup(" in node.source:
            continue
        for statement in ast.parse(node.source).body:
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                for alias in statement.names:
                    one = ast.unparse(_with_names(statement, [alias]))
                    found[alias.asname or alias.name.split(".")[0]] = one
    return found


def _with_names(statement, names):
    if isinstance(statement, ast.Import):
        return ast.Import(names)
    return ast.ImportFrom(statement.module, names, statement.level)


# ------------------------------------------------------------------------------------- recording


def record(explorer, tips=""):
    """Return every face of an `Explorer` as data for the page.

    tips: the text below it; boxes for a number offer the numbers in it.
    The tree has a level for each moving control: [place of its labels, branch for each label]; a
    leaf is the place of a face. Branches differ where one control sets the range of another.
    """
    start = {name: control.value for name, control in explorer.controls.items()}
    moving = {n: c for n, c in explorer.controls.items() if choices(c, tips) is not None}
    while math.prod(len(choices(c, tips)) for c in moving.values()) > MOST:
        del moving[[n for n, c in moving.items() if not isinstance(c, Stepper)][-1]]
    faces, labels = {}, {}
    looks = [_look(c, start[n], choices(c, tips)) for n, c in moving.items()]

    def branch(controls):
        if not controls:
            return faces.setdefault(explorer.html.value, len(faces))
        options = choices(controls[0], tips)
        node = [labels.setdefault(tuple(label for label, _ in options), len(labels))]
        for _, value in options:
            controls[0].value = value
            node.append(branch(controls[1:]))
        return node

    return {
        "title": explorer.title,
        "height": explorer.html.layout.min_height,
        "controls": looks,
        "tree": branch(list(moving.values())),
        "labels": list(labels),
        **_pieces(faces),
        "fixed": [_name(c) for n, c in explorer.controls.items() if n not in moving],
    }


def _pieces(faces):
    """The faces as lists of places in a list of pieces: most tags are in most faces."""
    pieces = {}
    cut = [
        [pieces.setdefault(piece, len(pieces)) for piece in re.split(r"(?<=>)", face)]
        for face in faces
    ]
    return {"faces": cut, "pieces": list(pieces)}


def choices(control, tips=""):
    """Return the positions of a control as (label, value), or None if they are not countable."""
    if isinstance(control, Stepper):
        return [(str(step), step) for step in range(control.slider.max + 1)]
    if hasattr(control, "menu"):  # a box with a menu of well-known values
        return [pair for pair in choices(control.menu) if pair[1] != control.OWN]
    if hasattr(control, "options"):
        pairs = control.options
        return [pair if isinstance(pair, tuple) else (str(pair), pair) for pair in pairs]
    if isinstance(control, (widgets.Checkbox, widgets.ToggleButton)):
        return [("off", False), ("on", True)]
    if isinstance(control, widgets.IntSlider):
        values = range(control.min, control.max + 1, control.step)
        return [(str(value), value) for value in values]
    if isinstance(control, widgets.FloatSlider):
        count = round((control.max - control.min) / control.step)
        values = [control.min + control.step * n for n in range(count + 1)]
        return [(f"{value:g}", value) for value in values]
    if isinstance(control, (widgets.BoundedIntText, widgets.BoundedFloatText)):
        return _numbers(control, tips)
    return None


def _numbers(control, tips):
    """The number in a box, and those in its range that the tips name."""
    whole = isinstance(control, widgets.BoundedIntText)
    found = {control.value}
    for text in re.findall(r"(?<![\w.,/])\d[\d,]*(?:\.\d+)?(?![\w/])", tips):
        number = float(text.replace(",", ""))
        if control.min <= number <= control.max and not (whole and number % 1):
            found.add(int(number) if whole else number)
    return [(f"{number:g}" if not whole else str(number), number) for number in sorted(found)]


def _look(control, value, options):
    """How the page draws a control: its label, its kind, and where it starts."""
    kinds = {
        widgets.ToggleButtons: "buttons",
        widgets.RadioButtons: "buttons",
        widgets.Checkbox: "check",
        widgets.ToggleButton: "check",
        widgets.IntSlider: "slider",
        widgets.FloatSlider: "slider",
        widgets.SelectionSlider: "slider",
        Stepper: "steps",
    }
    starts = [place for place, (_, option) in enumerate(options) if option == value]
    return {
        "label": _name(control),
        "kind": kinds.get(type(control), "menu"),
        "start": starts[0] if starts else 0,
    }


def _name(control):
    for part in (control, getattr(control, "slider", None), getattr(control, "menu", None)):
        if getattr(part, "description", ""):
            return part.description
    return "setting"
