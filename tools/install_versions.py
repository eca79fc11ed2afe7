"""Make .venv/lowest or .venv/newest: `python tools/install_versions.py lowest`.

`lowest` has the oldest version of every package that pyproject.toml allows, `newest` the newest
that there is. What those need in turn is as new as it can be in both.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import install

ROOT = Path(install.ROOT)
FLOOR = re.compile(r"([\w.-]+)>=([\w.]+)")


def main(which):
    if which not in ("lowest", "newest"):
        sys.exit(f"say which versions to install: lowest or newest; got {which!r}")
    venv = ROOT / ".venv" / which
    python = venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pinned = venv / "constraints.txt"
    pinned.write_text("\n".join(constraints(which)) + "\n", encoding="utf-8")
    pip = [python, "-m", "pip", "install", "--quiet", "--upgrade", "--constraint", pinned]
    course = ["--upgrade-strategy", "eager", "--editable", f"{ROOT}[{install.EXTRAS['test']}]"]
    peers = ["--no-deps", "--target", venv / "peers", "torchao"]  # as tools/install.py has it
    for what in (course, peers):
        subprocess.run([*pip, *what], check=True)
    if not (ROOT / "tools" / "web" / "node_modules").exists():
        install.fetch_npm_packages(install.find_npm("test"))


def constraints(which):
    """Return the lines of a constraints file: the one PyTorch, and for `lowest` every floor.

    PyTorch is that of constraints.txt in both. On Linux the others come with CUDA, gigabytes that
    these tests have no use for, so its own floor is not tested here.
    """
    exact = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    torch = [line for line in exact if line.startswith("torch==")]
    return torch + [f"{name}=={floor}" for name, floor in floors() if which == "lowest"]


def floors():
    """Return the pairs (name, oldest version) of pyproject.toml, sorted, PyTorch left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    pairs = {FLOOR.match(line).groups() for lines in lists for line in lines}
    return sorted(pair for pair in pairs if pair[0] != "torch")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "")
    except subprocess.CalledProcessError as error:
        sys.exit(f"'{' '.join(map(str, error.cmd[:6]))}' failed; the lines above say why.")
