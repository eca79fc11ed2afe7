"""The README's table of models is the one that notebook 09 computed."""

import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tools"))

import readme_table  # noqa: E402


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(ROOT / "notebooks" / readme_table.NOTEBOOK, as_version=4)


def test_the_readme_has_the_table_of_notebook_09(notebook):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme_table.table_in(readme) == readme_table.table_of(notebook)


def test_an_old_number_is_written_anew_and_nothing_else(tmp_path, notebook):
    path = tmp_path / "README.md"
    table = readme_table.table_of(notebook)
    start, end = readme_table.START, readme_table.END
    path.write_text(f"before\n{start}\n{table.replace('16.00', '17.00')}\n{end}\nafter\n")
    assert readme_table.update(path, notebook)
    assert path.read_text() == f"before\n{start}\n{table}\n{end}\nafter\n"
    assert not readme_table.update(path, notebook)


@pytest.mark.parametrize("text", ["no table here", readme_table.START, readme_table.END])
def test_a_readme_without_the_marks_is_refused(text):
    with pytest.raises(ValueError, match="needs the marks"):
        readme_table.table_in(text)


def test_a_notebook_that_was_not_run_is_refused(notebook):
    bare = nbformat.from_dict({"cells": [{"id": readme_table.CELL, "outputs": []}]})
    with pytest.raises(ValueError, match="run it first"):
        readme_table.table_of(bare)
