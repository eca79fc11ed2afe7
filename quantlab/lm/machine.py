"""What this machine can do: which device, which 16-bit format, how much free memory."""


def best_device(device=None):
    """Return `device`, or "cuda" if there is one that torch can use, else "cpu".

    Raises ValueError for a device that torch cannot use here.
    """
    import torch

    available = torch.cuda.is_available()
    if device is None:
        return "cuda" if available else "cpu"
    kind = torch.device(device).type
    if kind == "cpu" or (kind == "cuda" and available):
        return str(device)
    if kind == "cuda":
        raise ValueError(
            f"device={device!r}: torch {torch.__version__} sees no CUDA device. Leave device=None "
            "for the CPU; on Colab choose Runtime > Change runtime type > T4 GPU."
        )
    raise ValueError(f"device must be None, 'cpu' or 'cuda', got {device!r}")


def has_bf16(device):
    """True if `device` computes in bfloat16 (a GPU before Ampere, such as a T4, does not)."""
    import torch

    if torch.device(device).type == "cpu":
        return True  # slowly on some, but exactly
    return torch.cuda.get_device_capability(device)[0] >= 8


def free_bytes(device):
    """Return the memory, in bytes, that `device` can still give."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return psutil.virtual_memory().available


def check_memory(needed, device, what, headroom=0.1):
    """Raise MemoryError if `needed` bytes and `headroom` of them do not fit on `device`."""
    free = free_bytes(device)
    if needed * (1 + headroom) > free:
        raise MemoryError(
            f"{what} needs about {needed / 1e9:.1f} GB for its weights and {headroom:.0%} on top; "
            f"{device} has {free / 1e9:.1f} GB free. Choose fewer bits (quantization='nf4'), a "
            "smaller model, or free memory: restart the kernel, or del the models not needed."
        )


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
