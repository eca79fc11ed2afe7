"""Explorers that work in a page without Python: every setting is computed once, when it is made.

An explorer's face is a function from a few settings to HTML. Where each control has a handful of
positions, all faces fit into a small file, and the page looks up the one that is asked for. A box
that takes any number offers the numbers that the tips below it name. The bit explorer computes in
the page anyway; it needs what it starts with.

Most explorers need nothing but quantlab and are made here. Some work on what their notebook has
computed: the notebook is run for them (`RUN`), and what came is kept in build/explorers until the
notebook, the package or the data change. The others have no such file: the page shows their still.
"""

import ast
import base64
import builtins
import copy
import hashlib
import json
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import ipywidgets as widgets
import run_notebooks

from quantlab.show.bits import BitStrip
from quantlab.show.explorer import Explorer, Stepper
from web import notebooks

# Characters of all faces of an explorer. Above MANY sliders take larger steps; above MOST controls
# stay where they are: more is slow to make and to load.
MANY, MOST = 40_000_000, 100_000_000
# Notebooks that are run for their explorers. Not 09: its explorer quantizes a model per setting.
RUN = ("05_outliers", "07_comparison", "08_four_bits", "10_load_in_4_bits")
CACHE = notebooks.ROOT / "build" / "explorers"


@dataclass(frozen=True)
class Live:
    """An explorer for a page. id: notebook and cell. script: what hands its data to the page."""

    id: str
    cell: str
    title: str
    script: str
    fixed: tuple = ()  # the names of the controls that do not move


def live(notebook, run=True):
    """Return the `Live` explorers of a `Notebook`, in order.

    run: whether the notebooks in `RUN` are run where their explorers need it.
    """
    found, waiting = {}, []
    for place, node in enumerate(notebook.node.cells):
        if _shows_an_explorer(node):
            made = _make(notebook, node.source)
            if made is None:
                waiting.append(place)
            else:
                found[node.id] = content(made, _tips(notebook, place))
    if waiting and run and notebook.stem in RUN:
        found |= _run(notebook, waiting)
    order = [node.id for node in notebook.node.cells if node.id in found]
    return [_live(notebook.stem, id, found[id]) for id in order]


def content(made, tips):
    """Return what a page needs of an explorer, ready for JSON."""
    if isinstance(made, BitStrip):
        return {"kind": "bits", "title": "Bit explorer", "fixed": [],
                "_state": made._state, "_formats": made._formats}  # fmt: skip
    return {"kind": "faces", **record(made, tips)}


def _live(stem, cell, data):
    # Deflated and in base64: a script can be read from a file, where a page may not fetch data.
    packed = zlib.compress(json.dumps(data, ensure_ascii=False).encode(), 9)
    text = base64.b64encode(packed).decode()
    call = f'quantlab.data("{stem}-{cell}", "{data["kind"]}", "{text}");\n'
    return Live(f"{stem}-{cell}", cell, data["title"], call, tuple(data["fixed"]))


def _shows_an_explorer(node):
    texts = [o.get("data", {}).get("text/plain", "") for o in node.get("outputs", ())]
    return any(re.match(r"(Bit explorer|Explorer):", text) for text in texts)


def _tips(notebook, place):
    """The text below an explorer."""
    return "".join(node.source for node in notebook.node.cells[place + 1 : place + 2])


# --------------------------------------------------------------------------- running a notebook


def _run(notebook, places):
    """Run a notebook up to its last explorer at `places`; return their contents by cell id."""
    kept = CACHE / f"{notebook.stem}-{_fingerprint(notebook)}.json"
    if not kept.exists():
        print(f"Running {notebook.stem} for its explorer ...", flush=True)
        node = copy.deepcopy(notebook.node)
        for place in places:
            cell = node.cells[place]
            tree = ast.parse(cell.source)
            shown = ast.unparse(tree.body.pop())
            cell.source = _RECORD.format(
                before=ast.unparse(tree), shown=shown, tips=_tips(notebook, place), tools=_TOOLS
            )
        node.cells = node.cells[: places[-1] + 1]
        done = run_notebooks.execute(node, notebooks.FOLDER)
        found = {done.cells[p].id: json.loads(_printed(done.cells[p])) for p in places}
        for old in CACHE.glob(f"{notebook.stem}-*.json"):
            old.unlink()
        CACHE.mkdir(parents=True, exist_ok=True)
        run_notebooks.replace_file(kept, json.dumps(found))
    return json.loads(kept.read_text(encoding="utf-8"))


def _printed(cell):
    """What a cell printed; it may come in pieces."""
    return "".join(output.get("text", "") for output in cell.outputs)


_TOOLS = str(Path(run_notebooks.__file__).resolve().parent)
_RECORD = """{before}
import json as _json, sys as _sys
_sys.path.insert(0, {tools!r})
from web import explorers as _explorers
print(_json.dumps(_explorers.content({shown}, {tips!r})))
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
    moving, stride = _moving(explorer, tips)
    faces, labels = {}, {}

    def options_of(name):
        options = choices(moving[name], tips)
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
    }


def _moving(explorer, tips):
    """Return ({name: control} of those that move, {name: take each so-manieth position}).

    Where there would be too many faces, sliders take larger steps, the longest first; then the
    last control stays where it is.
    """
    countable = {n: choices(c, tips) for n, c in explorer.controls.items()}
    moving = {n: explorer.controls[n] for n, options in countable.items() if options is not None}
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


_SLIDERS = (widgets.IntSlider, widgets.FloatSlider)


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
        values = [round(control.min + control.step * n, 10) for n in range(count + 1)]
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
    return {
        "label": _name(control),
        "kind": kinds.get(type(control), "menu"),
        "start": _place(options, value),
    }


def _name(control):
    for part in (control, getattr(control, "slider", None), getattr(control, "menu", None)):
        if getattr(part, "description", ""):
            return part.description
    return "setting"
