"""The rules by which slides begin, and that the notebooks have them."""

import nbformat
import pytest
import slide_cues
import slides
from web import cells, notebooks


def code(id, text="x", output="", **more):
    outputs = [f'<pre class="output scroll">{output}</pre>'] if output else []
    return cells.Cell(id, "code", text, more.pop("outputs", outputs), text, **more)


def words(id, text):
    return cells.Cell(id, "markdown", cells.markdown(text), text=text)


def picture(id, height=300):
    return code(id, outputs=[f'<p class="output picture"><img height="{height}"></p>'])


def propose(*made, high=()):
    """The slide type of each cell after the title; cells named in `high` fill a slide."""
    made = [words("title", "# 1 · X"), *made]
    heights = {cell.id: 500 if cell.id in high else 60 for cell in made}
    return {
        id: kind for id, (kind, _) in slide_cues.propose(made, heights).items() if id != "title"
    }


def test_a_section_begins_a_topic():
    assert propose(words("a", "## 1 · One")) == {"a": "slide"}


def test_the_answer_to_a_prediction_is_on_the_next_slide():
    found = propose(words("ask", "## 1 · One\n> **Predict.** How many?"), code("run", output="4"))
    assert found == {"ask": "slide", "run": "subslide"}


def test_what_is_run_what_comes_and_the_explanation_on_a_click_are_one_slide():
    found = propose(words("head", "## One"), code("run", output="4"), words("why", "Four."))
    assert found == {"head": "slide", "run": "-", "why": "fragment"}


def test_the_next_experiment_begins_a_slide():
    found = propose(code("a", output="1"), words("why", "One."), code("b", output="2"))
    assert found["b"] == "subslide"


def test_what_does_not_fit_begins_a_slide():
    assert propose(words("a", "## A"), code("b", output="1"), high="b")["b"] == "-"
    assert propose(words("a", "## A"), code("b", output="1"), high="ab")["b"] == "subslide"


def test_a_picture_counts_with_the_height_that_it_needs():
    assert propose(words("a", "## A"), picture("b", 200))["b"] == "-"
    assert propose(words("a", "## A"), picture("b", 800))["b"] == "subslide"


def test_prose_that_leads_up_to_code_stays_with_it():
    found = propose(
        code("a", output="1"), words("b", "The same in quantlab:"), code("c", output="1")
    )
    assert (found["b"], found["c"]) == ("subslide", "-")


def test_a_box_about_the_article_begins_a_slide():
    found = propose(code("a", output="1"), words("b", "> **The article says** 12."))
    assert found["b"] == "subslide"


def test_what_to_try_stands_beside_its_explorer():
    explorer = code("a", explorer="Title", outputs=['<div class="explorer">'])
    tips = words("b", "Things to try:\n\n1. This.")
    assert propose(explorer, tips, code("c", output="1")) == {
        "a": "subslide",
        "b": "-",
        "c": "subslide",
    }


LEFT_OUT = [
    (words("a", "## Set-up\n\nRun this."), "skip"),
    (words("a", "## References\n\n- One."), "skip"),
    (words("a", "<details><summary>Solution 1.1</summary>x</details>"), "notes"),
    (code("a", "import numpy as np"), "skip"),
    (code("a", 'course.check("1.1", x)', "not answered"), "skip"),
    (code("a", "machine()", "2 cores", tags=frozenset({"hardware"})), "skip"),
]


@pytest.mark.parametrize(("cell", "kind"), LEFT_OUT, ids=lambda x: getattr(x, "text", x))
def test_what_is_on_no_slide(cell, kind):
    assert propose(cell) == {"a": kind}


def test_code_is_hidden_where_the_output_says_it():
    assert slide_cues.hides(picture("a"))
    assert slide_cues.hides(code("a", outputs=['<div class="output scroll"><table>']))
    assert not slide_cues.hides(code("a", output="4"))
    assert not slide_cues.hides(code("a"))


def test_a_cue_that_a_person_set_is_kept(tmp_path):
    path = tmp_path / "01_x.ipynb"
    made = [nbformat.v4.new_markdown_cell("a", id="a"), nbformat.v4.new_markdown_cell("b", id="b")]
    made[0].metadata["slideshow"] = {"slide_type": "skip"}
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    proposed = {"a": ("slide", False), "b": ("slide", False)}
    assert slide_cues.apply(path, proposed) == 1
    kept = [c.metadata.slideshow.slide_type for c in nbformat.read(path, as_version=4).cells]
    assert kept == ["skip", "slide"]
    assert slide_cues.apply(path, proposed, again=True) == 1


@pytest.mark.parametrize("book", notebooks.read(), ids=lambda book: book.stem)
def test_every_cell_of_a_notebook_has_its_place_in_the_slides(book):
    without = [c.id for c in book.node.cells if "slide_type" not in c.metadata.get("slideshow", {})]
    assert without == [], f"run tools/slide_cues.py notebooks/{book.stem}.ipynb"


def test_a_deck_is_cut_where_the_cells_say():
    made = [words("a", "## One"), code("b", output="1"), words("c", "> Box"), words("d", "Shh.")]
    for cell, kind in zip(made, ("slide", "fragment", "subslide", "notes"), strict=True):
        cell.slide = kind
    [[first, second]] = slides.columns([*made, cells.Cell("e", "code", "", slide="skip")])
    assert [(cell.id, late) for cell, late in first.cells] == [("a", False), ("b", True)]
    assert [cell.id for cell, _ in second.cells] == ["c"]
    assert [cell.id for cell in second.notes] == ["d"]
    assert (second.section, second.new_topic) == ("One", False)
