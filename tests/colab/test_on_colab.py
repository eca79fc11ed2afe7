"""Each notebook as a reader opens it on Colab: one file, Colab's packages, nothing else.

Each notebook runs in an empty folder, in a kernel where `google.colab` is loaded, so that its
set-up cell takes the way it takes on Colab. What a notebook installs is installed once, beforehand,
with its own commands; in the kernel a stand-in for pip writes down what it is asked for.
"""

import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tools")]

import compare_outputs  # noqa: E402
import run_notebooks  # noqa: E402

PATHS = sorted(run_notebooks.NOTEBOOKS.glob("*.ipynb"))


def _installs(path):
    """What a notebook asks pip for on Colab: its set-up cell, and where it needs more, another."""
    cells = nbformat.read(path, as_version=4).cells
    lines = [line.strip() for c in cells if c.cell_type == "code" for line in c.source.splitlines()]
    return [line[1:] for line in lines if line.startswith("!")]


INSTALLS = {path: _installs(path) for path in PATHS}
LEFT_ALONE = {"numpy", "torch", "ipywidgets", "matplotlib", "transformers", "ipython", "anywidget"}

# Colab's kernel has these modules loaded; accelerate and anywidget look for them.
COLAB = {
    "google/__init__.py": "",
    "google/colab/__init__.py": "",
    "google/colab/output.py": "def enable_custom_widget_manager():\n    pass\n",
    "sitecustomize.py": "import google.colab.output\n",
    "pip": '#!/bin/sh\necho pip "$@" >> pip.log\n',
}


def _freeze():
    done = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--format=json"],
        capture_output=True,
        check=True,
        text=True,
    )
    return {one["name"].lower(): one["version"] for one in json.loads(done.stdout)}


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """Run the notebooks' installs, from this folder; return the versions before and after."""
    environment = os.environ | {"PIP_CONSTRAINT": str(ROOT / "constraints-colab.txt")}
    before = _freeze()
    for line in dict.fromkeys(line for lines in INSTALLS.values() for line in lines):
        words = shlex.split(line.replace("{source}", str(ROOT)))
        assert words[:2] == ["pip", "install"]
        command = [sys.executable, "-m", *words]
        elsewhere = tmp_path_factory.getbasetemp()
        done = subprocess.run(
            command, env=environment, cwd=elsewhere, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return before, _freeze()


@pytest.fixture(scope="session")
def runs(request, installed, tmp_path_factory):
    """{path: (the folder it ran in, the future of its run)}, one notebook to a core."""
    asked = {getattr(item, "callspec", None) and item.callspec.id for item in request.session.items}
    paths = [path for path in PATHS if path.stem in asked]
    place = tmp_path_factory.mktemp("colab")
    for name, text in COLAB.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    (place / "pip").chmod(0o755)
    run_notebooks.warm_up()
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(os.cpu_count()) as pool:
        patch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("PYTHONPATH", str(place))
        folders = {path: place / path.stem for path in paths}
        for folder in folders.values():
            folder.mkdir()
        longest_first = reversed(paths)  # as they are, the later ones have more to compute
        yield {p: (folders[p], pool.submit(_run, p, folders[p])) for p in longest_first}


def _run(path, folder):
    moves = (HERE / "moves.py").read_text(encoding="utf-8")
    (folder / "content").mkdir()
    (folder / "content" / "quantlab").symlink_to(ROOT)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if "course.setup(" in cell.source:
            cell.source = cell.source.replace("/content", f"{folder}/content")
    return run_notebooks.execute(notebook, folder, [moves])


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def run(path, runs):
    """The notebook as it came out, the moves in its last cell; a run that failed fails the test."""
    trouble = runs[path][1].exception()
    if trouble is not None:
        pytest.fail(f"{type(trouble).__name__}: {trouble}", pytrace=False)
    return runs[path][1].result()


def test_the_installs_add_five_packages_and_change_no_other(installed):
    before, after = installed
    added = {"bitsandbytes", "quantlab", "gguf", "xllamacpp", "peft"}
    assert {n: v for n, v in after.items() if n not in added} == {
        n: v for n, v in before.items() if n not in added
    }
    assert added <= set(after)
    assert set(before) >= LEFT_ALONE


def test_the_notebook_runs_without_error_or_warning(run):
    assert len(run.cells) > 1


def test_it_asked_pip_for_what_colab_lacks(path, runs, run):
    folder = runs[path][0]
    copy = f"{folder}/content/quantlab/quantlab/course/../.."
    log = (folder / "pip.log").read_text(encoding="utf-8").splitlines()
    assert log == [line.replace("{source}", copy) for line in INSTALLS[path]]


# With other versions of the libraries, what depends on the processor's sums is not compared.
MAY_DIFFER = {*compare_outputs.NOT_COMPARED, compare_outputs.WITHIN_TOLERANCE}


def test_its_numbers_are_the_committed_ones(path, run):
    """Whatever is printed, and the alt text of each figure, cell by cell."""
    committed = nbformat.read(path, as_version=4)
    fresh = run_notebooks.normalise(run)
    differ = [
        (before.id, _words(before), _words(after))
        for before, after in zip(committed.cells, fresh.cells[:-1], strict=True)
        if before.cell_type == "code"
        and "course.setup(" not in before.source
        and not compare_outputs.tags(before) & MAY_DIFFER
        and _words(before) != _words(after)
    ]
    assert differ == []


def _words(cell):
    return [o.get("text") or o.get("data", {}).get("text/plain") for o in cell.outputs]


def test_its_explorers_come_as_widgets_alone_and_answer_every_move(run):
    *cells, moves = run.cells
    assert run_notebooks.problem(moves) is None
    # A stream may arrive in pieces, the last of them a line end.
    found = json.loads("".join(output.get("text", "") for output in moves.outputs))
    assert found["alerts"] == []
    shown = [o.data for c in cells for o in c.get("outputs", ()) if "data" in o]
    explorers = [data for data in shown if "xplorer" in data.get("text/plain", "")[:12]]
    for data in explorers:
        assert set(data) == {"text/plain", run_notebooks.WIDGET_VIEW}
    if explorers:
        assert found["kinds"] and found["answers"]
