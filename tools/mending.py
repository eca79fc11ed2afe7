"""An environment that heals: half made, damaged or moved, it is mended or made anew, in words."""

import csv
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import environment
from environment import WINDOWS, python_of, stop, version_of

# How a script of pip starts: with one line, or three where the path has a blank or is long.
SHEBANG = re.compile(
    rb"\A#!(?:/bin/sh\n'''exec' )?\"?(?P<venv>/[^\n\"]*)/bin/(?P<python>python[\d.]*)\"?"
    rb"(?: \"\$0\" \"\$@\"\n' ''')?\n"
)
LONGEST = 124  # bytes of a path that a kernel takes in the one line


def prepare(venv, oldest, stamps, keep=()):
    """Leave at `venv` an environment whose Python and pip work: as it was, mended, or made anew.

    oldest: the first version that will do, (3, 11). stamps: names of all that may be installed in
    it. keep: what else lies in its folder and stays.
    """
    venv = Path(venv)
    made = os.path.lexists(python_of(venv)) or (venv / "pyvenv.cfg").exists()
    trouble = _trouble(venv, oldest) if made else None
    if trouble:
        print(f"{venv.name} {trouble}, so it is made anew", flush=True)
        _remove(venv, keep)
    if trouble or not made:
        try:
            step(f"Making {venv.name}", [sys.executable, "-m", "venv", str(venv)])
        except BaseException:
            _remove(venv, keep)  # half of one would look like a whole one
            raise
    told = _place(venv)
    if told and os.path.realpath(told) != os.path.realpath(venv):
        _move(venv, told, stamps)
    for info in _registered(venv):
        if not _is_whole(info):
            _forget(info)


def _trouble(venv, oldest):
    """Say why an environment is beyond mending; None if it isn't."""
    version = version_of(venv)
    if version is None or not (venv / "pyvenv.cfg").exists():
        return "has no Python that starts"
    if tuple(map(int, version.split(b"."))) < oldest:
        return f"has Python {version.decode()}"
    pip = [info for info in _registered(venv) if _name(info) == "pip"]
    return None if pip and all(map(_is_whole, pip)) else "has no whole pip"


def _remove(venv, keep):
    """Empty the folder of an environment, but for the names in `keep`."""
    for path in venv.iterdir() if venv.is_dir() else []:
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.name not in keep:
            shutil.rmtree(path, ignore_errors=True)


def _registered(venv):
    """Return the folders in which pip notes what it has installed."""
    library = "Lib" if WINDOWS else f"lib/python{version_of(venv).decode()}"
    return sorted((venv / library / "site-packages").glob("*.dist-info"))


def _name(info):
    return info.name.partition("-")[0]


def _is_whole(info):
    """Say whether all files that pip has noted for a package are there, in their full size."""
    # Of scripts, and of what is installed from a folder, a move changes the size.
    fixed = not _is_from_a_folder(info)
    try:
        text = (info / "RECORD").read_text(encoding="utf-8")  # pip writes it last
        for name, _, size in csv.reader(text.splitlines()):
            if name.endswith(".pyc"):  # made again when it is missing
                continue
            found = os.stat(info.parent / name).st_size
            if fixed and size and not name.startswith("..") and found != int(size):
                return False
    except (OSError, ValueError):
        return False
    return bool(text)


def _is_from_a_folder(info):
    return (info / "direct_url.json").exists()


def _forget(info):
    """Make pip forget a package, so that it brings it again; sweep up what it left on the way."""
    print(f"{_name(info)} is damaged, so it is installed again", flush=True)
    shutil.rmtree(info)
    for left in info.parent.glob("~*"):
        shutil.rmtree(left, ignore_errors=True)


def _place(venv):
    """Return where an environment says that it was made; None where it says nothing."""
    text = (venv / "pyvenv.cfg").read_text(encoding="utf-8", errors="surrogateescape")
    found = re.search(r"^command = .* -m venv (?:--\S+ )*(.+)$", text, re.MULTILINE)
    return found and Path(found[1])


def _move(venv, old, stamps):
    """Write the environment's own place into the files that name the `old` one."""
    print(f"The course was in {old.parent} and is now in {venv.parent}: telling it", flush=True)
    for path in (venv / environment.BIN).iterdir():
        if path.is_file() and not path.is_symlink():
            _rewrite(path, _moved_script(path.read_bytes(), os.fsencode(old), os.fsencode(venv)))
    for info in filter(_is_from_a_folder, _registered(venv)):
        for path in (*info.parent.glob(f"*{_name(info)}*.pth"), info / "direct_url.json"):
            _rewrite(path, _moved_folder(path.read_bytes(), old.parent, venv.parent))
    for path in (venv / f".{name}" for name in stamps):
        if path.exists():
            lines = path.read_bytes().splitlines(keepends=True)
            _rewrite(path, b"".join([environment.place_of(venv) + b"\n", *lines[1:]]))
    # Last, because it writes pyvenv.cfg, which tells a move: that, and how to activate it.
    command = [python_of(venv), "-m", "venv", "--without-pip", str(venv)]
    step(f"Writing {venv.name} anew where it names its folder", command)


def _moved_script(held, old, new):
    """Return a script of the environment `old` as pip would have written it in `new`."""
    if WINDOWS:  # a program and an archive, with the path between them
        return held.replace(b"#!" + old + b"\\", b"#!" + new + b"\\")
    found = SHEBANG.match(held)
    if not found or found["venv"] != old:
        return held
    python = new + b"/bin/" + found["python"]
    if b" " in python or len(python) > LONGEST:
        start = b"#!/bin/sh\n'''exec' \"%b\" \"$0\" \"$@\"\n' '''\n" % python
    else:
        start = b"#!%b\n" % python
    return start + held[found.end() :]


def _moved_folder(held, old, new):
    """Replace one folder by another where a file names it as a path or as an address."""
    for before, after in ((os.fsencode(f(old)), os.fsencode(f(new))) for f in (Path.as_uri, str)):
        held = re.sub(re.escape(before) + rb"(?=[\r\n\"]|\Z)", lambda _, new=after: new, held)
    return held


def _rewrite(path, new):
    """Give a file other bytes, in one step; it keeps its mode."""
    beside = path.with_name(path.name + ".tmp")
    beside.write_bytes(new)
    shutil.copymode(path, beside)
    os.replace(beside, path)


def step(title, command):
    """Run one command; show a line for each package; stop with one sentence if it fails."""
    print(title, flush=True)
    started = time.monotonic()
    lines = []
    pipe = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    try:
        for line in pipe.stdout:
            lines.append(line)
            if line.startswith(("Collecting", "Installing", "Building", "Obtaining")):
                print(f"  {time.monotonic() - started:4.0f} s  {shorten(line)}", flush=True)
        status = pipe.wait()
    except KeyboardInterrupt:
        pipe.terminate()
        pipe.wait()  # until then nobody else may begin
        raise
    if status:
        print("".join(lines[-15:]), file=sys.stderr)
        stop(f"'{' '.join(command[:6])}' failed; the lines above say why.")


def shorten(line):
    """Cut a line of pip to what fits beside the clock."""
    line = line.strip()
    return line if len(line) <= 88 else line[:85] + "..."
