"""What this machine can do: which device, which 16-bit format, how much free memory and disk."""

import errno
import shutil
from pathlib import Path

from .._checks import shown


def best_device(device=None):
    """Return `device`; for None or "auto" "cuda" if there is one that torch can use, else "cpu".

    Raises ValueError for a device that torch cannot use here or that the course has never been run
    on, TypeError for what is neither text nor a `torch.device`.
    """
    import torch

    available = torch.cuda.is_available()
    if device is None or device == "auto":
        return "cuda" if available else "cpu"
    if not isinstance(device, (str, torch.device)):
        raise TypeError(f"device must be None, 'cpu' or 'cuda', got {shown(device)}")
    kind, _, index = str(device).partition(":")
    if kind == "cuda" and not available:
        raise ValueError(
            f"device={device!r}: torch {torch.__version__} sees no CUDA device. Leave device=None "
            "for the CPU; on Colab choose Runtime > Change runtime type > T4 GPU."
        )
    if kind == "mps":
        raise ValueError(
            f"device={device!r} is not served: no load of the course has been tried on a Mac's "
            "GPU. Leave device=None for the CPU; tiny-lm is quick there."
        )
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"device must be None, 'auto', 'cpu' or 'cuda', got {shown(device)}")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if index and not (index.isdigit() and int(index) < count):
        raise ValueError(f"device={device!r}: the last {kind} device is {kind}:{count - 1}")
    return str(device)


def has_bf16(device):
    """True if `device` computes in bfloat16 (a GPU before Ampere, such as a T4, does not)."""
    import torch

    if torch.device(device).type == "cpu":
        return True  # slowly on some, but exactly
    return torch.cuda.get_device_capability(device)[0] >= 8


def free_bytes(device):
    """Return the memory, in bytes, that `device` can still give.

    On a GPU what torch has asked for and does not use counts as free: it gives that out first.
    """
    import torch

    if torch.device(device).type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    import psutil

    return psutil.virtual_memory().available


def check_memory(needed, device, what, others=None, headroom=0.1):
    """Raise MemoryError if `needed` bytes and `headroom` of them do not fit on `device`.

    others: bytes by name, for the ways in which the same model could be loaded. The message names
    the largest that fits, or says that none does.
    """
    free = free_bytes(device)
    if needed * (1 + headroom) <= free:
        return
    others = others or {}
    fits = {name: size for name, size in others.items() if size * (1 + headroom) <= free}
    if fits:
        best = max(fits, key=fits.get)
        advice = f"With {best} it needs {_in_words(fits[best])} and fits. Or take"
    elif others:
        least = min(others, key=others.get)
        advice = f"None of its loads fits: the smallest, {least}, needs {_in_words(others[least])}."
        advice += " Take"
    else:
        advice = "Take"
    raise MemoryError(
        f"{what} needs about {_in_words(needed)} for its weights and {headroom:.0%} on top; "
        f"{device} has {_in_words(free)} free. {advice} a smaller model, or free memory: restart "
        "the kernel, or del the models not needed."
    )


def check_disk(needed, folder, what):
    """Raise OSError (ENOSPC) if `needed` bytes do not fit on the disk of `folder`, made or not."""
    folder = Path(folder).expanduser().absolute()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise disk_is_full(
            folder, f"{what} is {_in_words(needed)} more; {_in_words(free)} are free"
        )


def disk_is_full(folder, why):
    """Return the OSError (ENOSPC) for a download to `folder` that has no room."""
    advice = "Delete what is not needed (hf cache rm), or set HF_HOME to a folder with more room."
    return OSError(errno.ENOSPC, f"the disk of {folder} is full: {why}. {advice}")


def used_bytes(device):
    """Return the bytes that torch holds on a GPU, or that this process holds in main memory."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.memory_allocated(device)
    import psutil

    return psutil.Process().memory_info().rss


def forget_peak(device):
    """Let `peak_bytes` start anew from what is held now."""
    import torch

    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device):
    """Return the most that torch held on a GPU at once; None for a CPU, where nothing counts it."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return None


def wait_for(device):
    """Wait until a GPU has done what it was asked to do: Python goes on while it works."""
    import torch

    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def _in_words(size):
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
