"""`make` sets up what it needs: also in a .venv that is half made, damaged or moved, one at a time.

pip and npm are played here: what they would fetch takes minutes. The environments are real ones.
"""

import ast
import contextlib
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "tools"
sys.path[:0] = [str(TOOLS)]

import environment  # noqa: E402
import install  # noqa: E402
import install_colab  # noqa: E402
import mending  # noqa: E402

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
STARTED = sorted(set(re.findall(r"\$\(PYTHON\) tools/(\w+\.py)", MAKEFILE)))
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="as it is on Linux and macOS")
SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
WITHOUT_PIP = [sys.executable, "-m", "venv", "--without-pip"]


def register(site, name, **files):
    """Install a package as pip does: its files, what they are, and that list last."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    rows = []
    for file, text in files.items():
        path = site / name / f"{file}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        rows.append(f"{path.relative_to(site)},sha256=,{len(text)}\n")
    (info / "RECORD").write_text("".join([*rows, f"{info.name}/RECORD,,\n"]))
    return info


class Course:
    """A folder of the course in which each step is noted, and played."""

    def __init__(self, root):
        self.root, self.venv, self.steps = root, root / ".venv", []
        self.site = self.venv / SITE
        self.fails = ""

    def step(self, title, command):
        self.steps.append(title.split()[0])
        if title.split()[0] == self.fails:
            raise SystemExit("it failed")
        if "venv" in command:
            assert subprocess.run([*WITHOUT_PIP, command[-1]], check=False).returncode == 0
            if "--without-pip" not in command:
                register(self.site, "pip", main="0")
        elif "--editable" in command:
            self.known = sorted(path.name for path in self.site.glob("*.dist-info"))
            register(self.site, "numpy", core="x = 1", fft="y = 2")
            info = register(self.site, "quantlab")
            held = {"dir_info": {"editable": True}, "url": self.root.as_uri()}
            (info / "direct_url.json").write_text(json.dumps(held))
            (self.site / "_editable_impl_quantlab.pth").write_text(str(self.root))
            self.script().write_text(f"#!{self.venv}/bin/python\nimport sys; print(sys.prefix)\n")
            self.script().chmod(0o755)

    def script(self):
        return self.venv / "bin" / "jupyter"

    def make(self, what="lab"):
        """Return the steps that it takes to have what is asked for."""
        self.steps.clear()
        install.main(what)
        return list(self.steps)


@pytest.fixture
def at(monkeypatch):
    """Give the installer another folder of the course; return what it does there."""

    def place(root):
        course = Course(root)
        files = [root / "pyproject.toml", root / "constraints.txt"]
        for name, value in {
            "ROOT": str(root), "VENV": str(course.venv), "CONSTRAINTS": str(files[1]),
            "PACKAGES": str(root / "web"), "FILES": [str(path) for path in files],
        }.items():  # fmt: skip
            monkeypatch.setattr(install, name, value)
        monkeypatch.setattr(mending, "step", course.step)
        monkeypatch.setattr(install.signal, "signal", lambda *_: None)
        return course

    return place


@pytest.fixture
def course(at, tmp_path):
    root = tmp_path / "course"
    root.mkdir()
    for name in ("pyproject.toml", "constraints.txt"):
        (root / name).write_text(name)
    return at(root)


# Half made, damaged


@POSIX
def test_what_is_installed_is_installed_once_and_another_version_anew(course):
    assert course.make() == ["Making", "Installing"]
    assert course.make() == []
    (course.root / "constraints.txt").write_text("numpy==2")
    assert course.make() == ["Installing"]


@POSIX
def test_what_is_ready_is_so_for_a_reader_who_may_not_write(course):
    course.make()
    Path(install.VENV + ".lock").unlink()
    assert course.make() == []
    assert not Path(install.VENV + ".lock").exists()


BROKEN = {
    "venv was killed before pip": lambda c: shutil.rmtree(c.site),
    "pip was cut off": lambda c: (c.site / "pip-1.0.dist-info" / "RECORD").unlink(),
    "a file of pip is gone": lambda c: (c.site / "pip" / "main.py").unlink(),
    "its Python is gone": lambda c: (c.venv / "bin" / "python").unlink(),
    "pyvenv.cfg is gone": lambda c: (c.venv / "pyvenv.cfg").unlink(),
    "another version of Python": lambda c: c.site.parent.rename(c.site.parents[1] / "python3.10"),
}


@POSIX
@pytest.mark.parametrize("trouble", BROKEN)
def test_a_broken_environment_is_made_anew_in_words(trouble, course, capsys):
    course.make()
    (course.venv / "colab").mkdir()  # another one, whole
    (course.venv / ".lab").unlink()
    BROKEN[trouble](course)
    assert course.make() == ["Making", "Installing"]
    pip = "pip" in trouble or "another" in trouble
    said = "has no whole pip" if pip else "has no Python that starts"
    assert f".venv {said}, so it is made anew\n" in capsys.readouterr().out
    assert course.make() == []
    assert (course.venv / "colab").is_dir()


@POSIX
def test_a_link_to_a_python_that_was_removed_is_no_python(course):
    course.make()
    (course.venv / "bin" / "python").unlink()
    (course.venv / "bin" / "python").symlink_to("/gone/python3.9")
    assert course.make() == ["Making", "Installing"]
    assert course.make() == []


DAMAGES = {
    "a file is gone": lambda site: (site / "numpy" / "fft.py").unlink(),
    "a file is cut short": lambda site: (site / "numpy" / "fft.py").write_text("y"),
    "the list was never written": lambda site: (site / "numpy-1.0.dist-info" / "RECORD").unlink(),
    "the list is empty": lambda site: (site / "numpy-1.0.dist-info" / "RECORD").write_text(""),
}


@POSIX
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_package_that_pip_was_killed_at_is_installed_again(damage, course, capsys):
    course.make()
    (course.venv / ".lab").unlink()
    DAMAGES[damage](course.site)
    (course.site / "~umpy").mkdir()
    assert course.make() == ["Installing"]
    assert course.known == ["pip-1.0.dist-info", "quantlab-1.0.dist-info"]
    assert "numpy is damaged, so it is installed again\n" in capsys.readouterr().out
    assert not (course.site / "~umpy").exists()


@POSIX
def test_npm_that_was_stopped_is_asked_again(course, monkeypatch):
    monkeypatch.setattr(install, "find_npm", lambda what: "npm")
    course.fails = "Fetching"
    for _ in range(2):
        with pytest.raises(SystemExit):
            course.make("site")
        assert course.steps[-2:] == ["Installing", "Fetching"]
    course.fails = ""
    assert course.make("site") == ["Installing", "Fetching"]
    there = course.root / "web" / "node_modules" / ".package-lock.json"  # npm's last word
    there.parent.mkdir(parents=True)
    there.touch()
    assert course.make("site") == []


@POSIX
def test_an_environment_that_can_not_be_made_leaves_nothing_of_itself(course):
    course.fails = "Making"
    with pytest.raises(SystemExit):
        course.make()
    assert not course.venv.exists()


# Moved


@POSIX
@pytest.mark.parametrize("name", ["other", "with a blank", "long" * 40])
def test_a_moved_folder_is_told_so_without_a_network(name, course, at, capsys):
    course.make()
    course.root.rename(course.root.parent / name)
    moved = at(course.root.parent / name)
    assert moved.make() == ["Writing"]
    assert f"was in {course.root} and is now in {moved.root}" in capsys.readouterr().out
    assert moved.make() == []
    said = subprocess.run([moved.script()], capture_output=True, text=True, check=True)
    assert said.stdout == f"{moved.venv}\n"
    assert (moved.site / "_editable_impl_quantlab.pth").read_text() == str(moved.root)
    held = json.loads((moved.site / "quantlab-1.0.dist-info" / "direct_url.json").read_text())
    assert held["url"] == moved.root.as_uri()
    assert str(course.root) + os.sep not in (moved.venv / "bin" / "activate").read_text()


@POSIX
def test_it_may_move_back_and_forth(course, at):
    course.make()
    held = course.script().read_bytes()
    for name in ("with a blank", "course"):
        root = next(course.root.parent.iterdir())
        root.rename(root.parent / name)
        assert at(root.parent / name).make() == ["Writing"]
    assert course.script().read_bytes() == held


@POSIX
def test_a_copy_leaves_the_first_one_alone(course, at):
    course.make()
    before = {p: p.read_bytes() for p in course.root.rglob("*") if p.is_file()}
    shutil.copytree(course.root, course.root.parent / "copy", symlinks=True)
    assert at(course.root.parent / "copy").make() == ["Writing"]
    assert {p: p.read_bytes() for p in course.root.rglob("*") if p.is_file()} == before
    assert at(course.root).make() == []


@POSIX
def test_an_environment_that_is_a_link_has_not_moved(course, at):
    course.make()
    other = course.root.parent / "other"
    other.mkdir()
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(course.root / name, other)
    (other / ".venv").symlink_to(course.venv)
    assert at(other).make() == []


@POSIX
def test_a_scripts_other_lines_and_other_scripts_stay():
    script = b"#!/old/.venv/bin/python3.11\n# /old/.venv/bin/python\n"
    moved = mending._moved_script(script, b"/old/.venv", b"/new/.venv")
    assert moved == b"#!/new/.venv/bin/python3.11\n# /old/.venv/bin/python\n"
    for held in (b"#!/older/.venv/bin/python\n", b"#!/bin/sh\n", b"\x7fELF\0/old/.venv/bin/python"):
        assert mending._moved_script(held, b"/old/.venv", b"/new/.venv") == held


# Two at once

HOLD = """
import sys, time
sys.path.insert(0, {tools!r})
import environment
with environment.alone({lock!r}):
    print("mine", flush=True)
    time.sleep(float(sys.argv[1]))
"""


def hold(lock, seconds):
    code = HOLD.format(tools=str(TOOLS), lock=str(lock))
    command = [sys.executable, "-c", code, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_second_make_says_for_whom_it_waits_and_a_dead_one_holds_nothing(tmp_path):
    first = hold(tmp_path / "lock", 60)
    assert first.stdout.readline() == "mine\n"
    second = hold(tmp_path / "lock", 0)
    said = second.stdout.readline()
    assert said == f"Waiting for another make that installs (process {first.pid})\n"
    assert second.poll() is None
    first.kill()
    assert second.communicate(timeout=30)[0] == "mine\n"
    first.communicate()
    third = hold(tmp_path / "lock", 0)
    assert third.communicate(timeout=30)[0] == "mine\n"


@POSIX
def test_who_waited_installs_nothing_again(course, monkeypatch):
    @contextlib.contextmanager
    def wait(path):
        assert path == install.VENV + ".lock"
        install.install("lab")  # the other one's work
        yield

    monkeypatch.setattr(environment, "alone", wait)
    assert course.make() == ["Making", "Installing"]


def test_a_file_system_without_locks_is_no_reason_to_stop(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(environment.errno.ENOLCK, "no locks available")

    monkeypatch.setattr(environment.fcntl or environment.msvcrt, _LOCKING, refuse)
    with environment.alone(str(tmp_path / "lock")):
        pass


def test_a_folder_that_can_not_be_written_is_said_in_one_sentence(tmp_path):
    said = "Something has to be installed, and the folder can't be written"
    with pytest.raises(SystemExit, match=said), environment.alone(str(tmp_path / "gone" / "lock")):
        pass


_LOCKING = "locking" if sys.platform == "win32" else "flock"

STOPPED = """
import sys, time
sys.path.insert(0, {tools!r})
import install, mending
install.VENV = {venv!r}
child = "import os, time; print('Collecting', os.getpid(), flush=True); time.sleep(60)"
install.by_one(lambda: mending.step("Step", [sys.executable, "-c", child]))
"""


@POSIX
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_who_is_stopped_ends_what_it_started_and_says_how_to_go_on(name, tmp_path):
    code = STOPPED.format(tools=str(TOOLS), venv=str(tmp_path / ".venv"))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = subprocess.Popen([sys.executable, "-c", code], **pipes)
    assert running.stdout.readline() == "Step\n"
    child = int(running.stdout.readline().split()[-1])
    running.send_signal(getattr(signal, name))
    _, error = running.communicate(timeout=30)
    assert running.returncode == 1
    assert error.startswith("Stopped. Run the same command again to go on")
    assert len(error.splitlines()) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


# Old Pythons


@pytest.mark.parametrize("name", ["install.py", "install_colab.py"])  # install.py before gpu.py
@pytest.mark.parametrize("old", ["python2.7", "python3.6", "python3.8", "python3.10"])
def test_an_old_python_gets_the_sentence(old, name):
    start = [old, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    if not shutil.which(old) or subprocess.run(start, capture_output=True, check=False).returncode:
        pytest.skip(f"there is no {old}")
    version = subprocess.run(start, capture_output=True, text=True, check=True).stdout.strip()
    command = [old, "-B", str(TOOLS / name), "lab"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = f"quantlab needs Python 3.11 or newer, and this is Python {version} "
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1


def test_make_starts_no_script_with_a_python_that_was_not_asked_for_its_age():
    assert STARTED == ["gpu.py", "install.py", "install_colab.py", "install_versions.py"]
    for script in ("gpu.py", "install_versions.py lowest", "install_versions.py newest"):
        assert f"$(PYTHON) tools/install.py age && $(PYTHON) tools/{script}" in MAKEFILE


# What Python 2.7 can't parse, and 3.6 can; by the classes of syntax trees.
NEWER = (ast.JoinedStr, ast.AnnAssign, ast.Starred, ast.Nonlocal, ast.YieldFrom, ast.MatMult)
NEWER += (ast.AsyncFunctionDef, ast.Await)


@pytest.mark.parametrize("name", ["install.py", "install_colab.py", "environment.py"])
def test_what_runs_before_the_sentence_is_read_by_python_2_and_3_6(name):
    source = (TOOLS / name).read_text(encoding="utf-8")
    assert source.isascii()
    tree = ast.parse(source, feature_version=(3, 6))
    nodes = list(ast.walk(tree))
    assert [node.lineno for node in nodes if isinstance(node, NEWER)] == []
    for node in nodes:
        if isinstance(node, ast.FunctionDef):
            assert node.args.kwonlyargs == [] and node.returns is None
        if isinstance(node, ast.Raise):
            assert node.cause is None
    assert re.search(r"(?<![\w\"'])rb[\"']|\d_\d", source) is None
    printing = "print_function" in [alias.asname or alias.name for alias in tree.body[1].names]
    assert printing
    own = {"environment", "install", "mending", "__future__"}
    of_2_7 = {"contextlib", "errno", "fcntl", "hashlib", "msvcrt", "os", "shutil", "signal"}
    imports = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {getattr(node, "module", None) or node.names[0].name for node in imports}
    assert names <= own | of_2_7 | {"subprocess", "sys", "time"}


# `make test-colab`


def test_only_the_python_made_for_them_runs_the_tests_that_install(tmp_path, monkeypatch):
    """Whatever ipywidgets is there: elsewhere they would install over the editable package."""
    conftest = str(ROOT / "tests" / "colab" / "conftest.py")
    monkeypatch.setitem(sys.modules, "ipywidgets", type(sys)("ipywidgets"))
    sys.modules["ipywidgets"].__version__ = "7.7.1"
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert runpy.run_path(conftest)["collect_ignore_glob"] == ["test_*.py"]
    (tmp_path / ".installed").touch()
    assert runpy.run_path(conftest)["collect_ignore_glob"] == []


def test_the_stand_in_for_colab_writes_the_stamp_that_its_tests_look_for(monkeypatch, tmp_path):
    monkeypatch.setattr(install_colab, "VENV", str(tmp_path))
    monkeypatch.setattr(mending, "prepare", lambda *_: None)
    monkeypatch.setattr(mending, "step", lambda *_: None)
    monkeypatch.setattr(environment, "version_of", lambda venv: b"3.11")
    install_colab.make()
    assert [path.name for path in tmp_path.iterdir()] == [".installed"]
    assert install_colab.is_ready()


# By hand


def copied(tmp_path, **changed):
    """Copy the installer; changed: pieces of install.py. Return how to start it."""
    (tmp_path / "tools").mkdir()
    for name in ("install.py", "environment.py", "mending.py"):
        shutil.copy(TOOLS / name, tmp_path / "tools")
    script = tmp_path / "tools" / "install.py"
    source = script.read_text(encoding="utf-8")
    for old, new in changed.items():
        assert f"{old} = " in source
        source = re.sub(f"^{old} = .*$", f"{old} = {new}", source, flags=re.MULTILINE)
    script.write_text(source, encoding="utf-8")
    return [sys.executable, str(script), "lab"]


def _run(command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_installer_stops_with_one_sentence_on_an_old_python(tmp_path):
    result = _run(copied(tmp_path, OLDEST="(9, 9)"))
    assert result.returncode == 1
    assert result.stderr.startswith("quantlab needs Python 9.9 or newer, and this is Python 3.")
    assert len(result.stderr.splitlines()) == 1


def test_the_installer_says_which_step_failed(tmp_path):
    (tmp_path / ".venv").write_text("a file where the folder should be")
    result = _run(copied(tmp_path))
    assert result.returncode == 1
    assert "-m venv" in result.stderr.splitlines()[-1]
    assert "failed" in result.stderr.splitlines()[-1]


def test_the_file_of_the_lock_names_its_holder_and_stays_without_holding_anybody(tmp_path, capsys):
    for _ in range(2):
        with environment.alone(str(tmp_path / "lock")):
            held = (tmp_path / "lock").read_text().strip()
        assert held == str(os.getpid())
    assert "Waiting" not in capsys.readouterr().out
