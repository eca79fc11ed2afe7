"""The most memory that a call takes on top of what was there before, as the system counts it."""

import ctypes
import gc
from pathlib import Path

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _kilobytes(field):
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


def peak_extra(work):
    """Return the bytes that ``work()`` takes at its peak, its result included; None off Linux.

    The same for NumPy and torch, whose allocators no Python tool sees alike: Linux keeps the
    process's high-water mark, and writing 5 into clear_refs sets it back to the present.
    """
    if not RESET.exists():
        return None
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else freed memory would be used again, and not counted
    RESET.write_text("5")
    before = _kilobytes("VmRSS")
    result = work()
    peak = _kilobytes("VmHWM")
    del result
    return 1024 * max(0, peak - before)
