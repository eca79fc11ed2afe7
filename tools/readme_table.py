"""Write the README's table of models from notebook 09's output, the one place where it is made."""

from pathlib import Path

from whole import replace_file

START, END = "<!-- table of 09 -->", "<!-- end -->"
NOTEBOOK, CELL = "09_a_whole_model.ipynb", "results-table"


def table_of(notebook):
    """Return the table in the outputs of notebook 09, as Markdown.

    notebook: a NotebookNode. Raises ValueError if its cell or the cell's output is missing.
    """
    for cell in notebook.cells:
        if cell.id == CELL and cell.outputs:
            return cell.outputs[0].data["text/markdown"].strip()
    raise ValueError(f"{NOTEBOOK} has no output in its cell {CELL!r}: run it first")


def table_in(readme):
    """Return what stands between the marks of a README's text, without blank lines around it."""
    return _parts(readme)[1].strip()


def update(path, notebook):
    """Write the table of `notebook` into the README at `path`; return whether anything changed."""
    path = Path(path)
    readme = path.read_text(encoding="utf-8")
    before, _, after = _parts(readme)
    new = f"{before}{START}\n{table_of(notebook)}\n{END}{after}"
    if new != readme:
        replace_file(path, new)
    return new != readme


def _parts(readme):
    before, start, rest = readme.partition(START)
    table, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"the README needs the marks {START} and {END}")
    return before, table, after
