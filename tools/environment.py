"""Whether an environment is ready, by its stamps; and one process at a time that changes it.

Parsed by Python 2.7 too, and imports nothing that it lacks: see install.py.
"""

from __future__ import print_function

import contextlib
import errno
import hashlib
import os
import subprocess
import sys
import time

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

WINDOWS = sys.platform == "win32"
BIN = "Scripts" if WINDOWS else "bin"
FAR = 1 << 30  # Windows locks bytes for readers too: not those that name the process
LOCKED = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)


def python_of(venv):
    """Return the path of an environment's Python."""
    return os.path.join(venv, BIN, "python.exe" if WINDOWS else "python")


def version_of(venv):
    """Return the version of an environment's Python as bytes, b"3.11"; None if it doesn't start."""
    ask = [python_of(venv), "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        with open(os.devnull, "w") as nothing:
            return subprocess.check_output(ask, stderr=nothing).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def place_of(venv):
    """Return the bytes of the path of an environment."""
    return getattr(os, "fsencode", bytes)(os.path.realpath(venv))


def mark(venv, files):
    """Return the lines of a stamp: where `venv` is, its Python's version, what `files` hold."""
    held = hashlib.sha256()
    for path in files:
        held.update(bytes_of(path) + b"\0")
    return [place_of(venv), version_of(venv), held.hexdigest().encode("ascii")]


def is_ready(venv, stamps, files):
    """Say whether each of `stamps` was written here, for this Python and what `files` hold."""
    try:
        held = [bytes_of(os.path.join(venv, "." + name)).splitlines() for name in stamps]
    except (IOError, OSError):
        return False
    now = mark(venv, files)
    return all(lines == now for lines in held)


def write_stamps(venv, stamps, files):
    """Note that `stamps` are installed."""
    for name in stamps:
        with open(os.path.join(venv, "." + name), "wb") as file:
            file.write(b"\n".join(mark(venv, files)) + b"\n")


def drop_stale_stamps(venv, stamps, files):
    """Remove the stamps of other versions: from here on they would be true no more."""
    for name in stamps:
        if not is_ready(venv, [name], files) and os.path.exists(os.path.join(venv, "." + name)):
            os.remove(os.path.join(venv, "." + name))


@contextlib.contextmanager
def alone(path):
    """Hold the lock file at `path`, once no other process does; one that ended holds none."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except (IOError, OSError) as error:
        stop("Something has to be installed, and the folder can't be written: {}".format(error))
    try:
        if not _lock(handle):
            time.sleep(0.2)  # who has just begun writes its number first
            os.lseek(handle, 0, 0)
            holder = os.read(handle, 20).decode("ascii", "replace").strip()
            print("Waiting for another make that installs (process {})".format(holder or "unknown"))
            sys.stdout.flush()
            while not _lock(handle):
                time.sleep(0.2)
        os.lseek(handle, 0, 0)
        os.write(handle, "{:<20d}".format(os.getpid()).encode("ascii"))
        yield
    finally:
        os.close(handle)


def _lock(handle):
    """Say whether the lock is ours now. A file system without locks is no reason to stop."""
    try:
        if fcntl:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            os.lseek(handle, FAR, 0)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except (IOError, OSError) as error:
        return error.errno not in LOCKED
    return True


def bytes_of(path):
    """Return what a file holds."""
    with open(path, "rb") as file:
        return file.read()


def stop(message):
    """Say why in one sentence and leave with an error."""
    sys.exit(message)
