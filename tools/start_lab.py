"""Open the course in JupyterLab at notebook 00: what `make lab` runs.

Only this machine can reach it, and only with the token in its address. It runs for root as well,
who is all there is in a container or on a rented machine. Where no browser is, the address to open
is printed. PORT=9000 in the environment asks for a port; the default is 8888, or the next one free.
"""

import os
import secrets
import socket
import sys
import webbrowser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER, FIRST = "notebooks", "00_why_quantize.ipynb"
USUAL, TRIES = 8888, 50


def is_free(port):
    """Say whether a server can listen on `port` of this machine alone."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose(asked):
    """Return (port, what to say about it).

    asked: a port as text, or None for the usual one or the next that is free. Raises SystemExit,
    with one sentence, if the port that was asked for is taken or is none.
    """
    if asked is None:
        port = next((p for p in range(USUAL, USUAL + TRIES) if is_free(p)), 0)
        if port == USUAL:
            return port, ""
        if not port:
            raise SystemExit(f"Ports {USUAL} to {USUAL + TRIES - 1} are taken: make lab PORT=9900")
        return port, f"Port {USUAL} is taken: JupyterLab listens on {port} instead."
    if not asked.isdigit() or not 0 < int(asked) < 65536:
        raise SystemExit(f"PORT must be a number from 1 to 65535, got {asked!r}")
    if not is_free(int(asked)):
        raise SystemExit(f"Port {asked} is taken: choose another one, as in  make lab PORT=9900")
    return int(asked), ""


def has_browser():
    """Say whether this machine has a browser that could be opened."""
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def main():
    """Say where the course opens, and become JupyterLab."""
    port, words = choose(os.environ.get("PORT") or None)
    token = secrets.token_hex(24)
    address = f"http://127.0.0.1:{port}/lab/tree/{FIRST}?token={token}"
    browser = has_browser()
    start = "The course opens at" if browser else "Open this address in a browser:"
    print(*filter(None, [words, f"{start} {address}"]), sep="\n", flush=True)
    settings = {
        "ip": "127.0.0.1", "port": port, "port_retries": 0, "allow_root": True,
        "open_browser": browser,
    }  # fmt: skip
    options = [f"--ServerApp.{name}={value}" for name, value in settings.items()]
    own = {"JUPYTER_CONFIG_PATH": str(ROOT / "tools" / "jupyter"), "JUPYTER_TOKEN": token}
    os.chdir(ROOT)
    command = [sys.executable, "-m", "jupyterlab", f"{FOLDER}/{FIRST}", *options]
    os.execve(sys.executable, command, os.environ | own)


if __name__ == "__main__":
    main()
