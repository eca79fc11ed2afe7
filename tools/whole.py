"""Files and folders that appear whole or not at all: until then stands what stood there before."""

import contextlib
import errno
import os
import sys
import tempfile
from pathlib import Path

NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextlib.contextmanager
def new_file(path):
    """Yield the path of a draft beside `path`, which takes its place if the block ends well."""
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, path.stat().st_mode if path.exists() else 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def replace_file(path, content):
    """Write `content` to `path` in one step: a reader sees the old file or the new one, whole."""
    with new_file(path) as draft:
        draft.write_text(content, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def new_folder(out):
    """Yield an empty folder beside `out`, which takes its place if the block ends well."""
    out = Path(out).absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".tmp", dir=out.parent)
    with beside as place:
        made = Path(place) / "new"
        made.mkdir()
        yield made
        if out.exists():
            out.rename(Path(place) / "old")
        made.rename(out)


def in_words(main):
    """Run `main` and leave with its status; Ctrl-C and a full disk end it with one sentence."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nStopped. What was to be written anew is as it was before.", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        sys.exit(f"Stopped: {error}. What was to be written anew is as it was before.")
