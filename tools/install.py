"""Make .venv and install the course into it: `python tools/install.py lab`; or `site`, or `test`.

Every command of the Makefile asks it first. Where .venv is whole, of this folder and of the
versions in constraints.txt, that takes a moment; what is half made, damaged or moved is mended.
`site` and `test` also fetch the npm packages of tools/web, which the website and the slides serve.

Standard library only, and parsed by Python 2.7 too: it has to run before anything is there, and on
a Python that is too old it has to get as far as saying so.
"""

from __future__ import print_function

import os
import shutil
import signal
import sys

import environment

OLDEST = (3, 11)
if sys.version_info >= OLDEST:  # an older one can't parse it
    import mending

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
VENV = os.path.join(ROOT, ".venv")
CONSTRAINTS = os.path.join(ROOT, "constraints.txt")
PACKAGES = os.path.join(ROOT, "tools", "web")
EXTRAS = {
    "lab": "lab,lm,gguf,train",
    "site": "lab,lm,gguf,train,site",
    "test": "lab,lm,gguf,train,site,test",
}
INCLUDED = {"lab": ["lab"], "site": ["site"], "test": ["lab", "test"]}  # what is then installed
# Another content of one of these is another .venv.
FILES = [
    os.path.join(ROOT, "pyproject.toml"),
    CONSTRAINTS,
    os.path.join(ROOT, "tools", "install.py"),
]
FILES += [os.path.join(PACKAGES, "package-lock.json")]


def main(what):
    if what == "age":  # of the Python, for what installs nothing or elsewhere
        return check_python("...")
    if what not in EXTRAS:
        environment.stop("say what to install: {}; got {!r}".format(" or ".join(EXTRAS), what))
    if not is_ready(what):
        check_python(what)
        by_one(lambda: is_ready(what) or install(what))


def check_python(what):
    """Stop with one sentence if the Python that runs this is too old for the course."""
    if sys.version_info < OLDEST:
        sentence = (
            "quantlab needs Python {} or newer, and this is Python {} ({}). "
            "Name another one: make {} PYTHON=/path/to/python3.13"
        )
        oldest, here = (".".join(map(str, v[:2])) for v in (OLDEST, sys.version_info))
        environment.stop(sentence.format(oldest, here, sys.executable, what))


def is_ready(what):
    """Say whether all that `what` needs is installed."""
    if what == "site" and not os.path.exists(_fetched()):
        return False
    return environment.is_ready(VENV, INCLUDED[what], FILES)


def by_one(work):
    """Do `work` while no other make of this folder installs; end it at Ctrl-C and its kin."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    try:
        with environment.alone(VENV + ".lock"):
            work()
    except KeyboardInterrupt:
        environment.stop(
            "Stopped. Run the same command again to go on; what was downloaded is kept."
        )


def install(what):
    npm = find_npm(what)
    mending.prepare(VENV, OLDEST, list(EXTRAS), keep=["colab", "lowest", "newest"])
    if is_ready(what):  # moved, and no more than that
        return
    environment.drop_stale_stamps(VENV, list(EXTRAS), FILES)
    python = environment.python_of(VENV)
    target = "{}[{}]".format(ROOT, EXTRAS[what])
    command = [python, "-m", "pip", "install", "--editable", target, "-c", CONSTRAINTS]
    title = "Installing into .venv (minutes the first time, most of them for PyTorch)"
    mending.step(title, command)
    if what == "test":
        install_peers(python)
    environment.write_stamps(VENV, INCLUDED[what] + fetch_npm_packages(npm), FILES)


def find_npm(what):
    """Return the path of npm, or None where `what` does without it."""
    npm = shutil.which("npm") if what != "lab" else None
    if npm is None and what == "site":
        environment.stop(
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
    command = [npm, "ci", "--no-fund", "--no-audit", "--ignore-scripts", "--prefix", PACKAGES]
    mending.step("Fetching the npm packages of tools/web", command)
    return ["site"]


def _fetched():
    """Return the file that npm writes when all packages are there."""
    return os.path.join(PACKAGES, "node_modules", ".package-lock.json")


def install_peers(python):
    """Install torchao, which is only compared with, into a folder of its own.

    Beside transformers it would be imported with every model, and say on stderr what it lacks.
    """
    command = [python, "-m", "pip", "install", "torchao", "-c", CONSTRAINTS]
    command += ["--no-deps", "--upgrade", "--target", os.path.join(VENV, "peers")]
    mending.step("Installing what the package is compared with", command)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
