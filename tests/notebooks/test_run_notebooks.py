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
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

TOOL = Path(run_notebooks.__file__)


def notebook(*sources):
    return nbformat.v4.new_notebook(cells=[new_code_cell(source) for source in sources])


def write(path, *sources):
    nbformat.write(notebook(*sources), path)
    return path


def outputs(path):
    return [cell.outputs for cell in nbformat.read(path, as_version=4).cells]


def test_a_second_run_changes_no_byte(tmp_path):
    widget = (
        "import ipywidgets\nfrom quantlab import show\nshow.Explorer({}, lambda: 'render', 'x')"
    )
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
    assert f"committed outputs differ in:\n    {id}: another" in capsys.readouterr().out
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
    deadline = time.monotonic() + 240
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


@pytest.mark.skipif(sys.platform == "win32", reason="a limit plays the full disk")
def test_a_full_disk_is_said_and_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch, capsys):
    import resource

    path = write(tmp_path / "00_a.ipynb", "1")
    before, limit = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(run_notebooks, "execute", lambda book, folder, kernels: book)
    monkeypatch.setattr(run_notebooks, "text", lambda book: "x" * 9000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, limit[1]))
    try:
        assert run_notebooks.main([str(path)]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "FAILED\n    00_a.ipynb, [Errno 27] File too large" in capsys.readouterr().out
    assert path.read_bytes() == before
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


@pytest.mark.parametrize(("kernels", "says"), [("avx2", "AVX2"), ("oldest", "DEFAULT")])
def test_the_kernels_of_another_processor_are_computed_with(kernels, says):
    source = "import torch\nprint(torch.backends.cpu.get_cpu_capability())"
    run = run_notebooks.execute(notebook(source), Path.cwd(), kernels=kernels)
    assert run.cells[0].outputs[0].text == f"{says}\n"


def test_outputs_of_another_processor_are_not_written(capsys, tmp_path):
    path = tmp_path / "a.ipynb"
    with pytest.raises(SystemExit):
        run_notebooks.main(["--kernels", "oldest", str(path)])
    assert "--kernels needs --check" in capsys.readouterr().err


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


def differ(tag, old, new, **metadata):
    """What `differences` says of one cell that printed `old` and then `new`."""
    books = [notebook("x"), notebook("x")]
    books[1].cells[0].id = books[0].cells[0].id
    for book, said in zip(books, (old, new), strict=True):
        book.cells[0].metadata = nbformat.from_dict({"tags": [tag], **metadata})
        book.cells[0].outputs = [new_output("stream", name="stdout", text=said)]
    return run_notebooks.differences(*books)


@pytest.mark.parametrize(("tag", "found"), [("timing", 0), ("machine", 0), ("slow", 1)])
def test_only_cells_tagged_timing_or_machine_are_not_compared(tag, found):
    assert len(differ(tag, "1 s", "2 s")) == found


@pytest.mark.parametrize(
    ("old", "new", "tolerance", "says"),
    [
        ("255 facts", "256 facts", {"absolute": 2}, None),
        ("255 facts", "258 facts", {"absolute": 2}, "255 is now 258"),
        ("255 facts", "256 facts", {}, "255 is now 256"),
        ("perplexity 30.66", "perplexity 30.67", {}, None),  # one in the last place
        ("perplexity 30.66", "perplexity 30.90", {"relative": 0.01}, None),
        ("perplexity 30.66", "perplexity 31.00", {"relative": 0.01}, "30.66 is now 31.00"),
        ("3,147 and −5", "3,150 and −5", {"relative": 0.01}, None),
        ("−5.0", "5.0", {"relative": 0.01}, "−5.0 is now 5.0"),
        ("31.44 (+0.00)", "31.44 (-0.01)", {"absolute": 0.05}, None),
        ("31.44 (+0.20)", "31.44 (-0.20)", {"absolute": 0.05}, "+0.20 is now -0.20"),
        ("1.5e-07", "1.6e-07", {}, None),
        ("1.5e-07", "1.5e-06", {}, "1.5e-07 is now 1.5e-06"),
        ("30.66, 255 facts", "30.67, 257 facts", {"whole": 2}, None),
        ("30.66, 255 facts", "30.69, 255 facts", {"whole": 2}, "30.66 is now 30.69"),
        ("a king had 3 sons", "a king had no sons", {"words": 0.4}, None),
        ("a king had 3 sons", "the queen was ill", {"words": 0.4}, "other words"),
        ("GPTQ first", "NF4 first", {"relative": 9}, "other words"),
        ("1 2", "1 2 3", {"relative": 9}, "other words"),
        ("nan", "1", {"relative": 9}, "other words"),
        ("<repr at 0x7f3a5c001122>", "<repr at 0x7f3a5c99aabb>", {}, None),
    ],
)
def test_a_hardware_cell_is_compared_number_by_number(old, new, tolerance, says):
    found = differ("hardware", old, new, tolerance=tolerance)
    assert (not found) if says is None else (len(found) == 1 and says in found[0])


def pictured(alt, png, tag="hardware"):
    book = notebook("x")
    book.cells[0].id = "x"
    book.cells[0].metadata = nbformat.from_dict({"tags": [tag]})
    data = {"image/png": png, "text/html": f"<b>7</b><img alt='{alt}' src='{png}'>"}
    about = {"image/png": {"alt": alt, "width": 600}}
    book.cells[0].outputs = [new_output("display_data", data=data, metadata=about)]
    return book


def test_a_picture_of_a_hardware_cell_counts_by_its_alt_text():
    same = run_notebooks.differences(pictured("it is 3", "AAAA"), pictured("it is 3", "BBBB"))
    other = run_notebooks.differences(pictured("it is 3", "AAAA"), pictured("it is 4", "AAAA"))
    assert same == [] and "3 is now 4" in other[0]


def test_the_bytes_of_a_picture_are_asked_for_with_the_same_libraries_alone():
    one, two = pictured("it is 3", "AAAA", "slow"), pictured("it is 3", "BBBB", "slow")
    assert run_notebooks.differences(one, two) == ["x: another output, in the same words"]
    assert run_notebooks.differences(one, two, same_libraries=False) == []
    other = pictured("it is 4", "AAAA", "slow")
    [said] = run_notebooks.differences(one, other, same_libraries=False)
    assert said.startswith("x: another output: ") and "it is 4" in said


def test_normalise_folds_what_answers_a_prediction_and_nothing_else():
    book = notebook("1", "2", "3")
    book.cells[2].metadata = {"collapsed": True, "jupyter": {"outputs_hidden": True}}
    book.cells.insert(1, new_markdown_cell("**Predict.** What comes?"))
    clean = run_notebooks.normalise(book)
    folded = [cell.metadata.get("collapsed", False) for cell in clean.cells]
    assert folded == [False, False, True, True]
    assert clean.cells[2].metadata.jupyter == {"outputs_hidden": True}
    book.cells.insert(3, new_markdown_cell("So it is 2."))
    assert run_notebooks.normalise(book).cells[4].metadata == {}
