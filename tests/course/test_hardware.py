"""What a machine has, in words that are true on every machine."""

import os
import subprocess
import sys

import pytest

from quantlab.course import hardware
from quantlab.course.hardware import Machine


def test_this_machine_has_a_core_and_memory():
    here = hardware.machine()
    assert here.cores >= 1
    assert here.memory_bytes > 10**8


def test_memory_is_at_most_what_is_installed():
    assert hardware.machine().memory_bytes <= hardware._installed_memory()


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("1000000000\n", 10**9), ("max\n", 64 * 10**9), (f"{2**63}", 64 * 10**9)],
)
def test_a_container_has_what_it_is_allowed(limit, expected, tmp_path, monkeypatch):
    file = tmp_path / "memory.max"
    file.write_text(limit)
    monkeypatch.setattr(hardware, "_LIMITS", (file, tmp_path / "none"))
    monkeypatch.setattr(hardware, "_installed_memory", lambda: 64 * 10**9)
    assert hardware._memory() == expected


WORDS = [
    (Machine(1, 8 * 10**9), "1 CPU core, 8.0 GB (7.5 GiB) of memory, GPU: none that torch can use"),
    (
        Machine(2, 8 * 10**9, torch=False),
        "GPU: unknown (torch, which would find it, is not installed)",
    ),
    (Machine(2, 10**10, "T4", 15_843_721_216), "GPU: T4 with 15.8 GB (14.8 GiB) of its own"),
    (Machine(8, 10**10, "Apple's"), "GPU: Apple's, which shares that memory"),
]


@pytest.mark.parametrize(("machine", "words"), WORDS)
def test_a_machine_is_told_in_one_line(machine, words):
    assert words in str(machine)
    assert "\n" not in str(machine)


def test_importing_hardware_does_not_import_torch():
    code = "import sys; import quantlab.course.hardware; print('torch' in sys.modules)"
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    assert done.stdout.strip() == "False"


def test_without_torch_no_gpu_is_claimed(monkeypatch):
    monkeypatch.setattr(hardware.importlib.util, "find_spec", lambda name: None)
    assert hardware.machine().gpu is None
    assert not hardware.machine().torch
