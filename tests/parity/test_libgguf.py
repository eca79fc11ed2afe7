"""llama.cpp's block formats against libgguf, which encodes as llama.cpp does, and gguf's decoder.

Byte for byte. Q4_0, Q8_0, Q4_K, Q6_K, MXFP4 and IQ4_NL were compared once, with importance and
without, on 10 million values each: no byte differed (libgguf 0.2.2, x86-64).
"""

import numpy as np
import pytest

from quantlab import gguf

libgguf = pytest.importorskip("libgguf")
quants = pytest.importorskip("gguf.quants")

COLUMNS = 512
every_type = pytest.mark.parametrize("name", gguf.TYPES)
IMPORTANCE = np.random.default_rng(16).standard_normal(COLUMNS).astype(np.float32) ** 2
with_and_without = pytest.mark.parametrize(
    "importance", [None, IMPORTANCE], ids=["plain", "importance"]
)


def theirs(x, name, importance=None):
    """The library's bytes, one row for each row of x."""
    kind = libgguf.GGMLQuantizationType[name]
    return np.asarray(libgguf.quantize_rows(x, kind, importance)).reshape(len(x), -1)


def differing_rows(x, name, importance=None):
    """Return the rows of x in which a byte differs."""
    ours = gguf.encode(x, name, importance)
    return np.flatnonzero((ours != theirs(x, name, importance)).any(axis=1)).tolist()


def normal(rows, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, COLUMNS)).astype(np.float32)


def adversarial():
    """Rows on which a scale, a tie or a rounding could go another way."""
    x, i = normal(1)[0], np.arange(COLUMNS)
    rows = [0 * x, -0.0 * np.abs(x), 0 * x + 0.3, 0 * x - 0.3, np.sign(x), np.abs(x), -np.abs(x),
            np.abs(x) + 5, -np.abs(x) - 5, np.where(i == 70, 1e4, 0),
            np.where(i % 77, 0.01, 100) * x, np.where(i < 256, x, 0), np.rint(4 * x),
            np.rint(4 * x) / 2, np.exp2(np.rint(4 * x)),
            np.nextafter(np.exp2(np.rint(6 * x)).astype(np.float32), np.float32(0)),
            10.0 ** np.clip(8 * x, -30, 4)]  # fmt: skip
    sizes = [1e5, 1e-5, 1e-7, 1e-9, 1e-12, 1e-15, 1e-16, 1e-30, 1e-38, 1e-40, 1e-44]
    return np.array([*rows, *(size * x.astype(np.float64) for size in sizes)], np.float32)


@every_type
def test_a_block_has_as_many_values_and_bytes_as_in_the_library(name):
    kind = gguf.TYPES[name]
    sizes = libgguf.GGML_QUANT_SIZES[libgguf.GGMLQuantizationType[name]]
    assert tuple(sizes) == (kind.values, kind.bytes)


@with_and_without
@every_type
def test_normal_values_get_the_same_bytes(name, importance):
    assert differing_rows(normal(256), name, importance) == []


@with_and_without
@every_type
def test_heavy_tails_get_the_same_bytes(name, importance):
    x = np.random.default_rng(1).standard_t(2, (256, COLUMNS)).astype(np.float32)
    assert differing_rows(x, name, importance) == []


@with_and_without
@every_type
def test_zeros_outliers_ties_and_tiny_values_get_the_same_bytes(name, importance):
    assert differing_rows(adversarial(), name, importance) == []


@every_type
def test_importance_that_is_zero_for_whole_blocks_gives_the_same_bytes(name):
    importance = np.where(np.arange(COLUMNS) < 256, 0, IMPORTANCE).astype(np.float32)
    x = np.concatenate([normal(32), adversarial()])
    assert differing_rows(x, name, importance) == []


@every_type
def test_every_matrix_of_the_model_gets_the_same_bytes(name, tiny_lm):
    for matrix in tiny_lm.values():
        x = matrix.float().numpy()[::16]
        importance = np.resize(IMPORTANCE, x.shape[1])
        assert differing_rows(x, name) == []
        assert differing_rows(x, name, importance) == []


@every_type
def test_blocks_decode_as_in_both_libraries(name):
    blocks = gguf.encode(np.concatenate([normal(64), adversarial()]), name)
    ours = gguf.decode(blocks, name).tobytes()
    kind = libgguf.GGMLQuantizationType[name]
    assert ours == quants.dequantize(blocks, kind).tobytes()
    assert ours == np.asarray(libgguf.dequantize_rows(blocks, kind, COLUMNS)).tobytes()


@pytest.mark.parametrize("name", ["Q4_0", "Q8_0", "IQ4_NL", "Q4_K", "Q6_K"])
def test_any_bytes_decode_as_in_the_library(name):
    rng = np.random.default_rng(2)
    blocks = rng.integers(0, 256, (512, gguf.TYPES[name].bytes), np.uint8)
    for at in {"Q4_K": (0, 2), "Q6_K": (208,)}.get(name, (0,)):  # the scales: finite FP16
        scales = rng.standard_normal((512, 1)).astype("<f2")
        blocks[:, at : at + 2] = scales.view(np.uint8)
    kind = libgguf.GGMLQuantizationType[name]
    assert gguf.decode(blocks, name).tobytes() == quants.dequantize(blocks, kind).tobytes()


def test_every_byte_of_an_mxfp4_exponent_decodes_as_in_the_library():
    blocks = np.random.default_rng(3).integers(0, 256, (256, 17), np.uint8)
    blocks[:, 0] = np.arange(256)
    with np.errstate(over="ignore"):
        expected = quants.dequantize(blocks, libgguf.GGMLQuantizationType.MXFP4)
    assert gguf.decode(blocks, "MXFP4").tobytes() == expected.tobytes()
