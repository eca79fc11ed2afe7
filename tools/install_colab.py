"""Make .venv/colab and install into it what Colab has: `python tools/install_colab.py`.

The course itself is not among it: tests/colab installs that as the set-up cell of a notebook does.
"""

import os
import sys

import install

VENV = install.ROOT / ".venv" / "colab"
# What quantlab uses of Colab's packages: all that it needs but bitsandbytes and compressed-tensors,
# which are not there (and no notebook needs the second).
COLAB = ["numpy", "matplotlib", "ipywidgets", "anywidget"]
COLAB += ["torch", "transformers", "accelerate", "tqdm", "psutil"]
TESTS = ["ipykernel", "nbclient", "pytest"]


def main():
    if sys.version_info < install.OLDEST:
        install.stop(f"this needs Python 3.11 or newer, and this is {sys.version.split()[0]}")
    python = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        install.step(f"Making {VENV.name}", [sys.executable, "-m", "venv", os.fspath(VENV)])
    pinned = os.fspath(install.ROOT / "constraints-colab.txt")
    command = [os.fspath(python), "-m", "pip", "install", "-c", pinned, *COLAB, *TESTS]
    install.step("Installing what Colab has (a minute or more, most of it PyTorch)", command)
    (VENV / ".installed").touch()


if __name__ == "__main__":
    main()
