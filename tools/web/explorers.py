"""Explorers that work in a page without Python.

What an explorer renders is a function from a few settings to HTML. Where each control has a
handful of positions, every setting is computed once, when the page is made: all renderings fit into
a small file, and the page looks up the one that is asked for. Where any number can be typed, the
page computes: the explorer has a twin in quantlab/show/static/faces.js. The bit explorer computes
in the page anyway; it needs what it starts with.
"""

import base64
import copy
import hashlib
import json
import math
import re
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import ipywidgets as widgets
import run_notebooks
from nbformat.v4 import new_code_cell

from quantlab.show import html, registry
from quantlab.show.bits import BitStrip
from quantlab.show.explorer import Entry, Stepper
from web import notebooks

# Characters of all faces of an explorer. Above MANY sliders take larger steps; above MOST controls
# stay where they are: more is slow to make and to load.
MANY, MOST = 40_000_000, 100_000_000
CACHE = notebooks.ROOT / "build" / "explorers"


@dataclass(frozen=True)
class Live:
    """An explorer for a page. id: notebook and cell. script: what hands its data to the page."""

    id: str
    cell: str
    title: str
    script: str
    fixed: tuple = ()  # the names of the controls that do not move


def live(notebook, run=True, listed=None):
    """Return the `Live` explorers of a `Notebook`, in order.

    run: whether the notebook is run where its explorers need it. listed: where each explorer comes
    from, `registry.explorers()` if None. Raises ValueError for an explorer that is not listed.
    """
    listed = registry.explorers() if listed is None else listed
    found, waiting = {}, []
    for place, node in enumerate(notebook.node.cells):
        if _shows_an_explorer(node):
            name = f"{notebook.stem}/{node.id}"
            if name not in listed:
                raise ValueError(f"no module of quantlab.show lists the explorer {name!r}")
            if callable(listed[name]):
                found[node.id] = content(listed[name]())
            elif listed[name] == registry.RUN:
                waiting.append(place)
    if waiting and run:
        found |= _run(notebook, waiting)
    order = [node.id for node in notebook.node.cells if node.id in found]
    return [_live(notebook.stem, id, found[id]) for id in order]


def content(made):
    """Return what a page needs of an explorer, ready for JSON."""
    if isinstance(made, BitStrip):
        return {"kind": "bits", "title": "Bit explorer", "fixed": [], "thinned": [],
                "_state": made._state, "_formats": made._formats}  # fmt: skip
    if made.twin:
        return {"kind": "computed", **computed(made)}
    return {"kind": "faces", **record(made)}


def _live(stem, cell, data):
    # Deflated and in base64: a script can be read from a file, where a page may not fetch data.
    packed = zlib.compress(json.dumps(data, ensure_ascii=False).encode(), 9)
    text = base64.b64encode(packed).decode()
    call = f'quantlab.data("{stem}-{cell}", "{data["kind"]}", "{text}");\n'
    return Live(f"{stem}-{cell}", cell, data["title"], call, tuple(data["fixed"]))


def _shows_an_explorer(node):
    texts = [o.get("data", {}).get("text/plain", "") for o in node.get("outputs", ())]
    return any(re.match(r"(Bit explorer|Explorer):", text) for text in texts)


# --------------------------------------------------------------------------- running a notebook


def _run(notebook, places):
    """Run a notebook up to its last explorer at `places`; return their contents by cell id."""
    kept = CACHE / f"{notebook.stem}-{_fingerprint(notebook)}.json"
    if not kept.exists():
        print(f"Running {notebook.stem} for its explorer ...", flush=True)
        node = copy.deepcopy(notebook.node)
        node.cells = node.cells[: places[-1] + 1]
        for place in reversed(places):
            node.cells.insert(place + 1, new_code_cell(_RECORD.format(tools=_TOOLS)))
        done = run_notebooks.execute(node, notebooks.FOLDER).cells
        after = {shown.id: printed for shown, printed in pairwise(done)}
        ids = [notebook.node.cells[place].id for place in places]
        found = {id: json.loads(_printed(after[id])) for id in ids}
        for old in CACHE.glob(f"{notebook.stem}-*.json"):
            old.unlink()
        CACHE.mkdir(parents=True, exist_ok=True)
        run_notebooks.replace_file(kept, json.dumps(found))
    return json.loads(kept.read_text(encoding="utf-8"))


def _printed(cell):
    """What a cell printed; it may come in pieces."""
    return "".join(output.get("text", "") for output in cell.outputs)


_TOOLS = str(Path(run_notebooks.__file__).resolve().parent)
# _oh: what the cells before have shown. Not _, which a notebook may use for a name of its own.
_RECORD = """import json as _json, sys as _sys
_sys.path.insert(0, {tools!r})
from web import explorers as _explorers
print(_json.dumps(_explorers.content(_oh[max(_oh)])))
"""


def _fingerprint(notebook):
    """What an explorer depends on: the notebook's code, the package, the data."""
    digest = hashlib.sha256()
    for node in notebook.node.cells:
        digest.update(node.source.encode())
    for folder in ("quantlab", "data"):
        for path in sorted((notebooks.ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


# ------------------------------------------------------------------------------------- computing


def computed(explorer):
    """Return what a page needs to compute the faces of an `Explorer` with a twin in faces.js."""
    controls = explorer.controls
    twin, given = explorer.twin
    return {
        "title": explorer.title,
        "height": explorer.html.layout.min_height,
        "controls": [{"name": name} | _computed(control) for name, control in controls.items()],
        "twin": twin,
        "given": given,
        "colors": html.COLORS,
        "rules": {name: _rules(_entry(c)) for name, c in controls.items() if _entry(c)},
        "fixed": [],
        "thinned": [],
    }


def _computed(control):
    """How the page draws a control, and the values behind its positions."""
    if entry := _entry(control):
        picks = choices(control.menu)[:-1] if hasattr(control, "menu") else []
        return {
            "label": _name(entry.widget),
            "kind": "entry",
            "start": entry.widget.value,
            "picks": [(label, str(size)) for label, size in picks],
            "menu": _name(control.menu) if picks else "",
        }
    labels, values = zip(*choices(control), strict=True)
    return _look(control, control.value, choices(control)) | {"labels": labels, "values": values}


def _entry(control):
    """The `Entry` of a control, which may have a menu above it; None if there is none."""
    return control if isinstance(control, Entry) else getattr(control, "box", None)


def _rules(entry):
    """What numbers a box takes. The limits are texts: the page reads them as what is typed."""
    return entry.rules | {end: str(entry.rules[end]) for end in ("low", "below")}


# ------------------------------------------------------------------------------------- recording


def record(explorer):
    """Return every face of an `Explorer` as data for the page.

    The tree has a level for each moving control: [place of its labels, branch for each label]; a
    leaf is the place of a face. Branches differ where one control sets the range of another.
    """
    with ExitStack() as held:
        # A browser that nobody opened is told of every setting: so many messages that the
        # kernel drops some, on a busy machine also what the cell prints.
        for widget in _widgets(explorer.widget):
            held.enter_context(widget.hold_sync())
        return _recorded(explorer)


def _widgets(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _widgets(child)


def _recorded(explorer):
    start = {name: control.value for name, control in explorer.controls.items()}
    moving, stride = _moving(explorer)
    faces, labels = {}, {}

    def options_of(name):
        options = choices(moving[name])
        first = _place(options, start[name]) % stride[name]  # the start is among them
        return options[first :: stride[name]]

    looks = [{"name": n} | _look(c, start[n], options_of(n)) for n, c in moving.items()]

    def branch(names):
        if not names:
            return faces.setdefault(explorer.html.value, len(faces))
        options = options_of(names[0])
        node = [labels.setdefault(tuple(label for label, _ in options), len(labels))]
        for _, value in options:
            moving[names[0]].value = value
            node.append(branch(names[1:]))
        return node

    return {
        "title": explorer.title,
        "height": explorer.html.layout.min_height,
        "controls": looks,
        "tree": branch(list(moving)),
        "labels": list(labels),
        **_pieces(faces),
        "fixed": [_name(c) for n, c in explorer.controls.items() if n not in moving],
        "thinned": [_name(c) for n, c in moving.items() if stride[n] > 1],
    }


def _moving(explorer):
    """Return ({name: control} of those that move, {name: take each so-manieth position}).

    Where there would be too many faces, sliders take larger steps, the longest first; then the
    last control stays where it is.
    """
    countable = {n: choices(c) for n, c in explorer.controls.items()}
    moving = dict(explorer.controls)
    stride = dict.fromkeys(moving, 1)

    def positions(name):
        return math.ceil(len(countable[name]) / stride[name])

    def characters():
        return math.prod(map(positions, moving)) * len(explorer.html.value)

    sliders = [name for name, control in moving.items() if isinstance(control, _SLIDERS)]
    while characters() > MANY and any(positions(name) > 2 for name in sliders):
        stride[max(sliders, key=positions)] *= 2
    while characters() > MOST:
        del moving[[n for n, c in moving.items() if not isinstance(c, Stepper)][-1]]
    return moving, stride


_SLIDERS = (widgets.IntSlider, widgets.FloatSlider, widgets.FloatLogSlider)


def _place(options, value):
    """The place of a value among the positions of its control; 0 if it is none of them."""
    places = [place for place, (_, option) in enumerate(options) if option == value]
    return places[0] if places else 0


def _pieces(faces):
    """The faces as lists of places in a list of pieces: most tags are in most faces."""
    pieces = {}
    cut = [
        [pieces.setdefault(piece, len(pieces)) for piece in re.split(r"(?<=>)", face)]
        for face in faces
    ]
    return {"faces": cut, "pieces": list(pieces)}


def choices(control):
    """Return the positions of a control as (label, value).

    Raises TypeError for a kind of control that is not known here: a page would freeze it.
    """
    if isinstance(control, Stepper):
        slider = control.slider
        return [(str(n), n - slider.min) for n in range(slider.min, slider.max + 1)]
    if hasattr(control, "options"):
        pairs = control.options
        return [pair if isinstance(pair, tuple) else (str(pair), pair) for pair in pairs]
    if isinstance(control, (widgets.Checkbox, widgets.ToggleButton)):
        return [("off", False), ("on", True)]
    if isinstance(control, widgets.IntSlider):
        values = range(control.min, control.max + 1, control.step)
        return [(str(value), value) for value in values]
    if isinstance(control, widgets.FloatLogSlider):
        count = round((control.max - control.min) / control.step)
        values = [control.base ** (control.min + control.step * n) for n in range(count + 1)]
        return [(f"{value:.3g}", value) for value in values]
    if isinstance(control, widgets.FloatSlider):
        count = round((control.max - control.min) / control.step)
        values = [round(control.min + control.step * n, 10) for n in range(count + 1)]
        return [(f"{value:g}", value) for value in values]
    raise TypeError(f"a page can't count the positions of {_name(control)!r}, {type(control)}")


def _look(control, value, options):
    """How the page draws a control: its label, its kind, and where it starts."""
    kinds = {
        widgets.ToggleButtons: "buttons",
        widgets.RadioButtons: "buttons",
        widgets.Checkbox: "check",
        widgets.ToggleButton: "check",
        widgets.IntSlider: "slider",
        widgets.FloatSlider: "slider",
        widgets.FloatLogSlider: "slider",
        widgets.SelectionSlider: "slider",
        Stepper: "steps",
    }
    return {
        "label": _name(control),
        "kind": kinds.get(type(control), "menu"),
        "start": _place(options, value),
    }


def _name(control):
    for part in (control, getattr(control, "slider", None)):
        if getattr(part, "description", ""):
            return part.description
    return "setting"
