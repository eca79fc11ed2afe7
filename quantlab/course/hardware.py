"""What this machine has: cores, memory and, if torch sees one, a GPU."""

import importlib.util
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

# A container may be allowed less than its machine has: version 2 and version 1 of Linux's limits.
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


@dataclass(frozen=True)
class Machine:
    """What a computer has to hold and run a model.

    cores: CPU cores that this process may use. memory_bytes: main memory that it may use.
    gpu: the name of the first GPU, or None. gpu_bytes: the GPU's own memory, or None if it has none
    (Apple's GPU shares the main memory). torch: whether torch is installed to look for a GPU.
    """

    cores: int
    memory_bytes: int
    gpu: str | None = None
    gpu_bytes: int | None = None
    torch: bool = True

    def __str__(self):
        memory = f"{_size(self.memory_bytes)} of memory"
        return f"{self._cores_in_words()}, {memory}, {self._gpu_in_words()}"

    @property
    def name(self):
        """The part that computes, in two or three words."""
        return self.gpu or self._cores_in_words()

    def _cores_in_words(self):
        return f"{self.cores} CPU core{'' if self.cores == 1 else 's'}"

    def _gpu_in_words(self):
        if self.gpu and self.gpu_bytes:
            return f"GPU: {self.gpu} with {_size(self.gpu_bytes)} of its own"
        if self.gpu:
            return f"GPU: {self.gpu}, which shares that memory"
        if not self.torch:
            return "GPU: unknown (torch, which would find it, is not installed)"
        return "GPU: none that torch can use"


def machine():
    """Return this `Machine`. Imports torch if it is installed, which takes a second or two."""
    has_torch = importlib.util.find_spec("torch") is not None
    gpu, gpu_bytes = _gpu() if has_torch else (None, None)
    return Machine(_cores(), _memory(), gpu, gpu_bytes, has_torch)


def _size(size):
    return f"{size / 10**9:.1f} GB ({size / 2**30:.1f} GiB)"


def _cores():
    if hasattr(os, "sched_getaffinity"):  # Linux: a scheduler may give a process fewer than all
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory():
    limits = [path.read_text().strip() for path in _LIMITS if path.is_file()]
    return min([_installed_memory(), *(int(limit) for limit in limits if limit.isdigit())])


def _installed_memory():
    system = platform.system()
    if system == "Windows":
        return _windows_memory()
    if system == "Darwin":
        return int(subprocess.check_output(["sysctl", "-n", "hw.memsize"]))
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _windows_memory():
    import ctypes

    class Status(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API: two numbers of 32 bits, then seven of 64."""

        _fields_ = [
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            ("total", ctypes.c_uint64),
            ("others", ctypes.c_uint64 * 6),
        ]

    status = Status(length=ctypes.sizeof(Status))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        raise ctypes.WinError()
    return status.total


def _gpu():
    """Return (name, bytes) of the first GPU that torch can use, else (None, None)."""
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return properties.name, properties.total_memory
    if torch.backends.mps.is_available():
        return "Apple's", None
    return None, None
