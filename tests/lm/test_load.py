"""Loading: what is served, what is refused, and that the network is left alone."""

import socket
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from quantlab import _data, lm
from quantlab.lm import loading


def dequantized(layer):
    """Return a bitsandbytes 4-bit layer's weights, (out, in)."""
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(layer.weight.data, layer.weight.quant_state)


def test_importing_lm_loads_no_torch():
    code = "import sys; from quantlab import lm; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_bundled_model_loads_without_opening_a_socket(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert lm.load("tiny-lm", "fp32", device="cpu").network.num_parameters() > 3e6


def test_bundled_model_is_at_most_12_megabytes_on_disk():
    assert sum(f.stat().st_size for f in _data.path("tiny-lm").iterdir()) <= 12e6


def test_every_linear_dimension_is_a_multiple_of_64(half):
    for name, layer in half.linears():
        assert layer.in_features % 64 == 0 and layer.out_features % 64 == 0, name


def test_a_folder_loads_like_the_bundled_name(exact):
    other = lm.load(_data.path("tiny-lm"), "fp32", device="cpu")
    assert all(
        torch.equal(a, b)
        for a, b in zip(exact.network.parameters(), other.network.parameters(), strict=True)
    )


def test_embeddings_norms_and_head_stay_16_bits_in_a_4_bit_load(four_bit):
    linears = {id(layer.weight) for _, layer in four_bit.linears()}
    others = [p for p in four_bit.network.parameters() if id(p) not in linears]
    assert {p.dtype for p in others} == {torch.bfloat16}


def test_all_linear_layers_are_4_bit_in_a_4_bit_load(four_bit):
    from bitsandbytes.nn import Linear4bit

    assert len(four_bit.linears()) == 7 * four_bit.network.config.num_hidden_layers
    assert all(type(layer) is Linear4bit for _, layer in four_bit.linears())


def test_4_bit_load_generates_readable_english(four_bit, text):
    written = four_bit.generate_text("Once upon a time", max_new_tokens=40)
    assert written.startswith("Once upon a time")
    words = written.lower().split()[4:]
    known = set(text.lower().split())
    # Most words of the continuation are words that the evaluation stories use, too.
    assert len(words) > 20 and np.mean([word in known for word in words]) > 0.6


def test_4_bit_perplexity_is_within_5_percent_of_fp32(four_bit, exact, short_text):
    # The measured cost of NF4 on this model is about 1%; 5 leaves room for other CPUs' bf16.
    assert four_bit.perplexity(short_text) < 1.05 * exact.perplexity(short_text)


def test_reading_a_text_changes_no_stored_byte_on_any_cpu(short_text):
    model = lm.load("tiny-lm", "nf4", device="cpu", double_quant=True)
    name, layer = model.linears()[0]
    before, bytes_before = layer.weight.data.clone(), model.memory_bytes()
    model.perplexity(short_text[:400])
    assert torch.equal(layer.weight.data, before), name
    assert model.memory_bytes() == bytes_before and layer.weight.quant_state.nested


def test_bits_and_bytes_config_is_taken_as_it_is():
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    ours = lm.load("tiny-lm", config, device="cpu")
    assert ours.quantization == "nf4"
    assert ours.memory_bytes() == lm.load("tiny-lm", "nf4", "cpu", double_quant=True).memory_bytes()


@pytest.mark.parametrize("name", ["tiny_lm", "gpt2", "no/such/folder", ""])
def test_an_unknown_name_says_what_would_do(name):
    with pytest.raises(ValueError, match=r"give 'tiny-lm', a folder .* or a hub id"):
        lm.load(name)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has no config\.json"):
        lm.load(tmp_path)


def test_an_unknown_quantization_lists_what_is_served():
    with pytest.raises(ValueError, match="one of fp32, bf16, fp16, int8, nf4, fp4, got 'int3'"):
        lm.load("tiny-lm", "int3")


def test_double_quant_is_refused_where_there_are_no_blocks():
    with pytest.raises(ValueError, match="double_quant is for 'nf4' and 'fp4', got 'int8'"):
        lm.load("tiny-lm", "int8", double_quant=True)


def test_a_hub_id_without_network_says_to_use_the_bundled_model(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match=r"cannot reach the hub.*or use 'tiny-lm'"):
        lm.load("Qwen/no-such-model-in-the-cache")


def hub_error(kind, status):
    """Return an error as huggingface_hub raises it for a response with this status."""
    import httpx

    request = httpx.Request("GET", "https://huggingface.co/a/b")
    return kind("refused", response=httpx.Response(status, request=request))


@pytest.mark.parametrize(
    ("hub_class", "status", "raised", "advice"),
    [
        ("GatedRepoError", 403, PermissionError, "gated: accept its licence at .*open model"),
        ("RepositoryNotFoundError", 401, FileNotFoundError, "the hub has no model 'a/b'"),
    ],
)
def test_what_the_hub_refuses_says_what_to_do(monkeypatch, hub_class, status, raised, advice):
    import huggingface_hub

    def refuse(*args, **kwargs):
        raise hub_error(getattr(huggingface_hub.errors, hub_class), status)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(raised, match=advice):
        lm.load("a/b")


def test_no_bitsandbytes_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ImportError, match="pip install bitsandbytes"):
        lm.load("tiny-lm", "nf4", device="cpu")


def test_too_little_memory_is_said_before_anything_is_loaded(monkeypatch):
    monkeypatch.setattr("quantlab.lm.machine.free_bytes", lambda device: 1e6)
    monkeypatch.setattr(loading, "_load", lambda *args: pytest.fail("it was loaded"))
    with pytest.raises(MemoryError, match=r"tiny-lm in bf16 needs about .* has 0\.0 GB free"):
        lm.load("tiny-lm", device="cpu")


@pytest.mark.parametrize("quantization", ["fp32", "bf16", "int8", "nf4"])
def test_the_estimate_before_a_load_is_within_2_percent_of_the_model(quantization):
    dtype, config = loading._precision(quantization, "cpu", False)
    estimate = loading.estimate_bytes(_data.path("tiny-lm"), dtype, config)
    assert estimate == pytest.approx(
        lm.load("tiny-lm", quantization, device="cpu").memory_bytes(), rel=0.02
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_cuda_without_a_cuda_device_says_so():
    with pytest.raises(ValueError, match="sees no CUDA device"):
        lm.load("tiny-lm", device="cuda")


def test_a_gpu_without_bf16_is_told_to_use_fp16(monkeypatch):
    monkeypatch.setattr(loading, "best_device", lambda device: "cuda")
    monkeypatch.setattr(loading, "has_bf16", lambda device: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    with pytest.raises(ValueError, match=r"Tesla T4 does not compute in bfloat16.*'fp16'"):
        lm.load("tiny-lm", "bf16")


def test_4_bits_on_a_gpu_without_bf16_compute_in_fp16(monkeypatch):
    monkeypatch.setattr(loading, "has_bf16", lambda device: False)
    dtype, config = loading._precision("nf4", "cuda", False)
    assert dtype == config.bnb_4bit_compute_dtype == torch.float16


def test_weights_come_from_safetensors_and_never_with_code(monkeypatch):
    import transformers

    seen = SimpleNamespace(options=None)

    def capture(source, **options):
        seen.options = options
        raise RuntimeError("far enough")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", capture)
    with pytest.raises(RuntimeError, match="far enough"):
        lm.load("tiny-lm", "bf16", device="cpu")
    assert seen.options["use_safetensors"] and not seen.options["trust_remote_code"]
    assert seen.options["local_files_only"]


@pytest.mark.parametrize("quantization", ["fp32", "bf16", "int8", "nf4"])
def test_the_bytes_are_predicted_from_the_shape_within_2_percent(quantization):
    loaded = lm.load("tiny-lm", quantization, "cpu").memory_bytes()
    assert loading.predict_bytes("tiny-lm", quantization, "cpu") == pytest.approx(loaded, rel=0.02)
