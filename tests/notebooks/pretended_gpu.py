"""A GPU that is not there: torch says that it has one, and what is put on it behaves as if.

A tensor "on the GPU" is an ordinary one of a class of its own, computed on the CPU. It names its
device as cuda:0, and refuses what a real one refuses: to become a NumPy array, and to meet a
tensor of the CPU in one operation. So a notebook that would stop on a machine with a GPU stops
here too. What a real GPU rounds or lacks is not pretended: the `gpu` tests are for that.

What torch "holds on the GPU" are the bytes of all tensors that are alive, wherever they say they
are: bitsandbytes' packed weights stay ordinary ones. Their peak is looked at only when it is asked.
"""

import atexit
import functools
import gc
import logging
import shutil
import tempfile
import types
from pathlib import Path

import torch

CUDA = torch.device("cuda", 0)
NAME = "Pretended GPU"
FREE, TOTAL = 20 * 10**9, 24 * 2**30
FILLED = ["empty", "full", "ones", "rand", "randn", "zeros"]
FACTORIES = [
    *["arange", "as_tensor", "empty_strided", "eye", "linspace", "logspace", "randint"],
    *["randperm", "tensor", *FILLED, *(f"{name}_like" for name in FILLED)],
]
# These copy or look between devices; a real GPU lets them.
ACROSS = {"copy_", "__get__", "__set__", "__getitem__", "__setitem__", "set_", "type_as"}
ANSWERS = {
    "is_available": True,
    "is_initialized": True,
    "is_bf16_supported": True,
    "device_count": 1,
    "current_device": 0,
    "get_device_name": NAME,
    "get_device_capability": (8, 0),
    "mem_get_info": (FREE, TOTAL),
    "memory_reserved": 0,
    "reset_peak_memory_stats": None,
    "empty_cache": None,
    "synchronize": None,
    "_lazy_init": None,
    "get_rng_state": None,
    "set_rng_state": None,
    "manual_seed_all": None,
    "get_device_properties": types.SimpleNamespace(
        name=NAME, total_memory=TOTAL, major=8, minor=0, multi_processor_count=1
    ),
}


class OnGpu(torch.Tensor):
    """A tensor that says it is on the GPU."""

    @property
    def device(self):
        return CUDA

    @property
    def is_cuda(self):
        return True

    def get_device(self):
        return 0

    def numpy(self, *args, **kwargs):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")

    __array__ = numpy

    def __deepcopy__(self, memo):
        copied = _as(OnGpu, _as(torch.Tensor, self).detach().clone())
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, self.requires_grad)
        return memo.setdefault(id(self), copied)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        _check_devices(func, args)
        return super().__torch_function__(func, types, args, _on_cpu(kwargs or {}))


def install():
    """From now on torch has a GPU. Libraries that look for one at import are imported first."""
    logging.getLogger("bitsandbytes").setLevel("ERROR")
    import bitsandbytes
    import transformers  # noqa: F401

    torch.utils._device._device_constructors()  # it keeps the functions that it sees first
    for layer in (bitsandbytes.nn.Linear4bit, bitsandbytes.nn.Linear8bitLt):
        layer.forward = _on_the_cpu(layer.forward)
    # A torch built with CUDA would ask the driver, which is not there.
    torch.accelerator.current_accelerator = lambda check_available=False: None
    for name, answer in ANSWERS.items():
        setattr(torch.cuda, name, lambda *args, _answer=answer, **kwargs: _answer)
    torch.cuda.memory_allocated = torch.cuda.max_memory_allocated = _bytes_alive
    for name in FACTORIES:
        setattr(torch, name, _factory(getattr(torch, name)))
    torch.Tensor.to = _to(torch.Tensor.to)
    torch.Tensor.cuda = lambda self, *args, **kwargs: self.to(CUDA)
    torch.Tensor.cpu = lambda self, *args, **kwargs: self.to("cpu")
    torch.nn.Module.to = _module_to(torch.nn.Module.to)


def shorten_texts(characters):
    """Let the course's texts end early: where a tensor lies doesn't depend on how many follow."""
    from quantlab import _data

    folder, path = Path(tempfile.mkdtemp()), _data.path
    atexit.register(shutil.rmtree, folder)
    for file in path("texts").glob("*.txt"):
        short = file.read_text(encoding="utf-8")[:characters]
        (folder / file.name).write_text(short, encoding="utf-8")
    _data.path = lambda name: folder if name == "texts" else path(name)


def _bytes_alive(device=None):
    """Return the bytes of all tensors alive; what two of them share counts once."""
    tensors = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]
    with torch._C.DisableTorchFunctionSubclass():
        storages = [t.untyped_storage() for t in tensors if not t.is_meta]
        return sum({s.data_ptr(): s.nbytes() for s in storages}.values())


def _is_cuda(device):
    return device is not None and torch.device(device).type == "cuda"


def _on_cpu(kwargs):
    return {**kwargs, "device": "cpu"} if _is_cuda(kwargs.get("device")) else kwargs


def _as(kind, tensor):
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.as_subclass(kind)


def _on_the_cpu(forward):
    """Let bitsandbytes take its way for a CPU: its kernels ask a tensor where it is."""

    @functools.wraps(forward)
    def forwarded(self, x, *args, **kwargs):
        with torch._C.DisableTorchFunctionSubclass():
            out = forward(self, x.as_subclass(torch.Tensor), *args, **kwargs)
        return _as(OnGpu, out) if isinstance(x, OnGpu) else out

    return forwarded


def _factory(make):
    @functools.wraps(make)
    def made(*args, **kwargs):
        out = make(*args, **_on_cpu(kwargs))
        return _as(OnGpu, out) if _is_cuda(kwargs.get("device")) else out

    return made


def _to(original):
    def to(self, *args, copy=False, **kwargs):
        device, dtype, _, layout = torch._C._nn._parse_to(*args, **kwargs)
        if any(isinstance(a, OnGpu) for a in args):
            device = CUDA
        wanted = {"dtype": dtype, "memory_format": layout, "copy": copy or None}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        if device is not None and not _is_cuda(device):
            wanted["device"] = device
        with torch._C.DisableTorchFunctionSubclass():
            out = original(self, **wanted) if wanted else self
        if device is None:
            return _as(OnGpu, out) if isinstance(self, OnGpu) else out
        if _is_cuda(device):
            return _as(OnGpu, out)
        return _as(torch.Tensor, out) if isinstance(out, OnGpu) else out

    return to


def _module_to(original):
    @functools.wraps(original)
    def to(self, *args, **kwargs):
        # On its way to the GPU a module gets new parameters: their class is another one there.
        overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
        there = _is_cuda(torch._C._nn._parse_to(*args, **kwargs)[0])
        torch.__future__.set_overwrite_module_params_on_conversion(there)
        try:
            return original(self, *args, **kwargs)
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(overwrite)

    return to


def _check_devices(func, args):
    if isinstance(func, torch._ops.OpOverload) or func.__name__ in ACROSS:
        return  # bitsandbytes' own operations: its packed weights stay ordinary tensors
    flat = [a for arg in args for a in (arg if isinstance(arg, (list, tuple)) else [arg])]
    kinds = {isinstance(a, OnGpu) for a in flat if isinstance(a, torch.Tensor) and a.ndim}
    if len(kinds) == 2:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but {func.__name__} found cuda:0 and "
            "cpu"
        )
