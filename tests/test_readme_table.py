"""The README's table of models is the one that notebook 09 computed."""

from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
START, END = "<!-- table of 09 -->", "<!-- end -->"


def committed_table():
    """Return the table in the committed output of notebook 09, as Markdown."""
    notebook = nbformat.read(ROOT / "notebooks" / "09_a_whole_model.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if cell.id == "results-table")
    return cell.outputs[0].data["text/markdown"].strip()


def readme_table(readme):
    """Return what stands between the two marks. Raises ValueError if one is missing."""
    _, start, rest = readme.partition(START)
    table, end, _ = rest.partition(END)
    if not start or not end:
        raise ValueError(f"README.md needs the marks {START} and {END}")
    return table.strip()


def test_the_readme_has_the_table_of_notebook_09():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme_table(readme) == committed_table()


def test_a_changed_number_is_seen():
    table = committed_table()
    other = table.replace("16.00", "17.00")
    assert readme_table(f"text\n{START}\n{other}\n{END}\nmore") != table


def test_a_readme_without_the_marks_is_refused():
    with pytest.raises(ValueError, match="needs the marks"):
        readme_table("no table here")
