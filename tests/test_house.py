"""The house: what the files around the package say agrees with the package, and with each other."""

import ast
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from quantlab.course import outline

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = (ROOT / "environment.yml").read_text(encoding="utf-8")
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def _requirements():
    return [*PROJECT["dependencies"], *chain(*PROJECT["optional-dependencies"].values())]


def _run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _name(requirement):
    return re.match(r"[A-Za-z0-9_.-]+", requirement)[0].lower().replace("_", "-")


def test_conda_asks_for_the_python_of_pyproject():
    assert f"- python{PROJECT['requires-python']}\n" in ENVIRONMENT


def test_conda_installs_the_package_with_all_its_extras_and_the_constraints():
    extras = re.search(r"--editable \.\[([a-z,]+)\]", ENVIRONMENT)[1].split(",")
    assert set(extras) == set(PROJECT["optional-dependencies"])
    assert "--constraint constraints.txt" in ENVIRONMENT


def test_the_installer_asks_for_the_python_of_pyproject():
    source = (ROOT / "tools" / "install.py").read_text(encoding="utf-8")
    oldest = re.search(r"OLDEST = \((\d+), (\d+)\)", source)
    assert PROJECT["requires-python"] == f">={oldest[1]}.{oldest[2]}"


def test_every_requirement_has_an_exact_version_in_the_constraints():
    pinned = {_name(line) for line in CONSTRAINTS}
    assert {_name(requirement) for requirement in _requirements()} <= pinned


def test_every_constraint_is_one_exact_version():
    assert [line for line in CONSTRAINTS if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_the_course_needs_the_packages_that_were_asked_for():
    asked = {"jupyterlab", "numpy", "matplotlib", "ipywidgets", "torch", "transformers"}
    assert asked | {"bitsandbytes"} <= {_name(requirement) for requirement in _requirements()}


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_ruff_is_clean_on_code_and_notebooks(command):
    result = _run(sys.executable, "-m", "ruff", *command, ".")
    assert result.returncode == 0, result.stdout + result.stderr


def test_make_alone_lists_every_command():
    commands = re.findall(r"^([a-z-]+):.*##", MAKEFILE, flags=re.MULTILINE)
    listed = re.findall(r"^  make ([a-z-]+)", _run("make").stdout, flags=re.MULTILINE)
    assert listed == commands
    assert {"lab", "test", "notebooks", "bench"} <= set(listed)


def test_the_readme_has_the_course_map_of_the_notebooks():
    assert outline.table(prefix="notebooks/") in README


def test_every_local_link_of_the_readme_leads_to_a_file():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_data_file_is_named_in_its_readme():
    text = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    files = [path for path in (ROOT / "data").rglob("*") if path.is_file()]
    folders = {path.relative_to(ROOT / "data").parts[0] for path in files} - {"README.md"}
    assert [name for name in folders if f"`{name}/" not in text] == []


def test_the_installer_stops_with_one_sentence_on_an_old_python(tmp_path):
    source = (ROOT / "tools" / "install.py").read_text(encoding="utf-8")
    script = tmp_path / "tools" / "install.py"
    script.parent.mkdir()
    script.write_text(source.replace("OLDEST = (3, 11)", "OLDEST = (9, 9)"), encoding="utf-8")
    result = _run(sys.executable, str(script), "lab")
    assert result.returncode == 1
    assert result.stderr.startswith("quantlab needs Python 9.9 or newer, and this is Python 3.")
    assert len(result.stderr.splitlines()) == 1


def test_the_installer_is_read_by_the_oldest_pythons():
    source = (ROOT / "tools" / "install.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))


def test_the_installer_says_which_step_failed(tmp_path):
    script = tmp_path / "tools" / "install.py"
    script.parent.mkdir()
    script.write_text((ROOT / "tools" / "install.py").read_text(encoding="utf-8"))
    (tmp_path / ".venv").write_text("a file where the folder should be")
    result = _run(sys.executable, str(script), "lab")
    assert result.returncode == 1
    assert "-m venv" in result.stderr.splitlines()[-1]
    assert "failed" in result.stderr.splitlines()[-1]
