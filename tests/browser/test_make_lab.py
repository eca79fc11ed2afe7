"""`make lab`, the README's first command, started as it is: by root, and by a user who is not."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools")]

import start_lab  # noqa: E402

START = ROOT / "tools" / "start_lab.py"
BIN = ROOT / ".venv" / "bin"
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/lab/tree/00_why_quantize\.ipynb\?token=\w+")
NOBODY = 65534


def _as_user(home):
    """What stands before a command so that a user runs it, where root runs the tests.

    The user may read what root may: a Python in root's home is no concern of this test. (make asks
    by access(2), which knows nothing of that, unless it is told to leave starting to a shell.)
    """
    if os.getuid() != 0:
        return []
    reads = "+dac_override,+dac_read_search"
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    user += [f"--inh-caps={reads}", f"--ambient-caps={reads}"]
    start = [*user, "sh", "-c", f"test $(id -u) = {NOBODY} && {BIN / 'python'} -c 1"]
    if shutil.which("setpriv") is None or subprocess.run(start, check=False).returncode:
        pytest.skip("setpriv of util-linux can't make a user here who may read this Python")
    shutil.chown(home, NOBODY, NOBODY)
    return user


class Started:
    """A `make lab` that runs: its output so far, and the address that it printed."""

    def __init__(self, home, before=(), **environment):
        own = {"HOME": str(home), "BROWSER": "", "PYTHONDONTWRITEBYTECODE": "1", **environment}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON"))}
        self.log = home.parent / "make.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*before, "make", "--no-print-directory", "SHELL=/bin/bash", "lab"],
                cwd=ROOT, env=kept | own, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def address(self, seconds=180):
        """Wait for the address, and until it answers; return it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = ADDRESS.search(self.log.read_text())
            if found and _answers(found[0]):
                return found[0]
            if self.process.poll() is not None:
                break
            time.sleep(0.5)
        raise AssertionError(f"make lab did not come up:\n{self.log.read_text()[-3000:]}")

    def stop(self):
        """Stop it as a terminal that closes does; by force if it doesn't stop within 30 s."""
        if self.process.poll() is not None:
            return
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
            raise


def _states_of_kernels(address):
    """What the server says of its kernels; or its error, while it may still start one.

    For a moment a kernel that starts is listed without its time of last activity, and the server
    (jupyter_server 2.21.1) answers with the error 500.
    """
    asked = address.replace("/lab/tree/00_why_quantize.ipynb", "/api/kernels")
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return [one["execution_state"] for one in json.load(answer)]
    except urllib.error.HTTPError as error:
        if error.code != 500:
            raise
        return f"the server answered {error}"


def _wait_until_a_kernel_idles(address, seconds=90):
    """Wait for the server's word. The page's own sign says "idle" before there is a kernel, too."""
    deadline = time.monotonic() + seconds
    while (states := _states_of_kernels(address)) != ["idle"]:
        assert time.monotonic() < deadline, f"no kernel was idle within {seconds} s: {states}"
        time.sleep(0.2)


def _answers(address):
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture
def home(tmp_path):
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents[:2]:  # pytest's own, which only their owner may enter
        folder.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def started(home):
    running = []

    def start(*before, **environment):
        running.append(Started(home, before, **environment))
        return running[-1]

    yield start
    for one in running:
        one.stop()


def kernels(home):
    """The process numbers of the kernels whose files stand below this home."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if "ipykernel" in words and str(home) in words:
            found.append(int(place.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are listed in /proc")
@pytest.mark.parametrize("who", ["whoever runs this", "a user"])
def test_it_opens_notebook_00_and_leaves_no_kernel_behind(who, started, home, chromium):
    running = started(*(_as_user(home) if who == "a user" else ()))
    page = chromium.new_page()
    address = running.address()
    page.goto(address)
    page.get_by_role("heading", name="0 · Why quantize?").wait_for(timeout=90_000)
    # JupyterLab may hang if it is stopped while a kernel starts.
    _wait_until_a_kernel_idles(address)
    assert len(kernels(home)) == 1
    page.close()
    running.stop()
    deadline = time.monotonic() + 30
    while kernels(home) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert kernels(home) == []


def test_without_a_wish_the_next_free_port_is_taken_and_named(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        usual = taken.getsockname()[1]
        monkeypatch.setattr(start_lab, "USUAL", usual)
        port, words = start_lab.choose(None)
    assert usual < port < usual + start_lab.TRIES
    assert words == f"Port {usual} is taken: JupyterLab listens on {port} instead."


def test_without_its_token_nobody_gets_in(started):
    address = started().address()
    bare = address.split("/lab/")[0] + "/api/contents"
    assert not _answers(bare)
    assert _answers(f"{bare}?token={address.split('token=')[1]}")


def test_a_port_that_is_taken_is_said_in_one_line(home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, START],
            env=os.environ | {"PORT": port}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"Port {port} is taken: choose another one, as in  make lab PORT=9900\n"


@pytest.mark.parametrize("port", ["0", "70000", "abc", "-1"])
def test_a_port_that_is_none_is_refused(port):
    done = subprocess.run(
        [sys.executable, START],
        env=os.environ | {"PORT": port}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "PORT must be a number from 1 to 65535" in done.stderr
