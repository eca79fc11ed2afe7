"""What people see: figures, explorers and the style they share.

Everything loads when it is first used: ``from quantlab import show`` costs nothing and works where
matplotlib is not. ``show.picture`` and ``show.Explorer`` are named here; every other module here
is reached by its name, for example ``show.style``.
"""

from importlib import import_module
from importlib.util import find_spec

_HOME = {
    "picture": "style",
    "figure": "style",
    "Explorer": "explorer",
    "Stepper": "explorer",
    "BitStrip": "bits",
    "bit_explorer": "bits",
}


def __getattr__(name):
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if not name.startswith("_") and find_spec(f"{__name__}.{name}"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"quantlab.show has no {name!r}")


def __dir__():
    return sorted([*_HOME, "explorer", "html", "style"])
