"""Fake quantization against torchao's, 4-bit gradients against bitsandbytes', merging with peft."""

import numpy as np
import pytest

import quantlab as ql
from quantlab import lm

torch = pytest.importorskip("torch")
import peers  # noqa: E402

KINDS = {"absmax": "SYMMETRIC", "zero_point": "ASYMMETRIC"}


@pytest.fixture(scope="module")
def weights():
    random = torch.Generator().manual_seed(0)
    return torch.randn(256, 128, generator=random) * torch.rand(256, 1, generator=random).exp()


def fake_quantizer(dtype, group_size, symmetric, scale, zero_point):
    """torchao's own, on a grid that is given."""
    qat = pytest.importorskip("torchao.quantization.qat", reason="torchao is not installed")
    config = qat.IntxFakeQuantizeConfig(
        dtype, group_size=group_size, is_symmetric=symmetric, is_dynamic=False
    )
    made = qat.IntxFakeQuantizer(config)
    made.scale, made.zero_point = scale, zero_point
    return made


@pytest.mark.parametrize("bits, dtype", [(2, "int2"), (4, "int4"), (8, "int8")])
@pytest.mark.parametrize("method", KINDS)
def test_values_are_those_of_torchaos_fake_quantizer(weights, method, bits, dtype):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    least = float(np.finfo(np.float32).tiny)
    low += method == "absmax"  # ours leaves the lowest code unused
    pytest.importorskip("torchao", reason="torchao is not installed")
    _, scale, zero = peers.torchao_quantize(weights, KINDS[method], 32, low, high, eps=least)
    theirs = fake_quantizer(getattr(torch, dtype), 32, method == "absmax", scale, zero)
    ours = lm.fake_quantize(weights, method, bits=bits, group_size=32)
    assert torch.equal(theirs(weights), ours)


def test_inside_the_grid_the_gradient_is_torchaos(weights):
    """torchao gives none to what is clipped; on a grid of the range itself that is nothing."""
    mine, other = (weights.clone().requires_grad_() for _ in range(2))
    q = ql.quantize_absmax(weights.numpy(), 4, axis=1, group_size=32)
    scale = torch.from_numpy(q.scale)
    theirs = fake_quantizer(torch.int4, 32, True, scale, torch.zeros_like(scale, dtype=torch.int32))
    slope = torch.arange(float(weights.numel())).reshape(weights.shape)
    (theirs(other) * slope).sum().backward()
    (lm.fake_quantize(mine, "absmax", bits=4, group_size=32) * slope).sum().backward()
    # Theirs is multiplied by the step and by its inverse: three roundings.
    assert ((mine.grad - other.grad).abs() <= 3 * 2.0**-24 * slope).all()


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("nested", [False, True])
def test_the_backward_of_4_bits_is_that_through_dequantized_weights(weights, kind, nested):
    bnb = pytest.importorskip("bitsandbytes")
    layer = bnb.nn.Linear4bit(
        128,
        256,
        bias=False,
        compute_dtype=torch.float32,
        quant_type=kind,
        compress_statistics=nested,
    )
    layer.load_state_dict({"weight": weights})
    layer = layer.to("cpu").train()
    x = torch.randn(4, 128, generator=torch.Generator().manual_seed(1), requires_grad=True)
    up = torch.randn(4, 256, generator=torch.Generator().manual_seed(2))
    layer(x).backward(up)
    book = {"nf4": ql.NF4, "fp4": ql.FP4}[kind]
    plain = ql.quantize_blockwise(weights.numpy(), book, 64, nested).dequantize()
    expected = up.double() @ torch.from_numpy(plain).double()
    # 256 products in float32: at most 256 * 2^-24 of the sum of their magnitudes.
    bound = 256 * 2.0**-24 * (up.double().abs() @ torch.from_numpy(plain).double().abs())
    assert ((x.grad.double() - expected).abs() <= bound).all()
    assert layer.weight.grad is None


def test_pefts_merge_is_w_plus_b_a():
    pytest.importorskip("peft")
    model = lm.add_lora(lm.load("tiny-lm", "fp32", device="cpu"), rank=4, alpha=8)
    random = torch.Generator().manual_seed(0)
    for layer in model.network.modules():
        if hasattr(layer, "lora_B"):
            b = layer.lora_B["default"].weight
            b.data = torch.randn(b.shape, generator=random)
    merged = lm.merge_lora(model)
    for name, plain in merged.linears():
        layer = model.network.get_submodule(name)
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        assert torch.equal(plain.weight, layer.base_layer.weight + (b @ a) * 2.0)
