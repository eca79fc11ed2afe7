"""Every explorer of the course: where it stands, and what makes it.

A module of `show` lists its own in `EXPLORERS`: "notebook/cell" -> a function without arguments; or
RUN where the explorer needs what its notebook has computed; or SNAPSHOT where no page can hold all
that it may show. The website and the slides are made from this.
"""

import pkgutil
from importlib import import_module
from pathlib import Path

#: The notebook is run for what its explorer needs; the page shows the snapshot alone.
RUN, SNAPSHOT = "run", "snapshot"


def explorers():
    """Return {"notebook/cell": a function without arguments, RUN or SNAPSHOT} of all modules."""
    package, found = __package__, {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        found |= getattr(import_module(f"{package}.{module.name}"), "EXPLORERS", {})
    return dict(sorted(found.items()))
