"""Make .venv/colab and install into it what Colab has: `python tools/install_colab.py`.

The course itself is not among it: tests/colab installs that as the set-up cell of a notebook does.
"""

from __future__ import print_function

import os
import sys

import environment
import install

if sys.version_info >= install.OLDEST:  # an older one can't parse it
    import mending

VENV = os.path.join(install.VENV, "colab")
PINNED = os.path.join(install.ROOT, "constraints-colab.txt")
FILES = [PINNED, os.path.join(install.ROOT, "tools", "install_colab.py")]
# What quantlab uses of Colab's packages: all that it needs but bitsandbytes and compressed-tensors,
# which are not there (and no notebook needs the second).
COLAB = ["numpy", "matplotlib", "ipywidgets", "anywidget"]
COLAB += ["torch", "transformers", "accelerate", "tqdm", "psutil"]
TESTS = ["ipykernel", "nbclient", "pytest"]


def main():
    if not is_ready():
        install.check_python("test-colab")
        install.by_one(lambda: is_ready() or make())


def is_ready():
    return environment.is_ready(VENV, ["installed"], FILES)


def make():
    mending.prepare(VENV, install.OLDEST, ["installed"])
    if is_ready():
        return
    environment.drop_stale_stamps(VENV, ["installed"], FILES)
    command = [environment.python_of(VENV), "-m", "pip", "install", "-c", PINNED]
    title = "Installing what Colab has (a minute or more, most of it PyTorch)"
    mending.step(title, command + COLAB + TESTS)
    environment.write_stamps(VENV, ["installed"], FILES)


if __name__ == "__main__":
    main()
