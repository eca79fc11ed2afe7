"""What only a CUDA device can show."""

import gc

import numpy as np
import pytest
import torch

import quantlab as ql
from quantlab import lm

from .test_load import dequantized

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]


@pytest.fixture(scope="module")
def on_gpu():
    return {name: lm.load("tiny-lm", name, device="cuda") for name in ("nf4", "int8", "fp16")}


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_perplexity_on_the_gpu_is_that_of_the_cpu(on_gpu, quantization, short_text):
    cpu = lm.load("tiny-lm", quantization, device="cpu").perplexity(short_text)
    # Both round to 16 bits in another order; the loads differ by less than bf16 does from fp32.
    assert on_gpu[quantization].perplexity(short_text) == pytest.approx(cpu, rel=0.005)


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_generation_on_the_gpu_starts_with_the_prompt(on_gpu, quantization):
    text = on_gpu[quantization].generate_text("Once upon a time", max_new_tokens=20)
    assert text.startswith("Once upon a time") and len(text.split()) > 8


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_a_load_allocates_what_memory_bytes_says(quantization):
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    model = lm.load("tiny-lm", quantization, device="cuda")
    taken = torch.cuda.memory_allocated() - before
    # The allocator rounds each tensor up to 512 bytes; the tables of bitsandbytes come on top.
    tensors = 3 * len(list(model.network.parameters())) + 10
    assert model.memory_bytes() <= taken <= model.memory_bytes() + 512 * tensors + 32_768


@pytest.mark.parametrize("block_size", [64, 128, 256, 4096])
def test_our_nf4_codes_are_those_of_the_cuda_kernel(block_size):
    from bitsandbytes.functional import quantize_4bit

    x = torch.randn(256, 512, generator=torch.Generator().manual_seed(0))
    packed, state = quantize_4bit(x.cuda(), blocksize=block_size, quant_type="nf4")
    ours = ql.quantize_blockwise(x.numpy(), ql.NF4, block_size)
    assert np.array_equal(packed.cpu().numpy().ravel(), ours.codes)
    assert np.array_equal(state.absmax.cpu().numpy(), ours.absmax)


def test_our_nf4_weights_are_those_of_the_cuda_load_on_every_layer(half):
    theirs = dict(lm.load("tiny-lm", "nf4", device="cuda").linears())
    for name, layer in lm.quantize(half, "nf4").linears():
        assert torch.equal(layer.weight, dequantized(theirs[name]).to("cpu", torch.bfloat16)), name


def test_a_model_on_the_gpu_can_be_quantized(on_gpu, short_text):
    small = lm.quantize(on_gpu["fp16"], "gptq", bits=4)
    assert small.device.type == "cuda"
    assert small.perplexity(short_text) < 1.1 * on_gpu["fp16"].perplexity(short_text)
