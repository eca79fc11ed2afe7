"""The course map: one entry per notebook, in order, in the notebooks' own words."""

import json

import pytest

from quantlab.course import address, outline


def _write(folder, name, first_cell):
    notebook = {"cells": [{"cell_type": "markdown", "source": first_cell.splitlines(True)}]}
    (folder / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


def test_the_articles_notebooks_are_numbered_from_0_and_later_ones_follow():
    numbers = [entry.number for entry in outline.entries()]
    assert numbers[:11] == list(range(11)) and numbers == sorted(set(numbers))


def test_every_notebook_in_the_folder_is_on_the_map():
    here = {path.stem for path in outline.FOLDER.glob("*.ipynb")}
    assert here == {entry.name for entry in outline.entries() if entry.here}


def test_a_notebook_that_is_there_speaks_for_itself(tmp_path):
    _write(tmp_path, "06_gptq", "# 6 · Ours\n\n**Does it\nwork?**\n\nMore text. Really?")
    entry = outline.entries(tmp_path)[6]
    assert (entry.title, entry.question, entry.here) == ("Ours", "Does it work?", True)


def test_only_notebooks_that_are_there_are_links(tmp_path):
    _write(tmp_path, "06_gptq", "# 6 · Ours\n\nDoes it work?")
    rows = outline.table(tmp_path, prefix="notebooks/").splitlines()
    assert rows[2 + 6] == "| 6 | [Ours](notebooks/06_gptq.ipynb) | Does it work? |"
    assert [row for row in rows if "](" in row] == [rows[2 + 6]]


def test_every_entry_asks_a_question():
    assert all(entry.question.endswith("?") for entry in outline.entries())


@pytest.mark.parametrize("text", ["# Untitled\n\nWhy?", "# 3 · Title\n\nNo question."])
def test_a_first_cell_without_title_or_question_is_refused(text):
    with pytest.raises(ValueError, match="needs '# 4 · Title' and a question"):
        outline.header({"cells": [{"source": text}]})


def test_the_map_can_be_read_without_markdown():
    lines = repr(outline.CourseMap()).splitlines()
    assert len(lines) == len(outline.entries())
    assert lines[10].startswith("10  ")


def test_without_the_folder_the_map_says_the_same(monkeypatch, tmp_path):
    """A package on Colab has no notebooks beside it."""
    at_home = [entry for entry in outline.entries() if entry.here]
    monkeypatch.setattr(outline, "FOLDER", tmp_path / "none")
    away = {entry.name: entry for entry in outline.entries()}
    for entry in at_home:
        assert (away[entry.name].title, away[entry.name].question) == (entry.title, entry.question)


def test_without_the_folder_every_link_opens_colab(monkeypatch, tmp_path):
    monkeypatch.setattr(outline, "FOLDER", tmp_path / "none")
    rows = outline.CourseMap()._repr_markdown_().splitlines()[2:]
    for row, entry in zip(rows, outline.entries(), strict=True):
        assert f"]({address.colab(entry.name + '.ipynb')})" in row
