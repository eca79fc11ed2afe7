"""The house: what the files around the package say agrees with the package, and with each other."""

import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from quantlab.course import outline

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools")]

import install_colab  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = (ROOT / "environment.yml").read_text(encoding="utf-8")
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
COLAB = dict(
    line.split("==")
    for line in (ROOT / "constraints-colab.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def _requirements():
    return [*PROJECT["dependencies"], *chain(*PROJECT["optional-dependencies"].values())]


def _run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _name(requirement):
    return re.match(r"[A-Za-z0-9_.-]+", requirement)[0].lower().replace("_", "-")


def test_conda_asks_for_the_oldest_python_of_pyproject():
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert f"- python={oldest}\n" in ENVIRONMENT


def test_binder_finds_the_python_and_waits_for_the_repository():
    """The rules of repo2docker, as its conda build pack has them: only "python=" names a Python for
    which it has an environment ready; a pip line that names a local file makes it copy the
    repository first, and paths are taken from its root, where this file lies.
    """
    lines = [line.strip().removeprefix("- ") for line in ENVIRONMENT.splitlines()]
    assert any(re.match(r"python\s*=+\s*3\.\d+$", line) for line in lines)
    assert any(line.startswith(("--constraint", "-c ")) for line in lines)
    named = re.search(r"--constraint (\S+)", ENVIRONMENT)[1]
    assert (ROOT / named).is_file() and (ROOT / "pyproject.toml").is_file()
    others = ("binder", ".binder", "Dockerfile", "Pipfile", "runtime.txt")  # would go first
    assert [name for name in others if (ROOT / name).exists()] == []


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


def test_every_constraint_for_colab_is_one_exact_version():
    assert [name for name, version in COLAB.items() if not re.fullmatch(r"[\w.]+", version)] == []


def test_what_colab_has_is_enough_for_the_package():
    """All but JupyterLab, which Colab stands in for, and what only saving whole numbers needs."""
    extras = PROJECT["optional-dependencies"]
    needed = [*PROJECT["dependencies"], *extras["lab"], *extras["lm"]]
    pinned = {_name(name): version for name, version in COLAB.items()}
    for requirement in map(Requirement, needed):
        if requirement.name not in ("jupyterlab", "compressed-tensors"):
            assert requirement.specifier.contains(pinned[_name(requirement.name)])


def test_both_environments_share_one_pytorch():
    assert f"torch=={COLAB['torch']}" in CONSTRAINTS


def test_the_stand_in_for_colab_gets_all_that_the_notebooks_need_but_bitsandbytes():
    extras = PROJECT["optional-dependencies"]
    needed = {_name(r) for r in (*PROJECT["dependencies"], *extras["lab"], *extras["lm"])}
    assert set(install_colab.COLAB) == needed - {"jupyterlab", "bitsandbytes", "compressed-tensors"}


def test_ci_runs_both_test_commands():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^make ([a-z-]+)", ci, re.MULTILINE) == ["test", "test-colab"]


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


def test_the_picture_of_the_readme_is_small_and_wide_enough_to_read():
    picture = ROOT / "docs" / "explorer.png"
    assert f"]({picture.relative_to(ROOT)})" in README
    assert picture.stat().st_size < 200_000
    width = int.from_bytes(picture.read_bytes()[16:20], "big")  # of a PNG, from its header
    assert width >= 2 * 800  # twice the column of a README


def test_every_data_file_is_named_in_its_readme():
    text = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    files = [path for path in (ROOT / "data").rglob("*") if path.is_file()]
    folders = {path.relative_to(ROOT / "data").parts[0] for path in files} - {"README.md"}
    assert [name for name in folders if f"`{name}/" not in text] == []
