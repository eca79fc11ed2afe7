"""The rules that every notebook keeps. Each takes (notebook, path) and returns its complaints.

`RULES` lists them; test_notebooks.py applies them to the course and test_guards.py shows that each
can fail. What only a run can tell (errors, changed outputs, solutions) is in test_notebooks.py.
"""

import ast
import base64
import io
import json
import re
import statistics
from importlib import import_module
from urllib.parse import unquote, urlsplit

import compare_outputs
import numpy as np
import run_notebooks
from PIL import Image

from quantlab.course import address, outline
from quantlab.course.setup_cell import cell_text

LAST = outline.entries()[-1].number
WIDEST_CODE = 88
WIDEST_PICTURE = 760
MEDIAN_LINES, NINETIETH_LINES = 4, 15
CHECK = re.compile(r"\bcourse\.check\(")
SOLUTION = re.compile(
    r"<details>\s*<summary>Solution ([\d.]+)</summary>\s*\n(.*?)</details>", re.DOTALL
)
FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
TORCH = re.compile(r"^\s*(import|from) .*\b(torch|lm|bitsandbytes|hardware)\b", re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]*(?:\([^()]*\)[^()\s]*)*)([^)]*)\)")
BANNED = re.compile(r"\b(simply|just|obviously|powerful|crucial|delve)\b", re.IGNORECASE)
NO_VERBS = {"the", "a", "an", "how", "what", "why", "when", "where", "you", "to", "and", "of"}


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def markdown(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


def has_torch(notebook):
    """Tell whether a notebook imports torch, or what imports it."""
    return any(TORCH.search(cell.source) for cell in code(notebook))


def number(path):
    """The number that a notebook's file name starts with."""
    return int(path.name.split("_")[0])


def prose(cell):
    """The words of a markdown cell: no code, mathematics, comments or targets of links."""
    text = re.sub(r"```.*?```|<!--.*?-->|\$\$.*?\$\$", " ", cell.source, flags=re.DOTALL)
    text = re.sub(r"`[^`]*`|\$[^$\n]*\$", " ", text)
    return re.sub(r"\]\([^)]*\)", "]", text).replace("![", "[")


def bullets(text):
    return [line.strip() for line in re.findall(r"^ *(?:[-*]|\d+\.) +(.*)$", text, re.MULTILINE)]


def section(notebook, heading):
    """The text from the heading to the next of its level or higher; None if there is no such."""
    text = "\n\n".join(cell.source for cell in markdown(notebook))
    found = re.search(rf"^## {heading}\b.*?\n(.*?)(?=^##? |\Z)", text, re.DOTALL | re.MULTILINE)
    return found and found.group(1)


def title(notebook, path):
    first = notebook.cells[0]
    if first.cell_type != "markdown":
        return ["the first cell is no markdown"]
    complaints = []
    if not re.match(rf"# {number(path)} · \S", first.source):
        complaints.append(f"the title must start with '# {number(path)} · '")
    questions = "\n".join(prose(first).splitlines()[1:]).count("?")
    if questions != 1:
        complaints.append(f"one question under the title, found {questions}")
    return complaints


def facts_line(notebook, path):
    """Minutes, what to know before, and hardware, in one line of the first cell."""
    lines = notebook.cells[0].source.lower().splitlines()
    wanted = (r"\d+ minutes", r"\bbefore\b", r"\bhardware\b")
    if any(all(re.search(word, line) for word in wanted) for line in lines):
        return []
    return ["one line of the first cell has '... minutes', '... before ...', '... hardware ...'"]


def badges(notebook, path):
    first = notebook.cells[0].source
    links = {"Colab": address.colab(path.name), "Binder": address.binder(path.name)}
    return [f"no {site} link {link}" for site, link in links.items() if f"]({link})" not in first]


def objectives(notebook, path):
    for cell in markdown(notebook):
        _, found, after = cell.source.partition("You will be able to")
        if found:
            break
    else:
        return ["no 'You will be able to'"]
    goals = bullets(after)
    complaints = [] if 3 <= len(goals) <= 4 else [f"3 or 4 objectives, found {len(goals)}"]
    for goal in goals:
        word = re.match(r"[A-Za-z]*", goal.lstrip("*_")).group().lower()
        if not word or word in NO_VERBS or word.endswith("ing"):
            complaints.append(f"an objective starts with a verb, not {goal.split()[0]!r}")
    return complaints


def setup_cell(notebook, path):
    cells = [cell for cell in code(notebook) if "course.setup(" in cell.source]
    if len(cells) != 1:
        return [f"one set-up cell, found {len(cells)}"]
    if cells[0] is not code(notebook)[0]:
        return ["the set-up cell is the first code cell"]
    return [] if cells[0].source == cell_text() else ["the set-up cell's text is not the course's"]


def predictions(notebook, path):
    cells = notebook.cells
    places = [
        i for i, c in enumerate(cells) if c.cell_type == "markdown" and "**Predict.**" in c.source
    ]
    complaints = [] if len(places) >= 3 else [f"3 or more '**Predict.**', found {len(places)}"]
    for i in places:
        if "?" not in prose(cells[i]):
            complaints.append(f"a prediction asks a question: {cells[i].id}")
        if i + 1 == len(cells) or cells[i + 1].cell_type != "code":
            complaints.append(f"a prediction is followed by the cell that answers: {cells[i].id}")
    return complaints


def checks(notebook):
    """(id, source of the answer, place of the cell) of each ``course.check`` call, in order."""
    found = []
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or not CHECK.search(cell.source):
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "course.check":
                found.append((ast.literal_eval(node.args[0]), ast.unparse(node.args[1]), place))
    return found


def solutions(notebook):
    """The code of each folded solution, by exercise id."""
    return {
        id: "\n".join(FENCE.findall(body))
        for cell in markdown(notebook)
        for id, body in SOLUTION.findall(cell.source)
    }


def solution_cells(notebook):
    """For each exercise a cell that runs its solution and prints the verdict's state as JSON."""
    answers = {id: answer for id, answer, _ in checks(notebook)}
    return {
        id: f"{source}\nimport json\nprint(json.dumps(vars(course.verdict({id!r}, {answers[id]}))))"
        for id, source in solutions(notebook).items()
        if id in answers
    }


def said(cell):
    """What a cell of `solution_cells` came to: "right", or what was wrong."""
    trouble = run_notebooks.problem(cell)
    if trouble:
        return trouble
    printed = "".join(output.get("text", "") for output in cell.outputs)  # it may come in pieces
    verdict = json.loads(printed.splitlines()[-1])
    return "right" if verdict["state"] == "right" else verdict["text"]


def exercises(notebook, path):
    found = checks(notebook)
    ids = [id for id, _, _ in found]
    complaints = [] if len(ids) >= 3 else [f"3 or more exercises, found {len(ids)}"]
    try:
        known = list(import_module(f"quantlab.course.exercises.ch{path.name[:2]}").EXERCISES)
    except ModuleNotFoundError:
        known = []
    if ids != known:
        complaints.append(f"exercises in the notebook are {ids}, in quantlab/course {known}")
    folded = solutions(notebook)
    for id, _, place in found:
        if not folded.get(id, "").strip():
            complaints.append(f"no folded solution with code for {id}")
        printed = "".join(o.get("text", "") for o in notebook.cells[place].outputs)
        if f"○ {id}  not answered yet" not in printed:
            complaints.append(f"exercise {id} must be committed unanswered")
    return complaints + [f"solution {id} has no exercise" for id in folded if id not in ids]


def ending(notebook, path):
    complaints = []
    recap = section(notebook, "Recap")
    if recap is None or len(bullets(recap)) != 5:
        complaints.append(f"'## Recap' has five lines, found {len(bullets(recap or ''))}")
    if not bullets(section(notebook, "References") or ""):
        complaints.append("'## References' with one line a source is missing")
    following = [p.name for p in path.parent.glob(f"{number(path) + 1:02d}_*.ipynb")]
    last = notebook.cells[-1].source
    if number(path) != LAST and "next" not in last.lower():
        complaints.append("the last cell names the next notebook")
    elif following and f"]({following[0]})" not in last:
        complaints.append(f"the last cell links to {following[0]}")
    return complaints


def code_size(notebook, path):
    cells = [cell.source for cell in code(notebook) if "course.setup(" not in cell.source]
    lines = [len([line for line in source.splitlines() if line.strip()]) for source in cells]
    complaints = []
    if lines and statistics.median(lines) > MEDIAN_LINES:
        complaints.append(f"half of the code cells have over {statistics.median(lines):g} lines")
    if lines and np.percentile(lines, 90) > NINETIETH_LINES:
        complaints.append(f"a tenth of the code cells have over {np.percentile(lines, 90):g} lines")
    for cell in code(notebook):
        widest = max(map(len, cell.source.splitlines()), default=0)
        if widest > WIDEST_CODE:
            complaints.append(f"code is {widest} columns wide in {cell.id}")
    return complaints


def _outputs(notebook):
    return [(place, o) for place, c in enumerate(notebook.cells) for o in c.get("outputs", ())]


def pictures(notebook, path):
    complaints = []
    for place, output in _outputs(notebook):
        for kind in (k for k in output.get("data", {}) if k.startswith("image/")):
            about = output.metadata.get(kind, {})
            if len(about.get("alt", "").split()) < 3:
                complaints.append(f"a picture without alt text in {notebook.cells[place].id}")
            if not 0 < about.get("width", 0) <= WIDEST_PICTURE:
                complaints.append(f"a picture without a width in {notebook.cells[place].id}")
            if kind == "image/png" and _runs_off(output.data[kind]):
                complaints.append(f"a picture that is cut off in {notebook.cells[place].id}")
        for tag in re.findall(r"<img\b[^>]*>", output.get("data", {}).get("text/html", "")):
            if not re.search(r"alt=[\"'][^\"']+", tag):
                complaints.append(f"an <img> without alt text in {notebook.cells[place].id}")
    return complaints


def _runs_off(png):
    """Tell whether a picture has ink on its outermost pixels, as what runs off the picture has."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("L"), int)
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    return any(np.ptp(edge) > 20 for edge in edges)


def explorers(notebook, path):
    complaints = []
    for place, output in _outputs(notebook):
        data, id = output.get("data", {}), notebook.cells[place].id
        if run_notebooks.WIDGET_VIEW in data:
            complaints.append(f"a widget without a still in {id}")
        if not data.get("text/plain", "").startswith("Explorer:"):
            continue
        if "<svg" in data.get("text/html", ""):
            complaints.append(f"the still in {id} is SVG, which GitHub drops: give a picture")
        after = notebook.cells[place + 1] if place + 1 < len(notebook.cells) else {}
        tips = bullets(after.get("source", "")) if after.get("cell_type") == "markdown" else []
        if len(tips) < 2 or not re.search(r"\btry\b", after.source, re.IGNORECASE):
            complaints.append(f"the explorer in {id} is followed by two or more things to try")
    return complaints


def as_run_once(notebook, path):
    """Run top to bottom in one go, nothing left over."""
    counts = [cell.execution_count for cell in code(notebook)]
    complaints = []
    if counts != list(range(1, len(counts) + 1)):
        complaints.append(f"the execution counts are {counts}: run tools/run_notebooks.py")
    for cell in code(notebook):
        if run_notebooks.problem(cell):
            complaints.append(f"{cell.id}: {run_notebooks.problem(cell)}")
    if run_notebooks.text(notebook) != path.read_text(encoding="utf-8"):
        complaints.append("widget state or other leftovers in the file: run tools/run_notebooks.py")
    return complaints


def tolerances(notebook, path):
    """A cell whose result depends on the processor says by how much, and no other cell does."""
    complaints = []
    for cell in notebook.cells:
        compared = compare_outputs.WITHIN_TOLERANCE in compare_outputs.tags(cell)
        tolerance = cell.metadata.get("tolerance", {})
        unknown = set(tolerance) - compare_outputs.TOLERANCE_KEYS
        if compared != bool(tolerance) or unknown or min(tolerance.values(), default=1) <= 0:
            complaints.append(f"{cell.id}: 'hardware' and a tolerance go together, not {tolerance}")
        if compared and compare_outputs.tags(cell) & compare_outputs.NOT_COMPARED:
            complaints.append(f"{cell.id}: compared or not? Its tags say both")
    return complaints


def zeros(notebook, path):
    """Nowhere a minus before a zero: to a reader 0 has no sign, and another processor adds none."""
    found = [
        (cell.id, compare_outputs.MINUS_ZERO.search(compare_outputs.shown(cell)))
        for cell in code(notebook)
    ]
    return [f"{id} shows {zero[0]!r} where 0 is meant" for id, zero in found if zero]


def links(notebook, path):
    complaints = []
    for cell in markdown(notebook):
        text = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$", " ", cell.source, flags=re.DOTALL)
        if re.search(r"\]\s+\(http", text):
            complaints.append(f"{cell.id}: a link with a gap between its text and its address")
        for target, rest in LINK.findall(text):
            complaint = _bad_link(target, rest, path.parent)
            if complaint:
                complaints.append(f"{cell.id}: {complaint}")
    return complaints


def _bad_link(target, rest, folder):
    if not target or (rest and not re.fullmatch(r"\s+[\"'].*[\"']", rest)):
        return f"a malformed link ({target}{rest})"
    parts = urlsplit(target)
    if parts.scheme in ("http", "https"):
        return None if "." in parts.netloc else f"no host in {target}"
    if parts.scheme:
        return f"a link that is neither http nor a file: {target}"
    if parts.path and not (folder / unquote(parts.path)).exists():
        return f"{target} is not there"
    return None


def wording(notebook, path):
    complaints = []
    for cell in markdown(notebook):
        text = prose(cell)
        complaints += [f"{cell.id}: the word {word!r}" for word in BANNED.findall(text)]
        if "!" in text:
            complaints.append(f"{cell.id}: an exclamation mark")
    return complaints


RULES = (
    title,
    facts_line,
    badges,
    objectives,
    setup_cell,
    predictions,
    exercises,
    ending,
    code_size,
    pictures,
    explorers,
    as_run_once,
    tolerances,
    zeros,
    links,
    wording,
)
