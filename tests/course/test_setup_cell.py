"""The set-up cell: short, the address of pyproject.toml, one sentence when something is missing."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from quantlab.course import address, setup_cell

ROOT = Path(__file__).parents[2]
LEFT_ALONE = ("numpy", "torch", "ipywidgets", "matplotlib")


PUBLIC = "https://github.com/someone/quantlab"


NONE_YET = f"https://github.com/{address.NOBODY}/quantlab"


@pytest.fixture(params=[PUBLIC, NONE_YET], ids=["set", "unset"])
def repository(request, monkeypatch):
    monkeypatch.setattr(address, "repository", lambda: request.param)
    return request.param


def test_the_cell_is_at_most_16_lines_of_88_columns(repository):
    lines = setup_cell.cell_text().splitlines()
    assert len(lines) <= 16
    assert max(map(len, lines)) <= 88


def test_the_cell_installs_from_the_public_address_and_from_none_while_there_is_none(repository):
    text = setup_cell.cell_text()
    assert ("git+" in text) == (repository == PUBLIC) == (f"git+{PUBLIC}" in text)
    assert address.NOBODY not in text
    assert ("has no public address yet" in text) == (repository != PUBLIC)


@pytest.mark.parametrize("place", ["", "drive/MyDrive/", "drive/MyDrive/Colab Notebooks/"])
def test_on_colab_a_copy_of_the_course_is_the_first_choice(tmp_path, place, repository):
    (tmp_path / place / "quantlab-main" / "quantlab" / "course").mkdir(parents=True)
    assert _asked_of_pip(tmp_path) == f"'{tmp_path}/{place}quantlab-main/quantlab/course/../..'"


def test_on_colab_without_a_copy_the_address_is_taken_if_there_is_one(tmp_path, repository):
    assert _asked_of_pip(tmp_path) == (f"git+{PUBLIC}" if repository == PUBLIC else "")


def _asked_of_pip(content):
    """Run the part of the cell that is for Colab; return the source that pip is handed."""
    text = setup_cell.cell_text().replace("/content", str(content)).split("try:")[0]
    text = text.replace("!pip", "pass  # pip")
    names = {}
    exec(text.replace('if "google.colab" in sys.modules', "if True"), names)
    return names["source"]


def test_every_install_on_colab_leaves_what_is_there_alone():
    installs = [line for line in setup_cell.cell_text().splitlines() if "pip install" in line]
    assert installs
    assert all("--no-deps" in line for line in installs)
    assert not any(name in line for line in installs for name in LEFT_ALONE)


def _off_colab():
    """The cell as plain Python: IPython's two lines for Colab become nothing."""
    text = setup_cell.cell_text().replace("!pip", "pass  # pip")
    ast.parse(text)
    return text


def _run(before):
    return subprocess.run(
        [sys.executable, "-c", f"{before}\n{_off_colab()}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


def test_it_says_what_it_found_in_one_or_two_lines():
    done = _run("")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Ready: quantlab ")
    assert len(done.stdout.splitlines()) <= 2


def test_without_quantlab_it_says_in_one_sentence_what_to_do():
    done = _run("import sys; sys.modules['quantlab'] = None")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "run `make lab` in the course's folder" in done.stderr


@pytest.mark.parametrize("folder", ["quantlab", "quantlab/course", "quantlab/course/__pycache__"])
def test_a_mere_folder_of_that_name_does_not_pass_for_the_course(folder, tmp_path):
    """Python imports a folder without files as a package: what is left where the course was."""
    (tmp_path / folder).mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys\nsys.path.append('')\n{_off_colab()}"],
        capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "quantlab" in done.stderr
    assert done.stderr.endswith(": run `make lab` in the course's folder\n")


@pytest.mark.parametrize("name", ["matplotlib", "ipywidgets", "anywidget"])
def test_a_missing_package_is_named_with_what_to_do(name, monkeypatch):
    monkeypatch.setattr(setup_cell, "_is_here", lambda package: package != name)
    with pytest.raises(setup_cell.SetupError, match=rf"^{name} is missing: run `pip install"):
        setup_cell.setup()


def test_a_notebook_shows_the_sentence_without_a_traceback():
    shown = setup_cell.SetupError("numpy is missing: do this")._render_traceback_()
    assert shown == ["Set-up stopped: numpy is missing: do this"]


def test_packages_for_models_may_be_absent_and_are_named(monkeypatch, capsys):
    monkeypatch.setattr(setup_cell, "_is_here", lambda package: package != "bitsandbytes")
    setup_cell.setup()
    assert "needed for whole models: bitsandbytes. To add: run" in capsys.readouterr().out


def test_quantlab_course_imports_without_matplotlib_or_widgets():
    code = (
        "import sys; sys.modules.update(matplotlib=None, ipywidgets=None, anywidget=None)\n"
        "from quantlab import course, show"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_links_open_the_very_notebook():
    home = address.repository().removeprefix("https://github.com/")
    assert address.colab("04_x.ipynb") == (
        f"https://colab.research.google.com/github/{home}/blob/main/notebooks/04_x.ipynb"
    )
    assert address.binder("04_x.ipynb") == (
        f"https://mybinder.org/v2/gh/{home}/main?labpath=notebooks/04_x.ipynb"
    )


def test_the_hub_link_is_filled_in_as_nbgitpuller_reads_it():
    """Its page takes these three; the path starts with the folder that a clone makes."""
    asked = parse_qs(urlsplit(address.nbgitpuller("04_x.ipynb")).query)
    assert asked == {
        "repo": [address.repository()],
        "branch": ["main"],
        "urlpath": ["lab/tree/quantlab/notebooks/04_x.ipynb"],
    }


def test_an_installed_package_knows_the_address_from_its_metadata(monkeypatch, tmp_path):
    class Metadata:
        def get_all(self, key):
            return ["Repository, https://github.com/a/b"]

    monkeypatch.setattr(address, "_PYPROJECT", tmp_path / "none.toml")
    monkeypatch.setattr(address.metadata, "metadata", lambda name: Metadata())
    assert address.repository() == "https://github.com/a/b"
