"""MXFP4 and NVFP4 where other libraries have them: the same codes, or the difference by name.

gguf and libgguf encode as llama.cpp does, compressed-tensors as vLLM reads it, and transformers
reads the files of gpt-oss.
"""

import numpy as np
import pytest

import quantlab as ql

ROWS, COLUMNS = 512, 512


def normal(size=1.0, seed=0):
    x = np.random.default_rng(seed).standard_normal((ROWS, COLUMNS))
    return (size * x).astype(np.float32)


def adversarial():
    """Ties, neighbours of ties, zeros and rows of very different size."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    x[::4] = np.rint(8 * x[::4]) / 8
    x[1::4] = np.nextafter(np.rint(8 * x[1::4]) / 8, x[1::4])
    x[2::4] *= np.exp2(rng.integers(-30, 30, (ROWS // 4, 1))).astype(np.float32)
    x[3::4, : COLUMNS // 2] = 0
    return x


both = pytest.mark.parametrize("x", [normal(), adversarial()], ids=["normal", "adversarial"])


class Llama:
    """What llama.cpp's blocks hold: scales as stored and codes in the order of the values."""

    def mxfp4(self, x, quantize, kind):
        blocks = np.asarray(quantize(x, kind.MXFP4)).reshape(-1, 17)
        return blocks[:, 0], self._codes(blocks[:, 1:], 16)

    def nvfp4(self, x):
        libgguf = pytest.importorskip("libgguf")
        kind = libgguf.GGMLQuantizationType.NVFP4
        blocks = np.asarray(libgguf.quantize_rows(x, kind)).reshape(-1, 36)
        values = libgguf.dequantize_rows(blocks.reshape(len(x), -1), kind, x.shape[1])
        return blocks[:, :4].ravel(), self._codes(blocks[:, 4:], 8), np.asarray(values)

    @staticmethod
    def _codes(raw, half):
        raw = raw.reshape(-1, half)
        return np.concatenate([raw & 15, raw >> 4], axis=1)


def differing(ours, theirs):
    """Where codes differ, but for the sign of zero: llama.cpp writes 0 for -0."""
    return (ours != theirs) & ~((ours == 8) & (theirs == 0))


@pytest.mark.parametrize("library", ["gguf", "libgguf"])
def test_llama_cpps_mxfp4_is_the_rule_floor_but_for_ties_and_the_sign_of_zero(library):
    if library == "gguf":
        quants = pytest.importorskip("gguf.quants")
        quantize, kind = quants.quantize, pytest.importorskip("gguf").GGMLQuantizationType
    else:
        libgguf = pytest.importorskip("libgguf")
        quantize, kind = libgguf.quantize_rows, libgguf.GGMLQuantizationType
    for x in (normal(), adversarial()):
        q = ql.scaled.quantize(x, "MXFP4")
        scales, codes = Llama().mxfp4(x, quantize, kind)
        zero = np.abs(x).reshape(-1, 32).max(axis=1) == 0
        assert np.array_equal(q.scale_codes.ravel()[~zero], scales[~zero])
        apart = differing(q.codes.reshape(-1, 32), codes)
        # Half-way the library takes the value of less magnitude, ours the even code.
        share = np.abs(x).reshape(-1, 32) / q.scales.reshape(-1, 1)
        assert np.all(np.isin(share[apart], [0.75, 1.75, 3.5]))
        assert np.any(apart) == np.any(np.isin(share, [0.75, 1.75, 3.5]))


def test_llama_cpps_nvfp4_has_no_tensor_scale_and_subnormal_scales():
    scales, codes, values = Llama().nvfp4(normal())
    q = ql.scaled.quantize(normal(), "NVFP4", tensor_scale=1)
    assert np.array_equal(q.scale_codes.ravel(), scales)
    assert not differing(q.codes.reshape(-1, 16), codes).any()
    assert np.array_equal(q.dequantize(), values)
    # Weights 50 times smaller: scales below 2**-6 keep fewer bits there, and stop with torchao.
    small = normal(0.02)
    scales, codes, values = Llama().nvfp4(small)
    errors = [ql.errors.relative(v, small) for v in (
        values, ql.scaled.quantize(small, tensor_scale=1).dequantize(),
        ql.scaled.quantize(small).dequantize(),
    )]  # fmt: skip
    assert scales.max() < 16 and errors[2] < 0.096 < 0.1 < errors[0] < 0.11 < 0.125 < errors[1]


def test_llama_cpps_nvfp4_takes_the_lower_value_half_way_and_448_for_scales_from_256():
    x = adversarial()
    scales, codes, _ = Llama().nvfp4(x)
    q = ql.scaled.quantize(x, "NVFP4", tensor_scale=1)
    wanted = np.abs(x).reshape(-1, 16).max(axis=1) / np.float32(6)
    ours = q.scale_codes.ravel()
    large = ours >= ql.formats.FP8_E4M3.encode(256.0)
    assert set(scales[large]) == {126} and np.any(ours[large] < 126)
    normal_scale = (wanted >= 2**-6) & ~large
    assert np.array_equal(ours[normal_scale], scales[normal_scale])
    share = (np.abs(x).reshape(-1, 16) / q.scales.reshape(-1, 1))[normal_scale]
    apart = differing(q.codes.reshape(-1, 16), codes)[normal_scale]
    assert np.array_equal(apart, np.isin(share, [0.75, 1.75, 3.5]))


def test_llama_cpps_nvfp4_takes_the_larger_scale_half_way():
    x = np.zeros((1, 64), np.float32)
    x[:, ::16] = 6 * 1.0625  # half-way between the scales 1 and 1.125, the codes 56 and 57
    q = ql.scaled.quantize(x, "NVFP4", tensor_scale=1)
    scales, _, _ = Llama().nvfp4(x)
    assert set(q.scale_codes.ravel()) == {56} and set(scales) == {57}


def test_llama_cpps_nvfp4_of_a_layer_has_other_values_than_torchao_and_the_same_error(tiny_lm):
    x = tiny_lm["model.layers.0.mlp.down_proj.weight"].float().numpy()
    scales, _, theirs = Llama().nvfp4(x)
    alone, both = (ql.scaled.quantize(x, "NVFP4", tensor_scale=scale) for scale in (1, None))
    apart = alone.scale_codes.ravel() != scales
    between = ql.formats.FP8_E4M3.decode(np.stack([alone.scale_codes.ravel(), scales])[:, apart])
    assert np.allclose(np.abs(x).reshape(-1, 16).max(axis=1)[apart] / 6, between.mean(axis=0))
    share = (np.abs(x).reshape(-1, 16) / alone.scales.reshape(-1, 1))[~apart]
    other = (alone.dequantize() != theirs).reshape(-1, 16)[~apart]
    assert np.isin(share[other], [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5]).all()
    equal = [np.mean(np.isclose(q.dequantize(), theirs, rtol=1e-5)) for q in (alone, both)]
    assert np.round(equal, 2).tolist() == [0.97, 0.18]
    errors = [ql.errors.relative(v, x) for v in (both.dequantize(), theirs)]
    assert np.round(errors, 4).tolist() == [0.0948, 0.0950]


def packed_by_compressed_tensors(x, scheme):
    """Return the bytes of the scales and of the codes, as its compressor writes them."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("compressed_tensors")
    from compressed_tensors.compressors.mxfp4.base import MXFP4PackedCompressor
    from compressed_tensors.compressors.nvfp4.base import NVFP4PackedCompressor
    from compressed_tensors.quantization import QuantizationScheme
    from compressed_tensors.quantization.quant_scheme import PRESET_SCHEMES
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

    x, weights = torch.from_numpy(x), PRESET_SCHEMES[scheme]["weights"]
    blocks = x.reshape(len(x), -1, weights.group_size)
    state, tensor_scale = {"weight": x}, None
    if scheme == "NVFP4A16":
        tensor_scale = state["weight_global_scale"] = generate_gparam(x.min(), x.max())
    state["weight_scale"], _ = calculate_qparams(
        blocks.amin(2), blocks.amax(2), weights, global_scale=tensor_scale
    )
    compressor = NVFP4PackedCompressor if scheme == "NVFP4A16" else MXFP4PackedCompressor
    state = compressor.compress(state, QuantizationScheme(targets=["Linear"], weights=weights))
    return [state[name].view(torch.uint8).numpy() for name in ("weight_scale", "weight_packed")]


def test_compressed_tensors_nvfp4_has_the_same_scales_and_codes_on_normal_values():
    q = ql.scaled.quantize(normal(), "NVFP4")
    scales, codes = packed_by_compressed_tensors(normal(), "NVFP4A16")
    assert np.array_equal(q.scale_codes, scales) and np.array_equal(q.packed(), codes)


def test_compressed_tensors_takes_smaller_scales_than_torchao_in_nvfp4():
    # A block far below the tensor's largest value: its scale would be a subnormal E4M3.
    x = normal()
    x[0] *= np.float32(2.0**-13)
    q = ql.scaled.quantize(x, "NVFP4")
    scales, codes = packed_by_compressed_tensors(x, "NVFP4A16")
    apart = q.scale_codes != scales
    assert set(q.scale_codes[apart]) == {8} and scales[apart].max() < 8 and not apart[1:].any()
    assert np.array_equal(q.packed()[1:], codes[1:])


@both
def test_compressed_tensors_mxfp4_is_the_rule_even(x):
    q = ql.scaled.quantize(x, "MXFP4", rule="even")
    scales, codes = packed_by_compressed_tensors(x, "MXFP4A16")
    zero = np.repeat(np.abs(x).reshape(ROWS, -1, 32).max(axis=2) == 0, 16, axis=1)
    assert np.array_equal(q.scale_codes[~zero[:, ::16]], scales[~zero[:, ::16]])
    unsigned = np.where(zero, 0, q.packed() ^ codes)
    assert not (unsigned & 0x77).any()


def test_fp6_is_packed_as_in_compressed_tensors():
    torch = pytest.importorskip("torch")
    helpers = pytest.importorskip("compressed_tensors.compressors.mxfp6.helpers")
    q = ql.scaled.quantize(normal(), "MXFP6")
    values = torch.from_numpy(ql.formats.FP6_E2M3.decode(q.codes).astype(np.float32))
    assert np.array_equal(q.packed(), helpers.pack_fp6_to_uint8(values).numpy())


def test_transformers_reads_the_bytes_as_those_of_gpt_oss():
    torch = pytest.importorskip("torch")
    mxfp4 = pytest.importorskip("transformers.integrations.mxfp4")
    x = normal()
    q = ql.scaled.quantize(x, "MXFP4")
    blocks = torch.from_numpy(q.packed().reshape(1, ROWS, -1, 16))
    scales = torch.from_numpy(q.scale_codes[None])
    theirs = mxfp4.convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    assert np.array_equal(theirs[0].numpy().T, q.dequantize())  # it returns (in, out)
