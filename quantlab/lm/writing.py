"""What is written appears whole or not at all, and a full disk is said as one."""

import contextlib
import errno
import re
import tempfile
from pathlib import Path

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
# What safetensors (Rust's own errors), NumPy's tofile and torch's writer say instead of a number.
_SAID = re.compile(
    r"\(os error (28|27|122)\)|\d+ requested and \d+ written|unexpected pos \d+ vs \d+"
)


@contextlib.contextmanager
def beside(path):
    """Yield a new folder beside `path`, in which it is written; the folder is gone afterwards.

    Raises OSError (ENOSPC), with the path, where the disk has no room for what is written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            yield Path(folder)
    except Exception as error:
        if getattr(error, "errno", None) in _FULL or _SAID.search(str(error)):
            said = "the disk has no room for it, and nothing was written"
            raise OSError(errno.ENOSPC, said, str(path)) from error
        raise
