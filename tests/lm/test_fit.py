"""Bytes that are planned from a config, beside those of a loaded model and of a written file."""

import gguf
import pytest

from quantlab import _data, fit, lm


@pytest.fixture(scope="module")
def plan():
    """What tiny-lm takes, from its config.json."""
    return fit.plan(_data.path("tiny-lm"), context=256)


@pytest.mark.parametrize("name", ["fp32", "bf16", "int8", "nf4"])
def test_a_load_takes_the_bytes_that_are_planned(plan, name):
    assert lm.load("tiny-lm", name, device="cpu").memory_bytes() == plan.weight_bytes[name]


def test_a_load_with_nested_scales_takes_the_bytes_that_are_planned(plan):
    model = lm.load("tiny-lm", "nf4", device="cpu", double_quant=True)
    assert model.memory_bytes() == plan.weight_bytes["nf4-nested"]


@pytest.mark.parametrize("type", fit.FILES)
def test_the_tensors_of_a_file_take_the_bytes_that_are_planned(plan, exact, type, tmp_path):
    file = lm.export_gguf(exact, tmp_path / "model.gguf", type)
    tensors = gguf.GGUFReader(file.path).tensors
    assert sum(int(tensor.n_bytes) for tensor in tensors) == plan.weight_bytes[type]
    assert 0 < file.bytes - plan.weight_bytes[type] < 100_000  # the tokenizer, and the names
