"""tools/run_notebooks.py: what it writes, what it refuses, and that a failure changes no file."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import run_notebooks
from nbformat.v4 import new_code_cell, new_output

TOOL = Path(run_notebooks.__file__)


def notebook(*sources):
    return nbformat.v4.new_notebook(cells=[new_code_cell(source) for source in sources])


def write(path, *sources):
    nbformat.write(notebook(*sources), path)
    return path


def outputs(path):
    return [cell.outputs for cell in nbformat.read(path, as_version=4).cells]


def test_a_second_run_changes_no_byte(tmp_path):
    widget = "import ipywidgets\nfrom quantlab import show\nshow.Explorer({}, lambda: 'face', 'x')"
    path = write(tmp_path / "00_a.ipynb", "print(1)\nprint(2)", widget, "2 + 2")
    assert run_notebooks.main([str(path)]) == 0
    first = path.read_bytes()
    assert run_notebooks.main([str(path)]) == 0
    assert path.read_bytes() == first
    assert b"widget-view" not in first
    assert run_notebooks.main(["--check", str(path)]) == 0


TROUBLE = {
    "1 / 0": "ZeroDivisionError: division by zero",
    "import warnings; warnings.warn('careful')": "UserWarning: careful",
    "import sys; print('psst', file=sys.stderr)": "writes to stderr: psst",
    "import os; os._exit(3)": "DeadKernelError",
}


@pytest.mark.parametrize("source", TROUBLE)
def test_trouble_is_named_with_its_cell_and_the_file_stays(source, tmp_path, capsys):
    path = write(tmp_path / "00_a.ipynb", "1", source)
    before = path.read_bytes()
    assert run_notebooks.main([str(path)]) == 1
    assert path.read_bytes() == before
    shown = capsys.readouterr().out
    assert "00_a.ipynb" in shown
    assert TROUBLE[source] in shown
    assert list(tmp_path.iterdir()) == [path]


def test_check_names_the_cell_that_differs_and_writes_nothing(tmp_path, capsys):
    path = write(tmp_path / "00_a.ipynb", "print(1)")
    before = path.read_bytes()
    id = nbformat.read(path, as_version=4).cells[0].id
    assert run_notebooks.main(["--check", str(path)]) == 1
    assert f"committed outputs differ in: {id}" in capsys.readouterr().out
    assert path.read_bytes() == before


def test_a_notebook_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit):
        run_notebooks.main(["gone.ipynb"])
    assert "no such notebook: gone.ipynb" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_leaves_the_file_as_it_was(tmp_path):
    started = tmp_path / "started"
    sleep = f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(60)"
    path = write(tmp_path / "00_a.ipynb", sleep)
    before = path.read_bytes()
    run = subprocess.Popen([sys.executable, TOOL, path], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert said.strip() == "Stopped. The notebook that was running is as it was before."
    assert path.read_bytes() == before


def test_an_interrupted_write_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    path = tmp_path / "a.ipynb"
    path.write_text("old")
    monkeypatch.setattr(run_notebooks.os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_notebooks.replace_file(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_keeps_its_mode(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text("old")
    path.chmod(0o640)
    run_notebooks.replace_file(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)


def test_cells_after_the_notebook_come_back_whatever_they_say():
    run = run_notebooks.execute(notebook("x = 3"), Path.cwd(), ["print(x)", "1 / 0"])
    assert run.cells[1].outputs[0].text == "3\n"
    assert run_notebooks.problem(run.cells[2]) == "ZeroDivisionError: division by zero"


def test_the_kernel_is_this_python_with_one_thread():
    source = "import os, sys\nprint(sys.executable, os.environ['OMP_NUM_THREADS'])"
    run = run_notebooks.execute(notebook(source), Path.cwd())
    assert run.cells[0].outputs[0].text == f"{sys.executable} 1\n"


def spoiled():
    book = notebook("1")
    book.metadata = {"widgets": {"state": {}}, "language_info": {"version": "3.13.1"}, "x": 1}
    book.cells[0].metadata = {
        "tags": ["timing"],
        "slideshow": {"slide_type": "slide"},
        "execution": {"iopub.execute_input": "now"},
        "scrolled": True,
    }
    return book


def test_normalise_keeps_tags_and_slides_and_drops_the_rest():
    clean = run_notebooks.normalise(spoiled())
    assert clean.metadata == run_notebooks.METADATA
    assert clean.cells[0].metadata == {
        "tags": ["timing"],
        "slideshow": {"slide_type": "slide"},
    }


def test_normalise_leaves_what_it_is_given_alone():
    book = spoiled()
    run_notebooks.normalise(book)
    assert book == spoiled() | {"cells": book.cells}
    assert "scrolled" in book.cells[0].metadata


def test_pieces_of_one_stream_are_joined():
    book = notebook("x")
    book.cells[0].outputs = [new_output("stream", name="stdout", text=t) for t in "ab"]
    assert [o.text for o in run_notebooks.normalise(book).cells[0].outputs] == ["ab"]


def test_a_widget_without_a_still_keeps_its_view_for_the_guard_to_find():
    book = notebook("x")
    view = {run_notebooks.WIDGET_VIEW: {"model_id": "1"}, "text/plain": "IntSlider()"}
    book.cells[0].outputs = [new_output("display_data", data=view)]
    assert run_notebooks.WIDGET_VIEW in run_notebooks.normalise(book).cells[0].outputs[0].data


@pytest.mark.parametrize(("tag", "found"), [("timing", 0), ("hardware", 0), ("slow", 1)])
def test_only_cells_tagged_timing_or_hardware_may_differ(tag, found):
    old, new = notebook("x"), notebook("x")
    new.cells[0].id = old.cells[0].id
    for book, text in ((old, "1 s"), (new, "2 s")):
        book.cells[0].metadata.tags = [tag]
        book.cells[0].outputs = [new_output("stream", name="stdout", text=text)]
    assert len(run_notebooks.differences(old, new)) == found
