"""Make .venv and install the course into it: `python tools/install.py lab`; or `site`, or `test`.

`site` and `test` also fetch the npm packages of tools/web, which the website and the slides serve.

Standard library only, and no syntax newer than Python 3.6: it has to run before anything is there,
and on a Python that is too old it has to get as far as saying so.
"""

import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
EXTRAS = {
    "lab": "lab,lm,gguf,train",
    "site": "lab,lm,gguf,train,site",
    "test": "lab,lm,gguf,train,site,test",
}
INCLUDED = {"lab": ["lab"], "site": ["site"], "test": ["lab", "test"]}  # what is then installed


def main(what):
    if sys.version_info < OLDEST:
        stop(
            "quantlab needs Python {}.{} or newer, and this is Python {}.{} ({}). "
            "Name another one: make {} PYTHON=/path/to/python3.13".format(
                *OLDEST, *sys.version_info[:2], sys.executable, what
            )
        )
    if what not in EXTRAS:
        stop("say what to install: {}; got {!r}".format(" or ".join(EXTRAS), what))
    npm = find_npm(what)
    venv = ROOT / ".venv"
    python = venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not (venv / "pyvenv.cfg").exists() or not python.exists():
        try:
            step("Making .venv", [sys.executable, "-m", "venv", str(venv)])
        except SystemExit:
            shutil.rmtree(str(venv), ignore_errors=True)  # half of one would look like a whole one
            raise
    target = "{}[{}]".format(ROOT, EXTRAS[what])
    constraints = ROOT / "constraints.txt"
    command = [str(python), "-m", "pip", "install", "--editable", target, "-c", str(constraints)]
    step("Installing into .venv (minutes the first time, most of them for PyTorch)", command)
    if what == "test":
        install_peers(venv, python, constraints)
    for name in INCLUDED[what] + fetch_npm_packages(npm):
        (venv / ("." + name)).touch()


def find_npm(what):
    """Return the path of npm, or None where `what` does without it."""
    npm = shutil.which("npm") if what != "lab" else None
    if npm is None and what == "site":
        stop(
            "The site and the slides need npm, which comes with Node.js 18 or newer: "
            "apt install nodejs npm, brew install node, or nodejs.org"
        )
    if npm is None and what == "test":
        print("npm is missing: tests of the site and the slides will be skipped", flush=True)
    return npm


def fetch_npm_packages(npm):
    """Fetch the packages of tools/web; return what is then installed besides."""
    if npm is None:
        return []
    folder = str(ROOT / "tools" / "web")
    command = [npm, "ci", "--no-fund", "--no-audit", "--ignore-scripts", "--prefix", folder]
    step("Fetching the npm packages of tools/web", command)
    return ["site"]


def install_peers(venv, python, constraints):
    """Install torchao, which is only compared with, into a folder of its own.

    Beside transformers it would be imported with every model, and say on stderr what it lacks.
    """
    command = [str(python), "-m", "pip", "install", "torchao", "-c", str(constraints)]
    command += ["--no-deps", "--upgrade", "--target", str(venv / "peers")]
    step("Installing what the package is compared with", command)


def step(title, command):
    """Run one command; show a line for each package; stop with one sentence if it fails."""
    print(title, flush=True)
    started = time.monotonic()
    lines = []
    pipe = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True
    )
    try:
        for line in pipe.stdout:
            lines.append(line)
            if line.startswith(("Collecting", "Installing", "Building", "Obtaining")):
                seconds = time.monotonic() - started
                print("  {:4.0f} s  {}".format(seconds, shorten(line)), flush=True)
    except KeyboardInterrupt:
        pipe.terminate()
        stop("Stopped. Run the same command again to go on; what was downloaded is kept.")
    if pipe.wait():
        print("".join(lines[-15:]), file=sys.stderr)
        stop("'{}' failed; the lines above say why.".format(" ".join(command[:6])))


def shorten(line):
    """Cut a line of pip to what fits beside the clock."""
    line = line.strip()
    return line if len(line) <= 88 else line[:85] + "..."


def stop(message):
    """Say why in one sentence and leave with an error."""
    sys.exit(message)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
