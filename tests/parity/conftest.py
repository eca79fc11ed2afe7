"""What the comparisons with torch need: quiet libraries and one order of additions."""

import logging

import pytest

from quantlab import _data


@pytest.fixture(autouse=True, scope="session")
def quiet_bitsandbytes():
    """bitsandbytes logs a warning per call for float32 inputs; the level has to stand first."""
    logging.getLogger("bitsandbytes").setLevel("ERROR")


@pytest.fixture
def one_thread():
    """torch.mean of more than 32,768 values is split by threads, which changes its last bit."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def uncompiled():
    """bitsandbytes compiles its Python fallbacks: 17 s for a function that runs in one."""
    torch = pytest.importorskip("torch")
    with torch.compiler.set_stance("force_eager"):
        yield


@pytest.fixture(scope="session")
def tiny_lm():
    """Every matrix of the course's model by name, as it is stored: bfloat16, (out, in)."""
    torch = pytest.importorskip("torch")
    load_file = pytest.importorskip("safetensors.torch").load_file
    tensors = load_file(_data.path("tiny-lm") / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    return {name: tensor for name, tensor in tensors.items() if tensor.ndim == 2}


@pytest.fixture(scope="session")
def inputs(tiny_lm):
    """What the first layer's attention is given on the calibration text: (tokens, in), float32."""
    torch = pytest.importorskip("torch")
    tokenizers = pytest.importorskip("tokenizers")
    load_file = pytest.importorskip("safetensors.torch").load_file
    folder = _data.path("tiny-lm")
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    text = (_data.path("texts") / "calibration.txt").read_text(encoding="utf-8")
    tokens = tokenizer.encode(text).ids[:2048]
    x = tiny_lm["model.embed_tokens.weight"].float()[tokens]
    gain = load_file(folder / "model.safetensors")["model.layers.0.input_layernorm.weight"]
    x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * gain.float()
    return x.numpy()
