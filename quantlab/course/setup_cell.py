"""The set-up cell: its text, the same in every notebook, and what it runs."""

import importlib
from importlib import metadata

from quantlab import __version__
from quantlab.course import address

# On Colab --no-deps leaves numpy, torch, ipywidgets and matplotlib as they are: its widgets and its
# GPU work with the versions that are there, and what quantlab needs of them is there too.
# AttributeError: a folder named quantlab, without a file in it, can be imported and has no setup.
_TEXT = """\
# Set-up, the same in every notebook: on Colab it installs, elsewhere it only looks.{unset}
import sys
from glob import glob

if "google.colab" in sys.modules:  # first choice: a copy in /content or in Drive
    places = ("", "drive/MyDrive/", "drive/MyDrive/*/")
    copies = [c for p in places for c in glob(f"/content/{{p}}*/quantlab/course")]
{line}    source = repr(copies[0] + "/../..") if copies else {address}
    !pip install -q --no-deps bitsandbytes {{source}}
try:
    from quantlab import course

    course.setup()
except (ImportError, AttributeError) as missing:  # on Colab: put it in /content
    raise SystemExit(f"{{missing}}: run `make lab` in the course's folder") from None
"""
_UNSET = "\n# The course has no public address yet: on Colab put its folder into /content or Drive."

_NEEDED = {"numpy": "NumPy", "matplotlib": "matplotlib", "ipywidgets": "ipywidgets"}
_FOR_MODELS = ("torch", "transformers", "accelerate", "bitsandbytes")


def cell_text():
    """Return the text of the set-up cell, with the course's public address in it, if it has one."""
    if address.is_set():
        line = f'    address = "git+{address.repository()}"\n'
        return _TEXT.format(unset="", line=line, address="address").rstrip("\n")
    return _TEXT.format(unset=_UNSET, line="", address='""').rstrip("\n")


class SetupError(Exception):
    """Something is missing. A notebook shows the sentence alone, without a traceback."""

    def _render_traceback_(self):
        return [f"Set-up stopped: {self}"]


def setup():
    """Check that the notebook's packages are here, set the figure style, and say what was found.

    Raises SetupError, with what to do, if a package is missing.
    """
    missing = [name for name in (*_NEEDED, "anywidget") if not _is_here(name)]
    if missing:
        raise SetupError(f"{_and(missing)} {_is(missing)} missing: {_advice('lab')}")
    from quantlab.show import style

    style.apply()
    found = _and([f"{title} {_major(name)}" for name, title in _NEEDED.items()])
    print(f"Ready: quantlab {__version__} with {found}.")
    absent = [name for name in _FOR_MODELS if not _is_here(name)]
    if absent:
        print(f"Not here, needed for whole models: {_and(absent)}. To add: {_advice('lab,lm')}")


def _advice(extras):
    if not address.is_set():
        return f'run `pip install ".[{extras}]"` in the course\'s folder, then restart the kernel.'
    source = f"git+{address.repository()}"
    return f'run `pip install "quantlab[{extras}] @ {source}"`, then restart the kernel.'


def _is_here(name):
    return importlib.util.find_spec(name) is not None


def _major(name):
    """The major version alone: the committed output stays true when a package is updated."""
    return metadata.version(name).split(".")[0]


def _and(names):
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _is(names):
    return "is" if len(names) == 1 else "are"
