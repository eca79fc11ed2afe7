"""The machine: devices that are served, memory and disk that are free, and what to do if not."""

import errno
from types import SimpleNamespace

import pytest
import torch

from quantlab.lm import machine

GB = 10**9


@pytest.fixture
def two_gpus(monkeypatch):
    """Pretend that torch sees two CUDA devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize("device", [None, "auto"])
def test_none_and_auto_are_the_best_there_is(device, monkeypatch):
    for there, best in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert machine.best_device(device) == best


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1", torch.device("cuda:0")])
def test_a_device_that_is_there_is_taken_by_name(two_gpus, device):
    assert machine.best_device(device) == str(device)


@pytest.mark.parametrize(
    ("device", "error", "message"),
    [
        ("mps", ValueError, "'mps' is not served.*Mac's GPU. Leave device=None for the CPU"),
        ("cuda:2", ValueError, "'cuda:2': the last cuda device is cuda:1"),
        ("cuda:x", ValueError, "'cuda:x': the last cuda device is cuda:1"),
        ("gpu", ValueError, "must be None, 'auto', 'cpu' or 'cuda', got 'gpu'"),
        (0, TypeError, "must be None, 'cpu' or 'cuda', got 0"),
    ],
)
def test_a_device_that_is_not_served_says_which_are(two_gpus, device, error, message):
    with pytest.raises(error, match=message):
        machine.best_device(device)


def test_what_torch_holds_and_does_not_use_counts_as_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * GB, 16 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 9 * GB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 4 * GB)
    assert machine.free_bytes("cuda") == 7 * GB


LOADS = {
    "quantization='fp32'": 28 * GB,
    "quantization='bf16'": 14 * GB,
    "quantization='nf4'": 4 * GB,
}


@pytest.fixture
def free(monkeypatch):
    """Return a function that sets how many bytes are free."""
    return lambda size: monkeypatch.setattr(machine, "free_bytes", lambda device: size)


def test_what_fits_with_its_headroom_raises_nothing(free):
    free(15.5 * GB)
    machine.check_memory(14 * GB, "cuda", "it", LOADS)


@pytest.mark.parametrize(("size", "best"), [(16, "bf16"), (15, "nf4"), (5, "nf4")])
def test_too_little_memory_names_the_largest_load_that_fits(free, size, best):
    free(size * GB)
    with pytest.raises(MemoryError, match=rf"With quantization='{best}' it needs .* GB and fits"):
        machine.check_memory(28 * GB, "cuda", "it in fp32", LOADS)


def test_if_no_load_fits_the_message_says_so_and_names_the_smallest(free):
    free(3 * GB)
    with pytest.raises(MemoryError, match=r"None of its loads fits: the smallest, .*nf4.* 4\.0 GB"):
        machine.check_memory(4 * GB, "cuda", "it in nf4", LOADS)


def test_a_model_that_loads_in_one_way_only_gets_no_other_suggested(free):
    free(3 * GB)
    with pytest.raises(MemoryError, match=r"3\.0 GB free\. Take a smaller model"):
        machine.check_memory(4 * GB, "cuda", "it")


def test_a_disk_with_too_little_room_is_said_to_be_full(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=2 * GB))
    with pytest.raises(OSError, match=r"is full: it is 3\.0 GB more; 2\.0 GB are free") as caught:
        machine.check_disk(3 * GB, tmp_path / "not" / "made yet", "it")
    assert caught.value.errno == errno.ENOSPC


def test_a_disk_with_room_is_let_pass(tmp_path):
    machine.check_disk(1, tmp_path / "not" / "made yet", "it")
