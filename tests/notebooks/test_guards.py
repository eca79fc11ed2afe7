"""The guards themselves: one notebook that keeps every rule, and one for each way to break one."""

import base64
import io

import anatomy
import nbformat
import pytest
import run_notebooks
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from PIL import Image, ImageDraw

from quantlab.course import address, exercises
from quantlab.course.setup_cell import cell_text

NAME = "98_sample.ipynb"
CHAPTER = """
from quantlab.course.checking import value
from quantlab.course.exercise import Exercise

EXERCISES = {
    f"98.{n}": Exercise(hint="double it", check=value(2 * n, "twice"), learned="done")
    for n in (1, 2, 3)
}
"""
TITLE = f"""# 98 · A sample

What does a good notebook look like?

About 10 minutes · before: nothing · hardware: any

[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({address.colab(NAME)})
[Binder]({address.binder(NAME)})"""
GOALS = "You will be able to\n\n- double a number\n- read a figure\n- move a slider"
RECAP = "## Recap\n\n1. one\n2. two\n3. three\n4. four\n5. five"
REFERENCES = "## References\n\n- [GPTQ](https://arxiv.org/abs/2210.17323), section 3"


def png(words):
    """A picture of words that begin at its middle, as text."""
    picture = Image.new("L", (60, 20), "white")
    ImageDraw.Draw(picture).text((30, 4), words, "black")
    picture.save(stored := io.BytesIO(), format="PNG")
    return base64.b64encode(stored.getvalue()).decode()


PICTURE = new_output(
    "display_data",
    data={"image/png": png("up"), "text/plain": "Figure: a line rises"},
    metadata={"image/png": {"alt": "a line rises", "width": 600}},
)
EXPLORER = new_output(
    "display_data",
    data={"text/html": "<table></table>", "text/plain": "Explorer: codes. Run this notebook"},
)


def good():
    cells = [new_markdown_cell(TITLE), new_markdown_cell(GOALS), new_code_cell(cell_text())]
    for n in (1, 2, 3):
        cells.append(new_markdown_cell(f"**Predict.** What is {n} + {n}?"))
        cells.append(new_code_cell(f"print({n} + {n})", outputs=[_prints(f"{2 * n}\n")]))
    cells.append(new_code_cell("line_figure", outputs=[PICTURE]))
    cells.append(new_code_cell("codes_explorer", outputs=[EXPLORER]))
    cells.append(new_markdown_cell("**Things to try**\n\n- 2 bits\n- 16 bits"))
    for n in (1, 2, 3):
        source = f"twice_{n} = ...\ncourse.check('98.{n}', twice_{n})"
        hint = f"○ 98.{n}  not answered yet. Hint: double it\n"
        cells.append(new_code_cell(source, outputs=[_prints(hint)]))
        cells.append(new_markdown_cell(_solution(n, 2 * n)))
    cells += [new_markdown_cell(text) for text in (RECAP, REFERENCES, "Next: the end, 99.")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    for count, cell in enumerate(anatomy.code(notebook), 1):
        cell.execution_count = count
    return run_notebooks.normalise(notebook)


def _prints(text):
    return new_output("stream", name="stdout", text=text)


def _solution(n, answer):
    fence = f"```python\ntwice_{n} = {answer}\n```"
    return f"<details><summary>Solution 98.{n}</summary>\n\n{fence}\n\n</details>"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The path of the sample, beside the module with its exercises."""
    (tmp_path / "ch98.py").write_text(CHAPTER)
    monkeypatch.setattr(exercises, "__path__", [*exercises.__path__, str(tmp_path)])
    return tmp_path / NAME


def complaints(notebook, place):
    nbformat.write(notebook, place, version=nbformat.NO_CONVERT)
    return {rule.__name__ for rule in anatomy.RULES if rule(notebook, place)}


def _cell(notebook, start):
    return next(cell for cell in notebook.cells if start in cell.source)


def _replace(start, old, new):
    def spoil(notebook):
        cell = _cell(notebook, start)
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return spoil


def _append(source, kind=new_markdown_cell):
    return lambda notebook: notebook.cells.insert(-1, kind(source))


def _drop(start):
    return lambda notebook: notebook.cells.remove(_cell(notebook, start))


def _output(start, change):
    return lambda notebook: change(_cell(notebook, start).outputs[0])


def _html(text):
    return _output("codes_explorer", lambda o: o.data.update({"text/html": text}))


def _view(notebook):
    _cell(notebook, "codes_explorer").outputs[0].data[run_notebooks.WIDGET_VIEW] = {}


def _wide_code(notebook):
    _cell(notebook, "print(1").source = "print(1 + 1)  " + "#" * 80


def _long_code(notebook):
    for cell in anatomy.code(notebook)[1:]:
        cell.source += "\npass" * 4


def _one_long_tenth(notebook):
    for cell in anatomy.code(notebook)[1:3]:
        cell.source += "\npass" * 15


def _answered(notebook):
    _cell(notebook, "'98.2'").outputs[0].text = "✓ 98.2  right: done\n"


def _tagged(tolerance, *tags):
    def spoil(notebook):
        cell = _cell(notebook, "print(1")
        cell.metadata.tags = list(tags)
        cell.metadata.tolerance = nbformat.from_dict(tolerance)

    return spoil


def _next_file(notebook):
    _cell(notebook, "Next:").source = "Next: [99](99_other.ipynb)"


SPOILED = [
    ("title", _replace("# 98", "# 98 ·", "# 97 ·")),
    ("title", _replace("# 98", "What does a good notebook look like?", "A good notebook.")),
    ("title", _replace("# 98", "like?", "like? Why? ")),
    ("facts_line", _replace("# 98", "10 minutes", "a while")),
    ("facts_line", _replace("# 98", "hardware", "computer")),
    ("badges", _replace("# 98", "google.com/github", "google.com/gist")),
    ("badges", _replace("# 98", f"labpath=notebooks/{NAME}", "labpath=notebooks/00.ipynb")),
    ("objectives", _drop("You will be able to")),
    ("objectives", _replace("You will", "- double a number\n", "")),
    ("objectives", _replace("You will", "- double", "- the double")),
    ("objectives", _replace("You will", "- double", "- doubling")),
    ("setup_cell", _replace("course.setup()", "import sys", "import os")),
    ("setup_cell", _drop("course.setup()")),
    ("setup_cell", _append("course.setup()", new_code_cell)),
    ("predictions", _drop("What is 2 + 2?")),
    ("predictions", _drop("print(1 + 1)")),
    ("predictions", _replace("What is 2 + 2?", "What is 2 + 2?", "2 + 2.")),
    ("exercises", _drop("'98.3'")),
    ("exercises", _drop("Solution 98.2")),
    ("exercises", _replace("Solution 98.2", "```python", "```")),
    ("exercises", _append(_solution(7, 1))),
    ("exercises", _answered),
    ("ending", _replace("## Recap", "4. four\n", "")),
    ("ending", _drop("## References")),
    ("ending", lambda notebook: notebook.cells.pop()),
    ("code_size", _wide_code),
    ("code_size", _long_code),
    ("code_size", _one_long_tenth),
    ("pictures", _output("line_figure", lambda o: o.metadata["image/png"].pop("alt"))),
    ("pictures", _output("line_figure", lambda o: o.metadata["image/png"].update(width=1200))),
    ("pictures", _output("line_figure", lambda o: o.data.update({"image/png": png("longer")}))),
    (
        "pictures",
        _html("<img src='x'>"),
    ),
    ("explorers", _view),
    ("explorers", _html("<svg></svg>")),
    ("explorers", _drop("Things to try")),
    ("as_run_once", lambda notebook: _cell(notebook, "codes_explorer").update(execution_count=1)),
    ("as_run_once", lambda notebook: notebook.cells[0].metadata.update(scrolled=True)),
    ("as_run_once", lambda notebook: notebook.metadata.update(widgets={"state": {}})),
    ("as_run_once", _output("print(1", lambda o: o.update(name="stderr"))),
    ("zeros", _output("print(1", lambda o: o.update(text="off by -0.00\n"))),
    (
        "zeros",
        _output("line_figure", lambda o: o.metadata["image/png"].update(alt="1 −0.0 2")),
    ),
    ("tolerances", _tagged({}, "hardware")),
    ("tolerances", _tagged({"relative": 0.01})),
    ("tolerances", _tagged({"relative": 0}, "hardware")),
    ("tolerances", _tagged({"percent": 1}, "hardware")),
    ("tolerances", _tagged({"relative": 0.01}, "hardware", "timing")),
    ("links", _append("[gone](gone.ipynb)")),
    ("links", _append("[gap] (https://example.org)")),
    ("links", _append("[host](https://example)")),
    ("links", _append("[empty]()")),
    ("links", _append("![gone](images/gone.png)")),
    ("links", _next_file),
    ("wording", _append("You simply round.")),
    ("wording", _append("It works!")),
]


def test_the_good_notebook_keeps_every_rule(place):
    assert complaints(good(), place) == set()


@pytest.mark.parametrize(("rule", "spoil"), SPOILED, ids=lambda value: str(value)[:20])
def test_a_spoiled_notebook_is_caught_by_its_rule(rule, spoil, place):
    notebook = good()
    spoil(notebook)
    assert rule in complaints(notebook, place)


def test_a_hardware_cell_with_a_tolerance_keeps_every_rule(place):
    notebook = good()
    _tagged({"relative": 0.01, "absolute": 3}, "hardware")(notebook)
    assert complaints(notebook, place) == set()


def test_every_rule_has_a_notebook_that_breaks_it():
    assert {rule.__name__ for rule in anatomy.RULES} == {rule for rule, _ in SPOILED}


def test_the_next_notebook_must_be_linked_once_it_is_there(place):
    (place.parent / "99_other.ipynb").touch()
    assert "ending" not in complaints(_ending_with("Next: [99](99_other.ipynb)"), place)


def test_the_link_to_a_next_notebook_that_is_there_is_missed(place):
    (place.parent / "99_other.ipynb").touch()
    assert "ending" in complaints(_ending_with("Next: 99"), place)


def _ending_with(source):
    notebook = good()
    notebook.cells[-1].source = source
    return notebook


def test_words_in_code_and_mathematics_are_not_prose():
    cell = new_markdown_cell("`just!` $5!$ ![alt](x.png)\n```python\nsimply!\n```\n")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    assert anatomy.wording(notebook, None) == []


def _run_solutions(place, notebook):
    """Run the sample's exercises and solutions in a kernel, as the tests of the course do."""
    start = (
        "from quantlab import course\nfrom quantlab.course import exercises\n"
        f"exercises.__path__.append({str(place.parent)!r})"
    )
    cells = [new_code_cell(start), *notebook.cells[-9:-3]]
    small = nbformat.v4.new_notebook(cells=cells)
    sources = anatomy.solution_cells(small)
    run = run_notebooks.execute(small, place.parent, sources.values())
    return dict(zip(sources, map(anatomy.said, run.cells[len(cells) :]), strict=True))


def test_solutions_run_after_the_notebook_and_each_has_its_verdict(place):
    notebook = good()
    _cell(notebook, "Solution 98.2").source = _solution(2, 5)
    _cell(notebook, "Solution 98.3").source = _solution(3, "1 / 0")
    states = _run_solutions(place, notebook)
    assert states["98.1"] == "right"
    assert states["98.2"].startswith("✗ 98.2  not yet: twice")
    assert states["98.3"] == "ZeroDivisionError: division by zero"
