"""Notebooks are run once a session: every test about the results looks at the same run."""

import functools
import sys
from pathlib import Path

import nbformat
import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tools")]

import anatomy  # noqa: E402
import run_notebooks  # noqa: E402

PATHS = sorted(run_notebooks.NOTEBOOKS.glob("*.ipynb"))


@functools.cache
def committed(path):
    return nbformat.read(path, as_version=4)


@functools.cache
def executed(path):
    """Return (the run or the NotebookError it ended with, the states of its solutions by id)."""
    notebook = committed(path)
    solutions = anatomy.solution_cells(notebook)
    try:
        run = run_notebooks.execute(notebook, path.parent, solutions.values())
    except run_notebooks.NotebookError as error:
        return error, {}
    own = len(notebook.cells)
    states = dict(zip(solutions, map(anatomy.said, run.cells[own:]), strict=True))
    run.cells = run.cells[:own]
    return run, states


def pytest_generate_tests(metafunc):
    if "path" in metafunc.fixturenames:
        metafunc.parametrize("path", PATHS, ids=lambda path: path.stem)


@pytest.fixture
def notebook(path):
    return committed(path)


@pytest.fixture
def run(path, request):
    """The run of a notebook, unless JupyterLab's run of it in the same session answers the same."""
    if any(item.path.name == "test_every_notebook.py" for item in request.session.items):
        pytest.skip("asked of the run in JupyterLab")
    return executed(path)


@pytest.fixture(scope="session", autouse=True)
def _fonts():
    run_notebooks.warm_up()
